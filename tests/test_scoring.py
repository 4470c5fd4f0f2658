"""Scores against published values and against another implementation, and what each output counts for."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
from conftest import judged
from conftest import prediction as predicted
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from statsmodels.stats import proportion

from scicot_utils import recipe, report, scoring
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
    covered = 0
    for _ in range(1000):
        values = draws.gamma(4.0, 50.0, size=100)
        _, low, high = scoring.total_of_more(values, 500, 0.9)
        covered += low <= draws.gamma(4.0, 50.0, size=500).sum() <= high
    assert 0.87 < covered / 1000 < 0.93


def test_a_total_of_equal_values_is_certain_and_of_one_value_is_not():
    assert scoring.total_of_more([3.0, 3.0], 10, 0.95) == (30.0, 30.0, 30.0)
    assert scoring.total_of_more([3.0], 10, 0.95) == (30.0, 0.0, np.inf)
    assert scoring.total_of_more([0.0, 9.0], 10, 0.95)[1] == 0.0


def test_the_usage_of_more_completions_is_foretold_by_measure_and_unknown_where_the_sample_cannot_tell():
    row = {"prompt_tokens": 10, "completion_tokens": 5, "usd": 0.5}
    usage = scoring.usage_of_more([row, row], 100, 0.95)
    assert usage == {"prompt tokens": (1000,) * 3, "completion tokens": (500,) * 3, "USD": (50,) * 3}
    unknown = scoring.usage_of_more([row, row | {"usd": np.nan}], 100, 0.95)
    assert np.isnan(unknown["USD"]).all() and unknown["prompt tokens"] == (1000,) * 3
    assert all(np.isnan(total) for total, _, _ in scoring.usage_of_more([], 100, 0.95).values())


def test_the_teachers_accuracy_counts_unparsed_answers_as_wrong_and_is_unknown_where_a_file_holds_too_few():
    rows = [judged(), judged(), judged(teacher_answer="A", correct=False), judged(teacher_answer="", correct=False)]
    assert scoring.teacher_accuracy(rows, 0.95, "recorded") == (0.5, *scoring.wilson(2, 4, 0.95))
    assert scoring.teacher_accuracy(rows[2:], 0.95, "recorded")[0] == 0
    assert scoring.teacher_accuracy(rows[3:], 0.95, "recorded") == (None, None, None)
    assert scoring.teacher_accuracy(rows[3:], 0.95, "openai")[0] == 0


SHAPES = [((0,), (0,)), ((3,), (3,)), ((2, 0), (2, 0)), ((2, 8), (1, 8)), ((1, 8), (2, 8))]


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (lambda: scoring.wilson(0, 0, 0.95), "found 0 of 0, allowed: 0 ≤ successes ≤ n"),
        (lambda: scoring.wilson(5, 4, 0.95), "found 5 of 4, allowed: 0 ≤ successes ≤ n"),
        (lambda: scoring.wilson(-1, 4, 0.95), "found -1 of 4, allowed: 0 ≤ successes ≤ n"),
        (lambda: scoring.total_of_more([], 10, 0.95), "found no values"),
        (
            lambda: scoring.mcnemar([True, False], [True, False, True]),
            "found 2 and 3 values, allowed: the same questions",
        ),
        (lambda: result(np.ones((1, 2)), np.zeros((1, 2)), ["a", "b", "c"]), "found 3 groups, allowed: none or 2"),
        *(
            (lambda shapes=shapes: result(*map(np.zeros, shapes)), r"allowed: \(seeds, questions\), the same in both")
            for shapes in SHAPES
        ),
        (lambda: scoring.facts("A drum is worked by muscle.", []), "allowed: at least one"),
    ],
)
def test_what_cannot_be_scored_or_compared_is_refused(score, message):
    with pytest.raises(ValueError, match=message):
        score()


# Paired tests


@given(pairs=RIGHT_OR_WRONG)
def test_mcnemar_is_a_fair_coin_thrown_for_each_disagreement_and_does_not_care_for_the_order(pairs):
    first, second = zip(*pairs, strict=True)
    one_way, other_way = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
    thrown = one_way + other_way
    as_far = sum(
        math.comb(thrown, heads) for heads in range(thrown + 1) if abs(2 * heads - thrown) >= abs(one_way - other_way)
    )
    assert scoring.mcnemar(first, second) == pytest.approx(as_far / 2**thrown)
    assert scoring.mcnemar(second, first) == pytest.approx(scoring.mcnemar(first, second))


def test_mcnemar_gives_a_published_value():
    """The example of R's package exact2x2 (vignette exactMcNemar): 21, 9, 2 and 12 pairs, p = 0.06543."""
    pairs = 21 * [(True, True)] + 9 * [(False, True)] + 2 * [(True, False)] + 12 * [(False, False)]
    assert scoring.mcnemar(*zip(*pairs, strict=True)) == pytest.approx(0.06543, abs=5e-6)


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


