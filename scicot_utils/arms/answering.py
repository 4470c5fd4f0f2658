"""How the students of the arms answer: from texts that they write, and from the likelihood of each option.

An arm with one student is an entry of ONE_STUDENT. `two_stage` (Sci-CoT) trains two models, one on RATIONALE and one on
ANSWER_FROM, in notebooks 04 and 05.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scicot_utils import prompts, students
from scicot_utils.arms.learned import ANSWER, ANSWER_FROM, BOTH, RATIONALE, REVERSED, InputTarget
from scicot_utils.recipe import Settings
from scicot_utils.tables import Row

if TYPE_CHECKING:  # importing them loads torch, which notebooks without a student do not need
    from scicot_utils.students import Generated, Student


@dataclass(frozen=True)
class OutputFormat:
    """Where a student's output holds its answer: `split` divides the output into (rationale, answer).

    Options are scored where they stood in training: after `lead`, filled with the student's own rationale, and before
    `tail`, at which generation stops. `cue`: the mark after which Fine-tune-CoT's own reading looks for the answer in
    the whole output. If empty, that reading uses the answer part only.
    """

    split: Callable[[str], tuple[str, str]] = lambda text: ("", text)
    lead: str = ""
    tail: str = ""
    cue: str = ""

    def read(self, question: Row, text: str, reading: str) -> str:
        """The answer in `text`, read as `reading` says; '' if there is none.

        `strict` reads the answer part only. `paper` reads as Fine-tune-CoT does. `conclusion`, for comparison, is
        `strict` and, if that finds no answer, reads the text by its conclusion, as a teacher's text is read.
        """
        answer = self.split(text)[1]
        if reading == "paper":
            return prompts.cleanse(question, text if self.cue else answer, self.cue)
        return self.read_by(question, text)[0] or (
            prompts.read_free(question, text).answer if reading == "conclusion" else ""
        )

    def read_by(self, question: Row, text: str) -> tuple[str, str]:
        """The answer of the `strict` reading, and the name of the rule that read it."""
        return prompts.read_by(question, self.split(text)[1])


ARROW = prompts.ARROW.strip()
ANSWER_ONLY = OutputFormat()
RATIONALE_FIRST = OutputFormat(prompts.split_rationale_answer, lead=f"{{}} {ARROW}", cue=ARROW)
RATIONALE_LAST = OutputFormat(prompts.split_answer_rationale, tail=ARROW)


@dataclass(frozen=True)
class OneStudent:
    """An arm with one student: the mappings that it learns (`maps`), and the form of what it writes for the first.

    `weigh`: what has equal weight in the loss of a batch. `token`: every target token. `pair`: every pair, so that the
    long targets of one mapping do not outweigh the short ones of another.
    """

    maps: tuple[InputTarget, ...]
    output: OutputFormat = ANSWER_ONLY
    weigh: str = "token"

    @property
    def learns(self) -> str:
        """The learned mappings in words, such as `Q → A and Q → R`."""
        return " and ".join(mapping.notation for mapping in self.maps)

    def answers(self, student: Student, questions: Sequence[Row], settings: Settings) -> list[Row]:
        """Predictions by its first mapping, or in two passes where it learned to answer from a rationale."""
        if ANSWER_FROM in self.maps:
            return chaining(student, questions, settings)
        return _predict(student, questions, self.maps[0].inputs(questions, settings), settings, self.output)


ONE_STUDENT = {
    "answer_only": OneStudent((ANSWER,)),  # vanilla fine-tuning (Ho et al., section 4)
    "rationale_answer": OneStudent((BOTH,), RATIONALE_FIRST),  # Fine-tune-CoT (Ho et al., section 3.1)
    "answer_rationale": OneStudent((REVERSED,), RATIONALE_LAST),  # its rationale is never written at test
    # Distilling step-by-step (Hsieh et al. 2023, arXiv 2305.02301), both tasks weighing alike
    "multitask": OneStudent((ANSWER, RATIONALE), weigh="pair"),
    # Sci-CoT's two stages in one model of half the parameters
    "two_stage_shared": OneStudent((RATIONALE, ANSWER_FROM), weigh="pair"),
}


def chaining(student: Student, questions: Sequence[Row], settings: Settings) -> list[Row]:
    """Predictions in two passes of one student: it writes a rationale, then answers from it."""
    outputs = write_rationales(student, questions, settings)
    return answer_from(student, questions, generations(questions, outputs), settings)


def maps_of(arm: str) -> tuple[InputTarget, ...]:
    """The mappings that the student of an arm learns. For `two_stage`: one for each of its two students, in order."""
    return ONE_STUDENT[arm].maps if arm in ONE_STUDENT else (RATIONALE, ANSWER_FROM)


def output_format(arm: str) -> OutputFormat:
    """The form of the outputs in an arm's predictions."""
    return ONE_STUDENT[arm].output if arm in ONE_STUDENT else ANSWER_ONLY


def generations(questions: Sequence[Row], outputs: Sequence[Generated]) -> list[Row]:
    """Rows of the table generations: the text that stage 1 wrote for each question."""
    return [
        {"question_id": row["id"], "split": row["split"], "text": output.text, "truncated": output.truncated}
        for row, output in zip(questions, outputs, strict=True)
    ]


def write_rationales(student: Student, questions: Sequence[Row], settings: Settings) -> list[Generated]:
    """Inference of stage 1: a rationale for each question."""
    return write_texts(student, RATIONALE.inputs(questions, settings), settings)


