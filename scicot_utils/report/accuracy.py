"""How often each arm is right: the headline's figure and table, and what a changed key does to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd

from scicot_utils.recipe import MAIN, NOT_LEARNED, Recipe
from scicot_utils.report.results import over_seeds, where
from scicot_utils.report.style import (
    ARMS,
    Picture,
    Table,
    arm_name,
    interval,
    legend_below,
    measures_of,
    panels,
    percent,
    plural,
)


def accuracy_figure(frame: pd.DataFrame, *, dataset: str, chance: float, seeds: int) -> Picture:
    """Test accuracy of each arm, both scorings: a dot a seed, a bar at their mean."""
    chosen = where(frame, dataset=dataset, variant=MAIN, split="test")
    arms = [arm for arm in ARMS if arm in set(chosen["arm"])]
    figure, axes = plt.subplots(figsize=(6.4, 0.5 * len(arms) + 1.2))
    for place, arm in enumerate(reversed(arms)):
        for measure, shift, filled in (("generated", 0.17, True), ("ranked", -0.17, False)):
            values = 100 * where(chosen, arm=arm, metric=measure)["value"]
            if values.empty:  # open answers are not ranked
                continue
            colour = ARMS[arm].colour
            axes.plot([values.mean()] * 2, [place + shift - 0.13, place + shift + 0.13], color=colour, lw=3)
            axes.plot(values, [place + shift] * len(values), "o", color=colour, mfc=colour if filled else "white", ms=6)
            axes.annotate(
                f"{values.mean():.0f}",
                (values.max(), place + shift),
                (7, 0),
                textcoords="offset points",
                va="center",
                fontsize=9,
            )
    axes.axvline(100 * chance, color="#555555", ls=":", lw=1.2)
    axes.annotate(
        "chance", (100 * chance, len(arms) - 0.5), (3, 0), textcoords="offset points", fontsize=9, color="#555555"
    )
    axes.set_yticks(range(len(arms)), [ARMS[arm].label for arm in reversed(arms)])
    axes.set(
        xlim=(0, 107),
        ylim=(-0.6, len(arms) - 0.2),
        xlabel="test accuracy, % (filled: generated, open: ranked)",
    )
    axes.grid(axis="y", visible=False)
    means = over_seeds(where(chosen, metric="generated"), ["arm"]).set_index("arm")["mean"]
    told = ", ".join(f"{arm_name(arm)} {percent(means[arm])}" for arm in arms)
    return Picture(
        figure,
        f"Generated test accuracy on {dataset}, mean over {plural(seeds, 'seed')}: {told}; chance {percent(chance)}.",
    )


def accuracy_table(frame: pd.DataFrame, dataset: str) -> Table:
    """One row for each arm of the main variant and each scoring, on the test split."""
    test = where(frame, dataset=dataset, variant=MAIN, split="test")
    rows = []
    for arm in [arm for arm in ARMS if arm in set(test["arm"])]:
        for measure in ("generated", "ranked"):
            found = where(test, arm=arm, metric=measure)
            if found.empty:  # open answers are not ranked
                continue
            seeds, one = over_seeds(found, ["arm"]).iloc[0], found.iloc[0]
            rates = {name: where(test, arm=arm, metric=name)["value"].mean() for name in ("unparsed", "truncated")}
            rows.append(
                {
                    "arm": arm_name(arm),
                    "scoring": measure,
                    "parameters": int(one["parameters"]),
                    "mean": float(seeds["mean"]),
                    "seeds": int(seeds["seeds"]),
                    "least": float(seeds["min"]),
                    "greatest": float(seeds["max"]),
                    "sd": float(seeds["sd"]),
                    "low": float(one["low"]),
                    "high": float(one["high"]),
                    "over seeds": interval(seeds["min"], seeds["max"]),
                    f"over questions (seed {int(one['seed'])})": interval(one["low"], one["high"]),
                    "n": int(one["n"]),
                }
                | {name: float(rate) for name, rate in rates.items()}
            )
    show = [
        "arm",
        "scoring",
        "parameters",
        "mean",
        "over seeds",
        *[name for name in rows[0] if name.startswith("over questions")],
    ]
    formats = dict.fromkeys(("mean", "unparsed", "truncated"), "{:.3f}")
    return Table(rows, formats, [*show, "unparsed", "truncated"])


def ablation(
    recipe: Recipe, frame: pd.DataFrame, key: str, everything: Mapping[str, int] | None = None
) -> tuple[pd.DataFrame, str]:
    """Test accuracies of the variants that differ in one key, for `ablation_figure`, and what else was changed in all.

    The rows of metrics.csv with `level`, the value of the key, and `given`, in which the sweeps of the key differ; of arms
    with a student that two variants of a sweep were run for, and seeds that all of them have. `everything`:
    what a value of 0 stands for in a key such as `train_size`, where it means all.
    """
    sweeps = [{name: recipe.variants.get(name, {}) for name in names} for names in recipe.sweeps()[key]]
    others = [
        {other: value for other, value in [*sweep.values()][-1].items() if other not in (key, *NOT_LEARNED)}
        for sweep in sweeps
    ]
    every = dict.fromkeys(other for rest in others for other in rest)
    differing = [other for other in every if len({rest.get(other) for rest in others}) > 1]
    common = ", ".join(f"{other} = {others[0][other]}" for other in every if other not in differing)
    frame = frame[(frame["split"] == "test") & frame["metric"].isin(["generated", "ranked"])]
    found = []
    for sweep in sweeps:
        run = [arm for name in sweep for arm in recipe.trained_arms(name)]
        seeds = [seed for seed in recipe.seeds if all(seed in recipe.seeds_of(name) for name in sweep)]
        for name in sweep:
            part = frame[(frame["variant"] == name) & frame["seed"].isin(seeds)]
            part = part[part["arm"].isin([arm for arm in run if run.count(arm) > 1])]
            settings = [recipe.settings(arm, name) for arm in part["arm"]]
            levels = [getattr(one, key) for one in settings]
            given = [", ".join(f"{other} = {getattr(one, other)}" for other in differing) for one in settings]
            levels = [level or (everything or {}).get(key, level) for level in levels]
            found.append(part.assign(level=pd.Series(levels, part.index, object), given=given))
    return pd.concat(found), common


def ablation_figure(frame: pd.DataFrame, *, key: str, common: str = "") -> Picture:
    """Test accuracy over the values of one recipe key: mean over seeds, and the range from least to greatest.

    `frame` as from `ablation`. Numbers stand in their order, an arm a line with a band; other values stand as they
    come, an arm a row of points with bars. Sweeps that differ in `given` have other marks and lines.
    """
    values = list(dict.fromkeys(frame["level"]))
    ordered = not any(isinstance(value, (str, bool)) for value in values)
    levels = sorted(values) if ordered else values
    arms = [arm for arm in ARMS if arm in set(frame["arm"])]
    rows = [(arm, given) for given in dict.fromkeys(frame["given"]) for arm in arms]
    rows = [(arm, given) for arm, given in rows if len(where(frame, arm=arm, given=given))]
    styles = dict(zip(dict.fromkeys(frame["given"]), ("o-", "s--", "^:", "D-.", "v-", "P--"), strict=False))
    measures, told = measures_of(frame["metric"]), []
    figure, axes = panels(measures, (max(4 * len(measures), 6.4), 3.4 + 0.2 * len(rows)))
    for panel, measure in zip(axes, measures, strict=True):
        for number, (arm, given) in enumerate(rows):
            found = over_seeds(where(frame, arm=arm, given=given, metric=measure), ["level"]).set_index("level")
            found = 100 * found.loc[[level for level in levels if level in found.index]]
            aside = 0.0 if ordered else 0.4 / len(rows) * (number - (len(rows) - 1) / 2)
            places = [levels.index(level) + aside for level in found.index]
            colour, label = ARMS[arm].colour, ", ".join(filter(None, (ARMS[arm].name, given)))
            style = styles.get(given, "x-")
            if ordered:
                panel.fill_between(places, found["min"], found["max"], color=colour, alpha=0.2, lw=0)
            else:
                panel.vlines(places, found["min"], found["max"], color=colour, lw=2)
            panel.plot(places, found["mean"], style if ordered else style[0], color=colour, label=label)
            if measure == "generated":
                points = [
                    f"{percent(mean / 100)} at {level}" for level, mean in zip(found.index, found["mean"], strict=True)
                ]
                told.append(f"{arm_name(arm)}{f' ({given})' if given else ''} {', '.join(points)}")
        panel.set(xlabel=key, ylim=(0, 103), xlim=(-0.4, len(levels) - 0.6))
        panel.set_xticks(range(len(levels)), levels)
    axes[0].set_ylabel("test accuracy, %")
    legend_below(figure, columns=1 if any(given for _, given in rows) else 3)
    seeds = frame["seed"].nunique()
    of_seeds = f"mean over {seeds} seeds" if seeds > 1 else "one seed, so no verdict"
    return Picture(
        figure,
        f"Generated test accuracy by {key}{f', with {common}' if common else ''}, {of_seeds}: {'; '.join(told)}.",
    )


def test_in_forms_of_transfer(frame: pd.DataFrame) -> pd.DataFrame:
    """Accuracies of the test split in the forms of a transfer test that has only some of them, as rows of metrics.csv.

    `frame` has the rows of single forms, such as `generated:eats`; questions weigh alike.
    """
    single = frame[frame["metric"].str.contains(":")]
    measure, form = single["metric"].str.split(":").str[0], single["metric"].str.split(":").str[1]
    single = single.assign(metric=measure, form=form, right=single["value"] * single["n"])
    forms = single.groupby("split")["form"].agg(set).to_dict()
    found = []
    for split in [split for split in forms if forms[split] < forms.get("test", set())]:
        part = where(single[single["form"].isin(forms[split])], split="test")
        sums = part.groupby(["dataset", "arm", "variant", "seed", "metric"], sort=False)[["right", "n"]].sum()
        rows = sums.assign(value=sums["right"] / sums["n"], split=f"test, forms of {split}").reset_index()
        found.append(rows.drop(columns="right"))
    return pd.concat(found) if found else frame.iloc[:0]


def validation_table(frame: pd.DataFrame, recipe: Recipe) -> Table:
    """Arm × variant on one split of `frame` (columns of metrics.csv), mean over seeds, with the best of each arm.

    Every key that a variant of the recipe changes has a column, with the value that the run had.
    """
    wide = frame.pivot_table(index=["arm", "variant"], columns="metric", values="value", aggfunc="mean", sort=False)
    wide["seeds"] = frame.groupby(["arm", "variant"])["seed"].nunique()
    measures = measures_of(wide)
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


def seeds_table(frame: pd.DataFrame, by: Sequence[str]) -> Table:
    """Values over seeds for each group of the columns `by`, of rows of metrics.csv; a column that is empty is left out.

    `parameters` are those used to answer: for a two-stage student, of both models.
    """
    by = [name for name in by if frame[name].astype(bool).any()]
    rows = [row | {"arm": arm_name(row["arm"])} for row in over_seeds(frame, by).to_dict("records")]
    return Table(rows, dict.fromkeys(("mean", "min", "max", "sd"), "{:.3f}"))