OUTCOMES = hnp.arrays(bool, st.tuples(st.just(2), st.integers(2, 4), st.integers(2, 40)))  # arms, seeds, questions


def result(first, second, groups=(), confidence=0.95):
    return scoring.tested(scoring.paired_difference(first, second, groups), confidence)


@given(right=OUTCOMES)
def test_the_two_errors_are_those_of_the_mean_over_questions_and_over_seeds(right):
    gaps = right[0].astype(float) - right[1]
    row = scoring.paired_difference(*right)
    assert row["difference"] == pytest.approx(gaps.mean())
    assert row["error questions"] ** 2 == pytest.approx(stats.sem(gaps.mean(axis=0)) ** 2 + 1 / gaps.shape[1] ** 2)
    assert row["error seeds"] == pytest.approx(stats.sem(gaps.mean(axis=1)))
    assert (row["seeds"], row["n"], row["groups"]) == (*gaps.shape, gaps.shape[1])


@given(right=OUTCOMES)
def test_swapping_the_arms_turns_the_difference_round(right):
    there, back = result(*right), result(*right[::-1])
    assert (back["difference"], back["low"], back["high"]) == pytest.approx(
        (-there["difference"], -there["high"], -there["low"])
    )
    assert back["p"] == pytest.approx(there["p"]) and there["low"] < there["high"]
    assert (there["p"] < 0.05) == (there["low"] > 0 or there["high"] < 0)  # the interval and the test are one


@given(
    first=st.lists(st.floats(-1, 1), min_size=3, max_size=30), second=st.lists(st.floats(-1, 1), min_size=3, max_size=5)
)
def test_two_errors_are_put_together_as_welch_does(first, second):
    """The mean of one sample minus that of another has two errors of their own, and Satterthwaite's degrees of freedom."""
    assume(np.std(first) > 1e-3 and np.std(second) > 1e-3)
    row = {
        "difference": np.mean(first) - np.mean(second), "error questions": stats.sem(first), "groups": len(first),
        "error seeds": stats.sem(second), "seeds": len(second),
    }  # fmt: skip
    expected = stats.ttest_ind(first, second, equal_var=False)
    tested = scoring.tested(row, 0.9)
    larger = max((stats.sem(first), len(first) - 1), (stats.sem(second), len(second) - 1))[1]
    df = min(expected.df, larger)  # never more than the larger error has: few seeds lie close together by chance
    assert (tested["df"], tested["p"]) == pytest.approx((df, 2 * stats.t.sf(abs(expected.statistic), df)))
    half_width = stats.t.ppf(0.95, df) * np.hypot(stats.sem(first), stats.sem(second))
    ends = row["difference"] - half_width, row["difference"] + half_width
    assert (tested["low"], tested["high"]) == pytest.approx((max(ends[0], -1), min(ends[1], 1)))


def test_of_one_seed_the_test_is_students_of_darwins_maize():
    """Fisher, The Design of Experiments, section 17: fifteen differences in eighths of an inch, t = 2.148."""
    gaps = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48])
    row = {"difference": gaps.mean(), "error questions": stats.sem(gaps), "groups": 15}
    row |= {"error seeds": np.nan, "seeds": 1}
    assert row["difference"] / row["error questions"] == pytest.approx(2.148, abs=5e-4)
    assert scoring.tested(row, 0.95)["p"] == pytest.approx(0.0497, abs=5e-5)


def test_the_spread_over_seeds_alone_can_leave_a_difference_open_and_without_it_p_has_no_floor():
    """Three seeds of 1,000 questions, +59, 0 and +4 points: no number of questions tells this from chance."""
    first = np.zeros((3, 1000), bool)
    first[0, :590], first[2, :40] = True, True
    row = result(first, np.zeros_like(first))
    assert row["error questions"] < 0.02 < 0.15 < row["error seeds"]
    assert row["p"] > 0.2 and row["low"] < 0 < row["high"]
    first[:, :400], first[:, 400:] = True, False
    assert 0 < result(first, np.zeros_like(first))["p"] < 1e-50


