"""Templates: what is rendered is read back, for every template, label set and kind of option text."""

import functools
import re

import datasets
import pytest
from conftest import TEXTS, make_question, read_completion
from hypothesis import assume, example, given
from hypothesis import strategies as st

from scicot_utils import prompts, tasks
from scicot_utils.prompts import (
    LETTERS,
    STUDENT_TEMPLATES,
    TEACHER_PROMPTS,
    Exemplar,
    PromptError,
    read_answer,
    read_prompt,
    split_rationale_answer,
    write_answer,
    write_rationale_answer,
)

LABEL_SETS = {"letters": "ABCDEFGH", "numbers": "12345678"}
# Option texts that ARC has, or that look like something else: labels, cues, arrows, markup, signs, other scripts.
NASTY = (
    "A", "b", "C", "(A)", "(B) robin", "gram (g)", "carbon (C)", "H_{2}O(g)", "+2", "-2", "=", "WW or Ww", "WW or ww",
    "1.0 x 10^3", "1.0 x 10^-3", "a --> b", "→", "a raft", "A raft", "<b>it</b>", "a\nb", "Ωmega", "ÄPFEL", "äpfel",
    "水", "“quoted”", "D.", "none of the above", "{question}", "\\(x\\)",
)  # fmt: skip
TEXT = st.sampled_from(NASTY) | st.text(min_size=1, max_size=12)
SHOWN = {"texts": ("robin", "ant", "raft", "oak"), "answer": "A"}
EXEMPLARS = [Exemplar(make_question(**SHOWN, id=f"t{i}", question=f"Which {i}?"), f"Why {i}.") for i in range(3)]
TEACHERS = {
    name: TEACHER_PROMPTS[name] for name in ("zero_shot_cot", "zero_shot_cot_one_call", "options_walked", "gold_shown")
} | {"few_shot_cot": prompts.few_shot(TEACHER_PROMPTS["few_shot_cot"], EXEMPLARS)}
BLIND = [name for name in TEACHERS if name != "gold_shown"]


strictly = functools.partial(read_completion, reading="strict")  # (rationale, answer) by the prompt's own cue


@st.composite
def questions(draw, options=TEXT):
    """Questions of 2 to 8 options, no two of them with the very same words."""
    texts = draw(st.lists(options, min_size=2, max_size=8, unique_by=str.strip))
    assume(all(text.strip() for text in texts))
    labels = list(draw(st.sampled_from(list(LABEL_SETS.values())))[: len(texts)])
    answer = draw(st.sampled_from(labels))
    return {"id": "q1", "question": draw(TEXT), "choices": {"label": labels, "text": texts}, "answer": answer}


# Rendering


def asked(template, row):
    """Every way in which a template or a teacher's prompt asks a question."""
    if isinstance(template, prompts.TeacherPrompt):
        return [template.question(row)]
    of_rationale = [template.ask_answer_from(row, "Why so.", order) for order in ("rationale_first", "question_first")]
    return [template.ask_answer(row), template.ask_rationale(row), *of_rationale]


@pytest.mark.parametrize("template", (ALL := STUDENT_TEMPLATES | TEACHERS).values(), ids=ALL)
@given(row=questions())
def test_a_prompt_shows_the_question_and_every_option_with_its_letter(template, row):
    for text in asked(template, row):
        assert row["question"] in text
        assert all(f"({mark}) {option}" in text for mark, option in prompts.options(row))


@pytest.mark.parametrize("name", [*STUDENT_TEMPLATES, *BLIND])
def test_the_benchmarks_labels_and_its_gold_answer_never_show(question, name):
    ask = TEACHERS[name].question if name in TEACHERS else STUDENT_TEMPLATES[name].ask_answer
    prompts_shown = {
        ask(question(labels=labels, answer=labels[gold])) for labels in LABEL_SETS.values() for gold in range(4)
    }
    assert len(prompts_shown) == 1


@pytest.mark.parametrize("template", STUDENT_TEMPLATES.values(), ids=STUDENT_TEMPLATES)
def test_the_tasks_of_a_student_read_differently_and_stage_two_in_the_declared_order(question, template):
    row = question()
    texts = *_, first, second = asked(template, row)
    assert len({*texts}) == (
        3 if template is STUDENT_TEMPLATES["finetune_cot"] else 4
    )  # which never says what to write
    assert first.index("Why so.") < first.index(row["question"])
    assert second.index(row["question"]) < second.index("Why so.")
    assert first.endswith(template.answer_cue) and second.endswith(template.answer_cue)


