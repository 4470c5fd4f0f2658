"""Each arm of the study: what its student is trained on, and how it answers. Training itself is in `students`.

An arm with one student is an entry of ONE_STUDENT. `two_stage` (Sci-CoT) trains two models, one on RATIONALE and one on
ANSWER_FROM, in notebooks 04 and 05. The untrained baselines answer without any student.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize, sparse

from scicot_utils import ScicotError, paths, prompts, rationales, students
from scicot_utils.prompts import StudentTemplate
from scicot_utils.recipe import Settings
from scicot_utils.tables import Row

if TYPE_CHECKING:  # importing them loads torch, which notebooks without a student do not need
    from scicot_utils.students import Generated, Student, TrainingLog

BAG_PENALTY = 1.0  # L2 weight of the bag-of-words baseline: the usual default for logistic regression, not tuned
Pair = tuple[str, str]  # (text that a student reads, text that it must write)


class ArmError(ScicotError):
    """An arm cannot be trained with the data or settings given."""


@dataclass(frozen=True)
class InputTarget:
    """One mapping that a student learns. `input` builds the text to read from (question, rationale, settings); `target`
    builds the text to write. `told` is the mapping in short notation.
    """

    told: str
    input: Callable[[Row, str, Settings], str]
    target: Callable[[str, str], str]  # (rationale, answer) → text


ANSWER = InputTarget("Q → A", lambda row, _, settings: _template(settings).ask_answer(row), lambda _, answer: answer)
RATIONALE = InputTarget("Q → R", lambda row, _, settings: _template(settings).ask_rationale(row), lambda why, _: why)
BOTH = InputTarget("Q → R A", RATIONALE.input, prompts.write_rationale_answer)
REVERSED = InputTarget("Q → A R", ANSWER.input, prompts.write_answer_rationale)
ANSWER_FROM = InputTarget("Q + R → A", lambda row, why, settings: _stage2_input(row, why, settings), ANSWER.target)


@dataclass(frozen=True)
class OutputFormat:
    """Where a student's output holds its answer: `split` divides the output into (rationale, answer).

    `cue`: the mark after which Fine-tune-CoT's own reading looks for the answer in the whole output. If empty, that
    reading uses the answer part only.
    """

    split: Callable[[str], tuple[str, str]] = lambda text: ("", text)
    cue: str = ""

    def read(self, question: Row, text: str, reading: str) -> str:
        """The answer in `text`, read as `reading` says; '' if there is none.

        `strict` reads the answer part only. `paper` reads as Fine-tune-CoT does. `conclusion`, for comparison, is
        `strict` and, if that finds no answer, reads the text by its conclusion, as a teacher's text is read.
        """
        answer = self.split(text)[1]
        if reading == "paper":
            return prompts.cleanse(question, text if self.cue else answer, self.cue)
        return self.by(question, text)[0] or (
            prompts.read_free(question, text).answer if reading == "conclusion" else ""
        )

    def by(self, question: Row, text: str) -> tuple[str, str]:
        """The answer of the `strict` reading, and the name of the rule that read it."""
        return prompts.read_by(question, self.split(text)[1])


@dataclass(frozen=True)
class OneStudent:
    """An arm with one student: the mappings that it learns (`maps`), and how it answers.

    `answers`: (student, questions, settings) → predictions. `weigh`: what has equal weight in the loss of a batch.
    `token`: every target token. `pair`: every pair, so that the long targets of one mapping do not outweigh the short
    ones of another.
    """

    maps: tuple[InputTarget, ...]
    answers: Callable[[Student, Sequence[Row], Settings], list[Row]]
    source: str
    weigh: str = "token"
    written: OutputFormat = OutputFormat()

    @property
    def learns(self) -> str:
        """The learned mappings in words, such as `Q → A and Q → R`."""
        return " and ".join(one.told for one in self.maps)


def writing(
    learned: InputTarget, form: OutputFormat, lead: str = "{}", tail: str = ""
) -> Callable[[Student, Sequence[Row], Settings], list[Row]]:
    """Return a function that answers by generating what `learned` taught, in outputs of this form.

    Options are scored where they stood in training: after `lead`, filled with the student's own rationale, and before
    `tail`. Generation stops at `tail`, unless it is empty.
    """

    def answers(student: Student, questions: Sequence[Row], settings: Settings) -> list[Row]:
        inputs = [learned.input(question, "", settings) for question in questions]
        written = _generate(student, inputs, settings, stop=tail)
        whys = [form.split(generated.text)[0] for generated in written]
        leads = [lead.format(why) for why in whys]
        scores = _option_scores(student, inputs, leads, questions, settings, tail=tail)
        spelled = spelling(student, questions).questions
        return [
            prediction(
                question,
                why,
                generated.text,
                form.read(question, generated.text, settings.answer_reading),
                option_scores,
                generated.truncated,
            )
            for question, why, generated, option_scores in zip(spelled, whys, written, scores, strict=True)
        ]

    return answers


def chaining(student: Student, questions: Sequence[Row], settings: Settings) -> list[Row]:
    """Predictions in two passes of one student: it writes a rationale, then answers from it."""
    written = write_rationales(student, questions, settings)
    return answer_from(student, questions, generations(questions, written), settings)


THE_ANSWER = OutputFormat()
WHY_FIRST = OutputFormat(prompts.split_rationale_answer, cue=prompts.ARROW.strip())
WHY_LAST = OutputFormat(prompts.split_answer_rationale)
writing_the_answer = writing(ANSWER, THE_ANSWER)

ONE_STUDENT = {
    "answer_only": OneStudent((ANSWER,), writing_the_answer, "vanilla fine-tuning (Ho et al., section 4)"),
    "rationale_answer": OneStudent(
        (BOTH,),
        writing(BOTH, WHY_FIRST, lead=f"{{}}{prompts.ARROW}".rstrip()),  # `score` adds the space
        "Fine-tune-CoT (Ho et al., section 3.1)",
        written=WHY_FIRST,
    ),
    "answer_rationale": OneStudent(
        (REVERSED,),
        writing(REVERSED, WHY_LAST, tail=prompts.ARROW.strip()),
        "rationale after the answer: it shapes training and is never written at test",
        written=WHY_LAST,
    ),
    "multitask": OneStudent(
        (ANSWER, RATIONALE),
        writing_the_answer,
        "Distilling step-by-step (Hsieh et al. 2023, arXiv 2305.02301), both tasks weighing alike",
        weigh="pair",
    ),
    "two_stage_shared": OneStudent(
        (RATIONALE, ANSWER_FROM), chaining, "Sci-CoT's two stages in one model of half the parameters", weigh="pair"
    ),
}


def maps_of(arm: str) -> tuple[InputTarget, ...]:
    """The mappings that the student of an arm learns. For `two_stage`: one for each of its two students, in order."""
    return ONE_STUDENT[arm].maps if arm in ONE_STUDENT else (RATIONALE, ANSWER_FROM)


def output_format(arm: str) -> OutputFormat:
    """The form of the outputs in an arm's predictions."""
    return ONE_STUDENT[arm].written if arm in ONE_STUDENT else THE_ANSWER


