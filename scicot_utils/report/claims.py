"""The papers' claims and the headline: what was published, what was measured here, and the verdict."""

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from scicot_utils.recipe import MAIN, Recipe, Settings
from scicot_utils.report.differences import DIRECTIONS, HEADLINE, MIN_SEEDS, direction, of_pairs, points, would_settle
from scicot_utils.report.results import where
from scicot_utils.report.style import Table, arm_name, distinct, percent, plural
from scicot_utils.tables import Row


@dataclass(frozen=True)
class Claim:
    """A published claim and the comparison that speaks to it; `datasets`, if any: only these can settle it."""

    paper: str
    claim: str
    published: str
    pair: tuple[str, str]
    to_settle: str
    datasets: tuple[str, ...] = ()


CLAIMS = (
    Claim(
        "Sci-CoT, abstract",
        "An 80M-parameter two-stage student outperforms few-shot BLOOM-176B on ARC-Easy",
        "no figure in the abstract; BLOOM-176B zero-shot on ARC-Easy: 72.6% (its model card)",
        ("two_stage", "bloom_176b"),
        "recipe arc: Flan-T5-small on ARC-Easy with the rationales of a served LLM",
        ("ARC-Easy",),
    ),
    Claim(
        "Sci-CoT, abstract",
        "Two-stage uses rationales more efficiently than one-stage",
        "no figure in the abstract",
        ("two_stage", "rationale_answer"),
        "other benchmarks and students; rationale styles and both budget rules are variants of recipe micro_full",
    ),
    Claim(
        "Fine-tune-CoT's question",
        "Fine-tuning on rationales outperforms fine-tuning on answers",
        "released results of Flan-T5 60M on twelve tasks: fine-tuning on rationales is more accurate on one (Shuffled "
        "Objects), equal on one (Coin Flip), less accurate on ten",
        ("rationale_answer", "answer_only"),
        "the twelve tasks, with the paper's students",
    ),
    Claim(
        "Fine-tune-CoT's question",
        "More rationales per question (diverse reasoning) improve the student",
        "released results of Flan-T5 60M on nine tasks: D = 8 or 64 is more accurate than D = 1 on eight, equal on one "
        "(Coin Flip)",
        ("rationale_answer", "rationale_answer"),
        "recipes symbolic (its shipped record is on the page Fine-tune-CoT's tasks) and finetune_cot; the largest D is "
        "compared with the smallest",
    ),
    Claim(
        "Sci-CoT, implicit",
        "The second stage's answer depends on its rationale",
        "no figure in the abstract",
        ("two_stage", "two_stage_shuffled_rationale"),
        "the share of counterfactual rationales that the student follows (notebook 05). A shuffled rationale is out of "
        "distribution, so many generated answers name no option; the ranked accuracy is more informative",
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
    sweep is measured, and others count as variants. What is not reproduced in all variants is reproduced partly.
    """
    rows = []
    columns = (f"measured on {recipe.distill[0]}, points", "in the variants", "verdict")
    for claim in CLAIMS:
        evidence = _evidence(claim, recipe, comparisons, settings, in_variants)
        row = {"paper": claim.paper, "claim": claim.claim, "published": claim.published}
        rows.append(row | dict(zip(columns, evidence, strict=True)) | {"to settle it": claim.to_settle})
    return rows


def claims_by_task(recipe: Recipe, comparisons: Mapping[str, Sequence[Row]], settings: Settings) -> list[Row]:
    """Each claim with what was measured on each task, and the verdicts; rows of `compare` by task."""
    rows = []
    for claim in CLAIMS:
        of_tasks = {task: _evidence(claim, recipe, of_task, settings) for task, of_task in comparisons.items()}
        row = {"paper": claim.paper, "claim": claim.claim} | {task: of_tasks[task][0] for task in of_tasks}
        rows.append(row | {"verdict": "; ".join(dict.fromkeys(outcome for _, _, outcome in of_tasks.values()))})
    return rows


def _evidence(
    claim: Claim, recipe: Recipe, comparisons: Sequence[Row], settings: Settings, in_variants: Sequence[Row] = ()
) -> tuple[str, str, str]:
    """What was measured, what it is in the variants, and the verdict."""
    comparisons = of_pairs(comparisons, [claim.pair])
    if recipe.plumbing:
        return "not measured: this recipe only checks the pipeline", "–", "not run here"
    if claim.datasets and not {*claim.datasets} & {*recipe.distill}:
        return f"needs {' or '.join(claim.datasets)}", "–", "not run here"
    if not comparisons:
        return "–", "–", "not run here"
    first_sweep = comparisons[0].get("second of")
    rows = [row for row in comparisons if row.get("second of") == first_sweep]
    if rows[0]["seeds"] < MIN_SEEDS:
        measured = "; ".join(f"{row['measure']} {points(row)}" for row in rows)
        return f"{measured}; {plural(rows[0]['seeds'], 'seed')} (a verdict needs {MIN_SEEDS})", "–", "too few seeds"
    outcome, elsewhere = verdict(direction(row, settings) for row in rows), "–"
    other_sweeps = [row for row in comparisons if row.get("second of") != first_sweep]
    if by_variant := _verdicts(recipe, [*of_pairs(in_variants, [claim.pair]), *other_sweeps], settings):
        variants = {of: [name for name in by_variant if by_variant[name] == of] for of in by_variant.values()}
        reproduced = len(variants.pop("reproduced", []))
        exceptions = [f"{other}: {', '.join(names)}" for other, names in variants.items()]
        elsewhere = "; ".join([f"reproduced in {reproduced} of {len(by_variant)}", *exceptions])
        outcome = "partly" if outcome == "reproduced" and exceptions else outcome
    measured = []
    for row in rows:
        stands = DIRECTIONS[direction(row, settings)]
        settled_by = f"; {would_settle(row, settings)} would settle it" if stands == "not told apart" else ""
        measured.append(f"{row['measure']} {points(row)}, {stands}{settled_by}")
    return "; ".join(measured), elsewhere, outcome


def _verdicts(recipe: Recipe, rows: Iterable[Row], settings: Settings) -> dict[str, str]:
    """Variant → verdict, of those with enough seeds and the same student in both arms."""
    by_variant: dict[str, list[str]] = {}
    for row in rows:
        first, second = (recipe.settings(row[arm], row[f"{arm} of"]) for arm in ("first", "second"))
        if row["variant"] != MAIN and row["seeds"] >= MIN_SEEDS and first.student == second.student:
            by_variant.setdefault(row["variant"], []).append(direction(row, settings))
    return {variant: verdict(directions) for variant, directions in by_variant.items()}


class Verdicts(Table):
    """`claims` for reading: each claim with its verdict, and below it what stands in the other columns."""

    def _repr_html_(self) -> str:
        sections = []
        for row in self._displayed().rename(columns=html.escape).map(html.escape).to_dict("records"):
            head = f'<strong>{row.pop("claim")}</strong> <span class="verdict">{row.pop("verdict")}</span>'
            evidence = [f"<dt>{name}</dt><dd>{value}</dd>" for name, value in row.items() if value != "–"]
            sections.append(f'<section class="claim"><p>{head}</p><dl>{"".join(evidence)}</dl></section>')
        return "".join(sections)


def headline_short(recipe: Recipe, frame: pd.DataFrame, comparisons: Sequence[Row]) -> list[Row]:
    """The headline's arms and their differences, a column for each scoring; [] where there is nothing to say."""
    rows = of_pairs(comparisons, HEADLINE[:2])
    if recipe.plumbing or not rows:
        return []
    title = f"{rows[0]['n']} test questions of {recipe.distill[0]}, {plural(rows[0]['seeds'], 'seed')}"
    lines: list[Row] = [
        {title: arm_name(arm)}
        | {measure: percent(_mean(recipe, frame, arm, measure)) for measure in distinct(rows, "measure")}
        for arm in dict.fromkeys(arm for row in rows for arm in (row["first"], row["second"]))
    ]
    for pair in HEADLINE[:2]:
        if differences := {row["measure"]: points(row) for row in of_pairs(rows, [pair])}:
            lines.append({title: f"difference to {arm_name(pair[1])}, points, with its interval"} | differences)
    return lines


def headline(recipe: Recipe, frame: pd.DataFrame, comparisons: Sequence[Row], settings: Settings) -> str:
    """Two-stage beside its two rivals in a few sentences, whatever came out."""
    if recipe.plumbing:
        return f"This recipe only checks the pipeline, so there are no results: {recipe.plumbing}"
    sentences = []
    for row in [row for pair in HEADLINE[:2] for row in of_pairs(comparisons, [pair])]:
        arms = (row["first"], row["second"])
        first, second = (f"{arm_name(arm)} with {percent(_mean(recipe, frame, arm, row['measure']))}" for arm in arms)
        stands = f"is {direction(row, settings)}" if row["seeds"] >= MIN_SEEDS else "against"
        difference = points(row).replace(" (", " points (")
        sentences.append(f"{row['measure'].capitalize()}, {first} {stands} {second}: {difference}.")
    if not sentences:
        return "This recipe does not run the arms of the headline comparison, so there is no headline."
    seeds, questions = comparisons[0]["seeds"], comparisons[0]["n"]
    if seeds < MIN_SEEDS:
        sentences.append(f"There is no verdict with fewer than {MIN_SEEDS} seeds.")
    size = f"{questions} test questions, {plural(seeds, 'seed')}"
    return f"Measured on {recipe.distill[0]} ({size}). {' '.join(sentences)}"


def _mean(recipe: Recipe, frame: pd.DataFrame, arm: str, measure: str) -> float:
    """Test accuracy of the main variant on the headline's benchmark, over seeds."""
    test = where(frame, dataset=recipe.distill[0], arm=arm, variant=MAIN, split="test", metric=measure)
    return test["value"].mean()
