"""What several test files need: questions and files to order, a refusal in one line, the real data where there are some."""

import json
import os
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import settings

from scicot_utils import prompts
from scicot_utils.cache import Cache

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
