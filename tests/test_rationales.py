"""Judging rationales: which are kept and why not, what they give away, and how they are disarranged."""

import pytest
from conftest import judged, refused
from hypothesis import given
from hypothesis import strategies as st

from scicot_utils import rationales, tables
from scicot_utils.prompts import TEACHER_PROMPTS, option_text

PROMPT = TEACHER_PROMPTS["zero_shot_cot"]


def completion(text, finish_reason="stop", sample=0, question_id="q1"):
    return {"question_id": question_id, "sample": sample, "text": text, "finish_reason": finish_reason}


def cued(rationale, answer):
    return f"{rationale}\nTherefore, the answer is {answer}"


def judge(question, *completions, keep="correct", **more):
    """The rows of completions of q1, and of q2, which is like it."""
    return rationales.judge(PROMPT, {name: question(id=name) for name in ("q1", "q2")}, completions, keep, **more)


def reasons(rows):
    return [row["drop_reason"] for row in rows]


@pytest.mark.parametrize(
    ("record", "correct_reason", "all_reason"),
    [
        (completion(cued("A robin is a bird.", "(B).")), "", ""),
        (completion(cued("A raft is a bird.", "(A).")), "wrong_answer", ""),
        (completion(cued("Hard to say.", "either.")), "unparsed_answer", ""),
        (completion("Hard to say."), "unparsed_answer", ""),
        (completion(cued("", "(B).")), "empty", "empty"),
        (completion("  "), "empty", "empty"),
        (completion("A robin is", "length"), "length", "length"),
        (completion(cued("A robin is a bird.", "(B)."), "length"), "length", "length"),
        (completion("", "content_filter"), "content_filter", "content_filter"),
        (completion("", "missing"), "missing", "missing"),
    ],
)
def test_a_rationale_is_dropped_for_a_reason(question, record, correct_reason, all_reason):
    for keep, reason in (("correct", correct_reason), ("all", all_reason)):
        [row] = judge(question, record, keep=keep)
        assert (row["drop_reason"], row["kept"]) == (reason, not reason)


def test_a_judged_rationale_is_a_row_of_its_table(question, tmp_path):
    rows = judge(question, completion(cued("A robin is a bird.", "(B).")))
    assert rows == [judged(rule="phrase: a letter in brackets", cut="Therefore, the answer is (B).")]
    assert tables.read("rationales", tables.write("rationales", rows, tmp_path / "r.parquet")) == rows


@pytest.mark.parametrize("keep", ["correct", "all"])
def test_a_repetition_is_dropped_within_a_question_only(question, keep):
    texts = [cued(f"{text}.", "(B).") for text in ("Same", "Other", "Same")]
    completions = [completion(text, sample=sample) for sample, text in enumerate(texts)]
    rows = judge(question, *completions, completion(texts[0], question_id="q2"), keep=keep)
    assert reasons(rows) == ["", "", "duplicate", ""]


def test_a_rationale_is_no_repetition_of_a_dropped_one(question):
    rows = judge(question, completion(cued("Same.", "no idea.")), completion(cued("Same.", "(B)."), sample=1))
    assert reasons(rows) == ["unparsed_answer", ""]


COMPLETIONS = st.lists(
    st.builds(
        completion,
        st.builds(cued, st.sampled_from(("", "One.", "Two.", "Three.")), st.sampled_from(("(A)", "(B)", "?"))),
        st.sampled_from(("stop", "stop", "length", "missing")),
        st.integers(0, 3),
        st.sampled_from(("q1", "q2")),
    ),
    max_size=12,
)


@given(completions=COMPLETIONS)
def test_the_strict_filter_keeps_only_what_the_lax_one_keeps(question, completions):
    questions = {"q1": question(), "q2": question(id="q2", answer="A")}

    def kept_texts(keep):
        rows = rationales.judge(PROMPT, questions, completions, keep)
        assert len(rows) == len(completions)
        assert all(row["kept"] == (row["drop_reason"] == "") for row in rows)
        texts = [(row["question_id"], row["rationale"]) for row in rows if row["kept"]]
        assert len(texts) == len(set(texts))
        return set(texts), rows

    strict, rows = kept_texts("correct")
    assert all(row["correct"] for row in rows if row["kept"])
    assert strict <= kept_texts("all")[0]


