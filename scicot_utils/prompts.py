"""Every template, versioned: how a question becomes text, and how an answer is read back. It calls no model.

A template's version changes when its text or its parser does, and is stored with every completion. Options are
always shown as (A), (B), …, whatever labels the benchmark uses; a parser returns the benchmark's own label, or ''
when the text names no option.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from scicot_utils import ScicotError
from scicot_utils.tables import Row

LETTERS = "ABCDEFGH"
ARROW = " --> "  # Fine-tune-CoT's separator of rationale and answer (Ho et al., section 3.1)
SEPARATOR = " ###"  # Fine-tune-CoT's, between what a decoder-only student reads and what it writes


class PromptError(ScicotError):
    """A question that a template cannot show."""


def options(question: Row) -> list[tuple[str, str]]:
    """(letter, text) of every option, letters from A whatever the benchmark's labels are."""
    texts = question["choices"]["text"]
    if not 2 <= len(texts) <= len(LETTERS):
        raise PromptError(f"question {question['id']}: found {len(texts)} options, allowed: 2 to {len(LETTERS)}")
    return list(zip(LETTERS, texts, strict=False))


def option_text(question: Row, label: str) -> str:
    """The text of the option with the benchmark's label `label`."""
    return question["choices"]["text"][question["choices"]["label"].index(label)]


def letter(question: Row, label: str) -> str:
    """The letter under which the option with the benchmark's label is shown."""
    return LETTERS[question["choices"]["label"].index(label)]


def _listed(question: Row) -> str:
    return " ".join(f"({mark}) {text}" for mark, text in options(question))


def read_option(question: Row, text: str) -> str:
    """The option that `text` names, or ''. By its very words, else a letter in brackets, else a letter standing alone,
    else its words in any case and punctuation.

    The very words go first, since options may read "WW" and "Ww", "+2" and "-2", "gram (g)" or "C". A bare letter
    counts only when it is the whole text, so the article "A" is never taken for an answer.
    """
    labelled = list(zip(question["choices"]["label"], question["choices"]["text"], strict=True))
    for form in (str.strip, lambda words: words.strip().casefold()):
        matching = [label for label, option in labelled if form(option) == form(text)]
        if len(matching) == 1 and text.strip():
            return matching[0]
    shown = dict(zip(LETTERS, question["choices"]["label"], strict=False))
    bracketed = re.search(r"\(([A-Ha-h])\)", text)
    if bracketed:
        return shown.get(bracketed[1].upper(), "")
    bare = re.fullmatch(r"\s*([A-H])[.:)]?\s*", text)
    if bare:
        return shown.get(bare[1], "")
    wanted = _squeeze(text)
    matching = [label for label, option in labelled if wanted and _squeeze(option) == wanted]
    return matching[0] if len(matching) == 1 else ""


def _squeeze(text: str) -> str:
    return re.sub(r"\W+", " ", text.lower()).strip()


# ── The teacher's side ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Exemplar:
    """A worked example for a few-shot prompt: a question with its gold answer, and a rationale that leads there."""

    question: Row
    rationale: str


@dataclass(frozen=True)
class TeacherPrompt:
    """How a teacher is asked. `answer_cue` not empty: a second call, with the rationale and this cue appended.

    `split` takes a whole completion text apart into (rationale, the part that names the answer). A prompt with
    `few_shot` cannot be shown before `few_shot()` gave it `exemplars`, one more than it shows.
    """

    name: str
    version: int
    block: Callable[[Row], str]
    answer_cue: str
    split: Callable[[str], tuple[str, str]]
    source: str
    few_shot: bool = False
    exemplars: tuple[Exemplar, ...] = ()

    @property
    def label(self) -> str:
        return f"{self.name}/{self.version}"

    def question(self, question: Row) -> str:
        """The prompt's whole text; no question is among its own exemplars, which would show its gold answer."""
        if not self.few_shot:
            return self.block(question)
        if len(self.exemplars) < 2:
            raise PromptError(
                f"prompt '{self.name}': found {len(self.exemplars)} exemplars, allowed: one more than are shown; "
                "make it with teachers.prompt_of(settings, questions)"
            )
        others = [one for one in self.exemplars if one.question["id"] != question["id"]]
        worked = [f"{self.block(one.question)} {_worked(one)}" for one in others[: len(self.exemplars) - 1]]
        return "\n\n".join([*worked, self.block(question)])


