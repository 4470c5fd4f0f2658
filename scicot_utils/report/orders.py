"""What the order of the options does to an arm's answers, from the measures of notebooks 05 and 06."""

from __future__ import annotations

import pandas as pd

from scicot_utils.recipe import MAIN
from scicot_utils.report.results import over_seeds, where
from scicot_utils.report.style import (
    ARMS,
    MEASURES,
    Picture,
    Table,
    arm_name,
    arms_in,
    legend_below,
    measures_in,
    panels,
    percent,
)
from scicot_utils.tables import Row

SAME, GOLD_AT = "same", "gold at "  # how the names of `scoring.order_effects` start and go on


def orders(frame: pd.DataFrame, dataset: str) -> list[Row]:
    """Arm × scoring of the main variant, means over seeds: share of questions with the same choice in every order,
    with its least and greatest seed, and accuracy by where the right option stood, (A), (B), …

    `frame`: metrics.csv. Empty where the recipe's `order_questions` is 0.
    """
    main = where(frame, dataset=dataset, variant=MAIN, split="test")
    rows = []
    for arm in arms_in(main["arm"]):
        for measure in MEASURES:
            for same in over_seeds(where(main, arm=arm, metric=f"{SAME} {measure}"), ["arm"]).to_dict("records"):
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
    measures = measures_in(row["scoring"] for row in rows)
    figure, axes = panels(measures, (8, 3.6), xlabel="position of the right option", ylabel="test accuracy, %")
    for row in rows:
        arm, panel, accuracies = ARMS[row["arm"]], axes[measures.index(row["scoring"])], _by_position(row)
        heights = [100 * accuracy for accuracy in accuracies.values()]
        panel.plot([*accuracies], heights, "o-", color=arm.colour, label=arm.name)
    legend_below(figure)
    return Picture(figure, f"Accuracy by position of the right option. {orders_summary(rows)}")


def orders_summary(rows: list[Row]) -> str:
    """How often each arm stays with its choice, and between which accuracies the positions differ; generated."""
    shares = [
        f"{arm_name(row['arm'])} {percent(row['same choice'])} of {row['questions']} questions (accuracy "
        f"{percent(min(_by_position(row).values()))} to {percent(max(_by_position(row).values()))}, "
        "by position of the right option)"
        for row in rows
        if row["scoring"] == "generated"
    ]
    if not shares:
        return "No arm answered in several orders: the recipe's order_questions is 0."
    return f"Same option written in every order of the options: {'; '.join(shares)}."


def _by_position(row: Row) -> dict[str, float]:
    """Position of the right option, as (A), → accuracy."""
    return {name: value for name, value in row.items() if name.startswith("(")}
