"""How often each arm is right: the headline's figure, tables over seeds, and one study on several tests."""

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd

from scicot_utils.recipe import ELSEWHERE, MAIN, TRANSFER, Recipe
from scicot_utils.report.results import in_order, interval_side, over_seeds, where
from scicot_utils.report.style import (
    ARMS,
    MEASURES,
    OFFSETS,
    REFERENCE_LINE,
    Picture,
    Table,
    arm_name,
    distinct,
    draw_interval,
    in_brackets,
    interval,
    legend_below,
    legend_mark,
    ordered,
    panels,
    percent,
    plural,
    wide,
)
from scicot_utils.tables import Row

IN_ALT_TEXT = ("two_stage", "rationale_answer", "answer_only")  # the arms that a figure's alternative text tells of
Lines = Mapping[str, tuple[str, float]]  # test → (name, share) of a published figure to compare with
Published = Mapping[tuple[str, str], Mapping[str, float]]  # (test, arm) → whose published figure → share


def accuracy_figure(frame: pd.DataFrame, *, dataset: str, chance: float, seeds: int) -> Picture:
    """Test accuracy of each arm, both scorings: a dot a seed, a bar at their mean."""
    test = where(frame, dataset=dataset, variant=MAIN, split="test")
    arms, small = ordered(test["arm"]), {"textcoords": "offset points", "fontsize": 9}
    figure, axes = plt.subplots(figsize=(6.4, 0.5 * len(arms) + 1.2))
    for height, arm in enumerate(reversed(arms)):
        for measure in ordered(where(test, arm=arm)["metric"]):
            values, colour = 100 * where(test, arm=arm, metric=measure)["value"], ARMS[arm].colour
            position, fill = height - OFFSETS[measure], colour if measure == "generated" else "white"
            axes.plot([values.mean()] * 2, [position - 0.13, position + 0.13], color=colour, lw=3)
            axes.plot(values, [position] * len(values), "o", color=colour, mfc=fill)
            axes.annotate(f"{values.mean():.0f}", (values.max(), position), (7, 0), va="center", **small)
    axes.axvline(100 * chance, ls=":", **REFERENCE_LINE)
    axes.annotate("chance", (100 * chance, len(arms) - 0.5), (3, 0), color=REFERENCE_LINE["color"], **small)
    axes.set_yticks(range(len(arms)), [ARMS[arm].label for arm in reversed(arms)])
    label = "test accuracy, % (filled: generated, open: ranked)"
    axes.set(xlim=(0, 107), ylim=(-0.6, len(arms) - 0.2), xlabel=label)
    axes.grid(axis="y", visible=False)
    means = where(test, metric="generated").groupby("arm")["value"].mean()
    accuracies = ", ".join(f"{arm_name(arm)} {percent(means[arm])}" for arm in arms)
    told = f"Generated test accuracy on {dataset}, mean over {plural(seeds, 'seed')}: {accuracies}"
    return Picture(figure, f"{told}; chance {percent(chance)}.")


def accuracy_table(frame: pd.DataFrame, dataset: str) -> Table:
    """One row for each arm of the main variant and each scoring, on the test split."""
    test = where(frame, dataset=dataset, variant=MAIN, split="test")
    rates = test.pivot_table(index="arm", columns="metric", values="value")[["unparsed", "truncated"]]
    by = ["arm", "metric"]
    # Part by part: pandas adds up several groups at once in an order of its own, so last digits of means would differ.
    measured = [part for _, part in where(test, metric=MEASURES).groupby(by)]
    over = pd.concat(over_seeds(part, by, first=["parameters", "low", "high"]) for part in measured)
    over = in_order(over).join(rates, on="arm").rename(columns={"metric": "scoring", "min": "least", "max": "greatest"})
    over_questions = f"over questions (seed {test['seed'].iloc[0]})"
    for name, low, high in (("over seeds", "least", "greatest"), (over_questions, "low", "high")):
        over[name] = list(map(interval, over[low], over[high]))
    columns = ["arm", "scoring", "parameters", "mean", "seeds", "least", "greatest", "sd", "low", "high"]
    columns += ["over seeds", over_questions, "n", "unparsed", "truncated"]
    show = ["arm", "scoring", "parameters", "mean", "over seeds", over_questions, "unparsed", "truncated"]
    return Table(over.assign(arm=over["arm"].map(arm_name))[columns].to_dict("records"), "{:.3f}", show)


