"""Accuracy beside what a student costs when it answers: the number of parameters of all models that it uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from scicot_utils.recipe import MAIN, Recipe
from scicot_utils.report.results import over_seeds, where
from scicot_utils.report.style import ARMS, Picture, arm_name, legend_below, measures_of, panels, percent

TWO_MODELS = "two_stage"  # the arm that answers with two students


def student_sizes(frame: pd.DataFrame, recipe: Recipe, dataset: str) -> pd.DataFrame:
    """Test accuracy over seeds of every arm with a student, by variant, `parameters` and metric.

    `frame`: metrics.csv of the recipe. Of its variants those that change nothing but the student, and the main one.
    """
    variants = [MAIN, *(name for name, changes in recipe.variants.items() if changes.keys() == {"student"})]
    test = where(frame, dataset=dataset, split="test")
    test = test[test["metric"].isin(["generated", "ranked"]) & test["variant"].isin(variants)]
    return over_seeds(test[test["arm"].isin(recipe.trained_arms(MAIN))], ["arm", "variant", "parameters", "metric"])


def sizes_figure(sizes: pd.DataFrame) -> Picture:
    """Test accuracy over the parameters used to answer: a point for each arm and variant, mean and range over seeds.

    `sizes`: of `student_sizes`. Raises ValueError where it has no rows.
    """
    if sizes.empty:
        raise ValueError("sizes_figure: found no rows, allowed: at least one arm with a student")
    measures, counts = measures_of(sizes["metric"]), sorted(set(sizes["parameters"]))
    figure, axes = panels(measures, (4 * len(measures), 3.8))
    for panel, measure in zip(axes, measures, strict=True):
        for name, arm in [(name, arm) for name, arm in ARMS.items() if name in set(sizes["arm"])]:
            part = where(sizes, arm=name, metric=measure)
            panel.vlines(part["parameters"], 100 * part["min"], 100 * part["max"], color=arm.colour, lw=1.5)
            panel.plot(part["parameters"], 100 * part["mean"], "o", color=arm.colour, label=arm.name)
        panel.set(xlabel="million parameters used to answer", xscale="log", ylim=(0, 103))
        panel.set(xlim=(counts[0] / 1.5, counts[-1] * 1.5))
        panel.set_xticks(counts, [f"{count / 1e6:.2g}" for count in counts])
        panel.set_xticks([], minor=True)
    axes[0].set_ylabel("test accuracy, %")
    legend_below(figure)
    return Picture(figure, f"Test accuracy over parameters used to answer. {sizes_summary(sizes)}")


def sizes_summary(sizes: pd.DataFrame) -> str:
    """Each two-stage student beside the least run of every other arm that answers with at least as many parameters.

    `sizes`: of `student_sizes`; generated accuracy. Nothing is picked by what it scores.
    """
    found = where(sizes, metric="generated")
    told = []
    for pair in where(found, arm=TWO_MODELS).to_dict("records"):
        rivals = found[(found["arm"] != TWO_MODELS) & (found["parameters"] >= pair["parameters"])]
        least = rivals.sort_values("parameters", kind="stable").drop_duplicates("arm").to_dict("records")
        beside = ", ".join(map(_run, least)) or "no other arm answers with as many"
        told.append(f"{_run(pair)}; with at least as many parameters: {beside}")
    return f"{'. '.join(told)}." if told else f"This recipe has no {arm_name(TWO_MODELS)} student to compare with."


def _run(row: Mapping[str, Any]) -> str:
    size = f"{row['parameters']:,} parameters, variant {row['variant']}"
    return f"{arm_name(row['arm'])} {percent(row['mean'])} ({size})"
