"""Differences between arms: tested, as a table, as a figure."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from functools import partial
from math import ceil, floor, log10

import matplotlib.pyplot as plt
import numpy as np
from scipy import stats

from scicot_utils import paths, prompts, scoring, tables
from scicot_utils.recipe import MAIN, Recipe, Settings
from scicot_utils.report.style import Picture, Table, arm_name, legend_below, panels
from scicot_utils.tables import Row

# The comparisons that are tested, first minus second; the first pair is the headline.
HEADLINE = (("two_stage", "rationale_answer"), ("two_stage", "answer_only"), ("rationale_answer", "answer_only"))
OTHER_ARMS = (  # what two models bring over one, and what rationales bring that are not written before the answer
    ("two_stage", "two_stage_shared"),
    ("two_stage_shared", "rationale_answer"),
    ("multitask", "answer_only"),
    ("answer_rationale", "answer_only"),
)
COMPARED = (*HEADLINE, *OTHER_ARMS, ("two_stage", "two_stage_shuffled_rationale"))
MIN_SEEDS = 3  # fewer carry no verdict (rules of evidence, 2)
# What the first arm is, seen from the second.
DIRECTIONS = ("above", "below", "no different from", "not told apart from", "of too few seeds for a verdict on")
POWER = 0.8  # the chance with which a larger study is to settle what this one leaves open


def test_outcomes(
    recipe: Recipe, dataset: str, questions: Mapping[str, Row], variant: str = MAIN, split: str = "test"
) -> dict[tuple[str, str], np.ndarray]:
    """(arm, measure) → right or wrong on the test split, or another one, of one variant, shape (seeds, questions).

    An arm that the variant is not run for is taken from another (`Recipe.taken_from`), with the variant's seeds. A
    control that could be made for a part of the questions only is left out.
    """
    labels = {name: row["choices"]["label"] for name, row in questions.items()}
    asked = sum(row["split"] == split for row in questions.values())
    found: dict[tuple[str, str], list[np.ndarray]] = {}
    for where, arm, of, seed in recipe.runs():
        if seed not in recipe.seeds_of(variant):
            continue
        if where == dataset and arm != "untrained" and of == recipe.taken_from(arm, variant):
            folder = paths.run(recipe.name, dataset, arm, of, seed)
            for file in [
                file for file in (folder / "predictions.parquet", folder / "controls.parquet") if file.exists()
            ]:
                rows = [row for row in tables.read("predictions", file) if row["split"] == split]
                for name in dict.fromkeys(row["arm"] for row in rows):
                    of_arm = sorted((row for row in rows if row["arm"] == name), key=lambda row: row["question_id"])
                    if len(of_arm) < asked:
                        continue
                    outcomes = scoring.outcomes(of_arm, labels)
                    for measure in ("generated", "ranked"):
                        if measure in outcomes:
                            found.setdefault((name, measure), []).append(outcomes[measure])
    return {name: np.stack(seeds) for name, seeds in found.items()}


def compare(
    outcomes: Mapping[tuple[str, str], np.ndarray], settings: Settings, questions: Mapping[str, Row] | None = None
) -> list[Row]:
    """The comparisons that the claims rest on, tested; with `questions`, in groups by what these share (`shared`)."""
    return scoring.compare(outcomes, COMPARED, groups=shared(questions or {}), confidence=settings.confidence)


def compare_transfer(recipe: Recipe, dataset: str, questions: Mapping[str, Row], settings: Settings) -> list[Row]:
    """The headline's comparisons on the test split and on each transfer test that the benchmark has, in the main variant:
    rows of `scoring.compare` with `split`, corrected within each split.
    """
    found = []
    for split in (
        name for name in dict.fromkeys(row["split"] for row in questions.values()) if name.startswith("test")
    ):
        outcomes = test_outcomes(recipe, dataset, questions, split=split)
        compared = scoring.compare(outcomes, HEADLINE, groups=shared(questions, split), confidence=settings.confidence)
        found += [{"split": split} | row for row in compared]
    return found


def transfer_table(rows: Sequence[Row], settings: Settings) -> Table:
    """`compare_transfer` for reading: a row for each pair of arms and scoring, a column for each test."""
    found: dict[tuple[str, str, str], Row] = {}
    for row in rows:
        cell = f"{points(row)}{aside(row, settings)}"
        of_pair = found.setdefault((row["measure"], row["first"], row["second"]), {})
        of_pair[f"{row['split']} ({row['n']} questions)"] = cell
    if len({row["split"] for row in rows}) < 2:
        return Table([{"arms": "this benchmark has no transfer tests, or the recipe runs no two of these arms"}])
    return Table(
        {"arms": f"{arm_name(first)} minus {arm_name(second)}", "measure": measure} | cells
        for (measure, first, second), cells in found.items()
    )


def shared(questions: Mapping[str, Row], split: str = "test") -> list[str]:
    """What test questions share, in the order of `test_outcomes`: the words of the right option.

    A student that lacks one fact fails all questions that turn on it, so such questions are not independent. Open answers
    (a number, yes or no, a word) are of no one fact, so each such question is for itself.
    """
    asked = [questions[name] for name in sorted(questions) if questions[name]["split"] == split]
    return [prompts.answer_text(row, row["answer"]).lower() if prompts.has_options(row) else row["id"] for row in asked]


def compare_in_variants(recipe: Recipe, dataset: str, questions: Mapping[str, Row], settings: Settings) -> list[Row]:
    """The comparisons between arms in the main variant and in every other one, corrected for their whole number.

    An arm that a variant is not run for is taken from another, but only where that is fair (`Recipe.comparable`).
    """
    pairs = []
    for variant in (MAIN, *recipe.variants):
        run = recipe.trained_arms(variant)
        fair = [arm for arm in recipe.arms if recipe.comparable(arm, variant)]
        asked = [pair for pair in (*HEADLINE, *OTHER_ARMS) if {*pair} & {*run} and {*pair} <= {*fair}]
        pairs += [((variant, first), (variant, second)) for first, second in asked]
    return _compared(recipe, dataset, questions, settings, pairs)


def compare_in_sweep(
    recipe: Recipe, dataset: str, questions: Mapping[str, Row], settings: Settings, key: str
) -> list[Row]:
    """Every arm with itself, at the greatest and at the least value of a numeric key, in each sweep of that key.

    Rows as of `compare_in_variants`; corrected for their number. Only seeds that both were run with count.
    """
    pairs = []
    for sweep in recipe.sweeps().get(key, []):
        least, most = (pick(sweep, key=lambda name: getattr(recipe.settings(variant=name), key)) for pick in (min, max))
        arms = [arm for arm in recipe.trained_arms(most) if arm in recipe.trained_arms(least)]
        pairs += [((most, arm), (least, arm)) for arm in arms]
    seeds = min((len(recipe.seeds_of(variant)) for pair in pairs for variant, _ in pair), default=None)
    return _compared(recipe, dataset, questions, settings, pairs, seeds)


def _compared(
    recipe: Recipe,
    dataset: str,
    questions: Mapping[str, Row],
    settings: Settings,
    pairs: Sequence[tuple[tuple[str, str], tuple[str, str]]],
    seeds: int | None = None,
) -> list[Row]:
    """Pairs of (variant, arm), tested: rows of `scoring.compare` with `variant`, the first one's, and `first of` and
    `second of`, the variants that the runs of each are of. `seeds`: how many count, the first ones; None: all.
    """
    variants = dict.fromkeys(variant for pair in pairs for variant, _ in pair)
    outcomes = {
        ((variant, arm), measure): right[:seeds]
        for variant in variants
        for (arm, measure), right in test_outcomes(recipe, dataset, questions, variant).items()
    }
    rows = []
    for row in scoring.compare(outcomes, pairs, groups=shared(questions), confidence=settings.confidence):
        named = {"variant": row["first"][0]}
        for place in ("first", "second"):
            variant, arm = row[place]
            named |= {place: arm, f"{place} of": recipe.taken_from(arm, variant)}
        rows.append(row | named)
    return rows


def comparison_table(comparisons: Sequence[Row], settings: Settings, *, by_seed: bool = False) -> Table:
    """Comparisons for readers: arms by name, intervals in one column, what each says; or those of the single seeds."""
    rows = [
        row
        | {
            "arms": " minus ".join(
                ("itself" if place == "second" and row["first"] == row["second"] else arm_name(row[place]))
                + (f" (of {row[f'{place} of']})" if row.get(f"{place} of") != row.get("variant") else "")
                for place in ("first", "second")
            ),
            "points": row["difference"],
            "interval": f"{row['low']:+z.1f} to {row['high']:+z.1f}",
            "the first is": word(row, settings),
        }
        for row in comparisons
    ]
    tests = ["points", "interval", "error questions", "error seeds", "p corrected", "the first is"]
    show = ["arms", "measure", *(["by seed", "McNemar p by seed"] if by_seed else tests)]
    show = [*(name for name in ("variant", "split") if rows and name in rows[0]), *show]
    formats = {"points": "{:+z.1f}", "error questions": "{:.1f}", "error seeds": "{:.1f}", "p corrected": "{:.2g}"}
    return Table(rows, formats, show) if rows else Table([{"arms": "this recipe runs no two arms to compare"}])


def variants_summary(
    comparisons: Sequence[Row], settings: Settings, pairs: Sequence[tuple[str, str]] = HEADLINE[:1]
) -> str:
    """A pair's difference in each variant, from the rows of `compare_in_variants`, a sentence a pair."""
    sentences = []
    for first, second in pairs:
        told = [
            f"{row['variant']} {points(row)}{aside(row, settings)}"
            for row in comparisons
            if (row["first"], row["second"], row["measure"]) == (first, second, "generated")
        ]
        if told:
            name = f"{arm_name(first)} minus {arm_name(second)}"
            sentences.append(f"By variant, {name}, generated, in points: {'; '.join(told)}.")
    return " ".join(sentences)


