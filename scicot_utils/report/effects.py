"""What one change does to the accuracy: another value of a key, a larger student, another order of options."""

from collections import Counter
from collections.abc import Mapping

import pandas as pd

from scicot_utils.recipe import MAIN, NOT_LEARNED, Recipe
from scicot_utils.report.results import over_seeds, where
from scicot_utils.report.style import (
    ARMS,
    MEASURES,
    Picture,
    Table,
    arm_name,
    draw_interval,
    legend_below,
    ordered,
    panels,
    percent,
)
from scicot_utils.tables import Row

GOLD_AT = "gold at "  # in the names of `scoring.order_effects`


def ablation(
    recipe: Recipe, frame: pd.DataFrame, key: str, everything: Mapping[str, int] | None = None
) -> tuple[pd.DataFrame, str]:
    """Test accuracies of the variants that differ in one key, for `ablation_figure`, and what else was changed in all.

    Rows of metrics.csv with `level`, the value of the key, and `given`, in which the sweeps of the key differ; of arms
    that two variants of a sweep have, and seeds that all have. `everything`: what 0 stands for where it means all.
    """
    sweeps = recipe.sweeps()[key]
    of_last = [recipe.variants.get(names[-1], {}) for names in sweeps]
    changes = [{other: changed[other] for other in changed if other not in (key, *NOT_LEARNED)} for changed in of_last]
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
    """Test accuracy over the values of one recipe key, mean and range over seeds; `frame` as from `ablation`.

    Numbers stand in their order, an arm a line with a band; other values as they come, an arm a row of points.
    """
    values = list(dict.fromkeys(frame["level"]))
    numeric = not any(isinstance(value, (str, bool)) for value in values)
    levels = sorted(values) if numeric else values
    conditions = list(dict.fromkeys(frame["given"]))
    series = [(arm, condition) for condition in conditions for arm in ordered(where(frame, given=condition)["arm"])]
    styles = dict(zip(conditions, zip("os^DvP", ("-", "--", ":", "-.", "-", "--"), strict=True), strict=False))
    measures, accuracies = ordered(frame["metric"]), []
    size = (max(4 * len(measures), 6.4), 3.4 + 0.2 * len(series))
    figure, axes = panels(measures, size, xlabel=key, ylabel="test accuracy, %")
    for panel, measure in zip(axes, measures, strict=True):
        for number, (arm, condition) in enumerate(series):
            means = over_seeds(where(frame, arm=arm, given=condition, metric=measure), ["level"]).set_index("level")
            means = means.loc[[level for level in levels if level in means.index]]
            offset = 0.0 if numeric else 0.4 / len(series) * (number - (len(series) - 1) / 2)
            positions = [levels.index(level) + offset for level in means.index]
            mean, low, high = values = tuple(100 * means[name] for name in ("mean", "min", "max"))
            colour, (marker, line) = ARMS[arm].colour, styles.get(condition, ("x", "-"))
            label = ", ".join(filter(None, (ARMS[arm].name, condition)))
            look = {"color": colour, "marker": marker, "label": label}
            if numeric:
                panel.fill_between(positions, low, high, color=colour, alpha=0.2, lw=0)
                panel.plot(positions, mean, ls=line, lw=2, **look)
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


def orders(frame: pd.DataFrame, dataset: str) -> list[Row]:
    """Arm × scoring of the main variant, over seeds: share of questions with the same choice in every order, and
    accuracy by where the right option stood, (A), (B), … Empty where the recipe's `order_questions` is 0.
    """
    main = where(frame, dataset=dataset, variant=MAIN, split="test")
    rows = []
    for arm in ordered(main["arm"]):
        for measure in MEASURES:
            for same in over_seeds(where(main, arm=arm, metric=f"same {measure}"), ["arm"]).to_dict("records"):
                row = {"arm": arm, "scoring": measure, "questions": same["n"], "seeds": same["seeds"]}
                row |= {"same choice": same["mean"], "least": same["min"], "greatest": same["max"]}
                by_position = main[(main["arm"] == arm) & main["metric"].str.startswith(f"{measure}, {GOLD_AT}")]
                means = by_position.groupby("metric")["value"].mean()
                rows.append(row | {name.split(GOLD_AT)[1]: mean for name, mean in means.items()})
    return rows


