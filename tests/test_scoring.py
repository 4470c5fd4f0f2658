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


def test_mcnemar_gives_a_published_value():
    """The example of R's package exact2x2 (vignette exactMcNemar): 21, 9, 2 and 12 pairs, p = 0.06543."""
    pairs = 21 * [(True, True)] + 9 * [(False, True)] + 2 * [(True, False)] + 12 * [(False, False)]
    assert scoring.mcnemar(*zip(*pairs, strict=True)) == pytest.approx(0.06543, abs=5e-6)


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


def test_the_bootstrap_interval_is_that_of_all_resamples():
    first, second = np.array([1.0, 0.4, 0.0, 1.0]), np.array([0.0, 0.5, 1.0, 0.25])
    means = [np.mean(picked) for picked in itertools.product(first - second, repeat=4)]  # all 4⁴ resamples
    found = scoring.paired_difference(first, second, 0.8, 200_000, 0)
    assert found == pytest.approx((np.mean(first - second), *np.quantile(means, [0.1, 0.9])), abs=1e-9)


@given(pairs=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=30, max_size=60), seed=st.integers(0, 9))
@settings(max_examples=10)
def test_the_bootstrap_interval_agrees_with_scipy(pairs, seed):
    first, second = np.array(pairs, float).T
    expected = stats.bootstrap(
        (first - second,), np.mean, n_resamples=4000, confidence_level=0.9, method="percentile", rng=seed
    ).confidence_interval
    _, low, high = scoring.paired_difference(first, second, 0.9, 4000, seed)
    assert (low, high) == pytest.approx(tuple(expected), abs=1.01 / len(pairs))  # one question of all, from the draws


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


def test_groups_of_one_question_each_give_the_plain_interval():
    first, second = np.arange(40) % 3 == 0, np.arange(40) % 4 == 0
    plain = scoring.paired_difference(first, second, 0.95, 500, 0)
    assert scoring.paired_difference(first, second, 0.95, 500, 0, [f"{i:02}" for i in range(40)]) == plain


def test_drawing_groups_gives_the_interval_of_all_draws_of_groups():
    difference, groups = np.array([1.0, 1.0, 0.0, -1.0, 1.0]), ["a", "a", "b", "c", "c"]
    sums, sizes = {"a": 2.0, "b": 0.0, "c": 0.0}, {"a": 2, "b": 1, "c": 2}
    means = [sum(map(sums.get, drawn)) / sum(map(sizes.get, drawn)) for drawn in itertools.product("abc", repeat=3)]
    expected = np.quantile(means, [0.1, 0.9])
    found = scoring.paired_difference(difference, np.zeros(5), 0.8, 100_000, 0, groups)
    assert found == pytest.approx((0.4, *expected), abs=1e-9)


def test_questions_that_stand_and_fall_together_count_as_one():
    """100 groups of 10 equal questions: an interval √10 times as wide, that of 100 questions."""
    each = np.arange(100) % 5 < 2
    groups = np.repeat([f"{i:02}" for i in range(100)], 10)
    _, low, high = scoring.paired_difference(np.repeat(each, 10), np.zeros(1000), 0.95, 4000, 0, groups)
    assert (low, high) == scoring.paired_difference(each, np.zeros(100), 0.95, 4000, 0)[1:]
    _, plain_low, plain_high = scoring.paired_difference(np.repeat(each, 10), np.zeros(1000), 0.95, 4000, 0)
    assert (high - low) / (plain_high - plain_low) == pytest.approx(10**0.5, rel=0.1)


def test_a_group_is_told_of_every_question_or_of_none():
    with pytest.raises(ValueError, match="found 3 groups, allowed: none or 2"):
        scoring.paired_difference(np.ones(2), np.zeros(2), 0.95, 100, 0, ["a", "b", "c"])


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


def test_the_permutation_test_gives_fishers_value_of_darwins_maize():
    """Fisher, The Design of Experiments, section 21: of 2¹⁵ ways to set the signs, 863 are as far out on either side."""
    differences = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48])  # eighths of an inch
    p = scoring.paired_permutation(differences, np.zeros(15), 100_000, 0)
    assert p == pytest.approx(2 * 863 / 2**15, abs=0.002)


@settings(max_examples=10)
@given(pairs=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=5, max_size=10), seed=st.integers(0, 9))
def test_the_permutation_test_agrees_with_scipy(pairs, seed):
    first, second = np.array(pairs, float).T
    exact = stats.permutation_test(
        (first, second), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=np.inf
    ).pvalue
    assert scoring.paired_permutation(first, second, 20_000, seed) == pytest.approx(exact, abs=0.015)


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


def test_a_comparison_by_groups_has_a_second_interval_and_is_the_same_otherwise(outcomes):
    plain = compared(outcomes, [("good", "bad")])
    chosen = {"confidence": 0.95, "resamples": 100, "seed": 0}
    grouped = scoring.compare(outcomes, [("good", "bad")], groups=list("abcdabcd"), **chosen)
    own = ("low shared", "high shared")
    assert [{key: value for key, value in row.items() if key not in own} for row in grouped] == plain
    difference = 1 - outcomes["bad", "generated"].mean(axis=0)
    expected = scoring.paired_difference(difference, np.zeros(8), 0.95, 100, 0, list("abcdabcd"))
    assert (grouped[0]["low shared"], grouped[0]["high shared"]) == pytest.approx(
        (100 * expected[1], 100 * expected[2])
    )


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