def test_no_disagreement_at_all_is_not_certainty():
    right = np.ones((3, 100), bool)
    row = result(right, right)
    assert (row["difference"], row["p"]) == (0, 1) and row["low"] == -row["high"] == pytest.approx(-0.0198, abs=1e-4)


def test_of_one_seed_the_error_over_seeds_is_not_known_and_of_one_question_nothing_is():
    row = result(np.ones((1, 30)), np.zeros((1, 30)))
    assert np.isnan(row["error seeds"]) and row["low"] > 0
    row = result(np.ones((2, 1)), np.zeros((2, 1)))
    assert (row["low"], row["high"]) == (-1, 1) and row["p"] > 0.3


def test_questions_that_stand_and_fall_together_count_as_one():
    """100 groups of 10 equal questions: the error of 100 questions."""
    right_answers = np.arange(100) % 5 < 2
    right, groups = np.repeat(right_answers, 10)[None], np.repeat([f"{i:02}" for i in range(100)], 10)
    grouped = scoring.paired_difference(right, np.zeros_like(right), groups)
    assert grouped["groups"] == 100
    assert grouped["error questions"] ** 2 - 1 / 1000**2 == pytest.approx(stats.sem(right_answers) ** 2)
    ungrouped = scoring.paired_difference(right, np.zeros_like(right))
    assert grouped["error questions"] / ungrouped["error questions"] == pytest.approx(10**0.5, rel=0.02)


@pytest.mark.parametrize("number", [2, 19, 20])
def test_few_groups_are_never_surer_than_independent_questions(number):
    """Where groups are alike, the error over a few of them is by chance nearly nothing; and they have few degrees of freedom."""
    groups = [f"{i % number}" for i in range(10 * number)]
    alike = np.arange(10 * number)[None] // number % 2 == 0  # half of each group
    grouped = scoring.paired_difference(alike, np.zeros_like(alike), groups)
    ungrouped = scoring.paired_difference(alike, np.zeros_like(alike))
    assert grouped["groups"] == number
    assert (grouped["error questions"] == pytest.approx(ungrouped["error questions"])) == (number < 20)
    together = np.repeat(np.arange(number) % 2 == 0, 10)[None]  # each group all or nothing
    grouped = scoring.paired_difference(together, np.zeros_like(together), np.repeat(np.arange(number).astype(str), 10))
    assert (
        grouped["error questions"] > 2 * scoring.paired_difference(together, np.zeros_like(together))["error questions"]
    )


def simulated(draw, seeds, lead):
    """Right or wrong of two arms, shape (seeds, questions) each, like those of the embedded study: 1,500 questions that
    stand and fall with their 250 right answers, more so with one arm than with the other, and seeds that differ.

    `lead`: of the first arm, in log odds, of the average question.
    """
    groups = draw.integers(0, 250, 1500)
    question = draw.normal(0.6, 1.0, 250)[groups] + draw.normal(0, 1.0, 1500)
    right = []
    for gain in (lead, 0.0):
        arm = gain + draw.normal(0, 0.9, 250)[groups] + draw.normal(0, 0.08, (seeds, 1))
        right.append(draw.random((seeds, 1500)) < 1 / (1 + np.exp(-question - arm)))
    return right, [str(group) for group in groups]


LEADS = {0: 0.0, 5: 0.317}  # percentage points → log odds of the average question, from 4 million drawn questions


def shares(seeds, points):
    """Of 1,000 simulated studies with this true difference: verdict → share."""
    draw, settings, verdicts = np.random.default_rng(seeds), recipe.Settings(), Counter()
    for _ in range(1000):
        right, groups = simulated(draw, seeds, LEADS[points])
        row = result(*right, groups)
        row |= {name: 100 * row[name] for name in scoring.POINTS} | {"p corrected": row["p"]}  # one comparison
        verdicts[report.direction(row, settings)] += 1
    return {name: count / 1000 for name, count in verdicts.items()}


@pytest.mark.parametrize("seeds", [3, 5])
def test_arms_without_any_difference_are_seldom_told_apart(seeds):
    verdicts = shares(seeds, 0)
    assert 0.005 <= verdicts["above"] + verdicts["below"] <= 0.06  # nor is the rule so careful that it says nothing