def training_examples(questions: Sequence[Row], judged: Sequence[Row], settings: Settings) -> list[tuple[Row, str]]:
    """(question, kept rationale) pairs of the train split, in order: the same training set for every arm.

    `train_pool` samples the questions; `train_size` then samples the remaining pairs. Both samples depend on
    `question_seed` only, so with the same rationales a larger sample contains a smaller one. If another teacher or
    filter keeps other rationales, a sample holds other questions. Raises ArmError if a sample exceeds what there is, or
    if no rationale was kept.
    """
    examples = _kept(questions, judged, "train")
    if settings.train_pool:
        names = sorted(row["id"] for row in questions if row["split"] == "train")
        if settings.train_pool > len(names):
            raise ArmError(
                f"train_pool: found {settings.train_pool}, allowed: at most {len(names)}, the questions, or 0 for all"
            )
        random.Random(f"{settings.question_seed}/pool").shuffle(names)
        pool = {*names[: settings.train_pool]}
        examples = [(question, why) for question, why in examples if question["id"] in pool]
    if not examples:
        raise ArmError("no rationale was kept, so there is nothing to train on; see the drop reasons in notebook 03")
    if settings.train_size > len(examples):
        raise ArmError(
            f"train_size: found {settings.train_size}, allowed: at most {len(examples)}, the rationales kept, or 0 for all"
        )
    order = list(range(len(examples)))
    random.Random(settings.question_seed).shuffle(order)
    return [examples[i] for i in sorted(order[: settings.train_size or None])]