def direction(row: Row, settings: Settings) -> str:
    """Where the first arm stands to the second, one of DIRECTIONS: the one rule that every verdict, sentence and figure has.

    Above or below: the corrected p is below one minus the confidence. No different: it is not, and the whole interval
    holds zero and lies within the declared margin (two one-sided tests, Schuirmann 1987, at half of one minus the
    confidence each). Fewer seeds than MIN_SEEDS tell nothing.
    """
    above, below, alike, open_, too_few = DIRECTIONS
    if row["seeds"] < MIN_SEEDS:
        return too_few
    if row["p corrected"] < 1 - settings.confidence:
        return above if row["difference"] > 0 else below
    return alike if -settings.margin <= row["low"] <= 0 <= row["high"] <= settings.margin else open_


def word(row: Row, settings: Settings) -> str:
    """`direction` without its preposition, as it stands beside a number."""
    return direction(row, settings).removesuffix(" from").removesuffix(" for a verdict on").removeprefix("of ")


def points(row: Row) -> str:
    """A difference with its interval."""
    return f"{row['difference']:+z.1f} ({row['low']:+z.1f} to {row['high']:+z.1f})"


def aside(row: Row, settings: Settings) -> str:
    """What is to be said beside a difference that is neither above nor below; else nothing."""
    said = word(row, settings)
    return "" if said in DIRECTIONS[:2] else f", {said}"