def test_in_forms_of_transfer(frame: pd.DataFrame) -> pd.DataFrame:
    """Accuracies of the test split in the forms of a transfer test that has only some; questions weigh alike."""
    by_form = frame.assign(**frame["metric"].str.extract("(?P<metric>.*):(?P<form>.*)")).dropna(subset="form")
    by_form["right"] = by_form["value"] * by_form["n"]
    forms = by_form.groupby("split")["form"].agg(set).to_dict()
    parts = []
    for split in [split for split in forms if forms[split] < forms.get("test", set())]:
        part = where(by_form, split="test", form=[*forms[split]])
        sums = part.groupby(["dataset", "arm", "variant", "seed", "metric"], sort=False)[["right", "n"]].sum()
        sums = sums.assign(value=sums["right"] / sums["n"], split=f"test, forms of {split}").reset_index()
        parts.append(sums.drop(columns="right"))
    return pd.concat(parts) if parts else frame.iloc[:0]


def validation_table(frame: pd.DataFrame, recipe: Recipe) -> Table:
    """Arm × variant on one split, mean over seeds, with the best of each arm and every key that a variant changes."""
    wide = frame.pivot_table(index=["arm", "variant"], columns="metric", values="value", aggfunc="mean", sort=False)
    wide["seeds"] = frame.groupby(["arm", "variant"])["seed"].nunique()
    measures = ordered(wide)
    wide["mean"] = wide[measures].mean(axis=1)
    wide["best"] = (wide["mean"] == wide.groupby("arm")["mean"].transform("max")).map({True: "best", False: ""})
    keys = list(dict.fromkeys(key for changes in recipe.variants.values() for key in changes))
    for key in keys:
        values = [getattr(recipe.settings(arm, variant), key) for arm, variant in wide.index]
        wide[key] = pd.Series(values, wide.index, object)
    rows = wide[[*keys, *measures, "mean", "seeds", "best"]].reset_index().to_dict("records")
    return Table(rows, dict.fromkeys(("generated", "ranked", "mean"), "{:.3f}"))


def grid_summary(rows: Sequence[Row], keys: Sequence[str]) -> str:
    """The values of `keys` that were best on validation for each arm, from rows of `validation_table`."""
    sentences = []
    for arm in distinct(rows, "arm"):
        variants = [row for row in rows if row["arm"] == arm]
        best = [row for row in variants if row["best"]]
        sentence = f"{arm_name(arm)}: {percent(best[0]['mean'])}"
        if len(variants) > 1:
            values = " or ".join(", ".join(f"{key} {row[key]:g}" for key in keys) for row in best)
            sentence += f" with {values} (worst setting {percent(min(row['mean'] for row in variants))})"
        sentences.append(sentence)
    return f"Mean of both scorings on validation. {'; '.join(sentences)}."


def seeds_table(frame: pd.DataFrame, by: Sequence[str]) -> Table:
    """Rows of metrics.csv over seeds, by those of the columns `by` that are not empty."""
    by = [name for name in by if frame[name].astype(bool).any()]
    over, formats = over_seeds(frame, by), dict.fromkeys(("mean", "min", "max", "sd"), "{:.3f}")
    return Table(over.assign(arm=over["arm"].map(arm_name)).to_dict("records"), formats)


def tests_of(dataset: str, frame: pd.DataFrame) -> dict[str, str]:
    """Split → what is tested there: the benchmark itself, another (`tested_on`), or a transfer test by name."""
    splits = where(frame, dataset=dataset)["split"].unique()
    return {split: _test_name(split, dataset) for split in splits if split.startswith("test")}


def _test_name(split: str, dataset: str) -> str:
    return dataset if split == "test" else split if split in TRANSFER else split.removeprefix(ELSEWHERE)


def chances(fairness: Iterable[Row], dataset: str) -> dict[str, float]:
    """Test → share of its questions that a random guess answers right; `fairness`: rows of the table 01_fairness."""
    return {_test_name(row["split"], dataset): row["chance"] for row in fairness if row["dataset"] == dataset}


def by_test(dataset: str, frame: pd.DataFrame) -> list[Row]:
    """Accuracy of each arm of the main variant on each test. `low` and `high`: the interval over questions (Wilson)
    where there is one seed, else the least and greatest seed.
    """
    tests = tests_of(dataset, frame)
    runs = where(frame, dataset=dataset, variant=MAIN, split=[*tests], metric=MEASURES)
    measured = [part for _, part in runs.groupby(["split", "metric"])]
    over = pd.concat(over_seeds(part, ["arm", "split", "metric"], first=["low", "high"]) for part in measured)
    several = over["seeds"] > 1
    over = over.assign(low=over["low"].mask(several, over["min"]), high=over["high"].mask(several, over["max"]))
    over = over.assign(scoring=over["metric"], test=over["split"].map(tests))
    columns = ["arm", "scoring", "test", "mean", "low", "high", "seeds", "n"]
    return in_order(over, ["arm", "split", "metric"], tests)[columns].to_dict("records")