def chosen_on(questions: Sequence[Row], judged: Sequence[Row], settings: Settings) -> list[tuple[Row, str]]:
    """(question, kept rationale) pairs of the validation split, on which a checkpoint is chosen; [] if `choose_by` is
    `last`. Raises ArmError if a checkpoint is to be chosen and no validation rationale was kept.
    """
    if settings.choose_by == "last":
        return []
    examples = _kept(questions, judged, "validation")
    if not examples:
        raise ArmError(
            f"choose_by: found '{settings.choose_by}', allowed: last, since no rationale of a validation question was "
            "kept; name validation in teacher_splits and give it questions (validation_questions)"
        )
    return examples


def _kept(questions: Sequence[Row], judged: Sequence[Row], split: str) -> list[tuple[Row, str]]:
    by_id = {row["id"]: row for row in questions if row["split"] == split}
    return [
        (by_id[row["question_id"]], row["rationale"]) for row in judged if row["kept"] and row["question_id"] in by_id
    ]


def pairs(maps: Iterable[InputTarget], examples: Sequence[tuple[Row, str]], settings: Settings) -> list[Pair]:
    """(input, target) training pairs of a student that learns these mappings: one per example and mapping."""
    maps = tuple(maps)
    return [
        (one.input(question, why, settings), one.target(why, _gold(question, settings)))
        for question, why in examples
        for one in maps
    ]


def folds(examples: Sequence[tuple[Row, str]], settings: Settings) -> list[list[tuple[Row, str]]]:
    """The training set in `crossfit_folds` parts. All rationales of a question are in the same part. Raises ArmError if
    there are fewer questions than parts.
    """
    names = list(dict.fromkeys(question["id"] for question, _ in examples))
    random.Random(settings.question_seed).shuffle(names)
    if len(names) < settings.crossfit_folds:
        raise ArmError(f"crossfit_folds: found {settings.crossfit_folds}, allowed: at most {len(names)}, the questions")
    part = {name: place % settings.crossfit_folds for place, name in enumerate(names)}
    return [[pair for pair in examples if part[pair[0]["id"]] == number] for number in range(settings.crossfit_folds)]


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


def generations(questions: Sequence[Row], written: Sequence[Generated]) -> list[Row]:
    """Rows of the table generations: the text that stage 1 wrote for each question."""
    return [
        {"question_id": row["id"], "split": row["split"], "text": generated.text, "truncated": generated.truncated}
        for row, generated in zip(questions, written, strict=True)
    ]


def write_rationales(student: Student, questions: Sequence[Row], settings: Settings) -> list[Generated]:
    """Inference of stage 1: a rationale for each question."""
    return _generate(student, [RATIONALE.input(question, "", settings) for question in questions], settings)


def answer_from(student: Student, questions: Sequence[Row], given: Sequence[Row], settings: Settings) -> list[Row]:
    """Inference of stage 2: predictions from questions and given rationales, rows with `text` and `truncated`."""
    inputs = [_stage2_input(question, row["text"], settings) for question, row in zip(questions, given, strict=True)]
    written = _generate(student, inputs, settings)
    scores = _option_scores(student, inputs, [""] * len(inputs), questions, settings)
    spelled = spelling(student, questions).questions
    return [
        prediction(
            question,
            row["text"],
            generated.text,
            THE_ANSWER.read(question, generated.text, settings.answer_reading),
            option_scores,
            generated.truncated or row["truncated"],
        )
        for question, row, generated, option_scores in zip(spelled, given, written, scores, strict=True)
    ]


@dataclass(frozen=True)
class Spelling:
    """Questions whose options are respelled as one student can write them.

    `changed`: the options that this altered. `lost`: the options that cannot be read back, because two options of a
    question became the same text.
    """

    questions: list[Row]
    changed: list[tuple[str, str]]  # (option, as the student writes it)
    lost: list[str]

    def record(self) -> dict[str, int]:
        """Counts for the provenance of a run."""
        return {"options_respelled": len(self.changed), "options_lost": len(self.lost)}

    def __str__(self) -> str:
        if not self.changed and not self.lost:
            return "This student's tokenizer can write every option."
        example = f", as in {' for '.join(map(repr, reversed(self.changed[0])))}" if self.changed else ""
        return (
            f"This student's tokenizer lacks marks: {len(self.changed)} options are read in its own spelling{example}; "
            + (f"{len(self.lost)} are lost, since two of a question become one text." if self.lost else "none is lost.")
        )


