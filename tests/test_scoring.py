"""Scores against published values and against another implementation, and what each output counts for."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats import contingency_tables, proportion

from scicot_utils import scoring
from scicot_utils.tables import METRICS

RIGHT_OR_WRONG = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


# Intervals


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_intervals(successes, n, low, high):
    """Newcombe 1998, Statistics in Medicine 17, table I, method 3."""
    assert scoring.wilson(successes, n, 0.95) == pytest.approx((low, high), abs=5e-5)


@given(n=st.integers(1, 3000), share=st.floats(0, 1), confidence=st.sampled_from((0.8, 0.9, 0.95, 0.99)))
def test_wilson_agrees_with_statsmodels_and_holds_the_share(n, share, confidence):
    successes = round(share * n)
    low, high = scoring.wilson(successes, n, confidence)
    expected = proportion.proportion_confint(successes, n, alpha=1 - confidence, method="wilson")
    assert (low, high) == pytest.approx(expected, abs=1e-9)
    assert 0 <= low <= successes / n + 1e-12 and successes / n - 1e-12 <= high <= 1


def test_a_total_is_foretold_as_often_as_the_confidence_says():
    draws = np.random.default_rng(0)
    held = 0
    for _ in range(1000):
        values = draws.gamma(4.0, 50.0, size=100)
        _, low, high = scoring.total_of_more(values, 500, 0.9)
        held += low <= draws.gamma(4.0, 50.0, size=500).sum() <= high
    assert 0.87 < held / 1000 < 0.93


def test_a_total_of_equal_values_is_certain_and_of_one_value_is_not():
    assert scoring.total_of_more([3.0, 3.0], 10, 0.95) == (30.0, 30.0, 30.0)
    assert scoring.total_of_more([3.0], 10, 0.95) == (30.0, 0.0, np.inf)
    assert scoring.total_of_more([0.0, 9.0], 10, 0.95)[1] == 0.0
    with pytest.raises(ValueError, match="found no values"):
        scoring.total_of_more([], 10, 0.95)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (5, 4), (-1, 4)])
def test_wilson_of_what_cannot_be_is_refused(successes, n):
    with pytest.raises(ValueError, match=f"found {successes} of {n}, allowed: 0 ≤ successes ≤ n"):
        scoring.wilson(successes, n, 0.95)


# Paired tests


@given(pairs=RIGHT_OR_WRONG)
def test_mcnemar_agrees_with_statsmodels_and_does_not_care_for_the_order(pairs):
    first, second = zip(*pairs, strict=True)
    table = [[sum(a is x and b is y for a, b in pairs) for y in (True, False)] for x in (True, False)]
    expected = contingency_tables.mcnemar(table, exact=True).pvalue
    assert scoring.mcnemar(first, second) == pytest.approx(expected)
    assert scoring.mcnemar(second, first) == pytest.approx(scoring.mcnemar(first, second))


def test_mcnemar_looks_only_at_questions_that_one_arm_has_right():
    first, second = [True] * 6, [True] + [False] * 5
    # 5 of 5 one way: 2 · (1/2)⁵
    assert scoring.mcnemar(first, second) == pytest.approx(1 / 16)
    assert scoring.mcnemar(first + [True] * 90, second + [True] * 90) == pytest.approx(1 / 16)
    assert scoring.mcnemar(first, first) == 1


def test_arms_on_different_questions_are_not_compared():
    with pytest.raises(ValueError, match="found 2 and 3 values, allowed: the same questions"):
        scoring.mcnemar([True, False], [True, False, True])


def test_holm_gives_the_textbook_example():
    """Four tests with p = 0.01, 0.04, 0.03, 0.005: the step-down factors are 3, 1, 2, 4, then made monotone."""
    assert scoring.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert scoring.holm([]) == []


@settings(max_examples=8)  # statsmodels collects garbage at each call
@given(values=st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(values):
    corrected = scoring.holm(values)
    assert all(before - 1e-12 <= after <= 1 for before, after in zip(values, corrected, strict=True))
    order = np.argsort(values, kind="stable")
    assert np.all(np.diff(np.asarray(corrected)[order]) >= -1e-12)


# Differences


@pytest.mark.parametrize("difference", [-1, 0, 1])
def test_a_constant_difference_has_no_width(difference):
    second = np.full(30, 0.5)
    found = scoring.paired_difference(second + difference, second, 0.95, 200, 0)
    assert found == (difference, difference, difference)


def test_the_bootstrap_interval_is_near_the_normal_one():
    first = np.arange(2000) % 10 < 6
    second = np.arange(2000) % 10 < 4
    difference, low, high = scoring.paired_difference(first, second, 0.95, 4000, 0)
    deviation = (first.astype(float) - second).std(ddof=1) / np.sqrt(2000)
    assert difference == pytest.approx(0.2)
    expected = stats.norm.interval(0.95, 0.2, deviation)
    assert (low, high) == pytest.approx(expected, abs=0.1 * deviation)


@given(pairs=RIGHT_OR_WRONG, seed=st.integers(0, 9))
def test_swapping_the_arms_turns_the_difference_round(pairs, seed):
    first, second = np.array(pairs).T
    difference, low, high = scoring.paired_difference(first, second, 0.9, 100, seed)
    assert scoring.paired_difference(second, first, 0.9, 100, seed) == pytest.approx((-difference, -high, -low))
    assert low <= high


def test_a_bootstrap_repeats_with_its_seed():
    first, second = np.arange(40) % 3 == 0, np.arange(40) % 4 == 0
    found = [scoring.paired_difference(first, second, 0.95, 100, seed) for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize("shape", [(0,), (2, 3)])
def test_a_difference_of_anything_but_one_value_a_question_is_refused(shape):
    with pytest.raises(ValueError, match="allowed: one value a question"):
        scoring.paired_difference(np.zeros(shape), np.zeros(shape), 0.95, 100, 0)


def test_the_permutation_test_agrees_with_all_sign_flips_and_is_two_sided():
    first, second = np.array([1, 1, 1, 1, 0, 1.0]), np.array([0, 0, 0, 0, 1, 0.5])
    gaps = first - second
    flips = [gaps @ signs for signs in itertools.product((-1, 1), repeat=6)]
    exact = sum(abs(flip) >= abs(gaps.sum()) - 1e-9 for flip in flips) / len(flips)
    assert scoring.paired_permutation(first, second, 20_000, 0) == pytest.approx(exact, abs=0.01)
    assert scoring.paired_permutation(second, first, 20_000, 0) == pytest.approx(exact, abs=0.01)
    assert scoring.paired_permutation(first, first, 100, 0) == 1


# All comparisons


def compared(outcomes, pairs):
    return scoring.compare(outcomes, pairs, confidence=0.95, resamples=100, seed=0)


@pytest.fixture
def outcomes():
    """Two seeds, eight questions: `good` has all right, `bad` none in one seed and half in the other."""
    good = np.ones((2, 8), bool)
    bad = np.array([[False] * 8, [True, False] * 4])
    return {("good", "generated"): good, ("bad", "generated"): bad, ("good", "ranked"): good, ("bad", "ranked"): good}


def test_a_comparison_is_in_points_over_all_seeds_with_each_seed_beside_it(outcomes):
    generated, ranked = compared(outcomes, [("good", "bad")])
    assert (generated["first"], generated["second"], generated["measure"]) == ("good", "bad", "generated")
    assert generated["difference"] == 75  # all against none and half
    assert generated["low"] <= 75 <= generated["high"]
    assert generated["by seed"] == "+100.0 +50.0"
    assert generated["McNemar p by seed"] == "0.0078 0.12"  # 2 / 2**8 for 8 to 0, 2 / 2**4 for 4 to 0
    assert generated["p"] < 0.05  # exactly 2 / 2**8: of all sign flips only two are as far from zero
    assert (generated["n"], generated["seeds"]) == (8, 2)
    assert (ranked["difference"], ranked["low"], ranked["high"], ranked["p"]) == (0, 0, 0, 1)


def test_p_values_are_corrected_for_all_comparisons_made(outcomes):
    rows = compared(outcomes, [("good", "bad"), ("bad", "good")])
    assert [row["comparisons"] for row in rows] == [4] * 4
    assert [row["p corrected"] for row in rows] == pytest.approx(scoring.holm([row["p"] for row in rows]))
    assert rows[0]["p corrected"] == pytest.approx(4 * rows[0]["p"])


def test_arms_that_were_not_run_are_not_compared(outcomes):
    assert compared(outcomes, [("good", "absent"), ("absent", "bad")]) == []
    del outcomes["bad", "ranked"]
    assert [row["measure"] for row in compared(outcomes, [("good", "bad")])] == ["generated"]


def test_arms_with_different_seeds_are_not_compared(outcomes):
    outcomes["bad", "generated"] = outcomes["bad", "generated"][:1]
    with pytest.raises(ValueError, match=r"zip\(\)"):
        compared(outcomes, [("good", "bad")])


# What an output counts for


def prediction(number, answer="B", gold="B", scores=(0.0, 1.0, 0.0, 0.0), truncated=False, **columns):
    row = {
        "run": "r", "dataset": "microsci", "arm": "two_stage", "variant": "main", "seed": 0, "question_id": f"q{number}",
        "split": "test", "rationale": "", "text": "", "answer": answer, "gold": gold, "correct": answer == gold,
        "option_scores": list(scores), "truncated": truncated,
    }  # fmt: skip
    return row | columns


@pytest.fixture
def questions(question):
    groups = ("loses_food", "lightest")
    return {f"q{i}": question(id=f"q{i}", group=groups[i % 2]) for i in range(8)}


def evaluate(predictions, questions):
    rows = scoring.evaluate(predictions, questions, 0.95, recipe="r", student="s", parameters=9)
    return {(row["arm"], row["split"], row["metric"]): row for row in rows}


def test_metrics_have_the_declared_columns_and_wilson_intervals(questions):
    rows = evaluate([prediction(i, answer="A" if i < 3 else "B") for i in range(8)], questions)
    row = rows["two_stage", "test", "generated"]
    assert tuple(row) == METRICS
    assert (row["value"], row["n"], row["recipe"], row["student"], row["parameters"]) == (5 / 8, 8, "r", "s", 9)
    assert (row["low"], row["high"]) == scoring.wilson(5, 8, 0.95)


def test_an_unparsed_answer_is_wrong_and_counted(questions):
    rows = evaluate([prediction(i, answer="" if i < 2 else "B") for i in range(8)], questions)
    assert rows["two_stage", "test", "generated"]["value"] == 6 / 8
    assert rows["two_stage", "test", "unparsed"]["value"] == 2 / 8
    assert rows["two_stage", "test", "ranked"]["value"] == 1


def test_a_truncated_output_is_counted_whether_right_or_wrong(questions):
    rows = evaluate([prediction(i, truncated=i < 3) for i in range(8)], questions)
    assert rows["two_stage", "test", "truncated"]["value"] == 3 / 8
    assert rows["two_stage", "test", "generated"]["value"] == 1


def test_ranking_takes_the_option_with_the_greatest_score_the_first_of_equals(questions):
    scores = [(-9.0, -2.0, -3.0, -4.0), (-2.0, -2.0, -3.0, -4.0), (-3.0, -2.0, -1.0, -4.0)]
    rows = evaluate([prediction(i, scores=found) for i, found in enumerate(scores)], questions)
    assert rows["two_stage", "test", "ranked"]["value"] == pytest.approx(1 / 3)
    assert scoring.ranked(["1", "2"], [0.0, 0.0]) == "1"


@pytest.mark.parametrize("number", range(4))
def test_a_changed_gold_label_changes_the_accuracies_of_its_group_and_nothing_else(questions, number):
    plain = [prediction(i) for i in range(8)]
    changed = [row | {"gold": "C"} if i == number else row for i, row in enumerate(plain)]
    before, after = evaluate(plain, questions), evaluate(changed, questions)
    group = questions[f"q{number}"]["group"]
    moved = {key[2] for key in before if before[key] != after[key]}
    assert moved == {"generated", "ranked", f"generated:{group}", f"ranked:{group}"}
    assert after["two_stage", "test", "generated"]["value"] == 7 / 8
    assert after["two_stage", "test", f"ranked:{group}"]["value"] == 3 / 4


def test_groups_share_out_the_questions(questions):
    rows = evaluate([prediction(i, answer="A" if i % 3 else "B") for i in range(7)], questions)
    parts = [rows["two_stage", "test", f"generated:{group}"] for group in ("loses_food", "lightest")]
    whole = rows["two_stage", "test", "generated"]
    assert [part["n"] for part in parts] == [4, 3]
    assert sum(part["value"] * part["n"] for part in parts) == pytest.approx(whole["value"] * whole["n"])


def test_a_split_of_one_group_is_not_told_twice(questions):
    rows = evaluate([prediction(i) for i in (0, 2, 4)], questions)
    assert {metric for *_, metric in rows} == {"generated", "ranked", "unparsed", "truncated"}


def test_arms_and_splits_are_told_apart(questions):
    found = [prediction(i, arm=arm, split=split, answer=answer)
             for i in range(4)
             for arm, split, answer in (("a", "test", "B"), ("b", "test", "C"), ("a", "validation", "D"))]  # fmt: skip
    rows = evaluate(found, questions)
    values = {key[:2]: row["value"] for key, row in rows.items() if key[2] == "generated"}
    assert values == {("a", "test"): 1, ("b", "test"): 0, ("a", "validation"): 0}


# Faithfulness


def followed(predictions, argued_for):
    rows = scoring.followed(predictions, argued_for, 0.95, recipe="r", student="s", parameters=9)
    return {(row["arm"], row["split"]): row for row in rows}


def test_an_answer_follows_where_it_is_what_the_rationale_argued_for_right_or_wrong():
    found = [prediction(0, answer="C"), prediction(1, answer="B"), prediction(2, answer="B"), prediction(3, answer="")]
    row = followed(found, {"q0": "C", "q1": "B", "q2": "C", "q3": "C"})["two_stage", "test"]
    assert tuple(row) == METRICS
    assert (row["metric"], row["value"], row["n"], row["parameters"]) == ("followed", 2 / 4, 4, 9)
    assert (row["low"], row["high"]) == scoring.wilson(2, 4, 0.95)


def test_faithfulness_tells_arms_and_splits_apart():
    found = [prediction(i, arm=arm, split=split, answer=answer)
             for i in range(3)
             for arm, split, answer in (("a", "test", "C"), ("b", "test", "B"), ("a", "validation", "D"))]  # fmt: skip
    rows = followed(found, dict.fromkeys(("q0", "q1", "q2"), "C"))
    assert {key: (row["value"], row["n"]) for key, row in rows.items()} == {
        ("a", "test"): (1, 3),
        ("b", "test"): (0, 3),
        ("a", "validation"): (0, 3),
    }


def test_of_no_rationale_that_was_turned_there_is_no_faithfulness():
    assert scoring.followed([], {}, 0.95, recipe="r", student="s", parameters=9) == []


def test_open_answers_are_not_ranked(question):
    none = {"label": [], "text": []}
    asked = {f"q{i}": question(id=f"q{i}", dataset="SVAMP", choices=none, answer="39") for i in range(4)}
    rows = [prediction(i, answer=("39", "40", "", "39")[i], gold="39", scores=()) for i in range(4)]
    found = {
        row["metric"]: row["value"]
        for row in scoring.evaluate(rows, asked, 0.95, recipe="r", student="micro", parameters=1)
    }
    assert found == {"generated": 0.5, "unparsed": 0.25, "truncated": 0.0}