def test_the_templates_read_as_published(question):
    row = question(("raft", "robin"), question="What flies?")
    # Ho et al., appendix (call 1); Kojima et al. 2022
    assert TEACHERS["zero_shot_cot"].question(row) == (
        "Q: What flies? Answer Choices: (A) raft (B) robin\nA: Let's think step by step."
    )
    # Zhang et al. 2023, text only
    template = STUDENT_TEMPLATES["multimodal_cot"]
    block = "Question: What flies?\nContext: N/A\nOptions: (A) raft (B) robin"
    assert template.ask_rationale(row) == f"{block}\nSolution:"
    assert template.ask_answer_from(row, "Birds fly.", "question_first") == f"{block}\nSolution: Birds fly.\nAnswer:"
    assert write_answer(row, "B", "label") == "The answer is (B)."
    assert all(prompt.label == f"{name}/{prompt.version}" for name, prompt in TEACHER_PROMPTS.items())


OPEN = make_question(dataset="SVAMP", choices={"label": [], "text": []}, answer="39", question="How many are left?")


def test_fine_tune_cots_students_read_and_write_as_published(question):
    # Ho et al., section 3.1, and the encoder-decoder templates of its code
    template = STUDENT_TEMPLATES["finetune_cot"]
    assert template.ask_answer(OPEN) == template.ask_rationale(OPEN) == "How many are left?"
    assert write_rationale_answer("40 less 1.", write_answer(OPEN, "39", "letter")) == "40 less 1. --> 39"
    row = question(("raft", "robin"), question="What flies?")
    assert template.ask_answer(row) == "What flies? Answer choices: (A) raft, (B) robin."
    assert write_rationale_answer("It has wings.", write_answer(row, "B", "letter")) == "It has wings. --> B"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("zero_shot_cot", "Q: How many are left?\nA: Let's think step by step."),
        ("zero_shot_cot_one_call", "Question: How many are left?\nThink step by step, then end"),
        ("gold_shown", "Question: How many are left?\nThe correct answer is 39. Explain step by step why, then end"),
    ],
)
def test_an_open_question_is_asked_without_options_and_read_back(name, text):
    text += " with one line of the form 'The answer is X.'\nReasoning:" if text.endswith("then end") else ""
    assert TEACHERS[name].question(OPEN) == text
    parsed = read_prompt(text)
    assert (parsed.question, parsed.options) == ("How many are left?", ())
    assert parsed.gold == ("39" if name == "gold_shown" else "")


@pytest.mark.parametrize("template", STUDENT_TEMPLATES.values(), ids=STUDENT_TEMPLATES)
def test_a_student_is_shown_an_open_question_without_options(template):
    for text in asked(template, OPEN):
        assert OPEN["question"] in text and "(A)" not in text and "Options" not in text and "39" not in text


@pytest.mark.parametrize("count", [0, 1, 27])
def test_a_question_with_too_few_or_too_many_options_is_refused(question, count):
    row = question([f"option {n}" for n in range(count)], labels=range(count), answer="A")
    with pytest.raises(PromptError, match=f"question q1: found {count} options, allowed: 2 to 26"):
        STUDENT_TEMPLATES["options_first"].ask_answer(row)


def test_the_prompt_that_shows_the_gold_answer_shows_its_letter_and_words(question):
    texts = [TEACHERS["gold_shown"].question(question(labels="1234", answer=gold)) for gold in "1234"]
    for text, mark, option in zip(texts, "ABCD", TEXTS, strict=True):
        assert f"\nThe correct answer is ({mark}) {option}. Explain step by step why" in text
    assert len(set(texts)) == 4


def test_exemplars_stand_before_the_question_each_with_rationale_and_answer(question):
    assert TEACHERS["few_shot_cot"].question(question(("raft", "robin"), question="What flies?")) == (
        "Q: Which 0? Answer Choices: (A) robin (B) ant (C) raft (D) oak\nA: Why 0. The answer is (A).\n\n"
        "Q: Which 1? Answer Choices: (A) robin (B) ant (C) raft (D) oak\nA: Why 1. The answer is (A).\n\n"
        "Q: What flies? Answer Choices: (A) raft (B) robin\nA:"
    )


def test_a_question_that_is_an_exemplar_is_not_shown_its_own_answer():
    for exemplar in EXEMPLARS:
        text = TEACHERS["few_shot_cot"].question(exemplar.question)
        assert text.count(exemplar.question["question"]) == 1 and text.endswith("\nA:")
        assert exemplar.rationale not in text and text.count("The answer is") == 2


@pytest.mark.parametrize("count", [0, 1])
def test_a_few_shot_prompt_without_exemplars_says_where_they_come_from(question, count):
    prompt = prompts.few_shot(TEACHER_PROMPTS["few_shot_cot"], EXEMPLARS[:count])
    with pytest.raises(PromptError, match=f"prompt 'few_shot_cot': found {count} exemplars, allowed: .*prompt_of"):
        prompt.question(question())


