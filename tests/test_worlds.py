"""One study on several tests, and one comparison in two worlds."""

import pandas as pd
import pytest

from scicot_utils import report
from scicot_utils.recipe import MAIN

CHANCE, LINES = {"ARC-Easy": 0.25}, {"ARC-Easy": ("a large one", 0.726), "GSM8K": ("a large one", 0.5)}


def metric(arm, split, value, measure="generated", seed=0, variant=MAIN):
    run = {"dataset": "ARC-Challenge", "arm": arm, "variant": variant, "seed": seed, "split": split}
    return run | {"metric": measure, "value": value, "low": value - 0.1, "high": value + 0.1, "n": 100}


FRAME = pd.DataFrame([
    metric("random", "test", 0.25),
    metric("two_stage", "validation", 0.9),
    metric("two_stage", "test", 0.3), metric("two_stage", "test", 0.4, "ranked"),
    metric("two_stage", "test_ARC-Easy", 0.5), metric("two_stage", "test_ARC-Easy", 0.85, "ranked"),
    metric("answer_only", "test", 0.2), metric("answer_only", "test", 0.9, variant="fast"),
    metric("two_stage", "test_forms", 0.1),
])  # fmt: skip


def test_every_test_has_the_name_of_its_benchmark():
    assert report.tests_of("ARC-Challenge", FRAME) == {
        "test": "ARC-Challenge", "test_ARC-Easy": "ARC-Easy", "test_forms": "test_forms",
    }  # fmt: skip


def test_arms_stand_beside_each_other_on_every_test_with_the_interval_of_one_seed():
    rows = report.by_test("ARC-Challenge", FRAME)
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
    alt = report.by_test_figure(rows, CHANCE, LINES).alt
    assert "ARC-Easy (100 questions, 1 seed): two-stage (Sci-CoT) 50.0% generated, 85.0% ranked." in alt


def test_published_figures_stand_beside_the_same_arm_on_the_same_task():
    published = report.published()
    beside = report.published_beside(published, [("GPT-3", "6.7B")])
    assert beside["SingleEq", "rationale_answer"] == {"GPT-3 6.7B": pytest.approx(0.2039)}
    assert beside["SingleEq", "teacher"] == {"text-davinci-002 175B": pytest.approx(0.815)}
    assert not [arm for _, arm in beside if arm == "two_stage"]
    rows = [metric("rationale_answer", "test", 0.3), metric("two_stage", "test", 0.4)]
    rows = report.by_test("SingleEq", pd.DataFrame(rows).assign(dataset="SingleEq"))
    [first, second] = report.beside_table(rows, beside).frame.to_dict("records")
    assert (first["measured"], first["interval"]) == (0.3, "20.0–40.0%")
    assert first["published, GPT-3 6.7B"] == pytest.approx(0.2039) and second["published, GPT-3 6.7B"] is None
    with_marks, without = (report.by_test_figure(rows, {}, {}, figures).svg for figures in (beside, None))
    assert len(with_marks) > len(without)


def test_a_result_of_fewer_questions_says_so_in_its_cell_and_several_seeds_have_the_least_and_the_greatest():
    few = metric("two_stage", "test", 0.3) | {"n": 57}
    rows = report.by_test("ARC-Challenge", pd.DataFrame([metric("answer_only", "test", 0.2), few]))
    table = report.by_test_table(rows).frame
    assert list(table["ARC-Challenge (100 questions)"]) == ["20.0% (10.0–30.0%)", "30.0% (20.0–40.0%, 57 questions)"]
    frame = pd.DataFrame([metric("two_stage", "test", value, seed=seed) for seed, value in enumerate((0.2, 0.4))])
    [row] = report.by_test("ARC-Challenge", frame)
    assert (row["mean"], row["low"], row["high"], row["seeds"]) == pytest.approx((0.3, 0.2, 0.4, 2))


def test_results_whose_interval_excludes_chance_are_listed():
    rows = report.by_test("ARC-Challenge", FRAME)
    assert report.chance_summary(rows, CHANCE | {"ARC-Challenge": 0.5}, ["two_stage", "answer_only"]) == (
        "2 of 5 results lie above chance (two-stage (Sci-CoT) on ARC-Easy, generated, 50.0%; "
        "two-stage (Sci-CoT) on ARC-Easy, ranked, 85.0%). "
        "2 of 5 results lie below chance (answer only on ARC-Challenge, generated, 20.0%; "
        "two-stage (Sci-CoT) on ARC-Challenge, generated, 30.0%)."
    )


def test_a_published_line_is_passed_only_where_the_whole_interval_lies_above_it():
    rows = report.by_test("ARC-Challenge", FRAME)
    assert report.reference_summary(rows, LINES, "two_stage") == (
        "ARC-Easy, a large one 72.6%: two-stage (Sci-CoT) 50.0% generated, its interval lies below that accuracy; "
        "85.0% ranked, its interval lies above that accuracy."
    )
    around = report.by_test("ARC-Challenge", pd.DataFrame([metric("two_stage", "test_ARC-Easy", 0.7)]))
    assert "its interval includes that accuracy" in report.reference_summary(around, LINES, "two_stage")


def test_chance_and_published_figures_are_of_a_test():
    fairness = [{"dataset": "ARC-Challenge", "split": split, "chance": 0.25} for split in ("test", "test_ARC-Easy")]
    assert report.chances([*fairness, {"dataset": "X", "split": "test", "chance": 0.5}], "ARC-Challenge") == {
        "ARC-Challenge": 0.25, "ARC-Easy": 0.25,
    }  # fmt: skip
    lines = report.reference_lines(report.published("arc"), "BLOOM", "zero-shot")
    assert lines["ARC-Easy"] == ("BLOOM-176B zero-shot", pytest.approx(0.726)) and len(lines) == 2


def compared(first, second, difference, measure="generated", width=2.0):
    ends = {"low": difference - width, "high": difference + width}
    return {"first": first, "second": second, "measure": measure, "difference": difference} | ends


HERE = [compared("two_stage", "answer_only", 20.0), compared("two_stage", "rationale_answer", 10.0),
        compared("rationale_answer", "answer_only", 1.0), compared("multitask", "answer_only", 9.0)]  # fmt: skip
THERE = [compared("two_stage", "answer_only", -15.0), compared("two_stage", "rationale_answer", 4.0),
         compared("rationale_answer", "answer_only", -20.0)]  # fmt: skip


def test_what_one_world_foretells_of_another_is_counted():
    rows = report.common_comparisons(HERE, THERE)
    assert [(row["predicted"], row["difference"], row["settled"]) for row in rows] == [
        (20.0, -15.0, True), (10.0, 4.0, True), (1.0, -20.0, False),
    ]  # fmt: skip
    summary = report.agreement_summary(rows, "A", "B")
    assert summary.startswith(
        "On A, 2 differences between arms can be distinguished from zero. On B, 1 of these have the same sign; 1 have the "
        "opposite sign and an interval that excludes zero (two-stage (Sci-CoT) minus answer only, generated, +20.0 on A and -15.0 on B)."
    )
    assert summary.endswith("The rank correlation of all 3 differences is 0.50.")
    assert report.agreement_figure(rows, "A", "B").alt == summary


def test_nothing_in_common_is_said():
    assert "no two comparisons in common" in report.agreement_summary(report.common_comparisons(HERE, []), "A", "B")
    with pytest.raises(ValueError, match="found no rows"):
        report.agreement_figure([], "A", "B")
    with pytest.raises(ValueError, match="found no rows"):
        report.by_test_figure([], {}, {})