def test_drops_are_counted_most_frequent_first():
    dropped = ["wrong_answer", "", "", "length", "", "wrong_answer"]
    counts = rationales.drop_counts({"drop_reason": reason} for reason in dropped)
    assert list(counts.items()) == [("kept", 3), ("wrong_answer", 2), ("length", 1)]


def test_the_yield_of_a_filter_tells_the_share_kept_and_why_others_were_dropped():
    rows = [judged(), judged(), *(judged(kept=False, drop_reason=reason) for reason in ("empty", "length", "length"))]
    assert rationales.filter_yield(rows) == {"kept": 2, "yield": 0.4, "dropped for": "length 2, empty 1"}
    assert rationales.filter_yield(rows[2:])["kept"] == 0


# What a rationale gives away


@pytest.mark.parametrize(
    ("rationale", "text", "label", "alone"),
    [
        ("A robin is a bird.", True, False, True),
        ("ROBIN!", True, False, True),
        ("A robin and a raft.", True, False, False),
        ("A raft floats.", False, False, False),
        ("Two robins fly.", False, False, False),  # another word
        ("So it is (B).", False, True, False),
        ("So it is B or (C).", False, False, False),
        ("", False, False, False),
    ],
)
def test_leaks_of_the_gold_option(question, rationale, text, label, alone):
    for labels in ("ABCD", "1234"):  # shown as (B) whatever the benchmark calls it
        row = question(labels=labels)
        measures = (rationales.leaks_text, rationales.leaks_label, rationales.names_only_gold)
        assert tuple(measure(row, rationale) for measure in measures) == (text, label, alone)


@pytest.mark.parametrize(
    ("texts", "rationale", "leaks"),
    [
        (("red bird", "blue bird"), "The blue, bird!", True),
        (("red bird", "blue bird"), "blue or red bird", False),
        (("raft", "+"), "1 + 1", False),
    ],
)
def test_an_option_of_several_words_leaks_only_as_a_whole_and_one_without_words_never(
    question, texts, rationale, leaks
):
    assert rationales.leaks_text(question(texts), rationale) == leaks


@pytest.mark.parametrize(
    ("texts", "text", "chosen"),
    [
        (("red bird", "blue fish"), "The BLUE fish swims.", "B"),
        (("red bird", "blue fish"), "Something blue.", "B"),
        (("a bird", "bird"), "One bird.", "B"),  # the larger part of its words
        (("red bird", "blue fish"), "red or blue", ""),
        (("red bird", "blue fish"), "nothing of both", ""),
        (("+", "-"), "+", ""),
    ],
)
def test_word_overlap_chooses_the_option_that_shares_most(question, texts, text, chosen):
    assert rationales.overlap_choice(question(texts), text) == chosen


# Disarranging


@given(size=st.integers(2, 60), seed=st.integers(0, 50))
def test_no_rationale_stays_in_its_place_and_none_is_lost(size, seed):
    texts = [f"r{i}" for i in range(size)]
    moved = rationales.derange(texts, seed)
    assert sorted(moved) == sorted(texts)
    assert all(now != before for now, before in zip(moved, texts, strict=True))
    assert moved == rationales.derange(texts, seed)


def test_other_seeds_move_otherwise():
    texts = [f"r{i}" for i in range(20)]
    assert len({tuple(rationales.derange(texts, seed)) for seed in range(5)}) == 5


def test_of_none_or_one_rationale_there_is_nothing_to_move():
    assert rationales.derange([], 0) == []
    assert rationales.derange(["only"], 0) == ["only"]


def test_overlap_with_ties_is_credited_by_chance_so_naming_every_option_alike_reads_as_chance(question):
    row = question()
    assert rationales.overlap_credit(row, " ".join(row["choices"]["text"])) == 1 / 4
    assert rationales.overlap_credit(row, option_text(row, row["answer"])) == 1
    assert rationales.overlap_credit(row, row["choices"]["text"][0]) == 0


# Arguing for another option


RAFT = ("raft", "robin")
TURNED = {  # options, of which the second is right, a rationale, and the same with the two exchanged
    "both": (RAFT, "A robin is a bird. A raft is a vehicle.", "A raft is a bird. A robin is a vehicle."),
    "everywhere": (RAFT, "robin, robin; raft!", "raft, raft; robin!"),
    "whatever the case, in the option's own": (RAFT, "ROBIN or Raft", "raft or robin"),
    "whole words only": (RAFT, "Two robins on rafts see a robin.", "Two robins on rafts see a raft."),
    "one alone": (RAFT, "The robin flies.", "The raft flies."),
    "several words as a whole": (("bird", "red bird"), "A red bird is a bird.", "A bird is a red bird."),
    "a point and a plus": (("a.b", "c+"), "So c+ it is.", "So a.b it is."),
    "brackets and a star": (("(x)", "y*"), "So y* it is.", "So (x) it is."),
    "what a replacement takes for a group": (("\\1", "g<0>"), "So g<0> it is.", "So \\1 it is."),
}