PLAIN = st.text(st.characters(categories=("L", "N"), include_characters=" ,'?-"), min_size=1, max_size=20).map(
    str.strip
)


@pytest.mark.parametrize("name", TEACHERS)
@given(question=PLAIN, texts=st.lists(PLAIN, min_size=2, max_size=12, unique=True), gold=st.integers(0, 11))
def test_a_prompt_is_read_back(name, question, texts, gold):
    assume(question and all(texts))
    row = make_question(texts, labels=LETTERS, question=question, answer=LETTERS[gold % len(texts)])
    text = TEACHERS[name].question(row)
    for continuation in ("", " It flies, since (B) is a bird.\nTherefore, the answer is"):
        parsed = read_prompt(text + continuation)
        assert (parsed.question, parsed.options) == (question, tuple(texts))
        assert parsed.gold == (row["answer"] if name == "gold_shown" else "")
        assert parsed.rest.endswith(continuation) and f"{parsed.options[-1]}{parsed.rest}" in text + continuation


@pytest.mark.parametrize("text", ["", "Hello!", "(A) raft (B) robin", "t1\nWhat flies?"])
def test_a_text_that_shows_no_question_is_refused(text):
    with pytest.raises(PromptError, match="found no question"):
        read_prompt(text)


# Reading an answer


@pytest.mark.parametrize("answer_format", ["text", "label"])
@given(row=questions())
@example(row={"choices": {"label": ["1", "2", "3", "4"], "text": ["C", "Co", "Cp", "Cu"]}})
@example(row={"choices": {"label": ["A", "B"], "text": ["WW or ww", "WW or Ww"]}})
def test_what_a_student_should_write_is_read_as_the_option_it_was_written_for(answer_format, row):
    for label in row["choices"]["label"]:
        assert read_answer(row, write_answer(row, label, answer_format)) == label


@given(row=questions())
def test_whatever_is_read_is_a_label_of_the_question_or_nothing(row):
    for text in (*NASTY, row["question"], ""):
        assert read_answer(row, text) in ("", *row["choices"]["label"])


