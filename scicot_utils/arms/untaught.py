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

from scicot_utils import prompts
from scicot_utils.arms.answering import prediction, score_options, spelling, write_texts
from scicot_utils.arms.learned import ArmError
from scicot_utils.recipe import Settings
from scicot_utils.tables import Row

if TYPE_CHECKING:  # importing it loads torch
    from scicot_utils.students import Student


@dataclass(frozen=True)
class Untaught:
    """`few_shot`: exemplars precede the question. `cot`: the student writes a rationale before its answer."""

    few_shot: bool
    cot: bool
    source: str


ARMS = {
    "zero_shot": Untaught(False, False, "zero-shot (Kojima et al. 2022, table 1)"),
    "zero_shot_cot": Untaught(False, True, "zero-shot-CoT (Kojima et al. 2022; Ho et al., table 1)"),
    "few_shot": Untaught(True, False, "few-shot (Brown et al. 2020, arXiv 2005.14165)"),
    "few_shot_cot": Untaught(True, True, "few-shot-CoT (Wei et al. 2022, arXiv 2201.11903; Ho et al., table 1)"),
}
THINK = " Let's think step by step."
NEXT = "\nQ:"  # where a student goes on with another question


def draw_exemplars(examples: Sequence[tuple[Row, str]], settings: Settings) -> list[tuple[Row, str]]:
    """`shots` training examples, the same for every question, by `question_seed`. Raises ArmError for fewer."""
    if settings.shots > len(examples):
        raise ArmError(f"shots: found {settings.shots}, allowed: at most {len(examples)}, the training examples")
    return random.Random(f"{settings.question_seed}/shots").sample(list(examples), settings.shots)


def build_prompts(arm: str, questions: Sequence[Row], exemplars: Sequence[tuple[Row, str]]) -> list[str]:
    """The prompt for each question, up to where the rationale or the answer begins."""
    entry, opening = ARMS[arm], ""
    for question, rationale in exemplars:
        answer = f"{prompts.FINAL} {prompts.answer_text(question, question['answer'])}."
        opening += f"{prompts.ask(question)}{f' {rationale}' if entry.cot else ''} {answer}\n\n"
    think = THINK if entry.cot and not entry.few_shot else ""
    return [f"{opening}{prompts.ask(question)}{think}" for question in questions]


def harness_prompts(questions: Sequence[Row], exemplars: Sequence[tuple[Row, str]]) -> list[str]:
    """The prompt of lm-evaluation-harness's ARC tasks for each question."""
    opening = "".join(
        f"Question: {row['question']}\nAnswer: {prompts.answer_text(row, row['answer'])}\n\n" for row, _ in exemplars
    )
    return [f"{opening}Question: {row['question']}\nAnswer:" for row in questions]


def answers(
    arm: str, student: Student, questions: Sequence[Row], examples: Sequence[tuple[Row, str]], settings: Settings
) -> list[Row]:
    """Predictions of a student without fine-tuning. `examples`: training pairs from which the exemplars are drawn."""
    plain, entry = replace(student, separator=""), ARMS[arm]
    exemplars = draw_exemplars(examples, settings) if entry.few_shot else []
    inputs = build_prompts(arm, questions, exemplars)
    rationales, cut = [""] * len(inputs), [False] * len(inputs)
    if entry.cot:
        thoughts = write_texts(plain, inputs, settings, stop=NEXT)
        rationales = [prompts.conclude(thought.text.partition(NEXT.strip())[0]).before.strip() for thought in thoughts]
        cut = [thought.truncated for thought in thoughts]
    cue = prompts.CUE if entry.cot and not entry.few_shot else f" {prompts.FINAL}"
    inputs = [
        f"{text}{f' {rationale}' if rationale else ''}{cue}" for text, rationale in zip(inputs, rationales, strict=True)
    ]
    outputs = write_texts(plain, inputs, settings, stop="\n")
    options = [row["choices"]["text"] for row in questions]
    contexts = inputs if entry.cot else harness_prompts(questions, exemplars)
    scores = score_options(plain, contexts, [""] * len(contexts), options, settings, ends=False)
    predictions = []
    for question, rationale, thought_cut, output, option_scores in zip(
        spelling(student, questions).questions, rationales, cut, outputs, scores, strict=True
    ):
        text = output.text.partition("\n")[0].strip()
        answer = prompts.read_free(question, f"{prompts.FINAL} {text}").answer
        truncated = output.truncated or thought_cut
        predictions.append(prediction(question, rationale, text, answer, option_scores, truncated))
    return predictions
