"""One study on several tests, and one comparison in two worlds: what carries over from benchmark to benchmark."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd
from scipy import stats

from scicot_utils.recipe import ELSEWHERE, MAIN, TRANSFER
from scicot_utils.report.differences import MEASURES
from scicot_utils.report.results import over_seeds, where
from scicot_utils.report.style import ARMS, Picture, Table, arm_name, interval, legend_below, panels, percent, plural
from scicot_utils.tables import Row

PUBLISHED_AS = {  # the methods of Fine-tune-CoT's tables, as arms
    "zero-shot": "zero_shot",
    "few-shot CoT": "few_shot_cot",
    "fine-tuning on answers": "answer_only",
    "Fine-tune-CoT": "rationale_answer",
    "zero-shot CoT (teacher)": "teacher",
}
SHOWN = ("two_stage", "rationale_answer", "answer_only")  # the arms that a figure's alternative text tells of


def tests_of(dataset: str, frame: pd.DataFrame) -> dict[str, str]:
    """Split → what is tested there, for every test that a benchmark's students answered: the benchmark itself, another
    one (`tested_on`), or a transfer test by its own name. `frame`: metrics.csv."""
    found = dict.fromkeys(where(frame, dataset=dataset)["split"])
    return {split: _tested(split, dataset) for split in found if split.startswith("test")}


def _tested(split: str, dataset: str) -> str:
    return dataset if split == "test" else split if split in TRANSFER else split.removeprefix(ELSEWHERE)


def chances(fairness: Iterable[Row], dataset: str) -> dict[str, float]:
    """Test → share of its questions that a random guess answers right; `fairness`: rows of the table 01_fairness."""
    own = [row for row in fairness if row["dataset"] == dataset]
    return {_tested(row["split"], dataset): row["chance"] for row in own}


def reference_lines(published: pd.DataFrame, model: str, method: str) -> dict[str, tuple[str, float]]:
    """Test → (name, share) of what another model is published to reach there; `published`: see `published("arc")`."""
    own = where(published, model=model, method=method)
    return {row["task"]: (f"{model}-{row['size']} {method}", row["accuracy"] / 100) for row in own.to_dict("records")}


def by_test(dataset: str, frame: pd.DataFrame) -> list[Row]:
    """Accuracy of each arm of the main variant on each test: rows with `arm`, `scoring`, `test`, `mean`, `low`, `high`,
    `seeds` and `n`.

    `low` and `high`: the interval over questions (Wilson) where there is one seed, else the least and greatest seed.
    """
    rows = []
    main = where(frame, dataset=dataset, variant=MAIN)
    for split, test in tests_of(dataset, frame).items():
        for scoring in ("generated", "ranked"):
            own = where(main, split=split, metric=scoring)
            for one in over_seeds(own, ["arm"]).to_dict("records"):
                first = where(own, arm=one["arm"]).iloc[0]
                single = one["seeds"] == 1
                low, high = (first["low"], first["high"]) if single else (one["min"], one["max"])
                row = {"arm": one["arm"], "scoring": scoring, "test": test, "mean": one["mean"]}
                rows.append(row | {"low": low, "high": high, "seeds": int(one["seeds"]), "n": int(one["n"])})
    return [row for arm in ARMS for row in rows if row["arm"] == arm]


def by_test_table(rows: Sequence[Row]) -> Table:
    """`by_test` for reading: a row for each arm and scoring, a column for each test."""
    most = {row["test"]: max(other["n"] for other in rows if other["test"] == row["test"]) for row in rows}
    found: dict[tuple[str, str], Row] = {}
    for row in rows:
        fewer = f", {row['n']} questions" if row["n"] < most[row["test"]] else ""
        cell = f"{percent(row['mean'])} ({interval(row['low'], row['high'])}{fewer})"
        of_arm = found.setdefault((row["arm"], row["scoring"]), {})
        of_arm[f"{row['test']} ({most[row['test']]} questions)"] = cell
    columns = dict.fromkeys(column for cells in found.values() for column in cells)
    return Table(
        {"arm": arm_name(arm), "scoring": scoring} | {column: cells.get(column, "–") for column in columns}
        for (arm, scoring), cells in found.items()
    )


Beside = Mapping[tuple[str, str], Mapping[str, float]]  # (test, arm) → whose published figure → share


def published_beside(published: pd.DataFrame, students: Sequence[tuple[str, str]]) -> Beside:
    """What is published of an arm on a test, of some `students` (model, size) and of the teacher; see `published()`."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for row in published.to_dict("records"):
        arm, whose = PUBLISHED_AS.get(row["method"], ""), (row["model"], row["size"])
        if arm and (arm == "teacher" or whose in students):
            found.setdefault((row["task"], arm), {})[" ".join(whose)] = row["accuracy"] / 100
    return found


