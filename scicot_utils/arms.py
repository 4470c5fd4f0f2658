"""Each arm of the study: what its student is trained on and how it answers. Training itself is in `students`.

An arm with one student is one declared entry of ONE_STUDENT. `two_stage` (Sci-CoT) trains two models, one on RATIONALE
and one on ANSWER_FROM, in notebooks 04 and 05. The untrained baselines answer without any student.
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

if TYPE_CHECKING:  # they come with torch, which a notebook without a student has no use for
    from scicot_utils.students import Generated, Student, TrainingLog

BAG_PENALTY = 1.0  # L2 weight of the bag-of-words baseline: the usual default of logistic regressions, not tuned
Pair = tuple[str, str]  # what a student reads, what it must write


class ArmError(ScicotError):
    """An arm that cannot be trained on what there is."""


@dataclass(frozen=True)
class InputTarget:
    """One thing that a student learns: a text to read, from (question, rationale, settings), and the text to write."""

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
    """How a student's text holds its answer: `split` takes it apart into (rationale, answer).

    `cue`: after which Fine-tune-CoT's own reading looks for the answer in the whole text, if it does.
    """

    split: Callable[[str], tuple[str, str]] = lambda text: ("", text)
    cue: str = ""

    def read(self, question: Row, text: str, reading: str) -> str:
        """The answer, read as a recipe's `answer_reading` says: `strict`, from its place, or as the `paper` does; or, to
        compare, by its `conclusion`, as a teacher's is."""
        answer = self.split(text)[1]
        if reading == "paper":
            return prompts.cleanse(question, text if self.cue else answer, self.cue)
        return self.by(question, text)[0] or (
            prompts.read_free(question, text).answer if reading == "conclusion" else ""
        )

    def by(self, question: Row, text: str) -> tuple[str, str]:
        """The answer of the `strict` reading, and the rule by which it was read."""
        return prompts.read_by(question, self.split(text)[1])


@dataclass(frozen=True)
class OneStudent:
    """An arm with one student: the maps that it learns, and how it answers.

    `answers`: (student, questions, settings) → predictions. `weigh`: what counts alike in the loss of a batch, each
    target `token`, or each `pair`, so that the short targets of one map are not outweighed by the long ones of another.
    """

    maps: tuple[InputTarget, ...]
    answers: Callable[[Student, Sequence[Row], Settings], list[Row]]
    source: str
    weigh: str = "token"
    written: OutputFormat = OutputFormat()

    @property
    def learns(self) -> str:
        return " and ".join(one.told for one in self.maps)


def writing(
    learned: InputTarget, form: OutputFormat, lead: str = "{}", tail: str = ""
) -> Callable[[Student, Sequence[Row], Settings], list[Row]]:
    """Answers by writing what `learned` taught, in texts of this form.

    Options are ranked as they stood in training: after `lead`, filled with the student's own rationale, and before
    `tail`, where the writing ends if there is one.
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
    """Answers from the rationale that the same student wrote before."""
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
    """What the student of an arm learns, or each of the two of `two_stage`, in order."""
    return ONE_STUDENT[arm].maps if arm in ONE_STUDENT else (RATIONALE, ANSWER_FROM)


def output_format(arm: str) -> OutputFormat:
    """How the texts of an arm's predictions hold their answers."""
    return ONE_STUDENT[arm].written if arm in ONE_STUDENT else THE_ANSWER


def training_examples(questions: Sequence[Row], judged: Sequence[Row], settings: Settings) -> list[tuple[Row, str]]:
    """(question, kept rationale) of the train split, in order: the one training set of every arm.

    `train_pool` takes a sample of the questions, `train_size` one of the pairs that are left; both depend on
    `question_seed` only, so that of the same rationales larger samples contain smaller ones. Where others are kept, by
    another teacher or filter, a sample holds other questions.
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
    """(question, kept rationale) of the validation split, on which a checkpoint is chosen; none where the last is kept."""
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
    """What a student is trained on that learns these maps: for each example one pair of each."""
    maps = tuple(maps)
    return [
        (one.input(question, why, settings), one.target(why, _gold(question, settings)))
        for question, why in examples
        for one in maps
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


def crossfit(
    recipe: str,
    examples: Sequence[tuple[Row, str]],
    settings: Settings,
    *,
    seed: int,
    folder: Path,
    validation: Sequence[Pair] = (),
) -> tuple[list[Row], float]:
    """Rows of the table generations for the training questions, and the seconds of training: each fold's rationales are
    written by a stage 1 student that was trained on the other folds, so that none wrote of a question that it had seen.
    `validation`: as in `train`, for these students.
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
    """Rows of the table generations: what stage 1 wrote of each question."""
    return [
        {"question_id": row["id"], "split": row["split"], "text": generated.text, "truncated": generated.truncated}
        for row, generated in zip(questions, written, strict=True)
    ]