def test_real_options_are_read_back(real_data, tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    for name in ("ARC-Easy", "ARC-Challenge"):
        rows = tasks.load(name, dataset_path=str(real_data / "ai2_arc"), sizes=dict.fromkeys(tasks.SPLITS, 0), seed=0)
        wrong = [
            (row["id"], label, answer_format)
            for row in rows
            for label in row["choices"]["label"]
            for answer_format in ("text", "label")
            if read_answer(row, write_answer(row, label, answer_format)) != label
        ]
        assert wrong == []


# Reading a completion


def cue_of(prompt):
    """The text between rationale and answer in a completion."""
    return prompt.answer_cue or f"\n{prompts.FINAL}"


RATIONALE = st.sampled_from(("A robin is a bird.", "So (A) it is --> (C).", "Line one.\nLine two.")) | st.text(
    max_size=30
)


@pytest.mark.parametrize("prompt", TEACHERS.values(), ids=TEACHERS)
@given(row=questions(), rationale=RATIONALE)
def test_a_completion_falls_into_rationale_and_answer_at_its_last_cue(prompt, row, rationale):
    for label in row["choices"]["label"]:
        answered = f"{rationale}{cue_of(prompt)} ({prompts.letter(row, label)})"
        for text in (f"{answered}.", f"{answered} and so on.\nQ: (A)"):
            assert strictly(prompt, row, text) == (rationale.strip(), label)
        first, answer = strictly(prompt, row, f"Hm.{cue_of(prompt)} (A).\n{answered}.")  # the last cue counts
        assert answer == label and first.startswith("Hm.") and first.endswith(rationale.strip())


@given(row=questions(), rationale=RATIONALE)
def test_what_a_model_goes_on_to_ask_itself_after_few_shots_is_not_read(row, rationale):
    mark = prompts.letter(row, row["answer"])
    text = (
        f"{rationale} The answer is ({mark}).\n\nQ: What else? Answer Choices: (A) x (B) y\nA: Hm. The answer is (H)."
    )
    assert strictly(TEACHERS["few_shot_cot"], row, text) == (rationale.strip(), row["answer"])


def test_a_cue_without_its_comma_is_no_cue(question):
    """Ho et al.'s `natural` template wrote "Therefore the answer is", which their parser never found."""
    text = "Robins fly. Therefore the answer is (B)."
    assert strictly(TEACHERS["zero_shot_cot"], question(), text) == (text, "")
    assert prompts.CUE.strip() == "Therefore, the answer is"


@pytest.mark.parametrize("prompt", TEACHERS.values(), ids=TEACHERS)
@pytest.mark.parametrize("text", ["", "  ", "Robins fly, (B)."])
def test_a_completion_without_a_cue_or_with_nothing_after_it_has_no_answer(question, prompt, text):
    assert strictly(prompt, question(), text) == strictly(prompt, question(), f"{text}{cue_of(prompt)}  \n")
    assert strictly(prompt, question(), text) == (text.strip(), "")


def test_a_recorded_rationale_is_looked_up_by_its_id_and_has_an_answer_where_a_whole_cue_stands(question):
    prompt = TEACHER_PROMPTS["recorded"]
    assert strictly(prompt, question(), " It flies. (B) ") == ("It flies. (B)", "")
    assert prompt.question(question(id="x/7")).splitlines()[0] == "x/7"
    assert strictly(prompt, question(), f"It flies.{prompts.CUE} (B).") == (
        "It flies.",
        "B",
    )  # behind the whole cue only
    assert strictly(prompt, question(), "It flies. Therefore, the answer is (B).")[1] == ""


@pytest.mark.parametrize("prompt", TEACHERS.values(), ids=TEACHERS)
@given(row=questions(), rationale=RATIONALE | st.just("Hm.\n\n\nQ: What? The answer is (A)."))
def test_another_rationale_takes_the_place_of_a_completions_own_and_its_answer_stays(prompt, row, rationale):
    text = prompts.with_rationale(
        prompt, f"Its own.{cue_of(prompt)} ({prompts.letter(row, row['answer'])}).", rationale
    )
    own, answer = strictly(prompt, row, text)
    assert answer == row["answer"] and own.split() == rationale.split()


@pytest.mark.parametrize("prompt", TEACHERS.values(), ids=TEACHERS)
@given(row=questions(TEXT.filter(lambda text: len(re.sub(r"\W", "", text)) != 1)))
def test_by_its_conclusion_a_completion_is_read_whatever_the_prompt_asked_for(prompt, row):
    joint = prompt.answer_cue or "\n"
    for label in row["choices"]["label"]:
        mark = prompts.letter(row, label)
        for ending in ("The best answer is {}.", "**Answer:** ({})", "### Answer\n{}", r"\boxed{{{}}}"):
            ending = ending.format(mark)
            completion = prompts.read_completion(prompt, row, f"It is so.{joint}\n{ending}")
            assert (completion.rationale, completion.answer) == ("It is so.", label)
            assert mark in completion.cut and completion.rule.endswith(("a letter in brackets", "a letter"))


def test_a_letter_that_is_anothers_option_names_none(question):
    row = question(("C", "A", "T", "G"))
    labels = {"A": "", "C": "", "(C)": "", "B": "B", "T": "C", "G": "D", "(D)": "D", "D. G": "D"}
    for words, label in labels.items():
        assert prompts.read_free(row, f"It is so.\nThe answer is {words}.").answer == label, words


def test_a_second_call_that_repeats_its_cue_leaves_the_rationale_as_it_was(question):
    row = question()
    text = f"Robins fly.{prompts.CUE} clear.\nRobins fly.{prompts.CUE} (B)."
    completion = prompts.read_completion(TEACHERS["zero_shot_cot"], row, text)
    assert (completion.rationale, completion.answer) == ("Robins fly.", "B") and "clear" in completion.cut
    assert strictly(TEACHERS["zero_shot_cot"], row, text)[0] != "Robins fly."


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("Robins fly.", prompts.NO_CONCLUSION),
        ("Robins fly. Therefore, the answer is", prompts.EMPTY_CONCLUSION),
        ("The answer is (A) or (B).", prompts.SEVERAL),
        ("The answer is a whale.", prompts.NOT_UNDERSTOOD),
        ("The answer is (B).", "phrase: a letter in brackets"),
        ("Robins fly.\nrobin", "last line: the option's words"),
        ("The answer is B, robin.", "phrase: a letter before its option's words"),
        ("The answer is B, or maybe C.", prompts.SEVERAL),
        ("The answer is B, ant.", prompts.NOT_UNDERSTOOD),
    ],
)
def test_how_an_answer_was_read_or_why_not_is_told(question, text, rule):
    completion = prompts.read_free(question(), text)
    assert completion.rule == rule and (completion.answer == "B") == (rule not in prompts.UNREAD_REASONS)


@given(rationale=RATIONALE, answer=TEXT.filter(lambda text: prompts.ARROW.strip() not in text))
def test_rationale_and_answer_in_one_text_come_apart_again(rationale, answer):
    assume(not answer.strip().startswith(">"))
    text = write_rationale_answer(rationale, answer)
    assert split_rationale_answer(text) == (rationale.strip(), answer.strip())
    assert split_rationale_answer(" It flies. (B) ") == ("It flies. (B)", "")


def test_letters_suffice_for_the_most_options_a_prompt_shows(question):
    assert [mark for mark, _ in prompts.options(question(LETTERS.lower(), labels=LETTERS, answer="A"))] == list(LETTERS)