def would_settle(row: Row, settings: Settings) -> str:
    """How many questions or seeds would settle a difference that is not told apart, if it stays what it was.

    Enough to find, with a chance of POWER, that it is not zero, after the same correction, or else that it is within the
    margin, whichever takes less. The error over questions shrinks with their number, if their right answers are others,
    that over seeds with theirs.
    """
    enough = partial(_enough, row, settings)
    if enough(1.0, row["seeds"]):
        return "the same number of other test questions and seeds"
    sizes = [1.1**step for step in range(1, 90)]  # up to some five thousand times as many
    ways = []
    if more := next((size for size in sizes if enough(size, row["seeds"])), None):
        ways.append(f"about {_rounded(row['n'] * more)} test questions with other right answers")
    if seeds := next((seeds for seeds in range(row["seeds"] + 1, 1000) if enough(1.0, seeds)), None):
        ways.append(f"about {seeds} seeds")
    both = next((size for size in sizes if enough(size, ceil(row["seeds"] * size))), sizes[-1])
    told = f"about {_rounded(row['n'] * both)} test questions with other right answers and {ceil(row['seeds'] * both)} seeds"
    return " or ".join(ways) or told


def _enough(row: Row, settings: Settings, more: float, seeds: int) -> bool:
    """Whether `more` times the questions and so many seeds would settle it, with a chance of POWER."""
    parts = [(row["error questions"] ** 2 / more, max(row["groups"] * more - 1, 1))]
    parts.append((row["error seeds"] ** 2 * row["seeds"] / seeds, seeds - 1))
    squared = sum(part for part, _ in parts)
    df = min(squared**2 / sum(part**2 / own for part, own in parts), max(parts)[1])
    found, chance, error = abs(row["difference"]), 1 - settings.confidence, squared**0.5
    not_zero = (stats.t.isf(chance / 2 / row["comparisons"], df) + stats.norm.ppf(POWER)) * error
    within = (stats.t.isf(chance / 2, df) + stats.norm.ppf((1 + POWER) / 2)) * error
    return found >= not_zero or settings.margin - found >= within


