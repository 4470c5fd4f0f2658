"""What several test files need: questions and files to order, a refusal in one line, the real data where there are some."""

import json
import os
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings

from scicot_utils import prompts, recipe
from scicot_utils.serving.cache import Cache

# No deadline, since a machine may be busy; the same examples each time, so that a change is what breaks a test.
settings.register_profile("scicot", deadline=None, derandomize=True, max_examples=60)
settings.load_profile("scicot")

TEXTS = ("raft", "robin", "copper", "ant")
MINIMAL = """# two cores, a minute
description: a test
datasets: [microsci]
distill: [microsci]
arms: [answer_only]
seeds: [0]
"""


def make_question(texts=TEXTS, *, labels="ABCDEFGH", answer="", **columns):
    """A row of the questions table; labels from A, and the second option gold, unless said otherwise."""
    labels = list(labels)[: len(texts)]
    row = {
        "id": "q1",
        "dataset": "microsci",
        "split": "test",
        "question": "Which of these has feathers?",
        "choices": {"label": labels, "text": list(texts)},
        "answer": answer or labels[1],
        "group": "loses_food",
        "proof": [],
    }
    return row | columns


def judged(**columns):
    """A row of the rationales table: kept, unless said otherwise."""
    row = {"question_id": "q1", "sample": 0, "rationale": "A robin is a bird.", "teacher_answer": "B", "correct": True}
    return row | {"kept": True, "drop_reason": "", "rule": "", "cut": ""} | columns


def prediction(**columns):
    """A row of the predictions table: of one option chosen and ranked first, the right one unless said otherwise."""
    row = {
        "run": "r", "dataset": "microsci", "arm": "two_stage", "variant": "main", "seed": 0, "question_id": "q1",
        "split": "test", "rationale": "", "text": "", "answer": "B", "gold": "B", "truncated": False,
        "option_scores": [0.0, 1.0, 0.0, 0.0],
    } | columns  # fmt: skip
    return {"correct": row["answer"] == row["gold"]} | row


def completion(**columns):
    """A row of the completions table."""
    return {
        "question_id": "q1", "sample": 0, "prompt": "", "prompt_version": "zero_shot_cot/1", "teacher": "t",
        "temperature": 0.0, "text": "", "finish_reason": "stop", "prompt_tokens": 1, "completion_tokens": 1, "usd": 0.0,
        "created": "",
    } | columns  # fmt: skip


def planned(arms=("answer_only",), seeds=(0, 1), datasets=("microsci",), **changes):
    """A recipe named mine, with changes of its keys that are not checked."""
    columns = {"datasets": [*datasets], "distill": [*datasets], "arms": [*arms], "seeds": [*seeds]}
    return recipe.Recipe(name="mine", description="d", **columns).model_copy(update=changes)


def read_completion(prompt, row, text, reading="conclusion"):
    """(rationale, answer) of a completion."""
    read = prompts.read_completion(prompt, row, text, reading)
    return read.rationale, read.answer


@contextmanager
def refused(error, match=None):
    """What stands below ends in this error, whose message is one line and matches `match`."""
    with pytest.raises(error, match=match) as caught:
        yield caught
    assert "\n" not in str(caught.value)


@pytest.fixture
def cache(tmp_path):
    with Cache(tmp_path / "cache.sqlite") as opened:
        yield opened


@pytest.fixture
def write_recipe(tmp_path):
    """Writes a recipe and gives its path."""

    def write(text, name="mine.yaml"):
        file = tmp_path / name
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return str(file)

    return write


@pytest.fixture
def answers(tmp_path):
    """Writes rows, or lines as they are, into a file of a teacher's answers; gives its path."""

    def write(*rows, name="answers.jsonl"):
        path = tmp_path / name
        lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        path.write_text("\n".join(lines), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def question():
    """A factory of questions."""
    return make_question


@pytest.fixture(scope="session")
def real_data():
    """The folder of real benchmark files that SCICOT_DATA names; the test is skipped where there is none."""
    folder = os.environ.get("SCICOT_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip(f"needs real benchmark files: SCICOT_DATA is {folder!r}, which is no folder")
    return Path(folder)
