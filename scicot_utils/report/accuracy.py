"""How often each arm is right: the headline's figure and table, and what a changed key does to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd

from scicot_utils.recipe import MAIN, NOT_LEARNED, Recipe
from scicot_utils.report.results import over_seeds, where
from scicot_utils.report.style import (
    ARMS,
    MEASURES,
    OFFSETS,
    REFERENCE_LINE,
    Picture,
    Table,
    arm_name,
    arms_in,
    draw_interval,
    interval,
    legend_below,
    measures_in,
    panels,
    percent,
    plural,
)
from scicot_utils.tables import Row


def accuracy_figure(frame: pd.DataFrame, *, dataset: str, chance: float, seeds: int) -> Picture:
    """Test accuracy of each arm, both scorings: a dot a seed, a bar at their mean."""
    test = where(frame, dataset=dataset, variant=MAIN, split="test")
    arms = arms_in(test["arm"])
    figure, axes = plt.subplots(figsize=(6.4, 0.5 * len(arms) + 1.2))
    for height, arm in enumerate(reversed(arms)):
        for measure in measures_in(where(test, arm=arm)["metric"]):
            values, colour = 100 * where(test, arm=arm, metric=measure)["value"], ARMS[arm].colour
            position, fill = height - OFFSETS[measure], colour if measure == "generated" else "white"
            axes.plot([values.mean()] * 2, [position - 0.13, position + 0.13], color=colour, lw=3)
            axes.plot(values, [position] * len(values), "o", color=colour, mfc=fill)
            _annotate(axes, f"{values.mean():.0f}", (values.max(), position), 7, va="center")
    axes.axvline(100 * chance, ls=":", **REFERENCE_LINE)
    _annotate(axes, "chance", (100 * chance, len(arms) - 0.5), 3, color=REFERENCE_LINE["color"])
    axes.set_yticks(range(len(arms)), [ARMS[arm].label for arm in reversed(arms)])
    xlabel = "test accuracy, % (filled: generated, open: ranked)"
    axes.set(xlim=(0, 107), ylim=(-0.6, len(arms) - 0.2), xlabel=xlabel)
    axes.grid(axis="y", visible=False)
    means = where(test, metric="generated").groupby("arm")["value"].mean()
    accuracies = ", ".join(f"{arm_name(arm)} {percent(means[arm])}" for arm in arms)
    over = f"mean over {plural(seeds, 'seed')}"
    return Picture(figure, f"Generated test accuracy on {dataset}, {over}: {accuracies}; chance {percent(chance)}.")


def _annotate(axes: plt.Axes, text: str, point: tuple[float, float], right: float, **font: str) -> None:
    """A small text so many points to the right of `point`."""
    axes.annotate(text, point, (right, 0), textcoords="offset points", fontsize=9, **font)


def accuracy_table(frame: pd.DataFrame, dataset: str) -> Table:
    """One row for each arm of the main variant and each scoring, on the test split."""
    test = where(frame, dataset=dataset, variant=MAIN, split="test")
    rates = test.pivot_table(index="arm", columns="metric", values="value")[["unparsed", "truncated"]]
    rows = []
    for arm in arms_in(test["arm"]):
        for measure in measures_in(where(test, arm=arm)["metric"]):
            runs = where(test, arm=arm, metric=measure)
            (over,), first = over_seeds(runs, ["arm"]).to_dict("records"), runs.iloc[0]
            row = {
                "arm": arm_name(arm),
                "scoring": measure,
                "parameters": int(first["parameters"]),
                "mean": over["mean"],
            }
            row |= {"seeds": over["seeds"], "least": over["min"], "greatest": over["max"], "sd": over["sd"]}
            row |= {"low": float(first["low"]), "high": float(first["high"])}
            row |= {"over seeds": interval(over["min"], over["max"])}
            row |= {f"over questions (seed {first['seed']})": interval(first["low"], first["high"]), "n": over["n"]}
            rows.append(row | rates.loc[arm].to_dict())
    over_questions = [name for name in rows[0] if name.startswith("over questions")]
    show = ["arm", "scoring", "parameters", "mean", "over seeds", *over_questions, "unparsed", "truncated"]
    return Table(rows, "{:.3f}", show)


def ablation(
    recipe: Recipe, frame: pd.DataFrame, key: str, everything: Mapping[str, int] | None = None
) -> tuple[pd.DataFrame, str]:
    """Test accuracies of the variants that differ in one key, for `ablation_figure`, and what else was changed in all.

    The rows of metrics.csv with `level`, the value of the key, and `given`, in which the sweeps of the key differ; of arms
    with a student that two variants of a sweep were run for, and seeds that all of them have. `everything`:
    what a value of 0 stands for in a key such as `train_size`, where it means all.
    """
    sweeps = [{name: recipe.variants.get(name, {}) for name in names} for names in recipe.sweeps()[key]]
    changes = [
        {other: value for other, value in [*sweep.values()][-1].items() if other not in (key, *NOT_LEARNED)}
        for sweep in sweeps
    ]
    keys = dict.fromkeys(other for changed in changes for other in changed)
    differing = [other for other in keys if len({changed.get(other) for changed in changes}) > 1]
    common = ", ".join(f"{other} = {changes[0][other]}" for other in keys if other not in differing)
    test, parts = where(frame, split="test", metric=MEASURES), []
    for sweep in sweeps:
        runs = Counter(arm for name in sweep for arm in recipe.trained_arms(name))
        seeds = [seed for seed in recipe.seeds if all(seed in recipe.seeds_of(name) for name in sweep)]
        for name in sweep:
            part = where(test, variant=name, seed=seeds, arm=[arm for arm, count in runs.items() if count > 1])
            settings = [recipe.settings(arm, name) for arm in part["arm"]]
            levels = [getattr(config, key) or (everything or {}).get(key, getattr(config, key)) for config in settings]
            given = [", ".join(f"{other} = {getattr(config, other)}" for other in differing) for config in settings]
            parts.append(part.assign(level=pd.Series(levels, part.index, object), given=given))
    return pd.concat(parts), common


def series_name(arm: str, given: str) -> str:
    """An arm in the sweep that has these other changes."""
    return f"{arm_name(arm)} ({given})" if given else arm_name(arm)


def ablation_figure(frame: pd.DataFrame, *, key: str, common: str = "") -> Picture:
    """Test accuracy over the values of one recipe key: mean over seeds, and the range from least to greatest.

    `frame` as from `ablation`. Numbers stand in their order, an arm a line with a band; other values stand as they
    come, an arm a row of points with bars. Sweeps that differ in `given` have other marks and lines.
    """
    values = list(dict.fromkeys(frame["level"]))
    ordered = not any(isinstance(value, (str, bool)) for value in values)
    levels = sorted(values) if ordered else values
    conditions = list(dict.fromkeys(frame["given"]))
    pairs = {*zip(frame["arm"], frame["given"], strict=True)}
    series = [
        (arm, condition) for condition in conditions for arm in arms_in(frame["arm"]) if (arm, condition) in pairs
    ]
    styles = dict(zip(conditions, zip("os^DvP", ("-", "--", ":", "-.", "-", "--"), strict=True), strict=False))
    measures, accuracies = measures_in(frame["metric"]), []
    size = (max(4 * len(measures), 6.4), 3.4 + 0.2 * len(series))
    figure, axes = panels(measures, size, xlabel=key, ylabel="test accuracy, %")
    for panel, measure in zip(axes, measures, strict=True):
        for number, (arm, condition) in enumerate(series):
            means = over_seeds(where(frame, arm=arm, given=condition, metric=measure), ["level"]).set_index("level")
            means = means.loc[[level for level in levels if level in means.index]]
            offset = 0.0 if ordered else 0.4 / len(series) * (number - (len(series) - 1) / 2)
            positions = [levels.index(level) + offset for level in means.index]
            mean, low, high = values = tuple(100 * means[name] for name in ("mean", "min", "max"))
            colour, (marker, line) = ARMS[arm].colour, styles.get(condition, ("x", "-"))
            look = {"color": colour, "marker": marker, "label": ", ".join(filter(None, (ARMS[arm].name, condition)))}
            if ordered:
                panel.fill_between(positions, low, high, color=colour, alpha=0.2, lw=0)
                panel.plot(positions, mean, ls=line, **look)
            else:
                draw_interval(panel, values, positions, upright=True, **look)
            if measure == "generated":
                points = ", ".join(f"{percent(means['mean'][level])} at {level}" for level in means.index)
                accuracies.append(f"{series_name(arm, condition)} {points}")
        panel.set(xlim=(-0.4, len(levels) - 0.6))
        panel.set_xticks(range(len(levels)), levels)
    legend_below(figure, columns=1 if any(conditions) else 3)
    seeds = frame["seed"].nunique()
    over = f"mean over {seeds} seeds" if seeds > 1 else "one seed, so no verdict"
    swept = f"{key}{f', with {common}' if common else ''}"
    return Picture(figure, f"Generated test accuracy by {swept}, {over}: {'; '.join(accuracies)}.")


def test_in_forms_of_transfer(frame: pd.DataFrame) -> pd.DataFrame:
    """Accuracies of the test split in the forms of a transfer test that has only some of them, as rows of metrics.csv.

    `frame` has the rows of single forms, such as `generated:eats`; questions weigh alike.
    """
    by_form = frame[frame["metric"].str.contains(":")]
    metric, form = (by_form["metric"].str.split(":").str[part] for part in (0, 1))
    by_form = by_form.assign(metric=metric, form=form, right=by_form["value"] * by_form["n"])
    forms = by_form.groupby("split")["form"].agg(set).to_dict()
    parts = []
    for split in [split for split in forms if forms[split] < forms.get("test", set())]:
        part = where(by_form, split="test", form=[*forms[split]])
        sums = part.groupby(["dataset", "arm", "variant", "seed", "metric"], sort=False)[["right", "n"]].sum()
        sums = sums.assign(value=sums["right"] / sums["n"], split=f"test, forms of {split}").reset_index()
        parts.append(sums.drop(columns="right"))
    return pd.concat(parts) if parts else frame.iloc[:0]


def validation_table(frame: pd.DataFrame, recipe: Recipe) -> Table:
    """Arm × variant on one split of `frame` (columns of metrics.csv), mean over seeds, with the best of each arm.

    Every key that a variant of the recipe changes has a column, with the value that the run had.
    """
    wide = frame.pivot_table(index=["arm", "variant"], columns="metric", values="value", aggfunc="mean", sort=False)
    wide["seeds"] = frame.groupby(["arm", "variant"])["seed"].nunique()
    measures = measures_in(wide)
    wide["mean"] = wide[measures].mean(axis=1)
    wide["best"] = (wide["mean"] == wide.groupby("arm")["mean"].transform("max")).map({True: "best", False: ""})
    keys = list(dict.fromkeys(key for changes in recipe.variants.values() for key in changes))
    rows = [
        {"arm": row["arm"], "variant": row["variant"]}
        | {key: getattr(recipe.settings(row["arm"], row["variant"]), key) for key in keys}
        | {name: row[name] for name in (*measures, "mean", "seeds", "best")}
        for row in wide.reset_index().to_dict("records")
    ]
    return Table(rows, dict.fromkeys(("generated", "ranked", "mean"), "{:.3f}"))


def grid_summary(rows: Sequence[Row], keys: Sequence[str]) -> str:
    """The values of `keys` that were best on validation for each arm, from rows of `validation_table`; an arm with one
    variant has nothing to choose, and its mean stands alone."""
    sentences = []
    for arm in dict.fromkeys(row["arm"] for row in rows):
        variants = [row for row in rows if row["arm"] == arm]
        best = [row for row in variants if row["best"]]
        sentence = f"{arm_name(arm)}: {percent(best[0]['mean'])}"
        if len(variants) > 1:
            values = " or ".join(", ".join(f"{key} {row[key]:g}" for key in keys) for row in best)
            sentence += f" with {values}, the worst of the grid {percent(min(row['mean'] for row in variants))}"
        sentences.append(sentence)
    return f"Mean of both scorings on validation. {'; '.join(sentences)}."


def seeds_table(frame: pd.DataFrame, by: Sequence[str]) -> Table:
    """Values over seeds for each group of the columns `by`, of rows of metrics.csv; a column that is empty is left out.

    `parameters` are those used to answer: for a two-stage student, of both models.
    """
    by = [name for name in by if frame[name].astype(bool).any()]
    rows = [row | {"arm": arm_name(row["arm"])} for row in over_seeds(frame, by).to_dict("records")]
    return Table(rows, dict.fromkeys(("mean", "min", "max", "sd"), "{:.3f}"))