def spelling(student: Student, questions: Sequence[Row]) -> Spelling:
    """Respell the options of questions as a student's tokenizer writes them.

    Characters that the tokenizer drops (T5's drops `<`, `{`, `^`) are dropped from the options, too. Otherwise no such
    option could ever be read from the student's text. Differences that reading ignores, such as case, are kept.
    """
    options = dict.fromkeys(text for question in questions for text in question["choices"]["text"])
    if not options:
        return Spelling(list(questions), [], [])
    backs = dict(zip(options, students.given_back(student, [*options]), strict=True))
    found, changed, lost = [], [], []
    for row in questions:
        labels, texts = row["choices"]["label"], row["choices"]["text"]
        unread = [
            label for label, text in zip(labels, texts, strict=True) if prompts.read_by(row, backs[text])[0] != label
        ]
        if unread:
            spelled = [backs[text] if label in unread else text for label, text in zip(labels, texts, strict=True)]
            row = row | {"choices": {"label": labels, "text": spelled}}
        for label, text in zip(labels, texts, strict=True):
            if prompts.read_by(row, backs[text])[0] != label:
                lost.append(text)
            elif label in unread:
                changed.append((text, backs[text]))
        found.append(row)
    return Spelling(found, changed, lost)


STAGE_ONE_WROTE = ("shuffled", "counterfactual")  # controls that need both students; the others need only the second


def controls(
    questions: Mapping[str, Row], generations: Sequence[Row], judged: Sequence[Row], seed: int
) -> tuple[dict[str, list[Row]], dict[str, str]]:
    """Other rationales for stage 2: control → rows for `answer_from`, and question id → label of its counterfactual.

    `questions`: id → question. `generations`: stage 1's rows for unseen questions. `judged`: the teacher's rationales.
    The teacher's rationales are given on every split that it was asked about, all other controls on test only. The
    counterfactual argues for the option with that label. It exists only if the rationale names the gold option.
    """
    test = [row for row in generations if row["split"] == "test"]
    of_teacher = {row["question_id"]: row["rationale"] for row in judged if row["sample"] == 0 and row["rationale"]}
    moved = rationales.derange([row["text"] for row in test], seed)
    turned = [(row, *rationales.counterfactual(questions[row["question_id"]], row["text"], seed)) for row in test]
    given = {
        "teacher": [
            row | {"text": of_teacher[row["question_id"]], "truncated": False}
            for row in generations
            if row["question_id"] in of_teacher
        ],
        "shuffled": [row | {"text": text} for row, text in zip(test, moved, strict=True)],
        "no": [row | {"text": "", "truncated": False} for row in test],
        "counterfactual": [row | {"text": text} for row, text, label in turned if label],
    }
    return given, {row["question_id"]: label for row, _, label in turned if label}


def rotations(questions: Sequence[Row], settings: Settings) -> list[Row]:
    """`order_questions` test questions in every rotation of their options, the order of the benchmark first.

    The labels stay in place and the option texts move under them; the answer's label follows its text. The sample
    depends on `question_seed` only. If there are fewer questions, all are taken. Questions with open answers are left
    out.
    """
    test = [row for row in questions if row["split"] == "test" and prompts.has_options(row)]
    order = list(range(len(test)))
    random.Random(settings.question_seed).shuffle(order)
    found = []
    for row in [test[place] for place in sorted(order[: settings.order_questions])]:
        labels, texts = row["choices"]["label"], row["choices"]["text"]
        for by in range(len(labels)):
            moved = {"label": labels, "text": texts[-by:] + texts[:-by]}
            found.append(row | {"choices": moved, "answer": labels[(labels.index(row["answer"]) + by) % len(labels)]})
    return found


def predictions(rows: Sequence[Row], *, recipe: str, dataset: str, arm: str, variant: str, seed: int) -> list[Row]:
    """Rows of the predictions table: answer rows, preceded by the columns that identify their run."""
    run = "/".join([recipe, dataset, arm, variant, f"seed{seed}"])
    return [{"run": run, "dataset": dataset, "arm": arm, "variant": variant, "seed": seed} | row for row in rows]


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
    return replace(student, name=settings.student, separator=_template(settings).separator)


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


