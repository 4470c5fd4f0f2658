"""Differences between arms: tested, as a table, a figure and a sentence; and those of one study beside another's."""

import itertools
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import ceil, floor, hypot, log10

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy import stats

from scicot_utils import paths, prompts, scoring, tables
from scicot_utils.recipe import MAIN, Recipe, Settings
from scicot_utils.report.results import Questions, interval_side
from scicot_utils.report.style import (
    OFFSETS,
    REFERENCE_LINE,
    Picture,
    Table,
    arm_name,
    distinct,
    draw_interval,
    in_brackets,
    legend_below,
    legend_mark,
    ordered,
    pair_name,
    panels,
    plural,
    wide,
)
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
DIRECTIONS = {  # where the first arm stands, as in a sentence before the second → as beside a number
    "above": "above",
    "below": "below",
    "no different from": "no different",
    "not told apart from": "not told apart",
    "of too few seeds for a verdict on": "too few seeds",
}
MARKS = {"generated": ("o", "#005B96"), "ranked": ("s", "#D55E00")}  # of a scoring: its marker and colour
Outcomes = Mapping[tuple, np.ndarray]  # (arm, measure) → right or wrong, shape (seeds, questions)
POWER = 0.8  # the chance with which a larger study is to settle what this one leaves open


def test_outcomes(
    recipe: Recipe, dataset: str, questions: Questions, variant: str = MAIN, split: str = "test"
) -> dict[tuple[str, str], np.ndarray]:
    """(arm, measure) → right or wrong on a split, shape (seeds, questions), in a variant and its seeds.

    An arm that the variant is not run for is taken from another (`Recipe.taken_from`). A control that could be made for
    a part of the questions only is left out.
    """
    labels = {name: row["choices"]["label"] for name, row in questions.items()}
    size = sum(row["split"] == split for row in questions.values())
    by_seed: dict[tuple[str, str], list[np.ndarray]] = {}
    for run in recipe.runs():
        benchmark, run_arm, source, seed = run
        own = benchmark == dataset and run_arm != "untrained" and seed in recipe.seeds_of(variant)
        if not own or source != recipe.taken_from(run_arm, variant):
            continue
        files = [paths.run(recipe.name, *run) / name for name in ("predictions.parquet", "controls.parquet")]
        rows = [row for file in files if file.exists() for row in tables.read("predictions", file)]
        rows = sorted((row for row in rows if row["split"] == split), key=lambda row: row["question_id"])
        for arm in distinct(rows, "arm"):
            answers = [row for row in rows if row["arm"] == arm]
            if len(answers) >= size:
                outcomes = scoring.outcomes(answers, labels)
                for measure in ordered(outcomes):
                    by_seed.setdefault((arm, measure), []).append(outcomes[measure])
    return {key: np.stack(seeds) for key, seeds in by_seed.items()}


def compare(
    outcomes: Outcomes, settings: Settings, questions: Questions | None = None, pairs: Sequence[tuple] = COMPARED
) -> list[Row]:
    """Comparisons, by default those that the claims rest on, tested; with `questions`, in their `answer_groups`."""
    return scoring.compare(outcomes, pairs, groups=answer_groups(questions or {}), confidence=settings.confidence)


def compare_transfer(recipe: Recipe, dataset: str, questions: Questions, settings: Settings) -> list[Row]:
    """The headline's comparisons on the test split and each transfer test, corrected within each."""
    rows = []
    for split in [split for split in distinct(questions.values(), "split") if split.startswith("test")]:
        outcomes, groups = test_outcomes(recipe, dataset, questions, split=split), answer_groups(questions, split)
        compared = scoring.compare(outcomes, HEADLINE, groups=groups, confidence=settings.confidence)
        rows += [{"split": split} | row for row in compared]
    return rows


def transfer_table(rows: Sequence[Row], settings: Settings) -> Table:
    """`compare_transfer` for reading: a row for each pair of arms and scoring, a column for each test."""
    if len(distinct(rows, "split")) < 2:
        return Table([{"arms": "this benchmark has no transfer tests, or the recipe runs no two of these arms"}])
    cells = [
        {"arms": pair_name(row["first"], row["second"]), "measure": row["measure"]}
        | {"test": f"{row['split']} ({row['n']} questions)", "cell": points_and_reservation(row, settings)}
        for row in rows
    ]
    return Table(wide(cells, ["arms", "measure"], "test", "cell"))


def answer_groups(questions: Questions, split: str = "test") -> list[str]:
    """What test questions share, in the order of `test_outcomes`: the words of the right option, since a student that
    lacks one fact fails all questions that turn on it. Open answers, and options that are the same for most, such as
    yes, no and maybe, are of no one fact, so each question is for itself.
    """
    rows = [questions[name] for name in sorted(questions) if questions[name]["split"] == split]
    shared = Counter(frozenset(map(str.lower, row["choices"]["text"])) for row in rows)
    differ = max(shared.values(), default=0) <= len(rows) / 2
    return [prompts.answer_text(row, row["answer"]).lower() if differ else row["id"] for row in rows]


