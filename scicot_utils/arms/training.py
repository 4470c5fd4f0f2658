"""Train the students of the arms with a recipe's settings. Training itself is in `students`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scicot_utils import paths, students
from scicot_utils.arms.answering import generations, write_rationales
from scicot_utils.arms.learned import RATIONALE, Pair, folds, pairs, template
from scicot_utils.recipe import Settings, Training
from scicot_utils.tables import Row

if TYPE_CHECKING:  # importing them loads torch
    from scicot_utils.students import Student, TrainingLog, TrainingOptions


def load_student(recipe: str, settings: Settings, seed: int) -> Student:
    """The recipe's student before fine-tuning. `seed` matters only for random weights."""
    path, tokenizer = paths.student(recipe, settings.student), paths.source(settings.tokenizer)
    return _configured(students.load(path, tokenizer, seed), settings)


def load_trained(folder: Path, settings: Settings) -> Student:
    """A student that `train` saved to `folder`, loaded for inference."""
    return _configured(students.load(str(folder)), settings)


def _configured(student: Student, settings: Settings) -> Student:
    """The student under the recipe's name, since its path differs by machine, and with the template's separator."""
    return replace(student, name=settings.student, separator=template(settings).separator)


def train(
    student: Student,
    training_pairs: Sequence[Pair],
    settings: Settings,
    *,
    seed: int,
    folder: Path,
    weigh: str = "token",
    validation: Sequence[Pair] = (),
    asked: Sequence[str] = (),
) -> TrainingLog:
    """Fine-tune a student in place with the recipe's settings.

    `folder`: for the trainer's own files. `weigh`: as in `OneStudent`. `validation`: the pairs that choose the
    checkpoint, see `chosen_on`. `asked`: the inputs that it will write from; one too long for it ends the run before it
    is trained.
    """
    steps = settings.steps or settings.epochs * ceil(len(training_pairs) / settings.batch_size)
    options = training_options(settings, steps=steps, seed=seed, weigh=weigh)
    return students.fine_tune(
        student, training_pairs, options, output_dir=folder, validation_pairs=validation, asked=asked
    )


def training_options(settings: Settings, **own: Any) -> TrainingOptions:
    """A recipe's training keys, and those that are a run's own."""
    keys = {field.name for field in fields(students.TrainingOptions)} & Training.model_fields.keys()
    return students.TrainingOptions(**{key: getattr(settings, key) for key in keys} | own)


def crossfit(
    recipe: str,
    examples: Sequence[tuple[Row, str]],
    settings: Settings,
    *,
    seed: int,
    folder: Path,
    validation: Sequence[Pair] = (),
) -> tuple[list[Row], float]:
    """Cross-fitted rationales for the training questions, as (rows of the table generations, seconds of training).

    The rationales of a fold are written by a stage 1 student that was trained on the other folds, so no student writes
    about a question that it has seen. `validation`: passed to `train` for each of these students.
    """
    rows, seconds, parts = [], 0.0, folds(examples, settings)
    for number, fold in enumerate(parts):
        training_set = [example for part in parts if part is not fold for example in part]
        student = load_student(recipe, settings, seed)
        path, fold_pairs = folder / f"fold{number}", pairs([RATIONALE], training_set, settings)
        questions = list({question["id"]: question for question, _ in fold}.values())
        how = {"seed": seed, "folder": path, "validation": validation}
        log = train(student, fold_pairs, settings, **how, asked=RATIONALE.inputs(questions, settings))
        seconds += log.seconds
        rows += generations(questions, write_rationales(student, questions, settings))
    return rows, seconds
