"""Checks of questions: whether a row can be asked and answered, and whether questions are repeated within or across
benchmarks. Pure functions: rows in, rows out.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable

from scicot_utils.recipe import TRANSFER
from scicot_utils.tables import Row
from scicot_utils.tasks.entries import SPLITS, Task

NEAR = 0.8  # share of common words from which two questions count as near duplicates


def fault(task: Task, row: Row) -> str:
    """What is wrong with a row of the questions table; '' if nothing."""
    labels, texts, answer = row["choices"]["label"], row["choices"]["text"], row["answer"]
    if not isinstance(row["question"], str) or not row["question"].strip():
        return "the question is empty"
    if not answer:
        return "the gold answer is '', allowed: a text that is not empty"
    if task.answers == "yes_no" and answer not in ("yes", "no"):
        return f"the gold answer is '{answer}', allowed: yes or no"
    if task.answers != "option":
        return ""
    if answer not in labels:
        return f"the gold answer '{answer}' is none of its labels {', '.join(labels)}"
    if len(texts) < 2 or len(texts) != len(labels):
        return f"{len(labels)} labels and {len(texts)} options, allowed: as many of each, from 2"
    if not all(isinstance(text, str) and text.strip() for text in texts):
        return "an option is empty"
    if len(set(labels)) < len(labels):
        return "two equal labels"
    return "two equal options" if len({text.strip() for text in texts}) < len(texts) else ""


def splits_of(rows: Iterable[Row]) -> list[str]:
    """The splits that occur in `rows`, in their fixed order; those of other benchmarks last, in order of appearance."""
    present, fixed = dict.fromkeys(row["split"] for row in rows), (*SPLITS, *TRANSFER)
    return [*(split for split in fixed if split in present), *(split for split in present if split not in fixed)]


def content_key(row: Row) -> tuple[str, ...]:
    """A key that equal questions share: wording and set of options, ignoring order, case, punctuation and spacing."""
    return (squeeze(row["question"]), *sorted(map(squeeze, row["choices"]["text"])))


def deduplicate(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """(rows kept, rows removed). Of equal questions, the first in this order is kept: test; a transfer test or another
    benchmark's test; validation; train.

    The test split thus keeps the published size, and no training question occurs in it (rules of evidence, 3).
    """
    tests = [split for split in splits_of(rows) if split.startswith("test")]
    rank = {split: index for index, split in enumerate((*tests, "validation", "train"))}
    first: dict[tuple[str, ...], Row] = {}
    for row in sorted(rows, key=lambda row: rank[row["split"]]):
        first.setdefault(content_key(row), row)  # the row, not its id: copies may share one
    unique = [row for row in rows if first[content_key(row)] is row]
    return unique, [row for row in rows if first[content_key(row)] is not row]


def overlaps(rows: list[Row]) -> list[Row]:
    """Pairs of equal questions: {first, first_place, second, second_place}. A place is dataset/split."""
    seen: dict[tuple[str, ...], Row] = {}
    pairs, place = [], "{dataset}/{split}".format_map
    for row in rows:
        first = seen.setdefault(content_key(row), row)
        if first is not row:
            places = {"first_place": place(first), "second": row["id"], "second_place": place(row)}
            pairs.append({"first": first["id"]} | places)
    return pairs


def near_duplicates(rows: list[Row], threshold: float = NEAR) -> list[Row]:
    """Pairs of a training question and one of another split that share at least `threshold` of their words.

    Words are those of the question and its options; the share is the Jaccard index (common words ÷ all words of both).
    Only questions with a rare word in common are compared. Two sets with such an overlap must share one of their
    |words| - ⌈threshold · |words|⌉ + 1 rarest words (Bayardo et al. 2007, prefix filter). `answer shared`: both right
    options have the same wording.
    """
    words = [set(squeeze(" ".join([row["question"], *row["choices"]["text"]])).split()) for row in rows]
    counts = Counter(word for row_words in words for word in row_words)
    rarest = []
    for row_words in words:
        number = len(row_words) - math.ceil(threshold * len(row_words)) + 1
        rarest.append(sorted(row_words, key=lambda word: (counts[word], word))[:number])
    train_index: dict[str, list[int]] = {}  # rare word → training rows with it
    for i, row in enumerate(rows):
        if row["split"] == "train":
            for word in rarest[i]:
                train_index.setdefault(word, []).append(i)
    pairs = []
    for i, row in enumerate(rows):
        if row["split"] == "train":
            continue
        for j in sorted({j for word in rarest[i] for j in train_index.get(word, ())}):
            share = len(words[i] & words[j]) / len(words[i] | words[j])
            if share >= threshold:
                pair = {
                    "dataset": rows[j]["dataset"],
                    "train": rows[j]["id"],
                    "split": row["split"],
                    "other": row["id"],
                }
                pairs.append(pair | {"share": share, "answer shared": _gold_words(row) == _gold_words(rows[j])})
    return pairs


def _gold_words(row: Row) -> str:
    texts = dict(zip(row["choices"]["label"], row["choices"]["text"], strict=True))
    return squeeze(texts.get(row["answer"], row["answer"]))


def squeeze(string: str) -> str:
    """`string` in lower case, with every run of characters that are not letters, digits or _ as one space."""
    return re.sub(r"\W+", " ", string.lower()).strip()