@pytest.mark.parametrize(("texts", "rationale", "turned"), TURNED.values(), ids=TURNED)
def test_a_counterfactual_rationale_exchanges_the_right_option_and_another(question, texts, rationale, turned):
    """Letter for letter, whatever an option's marks mean in a pattern."""
    assert rationales.counterfactual(question(texts), rationale, 0) == (turned, "A")


@pytest.mark.parametrize("rationale", ["", "A raft floats.", "Two robins fly."])
def test_a_rationale_that_does_not_name_the_right_option_has_no_counterfactual(question, rationale):
    assert rationales.counterfactual(question(), rationale, 0) == ("", "")


def test_the_other_option_depends_on_the_seed_and_the_question_only(question):
    def chosen(seed, **columns):
        return rationales.counterfactual(question(**columns), "A robin is a bird.", seed)

    assert chosen(3) == chosen(3)
    assert {chosen(seed)[1] for seed in range(30)} == set("ACD")  # never the right one
    assert {chosen(0, id=f"q{number}")[1] for number in range(30)} == set("ACD")


@given(
    words=st.lists(st.sampled_from(("raft", "robin", "copper", "ant", "a", "is")), max_size=12), seed=st.integers(0, 9)
)
def test_a_rationale_turned_twice_is_what_it_was(question, words, seed):
    text = " ".join([*words, "robin"])
    turned, label = rationales.counterfactual(question(), text, seed)
    two = question(("robin", option_text(question(), label)), answer="B")  # the option argued for, and the way back
    assert rationales.counterfactual(two, turned, seed) == (text, "A")


@given(words=st.lists(st.sampled_from(("raft", "robin", "copper", "ant", "is")), max_size=12), seed=st.integers(0, 9))
def test_a_counterfactual_rationale_says_of_the_other_option_what_was_said_of_the_right_one(question, words, seed):
    turned, label = rationales.counterfactual(question(), " ".join([*words, "robin"]), seed)
    other = option_text(question(), label)
    swap = {"robin": other, other: "robin"}
    assert turned.split() == [swap.get(word, word) for word in (*words, "robin")]


FOUR = [
    "A raft is a watercraft.",
    "A robin is a bird.",
    "Copper is a metal.",
    "An ant is an insect.",
    "Every bird has feathers.",
]
TWO = ["A raft is a vehicle.", "A robin is a bird.", "Every bird has feathers."]
RIGHT, WRONG = "right answer", "wrong answer"
OUTCOMES = [  # style, proof, rationale, outcome
    ("walk", FOUR, " ".join(FOUR), f"{RIGHT}, right rationale"),
    ("walk", FOUR, " ".join(FOUR).lower(), f"{RIGHT}, right rationale"),
    ("walk", FOUR, " ".join(FOUR), f"{WRONG}, right rationale"),
    ("walk", FOUR, " ".join(FOUR[1:]), f"{RIGHT}, wrong rationale"),
    ("walk", FOUR, " ".join([*FOUR[:4], "Every metal has feathers."]), f"{WRONG}, wrong rule"),
    ("walk", FOUR, " ".join(["A raft is a bird.", *FOUR[1:]]), f"{WRONG}, wrong recall"),
    ("walk", FOUR, "", f"{WRONG}, wrong recall"),
    ("walk", TWO, "A robin is a bird. Every bird has feathers.", f"{RIGHT}, wrong rationale"),
    ("justify", TWO, "A robin is a bird. Every bird has feathers.", f"{RIGHT}, right rationale"),
    ("justify", TWO, "A robin is a bird.", f"{WRONG}, wrong rule"),
    ("justify", TWO, "A raft is a bird. Every bird has feathers.", f"{WRONG}, wrong recall"),
    ("terse", TWO, "A robin is a bird.", f"{WRONG}, right rationale"),
    ("terse", TWO, "A raft is a vehicle.", f"{WRONG}, true of another option"),
    ("terse", TWO, "A raft is a bird.", f"{WRONG}, wrong recall"),
    *(("verdict", TWO, f"A robin is a bird, so {robin}. A raft is a {kind}, so {raft}. Every bird has feathers.", outcome)
      for robin, kind, raft, outcome in (
          ("yes", "vehicle", "no", f"{RIGHT}, right rationale"), ("no", "vehicle", "no", f"{RIGHT}, wrong rationale"),
          ("yes", "vehicle", "yes", f"{WRONG}, wrong rule"), ("yes", "bird", "yes", f"{WRONG}, wrong recall"))),
]  # fmt: skip


