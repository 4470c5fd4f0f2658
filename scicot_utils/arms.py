"""Each arm of the study: what its student is trained on and how it answers. Training itself is in `students`.

An arm with one student is one declared entry of ONE_STAGE. `two_stage` (Sci-CoT) trains two models, in notebooks 04
and 05. The untrained baselines answer without any student.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import optimize, sparse

from scicot_utils import ScicotError, paths, prompts, rationales
from scicot_utils.prompts import StudentTemplate
from scicot_utils.recipe import Settings
from scicot_utils.students import Generated, Student, TrainingLog, fine_tune, generate, load, score
from scicot_utils.tables import Row

BAG_PENALTY = 1.0  # L2 weight of the bag-of-words baseline: the usual default of logistic regressions, not tuned
Pair = tuple[str, str]  # what a student reads, what it must write


class ArmError(ScicotError):
    """An arm that cannot be trained on what there is."""


@dataclass(frozen=True)
class OneStage:
    """An arm with one student: the target it learns, and how its text falls into (rationale, answer)."""

    learns: str
    ask: Callable[[StudentTemplate, Row], str]
    target: Callable[[str, str], str]  # (rationale, answer) → text
    split: Callable[[str], tuple[str, str]]
    lead: Callable[[str], str]  # what stands before the answer, given the rationale; options are ranked after it
    source: str


ONE_STAGE = {
    "answer_only": OneStage(
        learns="Q → A",
        ask=StudentTemplate.ask_answer,
        target=lambda rationale, answer: answer,
        split=lambda text: ("", text),
        lead=lambda rationale: "",
        source="vanilla fine-tuning (Ho et al., section 4)",
    ),
    "rationale_answer": OneStage(
        learns="Q → R A",
        ask=StudentTemplate.ask_rationale,
        target=prompts.write_rationale_answer,
        split=prompts.split_rationale_answer,
        lead=lambda rationale: f"{rationale}{prompts.ARROW}".rstrip(),  # `score` puts the space before an option
        source="Fine-tune-CoT (Ho et al., section 3.1)",
    ),
}


def training_examples(questions: Sequence[Row], judged: Sequence[Row], settings: Settings) -> list[tuple[Row, str]]:
    """(question, kept rationale) of the train split, in order: the one training set of every arm.

    `train_size` takes a sample of it that depends on `question_seed` only, so that larger sets contain smaller ones.
    """
    by_id = {row["id"]: row for row in questions if row["split"] == "train"}
    examples = [
        (by_id[row["question_id"]], row["rationale"]) for row in judged if row["kept"] and row["question_id"] in by_id
    ]
    if not examples:
        raise ArmError("no rationale was kept, so there is nothing to train on; see the drop reasons in notebook 03")
    if settings.train_size > len(examples):
        raise ArmError(
            f"train_size: found {settings.train_size}, allowed: at most {len(examples)}, the rationales kept, or 0 for all"
        )
    order = list(range(len(examples)))
    random.Random(settings.question_seed).shuffle(order)
    return [examples[i] for i in sorted(order[: settings.train_size or None])]


def one_stage_pairs(arm: str, examples: Sequence[tuple[Row, str]], settings: Settings) -> list[Pair]:
    """What the student of a one-stage arm is trained on."""
    entry, template = ONE_STAGE[arm], _template(settings)
    return [
        (entry.ask(template, question), entry.target(rationale, _gold(question, settings)))
        for question, rationale in examples
    ]


def stage1_pairs(examples: Sequence[tuple[Row, str]], settings: Settings) -> list[Pair]:
    """Sci-CoT's stage 1: Q → R."""
    template = _template(settings)
    return [(template.ask_rationale(question), rationale) for question, rationale in examples]


def stage2_pairs(examples: Sequence[tuple[Row, str]], settings: Settings) -> list[Pair]:
    """Sci-CoT's stage 2: Q + R → A."""
    return [
        (_stage2_input(question, rationale, settings), _gold(question, settings)) for question, rationale in examples
    ]


def folds(examples: Sequence[tuple[Row, str]], settings: Settings) -> list[list[tuple[Row, str]]]:
    """The training set in `crossfit_folds` parts; all rationales of a question fall into one part."""
    names = list(dict.fromkeys(question["id"] for question, _ in examples))
    random.Random(settings.question_seed).shuffle(names)
    if len(names) < settings.crossfit_folds:
        raise ArmError(f"crossfit_folds: found {settings.crossfit_folds}, allowed: at most {len(names)}, the questions")
    part = {name: place % settings.crossfit_folds for place, name in enumerate(names)}
    return [[pair for pair in examples if part[pair[0]["id"]] == number] for number in range(settings.crossfit_folds)]


