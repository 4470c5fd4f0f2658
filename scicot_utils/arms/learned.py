"""What the students of the arms learn: the mappings, and the training pairs of each."""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from scicot_utils import ScicotError, prompts
from scicot_utils.prompts import StudentTemplate
from scicot_utils.recipe import Settings
from scicot_utils.tables import Row

Pair = tuple[str, str]  # (text that a student reads, text that it must write)


class ArmError(ScicotError):
    """An arm cannot be trained with the data or settings given."""


@dataclass(frozen=True)
class InputTarget:
    """One mapping that a student learns, `notation` in short: the texts to read (`input`) and to write (`target`)."""

    notation: str
    input: Callable[[Row, str, Settings], str]  # (question, rationale, settings) → text
    target: Callable[[str, str], str]  # (rationale, answer) → text

    def inputs(self, questions: Sequence[Row], settings: Settings, rationales: Sequence[str] = ()) -> list[str]:
        """What a student reads of each question, with its rationale if it reads one."""
        rows = zip(questions, rationales or [""] * len(questions), strict=True)
        return [self.input(question, rationale, settings) for question, rationale in rows]


def template(settings: Settings) -> StudentTemplate:
    """The student template that a recipe names."""
    return prompts.STUDENT_TEMPLATES[settings.template]


ANSWER = InputTarget("Q → A", lambda row, _, settings: template(settings).ask_answer(row), lambda _, answer: answer)
RATIONALE = InputTarget(
    "Q → R", lambda row, _, settings: template(settings).ask_rationale(row), lambda rationale, _: rationale
)
BOTH = InputTarget("Q → R A", RATIONALE.input, prompts.write_rationale_answer)
REVERSED = InputTarget("Q → A R", ANSWER.input, prompts.write_answer_rationale)
ANSWER_FROM = InputTarget(
    "Q + R → A",
    lambda row, rationale, settings: template(settings).ask_answer_from(row, rationale, settings.stage2_order),
    ANSWER.target,
)


def training_examples(questions: Sequence[Row], rationales: Sequence[Row], settings: Settings) -> list[tuple[Row, str]]:
    """(question, kept rationale) pairs of the train split, in order: the same training set for every arm.

    `train_pool` samples the questions; `train_size` then samples the remaining pairs. Both samples depend on
    `question_seed` only, so with the same rationales a larger sample contains a smaller one. If another teacher or
    filter keeps other rationales, a sample holds other questions. Raises ArmError if a sample exceeds what there is, or
    if no rationale was kept.
    """
    examples = _kept_examples(questions, rationales, "train")
    if settings.train_pool:
        ids = sorted(row["id"] for row in questions if row["split"] == "train")
        if settings.train_pool > len(ids):
            raise ArmError(
                f"train_pool: found {settings.train_pool}, allowed: at most {len(ids)}, the questions, or 0 for all"
            )
        random.Random(f"{settings.question_seed}/pool").shuffle(ids)
        pool = {*ids[: settings.train_pool]}
        examples = [(question, rationale) for question, rationale in examples if question["id"] in pool]
    if not examples:
        raise ArmError("no rationale was kept, so there is nothing to train on; see the drop reasons in notebook 03")
    if settings.train_size > len(examples):
        raise ArmError(
            f"train_size: found {settings.train_size}, allowed: at most {len(examples)}, the rationales kept, or 0 for all"
        )
    order = list(range(len(examples)))
    random.Random(settings.question_seed).shuffle(order)
    return [examples[i] for i in sorted(order[: settings.train_size or None])]


def chosen_on(questions: Sequence[Row], rationales: Sequence[Row], settings: Settings) -> list[tuple[Row, str]]:
    """(question, kept rationale) pairs of the validation split, on which a checkpoint is chosen; [] if `choose_by` is
    `last`. Raises ArmError if a checkpoint is to be chosen and no validation rationale was kept.
    """
    if settings.choose_by == "last":
        return []
    examples = _kept_examples(questions, rationales, "validation")
    if not examples:
        raise ArmError(
            f"choose_by: found '{settings.choose_by}', allowed: last, since no rationale of a validation question was "
            "kept; name validation in teacher_splits and give it questions (validation_questions)"
        )
    return examples


def _kept_examples(questions: Sequence[Row], rationales: Sequence[Row], split: str) -> list[tuple[Row, str]]:
    by_id = {row["id"]: row for row in questions if row["split"] == split}
    return [
        (by_id[row["question_id"]], row["rationale"])
        for row in rationales
        if row["kept"] and row["question_id"] in by_id
    ]


def pairs(maps: Iterable[InputTarget], examples: Sequence[tuple[Row, str]], settings: Settings) -> list[Pair]:
    """(input, target) training pairs of a student that learns these mappings: one per example and mapping."""
    maps, answer_format = tuple(maps), settings.answer_format
    return [
        (
            mapping.input(question, rationale, settings),
            mapping.target(rationale, prompts.write_answer(question, question["answer"], answer_format)),
        )
        for question, rationale in examples
        for mapping in maps
    ]


def folds(examples: Sequence[tuple[Row, str]], settings: Settings) -> list[list[tuple[Row, str]]]:
    """The training set in `crossfit_folds` parts, a question in one only. Raises ArmError for fewer questions."""
    ids = list(dict.fromkeys(question["id"] for question, _ in examples))
    random.Random(settings.question_seed).shuffle(ids)
    if len(ids) < settings.crossfit_folds:
        raise ArmError(f"crossfit_folds: found {settings.crossfit_folds}, allowed: at most {len(ids)}, the questions")
    fold = {question_id: index % settings.crossfit_folds for index, question_id in enumerate(ids)}
    return [
        [example for example in examples if fold[example[0]["id"]] == number]
        for number in range(settings.crossfit_folds)
    ]


def stage2_examples(
    examples: Sequence[tuple[Row, str]], crossfit: Mapping[str, str], settings: Settings
) -> list[tuple[Row, str]]:
    """Training examples of stage 2, as `stage2_source` says: the teacher's rationales, cross-fitted ones, or both.

    `crossfit`: question id → the rationale written by a stage 1 student that was trained on the other folds.
    """
    if settings.stage2_source == "teacher":
        return list(examples)
    questions = list({question["id"]: question for question, _ in examples}.values())
    own = [(question, crossfit[question["id"]]) for question in questions]
    return own if settings.stage2_source == "crossfit" else [*examples, *own]
