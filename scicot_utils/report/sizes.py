"""Accuracy beside what a student costs when it answers: the number of parameters of all models that it uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from scicot_utils.recipe import MAIN, Recipe
from scicot_utils.report.results import over_seeds, where
from scicot_utils.report.style import (
    ARMS,
    MEASURES,
    Picture,
    arm_name,
    arms_in,
    draw_interval,
    legend_below,
    measures_in,
    panels,
    percent,
)

TWO_MODELS = "two_stage"  # the arm that answers with two students


def student_sizes(frame: pd.DataFrame, recipe: Recipe, dataset: str) -> pd.DataFrame:
    """Test accuracy over seeds of every arm with a student, by variant, `parameters` and metric.

    `frame`: metrics.csv of the recipe. Of its variants those that change nothing but the student, and the main one.
    """
    variants = [MAIN, *(name for name, changes in recipe.variants.items() if changes.keys() == {"student"})]
    test = where(frame, dataset=dataset, split="test", metric=MEASURES, variant=variants)
    return over_seeds(where(test, arm=recipe.trained_arms(MAIN)), ["arm", "variant", "parameters", "metric"])


def sizes_figure(sizes: pd.DataFrame) -> Picture:
    """Test accuracy over the parameters used to answer: a point for each arm and variant, mean and range over seeds.

    `sizes`: of `student_sizes`. Raises ValueError where it has no rows.
    """
    measures, counts = measures_in(sizes["metric"]), sorted(set(sizes["parameters"]))
    labels = {"xlabel": "million parameters used to answer", "ylabel": "test accuracy, %"}
    figure, axes = panels(measures, (4 * len(measures), 3.8), **labels)
    for panel, measure in zip(axes, measures, strict=True):
        for arm in arms_in(sizes["arm"]):
            part, look = where(sizes, arm=arm, metric=measure), {"color": ARMS[arm].colour, "label": ARMS[arm].name}
            values = tuple(100 * part[name] for name in ("mean", "min", "max"))
            draw_interval(panel, values, part["parameters"], upright=True, **look)
        panel.set(xscale="log", xlim=(counts[0] / 1.5, counts[-1] * 1.5))
        panel.set_xticks(counts, [f"{count / 1e6:.2g}" for count in counts])
        panel.set_xticks([], minor=True)
    legend_below(figure)
    return Picture(figure, f"Test accuracy over parameters used to answer. {sizes_summary(sizes)}")


def sizes_summary(sizes: pd.DataFrame) -> str:
    """Each two-stage student beside the least run of every other arm that answers with at least as many parameters.

    `sizes`: of `student_sizes`; generated accuracy. Nothing is picked by what it scores.
    """
    generated = where(sizes, metric="generated")
    sentences = []
    for student in where(generated, arm=TWO_MODELS).to_dict("records"):
        rivals = generated[(generated["arm"] != TWO_MODELS) & (generated["parameters"] >= student["parameters"])]
        least = rivals.sort_values("parameters", kind="stable").drop_duplicates("arm").to_dict("records")
        beside = ", ".join(map(_accuracy, least)) or "no other arm answers with as many"
        sentences.append(f"{_accuracy(student)}; with at least as many parameters: {beside}.")
    return " ".join(sentences) or f"This recipe has no {arm_name(TWO_MODELS)} student to compare with."


def _accuracy(row: Mapping[str, Any]) -> str:
    size = f"{row['parameters']:,} parameters, variant {row['variant']}"
    return f"{arm_name(row['arm'])} {percent(row['mean'])} ({size})"
