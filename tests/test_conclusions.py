"""Where completions of other people's models come to their conclusion, form by form."""

import re

import pytest
from conftest import make_question
from hypothesis import assume, given
from hypothesis import strategies as st

from scicot_utils import prompts
from scicot_utils.prompts import conclude
from scicot_utils.prompts.conclusions import _rules
from scicot_utils.serving.replies import split_thinking

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
    "The best answer based on the passage is (B).", "This leaves us with (B), carbon dioxide, as the most likely answer.",
]  # fmt: skip


def open_question(dataset, answer):
    return make_question(dataset=dataset, choices={"label": [], "text": []}, answer=answer)


def read(row, text):
    return prompts.read_free(row, text).answer


@pytest.fixture
def gas_question(question):
    return question(("a rock", "carbon dioxide", "sand", "iron"), answer="B")


@pytest.mark.parametrize("ending", OPTION)
def test_an_option_is_read_from_every_form_and_the_rationale_ends_before_it(gas_question, ending):
    assert read(gas_question, f"{WHY}\n{ending}") == ("C" if "C**" in ending else "B")
    before = conclude(f"{WHY}\n{ending}").before
    assert before == (f"{WHY}\nThe answer is (A). No." if "No." in ending else WHY)


def test_what_leads_to_a_conclusion_belongs_to_it_though_another_stands_before():
    conclusion = conclude("The answer is hard. Therefore, the answer is (B).")
    assert (conclusion.before, conclusion.words) == ("The answer is hard.", "(B).")


@pytest.mark.parametrize(
    ("ending", "cut"),
    [
        ("So the answer is B. Therefore, the answer is (B).", True),
        ("The answer is:\n\nTherefore, the answer is (B).", True),
        ("The answer is:\n(B)", True),
        ("**Answer:** B\n\n$\\boxed{B}$", True),
        ("The answer is B. Therefore, the answer is (B) carbon dioxide.", True),
        ("So the answer is most likely B. Therefore, the answer is (B).", True),
        ("The answer is therefore option B.\nTherefore, the answer is (B).", True),
        ("The answer is (A). Therefore, the answer is (B).", False),
        ("The answer is (A). Therefore, the answer is (B) carbon dioxide.", False),
        ("The answer is B.\nPlants need it.\nTherefore, the answer is (B).", False),
    ],
)
def test_what_a_conclusion_repeats_is_cut_with_it_and_is_kept_beside_the_rationale(ending, cut):
    conclusion = conclude(f"{WHY}\n{ending}")
    assert (conclusion.before == WHY) == cut and conclusion.before.startswith(WHY)
    assert re.sub(r"\W", "", conclusion.before + conclusion.cut) == re.sub(r"\W", "", f"{WHY}\n{ending}")
    assert conclusion.words in ("B", "(B)", "(B).", "(B) carbon dioxide.")


@pytest.mark.parametrize(
    "lead",
    [
        "2. ",
        "2) Therefore, ",
        "Step 2: ",
        "**Step 2:** ",
        "### Conclusion\n",
        "**Conclusion:** ",
        "**Conclusion**:\n\n",
    ],
)
def test_a_rationale_does_not_end_with_the_number_or_the_heading_of_its_conclusion(lead):
    conclusion = conclude(f"1. Leaves need light.\n2. They take it in.\n\n{lead}The answer is B.")
    assert conclusion.before == "1. Leaves need light.\n2. They take it in."


@pytest.mark.parametrize("line", ["B", "(B)", "B.", "(B).", "b)"])
def test_a_letter_alone_on_the_last_line_is_a_conclusion_and_elsewhere_none(gas_question, line):
    assert read(gas_question, f"{WHY}\n\n{line}") == "B" and conclude(f"{WHY}\n\n{line}").before == WHY
    assert read(gas_question, f"{line}\n{WHY}") == "" and read(gas_question, f"{WHY} {line} it is") == ""


@pytest.mark.parametrize("last", ["3.", "2. Heat.", "- B and C", "x = 3 + 4", "2 + 2", "A plant.", "A", "I"])
def test_a_last_line_that_is_no_answer_alone_is_none(last):
    """A list that was cut, a step, a sentence; a capital "A" alone is the letter."""
    assert (conclude(f"{WHY}\n{last}").rule == "last line") == (last == "A")


def test_every_rule_reads_its_own_example():
    for rule in _rules("H"):
        conclusion = conclude(rule.example)
        assert conclusion.rule == rule.name and conclusion.words


@given(st.sampled_from("ABCD"), st.sampled_from(["", "**", "*", "`", "***"]), st.sampled_from(["", "(", "\n"]))
def test_markup_around_a_conclusion_changes_nothing(mark, markup, extra):
    answer = f"({mark})" if extra == "(" else mark
    gap = "\n" if extra == "\n" else " "
    text = f"It is so.\n{markup}The answer is:{markup}{gap}{markup}{answer}{markup}"
    assert re.sub(r"\W", "", conclude(text).words) == mark and conclude(text).before == "It is so."


@given(st.text(st.characters(exclude_characters='ANSWERansweroptiOPTI#\\"{<'), max_size=200))
def test_a_text_without_a_conclusion_is_unread_and_whole(text):
    text += " it goes"  # a last line of one letter or number would be a conclusion
    conclusion = conclude(text)
    assert (conclusion.rule, conclusion.words, conclusion.before) == ("", "", text.strip())