def write_rationales(student: Student, questions: Sequence[Row], settings: Settings) -> list[Generated]:
    """Stage 1 at work: a rationale for each question."""
    return _generate(student, [RATIONALE.input(question, "", settings) for question in questions], settings)


def answer_from(student: Student, questions: Sequence[Row], given: Sequence[Row], settings: Settings) -> list[Row]:
    """Stage 2 at work: predictions from questions and the rationales given, rows with `text` and `truncated`."""
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
    """Questions with their options as one student can write them; which options that changed, and which are lost, since
    two of a question would be the same text."""

    questions: list[Row]
    changed: list[tuple[str, str]]  # (option, as the student writes it)
    lost: list[str]

    def record(self) -> dict[str, int]:
        """What the provenance of a run says of it."""
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
    """How a student writes the options of questions: what its tokenizer drops (T5's drops `<`, `{`, `^`) is dropped there,
    too, or no such option could ever be read from its text. Case and the like, which reading overlooks, stay."""
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


STAGE_ONE_WROTE = ("shuffled", "counterfactual")  # of `controls`: two models answer; one, given the teacher's or none


def controls(
    questions: Mapping[str, Row], generations: Sequence[Row], judged: Sequence[Row], seed: int
) -> tuple[dict[str, list[Row]], dict[str, str]]:
    """Other rationales for stage 2, as control → rows for `answer_from`; and what each counterfactual argues for.

    `questions`: id → question; `generations`: stage 1's of unseen questions; `judged`: the teacher's rationales. The
    teacher's are given on every split that it was asked about, all others on test. The second value is question id →
    label, for the questions whose rationale names the gold option, so that it could be turned.
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

    The options' texts move on under the labels, which stay; the answer goes with its text. The sample depends on
    `question_seed` only; where there are fewer, all are taken, and none of open answers.
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
    """Rows of the predictions table: answers with the columns that name their run in front."""
    run = "/".join([recipe, dataset, arm, variant, f"seed{seed}"])
    return [{"run": run, "dataset": dataset, "arm": arm, "variant": variant, "seed": seed} | row for row in rows]


# What a recipe says of training that `students.fine_tune` takes as it is.
FINE_TUNE_KEYS = (
    "batch_size", "micro_batches", "learning_rate", "schedule", "warmup_ratio", "weight_decay", "adam_beta2", "max_grad_norm",
    "dropout", "freeze_embeddings", "max_input_tokens", "max_target_tokens", "max_cut_share", "threads", "precision",
    "checkpoint_steps", "choose_by",
)  # fmt: skip


def load_student(recipe: str, settings: Settings, seed: int) -> Student:
    """The recipe's student before fine-tuning, by the recipe's name for it; `seed` matters for one from random weights."""
    return _of(settings, students.load(paths.student(recipe, settings.student), paths.source(settings.tokenizer), seed))


def load_trained(folder: Path, settings: Settings) -> Student:
    """A student that `train` made, from the folder in which it was saved, to be asked again."""
    return _of(settings, students.load(str(folder)))


def _of(settings: Settings, student: Student) -> Student:
    """Named not by its place, which differs from machine to machine."""
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
    """Fine-tune a student in place as the recipe says; `folder` is for the trainer's own files, `weigh` the arm's.

    `validation`: the pairs that choose the checkpoint, see `chosen_on`.
    """
    chosen = {key: getattr(settings, key) for key in FINE_TUNE_KEYS} | {"steps": steps_of(len(taught), settings)}
    return students.fine_tune(
        student, taught, output_dir=folder, seed=seed, weigh=weigh, validation_pairs=validation, **chosen
    )


def steps_of(pairs: int, settings: Settings) -> int:
    """Optimiser steps of a training on so many pairs; the last batch of an epoch may be a smaller one."""
    return settings.steps or settings.epochs * -(-pairs // settings.batch_size)


# ── Without a student ───────────────────────────────────────────────────────────────────────────────────────────


def untrained(questions: Sequence[Row], train: Sequence[Row], seed: int) -> dict[str, list[Row]]:
    """Baseline → its predictions on `questions`. None reasons; what `train` shows is only which answers are right often.

    Each puts score 1 on its choice and 0 elsewhere, so `generated` and `ranked` accuracy agree. `seed` settles ties.
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
    """Where answers are open: the most frequent answer in training and, where few are possible, a random one of them."""
    rights = Counter(row["answer"] for row in train)
    usual = min(rights, key=lambda answer: (-rights[answer], answer)) if rights else ""
    found = {"frequent_answer": [choice(row, usual) for row in questions]}
    if all(map(prompts.possible, questions)):
        found = {"random": [choice(row, rng.choice(prompts.possible(row))) for row in questions]} | found
    return found


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
    """The prediction of something that gives one answer outright, an option's label or an open one, or none ('')."""
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
    """Summed log-likelihood of every option of every question, after the input and the lead, with its end or `tail`;
    [] for a question with an open answer."""
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
    """A row of the predictions table without the columns that name its run."""
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
