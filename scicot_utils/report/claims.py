"""The papers' claims and the headline: what was published, what was measured here, and the verdict."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from scicot_utils.recipe import MAIN, Recipe, Settings
from scicot_utils.report.differences import HEADLINE, MIN_SEEDS, direction, points, word, would_settle
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


def judged(directions: Sequence[str]) -> str:
    """What the directions of both scorings, or of the one there is, say of a claim that the first arm is above."""
    found = {*directions}
    if found == {"above"}:
        return "reproduced"
    if {"above", "below"} <= found:
        return "contradictory"
    if "above" in found:
        return "partly"
    if "below" in found:
        return "reversed" if found == {"below"} else "partly reversed"
    return "no difference" if found == {"no different from"} else "inconclusive"


def _measured(row: Row, settings: Settings) -> str:
    said = word(row, settings)
    told = f"{row['measure']} {points(row)}, {said}"
    return told + (f"; {would_settle(row, settings)} would settle it" if said == "not told apart" else "")


def claims(
    recipe: Recipe, comparisons: Sequence[Row], settings: Settings, in_variants: Sequence[Row] = ()
) -> list[Row]:
    """Each claim with the paper's figure, what was measured here, and a verdict for the benchmark that was run.

    `comparisons`: of `compare`, and of `compare_in_sweep` where a claim sets an arm against itself; there the first
    sweep is measured, and others count as variants. `in_variants`: rows of `compare_in_variants`; what is not reproduced
    in all of them is reproduced partly. Those of too few seeds carry no verdict.
    """
    rows = []
    for claim in CLAIMS:
        found = [row for row in comparisons if (row["first"], row["second"]) == (claim.first, claim.second)]
        of_sweep = found[0].get("second of") if found else None
        elsewhere_too = [*in_variants, *(row for row in found if row.get("second of") != of_sweep)]
        found = [row for row in found if row.get("second of") == of_sweep]
        verdict, measured, elsewhere = "not run here", "–", "–"
        if recipe.plumbing:
            measured = "a plumbing run"
        elif claim.datasets and not set(claim.datasets) & set(recipe.distill):
            measured = f"needs {' or '.join(claim.datasets)}"
        elif found and found[0]["seeds"] < MIN_SEEDS:
            verdict, measured = "too few seeds", f"{plural(found[0]['seeds'], 'seed')}; a verdict takes {MIN_SEEDS}"
        elif found:
            verdict = judged([direction(row, settings) for row in found])
            held: dict[str, list[str]] = {}
            for row in elsewhere_too:
                if (row["first"], row["second"]) != (claim.first, claim.second) or row["variant"] == MAIN:
                    continue
                first, second = (recipe.settings(row[arm], row[f"{arm} of"]) for arm in ("first", "second"))
                if row["seeds"] >= MIN_SEEDS and first.student == second.student:  # else no like with like
                    held.setdefault(row["variant"], []).append(direction(row, settings))
            if held:
                by_verdict: dict[str, list[str]] = {}
                for name, directions in held.items():
                    by_verdict.setdefault(judged(directions), []).append(name)
                above = by_verdict.pop("reproduced", [])
                others = [f"{other}: {', '.join(names)}" for other, names in by_verdict.items()]
                elsewhere = "; ".join([f"reproduced in {len(above)} of {len(held)}", *others])
                verdict = "partly" if verdict == "reproduced" and others else verdict
            measured = "; ".join(_measured(row, settings) for row in found)
        rows.append(
            {
                "paper": claim.paper,
                "claim": claim.claim,
                "published": claim.published,
                f"measured on {recipe.distill[0]}, points": measured,
                "in the variants": elsewhere,
                "verdict": verdict,
                "to settle it": claim.to_settle,
            }
        )
    return rows


class Verdicts(Table):
    """`claims` for reading: each claim with its verdict, and below it what stands in the other columns."""

    def _repr_html_(self) -> str:
        shown = self._shown()
        return "".join(
            f'<section class="claim"><p><strong>{html.escape(row["claim"])}</strong> '
            f'<span class="verdict">{html.escape(row["verdict"])}</span></p><dl>'
            + "".join(
                f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>"
                for name, value in row.items()
                if name not in ("claim", "verdict") and value != "–"
            )
            + "</dl></section>"
            for row in shown.to_dict("records")
        )


def headline_short(recipe: Recipe, frame: pd.DataFrame, comparisons: Sequence[Row]) -> list[Row]:
    """The headline's arms and their differences, a column for each scoring; [] where there is nothing to say."""
    found = [row for row in comparisons if (row["first"], row["second"]) in HEADLINE[:2]]
    if recipe.plumbing or not found:
        return []
    over = f"{found[0]['n']} test questions of {recipe.distill[0]}, {plural(found[0]['seeds'], 'seed')}"
    measures = list(dict.fromkeys(row["measure"] for row in found))
    rows = []
    for arm in dict.fromkeys(arm for row in found for arm in (row["first"], row["second"])):
        means = {
            measure: where(frame, arm=arm, variant=MAIN, split="test", metric=measure)["value"].mean()
            for measure in measures
        }
        rows.append({over: arm_name(arm)} | {measure: percent(mean) for measure, mean in means.items()})
    for pair in HEADLINE[:2]:
        gaps = {row["measure"]: points(row) for row in found if (row["first"], row["second"]) == pair}
        if gaps:
            rows.append({over: f"difference to {arm_name(pair[1])}, points, with its interval"} | gaps)
    return rows


def headline(recipe: Recipe, frame: pd.DataFrame, comparisons: Sequence[Row], settings: Settings) -> str:
    """Two-stage beside its two rivals in a few sentences, whatever came out."""
    if recipe.plumbing:
        return f"This is a plumbing run and shows no result: {recipe.plumbing}"
    told = []
    for first, second in HEADLINE[:2]:
        for row in [row for row in comparisons if (row["first"], row["second"]) == (first, second)]:
            a, b = (
                where(frame, arm=arm, variant=MAIN, split="test", metric=row["measure"])["value"].mean()
                for arm in (first, second)
            )
            stands = f"is {direction(row, settings)}" if row["seeds"] >= MIN_SEEDS else "against"
            told.append(
                f"{row['measure'].capitalize()}, {arm_name(first)} with {percent(a)} {stands} "
                f"{arm_name(second)} with {percent(b)}: {points(row).replace(' (', ' points (')}."
            )
    if not told:
        return "This recipe does not run the arms of the headline comparison, so there is no headline."
    if comparisons[0]["seeds"] < MIN_SEEDS:
        told.append(f"Fewer than {MIN_SEEDS} seeds carry no verdict.")
    seeds = comparisons[0]["seeds"]
    asked = f"{comparisons[0]['n']} test questions, {plural(seeds, 'seed')}"
    return f"Measured on {recipe.distill[0]} ({asked}). {' '.join(told)}"