@given(data=st.data())
def test_moving_options_with_their_scores_and_labels_changes_no_metric(question, data):
    """Ties of scores apart, of which the first option wins."""
    plain, moved, asked, asked_moved = [], [], {}, {}
    for number in range(8):
        order = data.draw(st.permutations(range(4)))
        scores = data.draw(st.lists(st.floats(-50, 0), min_size=4, max_size=4, unique=True))
        row = question(id=f"q{number}", answer=data.draw(st.sampled_from("ABCD")), group=f"g{number % 2}")
        new = dict(zip((row["choices"]["label"][place] for place in order), "ABCD", strict=True)) | {"": ""}
        texts = [row["choices"]["text"][place] for place in order]
        asked[row["id"]] = row
        asked_moved[row["id"]] = row | {
            "choices": row["choices"] | {"text": texts}, "answer": new[row["answer"]],
        }  # fmt: skip
        answer = data.draw(st.sampled_from(["A", "B", "C", "D", ""]))
        plain.append(prediction(number, answer=answer, gold=row["answer"], scores=scores))
        moved.append(
            prediction(number, answer=new[answer], gold=new[row["answer"]], scores=[scores[place] for place in order])
        )
    assert evaluate(moved, asked_moved) == evaluate(plain, asked)


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


def test_a_changed_gold_label_leaves_faithfulness_as_it_was():
    found = [prediction(0, answer="C"), prediction(1, answer="B")]
    wrong = [found[0] | {"gold": "C", "correct": True}, found[1]]
    assert followed(wrong, {"q0": "C", "q1": "C"}) == followed(found, {"q0": "C", "q1": "C"})


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


# Rationales

PROOF = ["A drum is worked by muscle.", "Muscle gets its strength from food."]


@pytest.mark.parametrize(
    ("rationale", "precision", "recall"),
    [
        ("A drum is worked by muscle. Muscle gets its strength from food.", 1, 1),
        ("muscle gets its strength from food.  a drum is worked by MUSCLE", 1, 1),  # neither order nor case
        ("A drum is worked by muscle so yes. A raft is worked by wind so no.", 1 / 2, 1 / 2),  # verdicts are cut
        ("A drum is worked by muscle. A drum is worked by muscle.", 1, 1 / 2),  # counted once
        ("A drum is worked by food.", 0, 0),
        ("", None, 0),
    ],
)
def test_facts_of_a_rationale_are_counted_against_the_proof(rationale, precision, recall):
    assert scoring.facts(rationale, PROOF) == (precision, recall)


def test_against_no_proof_no_facts_are_counted():
    with pytest.raises(ValueError, match="allowed: at least one"):
        scoring.facts("A drum is worked by muscle.", [])


@pytest.mark.parametrize(("text", "value"), [("police kill the gunman", 0.75), ("the gunman kill police", 0.5)])
def test_rouge_l_gives_the_values_of_its_paper(text, value):
    """Lin 2004, section 3.1: against *police killed the gunman*, with precision and recall weighing alike."""
    assert scoring.rouge_l(text, "police killed the gunman") == value


WORDS = st.lists(st.sampled_from("abcd"), max_size=12)


@given(first=WORDS, second=WORDS)
def test_the_longest_common_subsequence_is_that_of_the_table(first, second):
    lengths = np.zeros((len(first) + 1, len(second) + 1), int)
    for i, j in itertools.product(range(len(first)), range(len(second))):
        longer = lengths[i, j] + 1 if first[i] == second[j] else max(lengths[i, j + 1], lengths[i + 1, j])
        lengths[i + 1, j + 1] = longer
    assert scoring.common_subsequence(first, second) == lengths[-1, -1]


@given(first=WORDS, second=WORDS)
def test_rouge_l_is_symmetric_and_one_only_for_the_same_words(first, second):
    value = scoring.rouge_l(" ".join(first), " ".join(second))
    assert value == scoring.rouge_l(" ".join(second), " ".join(first))
    assert (value == 1) == (first == second and bool(first)) and 0 <= value <= 1


# The order of options


def test_a_choice_is_the_same_only_where_it_was_read_in_every_order(question):
    """Two orders of three questions: the same words each time; other words; never read."""
    texts = ("raft", "robin", "copper", "ant")
    turned = ("ant", "raft", "robin", "copper")
    asked = [
        question(order, id=f"q{number}", answer=gold)
        for number in range(3)
        for order, gold in ((texts, "B"), (turned, "C"))
    ]
    answers = ["B", "C", "B", "B", "", ""]
    found = [
        prediction(number // 2, answer=answer, gold=row["answer"], scores=[0, 0, 0, 1])
        for number, (answer, row) in enumerate(zip(answers, asked, strict=True))
    ]
    rows = scoring.order_effects(found, asked, 0.95, recipe="r", student="s", parameters=9)
    told = {row["metric"]: (row["value"], row["n"]) for row in rows}
    assert told["same generated"] == (pytest.approx(1 / 3), 3) and told["same ranked"] == (0, 3)
    assert told["generated, gold at (B)"] == (pytest.approx(2 / 3), 3)
    assert told["generated, gold at (C)"] == (pytest.approx(1 / 3), 3)
    assert told.keys() == {"same generated", "same ranked"} | {
        f"{measure}, gold at ({mark})" for measure in ("generated", "ranked") for mark in "BC"
    }
    assert all(tuple(row) == METRICS and row["low"] <= row["value"] <= row["high"] for row in rows)
    assert (rows[0]["arm"], rows[0]["split"], rows[0]["recipe"], rows[0]["parameters"]) == ("two_stage", "test", "r", 9)


def test_of_questions_asked_in_no_order_nothing_is_told():
    assert scoring.order_effects([], [], 0.95, recipe="r", student="s", parameters=9) == []