def stage2_examples(
    examples: Sequence[tuple[Row, str]], crossfit: Mapping[str, str], settings: Settings
) -> list[tuple[Row, str]]:
    """What stage 2 learns from: the teacher's rationales, those of students that had not seen the question, or both.

    `crossfit`: question id → the rationale that a stage 1 student wrote which was trained on the other folds.
    """
    if settings.stage2_source == "teacher":
        return list(examples)
    questions = list({question["id"]: question for question, _ in examples}.values())
    own = [(question, crossfit[question["id"]]) for question in questions]
    return own if settings.stage2_source == "crossfit" else [*examples, *own]


def answer_one_stage(arm: str, student: Student, questions: Sequence[Row], settings: Settings) -> list[Row]:
    """Predictions of a one-stage arm, without the columns that name the run (see `predictions`)."""
    entry, template = ONE_STAGE[arm], _template(settings)
    inputs = [entry.ask(template, question) for question in questions]
    written = _generate(student, inputs, settings)
    split = [entry.split(generated.text) for generated in written]
    leads = [entry.lead(rationale) for rationale, _ in split]
    scores = _option_scores(student, inputs, leads, questions, settings)
    return [
        _prediction(question, rationale, generated, answer, option_scores)
        for question, (rationale, answer), generated, option_scores in zip(
            questions, split, written, scores, strict=True
        )
    ]


def write_rationales(student: Student, questions: Sequence[Row], settings: Settings) -> list[Generated]:
    """Stage 1 at work: a rationale for each question."""
    template = _template(settings)
    return _generate(student, [template.ask_rationale(question) for question in questions], settings)


def answer_from(student: Student, questions: Sequence[Row], given: Sequence[Row], settings: Settings) -> list[Row]:
    """Stage 2 at work: predictions from questions and the rationales given, rows with `text` and `truncated`."""
    inputs = [_stage2_input(question, row["text"], settings) for question, row in zip(questions, given, strict=True)]
    written = _generate(student, inputs, settings)
    scores = _option_scores(student, inputs, [""] * len(inputs), questions, settings)
    return [
        _prediction(question, row["text"], generated, generated.text, option_scores)
        | {"truncated": generated.truncated or row["truncated"]}
        for question, row, generated, option_scores in zip(questions, given, written, scores, strict=True)
    ]


def predictions(rows: Sequence[Row], *, recipe: str, dataset: str, arm: str, variant: str, seed: int) -> list[Row]:
    """Rows of the predictions table: answers with the columns that name their run in front."""
    run = "/".join([recipe, dataset, arm, variant, f"seed{seed}"])
    return [{"run": run, "dataset": dataset, "arm": arm, "variant": variant, "seed": seed} | row for row in rows]


# What a recipe says of training that `students.fine_tune` takes as it is.
FINE_TUNE_KEYS = (
    "steps", "batch_size", "micro_batches", "learning_rate", "schedule", "warmup_ratio", "weight_decay", "adam_beta2", "max_grad_norm",
    "dropout", "freeze_embeddings", "max_input_tokens", "max_target_tokens", "threads",
)  # fmt: skip


def load_student(recipe: str, settings: Settings, seed: int) -> Student:
    """The recipe's student before fine-tuning, by the recipe's name for it; `seed` matters for one from random weights."""
    student = load(paths.student(recipe, settings.student), paths.source(settings.tokenizer), seed)
    return replace(student, name=settings.student)  # not the place, which differs from machine to machine


def train(student: Student, pairs: Sequence[Pair], settings: Settings, *, seed: int, folder: Path) -> TrainingLog:
    """Fine-tune a student in place as the recipe says; `folder` is for the trainer's own files."""
    chosen = {key: getattr(settings, key) for key in FINE_TUNE_KEYS}
    return fine_tune(student, pairs, output_dir=folder, seed=seed, **chosen)


# ── Without a student ───────────────────────────────────────────────────────────────────────────────────────────


def untrained(questions: Sequence[Row], train: Sequence[Row], seed: int) -> dict[str, list[Row]]:
    """Baseline → its predictions on `questions`. None reasons; what `train` shows is only which answers are right often.

    Each puts score 1 on its choice and 0 elsewhere, so `generated` and `ranked` accuracy agree. `seed` settles ties.
    """
    rng = random.Random(seed)
    positions = Counter(prompts.letter(row, row["answer"]) for row in train)
    favourite = min(positions, key=lambda mark: (-positions[mark], mark)) if positions else "A"
    rights = Counter(prompts.option_text(row, row["answer"]).lower() for row in train)
    weigh = _bag_of_words(train)

    def best(row: Row, values: Iterable[float]) -> str:
        scores = list(values)
        of_best = [label for label, value in zip(row["choices"]["label"], scores, strict=True) if value == max(scores)]
        return of_best[0] if len(of_best) == 1 else rng.choice(of_best)

    choose: dict[str, Callable[[Row], str]] = {
        "random": lambda row: rng.choice(row["choices"]["label"]),
        "majority_label": lambda row: row["choices"]["label"][
            min(prompts.LETTERS.index(favourite), len(row["choices"]["label"]) - 1)
        ],
        "longest_option": lambda row: best(row, (len(text) for text in row["choices"]["text"])),
        "shortest_option": lambda row: best(row, (-len(text) for text in row["choices"]["text"])),
        "frequent_answer": lambda row: best(row, (rights[text.lower()] for text in row["choices"]["text"])),
        "word_overlap": lambda row: (
            rationales.overlap_choice(row, row["question"]) or rng.choice(row["choices"]["label"])
        ),
        "bag_of_words": lambda row: best(row, weigh(row)),
    }
    return {name: [choice(row, pick(row)) for row in questions] for name, pick in choose.items()}