def compare_in_variants(recipe: Recipe, dataset: str, questions: Questions, settings: Settings) -> list[Row]:
    """The comparisons between arms in every variant, corrected for their whole number. An arm that a variant is not run
    for is taken from another, but only where that is fair (`Recipe.comparable`).
    """
    pairs = []
    for variant in (MAIN, *recipe.variants):
        trained = {*recipe.trained_arms(variant)}
        comparable = {arm for arm in recipe.arms if recipe.comparable(arm, variant)}
        pairs += [
            ((variant, first), (variant, second))
            for first, second in (*HEADLINE, *OTHER_ARMS)
            if {first, second} & trained and {first, second} <= comparable
        ]
    return _compared(recipe, dataset, questions, settings, pairs)


def compare_in_sweep(recipe: Recipe, dataset: str, questions: Questions, settings: Settings, key: str) -> list[Row]:
    """Every arm with itself, at the greatest and at the least value of a numeric key, in each sweep of that key: rows
    as of `compare_in_variants`. Only seeds that both were run with count.
    """
    pairs = []
    for sweep in recipe.sweeps().get(key, []):
        least, most = (pick(sweep, key=lambda name: getattr(recipe.settings(variant=name), key)) for pick in (min, max))
        arms = [arm for arm in recipe.trained_arms(most) if arm in recipe.trained_arms(least)]
        pairs += [((most, arm), (least, arm)) for arm in arms]
    seeds = min((len(recipe.seeds_of(variant)) for pair in pairs for variant, _ in pair), default=None)
    return _compared(recipe, dataset, questions, settings, pairs, seeds)


def _compared(
    recipe: Recipe, dataset: str, questions: Questions, settings: Settings, pairs: Sequence, seeds: int | None = None
) -> list[Row]:
    """Pairs of (variant, arm), tested: rows of `compare` with `variant`, the first one's, and `first of` and `second
    of`, the variants that the runs are of. `seeds`: how many count; None: all.
    """
    outcomes = {
        ((variant, arm), measure): right[:seeds]
        for variant in dict.fromkeys(variant for pair in pairs for variant, _ in pair)
        for (arm, measure), right in test_outcomes(recipe, dataset, questions, variant).items()
    }
    rows = []
    for row in compare(outcomes, settings, questions, pairs):
        arms = {"variant": row["first"][0]}
        for side in ("first", "second"):
            variant, arm = row[side]
            arms |= {side: arm, f"{side} of": recipe.taken_from(arm, variant)}
        rows.append(row | arms)
    return rows


def of_pairs(rows: Iterable[Row], pairs: Sequence[tuple[str, str]], measure: str = "") -> list[Row]:
    """The comparisons between these arms, (first, second), by one measure or by all."""
    return [row for row in rows if (row["first"], row["second"]) in pairs and measure in ("", row["measure"])]


def comparison_table(comparisons: Sequence[Row], settings: Settings, *, by_seed: bool = False) -> Table:
    """Comparisons for readers: arms by name, intervals in one column, what each says; or those of the single seeds."""
    if not comparisons:
        return Table([{"arms": "this recipe runs no two arms to compare"}])
    rows = [
        row
        | {"arms": _pair_of_variants(row), "points": row["difference"], "interval": _ends(row)}
        | {"the first is": DIRECTIONS[direction(row, settings)]}
        for row in comparisons
    ]
    tests = ["points", "interval", "error questions", "error seeds", "p corrected", "the first is"]
    show = ["arms", "measure", *(["by seed", "McNemar p by seed"] if by_seed else tests)]
    show = [*(name for name in ("variant", "split") if name in rows[0]), *show]
    formats = {"points": "{:+z.1f}", "error questions": "{:.1f}", "error seeds": "{:.1f}", "p corrected": "{:.2g}"}
    return Table(rows, formats, show)


def _pair_of_variants(row: Row) -> str:
    """`pair_name`, with the variant of an arm that is taken from another one than the row's."""
    second = "itself" if row["first"] == row["second"] else arm_name(row["second"])
    sources = [row.get(name) for name in ("first of", "second of")]
    first_of, second_of = (f" (of {source})" if source != row.get("variant") else "" for source in sources)
    return f"{arm_name(row['first'])}{first_of} minus {second}{second_of}"


