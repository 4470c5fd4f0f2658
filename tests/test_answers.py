"""What an answer may be: strict reading, and Fine-tune-CoT's own with the traps of its code."""

import functools

import pytest
from conftest import make_question, read_completion
from hypothesis import given
from hypothesis import strategies as st

from scicot_utils import prompts, rationales, tasks
from scicot_utils.prompts import TEACHER_PROMPTS, cleanse, read_answer
from scicot_utils.prompts.answers import KINDS

OPEN = {"label": [], "text": []}
TWO_CALLS, ONE_CALL = TEACHER_PROMPTS["zero_shot_cot"], TEACHER_PROMPTS["zero_shot_cot_one_call"]


strictly = functools.partial(read_completion, reading="strict")  # (rationale, answer) by the prompt's own cue


def open_question(dataset, answer, **columns):
    return make_question(dataset=dataset, choices=OPEN, answer=answer, **columns)


def choice_question(dataset, count=5, **columns):
    return make_question([f"option {mark}" for mark in "abcdef"[:count]], dataset=dataset, **columns)


def test_every_task_has_a_kind_of_answer_and_every_kind_a_task():
    assert {task.answers for task in tasks.TASKS.values()} == KINDS.keys()


TEN = make_question(
    [*"pqrstuvw", "iron", "joule"], labels="ABCDEFGHIJ", answer="J"
)  # the ninth letter is a pronoun, too


# Strict


@pytest.mark.parametrize("text", ["J", "(J)", "j.", "(j)", "joule", "J. joule"])
def test_the_letters_of_ten_options_are_read(text):
    row = prompts.read_free(TEN, f"It is a unit.\nThe answer is {text}")
    assert (row.answer, row.rationale) == ("J", "It is a unit.")
    assert text == "J. joule" or read_answer(TEN, text) == "J"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("It is a metal.\nI", "I"),
        ("It is a unit.\nSo (J) is the correct answer.", "J"),
        ("It is a unit.\nOption J", "J"),
        ("It is a metal.\nThe answer is I, since iron rusts.", "I"),
        ("It is a metal.\nI think that this is correct.", ""),
        ("The answer is I think so.", ""),
        ("The answer is (J), or I", ""),
        ("The answer is J, because it is a unit. No, I", ""),
        ("The answer is K", ""),
    ],
)
def test_a_ninth_option_is_no_pronoun_and_a_pronoun_no_option(text, answer):
    assert prompts.read_free(TEN, text).answer == answer


def test_letters_beyond_the_options_mean_nothing():
    four = make_question()
    assert prompts.read_free(four, "The answer is B.\nx").answer == "B" == read_answer(four, "f(x) (B)")