@pytest.mark.parametrize(("style", "proof", "rationale", "outcome"), OUTCOMES)
def test_an_outcome_tells_where_a_rationale_left_the_proof_by_what_its_style_states(
    question, style, proof, rationale, outcome
):
    assert rationales.outcome(question(proof=proof), rationale, outcome.startswith(RIGHT), style) == outcome


def test_an_outcome_counts_the_subject_of_a_question_as_recall_and_walks_by_default(question):
    proof = ["A gull is a bird.", "Every bird has feathers.", "Every fish has fins."]
    row = question(("has feathers", "has fins"), question="What is true of a gull?", proof=proof)
    rationale = " ".join(["A gull is a fish.", *proof[1:]])
    assert rationales.outcome(row, rationale, False) == "wrong answer, wrong recall"


# How answers were read


def test_rules_are_counted_and_the_unread_are_shown_by_their_reason(question):
    ends = ["The answer is (B).", "The best answer is B.", "Answer: (A) or (B)", "It flies.", "It runs.", "Hm."]
    completions = [completion(f"Why {number}.\n{end}") for number, end in enumerate(ends)]
    rows = judge(question, *completions)
    assert [(row["rule"], row["read"], row["completions"]) for row in rationales.rules(rows)] == [
        ("no conclusion", "no", 3), ("phrase: a letter in brackets", "yes", 1), ("phrase: a letter", "yes", 1), ("several answers, or a denial", "no", 1),
    ]  # fmt: skip
    assert sum(row["share"] for row in rationales.rules(rows)) == pytest.approx(1)
    assert rationales.rules(judge(question, *completions, completion("", "missing"))) == rationales.rules(rows)
    unread = rationales.unread(rows, completions, each=2)
    assert [(row["why"], row["ends"].split("\n")[1]) for row in unread] == [
        ("several answers, or a denial", "Answer: (A) or (B)"), ("no conclusion", "It flies."), ("no conclusion", "It runs."),
    ]  # fmt: skip
    assert reasons(rows[:2]) == ["", ""] and rows[0]["cut"] == "The answer is (B)."


def test_a_text_that_was_cut_stays_only_where_the_recipe_keeps_them_as_the_papers_code_does(question):
    for keep, is_kept in (("correct", False), ("correct_or_cut", True), ("all", False)):
        [row] = judge(question, completion("It flies.\nThe answer is (B).", "length"), keep=keep)
        assert row["kept"] == is_kept and row["correct"]
    wrong = completion("It flies.\nThe answer is (A).", "length")
    assert reasons(judge(question, wrong, keep="correct_or_cut")) == ["wrong_answer"]


@pytest.mark.parametrize(
    ("markup", "text"), [("kept", "**Birds** have $x$ `wings`."), ("plain", "Birds have x wings.")]
)
def test_plain_rationales_are_without_markup(question, markup, text):
    [row] = judge(question, completion("**Birds** have $x$ `wings`.\n**Answer:** (B)"), markup=markup)
    assert row["rationale"] == text


# Nothing kept


def test_where_nothing_is_kept_one_line_says_what_became_of_it_all():
    dropped = ["missing", "missing", "wrong_answer", "unparsed_answer"]
    rows = [
        judged(question_id=str(i), kept=False, drop_reason=reason, rule="none", teacher_answer="")
        for i, reason in enumerate(dropped)
    ]
    texts = [completion(f"text {i}\nI cannot say.", question_id=str(i)) for i in range(4)]
    with refused(rationales.RationaleError) as error:
        rationales.need_kept(rows, texts)
    for words in ("of 4 completions no rationale was kept: 2 missing, 1 wrong_answer, 1 unparsed_answer",
                  "ends with 'text 3\\nI cannot say.'"):  # fmt: skip
        assert words in str(error.value)
    rationales.need_kept([*rows, rows[0] | {"kept": True}], texts)
    rationales.need_kept([], [])
