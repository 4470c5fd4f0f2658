"""A benchmark as notebook 01 describes it: its splits, repeated questions, and what the checks came to."""

import pytest

from scicot_utils import tasks
from scicot_utils.report import benchmark


@pytest.fixture
def rows(question):
    """Four questions of train and one of each other split; the last has three options, labelled with digits."""
    splits = ("train", "train", "train", "train", "validation")
    rows = [question(id=f"q{i}", split=split) for i, split in enumerate(splits)]
    return [*rows, question(("raft", "robin", "ant"), labels="123", id="q5", split="test")]


def test_the_sizes_of_splits_count_what_was_read_left_out_removed_and_used(rows):
    train, validation, test = benchmark.split_sizes("LastLetter", rows, {"train": 2}, rows[:1], rows[2:])
    assert [train[name] for name in ("read", "left out", "duplicates removed", "used")] == [4, 2, 1, 2]
    assert (train["options"], train["labelled 1–5"]) == ("4 × 4 options", 0)
    assert (validation["used"], validation["left out"]) == (1, 0)
    assert (test["options"], test["labelled 1–5"]) == ("1 × 3 options", 1)
    assert test["in the paper"] == tasks.task("LastLetter").published["test"] == 150


def test_a_table_of_splits_leaves_out_columns_that_tell_nothing(rows):
    nothing = benchmark.split_sizes("microsci", rows, {}, [], rows)
    something = benchmark.split_sizes("microsci", rows, {"test": 1}, [], rows)
    assert "left out" not in benchmark.splits_table(nothing)._repr_html_()
    assert "left out" in benchmark.splits_table(something)._repr_html_()
    assert "left out" in benchmark.splits_table(nothing).frame, "the file has every column"


def test_near_duplicates_are_counted_by_split_with_each_question_once(rows):
    pairs = [
        {"split": "test", "other": "q5", "answer shared": True},
        {"split": "test", "other": "q5", "answer shared": False},
    ]
    validation, test = benchmark.near_duplicate_counts("microsci", rows, pairs)
    assert list(validation.values()) == ["microsci", "validation", 1, 0, 0, 0]
    assert list(test.values()) == ["microsci", "test", 1, 1, 2, 1]


def test_the_summary_of_questions_tells_what_each_check_came_to(rows):
    fair = {"baseline": "random", "dataset": "microsci", "split": "test", "accuracy": 0.5, "within chance": "yes"}
    shared = {"split": "test", "things": 9, "of them in training questions": 0, "of them in names of training": 1}
    text = benchmark.questions_summary(
        {"microsci": rows},
        {"microsci": rows[1:]},
        benchmark.split_sizes("microsci", rows, {}, rows[:1], rows[1:]),
        [{"first_place": "microsci/test", "second_place": "ARC-Easy/test"}],
        {"microsci": [{"answer shared": True}, {"answer shared": False}]},
        [fair, fair | {"baseline": "word overlap", "accuracy": 0.875, "within chance": "no"}],
        [shared],
    )
    assert text == (
        "6 questions were read from 1 benchmark. Removed as duplicates within a benchmark, or of another "
        "benchmark that its students are tested on: 1. Equal questions across benchmarks: 1 pair. Near-duplicates of "
        "training questions, kept: 2 pairs, 1 of them with the same answer. microsci: 3 train, 1 validation, 1 test. "
        "Results of untrained baselines that cannot be told from chance: 1 of 2; the others: word overlap on microsci "
        "test (87.5%). Of the 9 things in test, 0 occur in training questions; so do 1 words of their names."
    )