@pytest.mark.parametrize(
    "text",
    [
        "the answer " * 4000,
        "#" * 20_000,
        "\\boxed{" * 5000,
        "<think>" * 3000,
        "most, " * 3000,
        "not think " * 3000,
        "so, " * 8000,
        "* " * 9000,
        "*a " * 30_000,
        "`a " * 30_000,
        "\\boxed{A} " * 9000,
        '"answer":"' * 9000,
        "the answer is " * 7000,
        "1 = " * 9000,
        "x" + "\n" * 300_000 + "y",
        "x" + "\n " * 150_000 + "y",
        "x" + "<b>" * 50_000 + "y",
        "<think>" + "</think" * 50_000 + "y",
        "leaves (A) " * 9000,
        "답은 " * 9000,
        "A) b\n" * 9000,
        "Yes, " * 9000,
        "B\n\n" + "not\n" * 5000,
        "B is the correct answer. " + "n't " * 5000,
    ],
)
def test_a_hostile_text_ends_no_search_late(text):
    row = open_question("SVAMP", "1")
    assert read(row, text) == ""  # with a pattern that backtracks without end, this would not return


@given(
    st.lists(
        st.sampled_from(
            ["Add. ", r"\text{of it} ", "$x$ ", "**b** ", "* ", "3*4 ", "`c` ", "½ ", "Ａ ", "\n", "- ", r"\( y \) "]
        ),
        max_size=8,
    )
)
def test_what_stands_before_a_conclusion_stays_word_for_word(parts):
    body = "".join(parts) + "It is so."
    conclusion = conclude(f"{body}\nThe answer is (B).")
    assert conclusion.before == body.strip() and conclusion.cut == "The answer is (B)."


ALONE = [ending for ending in OPTION if "No. The answer" not in ending]


@pytest.mark.parametrize("ending", ALONE)
def test_with_its_conclusion_taken_away_a_text_is_unread(gas_question, ending):
    completion = prompts.read_free(gas_question, f"{WHY}\n{ending}")
    again = prompts.read_free(gas_question, completion.rationale)
    assert completion.answer and (again.answer, again.rule, again.rationale) == ("", prompts.NO_CONCLUSION, WHY)


@pytest.mark.parametrize(
    ("labels", "first", "answer"),
    [("1234", "a rock", "3"), ("1234", "3 rocks", ""), ("1234", "two", ""), ("ABCD", "a rock", "")],
)
@pytest.mark.parametrize("said", ["(3)", "3", "option 3"])
def test_a_benchmarks_own_number_names_its_option_where_no_option_is_a_number(labels, first, answer, said):
    question = make_question((first, "sand", "iron", "water"), labels=labels)
    assert read(question, f"It shines. The answer is {said}.") == answer


@given(ending=st.sampled_from(ALONE), order=st.permutations(range(4)))
def test_moving_the_options_moves_the_answer_with_them(ending, order):
    texts = ("a rock", "carbon dioxide", "sand", "iron")
    plain = {"id": "q", "dataset": "ARC-Easy", "choices": {"label": list("1234"), "text": list(texts)}, "answer": "2"}
    moved = plain | {"choices": {"label": list("1234"), "text": [texts[i] for i in order]}}
    assume(prompts.read_free(plain, ending).answer == "2")
    label = str(order.index(1) + 1)  # of the same option now
    text = re.sub(r"(?<![A-Za-z])[Bb](?![A-Za-z])", "ABCD"[int(label) - 1], ending)
    assert prompts.read_free(moved, text).answer == label


@pytest.mark.parametrize(
    "text",
    [
        '{"reasoning": "Birds have \\"feathers\\".\\nRafts do not.", "answer": "B"}',
        '```json\n{"answer": "B", "explanation": "Birds have \\"feathers\\".\\nRafts do not. So the answer is B."}\n```',
        '{"Steps": ["Birds have \\"feathers\\".", "Rafts do not."], "final_answer": "The answer is B.", "confidence": 0.9}',
    ],
)
def test_of_a_json_object_the_reasoning_is_the_rationale_in_its_own_words(question, text):
    completion = prompts.read_free(question(("raft", "robin")), text)
    assert (completion.rationale, completion.answer) == ('Birds have "feathers".\nRafts do not.', "B")
    assert completion.rule.startswith("json: ") and "Rafts" not in completion.cut and "B" in completion.cut


@pytest.mark.parametrize(
    "text", ['{"answer": "B"}', '{"reasoning": {"a": 1}, "answer": "B"}', '{"reasoning": "It is, "answer": "B"}']
)
def test_other_json_is_read_as_text(question, text):
    assert prompts.read_free(question(("raft", "robin")), text).answer == "B"


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("Answer: 7\n\nExplanation: 3 and 4 are 7.", "Answer: 7"),
        ("Answer: 7\n\nThree and four are added.\nThe answer is 7.", "Answer: 7\n\n\nThe answer is 7."),
        ("Three and four are added.\nThe answer is 7.", "The answer is 7."),
    ],
)
def test_what_is_cut_is_all_that_the_rationale_is_not(text, cut):
    assert conclude(text).cut == cut and conclude(text).before not in cut


