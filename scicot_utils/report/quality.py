"""How good the rationales are that students write, and what that has to do with their answers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import stats

from scicot_utils import scoring
from scicot_utils.recipe import MAIN, Recipe
from scicot_utils.report.results import first_rationales, predictions, where
from scicot_utils.report.style import ARMS, Picture, Table, arm_name, arms_in, legend_below, panels, percent
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
    rows: list[Row] = []
    teachers: dict[str, dict[str, str]] = {}
    for name, arm, variant, seed in recipe.runs():
        if name != dataset:
            continue
        source = recipe.variant_at("rationales", variant)
        if source not in teachers:
            teachers[source] = first_rationales(recipe, dataset, source)
        for row in predictions(recipe, dataset, arm, variant, seed):
            if row["rationale"]:
                measured = _measured(row, questions[row["question_id"]]["proof"], teachers[source])
                rows.append({"variant": variant, "arm": row["arm"], "seed": seed, "right": row["correct"]} | measured)
    frame = pd.DataFrame(rows, columns=["variant", "arm", "seed", "right", *QUALITY])
    return frame.astype(dict.fromkeys(QUALITY, float))


def _measured(row: Row, proof: list[str], teachers: Mapping[str, str]) -> dict[str, float | None]:
    precision, recall = scoring.facts(row["rationale"], proof) if proof else (None, None)
    reference = teachers.get(row["question_id"], "") if row["arm"] != "teacher" else ""  # not against itself
    rouge = scoring.rouge_l(row["rationale"], reference) if reference else None
    return dict(zip(QUALITY, (precision, recall, rouge), strict=True))


def quality_table(frame: pd.DataFrame) -> Table:
    """Variant × arm: mean quality of the rationales over questions and seeds, and its rank correlation with being right.

    `frame`: of `quality_of_rationales`. The correlation is Spearman's over all predictions, None where one of the two
    does not vary.
    """
    rows = []
    for (variant, arm), part in frame.groupby(["variant", "arm"], sort=False):
        row: Row = {"variant": variant, "arm": arm_name(arm), "seeds": part["seed"].nunique(), "n": len(part)}
        means = part[[*QUALITY]].mean()
        row |= {name: None if np.isnan(means[measure]) else float(means[measure]) for measure, name in QUALITY.items()}
        row |= {"right": float(part["right"].mean())}
        row |= {f"{name} with right": _correlation(part[measure], part["right"]) for measure, name in QUALITY.items()}
        rows.append(row)
    return Table(rows or [{"arm": "no arm writes rationales"}], "{:.3f}")


def _correlation(quality: pd.Series, right: pd.Series) -> float | None:
    quality, right = quality.dropna(), right[quality.notna()]
    if quality.nunique() < 2 or right.nunique() < 2:
        return None
    return float(stats.spearmanr(quality, right).statistic)


def quality_figure(frame: pd.DataFrame) -> Picture:
    """Accuracy of the answer by how good the rationale is that it goes with, an arm a line; the main variant.

    Steps of a fifth, and rationales that are perfect apart; steps of fewer than FEW predictions are left out. A mark's
    area is its share of the arm's predictions. Raises ValueError where no arm of the main variant writes rationales.
    """
    main = where(frame, variant=MAIN)
    arms = arms_in(main["arm"])
    measures = [measure for measure in STEPS if main[measure].notna().any()]
    if not measures:
        raise ValueError(
            "quality_figure: found no rationales with a measure, allowed: at least one in the main variant"
        )
    figure, axes = panels([""] * len(measures), (4 * len(measures), 3.8), ylabel="answers right, %")
    for panel, measure in zip(axes, measures, strict=True):
        for number, arm in enumerate(arms):
            part = where(main, arm=arm).dropna(subset=measure)
            steps = part.groupby(np.digitize(part[measure], EDGES))["right"].agg(["mean", "size"])
            steps = steps[steps["size"] >= FEW]
            positions, colour = steps.index + 0.08 * (number - (len(arms) - 1) / 2), ARMS[arm].colour
            panel.plot(positions, 100 * steps["mean"], "-", color=colour, lw=1.5, label=ARMS[arm].name)
            panel.scatter(positions, 100 * steps["mean"], s=20 + 300 * steps["size"] / max(1, len(part)), color=colour)
        panel.set_xticks(range(len(EDGES) + 1), ["under\n0.2", "0.2", "0.4", "0.6", "0.8", "1"])
        panel.set(xlabel=f"{STEPS[measure]}, from", xlim=(-0.5, len(EDGES) + 0.5))
    legend_below(figure)
    return Picture(figure, f"Accuracy by the quality of the rationale. {quality_summary(frame)}")


def quality_summary(frame: pd.DataFrame) -> str:
    """How much of the proof the main variant's arms write, how like the teacher, and what that does to the answer."""
    main, sentences = where(frame, variant=MAIN), []
    for arm in arms_in(main["arm"]):
        part, findings = where(main, arm=arm), []
        if part["recall"].notna().any():
            findings.append(
                f"fact precision {percent(part['precision'].mean())}, recall {percent(part['recall'].mean())}"
            )
        if part["rouge_l"].notna().any():
            findings.append(f"ROUGE-L to the teacher's {part['rouge_l'].mean():.3f}")
        with_right = {QUALITY[measure]: _correlation(part[measure], part["right"]) for measure in STEPS}
        if correlations := [f"{name} {value:+.2f}" for name, value in with_right.items() if value is not None]:
            findings.append(f"rank correlation with a right answer: {', '.join(correlations)}")
        if findings:
            sentences.append(f"{arm_name(arm)} rationales: {'; '.join(findings)}.")
    if not sentences:
        return "No arm writes rationales that can be measured."
    if frame["recall"].isna().all():
        sentences.append("Without proofs there are no facts to count, only ROUGE-L.")
    return " ".join(sentences)
