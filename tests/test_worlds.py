"""One study on several tests, and one comparison in two worlds."""

import pandas as pd
import pytest

from scicot_utils import recipe, report
from scicot_utils.recipe import MAIN

PLAN = recipe.load("arc_gemini_thin")
CHANCE, LINES = {"ARC-Easy": 0.25}, {"ARC-Easy": ("a large one", 0.726), "GSM8K": ("a large one", 0.5)}


def metric(arm, split, value, measure="generated", seed=0, variant=MAIN):
    named = {"dataset": "ARC-Challenge", "arm": arm, "variant": variant, "seed": seed, "split": split}
    return named | {"metric": measure, "value": value, "low": value - 0.1, "high": value + 0.1, "n": 100}


FRAME = pd.DataFrame([
    metric("random", "test", 0.25),
    metric("two_stage", "validation", 0.9),
    metric("two_stage", "test", 0.3), metric("two_stage", "test", 0.4, "ranked"),
    metric("two_stage", "test_ARC-Easy", 0.5), metric("two_stage", "test_ARC-Easy", 0.85, "ranked"),
    metric("answer_only", "test", 0.2), metric("answer_only", "test", 0.9, variant="fast"),
    metric("two_stage", "test_forms", 0.1),
])  # fmt: skip


def test_every_test_has_the_name_of_its_benchmark():
    assert report.tests_of(PLAN, "ARC-Challenge", FRAME) == {
        "test": "ARC-Challenge", "test_ARC-Easy": "ARC-Easy", "test_forms": "test_forms",
    }  # fmt: skip


def test_arms_stand_beside_each_other_on_every_test_with_the_interval_of_one_seed():
    rows = report.by_test(PLAN, "ARC-Challenge", FRAME)
    assert [(row["arm"], row["scoring"], row["test"], row["mean"]) for row in rows] == [
        ("answer_only", "generated", "ARC-Challenge", 0.2),
        ("two_stage", "generated", "ARC-Challenge", 0.3),
        ("two_stage", "ranked", "ARC-Challenge", 0.4),
        ("two_stage", "generated", "ARC-Easy", 0.5),
        ("two_stage", "ranked", "ARC-Easy", 0.85),
        ("two_stage", "generated", "test_forms", 0.1),
        ("random", "generated", "ARC-Challenge", 0.25),
    ]
    assert (rows[1]["low"], rows[1]["high"]) == pytest.approx((0.2, 0.4))
    table = report.by_test_table(rows).frame.to_dict("records")
    assert table[0] == {
        "arm": "answer only", "scoring": "generated", "ARC-Challenge (100 questions)": "20.0% (10.0–30.0%)",
        "ARC-Easy (100 questions)": "–", "test_forms (100 questions)": "–",
    }  # fmt: skip
    told = report.by_test_figure(rows, CHANCE, LINES).alt
    assert "ARC-Easy (100 questions, 1 seed): two-stage (Sci-CoT) 50.0% generated, 85.0% ranked." in told


def test_several_seeds_have_the_least_and_the_greatest():
    frame = pd.DataFrame([metric("two_stage", "test", value, seed=seed) for seed, value in enumerate((0.2, 0.4))])
    [row] = report.by_test(PLAN, "ARC-Challenge", frame)
    assert (row["mean"], row["low"], row["high"], row["seeds"]) == pytest.approx((0.3, 0.2, 0.4, 2))


def test_a_published_line_is_passed_only_where_the_whole_interval_lies_above_it():
    rows = report.by_test(PLAN, "ARC-Challenge", FRAME)
    assert report.lines_told(rows, LINES, "two_stage") == (
        "ARC-Easy, a large one 72.6%: two-stage (Sci-CoT) 50.0% generated, its interval below that figure; "
        "85.0% ranked, its interval above that figure."
    )
    around = report.by_test(PLAN, "ARC-Challenge", pd.DataFrame([metric("two_stage", "test_ARC-Easy", 0.7)]))
    assert "its interval around that figure" in report.lines_told(around, LINES, "two_stage")


def compared(first, second, difference, measure="generated", width=2.0):
    ends = {"low": difference - width, "high": difference + width}
    return {"first": first, "second": second, "measure": measure, "difference": difference} | ends


HERE = [compared("two_stage", "answer_only", 20.0), compared("two_stage", "rationale_answer", 10.0),
        compared("rationale_answer", "answer_only", 1.0), compared("multitask", "answer_only", 9.0)]  # fmt: skip
THERE = [compared("two_stage", "answer_only", -15.0), compared("two_stage", "rationale_answer", 4.0),
         compared("rationale_answer", "answer_only", -20.0)]  # fmt: skip


def test_what_one_world_foretells_of_another_is_counted():
    rows = report.beside(HERE, THERE)
    assert [(row["foretold"], row["difference"], row["settled"]) for row in rows] == [
        (20.0, -15.0, True), (10.0, 4.0, True), (1.0, -20.0, False),
    ]  # fmt: skip
    told = report.beside_told(rows, "A", "B")
    assert told.startswith(
        "Of the 2 differences between arms that A tells from zero, 1 have the same sign on B; 1 have the other sign with an "
        "interval that leaves zero out (two-stage (Sci-CoT) minus answer only, generated, +20.0 in A and -15.0 on B)."
    )
    assert told.endswith("The rank correlation of all 3 differences is 0.50.")
    assert report.beside_figure(rows, "A", "B").alt == told


def test_nothing_in_common_is_said():
    assert "no two comparisons in common" in report.beside_told(report.beside(HERE, []), "A", "B")
    with pytest.raises(ValueError, match="found no rows"):
        report.beside_figure([], "A", "B")
    with pytest.raises(ValueError, match="found no rows"):
        report.by_test_figure([], {}, {})