NAMED = [
    "(B)",
    "(b)",
    "B",
    "B.",
    " B) ",
    "(B) robin.",
    "robin",
    "Robin.",
    " ROBIN ",
    "The answer is (B).",
    "(B) not (C)",
]
UNNAMED = [
    "A raft", "a bird", "A robin is a bird.", "A or B", "the robin", "robin raft", "", " ", "?", "(E)", "E", "F)", "()",
]  # fmt: skip
EQUAL = ["39", "39.0", "39.", "$39", "  39 apples", "39.00 dollars", "It is 39, so 39.0", "+39"]
STRICT = {  # the question, and what each text is read as
    "an option": (make_question(), dict.fromkeys(NAMED, "B") | dict.fromkeys(UNNAMED, "")),
    "an option, by the benchmark's own label": (make_question(labels="1234"), dict.fromkeys(NAMED, "2")),
    "an option made of signs, which an empty answer is not": (
        make_question(("×", "sum", "part", "whole")), {"": "", "...": "", "×": "A"},
    ),
    "one of two options of equal words, only by its letter": (
        make_question(("robin", "robin", "ant", "raft")), {"robin": "", "(B)": "B"},
    ),
    "a number": (open_question("GSM8K", "39"), dict.fromkeys(EQUAL, "39")),
    "a number, in the benchmark's own spelling": (open_question("GSM8K", "39.0"), dict.fromkeys(EQUAL, "39.0")),
    "a wrong number, as the number that it is": (
        open_question("SVAMP", "7"),
        {"1,000": "1000", "1,000,000.50": "1000000.5", "-5": "-5", "0.50": "0.5", "50%": "50", "100": "100"},
    ),
    "no number, or several": (
        open_question("SVAMP", "39"),
        dict.fromkeys(["", "no number", "3/4", "39 or 40", "10-5", "3, 4", "1,23", "m2", "39 of 50 apples"], ""),
    ),
    "yes or no, a word of its own and only one of them": (
        open_question("CoinFlip", "yes"),
        {"yes": "yes", "No, the coin is tails up.": "no", "YES!": "yes", "not heads": "", "yes and no": "", "": ""},
    ),
    "a word, all of the text or all that is quoted": (
        open_question("LastLetter", "nkoe"),
        {"nkoe": "nkoe", '"nkoe".': "nkoe", "NKOE": "nkoe", 'the word "nkoe"': "nkoe", "nko": "nko", "n k o e": "", "": "", '"a" and "b"': ""},
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("row", "text", "answer"),
    [
        pytest.param(row, text, answer, id=f"{kind}: {text}")
        for kind, (row, texts) in STRICT.items()
        for text, answer in texts.items()
    ],
)
def test_an_answer_is_read_strictly(row, text, answer):
    assert read_answer(row, text) == answer


@given(value=st.decimals(-9999, 9999, places=2), zeros=st.integers(0, 4))
def test_a_number_is_read_back_however_many_zeros_follow(value, zeros):
    row = open_question("AddSub", f"{value}")
    assert read_answer(row, f"{value}{'0' * zeros}") == row["answer"]


@pytest.mark.parametrize(
    ("text", "rule"),
    [('The word is "ab".', "the one word in quotation marks"), ("ab", "the one word"), ('"a""b"', "the one word")],
)
def test_a_words_rule_says_whether_it_was_quoted(text, rule):
    assert prompts.read_by(open_question("LastLetter", "ab"), text)[1] == rule


@pytest.mark.parametrize("name", [name for name, task in tasks.TASKS.items() if task.answers != "option"])
def test_an_open_answer_survives_being_shown_written_and_read(name):
    for answer in {"number": ("39", "0.5", "-7", "1,000"), "yes_no": ("yes", "no"), "word": ("nk", "yajo")}[
        tasks.TASKS[name].answers
    ]:
        row = open_question(name, answer)
        for answer_format in ("text", "label", "letter"):
            assert read_answer(row, prompts.write_answer(row, answer, answer_format)) == answer
        for prompt in (TWO_CALLS, ONE_CALL):
            text = f"Why.{prompt.answer_cue or prompts.FINAL} {answer}."
            assert strictly(prompt, row, text)[1] == answer


# Fine-tune-CoT's own

NUMBER = open_question("SVAMP", "39")
PAPER = {  # the question, a text, its cue, and what is read
    "without a cue, the first": (NUMBER, "40 less 1 is 39", "", "40"),
    "with a cue, the first after it": (NUMBER, "40 less 1 --> 39 or 38", "-->", "39"),
    "with a cue that is missing, the last": (NUMBER, "40 less 1 is 39", "-->", "39"),
    "with nothing after the cue, none": (NUMBER, "40 less 1 -->", "-->", ""),
    "of yes and no, the first": (open_question("StrategyQA", "no"), "Well: No, yes.", "", "no"),
    "of a word in brackets, which are not stripped there, none": (open_question("CoinFlip", "no"), "(no)", "", ""),
    "of a word, its letters": (open_question("LastLetter", "nk"), ' "n k".', "", "nk"),
    "of several words, all letters": (open_question("LastLetter", "nk"), "is nk", "", "isnk"),
    "of five options, no letter F": (choice_question("AQUA", 5), "Finally (B)", "", "B"),
    "of three options, no letter D": (choice_question("ShuffledObjects", 3), "Dinally (B)", "", "B"),
    "of six options, a letter F": (choice_question("DateUnderstanding", 6), "Finally (B)", "", "F"),
}


@pytest.mark.parametrize(("row", "text", "cue", "answer"), PAPER.values(), ids=PAPER)
def test_what_counts_in_the_papers_reading(row, text, cue, answer):
    assert cleanse(row, text, cue) == answer


def test_trap_the_article_counts_as_option_a_in_the_papers_reading_only():
    row = choice_question("CommonsenseQA")
    assert cleanse(row, "A raft, so it is (C)") == "A"
    assert read_answer(row, "A raft, so it is (C)") == "C"
    assert read_answer(row, "A raft") == ""


@pytest.mark.parametrize(
    ("dataset", "equal"),
    [("GSM8K", False), ("MultiArith", False), ("SVAMP", True), ("AddSub", True), ("SingleEq", True)],
)
def test_trap_gsm8k_and_multiarith_compare_text_in_the_papers_reading(dataset, equal):
    row = open_question(dataset, "39")
    assert (cleanse(row, "39.0") == row["answer"]) == equal
    assert read_answer(row, "39.0") == row["answer"]
    assert cleanse(open_question(dataset, "1,039"), "1039") == "1,039", "commas are dropped on both sides"


@pytest.mark.parametrize(("reading", "is_kept"), [("strict", False), ("paper", True)])
def test_the_filter_reads_the_teacher_as_the_recipe_says(reading, is_kept):
    row = choice_question("CommonsenseQA", answer="A")
    completion = {
        "question_id": row["id"], "sample": 0, "finish_reason": "stop",
        "text": f"It floats.{prompts.CUE} A raft.",
    }  # fmt: skip
    [rationale] = rationales.judge(TWO_CALLS, {row["id"]: row}, [completion], "correct", reading)
    assert rationale["kept"] == is_kept


def test_a_recorded_answer_is_read_from_its_own_part_in_the_papers_reading():
    row, recorded = open_question("GSM8K", "39"), TEACHER_PROMPTS["recorded"]
    assert read_completion(recorded, row, f"40 less 1.{prompts.CUE} 39 of 40.", "paper") == ("40 less 1.", "39")
    assert read_completion(recorded, row, "40 less 1.", "paper")[1] == ""


def test_in_one_call_the_papers_reading_looks_after_the_cue():
    row = open_question("GSM8K", "39")
    assert read_completion(ONE_CALL, row, "40 less 1.\nThe answer is 39 apples, not 40.", "paper")[1] == "39"
    assert strictly(ONE_CALL, row, "40 less 1.\nThe answer is 39 apples, not 40.")[1] == ""
    assert read_completion(ONE_CALL, row, "40 less 1 makes 39", "paper")[1] == "39"


# Rationales for open answers


def test_of_an_open_answer_only_its_words_can_leak():
    row = open_question("SVAMP", "39")
    assert rationales.leakage([(row, "40 - 1 = 39."), (row, "40 less 1.")]) == {"names gold": 0.5}
    pairs = [
        (row | {"answer": gold}, text) for gold, text in (("39.0", "39 left."), ("1039", "$1,039"), ("3", "1.3, 13"))
    ]
    assert [rationales.leaks_text(*pair) for pair in pairs] == [True, True, False], "numbers count by their value"
    assert rationales.leakage([(make_question(), "A robin.")]).keys() == rationales.LEAKS.keys()
    assert rationales.counterfactual(row, "39", 0) == ("", "")
