"""What students are asked beside the test questions: with other rationales, and with their options in another order."""

import random
from collections.abc import Mapping, Sequence

from scicot_utils import prompts, rationales
from scicot_utils.recipe import Settings
from scicot_utils.tables import Row

STAGE_ONE_WROTE = ("shuffled", "counterfactual")  # controls that need both students; the others need only the second


def controls(
    questions: Mapping[str, Row], generations: Sequence[Row], teacher_rows: Sequence[Row], seed: int
) -> tuple[dict[str, list[Row]], dict[str, str]]:
    """Other rationales for stage 2: control → rows for `answer_from`, and question id → label of its counterfactual.

    `questions`: id → question. `generations`: stage 1's rows for unseen questions. `teacher_rows`: rows of the table
    rationales. The teacher's rationales are a control on every split that it was asked about, all others on test only.
    The counterfactual argues for the option with that label. It exists only if the rationale names the gold option.
    """
    test = [row for row in generations if row["split"] == "test"]
    by_teacher = {
        row["question_id"]: row["rationale"] for row in teacher_rows if row["sample"] == 0 and row["rationale"]
    }
    shuffled = rationales.derange([row["text"] for row in test], seed)
    counterfactuals = [
        (row, *rationales.counterfactual(questions[row["question_id"]], row["text"], seed)) for row in test
    ]
    by_control = {
        "teacher": [
            row | {"text": by_teacher[row["question_id"]], "truncated": False}
            for row in generations
            if row["question_id"] in by_teacher
        ],
        "shuffled": [row | {"text": text} for row, text in zip(test, shuffled, strict=True)],
        "no": [row | {"text": "", "truncated": False} for row in test],
        "counterfactual": [row | {"text": text} for row, text, label in counterfactuals if label],
    }
    return by_control, {row["question_id"]: label for row, _, label in counterfactuals if label}


def rotations(questions: Sequence[Row], settings: Settings) -> list[Row]:
    """`order_questions` test questions in every rotation of their options, the order of the benchmark first.

    The labels stay in place and the option texts move under them; the answer's label follows its text. The sample
    depends on `question_seed` only. If there are fewer questions, all are taken. Questions with open answers are left
    out.
    """
    test = [row for row in questions if row["split"] == "test" and prompts.has_options(row)]
    order = list(range(len(test)))
    random.Random(settings.question_seed).shuffle(order)
    rotated = []
    for row in [test[index] for index in sorted(order[: settings.order_questions])]:
        labels, texts = row["choices"]["label"], row["choices"]["text"]
        for shift in range(len(labels)):
            choices = {"label": labels, "text": texts[-shift:] + texts[:-shift]}
            answer = labels[(labels.index(row["answer"]) + shift) % len(labels)]
            rotated.append(row | {"choices": choices, "answer": answer})
    return rotated