# ── Without a student ───────────────────────────────────────────────────────────────────────────────────────────


def untrained(questions: Sequence[Row], train: Sequence[Row], seed: int) -> dict[str, list[Row]]:
    """Baseline → its predictions on `questions`. No baseline reasons; `train` only shows which answers are often right.

    Each gives score 1 to its choice and 0 to all else, so `generated` and `ranked` accuracy agree. `seed` breaks ties.
    """
    rng = random.Random(seed)
    if not all(map(prompts.has_options, [*train, *questions])):
        return _untrained_open(questions, train, rng)
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


def _untrained_open(questions: Sequence[Row], train: Sequence[Row], rng: random.Random) -> dict[str, list[Row]]:
    """Baselines for open answers: the most frequent training answer and, if only a few answers are possible, a random
    one of them.
    """
    rights = Counter(row["answer"] for row in train)
    usual = min(rights, key=lambda answer: (-rights[answer], answer)) if rights else ""
    found = {"frequent_answer": [choice(row, usual) for row in questions]}
    if all(map(prompts.possible, questions)):
        found = {"random": [choice(row, rng.choice(prompts.possible(row))) for row in questions]} | found
    return found


def _bag_of_words(train: Sequence[Row]) -> Callable[[Row], list[float]]:
    """Fit a linear classifier to `train`. Returns question → one score per option; words it never saw score 0.

    The features of an option are its words, and all pairs of a question word and an option word. The loss is the
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
    """The option's words, and all pairs of a question word and an option word; each once, in a fixed order."""
    asked, words = (dict.fromkeys(re.findall(r"\w+", text.lower())) for text in (question, option))
    return [*words, *((one, other) for one in asked for other in words)]


def choice(question: Row, label: str, rationale: str = "") -> Row:
    """The prediction of a method that gives one answer directly: an option's label, an open answer, or none ('')."""
    scores = [float(label == other) for other in question["choices"]["label"]]
    text = prompts.answer_text(question, label) if label else ""
    return prediction(question, rationale, text, label, scores)


# ── Shared ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _template(settings: Settings) -> StudentTemplate:
    return prompts.STUDENT_TEMPLATES[settings.template]


def _gold(question: Row, settings: Settings) -> str:
    return prompts.write_answer(question, question["answer"], settings.answer_format)


def _stage2_input(question: Row, rationale: str, settings: Settings) -> str:
    return _template(settings).ask_answer_from(question, rationale, settings.stage2_order)


def _generate(student: Student, inputs: list[str], settings: Settings, stop: str = "") -> list[Generated]:
    limits = {"max_new_tokens": settings.max_target_tokens, "batch_size": settings.evaluation_batch_size}
    return students.generate(student, inputs, stop=stop, **limits)


def _option_scores(
    student: Student, inputs: list[str], leads: list[str], questions: Sequence[Row], settings: Settings, tail: str = ""
) -> list[list[float]]:
    """Summed log-likelihood (nats) of every option of every question, given the input and the lead. EOS counts too, or
    `tail` in its place. [] for a question with an open answer.
    """
    flat_inputs, flat_leads, targets = [], [], []
    for text, lead, question in zip(inputs, leads, questions, strict=True):
        for label in question["choices"]["label"]:
            flat_inputs.append(text)
            flat_leads.append(lead)
            targets.append(f"{prompts.write_answer(question, label, settings.answer_format)} {tail}".strip())
    batches = {"batch_size": settings.evaluation_batch_size, "ends": not tail}
    if not targets:  # open answers: there is nothing to rank
        return [[] for _ in questions]
    values = iter(students.score(student, flat_inputs, targets, prefixes=flat_leads, **batches))
    return [[next(values) for _ in question["choices"]["label"]] for question in questions]


def prediction(
    question: Row, rationale: str, text: str, answer: str, option_scores: list[float], truncated: bool = False
) -> Row:
    """A row of the predictions table without the columns that identify its run."""
    return {
        "question_id": question["id"],
        "split": question["split"],
        "rationale": rationale,
        "text": text,
        "answer": answer,
        "gold": question["answer"],
        "correct": answer == question["answer"],
        "option_scores": option_scores,
        "truncated": truncated,
    }