GAS = ("oxygen", "nitrogen", "carbon dioxide", "helium")
ELSEWHERE = {  # conclusions in other markup and other languages → the option's letter
    "It burns.\n【答案】 A <eoa>": "A", "它能助燃。因此，正确答案是A。": "A", "它能助燃。正确答案是A，即氧气。": "A",
    "它能助燃。答案：A。解析：因为火要它。": "A", "它能助燃。综上所述，故选：A。": "A", "它能助燃。所以选A。": "A",
    "Es brennt.\n\nDie richtige Antwort ist **A**.": "A", "Ça brûle.\nRéponse : A": "A", "Arde.\nLa respuesta correcta es (A).": "A",
    "It burns.\n<b>Answer: <span style='color:red'>A. oxygen</span></b>": "A", "It burns.\n[ANSWER] A [/ANSWER]": "A", "It burns.\n[[A]]": "A",
    "It burns. <answer>[A]</answer>": "A", "它能助燃，所以选手应该用它。答案是A。": "A", "它能助燃。所以选择题的答案是A。": "A",
    "It burns. The answer is:\n\n(4) helium": "D",
    "Arde.\nPortanto, a alternativa correta é: **A**.": "A", "Arde.\nLa respuesta correcta es la opción **(a): oxygen**. No cabe duda.": "A",
    "It burns.\n정답: A": "A", "It burns. 따라서 가장 적절한 답은 A입니다.\n\n정답: A": "A", "It burns.\n正解は「A」です。": "A",
    "It burns.\nMy final choice is A.": "A", "It burns. The best statement of all is:\n\n**A) oxygen**": "A",
}  # fmt: skip


@pytest.mark.parametrize("text", ELSEWHERE)
def test_a_conclusion_is_read_in_other_markup_and_other_languages(question, text):
    completion = prompts.read_free(question(GAS), text)
    assert completion.answer == ELSEWHERE[text]
    assert re.match(r"It burns|它能助燃|Es brennt|Ça brûle|Arde", completion.rationale)


@pytest.mark.parametrize("end", ["in <code>x</code>", 'by <a href="x">', "of <br/>"])
def test_a_tag_at_the_end_of_a_rationale_stays_whole(question, end):
    completion = prompts.read_free(question(GAS), f"Leaves need it {end}\n> The answer is (B).")
    assert completion.rationale == f"Leaves need it {end}"


def test_a_box_may_hold_braces_in_braces(question):
    text = r"So we circle $\boxed{\text{(B) }\frac{2\sqrt{7}}{3}}$ and are done."
    assert read(question(("1", r"\frac{2\sqrt{7}}{3}", "2")), text) == "B"


def test_of_several_questions_that_a_text_asks_itself_none_is_the_one_asked(question):
    text = "Here they are.\n\nQ: Which burns?\nA: The answer is (A).\n\nQ: Which is light?\nA: The answer is ({}).\n\nQ: Which"
    assert [read(question(GAS), text.format(mark)) for mark in "AD"] == ["A", ""]


@pytest.mark.parametrize(
    ("thoughts", "rest"),
    [
        ("<think>\nIt burns. The answer is (B).", "\n</think>"),
        ("<|channel|>analysis<|message|>The answer is (B).", "<|end|><|start|>assistant<|channel|>final<|message|>"),
        ("<|start|>assistant<|channel|>analysis<|message|>The answer is (B).", "<|end|><|start|>assistant<|channel|>final<|message|>"),
        ("[THINK]The answer is (B).", "[/THINK]"), ("<seed:think>The answer is (B).", "</seed:think>"),
        ("◁think▷The answer is (B).", "◁/think▷"), ("analysisThe answer is (B).", "assistantfinal"), ("<thought>The answer is (B).", "</thought>"),
        ("<|begin_of_thought|>\n\nThe answer is (B).", "\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\n"),
        ("<|START_THINKING|>The answer is (B).", "<|END_THINKING|><|START_RESPONSE|>"), ("<|channel>thought\nThe answer is (B).", "<channel|>"),
        ("Here is my thought process:\n\nThe answer is (B).", "\n\nHere is my response:\n\n"),
        ("## Thinking\n\nThe answer is (B).", "\n\n## Final Response\n\n"),
    ],
)  # fmt: skip
def test_thoughts_are_no_answer_in_whatever_marks(question, thoughts, rest):
    completion = prompts.read_free(question(GAS), f"{thoughts}{rest}It burns. The answer is (A).<|return|>")
    assert (completion.rationale, completion.answer) == ("It burns.", "A")
    assert split_thinking(f"{thoughts}{rest}")[0].endswith("The answer is (B).")
    assert read(question(GAS), "It burns. The answer is (A). After 'assistantfinal' stands the answer.") == "A"
    if not thoughts.startswith(("analysis", "Here", "##", "<thought>")):  # which a text may begin with
        assert read(question(GAS), thoughts) == ""


@pytest.mark.parametrize("start", ["", "<|start|>assistant"])
def test_an_answer_may_come_without_thoughts_in_the_marks_of_those_that_have_some(question, start):
    text = f"{start}<|channel|>final<|message|>It burns. The answer is (A).<|return|>"
    assert prompts.read_free(question(GAS), text).rationale == "It burns."
    assert prompts.read_free(question(GAS), "It burns.<|end|>\n").rationale == "It burns."