def orders_table(rows: list[Row]) -> Table:
    """For readers, from `orders`."""
    rows = [row | {"arm": arm_name(row["arm"])} for row in rows]
    return Table(rows or [{"arm": "the recipe's order_questions is 0"}], "{:.3f}")


def orders_figure(rows: list[Row]) -> Picture:
    """Accuracy by where the right option stood, mean over seeds, from `orders`. Raises ValueError without rows."""
    measures = ordered(row["scoring"] for row in rows)
    figure, axes = panels(measures, (8, 3.6), xlabel="position of the right option", ylabel="test accuracy, %")
    for row in rows:
        arm, panel, accuracies = ARMS[row["arm"]], axes[measures.index(row["scoring"])], _by_position(row)
        heights = [100 * accuracy for accuracy in accuracies.values()]
        panel.plot([*accuracies], heights, "o-", lw=2, color=arm.colour, label=arm.name)
    legend_below(figure)
    return Picture(figure, f"Accuracy by position of the right option. {orders_summary(rows)}")


def orders_summary(rows: list[Row]) -> str:
    """How often each arm stays with its choice, and between which accuracies the positions differ; generated."""
    shares = []
    for row in [row for row in rows if row["scoring"] == "generated"]:
        least, most = (percent(pick(_by_position(row).values())) for pick in (min, max))
        same = f"{arm_name(row['arm'])} {percent(row['same choice'])} of {row['questions']} questions"
        shares.append(f"{same} (accuracy {least} to {most}, by position of the right option)")
    if not shares:
        return "No arm answered in several orders: the recipe's order_questions is 0."
    return f"Share of questions with the same option written in every order: {'; '.join(shares)}."


def _by_position(row: Row) -> dict[str, float]:
    """Position of the right option, as (A), → accuracy."""
    return {name: value for name, value in row.items() if name.startswith("(")}


def student_sizes(frame: pd.DataFrame, recipe: Recipe, dataset: str) -> pd.DataFrame:
    """Test accuracy over seeds by arm and parameters, in the main variant and those that change the student only."""
    variants = [MAIN, *(name for name, changes in recipe.variants.items() if changes.keys() == {"student"})]
    test = where(frame, dataset=dataset, split="test", metric=MEASURES, variant=variants)
    return over_seeds(where(test, arm=recipe.trained_arms(MAIN)), ["arm", "variant", "parameters", "metric"])


def sizes_figure(sizes: pd.DataFrame) -> Picture:
    """`student_sizes`: a point for each arm and variant, mean and range. Raises ValueError where it has no rows."""
    measures, counts = ordered(sizes["metric"]), sorted(set(sizes["parameters"]))
    labels = {"xlabel": "million parameters used to answer", "ylabel": "test accuracy, %"}
    figure, axes = panels(measures, (4 * len(measures), 3.8), **labels)
    for panel, measure in zip(axes, measures, strict=True):
        for arm in ordered(sizes["arm"]):
            part, look = where(sizes, arm=arm, metric=measure), {"color": ARMS[arm].colour, "label": ARMS[arm].name}
            values = tuple(100 * part[name] for name in ("mean", "min", "max"))
            draw_interval(panel, values, part["parameters"], upright=True, **look)
        panel.set(xscale="log", xlim=(counts[0] / 1.5, counts[-1] * 1.5))
        panel.set_xticks(counts, [f"{count / 1e6:.2g}" for count in counts])
        panel.set_xticks([], minor=True)
    legend_below(figure)
    return Picture(figure, f"Test accuracy over parameters used to answer. {sizes_summary(sizes)}")


def sizes_summary(sizes: pd.DataFrame) -> str:
    """Each two-stage student beside the least of every other arm with at least as many parameters."""
    generated = where(sizes, metric="generated")
    sentences = []
    for student in where(generated, arm="two_stage").to_dict("records"):
        rivals = generated[(generated["arm"] != "two_stage") & (generated["parameters"] >= student["parameters"])]
        least = rivals.sort_values("parameters", kind="stable").drop_duplicates("arm").to_dict("records")
        first, *others = (
            f"{arm_name(row['arm'])} {percent(row['mean'])} "
            f"({row['parameters']:,} parameters, variant {row['variant']})"
            for row in (student, *least)
        )
        beside = ", ".join(others) or "no other arm has as many"
        sentences.append(f"{first}; with at least as many parameters: {beside}.")
    return " ".join(sentences) or f"This recipe has no {arm_name('two_stage')} student to compare with."