def variants_summary(
    comparisons: Sequence[Row], settings: Settings, pairs: Sequence[tuple[str, str]] = HEADLINE[:1]
) -> str:
    """A pair's difference in each variant, from the rows of `compare_in_variants`, a sentence a pair."""
    sentences = []
    for pair in pairs:
        if rows := of_pairs(comparisons, [pair], "generated"):
            differences = "; ".join(f"{row['variant']} {points_and_reservation(row, settings)}" for row in rows)
            sentences.append(
                f"Difference in generated accuracy by variant, {pair_name(*pair)}, in percentage points: {differences}."
            )
    return " ".join(sentences)


def direction(row: Row, settings: Settings) -> str:
    """Where the first arm stands to the second, one of DIRECTIONS: the one rule of every verdict, sentence and figure.

    Above or below: the corrected p is below one minus the confidence. No different: it is not, and the interval holds
    zero and lies within the declared margin (two one-sided tests, Schuirmann 1987, at half of one minus the confidence
    each). Fewer seeds than MIN_SEEDS tell nothing.
    """
    above, below, no_different, not_told_apart, too_few_seeds = DIRECTIONS
    if row["seeds"] < MIN_SEEDS:
        return too_few_seeds
    if row["p corrected"] < 1 - settings.confidence:
        return above if row["difference"] > 0 else below
    return no_different if -settings.margin <= row["low"] <= 0 <= row["high"] <= settings.margin else not_told_apart


def points(row: Row) -> str:
    """A difference with its interval."""
    return f"{row['difference']:+z.1f} ({_ends(row)})"


def _ends(row: Row) -> str:
    return f"{row['low']:+z.1f} to {row['high']:+z.1f}"


def points_and_reservation(row: Row, settings: Settings) -> str:
    """A difference with its interval and, where it is neither above nor below, what it is."""
    reservation = DIRECTIONS[direction(row, settings)]
    return points(row) if reservation in ("above", "below") else f"{points(row)}, {reservation}"


def would_settle(row: Row, settings: Settings) -> str:
    """How many questions or seeds would settle a difference that is not told apart, if it stays what it was: find, with
    a chance of POWER, that it is not zero, after the same correction, or that it is within the margin. The error over
    questions shrinks with their number, if their right answers are others, that over seeds with theirs.
    """

    def enough(size: float, seeds: int) -> bool:
        """Whether `size` times the questions and so many seeds would settle it."""
        errors = {"error questions": row["error questions"] / size**0.5}
        errors["error seeds"] = row["error seeds"] * (row["seeds"] / seeds) ** 0.5
        larger = row | errors | {"groups": row["groups"] * size, "seeds": seeds}
        df, error = scoring.tested(larger, settings.confidence)["df"], hypot(*errors.values())
        difference, alpha = abs(row["difference"]), 1 - settings.confidence
        not_zero = (stats.t.isf(alpha / 2 / row["comparisons"], df) + stats.norm.ppf(POWER)) * error
        within = (stats.t.isf(alpha / 2, df) + stats.norm.ppf((1 + POWER) / 2)) * error
        return difference >= not_zero or settings.margin - difference >= within

    if enough(1.0, row["seeds"]):
        return "as many further test questions and seeds"
    sizes = [1.1**step for step in range(1, 90)]  # up to some five thousand times as many
    ways = []
    if size := next((size for size in sizes if enough(size, row["seeds"])), None):
        ways.append(_more_questions(row, size))
    if seeds := next((seeds for seeds in range(row["seeds"] + 1, 1000) if enough(1.0, seeds)), None):
        ways.append(f"about {seeds} seeds")
    both = next((size for size in sizes if enough(size, ceil(row["seeds"] * size))), sizes[-1])
    return " or ".join(ways) or f"{_more_questions(row, both)} and {ceil(row['seeds'] * both)} seeds"


def _more_questions(row: Row, size: float) -> str:
    """`size` times the questions of a difference, rounded up to two digits."""
    number = row["n"] * size
    step = 10 ** max(0, floor(log10(number)) - 1)
    others = " with other right answers" if row["groups"] < row["n"] else ""
    return f"about {ceil(number / step) * step:,} test questions{others}"