def by_test_table(rows: Sequence[Row]) -> Table:
    """`by_test` for reading: a row for each arm and scoring, a column for each test."""
    cells = []
    for row in rows:
        most = max(other["n"] for other in rows if other["test"] == row["test"])
        fewer = f", {row['n']} questions" if row["n"] < most else ""
        cell = f"{percent(row['mean'])} ({interval(row['low'], row['high'])}{fewer})"
        test = f"{row['test']} ({most} questions)"
        cells.append({"arm": arm_name(row["arm"]), "scoring": row["scoring"], "test": test, "cell": cell})
    return Table(wide(cells, ["arm", "scoring"], "test", "cell", "–"))


def by_test_figure(
    rows: Sequence[Row], chance: Mapping[str, float], lines: Lines, beside: Published | None = None
) -> Picture:
    """`by_test` as a panel for each test; `chance`: test → share that a guess gets. Raises ValueError without rows."""
    tests, arms = distinct(rows, "test"), distinct(rows, "arm")
    size = (2.4 + 2.6 * len(tests), 1.6 + 0.45 * len(arms))
    figure, axes = panels(tests, size, rows=[ARMS[arm].label for arm in arms], xlabel="right answers, %")
    axes[0].set_xlim(-3, 103)
    markers = dict(zip(sources(beside or {}), itertools.cycle("Ds^vPX"), strict=False))
    for panel, test in zip(axes, tests, strict=True):
        for row in [row for row in rows if row["test"] == test]:
            values = [100 * row[name] for name in ("mean", "low", "high")]
            position, filled = arms.index(row["arm"]) + OFFSETS[row["scoring"]], row["scoring"] == "generated"
            draw_interval(panel, values, position, color=ARMS[row["arm"]].colour, filled=filled)
        for position, arm in enumerate(arms):
            for name, share in (beside or {}).get((test, arm), {}).items():
                panel.plot(100 * share, position, markers[name], color="#333333", mfc="none", ms=7)
        if test in chance:
            panel.axvline(100 * chance[test], ls=":", **REFERENCE_LINE)
        if test in lines:
            panel.axvline(100 * lines[test][1], ls="--", **REFERENCE_LINE)
    legend = [legend_mark("generated")]
    if "ranked" in distinct(rows, "scoring"):
        legend.append(legend_mark("ranked", mfc="white"))
    legend += [legend_mark(f"published, {name}", marker, mfc="none") for name, marker in markers.items()]
    styles = {"chance": ":"} if chance else {}
    styles |= {name: "--" for name, _ in lines.values()}
    legend += [plt.Line2D([], [], ls=style, label=name, color="#555555") for name, style in styles.items()]
    legend_below(figure, legend, 4)
    arms = [arm for arm in arms if arm in IN_ALT_TEXT]
    return Picture(figure, f"Accuracy on each test. {by_test_summary(rows, arms)}")


def by_test_summary(rows: Sequence[Row], arms: Collection[str]) -> str:
    """The accuracies of some arms on each test, as a sentence for each test."""
    sentences = []
    for test in distinct(rows, "test"):
        on_test = [row for row in rows if row["test"] == test]
        size = f"{on_test[0]['n']} questions, {plural(on_test[0]['seeds'], 'seed')}"
        parts = []
        for arm in arms:
            accuracies = [f"{percent(row['mean'])} {row['scoring']}" for row in on_test if row["arm"] == arm]
            parts += [f"{arm_name(arm)} {', '.join(accuracies)}"] if accuracies else []
        sentences += [f"{test} ({size}): {'; '.join(parts)}."] if parts else []
    return " ".join(sentences)


def chance_summary(rows: Sequence[Row], chance: Mapping[str, float], arms: Collection[str]) -> str:
    """Which results of `arms` have an interval that excludes chance; `chance` as in `by_test_figure`."""
    rows = [row for row in rows if row["arm"] in arms and row["test"] in chance]
    sentences = []
    for side in ("above", "below"):
        results = [
            f"{arm_name(row['arm'])} on {row['test']}, {row['scoring']}, {percent(row['mean'])}"
            for row in rows
            if interval_side(row, chance[row["test"]]) == side
        ]
        sentences.append(f"{len(results)} of {len(rows)} results lie {side} chance{in_brackets(results)}.")
    return " ".join(sentences)


def sources(beside: Published) -> list[str]:
    """Whose figures are published, each once."""
    return list(dict.fromkeys(name for figures in beside.values() for name in figures))