@pytest.mark.parametrize(
    ("option", "words", "is_same"),
    [
        ("6.2 × 10^8 J", r"6.2 \times 10^{8}\,\text{J}", True), ("6.2 × 10⁸ J", r"6.2 \times 10^8~\mathrm{J}", True),
        ("6.2 x 10⁻⁸ J", "6.2 × 10^-8 J", True), ("6.2 x 10⁻⁸ J", r"6.2 \times 10^{8} J", False), ("7540J", "7540 J", True),
        (r"$\frac{1}{2}$", "1/2", True), ("1/2", r"\dfrac{1}{2}", True), ("1/2", r"\frac{2}{1}", False), ("H_{2}O", "H2O", True), ("H₂O", "H2O", True), ("30°C", r"30^\circ\text{C}", True),
        (r"\sqrt{2}", "√2", True), ("√2", "2", False), ("−5 m", "-5 m", True), ("−5 m", "5 m", False), ("25%", r"25\%", True), ("25%", "25", False),
    ],
)  # fmt: skip
def test_an_option_is_the_same_in_latex_and_in_plain_characters(question, option, words, is_same):
    row = question(("none", option, "all"))
    for text in (rf"It is so. \boxed{{{words}}}", f"It is so.\nThe answer is {words}."):
        assert read(row, text) == ("B" if is_same else "")


# What each ending comes to, '' for nothing