def answer_from(student: Student, questions: Sequence[Row], rationales: Sequence[Row], settings: Settings) -> list[Row]:
    """Inference of stage 2: predictions from questions and their rationales, rows with `text` and `truncated`."""
    inputs = ANSWER_FROM.inputs(questions, settings, [row["text"] for row in rationales])
    return _predict(student, questions, inputs, settings, ANSWER_ONLY, rationales)


def _predict(
    student: Student,
    questions: Sequence[Row],
    inputs: Sequence[str],
    settings: Settings,
    form: OutputFormat,
    rationales: Sequence[Row] | None = None,
) -> list[Row]:
    """Predictions from what the student writes after `inputs`. `rationales`: those in them; None: each output's own."""
    outputs = write_texts(student, inputs, settings, stop=form.tail)
    if rationales is None:
        rationales = [{"text": form.split(output.text)[0], "truncated": False} for output in outputs]
    leads, answer_format = [form.lead.format(row["text"]) for row in rationales], settings.answer_format
    options = [
        [f"{prompts.write_answer(row, label, answer_format)} {form.tail}".strip() for label in row["choices"]["label"]]
        for row in questions
    ]
    scores = score_options(student, inputs, leads, options, settings, ends=not form.tail)
    spelled = spelling(student, questions).questions
    return [
        prediction(
            question,
            rationale["text"],
            output.text,
            form.read(question, output.text, settings.answer_reading),
            option_scores,
            output.truncated or rationale["truncated"],
        )
        for question, rationale, output, option_scores in zip(spelled, rationales, outputs, scores, strict=True)
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
        """What to say of them in a page; '' for questions without options."""
        if not any(map(prompts.has_options, self.questions)):
            return ""
        if not self.changed and not self.lost:
            return "This student's tokenizer can write every option."
        example = f", as in {' for '.join(map(repr, reversed(self.changed[0])))}" if self.changed else ""
        return (
            "This student's tokenizer lacks marks. Options read in its own spelling: "
            f"{len(self.changed)}{html.escape(example, quote=False)}; lost, since two of a question become one text: "
            f"{len(self.lost)}."
        )


def spelling(student: Student, questions: Sequence[Row]) -> Spelling:
    """Respell the options of questions as a student's tokenizer writes them.

    Characters that the tokenizer drops (T5's drops `<`, `{`, `^`) are dropped from the options, too. Otherwise no such
    option could ever be read from the student's text. Differences that reading ignores, such as case, are kept.
    """
    options = dict.fromkeys(text for question in questions for text in question["choices"]["text"])
    if not options:
        return Spelling(list(questions), [], [])
    decoded = dict(zip(options, students.round_trip(student, [*options]), strict=True))
    respelled, changed, lost = [], [], []
    for row in questions:
        choices = list(zip(row["choices"]["label"], row["choices"]["text"], strict=True))
        unread = [label for label, text in choices if prompts.read_by(row, decoded[text])[0] != label]
        if unread:
            texts = [decoded[text] if label in unread else text for label, text in choices]
            row = row | {"choices": {"label": row["choices"]["label"], "text": texts}}
        for label, text in choices:
            if prompts.read_by(row, decoded[text])[0] != label:
                lost.append(text)
            elif label in unread:
                changed.append((text, decoded[text]))
        respelled.append(row)
    return Spelling(respelled, changed, lost)


def predictions(rows: Sequence[Row], *, recipe: str, dataset: str, arm: str, variant: str, seed: int) -> list[Row]:
    """Rows of the predictions table: answer rows, preceded by the columns that identify their run."""
    run = "/".join([recipe, dataset, arm, variant, f"seed{seed}"])
    return [{"run": run, "dataset": dataset, "arm": arm, "variant": variant, "seed": seed} | row for row in rows]


def choice(question: Row, label: str, rationale: str = "") -> Row:
    """The prediction of a method that gives one answer directly: an option's label, an open answer, or none ('')."""
    scores = [float(label == option) for option in question["choices"]["label"]]
    text = prompts.answer_text(question, label) if label else ""
    return prediction(question, rationale, text, label, scores)


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


def write_texts(student: Student, inputs: Sequence[str], settings: Settings, stop: str = "") -> list[Generated]:
    """What a student writes after `inputs`, within the recipe's limits and in its precision."""
    return students.generate(
        student, inputs, stop=stop, max_new_tokens=settings.max_target_tokens,
        batch_size=settings.evaluation_batch_size, precision=settings.precision,
    )  # fmt: skip


def score_options(
    student: Student,
    inputs: Sequence[str],
    leads: Sequence[str],
    options: Sequence[Sequence[str]],
    settings: Settings,
    *,
    ends: bool,
) -> list[list[float]]:
    """Summed log-likelihood (nats) of every option after its input and lead. `ends`: with EOS. [] for open answers."""
    rows = [(text, lead, option) for text, lead, texts in zip(inputs, leads, options, strict=True) for option in texts]
    if not rows:  # open answers: there is nothing to rank
        return [[] for _ in options]
    sources, prefixes, targets = zip(*rows, strict=True)
    batch_size = settings.evaluation_batch_size
    scores = iter(students.score(student, sources, targets, prefixes=prefixes, batch_size=batch_size, ends=ends))
    return [[next(scores) for _ in texts] for texts in options]
