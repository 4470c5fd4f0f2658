"""How good the rationales are that students write, and what that has to do with their answers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from scicot_utils import paths, scoring, tables
from scicot_utils.recipe import MAIN, Recipe
from scicot_utils.report.results import where
from scicot_utils.report.style import ARMS, Picture, Table, arm_name, legend_below, panels, percent
from scicot_utils.tables import Row

QUALITY = {"precision": "fact precision", "recall": "fact recall", "rouge_l": "ROUGE-L"}  # measure → its name
STEPS = {"recall": "share of the proof's facts written", "rouge_l": "ROUGE-L to the teacher's rationale"}
EDGES = (0.2, 0.4, 0.6, 0.8, 1.0)  # of the steps of quality in the figure; the last is 1 itself
FEW = 30  # predictions below which a step is not drawn


def quality_of_rationales(recipe: Recipe, dataset: str, questions: Mapping[str, Row]) -> pd.DataFrame:
    """One row for each test prediction with a rationale: variant, arm, seed, right, precision, recall, rouge_l.

    Precision and recall are of exact facts against the question's proof, NaN where the benchmark gives none; `rouge_l`
    against the teacher's first rationale for the question, NaN where the teacher was not asked or wrote none.
    """
    found: list[Row] = []
    teachers: dict[str, dict[str, str]] = {}
    for _, arm, variant, seed in [run for run in recipe.runs() if run[0] == dataset]:
        at = recipe.variant_at("rationales", variant)
        if at not in teachers:
            judged = tables.read("rationales", paths.rationales(recipe.name, dataset, at))
            teachers[at] = {row["question_id"]: row["rationale"] for row in judged if row["sample"] == 0}
        file = paths.run(recipe.name, dataset, arm, variant, seed) / "predictions.parquet"
        for row in tables.read("predictions", file):
            if row["split"] == "test" and row["rationale"]:
                measured = _measured(row, questions[row["question_id"]]["proof"], teachers[at])
                found.append({"variant": variant, "arm": row["arm"], "seed": seed, "right": row["correct"]} | measured)
    return pd.DataFrame(found, columns=["variant", "arm", "seed", "right", *QUALITY])


def _measured(row: Row, proof: list[str], teachers: Mapping[str, str]) -> dict[str, float]:
    precision, recall = scoring.facts(row["rationale"], proof) if proof else (None, None)
    reference = teachers.get(row["question_id"], "") if row["arm"] != "teacher" else ""  # not against itself
    rouge = scoring.rouge_l(row["rationale"], reference) if reference else None
    values = {"precision": precision, "recall": recall, "rouge_l": rouge}
    return {name: float("nan") if value is None else value for name, value in values.items()}


def quality_table(frame: pd.DataFrame) -> Table:
    """Variant × arm: mean quality of the rationales over questions and seeds, and its rank correlation with being right.

    `frame`: of `quality_of_rationales`. The correlation is Spearman's over all predictions, None where one of the two
    does not vary.
    """
    rows = []
    for (variant, arm), part in frame.groupby(["variant", "arm"], sort=False):
        row: Row = {"variant": variant, "arm": arm_name(arm), "seeds": part["seed"].nunique(), "n": len(part)}
        row |= {name: _or_none(part[measure].mean()) for measure, name in QUALITY.items()}
        row |= {"right": float(part["right"].mean())}
        row |= {f"{name} with right": _correlation(part[measure], part["right"]) for measure, name in QUALITY.items()}
        rows.append(row)
    numbers = [name for row in rows[:1] for name, value in row.items() if name not in ("variant", "arm", "seeds", "n")]
    return Table(rows or [{"arm": "no arm writes rationales"}], dict.fromkeys(numbers, "{:.3f}"))


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _correlation(quality: pd.Series, right: pd.Series) -> float | None:
    known = quality.notna()
    if quality[known].nunique() < 2 or right[known].nunique() < 2:
        return None
    return float(stats.spearmanr(quality[known], right[known]).statistic)


def quality_figure(frame: pd.DataFrame) -> Picture:
    """Accuracy of the answer by how good the rationale is that it goes with, an arm a line; the main variant.

    Steps of a fifth, and rationales that are perfect apart; steps of fewer than FEW predictions are left out. A mark's
    area is its share of the arm's predictions. Raises ValueError where no arm of the main variant writes rationales.
    """
    main = where(frame, variant=MAIN)
    arms = [arm for arm in ARMS if arm in set(main["arm"])]
    measures = [measure for measure in STEPS if main[measure].notna().any()]
    if not measures:
        raise ValueError(
            "quality_figure: found no rationales with a measure, allowed: at least one in the main variant"
        )
    figure, axes = panels([""] * len(measures), (4 * len(measures), 3.8))
    for panel, measure in zip(axes, measures, strict=True):
        for number, arm in enumerate(arms):
            part = where(main, arm=arm)
            part = part[part[measure].notna()]
            step = np.digitize(part[measure], EDGES[:-1]) + (part[measure] >= EDGES[-1])
            by = part.groupby(step)["right"].agg(["mean", "size"])
            by = by[by["size"] >= FEW]
            places, colour = by.index + 0.08 * (number - (len(arms) - 1) / 2), ARMS[arm].colour
            panel.plot(places, 100 * by["mean"], "-", color=colour, lw=1.5, label=ARMS[arm].name)
            panel.scatter(places, 100 * by["mean"], s=20 + 300 * by["size"] / max(1, len(part)), color=colour)
        panel.set_xticks(range(len(EDGES) + 1), ["under\n0.2", "0.2", "0.4", "0.6", "0.8", "1"])
        panel.set(xlabel=f"{STEPS[measure]}, from", ylim=(0, 103), xlim=(-0.5, len(EDGES) + 0.5))
    axes[0].set_ylabel("answers right, %")
    legend_below(figure)
    return Picture(figure, f"Accuracy by the quality of the rationale. {quality_summary(frame)}")


def quality_summary(frame: pd.DataFrame) -> str:
    """How much of the proof the main variant's arms write, how like the teacher, and what that does to the answer."""
    told = []
    for arm in [arm for arm in ARMS if arm in set(where(frame, variant=MAIN)["arm"])]:
        part = where(frame, variant=MAIN, arm=arm)
        said = []
        if part["recall"].notna().any():
            said.append(f"fact precision {percent(part['precision'].mean())}, recall {percent(part['recall'].mean())}")
        if part["rouge_l"].notna().any():
            said.append(f"ROUGE-L to the teacher's {part['rouge_l'].mean():.3f}")
        with_right = {QUALITY[measure]: _correlation(part[measure], part["right"]) for measure in STEPS}
        if known := [f"{name} {found:+.2f}" for name, found in with_right.items() if found is not None]:
            said.append(f"rank correlation with a right answer: {', '.join(known)}")
        if said:
            told.append(f"{arm_name(arm)} rationales: {'; '.join(said)}.")
    if not told:
        return "No arm writes rationales that can be measured."
    proofs = "" if frame["recall"].notna().any() else " Without proofs there are no facts to count, only ROUGE-L."
    return f"{' '.join(told)}{proofs}"
