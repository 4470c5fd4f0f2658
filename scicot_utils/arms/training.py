"""Train the students of the arms with a recipe's settings. Training itself is in `students`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from scicot_utils import paths, students
from scicot_utils.arms.answering import generations, write_rationales
from scicot_utils.arms.learned import RATIONALE, Pair, folds, pairs, template
from scicot_utils.recipe import Settings
from scicot_utils.tables import Row

if TYPE_CHECKING:  # importing them loads torch
    from scicot_utils.students import Student, TrainingLog

# Training keys of a recipe that are passed to `students.fine_tune` unchanged.
FINE_TUNE_KEYS = (
    "batch_size", "micro_batches", "learning_rate", "schedule", "warmup_ratio", "weight_decay", "adam_beta2", "max_grad_norm",
    "dropout", "freeze_embeddings", "max_input_tokens", "max_target_tokens", "max_cut_share", "threads", "precision",
    "checkpoint_steps", "choose_by",
)  # fmt: skip


def load_student(recipe: str, settings: Settings, seed: int) -> Student:
    """The recipe's student before fine-tuning. `seed` matters only for random weights."""
    return _of(settings, students.load(paths.student(recipe, settings.student), paths.source(settings.tokenizer), seed))


def load_trained(folder: Path, settings: Settings) -> Student:
    """A student that `train` saved to `folder`, loaded for inference."""
    return _of(settings, students.load(str(folder)))


def _of(settings: Settings, student: Student) -> Student:
    """The student under the recipe's name, since its path differs by machine, and with the template's separator."""
    return replace(student, name=settings.student, separator=template(settings).separator)


def train(
    student: Student,
    taught: Sequence[Pair],
    settings: Settings,
    *,
    seed: int,
    folder: Path,
    weigh: str = "token",
    validation: Sequence[Pair] = (),
) -> TrainingLog:
    """Fine-tune a student in place with the recipe's settings.

    `folder`: for the trainer's own files. `weigh`: as in `OneStudent`. `validation`: the pairs that choose the
    checkpoint, see `chosen_on`.
    """
    chosen = {key: getattr(settings, key) for key in FINE_TUNE_KEYS} | {"steps": steps_of(len(taught), settings)}
    return students.fine_tune(
        student, taught, output_dir=folder, seed=seed, weigh=weigh, validation_pairs=validation, **chosen
    )


def steps_of(pairs: int, settings: Settings) -> int:
    """Optimiser steps for this number of training pairs. The last batch of an epoch may be smaller."""
    return settings.steps or settings.epochs * -(-pairs // settings.batch_size)


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
    for number, part in enumerate(parts):
        others = [pair for other in parts if other is not part for pair in other]
        student = load_student(recipe, settings, seed)
        place = folder / f"fold{number}"
        taught = pairs([RATIONALE], others, settings)
        log = train(student, taught, settings, seed=seed, folder=place, validation=validation)
        seconds += log.seconds
        asked = list({question["id"]: question for question, _ in part}.values())
        rows += generations(asked, write_rationales(student, asked, settings))
    return rows, seconds