def beside_table(rows: Sequence[Row], beside: Beside) -> Table:
    """Accuracies of `by_test` with what is published of the same arm on the same test, a row for each of both."""
    names = list(dict.fromkeys(name for found in beside.values() for name in found))
    shown = [
        {
            "task": row["test"],
            "arm": arm_name(row["arm"]),
            "measured": row["mean"],
            "interval": interval(row["low"], row["high"]),
            "questions": row["n"],
        }
        | {f"published, {name}": beside.get((row["test"], row["arm"]), {}).get(name) for name in names}
        for row in rows
    ]
    return Table(shown, dict.fromkeys(("measured", *(f"published, {name}" for name in names)), "{:.1%}"))


def by_test_figure(
    rows: Sequence[Row],
    chance: Mapping[str, float],
    lines: Mapping[str, tuple[str, float]],
    beside: Beside | None = None,
) -> Picture:
    """`by_test` as a panel for each test, arms from top to bottom. Raises ValueError where there are no rows.

    `chance`: test → share that a guess is right; `lines`: test → (name, share) of a published figure to compare with;
    `beside`: published figures of the arms themselves.
    """
    if not rows:
        raise ValueError("by_test_figure: found no rows, allowed: at least one arm on one test")
    tests = list(dict.fromkeys(row["test"] for row in rows))
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    figure, axes = panels(tests, (2.4 + 2.6 * len(tests), 1.6 + 0.45 * len(arms)), sharex=True)
    names = dict.fromkeys(name for found in (beside or {}).values() for name in found)
    marks = dict(zip(names, itertools.cycle(("D", "s", "^", "v", "P", "X")), strict=False))
    for panel, test in zip(axes, tests, strict=True):
        for row in [row for row in rows if row["test"] == test]:
            filled = row["scoring"] == "generated"
            place, colour = arms.index(row["arm"]) + (-0.17 if filled else 0.17), ARMS[row["arm"]].colour
            panel.hlines(place, 100 * row["low"], 100 * row["high"], color=colour, lw=2)
            panel.plot(100 * row["mean"], place, "o", color=colour, mfc=colour if filled else "white", ms=6)
        for (_, arm), found in ((key, found) for key, found in (beside or {}).items() if key[0] == test):
            for name, share in found.items():
                if arm in arms:
                    panel.plot(100 * share, arms.index(arm), marks[name], color="#333333", mfc="none", ms=7)
        if test in chance:
            panel.axvline(100 * chance[test], color="#555555", ls=":", lw=1.2)
        if test in lines:
            panel.axvline(100 * lines[test][1], color="#555555", ls="--", lw=1.2)
        panel.set(xlabel="right answers, %", xlim=(-3, 103), ylim=(len(arms) - 0.5, -0.5))
        panel.grid(axis="y", visible=False)
    axes[0].set_yticks(range(len(arms)), [ARMS[arm].label for arm in arms])
    legend = [
        plt.Line2D([], [], ls="", marker="o", color="#333333", label="generated"),
        *([plt.Line2D([], [], ls="", marker="o", color="#333333", mfc="white", label="ranked")] if any(row["scoring"] == "ranked" for row in rows) else []),
        *(plt.Line2D([], [], ls="", marker=mark, color="#333333", mfc="none", label=f"published, {name}") for name, mark in marks.items()),
        *([plt.Line2D([], [], ls=":", color="#555555", label="chance")] if chance else []),
        *(plt.Line2D([], [], ls="--", color="#555555", label=name) for name in dict.fromkeys(name for name, _ in lines.values())),
    ]  # fmt: skip
    legend_below(figure, legend, 4)
    return Picture(
        figure, f"Right answers on each test. {by_test_summary(rows, [arm for arm in arms if arm in SHOWN])}"
    )


def by_test_summary(rows: Sequence[Row], arms: Iterable[str]) -> str:
    """The accuracies of some arms on each test, as a sentence for each test."""
    told, arms = [], list(arms)
    for test in dict.fromkeys(row["test"] for row in rows):
        parts = []
        for arm in arms:
            means = {row["scoring"]: row["mean"] for row in rows if (row["test"], row["arm"]) == (test, arm)}
            if means:
                parts.append(f"{arm_name(arm)} {', '.join(f'{percent(mean)} {how}' for how, mean in means.items())}")
        of_test = next(row for row in rows if row["test"] == test)
        if parts:
            told.append(f"{test} ({of_test['n']} questions, {plural(of_test['seeds'], 'seed')}): {'; '.join(parts)}.")
    return " ".join(told)


