"""The papers' claims and the headline: what was published, what was measured here, and the verdict."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from scicot_utils.recipe import MAIN, Recipe, Settings
from scicot_utils.report.differences import (
    DIRECTIONS,
    HEADLINE,
    MIN_SEEDS,
    direction,
    of_pairs,
    points,
    would_settle,
)
from scicot_utils.report.results import where
from scicot_utils.report.style import Table, arm_name, percent, plural
from scicot_utils.tables import Row


@dataclass(frozen=True)
class Claim:
    """A published claim and the comparison that speaks to it; `datasets` not empty: only these can settle it."""

    paper: str
    claim: str
    published: str
    first: str
    second: str
    datasets: tuple[str, ...]
    to_settle: str


CLAIMS = (
    Claim(
        "Sci-CoT, abstract",
        "An 80M-parameter two-stage student outperforms few-shot BLOOM-176B on ARC-Easy",
        "no figure in the abstract; BLOOM-176B zero-shot on ARC-Easy: 72.6% (its model card)",
        "two_stage",
        "bloom_176b",
        ("ARC-Easy",),
        "recipe arc: Flan-T5-small on ARC-Easy with the rationales of a served LLM",
    ),
    Claim(
        "Sci-CoT, abstract",
        "Separating rationale and answer uses the rationale more efficiently than one stage",
        "no figure in the abstract",
        "two_stage",
        "rationale_answer",
        (),
        "other benchmarks and students; rationale styles and both budget rules are variants of recipe micro_full",
    ),
    Claim(
        "Fine-tune-CoT's question",
        "Fine-tuning on rationales outperforms fine-tuning on answers",
        "its released results, Flan-T5 60M, twelve tasks: above on one (Shuffled Objects), equal on one (Coin Flip), "
        "below on ten",
        "rationale_answer",
        "answer_only",
        (),
        "the twelve tasks, with the paper's students",
    ),
    Claim(
        "Fine-tune-CoT's question",
        "More rationales per question (diverse reasoning) improve the student",
        "its released results, Flan-T5 60M, nine tasks, D = 8 or 64 against D = 1: above on eight, equal on one "
        "(Coin Flip)",
        "rationale_answer",
        "rationale_answer",
        (),
        "recipes symbolic (its shipped record has its own page) and finetune_cot; here the largest D is compared with "
        "the smallest",
    ),
    Claim(
        "presupposed by Sci-CoT",
        "The answer step reads the rationale it is given",
        "no figure in the abstract",
        "two_stage",
        "two_stage_shuffled_rationale",
        (),
        "how often the student follows a rationale that argues for another option (notebook 05); a shuffled rationale "
        "is also out of distribution, so many answers name no option, and the ranked figure is more informative",
    ),
)


def verdict(directions: Iterable[str]) -> str:
    """What the directions of both scorings, or of the one there is, say of a claim that the first arm is above."""
    directions = {*directions}
    if directions == {"above"}:
        return "reproduced"
    if {"above", "below"} <= directions:
        return "contradictory"
    if "above" in directions:
        return "partly"
    if "below" in directions:
        return "reversed" if directions == {"below"} else "partly reversed"
    return "no difference" if directions == {"no different from"} else "inconclusive"


def claims(
    recipe: Recipe, comparisons: Sequence[Row], settings: Settings, in_variants: Sequence[Row] = ()
) -> list[Row]:
    """Each claim with the paper's figure, what was measured here, and a verdict for the benchmark that was run.

    `comparisons`: of `compare`, and of `compare_in_sweep` where a claim sets an arm against itself; there the first
    sweep is measured, and others count as variants. `in_variants`: rows of `compare_in_variants`; what is not reproduced
    in all of them is reproduced partly. Those of too few seeds carry no verdict.
    """
    rows = []
    columns = (f"measured on {recipe.distill[0]}, points", "in the variants", "verdict")
    for claim in CLAIMS:
        evidence = _evidence(claim, recipe, comparisons, settings, in_variants)
        row = {"paper": claim.paper, "claim": claim.claim, "published": claim.published}
        rows.append(row | dict(zip(columns, evidence, strict=True)) | {"to settle it": claim.to_settle})
    return rows


def claims_by_task(recipe: Recipe, comparisons: Mapping[str, Sequence[Row]], settings: Settings) -> list[Row]:
    """Each claim with what was measured on each task, and the verdicts. `comparisons`: the rows of `compare` by task."""
    rows = []
    for claim in CLAIMS:
        measured, _, verdicts = zip(
            *(_evidence(claim, recipe, of_task, settings, ()) for of_task in comparisons.values()), strict=True
        )
        row = {"paper": claim.paper, "claim": claim.claim, **dict(zip(comparisons, measured, strict=True))}
        rows.append(row | {"verdict": "; ".join(dict.fromkeys(verdicts))})
    return rows


def _evidence(
    claim: Claim, recipe: Recipe, comparisons: Sequence[Row], settings: Settings, in_variants: Sequence[Row]
) -> tuple[str, str, str]:
    """What was measured, what it is in the variants, and the verdict."""
    pair = [(claim.first, claim.second)]
    comparisons = of_pairs(comparisons, pair)
    first_sweep = comparisons[0].get("second of") if comparisons else None
    rows = [row for row in comparisons if row.get("second of") == first_sweep]
    if recipe.plumbing:
        return "a plumbing run", "–", "not run here"
    if claim.datasets and not {*claim.datasets} & {*recipe.distill}:
        return f"needs {' or '.join(claim.datasets)}", "–", "not run here"
    if not rows:
        return "–", "–", "not run here"
    if rows[0]["seeds"] < MIN_SEEDS:
        measured = "; ".join(f"{row['measure']} {points(row)}" for row in rows)
        return f"{measured}; {plural(rows[0]['seeds'], 'seed')}, a verdict takes {MIN_SEEDS}", "–", "too few seeds"
    outcome = verdict(direction(row, settings) for row in rows)
    other_sweeps = [row for row in comparisons if row.get("second of") != first_sweep]
    by_variant: dict[str, list[str]] = {}
    for row in [*of_pairs(in_variants, pair), *other_sweeps]:
        first, second = (recipe.settings(row[arm], row[f"{arm} of"]) for arm in ("first", "second"))
        if row["variant"] != MAIN and row["seeds"] >= MIN_SEEDS and first.student == second.student:  # like with like
            by_variant.setdefault(row["variant"], []).append(direction(row, settings))
    elsewhere = "–"
    if by_variant:
        by_verdict: dict[str, list[str]] = {}
        for variant, directions in by_variant.items():
            by_verdict.setdefault(verdict(directions), []).append(variant)
        reproduced = by_verdict.pop("reproduced", [])
        exceptions = [f"{other}: {', '.join(variants)}" for other, variants in by_verdict.items()]
        elsewhere = "; ".join([f"reproduced in {len(reproduced)} of {len(by_variant)}", *exceptions])
        outcome = "partly" if outcome == "reproduced" and exceptions else outcome
    return "; ".join(_measured(row, settings) for row in rows), elsewhere, outcome


def _measured(row: Row, settings: Settings) -> str:
    stands = DIRECTIONS[direction(row, settings)]
    settled_by = f"; {would_settle(row, settings)} would settle it" if stands == "not told apart" else ""
    return f"{row['measure']} {points(row)}, {stands}{settled_by}"


class Verdicts(Table):
    """`claims` for reading: each claim with its verdict, and below it what stands in the other columns."""

    def _repr_html_(self) -> str:
        return "".join(
            f'<section class="claim"><p><strong>{html.escape(row["claim"])}</strong> '
            f'<span class="verdict">{html.escape(row["verdict"])}</span></p><dl>'
            + "".join(
                f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>"
                for name, value in row.items()
                if name not in ("claim", "verdict") and value != "–"
            )
            + "</dl></section>"
            for row in self._displayed().to_dict("records")
        )


def headline_short(recipe: Recipe, frame: pd.DataFrame, comparisons: Sequence[Row]) -> list[Row]:
    """The headline's arms and their differences, a column for each scoring; [] where there is nothing to say."""
    rows = of_pairs(comparisons, HEADLINE[:2])
    if recipe.plumbing or not rows:
        return []
    title = f"{rows[0]['n']} test questions of {recipe.distill[0]}, {plural(rows[0]['seeds'], 'seed')}"
    measures = list(dict.fromkeys(row["measure"] for row in rows))
    lines: list[Row] = [
        {title: arm_name(arm)} | {measure: percent(_mean(frame, arm, measure)) for measure in measures}
        for arm in dict.fromkeys(arm for row in rows for arm in (row["first"], row["second"]))
    ]
    for pair in HEADLINE[:2]:
        if differences := {row["measure"]: points(row) for row in of_pairs(rows, [pair])}:
            lines.append({title: f"difference to {arm_name(pair[1])}, points, with its interval"} | differences)
    return lines