def _rounded(number: float) -> str:
    """Up, to two digits."""
    step = 10 ** max(0, floor(log10(number)) - 1)
    return f"{ceil(number / step) * step:,}"


MEASURES = (("generated", -0.17, "o", "#005B96"), ("ranked", 0.17, "s", "#D55E00"))  # its place in a row, and its mark


def differences_figure(rows: Sequence[Row], settings: Settings) -> Picture:
    """A forest plot of rows of `compare_in_variants` or `compare`: points and intervals, in percentage points.

    A filled mark: `direction` tells the arms apart. Shaded: the margin within which arms are called no different.
    Raises ValueError where there are no rows.
    """
    if not rows:
        raise ValueError("differences_figure: found no rows, allowed: at least one comparison")
    variants = list(dict.fromkeys(row.get("variant", "") for row in rows))
    pairs = [pair for pair in COMPARED if any((row["first"], row["second"]) == pair for row in rows)]
    titles = [textwrap.fill(f"{arm_name(first)} minus {arm_name(second)}", 24) for first, second in pairs]
    figure, axes = panels(titles, (1.8 + 2.3 * len(pairs), 1.7 + 0.42 * len(variants)), sharex=True)
    told = []
    for panel, (first, second) in zip(axes, pairs, strict=True):
        panel.axvline(0, color="#555555", lw=1.2)
        panel.axvspan(-settings.margin, settings.margin, color="#888888", alpha=0.15, lw=0)
        for measure, aside, mark, colour in MEASURES:
            for row in rows:
                if (row["first"], row["second"], row["measure"]) == (first, second, measure):
                    place = variants.index(row.get("variant", "")) + aside
                    panel.hlines(place, row["low"], row["high"], color=colour, lw=2)
                    fill = colour if direction(row, settings) in ("above", "below") else "white"
                    panel.plot(row["difference"], place, mark, color=colour, mfc=fill, ms=6)
        panel.set(xlabel="percentage points", ylim=(len(variants) - 0.5, -0.5))
        panel.grid(axis="y", visible=False)
        told.append(_summary(first, second, rows, settings))
    axes[0].set_yticks(range(len(variants)), variants)
    legend = [
        plt.Line2D([], [], ls="", marker=mark, color=colour, label=measure)
        for measure, _, mark, colour in MEASURES
        if any(row["measure"] == measure for row in rows)
    ]
    legend_below(figure, legend, 2)
    return Picture(figure, f"Differences in percentage points, by variant: {'; '.join(told)}.")


def _summary(first: str, second: str, rows: Sequence[Row], settings: Settings) -> str:
    """From least to greatest, and in how many variants the first arm is above, as written by the student."""
    found = [row for row in rows if (row["first"], row["second"], row["measure"]) == (first, second, "generated")]
    name = f"{arm_name(first)} minus {arm_name(second)}"
    if not found:
        return f"{name}, ranked only"
    least, most = (pick(found, key=lambda row: row["difference"]) for pick in (min, max))
    above = sum(direction(row, settings) == "above" for row in found)
    ends = [f"{row['difference']:+.1f}" + (f" ({row['variant']})" if "variant" in row else "") for row in (least, most)]
    span = ends[0] if len(found) == 1 else f"from {ends[0]} to {ends[1]}"
    return f"{name}, generated, {span}, told apart and above zero in {above} of {len(found)}"