NUMBER = {
    "#### 1234": "1234", "So it is. The answer is 1000 + 234 = 1234": "1234", r"\[ \boxed{42} \]": "42",
    "Therefore, the answer (arabic numerals) is 1234.": "1234", "The answer is $1,234.": "1234", "The answer is −3.": "-3",
    "Answer: 12 apples": "12", "The answer is 20+8+16=44 hours.": "44", "The answer is 5 * 2 = 10 = 10%": "10", "The answer is 39.0": "39",
    "A: 1,234": "1234", "A: -12": "-12",
}  # fmt: skip
YES_NO = {
    "The answer is no, because yes would be wrong.": "no", "So the answer is False.": "no",
    "Therefore, the answer (Yes or No) is Yes.": "yes", "**Answer:** yes": "yes", "The answer is True": "yes",
}  # fmt: skip
UNREADABLE = [
    "The answer is (A) or (B).", "The answer is not (A) but (B).", "The answer is not (A).", "The answer is either (A) or (C).",
    "The answer is (A)/(C)", "The answer is none of (A), (B), (C) and (D).", "The answer is both (B) and (D).",
    "both (B) box and (D) cabinet would be suitable", "<think>The answer is (A).</think>", "<think>The answer is (A).", "", "A plant.",
    "The answer is unclear.",
]  # fmt: skip
LISTS = [
    "A) a rock\nIt lies.\nB) carbon dioxide\nIt flows.", "(A) a rock\n(B) carbon dioxide", "B) carbon dioxide\n\nWait, plants eat iron.",
    "A rock is hard.", "carbon dioxide", "A) oxygen burns.\n\nB) carbon dioxide",
    "Let's go through each answer choice:\n\nB. carbon dioxide. It does not burn.\n\nC. It burns.",
    "Leaves burn.\n\n**B) carbon dioxide** does not burn.", "It burns.\nB) carbon dioxide is wrong.",
]  # fmt: skip
CRITICAL = {
    "option": {
        r"The final answer is: $\boxed{B}$": "B", r"Final Answer: The final answer is $\boxed{B}$. I hope it is correct.": "B",
        r"**Final Answer: \boxed{B}**": "B", r"So the answer is \(\boxed{B}\)": "B", r"The answer is \boxed{carbon dioxide}.": "B",
        r"\boxed{A} or \boxed{B}": "", "The correct option is B.": "B", "The correct choice is (B).": "B",
        "(B) is the correct answer. However, leaves breathe.": "", "(B) is the correct answer. (C) is right, too.": "",
        "So B is the correct answer.": "B", "Therefore (B) is right.": "B", "The answer is B (carbon dioxide).": "B",
        "The answer is “B”.": "B", "The answer is [B].": "B", "The answer is B because A is wrong.": "B", "The answer is B, not A.": "B",
        "The answer is probably B": "B", "The answer is most likely (B).": "B", 'The answer is probably "carbon dioxide."': "B", "**Final Answer**\n\nB) carbon dioxide": "B", "B. carbon dioxide": "B",
        "<answer>B</answer>": "B", "答案：B": "B", "The answer is carbon dioxide (B).": "B", "The answer is B. I hope it is correct.": "B",
        "The answer is (B). It is taken in by leaves.": "B", "The answer is carbon dioxide because (A) is breathed out.": "B",
        "The answer is definitely not (A).": "", "The answer is never (A).": "", "The answer is anything but (A).": "",
        "The answer is unlikely to be (A).": "", "The answer is different from (A).": "", "The answer is wrong if you pick (A).": "",
        "The answer is carbon dioxide, not oxygen (A).": "", "The wrong answer is A.": "", "The incorrect answer is A.": "",
        "The least likely answer is A.": "", "One might think the answer is A.": "", "The answer is A. But B is better.": "",
        "If they breathed it out, the answer would be A. But they do not": "", "The answer is A: oxygen is wrong, B is right.": "",
        "It cannot be option A.": "", "This rules out option A": "", "The answer is (A) carbon dioxide.": "",
        "The answer is A. carbon dioxide": "", "The answer is B) oxygen.": "", "Answer: C. elegans is a worm": "", "The correct solution is: B": "B", "The correct solution is: A or B": "",
        "The best solution is carbon": "", "The answer is B, weil A giftig ist.": "B", "The answer is B car A brûle.": "B",
        "The answer is a car.": "", "A car is not a gas.": "", "The answer is a car, which burns.": "", "The answer is B, car or bus.": "", r"\[ \text{The answer is (B).} \]": "B",
        "Answer: A. I need to check each option.": "", "Answer: a. oxygen is made; b. carbon dioxide is used": "",
        "The answer is B\n\nQ: What is next?\nA: The answer is C.": "B",
        "I don't think the answer is A.": "", "I doubt that the answer is A.": "", "It is false that the answer is A.": "",
        "There is no way the answer is A.": "", "Some might argue that the answer is A.": "", "Many people believe the answer is A.": "",
        "The answer is A, which is wrong.": "", "The answer is A because it seems, but that is wrong.": "",
        "The answer is (A).\nActually, I made an error: B is what plants take in.": "", "\\boxed{A}\nWait, this is wrong. Correct is B.": "",
        "The answer is B.\n\nHuman: And now?\nAssistant: The answer is A.": "B", "The answer is B.<|im_end|>\n<|im_start|>user\nThe answer is A.": "B",
        "The answer is B.\n\nQuestion 2: Which?\nThe answer is A.": "B", "The answer is B.\nWhy not the others?\n(A) It is solid.\n(D)": "", '{"answer": "B", "alternatives": "The answer is A"}': "B",
    },
    "number": {
        "The answer is minus 3.": "-3", "The answer is 5 million.": "", "The answer is 5k.": "", "The answer is 2 dozen.": "",
        "The answer is 1.234e3.": "", "The answer is 10³.": "", "The answer is 2*2.": "", "The answer is 3*4*5.": "",
        "The answer is 7 x 7.": "", "The answer is 5 - 5.": "", "The answer is 10 / 10.": "", r"The answer is \sqrt{16}.": "",
        "The answer is 5!": "", "The answer is half of 10.": "", "The answer is more than 10.": "", "The answer is 3 and a half pints.": "",
        "The answer is 5 dozen brownies.": "", "Answer:\n- 5 apples\n- 7 pears": "", "The answer is not 10.": "", "The answer is .5": "0.5",
        "The answer is 25 km^2.": "25", r"The answer is \boxed{1{,}234}": "1234", r"The answer is $40,\!000$.": "40000", "The answer is x = 5.": "5", "The answer is 12 apples.": "12",
        "The answer is 5 + 4 = 9 apples.": "9", "The answer is $1,234.50.": "1234.5", "The answer is 40%.": "40", "The answer is - 18": "", "The answer is ten times 18.": "", "The answer is 18. That's incorrect.": "", "The answer is that he didn't sell 18.": "", "He earns it. #### 18": "18",
    },
    "yes_no": {
        "The answer is yes and no.": "", "The answer is yes or no.": "", "The answer is Yes/No.": "", "The answer is yes, wait, no.": "",
        "The answer is yes if it is a bird, no otherwise.": "", "The answer would be yes, but it does not fly.": "",
        "The answer is no doubt yes": "", "The answer is no longer certain": "", "The answer is no one knows": "",
        r"The answer is \boxed{False}.": "no", "The answer is no, not yes.": "no", "The answer is not no.": "", 'The answer is most likely "no."': "no", "The answer is yes, it flies.": "yes", "The answer is yes - in theory. In practice it is impossible.": "", "Yes, in most cases; in this case it is not.": "",
        "The answer is no, a bird does not swim.": "no",
    },
    "word": {
        r"The answer is \boxed{nk}.": "nk", r'The answer is \boxed{"nk"}.': "nk", 'The answer is "nk", not "kn".': "",
        'The answer is "nk" (from "n").': "", "The answer is uncertain.": "", 'The answer is "nk".': "nk", "The answer is nk": "nk",
    },
}  # fmt: skip
REASONED = [
    "It is not a rock, so the answer is B.", "Since rocks do not breathe, the answer is B.", "If plants take it in, the answer is B.",
    "It isn't a rock, and therefore the answer is B.", "Many animals breathe, so the answer is B.", "I'm not sure, but the answer is B.",
    "People need oxygen, plants something else; the answer is B.", "One might think of oxygen, but the correct answer is B.",
    "Students often choose A, but the correct answer is B.", "If we look at leaves, then the answer is B.", "Since it cannot be A or C, the answer must be B.",
    "It does not matter, so I conclude that the answer is B.", "Some gases are heavy, which means the answer is B.", "**Not A**, so the answer is **B**.",
    "If not A, then the answer is B.", "I don't think so, so the answer is B.", "We do not need A; the answer is B.",
    "While some believe it is A, the correct answer is B.",
    "Although it may be tempting to choose A, the correct answer is B.",
    "A might be tempting to choose, yet the answer is B.",
    "Never choose A; the answer is B.",
    "While it might be tempting to think it is oxygen, the answer is B.",
    "Although most people say oxygen, the correct answer is B.",
    "Contrary to what many people think, the answer is B.",
    "Plants had no other gas to use, so the answer would be B.",
    "There is no doubt that the answer is B.",
    "I have no doubt the answer is B.",
    "Based on this, I would say that the answer is B.",
    "From this we may conclude that the answer is B.",
    "I'm not sure — the answer is B.",
    "Don't be fooled: the answer is B.",
    "Not oxygen, not nitrogen: the answer is B.",
    "It is not hard to see that the answer is B.",
    "The gases were compared and the answer is B.",
]  # fmt: skip
DOUBTED = [
    "I do not really think that the answer is A.", "If they breathed it out, then the answer would be A.", "If so, the answer would be A.",
    "Some, like my brother, believe the answer is A.", "Some people, when asked, say that the answer is A.", "The student's answer is A.",
    "It would be a mistake to say the answer is A.", "It is not true that the answer is A.", "I am not sure whether the answer is A.",
    "Were it hot, the answer would be A.", "You may be tempted to say the answer is A.", "Nobody says the answer is A.",
    "I do not believe, as others do, that the answer is A.", "Had it been a metal, the answer would be A.", "Nor do I think the answer is A.",
    "Few think that the answer is A.", "He wrongly claims the answer is A.", "It can hardly be that the answer is A.",
    "If oxygen were meant and thus the answer is A.",
    "Some people think plants breathe, so the answer is A.",
    "One might think that plants breathe and therefore the answer is A.",
    "I don't think, however, that the answer is A.",
    "It is not the case, however, that the answer is A.",
    "We cannot therefore say the answer is A.",
    "A common mistake is to think plants breathe, so the answer is A.",
    "It is often thought that the answer is A.",
    "It is commonly believed that the answer is A.",
    "A common misconception is that the answer is A.",
    "At first I thought that the answer is A.",
    "It is wrong to say that the answer is A.",
    "It is incorrect to state that the answer is A.",
    "It is unlikely that the answer is A.",
    "It is impossible that the answer is A.",
    "Nothing suggests that the answer is A.",
    "There is no reason to think the answer is A.",
    "I disagree that the answer is A.",
    "My brother says the answer is A.",
    "The book said that the answer is A.",
    "Suppose the answer is A.",
    "Let's assume the answer is A.",
]  # fmt: skip
NOT_SAID = [
    "错误的答案是A。", "不正确的答案是A。", "答案不是A。", "答案是A或B。", "因此选项A不对。", "오답: A", "정답은 A가 아니다.", "不正解は A です。", "答えはAではないです。", "Die falsche Antwort ist A.", "Die richtige Antwort ist nicht A.",
    "Viele sagen: Die Antwort ist A.", "La réponse est A ou B.", "The answer is <s>A</s> <b>B</b>.", "[ANSWER] A or B [/ANSWER]",
    "Answer:\n1. oxygen\n2. nitrogen", "The answer is 1. A", "The answer is 2. oxygen", "The answer is 0. oxygen", "The final option is helium, a gas.", "Gases are:\n\n**not oxygen**",
]  # fmt: skip
TURNED = {  # texts that name an answer and turn from it, by the way in which they do
    "option": [
        "The answer is B. sugar. Wait, it is A. honey.", "Final answer: (B) sugar. Correction: (A) honey", "The answer is (B) sugar. Or (A) honey.",
        "The answer is (B) sugar. Both (A) and (B) do.", "The answer is B) sugar. But that cannot be: it must be honey.", "The answer is B. Sugar. Hmm, the first one.",
        "**A.**\n\nBees make honey.\n\n**B.**\n\nSugar grows, so this fits.", "A)\n\nIncorrect: bees make it.\n\nB)\n\nCorrect: it grows.", "A\n\nSugar grows. So I would pick B.",
        "A) honey\nThis option is incorrect because bees make it.\n\nWhat grows is sugar.", "A\n\nNo, it is the second.", "A\n\nSugar grows in beets.",
        "The answer for most children is (A).", "The tempting answer based on taste is (A).", "The answer based on the wrong idea is (A).", "The answer for question 1 is A.",
        "틀린 답은 A입니다.", "잘못된 답: A", "틀린 정답: A", "間違った答えはAです。", "誤った解答: A", "答えはAです。いいえ、Bです。", "正解: A\nいいえ、Bです。", "Opción: A\nEs incorrecta.", "Risposta: A\nNo, è B.",
        "(B) is the correct answer. This is false, since beets are roots.", "(A) is the correct choice. It would be in spring. Now it is sugar.", "(B) is the correct answer. So most people say.",
        "The fall of leaves (A) as the correct answer was ruled out above.", "This leaves (A) as the best answer? No.", "If bees farmed, that leaves (A) as the answer.",
        "Not this one:\nB) sugar", "A common wrong choice is\n\nA) honey", "Which one grows?\nB) sugar", "Bees make this one:\nA) honey", "Not this one:\n(A)",
    ],
    "yes_no": [
        "No-one would deny that robins fly.", "No-brainer: of course robins fly.", "No. 1 among the birds that fly is the robin.", "No, it is not the case that robins cannot fly.",
        "Yes, said the fool. Robins are flightless.", "Yes, it depends.", "Yes\n\nThat is a story, so the statement is false.", "No. So people think. Robins fly.",
        "No, robins fly. It is a yes.", "Yes, robins fly.\nWait, they swim.", "No robin flies.",
    ],
    "number": ["1\n\nHe buys 16.\n\n2\n\nHe gets 2 more: 18.", "10%\n\nof 180 is 18.", "5\n\nExplanation: 5 is the price. So he has 18."],
}  # fmt: skip
STAYS = [
    "The answer is (B) sugar. It grows in beets.", "The answer is (B) sugar because it is not made by bees.", "B\n\nIt grows in beets.", "B) sugar\nIt grows in beets.",
    "The answer for this question is (B).", "The answer based on the information above is (B).", "甜. したがって、正解はBです。", "따라서 가장 적절한 답은 B입니다.", "(B) is the correct answer. It grows.",
    "It grows in beets.\nB) sugar", "So the best is:\nB) sugar",
]  # fmt: skip
WORDS = {
    ("True", "False"): "True",
    ("None of these", "one"): "None of these",
    ("25%", "25"): "25%",
    ("3 + 4 = 7", "9"): "3 + 4 = 7",
}
SIGNS = {"H⁺": "A", "H^-": "B", "H": "C", "H2O": "E", "H2 O": "D"}

