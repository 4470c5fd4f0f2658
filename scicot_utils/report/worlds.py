"""One study on several tests, and one comparison in two worlds: what carries over from benchmark to benchmark."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd
from scipy import stats

from scicot_utils.recipe import ELSEWHERE, MAIN, TRANSFER
from scicot_utils.report.differences import MARKS
from scicot_utils.report.results import over_seeds, where
from scicot_utils.report.style import (
    ARMS,
    MEASURES,
    OFFSETS,
    REFERENCE_LINE,
    Picture,
    Table,
    arm_name,
    draw_interval,
    interval,
    legend_below,
    legend_mark,
    pair_name,
    panels,
    percent,
    plural,
    wide,
)
from scicot_utils.tables import Row

PUBLISHED_AS = {  # the methods of Fine-tune-CoT's tables, as arms
    "zero-shot": "zero_shot",
    "few-shot CoT": "few_shot_cot",
    "fine-tuning on answers": "answer_only",
    "Fine-tune-CoT": "rationale_answer",
    "zero-shot CoT (teacher)": "teacher",
}
IN_ALT_TEXT = ("two_stage", "rationale_answer", "answer_only")  # the arms that a figure's alternative text tells of


def tests_of(dataset: str, frame: pd.DataFrame) -> dict[str, str]:
    """Split → what is tested there, for every test that a benchmark's students answered: the benchmark itself, another
    one (`tested_on`), or a transfer test by its own name. `frame`: metrics.csv."""
    splits = where(frame, dataset=dataset)["split"].unique()
    return {split: _test_name(split, dataset) for split in splits if split.startswith("test")}


def _test_name(split: str, dataset: str) -> str:
    return dataset if split == "test" else split if split in TRANSFER else split.removeprefix(ELSEWHERE)


def chances(fairness: Iterable[Row], dataset: str) -> dict[str, float]:
    """Test → share of its questions that a random guess answers right; `fairness`: rows of the table 01_fairness."""
    return {_test_name(row["split"], dataset): row["chance"] for row in fairness if row["dataset"] == dataset}


def reference_lines(published: pd.DataFrame, model: str, method: str) -> dict[str, tuple[str, float]]:
    """Test → (name, share) of what another model is published to reach there; `published`: see `published("arc")`."""
    rows = where(published, model=model, method=method).to_dict("records")
    return {row["task"]: (f"{model}-{row['size']} {method}", row["accuracy"] / 100) for row in rows}


def by_test(dataset: str, frame: pd.DataFrame) -> list[Row]:
    """Accuracy of each arm of the main variant on each test: rows with `arm`, `scoring`, `test`, `mean`, `low`, `high`,
    `seeds` and `n`.

    `low` and `high`: the interval over questions (Wilson) where there is one seed, else the least and greatest seed.
    """
    main, rows = where(frame, dataset=dataset, variant=MAIN), []
    for split, test in tests_of(dataset, frame).items():
        for measure in MEASURES:
            runs = where(main, split=split, metric=measure)
            for over in over_seeds(runs, ["arm"]).to_dict("records"):
                first = where(runs, arm=over["arm"]).iloc[0]
                low, high = (first["low"], first["high"]) if over["seeds"] == 1 else (over["min"], over["max"])
                row = {"arm": over["arm"], "scoring": measure, "test": test, "mean": over["mean"]}
                rows.append(row | {"low": low, "high": high, "seeds": over["seeds"], "n": over["n"]})
    return [row for arm in ARMS for row in rows if row["arm"] == arm]


def by_test_table(rows: Sequence[Row]) -> Table:
    """`by_test` for reading: a row for each arm and scoring, a column for each test."""
    most = {row["test"]: max(other["n"] for other in rows if other["test"] == row["test"]) for row in rows}
    cells = []
    for row in rows:
        fewer = f", {row['n']} questions" if row["n"] < most[row["test"]] else ""
        cell = f"{percent(row['mean'])} ({interval(row['low'], row['high'])}{fewer})"
        test = f"{row['test']} ({most[row['test']]} questions)"
        cells.append({"arm": arm_name(row["arm"]), "scoring": row["scoring"], "test": test, "cell": cell})
    return Table(wide(cells, ["arm", "scoring"], "test", "cell", "–"))


Published = Mapping[tuple[str, str], Mapping[str, float]]  # (test, arm) → whose published figure → share


def published_beside(published: pd.DataFrame, students: Sequence[tuple[str, str]]) -> Published:
    """What is published of an arm on a test, of some `students` (model, size) and of the teacher; see `published()`."""
    beside: dict[tuple[str, str], dict[str, float]] = {}
    for row in published.to_dict("records"):
        arm, source = PUBLISHED_AS.get(row["method"], ""), (row["model"], row["size"])
        if arm and (arm == "teacher" or source in students):
            beside.setdefault((row["task"], arm), {})[" ".join(source)] = row["accuracy"] / 100
    return beside


def _sources(beside: Published) -> list[str]:
    return list(dict.fromkeys(name for figures in beside.values() for name in figures))


def beside_table(rows: Sequence[Row], beside: Published) -> Table:
    """Accuracies of `by_test` with what is published of the same arm on the same test, a row for each of both."""
    lines = []
    for row in rows:
        figures = beside.get((row["test"], row["arm"]), {})
        line = {"task": row["test"], "arm": arm_name(row["arm"]), "measured": row["mean"]}
        line |= {"interval": interval(row["low"], row["high"]), "questions": row["n"]}
        lines.append(line | {f"published, {name}": figures.get(name) for name in _sources(beside)})
    return Table(lines, "{:.1%}")


def by_test_figure(
    rows: Sequence[Row],
    chance: Mapping[str, float],
    lines: Mapping[str, tuple[str, float]],
    beside: Published | None = None,
) -> Picture:
    """`by_test` as a panel for each test, arms from top to bottom. Raises ValueError where there are no rows.

    `chance`: test → share that a guess is right; `lines`: test → (name, share) of a published figure to compare with;
    `beside`: published figures of the arms themselves.
    """
    tests = list(dict.fromkeys(row["test"] for row in rows))
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    size = (2.4 + 2.6 * len(tests), 1.6 + 0.45 * len(arms))
    figure, axes = panels(tests, size, rows=[ARMS[arm].label for arm in arms], xlabel="right answers, %")
    axes[0].set_xlim(-3, 103)
    markers = dict(zip(_sources(beside or {}), itertools.cycle("Ds^vPX"), strict=False))
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
    if any(row["scoring"] == "ranked" for row in rows):
        legend.append(legend_mark("ranked", mfc="white"))
    legend += [legend_mark(f"published, {name}", marker, mfc="none") for name, marker in markers.items()]
    reference = dict.fromkeys(name for name, _ in lines.values())
    styles = dict.fromkeys(["chance"] if chance else [], ":") | dict.fromkeys(reference, "--")
    legend += [plt.Line2D([], [], ls=style, label=name, color="#555555") for name, style in styles.items()]
    legend_below(figure, legend, 4)
    arms = [arm for arm in arms if arm in IN_ALT_TEXT]
    return Picture(figure, f"Right answers on each test. {by_test_summary(rows, arms)}")


def by_test_summary(rows: Sequence[Row], arms: Iterable[str]) -> str:
    """The accuracies of some arms on each test, as a sentence for each test."""
    sentences, arms = [], list(arms)
    for test in dict.fromkeys(row["test"] for row in rows):
        on_test = [row for row in rows if row["test"] == test]
        accuracies = {
            arm: ", ".join(f"{percent(row['mean'])} {row['scoring']}" for row in on_test if row["arm"] == arm)
            for arm in arms
        }
        if parts := [f"{arm_name(arm)} {values}" for arm, values in accuracies.items() if values]:
            size = f"{on_test[0]['n']} questions, {plural(on_test[0]['seeds'], 'seed')}"
            sentences.append(f"{test} ({size}): {'; '.join(parts)}.")
    return " ".join(sentences)


def chance_summary(rows: Sequence[Row], chance: Mapping[str, float], arms: Iterable[str]) -> str:
    """Which results of `arms` have an interval that excludes chance, in two sentences; `chance` as in `by_test_figure`."""
    arms = {*arms}
    rows = [row for row in rows if row["arm"] in arms and row["test"] in chance]
    sentences = []
    for side in ("above", "below"):
        results = [
            f"{arm_name(row['arm'])} on {row['test']}, {row['scoring']}, {percent(row['mean'])}"
            for row in rows
            if interval_side(row, chance[row["test"]]) == side
        ]
        sentences.append(f"{len(results)} of {len(rows)} results lie {side} chance{_in_brackets(results)}.")
    return " ".join(sentences)


def _in_brackets(items: Sequence[str]) -> str:
    return f" ({'; '.join(items)})" if items else ""


def interval_side(row: Mapping[str, float], value: float) -> str:
    """Where the interval of a row, from `low` to `high`, lies to a value: "above", "below" or "around" it."""
    return "above" if row["low"] > value else "below" if row["high"] < value else "around"


def reference_summary(rows: Sequence[Row], lines: Mapping[str, tuple[str, float]], arm: str) -> str:
    """Whether an arm passes a published figure, a sentence for each test that has one; `lines` as in `by_test_figure`."""
    stands = {"above": "lies above", "below": "lies below", "around": "includes"}
    sentences = []
    for test, (name, share) in lines.items():
        if results := [
            f"{percent(row['mean'])} {row['scoring']}, its interval {stands[interval_side(row, share)]} that figure"
            for row in rows
            if (row["test"], row["arm"]) == (test, arm)
        ]:
            sentences.append(f"{test}, {name} {percent(share)}: {arm_name(arm)} {'; '.join(results)}.")
    return " ".join(sentences)


def common_comparisons(here: Sequence[Row], there: Sequence[Row]) -> list[Row]:
    """The comparisons that two studies have in common, from their rows of `differences.compare`: `first`, `second`,
    `measure`, and of the second study's `difference`, `low`, `high`; of the first `predicted` and whether `settled`, its
    interval without zero."""
    key, columns = ["first", "second", "measure"], ["difference", "low", "high"]
    here, there = (pd.DataFrame(rows, columns=[*key, *columns]) for rows in (here, there))
    both = there.merge(here, on=key, suffixes=("", " here"))
    both["predicted"] = both["difference here"]
    both["settled"] = (both["low here"] > 0) | (both["high here"] < 0)
    return both[[*key, *columns, "predicted", "settled"]].to_dict("records")


def agreement_summary(rows: Sequence[Row], here: str, there: str) -> str:
    """Whether the first study predicts the order of the arms in the second, in two sentences."""
    if len(rows) < 2:
        return f"{here} and {there} have no two comparisons in common, so neither can predict the other."
    settled = [row for row in rows if row["settled"]]
    same = [row for row in settled if row["predicted"] * row["difference"] > 0]
    opposite = [
        f"{pair_name(row['first'], row['second'])}, {row['measure']}, {row['predicted']:+z.1f} in {here} and {row['difference']:+z.1f} on {there}"
        for row in settled
        if interval_side(row, 0) == ("below" if row["predicted"] > 0 else "above")
    ]
    rank = stats.spearmanr([row["predicted"] for row in rows], [row["difference"] for row in rows]).statistic
    return (
        f"{here} has {plural(len(settled), 'difference')} between arms distinguishable from zero. "
        f"{len(same)} of {len(settled)} have the same sign on {there}; {len(opposite)} of {len(settled)} have the "
        f"opposite sign there, with an interval that excludes zero{_in_brackets(opposite)}. "
        f"The rank correlation of all {len(rows)} differences is {rank:.2f}."
    )


def agreement_figure(rows: Sequence[Row], here: str, there: str) -> Picture:
    """Differences between arms, of one study against those of another, in percentage points, with the second's
    intervals. Raises ValueError where there are no rows."""
    if not rows:
        raise ValueError("agreement_figure: found no rows, allowed: at least one comparison in common")
    figure, axes = plt.subplots(figsize=(7.4, 5.2))
    axes.axhline(0, **REFERENCE_LINE)
    axes.axvline(0, **REFERENCE_LINE)
    pairs = dict.fromkeys((row["first"], row["second"]) for row in rows)
    markers = dict(zip(pairs, itertools.cycle("os^DvPX*"), strict=False))
    for row in rows:
        marker, (_, colour) = markers[row["first"], row["second"]], MARKS[row["measure"]]
        values = row["difference"], row["low"], row["high"]
        draw_interval(axes, values, row["predicted"], upright=True, color=colour, marker=marker)
    axes.set(xlabel=f"difference in {here}, percentage points", ylabel=f"difference on {there}, percentage points")
    legend = [legend_mark(pair_name(*pair), marker) for pair, marker in markers.items()]
    legend += [plt.Line2D([], [], color=colour, label=measure) for measure, (_, colour) in MARKS.items()]
    legend_below(figure, legend, 1)
    return Picture(figure, agreement_summary(rows, here, there))
