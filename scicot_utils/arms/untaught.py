"""Students prompted without fine-tuning: the zero-shot and few-shot rows of both papers' tables.

A question and its options are shown in the format of Kojima et al. (2022, arXiv 2205.11916), `Q: … A:`. The text after
`The answer is` is the answer, read by its conclusion. Options are ranked by the summed log-likelihood of their texts,
without EOS (`acc` of lm-evaluation-harness; divided by their characters, `acc_norm`). If the student wrote a rationale,
options are scored after it. Otherwise they are scored after the prompt of that harness's ARC tasks, `Question: …
Answer:`, which does not show the options.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from scicot_utils import prompts, students
from scicot_utils.arms.answering import prediction, spelling
from scicot_utils.arms.learned import ArmError
from scicot_utils.recipe import Settings
from scicot_utils.tables import Row

if TYPE_CHECKING:  # importing it loads torch
    from scicot_utils.students import Student


@dataclass(frozen=True)
class Untaught:
    """`shown`: exemplars precede the question. `thinks`: the student writes a rationale before its answer."""

    shown: bool
    thinks: bool
    source: str


ARMS = {
    "zero_shot": Untaught(False, False, "zero-shot (Kojima et al. 2022, table 1)"),
    "zero_shot_cot": Untaught(False, True, "zero-shot-CoT (Kojima et al. 2022; Ho et al., table 1)"),
    "few_shot": Untaught(True, False, "few-shot (Brown et al. 2020, arXiv 2005.14165)"),
    "few_shot_cot": Untaught(True, True, "few-shot-CoT (Wei et al. 2022, arXiv 2201.11903; Ho et al., table 1)"),
}
THINK = " Let's think step by step."
NEXT = "\nQ:"  # where a student goes on with a question of its own


def exemplars(examples: Sequence[tuple[Row, str]], settings: Settings) -> list[tuple[Row, str]]:
    """`shots` training examples as (question, rationale), the same for every question, drawn with `question_seed`.
    Raises ArmError if there are fewer.
    """
    if settings.shots > len(examples):
        raise ArmError(f"shots: found {settings.shots}, allowed: at most {len(examples)}, the training examples")
    return random.Random(f"{settings.question_seed}/shots").sample(list(examples), settings.shots)


def asked(arm: str, questions: Sequence[Row], shown: Sequence[tuple[Row, str]]) -> list[str]:
    """The prompt for each question, up to where the rationale or the answer begins."""
    entry, worked = ARMS[arm], []
    for question, why in shown:
        answer = f"{prompts.FINAL} {prompts.answer_text(question, question['answer'])}."
        worked.append(f"{prompts.ask(question)}{f' {why}' if entry.thinks else ''} {answer}\n\n")
    think = THINK if entry.thinks and not entry.shown else ""
    return [f"{''.join(worked)}{prompts.ask(question)}{think}" for question in questions]


def harness(questions: Sequence[Row], shown: Sequence[tuple[Row, str]]) -> list[str]:
    """The prompt of lm-evaluation-harness's ARC tasks for each question."""
    worked = [f"Question: {row['question']}\nAnswer: {prompts.answer_text(row, row['answer'])}\n\n" for row, _ in shown]
    return [f"{''.join(worked)}Question: {row['question']}\nAnswer:" for row in questions]


def answers(
    arm: str, student: Student, questions: Sequence[Row], examples: Sequence[tuple[Row, str]], settings: Settings
) -> list[Row]:
    """Predictions of a student without fine-tuning. `examples`: training pairs from which the exemplars are drawn."""
    plain, entry = replace(student, separator=""), ARMS[arm]
    shown = exemplars(examples, settings) if entry.shown else []
    inputs = asked(arm, questions, shown)
    limits = {"max_new_tokens": settings.max_target_tokens, "batch_size": settings.evaluation_batch_size}
    whys, cut = [""] * len(inputs), [False] * len(inputs)
    if entry.thinks:
        thoughts = students.generate(plain, inputs, stop=NEXT, **limits)
        whys = [prompts.conclude(one.text.partition(NEXT.strip())[0]).before.strip() for one in thoughts]
        cut = [one.truncated for one in thoughts]
    cue = prompts.CUE if entry.thinks and not entry.shown else f" {prompts.FINAL}"
    inputs = [f"{text}{f' {why}' if why else ''}{cue}" for text, why in zip(inputs, whys, strict=True)]
    written = students.generate(plain, inputs, stop="\n", **limits)
    scores = _scores(plain, inputs if entry.thinks else harness(questions, shown), questions, settings)
    found, spelled = [], spelling(student, questions).questions
    for question, why, one, of_options, short in zip(spelled, whys, written, scores, cut, strict=True):
        said = one.text.partition("\n")[0].strip()
        answer = prompts.read_free(question, f"{prompts.FINAL} {said}").answer
        found.append(prediction(question, why, said, answer, of_options, one.truncated or short))
    return found


def _scores(student: Student, inputs: Sequence[str], questions: Sequence[Row], settings: Settings) -> list[list[float]]:
    pairs = [
        (text, option)
        for text, question in zip(inputs, questions, strict=True)
        for option in question["choices"]["text"]
    ]
    if not pairs:
        return [[] for _ in questions]
    sources, targets = zip(*pairs, strict=True)
    values = iter(students.score(student, sources, targets, batch_size=settings.evaluation_batch_size, ends=False))
    return [[next(values) for _ in question["choices"]["text"]] for question in questions]