def _bag_of_words(train: Sequence[Row]) -> Callable[[Row], list[float]]:
    """A linear classifier, fitted to `train`: question → a score for each option; 0 for words that it never saw.

    Features of an option are its words and every pair of a word of the question and one of its own; the loss is the
    cross-entropy of the right option among the options, with an L2 penalty. It is convex, so no seed is needed.
    """
    index: dict[object, int] = {}
    columns, starts, firsts, gold = [], [0], [0], []
    for row in train:
        gold.append(firsts[-1] + row["choices"]["label"].index(row["answer"]))
        for text in row["choices"]["text"]:
            columns += [index.setdefault(feature, len(index)) for feature in _features(row["question"], text)]
            starts.append(len(columns))
        firsts.append(len(starts) - 1)
    weights = np.zeros(len(index))
    if index:
        seen = sparse.csr_array((np.ones(len(columns)), columns, starts), shape=(firsts[-1], len(index)))
        each, sizes = np.array(firsts[:-1]), np.diff(firsts)

        def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
            scores = seen @ weights
            powers = np.exp(scores - np.repeat(np.maximum.reduceat(scores, each), sizes))
            shares = powers / np.repeat(np.add.reduceat(powers, each), sizes)
            penalty = BAG_PENALTY / 2 * np.square(weights).sum()
            value = penalty - np.log(np.maximum(shares[gold], np.finfo(float).tiny)).sum()
            shares[gold] -= 1
            return value, seen.T @ shares + BAG_PENALTY * weights

        weights = optimize.minimize(loss, weights, jac=True, method="L-BFGS-B", options={"maxiter": 200}).x

    def weigh(row: Row) -> list[float]:
        return [
            float(sum(weights[index[feature]] for feature in _features(row["question"], text) if feature in index))
            for text in row["choices"]["text"]
        ]

    return weigh


def _features(question: str, option: str) -> list[object]:
    """Words of the option, and pairs of a word of the question with one of them; each once, in a fixed order."""
    asked, words = (dict.fromkeys(re.findall(r"\w+", text.lower())) for text in (question, option))
    return [*words, *((one, other) for one in asked for other in words)]


def choice(question: Row, label: str, rationale: str = "") -> Row:
    """The prediction of something that picks one option outright, or none (label '')."""
    scores = [float(label == other) for other in question["choices"]["label"]]
    text = prompts.option_text(question, label) if label else ""
    found = _prediction(question, rationale, Generated(text, False), "", scores)
    return found | {"answer": label, "correct": label == question["answer"]}


# ── Shared ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _template(settings: Settings) -> StudentTemplate:
    return prompts.STUDENT_TEMPLATES[settings.template]


def _gold(question: Row, settings: Settings) -> str:
    return prompts.write_answer(question, question["answer"], settings.answer_format)


def _stage2_input(question: Row, rationale: str, settings: Settings) -> str:
    return _template(settings).ask_answer_from(question, rationale, settings.stage2_order)


def _generate(student: Student, inputs: list[str], settings: Settings) -> list[Generated]:
    return generate(
        student, inputs, max_new_tokens=settings.max_target_tokens, batch_size=settings.evaluation_batch_size
    )


def _option_scores(
    student: Student, inputs: list[str], leads: list[str], questions: Sequence[Row], settings: Settings
) -> list[list[float]]:
    """Summed log-likelihood of every option of every question, after the input and the lead."""
    flat_inputs, flat_leads, targets = [], [], []
    for text, lead, question in zip(inputs, leads, questions, strict=True):
        for label in question["choices"]["label"]:
            flat_inputs.append(text)
            flat_leads.append(lead)
            targets.append(prompts.write_answer(question, label, settings.answer_format))
    values = iter(score(student, flat_inputs, targets, prefixes=flat_leads, batch_size=settings.evaluation_batch_size))
    return [[next(values) for _ in question["choices"]["label"]] for question in questions]


def _prediction(question: Row, rationale: str, written: Generated, answer: str, option_scores: list[float]) -> Row:
    label = prompts.read_option(question, answer)
    return {
        "question_id": question["id"],
        "split": question["split"],
        "rationale": rationale,
        "text": written.text,
        "answer": label,
        "gold": question["answer"],
        "correct": label == question["answer"],
        "option_scores": option_scores,
        "truncated": written.truncated,
    }