CLAUSES = [
    "B car is faster than A car, so it arrives first.", "A since iron conducts, B because ice is cold.", "A\n\nIt conducts.\n\nB",
]  # fmt: skip

ELEMENTS = make_question(("iron", "ice", "rain", "mud"))
ROCK = make_question(("a rock", "carbon dioxide", "sand", "iron"), answer="B")
SWEET = make_question(("honey", "sugar", "salt", "vinegar"))
OF_KIND = {
    "option": make_question(("oxygen", "carbon dioxide", "nitrogen", "helium"), dataset="ARC-Easy", answer="B"),
    "number": open_question("GSM8K", "7"), "yes_no": open_question("StrategyQA", "yes"), "word": open_question("LastLetter", "zz"),
}  # fmt: skip
ENDINGS = [  # what is told of them; the question; what stands before; each ending with what it comes to
    *(("a number in every form", open_question("SVAMP", number), f"{WHY} 7 + 8 = 15.\n", {ending: number}) for ending, number in NUMBER.items()),
    *(("yes and no in every form", open_question("CoinFlip", answer), f"{WHY} Yes and no.\n", {ending: answer}) for ending, answer in YES_NO.items()),
    ("no answer, or several", ROCK, f"{WHY}\n", dict.fromkeys(UNREADABLE, "")),
    ("a list of options, or an article", ROCK, "", dict.fromkeys(LISTS, "")),
    *(("what a critical reader tried", OF_KIND[kind], "Plants need it.\n", endings) for kind, endings in CRITICAL.items()),
    ("a denial to the end of its clause, and what is concluded from it", ROCK, f"{WHY}\n", dict.fromkeys(REASONED, "B")),
    ("what is denied, supposed or said by others", ROCK, f"{WHY}\n", dict.fromkeys(DOUBTED, "")),
    *(("what was, which is no supposition", OF_KIND["number"], had, {", so the answer would be 7.": "7"})
      for had in ("He had 3 apples and 4 pears", "We were given 3 and 4", "Had he sold some, he would say so. They had 7")),
    ("several or denied, in other markup and languages", make_question(GAS), "", dict.fromkeys(NOT_SAID, "")),
    *(("a turn from the answer", OF_KIND[kind] if kind != "option" else SWEET, "", dict.fromkeys(endings, "")) for kind, endings in TURNED.items()),
    ("letters of several clauses or lines", ELEMENTS, "", dict.fromkeys(CLAUSES, "")),
    ("no turn from it", SWEET, "", dict.fromkeys(STAYS, "B")),
    *(("an option's very words, whatever they look like", make_question(options, answer="A"), "Hm.\nThe answer is ", {f"{words}.": "A"})
      for options, words in WORDS.items()),
    ("signs and spaces, which tell options apart", make_question(("H^+", "H^-", "H", "H2 O", "H2O")), "It is so. The answer is ",
     {f"{words}.": mark for words, mark in SIGNS.items()}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "text", "answer"),
    [
        pytest.param(row, before + ending, answer, id=f"{told}: {ending}")
        for told, row, before, endings in ENDINGS
        for ending, answer in endings.items()
    ],
)
def test_a_text_is_read_as_what_its_ending_comes_to(row, text, answer):
    assert read(row, text) == answer


