"""How the students of the arms answer: from texts that they write, and from the likelihood of each option.

An arm with one student is an entry of ONE_STUDENT. `two_stage` (Sci-CoT) trains two models, one on RATIONALE and one on
ANSWER_FROM, in notebooks 04 and 05.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scicot_utils import prompts, students
from scicot_utils.arms.learned import ANSWER, ANSWER_FROM, BOTH, RATIONALE, REVERSED, InputTarget, stage2_input
from scicot_utils.recipe import Settings
from scicot_utils.tables import Row

if TYPE_CHECKING:  # importing them loads torch, which notebooks without a student do not need
    from scicot_utils.students import Generated, Student


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
    inputs = [stage2_input(question, row["text"], settings) for question, row in zip(questions, given, strict=True)]
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


def predictions(rows: Sequence[Row], *, recipe: str, dataset: str, arm: str, variant: str, seed: int) -> list[Row]:
    """Rows of the predictions table: answer rows, preceded by the columns that identify their run."""
    run = "/".join([recipe, dataset, arm, variant, f"seed{seed}"])
    return [{"run": run, "dataset": dataset, "arm": arm, "variant": variant, "seed": seed} | row for row in rows]


def choice(question: Row, label: str, rationale: str = "") -> Row:
    """The prediction of a method that gives one answer directly: an option's label, an open answer, or none ('')."""
    scores = [float(label == other) for other in question["choices"]["label"]]
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
