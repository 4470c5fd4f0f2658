"""Where completions of other people's models come to their conclusion, form by form."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scicot_utils import prompts
from scicot_utils.prompts import conclude
from scicot_utils.prompts.conclusions import RULES

WHY = "Plants need light.\n1. Light gives energy."
OPTION = [
    "The answer is B. carbon dioxide", "The answer is B) carbon dioxide.", "The answer is **B**.", "**Answer:** B",
    "Answer: (B)", "Final answer: B", "The correct answer is (B) carbon dioxide.", "The best answer is B.",
    "Therefore, the answer is (B).", "So the answer is B: carbon dioxide", r"$\boxed{B}$", r"\boxed{\text{B}}",
    "the answer is (b).", "option B", "The answer is （B）。", "### Answer\nB", '{"answer": "B"}', "**ANSWER: C**",
    "***Answer***: ***B***", "The answer is:\n(B)", "The answer is `B`.", "The answer is $B$.",
    "Thus, the answer is (b).", "The most likely answer is B.", "The answer to this question is (B).",
    "The answer is option B.", "**The correct answer is: (B) carbon dioxide**", "Correct answer: B",
    "The answer should be (B).", "My answer is B.", "The answer is (A). No. The answer is (B).", "The answer is carbon dioxide.",
    "Answer = B", "Therefore, the answer among A through D is (B).", "Therefore, among A through D, the answer is B.", "Hence, the final answer is (B) carbon dioxide",
]  # fmt: skip
NUMBER = {
    "#### 1234": "1234", "So it is. The answer is 1000 + 234 = 1234": "1234", r"\[ \boxed{42} \]": "42",
    "Therefore, the answer (arabic numerals) is 1234.": "1234", "The answer is $1,234.": "1234", "The answer is −3.": "-3",
    "Answer: 12 apples": "12", "The answer is 20+8+16=44 hours.": "44", "The answer is 5 * 2 = 10 = 10%": "10", "The answer is 39.0": "39",
}  # fmt: skip
YES_NO = {
    "The answer is no, because yes would be wrong.": "no", "So the answer is False.": "no",
    "Therefore, the answer (Yes or No) is Yes.": "yes", "**Answer:** yes": "yes", "The answer is True": "yes",
}  # fmt: skip
NONE = [
    "The answer is (A) or (B).", "The answer is not (A) but (B).", "The answer is not (A).", "The answer is either (A) or (C).",
    "The answer is (A)/(C)", "The answer is none of (A), (B), (C) and (D).", "The answer is both (B) and (D).",
    "both (B) box and (D) cabinet would be suitable", "<think>The answer is (A).</think>", "<think>The answer is (A).", "", "A plant.",
    "The answer is unclear.",
]  # fmt: skip


def read(row, text):
    return prompts.read_answer(row, conclude(text).answer)


@pytest.fixture
def asked(question):
    return question(("a rock", "carbon dioxide", "sand", "iron"), answer="B")


@pytest.mark.parametrize("ending", OPTION)
def test_an_option_is_read_from_every_form_and_the_rationale_ends_before_it(asked, ending):
    assert read(asked, f"{WHY}\n{ending}") == ("C" if "C**" in ending else "B")
    before = conclude(f"{WHY}\n{ending}").before
    assert before == (f"{WHY}\nThe answer is (A). No." if "No." in ending else WHY)


@pytest.mark.parametrize("ending", NONE)
def test_a_text_that_names_no_answer_or_several_is_unread(asked, ending):
    assert read(asked, f"{WHY}\n{ending}") == ""


@pytest.mark.parametrize(("ending", "number"), NUMBER.items())
def test_a_number_is_read_from_every_form(ending, number):
    row = {"id": "q", "dataset": "SVAMP", "choices": {"label": [], "text": []}, "answer": number}
    assert read(row, f"{WHY} 7 + 8 = 15.\n{ending}") == number


@pytest.mark.parametrize(("ending", "answer"), YES_NO.items())
def test_yes_and_no_are_read_from_every_form(ending, answer):
    row = {"id": "q", "dataset": "CoinFlip", "choices": {"label": [], "text": []}, "answer": answer}
    assert read(row, f"{WHY} Yes and no.\n{ending}") == answer


def test_what_leads_to_a_conclusion_belongs_to_it_though_another_stands_before():
    found = conclude("The answer is hard. Therefore, the answer is (B).")
    assert (found.before, found.answer) == ("The answer is hard.", "(B)")


@pytest.mark.parametrize(
    ("ending", "cut"),
    [
        ("So the answer is B. Therefore, the answer is (B).", True),
        ("The answer is:\n\nTherefore, the answer is (B).", True),
        ("The answer is:\n(B)", True),
        ("**Answer:** B\n\n$\\boxed{B}$", True),
        ("The answer is (A). Therefore, the answer is (B).", False),
        ("The answer is B.\nPlants need it.\nTherefore, the answer is (B).", False),
    ],
)
def test_what_a_conclusion_repeats_is_cut_with_it_and_is_kept_beside_the_rationale(ending, cut):
    found = conclude(f"{WHY}\n{ending}")
    assert (found.before == WHY) == cut and found.before.startswith(WHY)
    assert re.sub(r"\W", "", found.before + found.cut) == re.sub(r"\W", "", f"{WHY}\n{ending}")
    assert found.answer in ("B", "(B)")


@pytest.mark.parametrize("line", ["B", "(B)", "B.", "(B).", "b)"])
def test_a_letter_alone_on_the_last_line_is_a_conclusion_and_elsewhere_none(asked, line):
    assert read(asked, f"{WHY}\n\n{line}") == "B" and conclude(f"{WHY}\n\n{line}").before == WHY
    assert read(asked, f"{line}\n{WHY}") == "" and read(asked, f"{WHY} {line} it is") == ""


@pytest.mark.parametrize("last", ["3.", "2. Heat.", "- B and C", "x = 3 + 4", "2 + 2", "A plant.", "A", "I"])
def test_a_last_line_that_is_no_answer_alone_is_none(last):
    """A list that was cut, a step, a sentence; a capital "A" alone is the letter."""
    assert (conclude(f"{WHY}\n{last}").rule == "last line") == (last == "A")


def test_every_rule_reads_its_own_example():
    for rule in RULES:
        found = conclude(rule.example)
        assert found.rule == rule.name and found.answer


@given(st.sampled_from("ABCD"), st.sampled_from(["", "**", "*", "`", "***"]), st.sampled_from(["", "(", "\n"]))
def test_markup_around_a_conclusion_changes_nothing(mark, around, extra):
    shown = f"({mark})" if extra == "(" else mark
    lone = "\n" if extra == "\n" else " "
    text = f"It is so.\n{around}The answer is:{around}{lone}{around}{shown}{around}"
    assert re.sub(r"\W", "", conclude(text).answer) == mark and conclude(text).before == "It is so."


@given(st.text(st.characters(exclude_characters='ANSWERansweroptiOPTI#\\"{<'), max_size=200))
def test_a_text_without_a_conclusion_is_unread_and_whole(text):
    text += " it goes"  # a last line of one letter or number would be a conclusion
    found = conclude(text)
    assert (found.rule, found.answer, found.before) == ("", "", text.strip())


@pytest.mark.parametrize(
    "text", ["the answer " * 4000, "#" * 20_000, "\\boxed{" * 5000, "<think>" * 3000, "so, " * 8000, "* " * 9000]
)
def test_a_hostile_text_ends_no_search_late(text):
    assert conclude(text).answer == ""  # with a pattern that backtracks without end, this would not return