@pytest.mark.parametrize(("seeds", "least"), [(3, 0.5), (5, 0.7)])
def test_a_true_difference_of_five_points_is_mostly_found_and_never_turned_round(seeds, least):
    """Five points are the margin itself, so calling the arms no different is wrong, and rarer than one in twenty."""
    verdicts = shares(seeds, 5)
    assert verdicts["above"] >= least and "below" not in verdicts and verdicts["no different from"] <= 0.05


# All comparisons


def compared(outcomes, pairs):
    return scoring.compare(outcomes, pairs, confidence=0.95)


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
    assert (generated["n"], generated["seeds"]) == (8, 2)
    assert generated["error seeds"] == pytest.approx(25) and generated["p"] > 0.05  # of two seeds that far apart
    assert (ranked["difference"], ranked["p"]) == (0, 1) and -ranked["low"] == ranked["high"] > 0


def test_p_values_are_corrected_for_all_comparisons_made(outcomes):
    rows = compared(outcomes, [("good", "bad"), ("bad", "good")])
    assert [row["comparisons"] for row in rows] == [4] * 4
    assert [row["p corrected"] for row in rows] == pytest.approx(scoring.holm([row["p"] for row in rows]))
    assert rows[0]["p corrected"] == pytest.approx(min(4 * rows[0]["p"], 1))


def test_arms_that_were_not_run_are_not_compared(outcomes):
    assert compared(outcomes, [("good", "absent"), ("absent", "bad")]) == []
    del outcomes["bad", "ranked"]
    assert [row["measure"] for row in compared(outcomes, [("good", "bad")])] == ["generated"]


# What an output counts for


def prediction(number, answer="B", gold="B", scores=(0.0, 1.0, 0.0, 0.0), truncated=False, **columns):
    row = {"question_id": f"q{number}", "answer": answer, "gold": gold, "option_scores": list(scores)}
    return predicted(**row, truncated=truncated, **columns)


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


def test_an_unparsed_answer_is_wrong_and_counted_and_a_truncated_one_counted_whether_right_or_wrong(questions):
    rows = evaluate([prediction(i, answer="" if i < 2 else "B", truncated=i in (1, 2, 3)) for i in range(8)], questions)
    values = [rows["two_stage", "test", name]["value"] for name in ("generated", "unparsed", "truncated", "ranked")]
    assert values == [6 / 8, 2 / 8, 3 / 8, 1]


def test_ranking_takes_the_option_with_the_greatest_score_the_first_of_equals(questions):
    scores = [(-9.0, -2.0, -3.0, -4.0), (-2.0, -2.0, -3.0, -4.0), (-3.0, -2.0, -1.0, -4.0)]
    rows = evaluate([prediction(i, scores=option_scores) for i, option_scores in enumerate(scores)], questions)
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


def test_groups_share_out_the_questions_and_a_split_of_one_group_is_not_told_twice(questions):
    rows = evaluate([prediction(i, answer="A" if i % 3 else "B") for i in range(7)], questions)
    parts = [rows["two_stage", "test", f"generated:{group}"] for group in ("loses_food", "lightest")]
    whole = rows["two_stage", "test", "generated"]
    assert [part["n"] for part in parts] == [4, 3]
    assert sum(part["value"] * part["n"] for part in parts) == pytest.approx(whole["value"] * whole["n"])
    rows = evaluate([prediction(i) for i in (0, 2, 4)], questions)
    assert {metric for *_, metric in rows} == {"generated", "ranked", "unparsed", "truncated"}


# Faithfulness


def followed(predictions, argued_for):
    rows = scoring.followed(predictions, argued_for, 0.95, recipe="r", student="s", parameters=9)
    return {(row["arm"], row["split"]): row for row in rows}


def test_an_answer_follows_where_it_is_what_the_rationale_argued_for_right_or_wrong():
    predictions = [prediction(i, answer=answer) for i, answer in enumerate(("C", "B", "B", ""))]
    argued = {"q0": "C", "q1": "B", "q2": "C", "q3": "C"}
    row = followed(predictions, argued)["two_stage", "test"]
    assert tuple(row) == METRICS
    assert (row["metric"], row["value"], row["n"], row["parameters"]) == ("followed", 2 / 4, 4, 9)
    assert (row["low"], row["high"]) == scoring.wilson(2, 4, 0.95)
    assert (
        row
        == followed([prediction | {"gold": "C", "correct": True} for prediction in predictions], argued)[
            "two_stage", "test"
        ]
    )