CUE = "\nTherefore, the answer is"
FINAL = "The answer is"
GOLD = "The correct answer is"
ENDING = f"end with one line of the form '{FINAL} (X).'"


def few_shot(prompt: TeacherPrompt, exemplars: Iterable[Exemplar]) -> TeacherPrompt:
    """The prompt with exemplars, one more than it is to show: the last stands in where a question is one of them."""
    return replace(prompt, exemplars=tuple(exemplars))


def _worked(exemplar: Exemplar) -> str:
    return f"{exemplar.rationale} {FINAL} ({letter(exemplar.question, exemplar.question['answer'])})."


def _zero_shot_cot(question: Row) -> str:
    return f"Q: {question['question']} Answer Choices: {_listed(question)}\nA: Let's think step by step."


def _one_call(question: Row) -> str:
    return (
        f"Question: {question['question']}\nOptions: {_listed(question)}\nThink step by step, then {ENDING}\nReasoning:"
    )


def _options_walked(question: Row) -> str:
    return (
        f"Question: {question['question']}\nOptions: {_listed(question)}\n"
        f"Discuss each option in turn, then {ENDING}\nReasoning:"
    )


def _few_shot_cot(question: Row) -> str:
    return f"Q: {question['question']} Answer Choices: {_listed(question)}\nA:"


def _gold_shown(question: Row) -> str:
    gold = f"({letter(question, question['answer'])}) {option_text(question, question['answer'])}"
    return (
        f"Question: {question['question']}\nOptions: {_listed(question)}\n"
        f"{GOLD} {gold}. Explain step by step why, then {ENDING}\nReasoning:"
    )


def _split_last(cue: str) -> Callable[[str], tuple[str, str]]:
    def split(text: str) -> tuple[str, str]:
        rationale, found, answer = text.rpartition(cue.strip())
        return (rationale.strip(), answer.strip()) if found else (text.strip(), "")

    return split


def _split_first_block(text: str) -> tuple[str, str]:
    """After few shots a language model may go on with a question of its own, which is none of its answer."""
    return _split_last(FINAL)(text.split("\n\nQ:")[0])


def _by_id(question: Row) -> str:
    return f"{question['id']}\n{question['question']}"


def _split_recorded(text: str) -> tuple[str, str]:
    """A recorded answer stands after the whole cue, line break and all, where `teachers.recorded` puts it."""
    rationale, found, answer = text.rpartition(CUE)
    return (rationale.strip(), answer.strip()) if found else (text.strip(), "")


TEACHER_PROMPTS = {
    prompt.name: prompt
    for prompt in (
        TeacherPrompt("zero_shot_cot", 1, _zero_shot_cot, CUE, _split_last(CUE), "Kojima et al. 2022; Ho et al., 3.1"),
        TeacherPrompt("zero_shot_cot_one_call", 1, _one_call, "", _split_last(FINAL), "one-call form of the same"),
        TeacherPrompt(
            "few_shot_cot", 1, _few_shot_cot, "", _split_first_block, "Wei et al. 2022, arXiv 2201.11903", few_shot=True
        ),
        TeacherPrompt("gold_shown", 1, _gold_shown, "", _split_last(FINAL), "after Zelikman et al. 2022, STaR's hint"),
        TeacherPrompt("options_walked", 1, _options_walked, "", _split_last(FINAL), "this project"),
        TeacherPrompt(
            "recorded", 2, _by_id, "", _split_recorded, "a file of rationales, looked up by the id in line 1"
        ),
    )
}


@dataclass(frozen=True)
class Shown:
    """What a prompt's text shows: the last question in it, its options, its gold letter or '', and what comes after."""

    question: str
    options: tuple[str, ...]
    gold: str
    rest: str


