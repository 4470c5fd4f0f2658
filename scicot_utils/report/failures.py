"""What came of the answers of arms that write rationales."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from scicot_utils import paths, rationales, tables
from scicot_utils.recipe import MAIN, Recipe
from scicot_utils.report.style import arm_name, percent
from scicot_utils.tables import Row

FAILURES = (*rationales.OUTCOMES, "proof written", "right with it", "right without it")  # columns of `failures`


def failures(recipe: Recipe, dataset: str, questions: Mapping[str, Row], variants: Sequence[str] = ()) -> list[Row]:
    """Variants × arms that write rationales × what came of their test questions: shares, mean over seeds; how often the
    proof was written, and what was right with it and without; [] without proofs. `variants`: all if empty.
    """
    if not any(row["proof"] for row in questions.values()):
        return []
    rows = []
    for variant in variants or (MAIN, *recipe.variants):
        for arm in recipe.trained_arms(variant):
            if shares := _shares(recipe, dataset, questions, arm, variant):
                rows.append({"variant": variant, "arm": arm_name(arm)} | shares | _with_and_without(shares))
    return rows


def _shares(recipe: Recipe, dataset: str, questions: Mapping[str, Row], arm: str, variant: str) -> dict[str, float]:
    """Outcome → share of the test questions, mean over seeds; {} for an arm that writes no rationales."""
    settings = recipe.settings(arm, variant)
    style = settings.rationale_style if settings.teacher == "simulated" else "walk"
    by_seed = []
    for seed in recipe.seeds_of(variant):
        file = paths.run(recipe.name, dataset, arm, variant, seed) / "predictions.parquet"
        answers = [row for row in tables.read("predictions", file) if row["split"] == "test"]
        if any(row["rationale"] for row in answers):
            outcomes = Counter(
                rationales.outcome(questions[row["question_id"]], row["rationale"], row["correct"], style)
                for row in answers
            )
            by_seed.append([outcomes[name] / len(answers) for name in rationales.OUTCOMES])
    return dict(zip(rationales.OUTCOMES, np.mean(by_seed, axis=0).tolist(), strict=True)) if by_seed else {}


def _with_and_without(shares: Mapping[str, float]) -> dict[str, float | None]:
    """How often the whole proof is written, and how often the answer is right where it is and where it is not."""
    proved = shares["right answer, right rationale"] + shares["wrong answer, right rationale"]
    return {
        "proof written": proved,
        "right with it": shares["right answer, right rationale"] / proved if proved else None,
        "right without it": shares["right answer, wrong rationale"] / (1 - proved) if proved < 1 else None,
    }


def failures_summary(rows: Sequence[Row]) -> str:
    """From the rows of `failures`: how often each arm writes the proof, and what it answers with it and without it."""
    sentences = []
    for row in rows:
        shares = _with_and_without(row)
        accuracies = [
            f"{percent(shares[name])} {condition}"
            for name, condition in (("right with it", "with the proof"), ("right without it", "without it"))
            if shares[name] is not None
        ]
        sentences.append(
            f"{row['arm']}: the whole proof is written for {percent(shares['proof written'])} of the questions; "
            f"accuracy is {' and '.join(accuracies)}."
        )
    return " ".join(sentences)