def chance_summary(rows: Sequence[Row], chance: Mapping[str, float], arms: Iterable[str]) -> str:
    """Which results of `arms` have an interval that excludes chance, in two sentences; `chance` as in `by_test_figure`."""
    own = [row for row in rows if row["arm"] in {*arms} and row["test"] in chance]
    sides = {
        "above": [row for row in own if row["low"] > chance[row["test"]]],
        "below": [row for row in own if row["high"] < chance[row["test"]]],
    }
    told = []
    for side, found in sides.items():
        listed = "; ".join(
            f"{arm_name(row['arm'])} on {row['test']}, {row['scoring']}, {percent(row['mean'])}" for row in found
        )
        told.append(f"{len(found)} of {len(own)} results lie {side} chance{f' ({listed})' if listed else ''}.")
    return " ".join(told)


def reference_summary(rows: Sequence[Row], lines: Mapping[str, tuple[str, float]], arm: str) -> str:
    """Whether an arm passes a published figure, a sentence for each test that has one; `lines` as in `by_test_figure`."""
    told = []
    for test, (name, share) in lines.items():
        found = [row for row in rows if (row["test"], row["arm"]) == (test, arm)]
        stands = [f"{percent(row['mean'])} {row['scoring']}, its interval {_against(row, share)}" for row in found]
        if stands:
            told.append(f"{test}, {name} {percent(share)}: {arm_name(arm)} {'; '.join(stands)}.")
    return " ".join(told)


def _against(row: Row, share: float) -> str:
    if row["low"] <= share <= row["high"]:
        return "includes that figure"
    return f"lies {'above' if row['low'] > share else 'below'} that figure"


def common_comparisons(here: Sequence[Row], there: Sequence[Row]) -> list[Row]:
    """The comparisons that two studies have in common, from their rows of `differences.compare`: `first`, `second`,
    `measure`, and of the second study's `difference`, `low`, `high`; of the first `predicted` and whether `settled`, its
    interval without zero."""
    found = {(row["first"], row["second"], row["measure"]): row for row in here}
    both = [(found[key], row) for row in there if (key := (row["first"], row["second"], row["measure"])) in found]
    return [
        {name: two[name] for name in ("first", "second", "measure", "difference", "low", "high")}
        | {"predicted": one["difference"], "settled": not one["low"] <= 0 <= one["high"]}
        for one, two in both
    ]


def agreement_summary(rows: Sequence[Row], here: str, there: str) -> str:
    """Whether the first study predicts the order of the arms in the second, in two sentences."""
    if len(rows) < 2:
        return f"{here} and {there} have no two comparisons in common, so neither can predict the other."
    settled = [row for row in rows if row["settled"]]
    same = [row for row in settled if row["predicted"] * row["difference"] > 0]
    against = [row for row in settled if row["predicted"] * row["high"] < 0 and row["predicted"] * row["low"] < 0]
    rank = stats.spearmanr([row["predicted"] for row in rows], [row["difference"] for row in rows]).statistic
    listed = "; ".join(
        f"{arm_name(row['first'])} minus {arm_name(row['second'])}, {row['measure']}, {row['predicted']:+z.1f} in {here} and {row['difference']:+z.1f} on {there}"
        for row in against
    )
    return (
        f"{here} has {plural(len(settled), 'difference')} between arms distinguishable from zero. "
        f"{len(same)} of {len(settled)} have the same sign on {there}; "
        f"{len(against)} of {len(settled)} have the opposite sign there, with an interval that excludes zero{f' ({listed})' if listed else ''}. "
        f"The rank correlation of all {len(rows)} differences is {rank:.2f}."
    )


def agreement_figure(rows: Sequence[Row], here: str, there: str) -> Picture:
    """Differences between arms, of one study against those of another, in percentage points, with the second's
    intervals. Raises ValueError where there are no rows."""
    if not rows:
        raise ValueError("agreement_figure: found no rows, allowed: at least one comparison in common")
    figure, axes = plt.subplots(figsize=(7.4, 5.2))
    axes.axhline(0, color="#555555", lw=1.2)
    axes.axvline(0, color="#555555", lw=1.2)
    marks = ("o", "s", "^", "D", "v", "P", "X", "*")
    pairs = list(dict.fromkeys((row["first"], row["second"]) for row in rows))
    for row in rows:
        colour = next(colour for measure, _, _, colour in MEASURES if measure == row["measure"])
        mark = marks[pairs.index((row["first"], row["second"])) % len(marks)]
        axes.vlines(row["predicted"], row["low"], row["high"], color=colour, lw=1.5)
        axes.plot(row["predicted"], row["difference"], mark, color=colour, ms=8)
    axes.set(xlabel=f"difference in {here}, percentage points", ylabel=f"difference on {there}, percentage points")
    legend = [
        plt.Line2D([], [], ls="", marker=marks[i % len(marks)], color="#333333", label=f"{arm_name(one)} minus {arm_name(two)}")
        for i, (one, two) in enumerate(pairs)
    ]  # fmt: skip
    legend += [plt.Line2D([], [], color=colour, label=measure) for measure, _, _, colour in MEASURES]
    legend_below(figure, legend, 1)
    return Picture(figure, agreement_summary(rows, here, there))