def test_arms_and_splits_are_told_apart(questions):
    predictions = [
        prediction(i, arm=arm, split=split, answer=answer)
        for i in range(3)
        for arm, split, answer in (("a", "test", "B"), ("b", "test", "C"), ("a", "validation", "D"))
    ]
    accuracies = {key[:2]: row for key, row in evaluate(predictions, questions).items() if key[2] == "generated"}
    for rows in (accuracies, followed(predictions, dict.fromkeys(("q0", "q1", "q2"), "B"))):
        assert {key: (row["value"], row["n"]) for key, row in rows.items()} == {
            ("a", "test"): (1, 3), ("b", "test"): (0, 3), ("a", "validation"): (0, 3),
        }  # fmt: skip


def test_without_predictions_nothing_is_measured():
    columns = {"recipe": "r", "student": "s", "parameters": 9}
    assert scoring.followed([], {}, 0.95, **columns) == scoring.order_effects([], [], 0.95, **columns) == []


def test_open_answers_are_not_ranked(question):
    none = {"label": [], "text": []}
    questions = {f"q{i}": question(id=f"q{i}", dataset="SVAMP", choices=none, answer="39") for i in range(4)}
    predictions = [prediction(i, answer=("39", "40", "", "39")[i], gold="39", scores=()) for i in range(4)]
    values = {
        row["metric"]: row["value"]
        for row in scoring.evaluate(predictions, questions, 0.95, recipe="r", student="micro", parameters=1)
    }
    assert values == {"generated": 0.5, "unparsed": 0.25, "truncated": 0.0}


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


@pytest.mark.parametrize(("text", "value"), [("police kill the gunman", 0.75), ("the gunman kill police", 0.5)])
def test_rouge_l_gives_the_values_of_its_paper(text, value):
    """Lin 2004, section 3.1: against *police killed the gunman*, with precision and recall weighing alike."""
    assert scoring.rouge_l(text, "police killed the gunman") == value


WORDS = st.lists(st.sampled_from("abcd"), max_size=12)


@given(first=WORDS, second=WORDS)
def test_rouge_l_is_symmetric_and_of_the_longest_common_subsequence_of_the_table(first, second):
    lengths = np.zeros((len(first) + 1, len(second) + 1), int)
    for i, j in itertools.product(range(len(first)), range(len(second))):
        longer = lengths[i, j] + 1 if first[i] == second[j] else max(lengths[i, j + 1], lengths[i + 1, j])
        lengths[i + 1, j + 1] = longer
    assert scoring.common_subsequence(first, second) == lengths[-1, -1]
    value = scoring.rouge_l(" ".join(first), " ".join(second))
    assert value == scoring.rouge_l(" ".join(second), " ".join(first))
    assert (value == 1) == (first == second and bool(first)) and 0 <= value <= 1


# The order of options


def test_a_choice_is_the_same_only_where_it_was_read_in_every_order(question):
    """Two orders of three questions: the same words each time; other words; never read."""
    texts = ("raft", "robin", "copper", "ant")
    turned = ("ant", "raft", "robin", "copper")
    questions = [
        question(order, id=f"q{number}", answer=gold)
        for number in range(3)
        for order, gold in ((texts, "B"), (turned, "C"))
    ]
    answers = ["B", "C", "B", "B", "", ""]
    predictions = [
        prediction(number // 2, answer=answer, gold=row["answer"], scores=[0, 0, 0, 1])
        for number, (answer, row) in enumerate(zip(answers, questions, strict=True))
    ]
    rows = scoring.order_effects(predictions, questions, 0.95, recipe="r", student="s", parameters=9)
    values = {row["metric"]: (row["value"], row["n"]) for row in rows}
    assert values["same generated"] == (pytest.approx(1 / 3), 3) and values["same ranked"] == (0, 3)
    assert values["generated, gold at (B)"] == (pytest.approx(2 / 3), 3)
    assert values["generated, gold at (C)"] == (pytest.approx(1 / 3), 3)
    assert values.keys() == {"same generated", "same ranked"} | {
        f"{measure}, gold at ({mark})" for measure in ("generated", "ranked") for mark in "BC"
    }
    assert all(tuple(row) == METRICS and row["low"] <= row["value"] <= row["high"] for row in rows)
    assert (rows[0]["arm"], rows[0]["split"], rows[0]["recipe"], rows[0]["parameters"]) == ("two_stage", "test", "r", 9)