def read_prompt(text: str) -> Shown:
    """A teacher's prompt read back, whichever wrote it; PromptError where it shows no question with options."""
    asked = re.compile(r"^(?:Q|Question): (.+?)(?: Answer Choices: |\nOptions: )(\(A\) .+)$", re.MULTILINE)
    found = list(asked.finditer(text))
    if not found:
        raise PromptError(f"found no question with options in a prompt that starts '{text[:80]}'")
    rest = text[found[-1].end() :]
    gold = re.match(rf"\n{GOLD} \(([A-H])\)", rest)
    choices = re.findall(r"\([A-H]\) (.+?)(?= \([A-H]\) |$)", found[-1][2])
    return Shown(found[-1][1], tuple(choices), gold[1] if gold else "", rest)


def read_completion(prompt: TeacherPrompt, question: Row, text: str) -> tuple[str, str]:
    """(rationale, the benchmark's label of the teacher's answer or '') from a whole completion."""
    rationale, answer = prompt.split(text)
    return rationale, read_option(question, answer.splitlines()[0]) if answer else ""


def with_rationale(prompt: TeacherPrompt, text: str, rationale: str) -> str:
    """A whole completion text in which `rationale` stands in the place of its own, and its answer is the same."""
    answer = prompt.split(text)[1]
    rationale = re.sub(r"\n{2,}Q:", "\nQ:", rationale)  # where a few-shot prompt's completion would end
    cue = prompt.answer_cue or f"\n{FINAL}"
    return f"{rationale}{cue} {answer}" if answer else rationale


# ── The student's side ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class StudentTemplate:
    """How a student reads a question. The two cues tell it what to write; `block` shows question and options.

    `separator` ends the input of a decoder-only student, whose one sequence is "input separator target".
    """

    name: str
    version: int
    block: Callable[[Row], str]
    rationale_cue: str
    answer_cue: str
    source: str
    separator: str = SEPARATOR

    def ask_rationale(self, question: Row) -> str:
        return f"{self.block(question)}{self.rationale_cue}"

    def ask_answer(self, question: Row) -> str:
        return f"{self.block(question)}{self.answer_cue}"

    def ask_answer_from(self, question: Row, rationale: str, order: str) -> str:
        """Stage 2's input: question and rationale, in the declared order (`stage2_order`)."""
        solution = f"{self.rationale_cue.strip()} {rationale}".strip()
        if order == "rationale_first":
            return f"{solution}{self.joint}{self.block(question)}{self.answer_cue}"
        return f"{self.block(question)}{self.joint}{solution}{self.answer_cue}"

    @property
    def joint(self) -> str:
        return "\n" if "\n" in self.rationale_cue else " "


STUDENT_TEMPLATES = {
    template.name: template
    for template in (
        StudentTemplate(
            "options_first",
            1,
            lambda question: f"{_listed(question)} {question['question']}",
            " Solution:",
            " Answer:",
            "this project: options at fixed places, then the question",
        ),
        StudentTemplate(
            "multimodal_cot",
            1,
            lambda question: f"Question: {question['question']}\nContext: N/A\nOptions: {_listed(question)}",
            "\nSolution:",
            "\nAnswer:",
            "Zhang et al. 2023, arXiv 2302.00923, text only",
        ),
    )
}


def write_answer(question: Row, label: str, answer_format: str) -> str:
    """What a student writes for an option: its text, or `The answer is (B).` (Multimodal-CoT's form)."""
    if answer_format == "label":
        return f"The answer is ({letter(question, label)})."
    return option_text(question, label)


def write_rationale_answer(rationale: str, answer: str) -> str:
    """Fine-tune-CoT's target, `{rationale} --> {answer}`."""
    return f"{rationale}{ARROW}{answer}"


def split_rationale_answer(text: str) -> tuple[str, str]:
    """(rationale, answer) of Fine-tune-CoT's target; no arrow: all rationale, no answer."""
    rationale, found, answer = text.rpartition(ARROW.strip())
    return (rationale.strip(), answer.strip()) if found else (text.strip(), "")


def write_answer_rationale(rationale: str, answer: str) -> str:
    """The reverse, `{answer} --> {rationale}`."""
    return f"{answer}{ARROW}{rationale}"


def split_answer_rationale(text: str) -> tuple[str, str]:
    """(rationale, answer) of the reverse; no arrow: all answer, no rationale."""
    answer, _, rationale = text.partition(ARROW.strip())
    return rationale.strip(), answer.strip()
