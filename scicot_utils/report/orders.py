"""What the order of the options does to an arm's answers, from the measures of notebooks 05 and 06."""

from __future__ import annotations

import pandas as pd

from scicot_utils.recipe import MAIN
from scicot_utils.report.results import over_seeds, where
from scicot_utils.report.style import ARMS, Picture, Table, arm_name, legend_below, measures_of, panels, percent
from scicot_utils.tables import Row

SAME, GOLD_AT = "same", "gold at "  # how the names of `scoring.order_effects` start and go on


def orders(frame: pd.DataFrame, dataset: str) -> list[Row]:
    """Arm × scoring of the main variant, means over seeds: share of questions with the same choice in every order,
    with its least and greatest seed, and accuracy by where the right option stood, (A), (B), …

    `frame`: metrics.csv. Empty where the recipe's `order_questions` is 0.
    """
    main = where(frame, dataset=dataset, variant=MAIN, split="test")
    rows = []
    for arm in [arm for arm in ARMS if arm in set(main["arm"])]:
        for measure in ("generated", "ranked"):
            same = where(main, arm=arm, metric=f"{SAME} {measure}")
            if len(same):
                told = over_seeds(same, ["arm"]).iloc[0]
                row: Row = {"arm": arm, "scoring": measure, "questions": int(told["n"]), "seeds": int(told["seeds"])}
                row |= {"same choice": float(told["mean"]), "least": float(told["min"]), "greatest": float(told["max"])}
                placed = main[(main["arm"] == arm) & main["metric"].str.startswith(f"{measure}, {GOLD_AT}")]
                by_place = placed.groupby("metric")["value"].mean()
                rows.append(row | {name.split(GOLD_AT)[1]: float(mean) for name, mean in by_place.items()})
    return rows


def orders_table(rows: list[Row]) -> Table:
    """For readers, from `orders`."""
    named = [row | {"arm": arm_name(row["arm"])} for row in rows]
    numbers = [name for row in named for name in row if name not in ("arm", "scoring", "questions", "seeds")]
    return Table(named or [{"arm": "the recipe's order_questions is 0"}], dict.fromkeys(numbers, "{:.3f}"))


def orders_figure(rows: list[Row]) -> Picture:
    """Accuracy by where the right option stood, mean over seeds, from `orders`. Raises ValueError without rows."""
    if not rows:
        raise ValueError("orders_figure: found no rows, allowed: at least one arm that answered in several orders")
    measures = measures_of(row["scoring"] for row in rows)
    figure, axes = panels(measures, (8, 3.6))
    for row in rows:
        arm, panel = ARMS[row["arm"]], axes[measures.index(row["scoring"])]
        places = [place for place in row if place.startswith("(")]
        panel.plot(places, [100 * row[place] for place in places], "o-", color=arm.colour, label=arm.name)
        panel.set(xlabel="position of the right option", ylim=(0, 103))
    axes[0].set_ylabel("test accuracy, %")
    legend_below(figure)
    return Picture(figure, f"Accuracy by position of the right option. {orders_summary(rows)}")


def orders_summary(rows: list[Row]) -> str:
    """How often each arm stays with its choice, and between which accuracies the places differ; generated."""
    told = []
    for row in [row for row in rows if row["scoring"] == "generated"]:
        at = [value for place, value in row.items() if place.startswith("(")]
        told.append(
            f"{arm_name(row['arm'])} {percent(row['same choice'])} of {row['questions']} questions (accuracy "
            f"{percent(min(at))} to {percent(max(at))}, by position of the right option)"
        )
    if not told:
        return "No arm answered in several orders: the recipe's order_questions is 0."
    return f"Same option written in every order of the options: {'; '.join(told)}."