def headline(recipe: Recipe, frame: pd.DataFrame, comparisons: Sequence[Row], settings: Settings) -> str:
    """Two-stage beside its two rivals in a few sentences, whatever came out."""
    if recipe.plumbing:
        return f"This is a plumbing run and shows no result: {recipe.plumbing}"
    sentences = []
    for row in [row for pair in HEADLINE[:2] for row in of_pairs(comparisons, [pair])]:
        first, second = (
            f"{arm_name(row[arm])} with {percent(_mean(frame, row[arm], row['measure']))}"
            for arm in ("first", "second")
        )
        stands = f"is {direction(row, settings)}" if row["seeds"] >= MIN_SEEDS else "against"
        difference = points(row).replace(" (", " points (")
        sentences.append(f"{row['measure'].capitalize()}, {first} {stands} {second}: {difference}.")
    if not sentences:
        return "This recipe does not run the arms of the headline comparison, so there is no headline."
    seeds, questions = comparisons[0]["seeds"], comparisons[0]["n"]
    if seeds < MIN_SEEDS:
        sentences.append(f"Fewer than {MIN_SEEDS} seeds carry no verdict.")
    size = f"{questions} test questions, {plural(seeds, 'seed')}"
    return f"Measured on {recipe.distill[0]} ({size}). {' '.join(sentences)}"


def _mean(frame: pd.DataFrame, arm: str, measure: str) -> float:
    """Test accuracy of the main variant, over seeds."""
    return where(frame, arm=arm, variant=MAIN, split="test", metric=measure)["value"].mean()