# What is left as the rationale

SUMS = {
    r"Total: \(3 \text{ apples} + 4 \text{ apples} = 7\). The answer is 7.": r"Total: \(3 \text{ apples} + 4 \text{ apples} = 7\).",
    "We know the answer is an integer. 3+4=7. The answer is 7.": "We know the answer is an integer. 3+4=7.",
    "To find the answer: 3 + 4 = 7.\nThe answer is 7.": "To find the answer: 3 + 4 = 7.",
    "Add them. We conclude that the answer is 7.": "Add them.",
    "Add 3 and 4. Thus, $3+4=\\boxed{7}$.": "Add 3 and 4.",
    "Answer: 7\n\nExplanation: 3 and 4 are added.": "Explanation: 3 and 4 are added.",
    "Answer: 7\n\nExplanation: 3 and 4 are added. So the answer is 7.": "Explanation: 3 and 4 are added.",
    "3 * 4 = 12, and 2*3 = 6. The answer is 7.": "3 * 4 = 12, and 2*3 = 6.",
    "I should add. Maybe the answer is 8.</think>\n\nAdd them.\nThe answer is 7.": "Add them.",
}
FIRST = {  # answers before their reasons, and what is left as the rationale
    "The answer is B. BECAUSE: Leaves take it in.\\nThey need it.": "Leaves take it in.\\nThey need it.",
    "The answer is B because leaves take it in.": "leaves take it in.",
    "The answer is (B). Leaves take it in.\nThey need it.": "Leaves take it in.\nThey need it.",
    "The correct answer is (B). Leaves take it in.\n\nTherefore, the answer is (B).": "Leaves take it in.",
    "B, because leaves take it in.": "leaves take it in.",
    "(B) since leaves take it in.": "since leaves take it in.",
    "**B) carbon dioxide**\n\nLeaves take it in.": "Leaves take it in.",
    "<thought>\nLeaves take it in.\n</thought>\nB": "Leaves take it in.",
    "Leaves take it in. So the right gas is:\n\n**B**": "Leaves take it in.",
    "Leaves take it in. So option (B) is the correct answer. They need it.": "Leaves take it in.",
    "Leaves take it in.\nSo the answer is B) carbon dioxide.\nTherefore, the answer is B.": "Leaves take it in.",
    "B, weil die Blätter es aufnehmen.": "weil die Blätter es aufnehmen.",
    "B car les feuilles en ont besoin.": "car les feuilles en ont besoin.",
    "B, da die Blätter es aufnehmen. Die Antwort ist B.": "da die Blätter es aufnehmen.",
    "Answer: B\n\nLeaves take it in.\n\nLet me know if you have more questions!": "Leaves take it in.",
    "The answer is carbon dioxide since leaves take it in.": "since leaves take it in.",
    "**Answer: B**\n\n**Explanation:** Leaves take it in.": "**Explanation:** Leaves take it in.",
    "The answer is B. Carbon dioxide.": "",
    "The answer is B\n\nB. carbon dioxide": "",
    "The answer is B. I hope it is correct.": "",
    "The answer is (B). Feel free to ask for more.": "",
}
TAGS = [  # around a rationale, as prompts asked for them
    "<thinking>\n{}\n</thinking>\n\n<answer>B</answer>", "<reasoning>\n{}\n</reasoning>\n<answer>\nB\n</answer>",
    "<start_working_out>{}<end_working_out><SOLUTION>B</SOLUTION>", "<reasoning>{}</reasoning>\n<output>#### B</output>",
    "<rationale>{}</rationale><final_answer>B</final_answer>", "<thought>\n{}\n</thought>\n<answer>B</answer>",
    "<p>{}</p>\n<p>The answer is B.</p>", "{}\n\n\\[ \\text{{The answer is (B).}} \\]",
    "{}\n<b>Answer: B</b>", "{}<br>Answer: B", "{}</p>\n<p>The answer is <b>B</b>.</p>",
]  # fmt: skip
LONG = "Leaves need it. " * 1000
LETTERS_FIRST = {  # a later conclusion goes before a letter at the beginning
    "A because it conducts. The correct answer is B.": ("B", "A because it conducts."),
    "A, since it conducts. Final answer: B": ("B", "A, since it conducts."),
    "(A) because it conducts. So the answer is (A).": ("A", "it conducts."),
    "B because it is cold.": ("B", "it is cold."),
    "A\n\nExplanation: It conducts.": ("A", "Explanation: It conducts."),
    " B.\nStep 1: Water freezes.": ("B", "Step 1: Water freezes."),
    "A\n\nIt conducts.\nThe answer is B.": ("B", "A\n\nIt conducts."),
    "B": ("B", ""),
}
WORDS_FIRST = {
    "Answer: No, a robin is a bird. Birds fly.": ("no", "a robin is a bird. Birds fly."), "No, robins fly.\nThey are birds.": ("no", "robins fly.\nThey are birds."),
    "Yes. Robins fly.": ("yes", "Robins fly."), "yes": ("yes", ""),
}  # fmt: skip
LEFT = [  # what is told of them; the question; each text with its answer and its rationale
    ("all sentences, whole", OF_KIND["number"], {text: ("7", rationale) for text, rationale in SUMS.items()}),
    ("reasons behind an answer, neither its words nor a courtesy", ROCK, {text: ("B", rationale) for text, rationale in FIRST.items()}),
    ("no words of a longer option", make_question(("a leaf", "a cross section of a young leaf")),
     {"The answer is B. A cross section of a young leaf.": ("B", "")}),
    ("no tags around it", ROCK, {text.format(rationale): ("B", rationale.strip()) for text in TAGS for rationale in ("Leaves need it.", LONG)}),
    ("what stands before the last conclusion", ELEMENTS, LETTERS_FIRST),
    ("the clause behind yes or no", open_question("StrategyQA", "no"), WORDS_FIRST),
]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "text", "answer", "rationale"),
    [
        pytest.param(row, text, *expected, id=f"{told}: {text[:80]}")
        for told, row, texts in LEFT
        for text, expected in texts.items()
    ],
)
def test_a_rationale_is_what_is_left_of_a_text_without_its_conclusion(row, text, answer, rationale):
    completion = prompts.read_free(row, text)
    assert (completion.rationale, completion.answer) == (rationale, answer)