def differences_figure(rows: Sequence[Row], settings: Settings) -> Picture:
    """A forest plot of `compare` or `compare_in_variants`. A filled mark: `direction` tells the arms apart. Shaded: the
    margin within which arms are called no different. Raises ValueError where there are no rows.
    """
    variants = list(dict.fromkeys(row.get("variant", "") for row in rows))
    pairs = [pair for pair in COMPARED if of_pairs(rows, [pair])]
    titles = [textwrap.fill(pair_name(*pair), 24) for pair in pairs]
    size = (1.8 + 2.3 * len(pairs), 1.7 + 0.42 * len(variants))
    figure, axes = panels(titles, size, rows=variants, xlabel="percentage points")
    for panel, pair in zip(axes, pairs, strict=True):
        panel.axvline(0, **REFERENCE_LINE)
        panel.axvspan(-settings.margin, settings.margin, color="#888888", alpha=0.15, lw=0)
        for row in of_pairs(rows, [pair]):
            marker, colour = MARKS[row["measure"]]
            position = variants.index(row.get("variant", "")) + OFFSETS[row["measure"]]
            values = row["difference"], row["low"], row["high"]
            filled = direction(row, settings) in ("above", "below")
            draw_interval(panel, values, position, color=colour, marker=marker, filled=filled)
    measures = ordered(row["measure"] for row in rows)
    legend_below(figure, [legend_mark(measure, *MARKS[measure]) for measure in measures], 2)
    spans = "; ".join(_span(pair, rows, settings) for pair in pairs)
    return Picture(figure, f"Differences in percentage points, by variant: {spans}.")


def _span(pair: tuple[str, str], rows: Sequence[Row], settings: Settings) -> str:
    """From least to greatest, and in how many variants the first arm is above, as written by the student."""
    rows = sorted(of_pairs(rows, [pair], "generated"), key=lambda row: row["difference"])
    if not rows:
        return f"{pair_name(*pair)}, ranked only"
    above = sum(direction(row, settings) == "above" for row in rows)
    ends = (rows[0], rows[-1])
    least, most = (f"{row['difference']:+.1f}" + (f" ({row['variant']})" if "variant" in row else "") for row in ends)
    span = least if len(rows) == 1 else f"from {least} to {most}"
    return f"{pair_name(*pair)}, generated, {span}, significantly above zero in {above} of {len(rows)}"


def common_comparisons(here: Sequence[Row], there: Sequence[Row]) -> list[Row]:
    """The comparisons that two studies have in common: the second's rows of `differences.compare`, with the first's
    difference, `predicted`, and whether it is `settled`, its interval without zero."""
    key, columns = ["first", "second", "measure"], ["difference", "low", "high"]
    here, there = (pd.DataFrame(rows, columns=[*key, *columns]) for rows in (here, there))
    both = there.merge(here, on=key, suffixes=("", " here"))
    both = both.assign(predicted=both["difference here"], settled=(both["low here"] > 0) | (both["high here"] < 0))
    return both[[*key, *columns, "predicted", "settled"]].to_dict("records")


def agreement_summary(rows: Sequence[Row], here: str, there: str) -> str:
    """Whether the first study predicts the order of the arms in the second, in two sentences."""
    if len(rows) < 2:
        return f"{here} and {there} have no two comparisons in common, so neither can predict the other."
    settled = [row for row in rows if row["settled"]]
    same = [row for row in settled if row["predicted"] * row["difference"] > 0]
    opposite = [
        f"{pair_name(row['first'], row['second'])}, {row['measure']}, {row['predicted']:+z.1f} on {here} and "
        f"{row['difference']:+z.1f} on {there}"
        for row in settled
        if interval_side(row, 0) == ("below" if row["predicted"] > 0 else "above")
    ]
    rank = stats.spearmanr([row["predicted"] for row in rows], [row["difference"] for row in rows]).statistic
    return (
        f"On {here}, {plural(len(settled), 'difference')} between arms can be distinguished from zero. "
        f"On {there}, {len(same)} of these have the same sign; {len(opposite)} have the opposite sign and an interval "
        f"that excludes zero{in_brackets(opposite)}. "
        f"The rank correlation of all {len(rows)} differences is {rank:.2f}."
    )


def agreement_figure(rows: Sequence[Row], here: str, there: str) -> Picture:
    """Differences of one study over those of another, with the other's intervals. Raises ValueError without rows."""
    if not rows:
        raise ValueError("agreement_figure: found no rows, allowed: at least one comparison in common")
    figure, axes = plt.subplots(figsize=(7.4, 5.2))
    axes.axhline(0, **REFERENCE_LINE)
    axes.axvline(0, **REFERENCE_LINE)
    pairs = [pair_name(row["first"], row["second"]) for row in rows]
    markers = dict(zip(dict.fromkeys(pairs), itertools.cycle("os^DvPX*"), strict=False))
    for row, pair in zip(rows, pairs, strict=True):
        values, (_, colour) = (row["difference"], row["low"], row["high"]), MARKS[row["measure"]]
        draw_interval(axes, values, row["predicted"], upright=True, color=colour, marker=markers[pair])
    axes.set(xlabel=f"difference on {here}, percentage points", ylabel=f"difference on {there}, percentage points")
    legend = [legend_mark(pair, marker) for pair, marker in markers.items()]
    legend += [plt.Line2D([], [], color=colour, label=measure) for measure, (_, colour) in MARKS.items()]
    legend_below(figure, legend, 1)
    return Picture(figure, agreement_summary(rows, here, there))
