"""Every benchmark by name, brought into the one questions table. It chooses no training examples.

A task is one declared entry. Real tasks are read with `datasets.load_dataset`, from the hub or from a local folder
in the hub's own layout; the embedded one is generated from its facts.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from scicot_utils import ScicotError, microsci, paths
from scicot_utils.tables import Row

SPLITS = ("train", "validation", "test")


class TaskError(ScicotError):
    """A benchmark that cannot be found or read."""


@dataclass(frozen=True)
class Task:
    """One benchmark: where the hub keeps it and how one of its rows becomes a row of the questions table."""

    name: str
    hub: str  # empty: embedded
    config: str
    normalise: Callable[[Row], Row]
    source: str


def _arc(row: Row) -> Row:
    return {
        "id": row["id"],
        "question": row["question"],
        "choices": {"label": list(row["choices"]["label"]), "text": list(row["choices"]["text"])},
        "answer": row["answerKey"],
    }


def _openbookqa(row: Row) -> Row:
    return _arc(row | {"question": row["question_stem"]})


TASKS = {
    task.name: task
    for task in (
        Task("microsci", "", "", dict, "this project, scicot_utils/data/microsci"),
        Task("ARC-Easy", "allenai/ai2_arc", "ARC-Easy", _arc, "Clark et al. 2018, arXiv 1803.05457"),
        Task("ARC-Challenge", "allenai/ai2_arc", "ARC-Challenge", _arc, "Clark et al. 2018, arXiv 1803.05457"),
        Task("OpenBookQA", "allenai/openbookqa", "main", _openbookqa, "Mihaylov et al. 2018, arXiv 1809.02789"),
    )
}


def load(name: str, *, dataset_path: str, sizes: dict[str, int], seed: int) -> list[Row]:
    """All splits of a benchmark as rows of the questions table, in a fixed order.

    `sizes` (split → questions) and `seed` tell a generated benchmark what to make; one that is read comes whole, for
    `deduplicate` and then `sample`. Raises TaskError naming the benchmark, where it was looked for, and what to do.
    """
    preflight(name, dataset_path)
    if name == "microsci":
        if not all(sizes.values()):
            raise TaskError(
                "microsci is generated, so 'all' (0) has no meaning: give every split's number of questions"
            )
        return microsci.questions(microsci.load_world(), sizes, seed)
    task, rows = TASKS[name], []
    for split, content in _read(task, dataset_path).items():
        rows += [_checked(task.normalise(row) | {"dataset": name, "split": split, "group": name}) for row in content]
    return rows


def sample(rows: list[Row], sizes: dict[str, int], seed: int) -> list[Row]:
    """At most `sizes[split]` questions of each split (0: all), drawn with `seed`, in their old order."""
    chosen = []
    for split in SPLITS:
        found = [row for row in rows if row["split"] == split]
        if sizes[split] and sizes[split] < len(found):
            order = list(range(len(found)))
            random.Random(f"{seed}/{split}").shuffle(order)  # a prefix of it, so that larger samples hold smaller ones
            found = [found[i] for i in sorted(order[: sizes[split]])]
        chosen += found
    return chosen


def preflight(name: str, dataset_path: str) -> None:
    """Raise TaskError where a benchmark is unknown, or its local folder is not there."""
    if name not in TASKS:
        raise TaskError(f"datasets: found '{name}', allowed: {', '.join(TASKS)}")
    if TASKS[name].hub and dataset_path and not paths.expand(dataset_path).is_dir():
        raise TaskError(
            f"{name}: no folder at dataset_path '{dataset_path}'; set it (or the environment variable in it) to a "
            f"local copy of {TASKS[name].hub} in the hub's layout, or to '' to fetch it from the hub"
        )


def _read(task: Task, dataset_path: str) -> dict[str, Iterable[Row]]:
    from datasets import load_dataset  # here, since it is slow and only real tasks need it

    place = str(paths.expand(dataset_path)) if dataset_path else task.hub
    try:
        found = load_dataset(place, task.config)
    except Exception as error:  # the library raises many kinds; each means that the data could not be had
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TaskError(
            f"{task.name}: could not be read from {dataset_path or 'the hub, ' + task.hub}: {reason}; "
            "set dataset_path to a local copy in the hub's layout"
        ) from error
    if missing := [split for split in SPLITS if split not in found]:
        raise TaskError(f"{task.name}: no split {', '.join(missing)} in {place}; needed: {', '.join(SPLITS)}")
    return {split: found[split] for split in SPLITS}


def _checked(row: Row) -> Row:
    if row["answer"] not in row["choices"]["label"]:
        labels = ", ".join(row["choices"]["label"])
        raise TaskError(
            f"{row['dataset']} {row['id']}: the gold answer '{row['answer']}' is none of its labels {labels}"
        )
    return row


def content_key(row: Row) -> tuple[str, ...]:
    """What makes two questions the same: wording and set of options, whatever their order, case and spacing."""
    return (_squeeze(row["question"]), *sorted(map(_squeeze, row["choices"]["text"])))


def deduplicate(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """(rows kept, rows removed): of equal questions the one in test stays, else validation, else the first.

    The test split thus keeps the published size, and nothing trained on occurs in it (rules of evidence, 3).
    """
    rank = {"test": 0, "validation": 1, "train": 2}
    first: dict[tuple[str, ...], Row] = {}
    for row in sorted(rows, key=lambda row: rank[row["split"]]):
        first.setdefault(content_key(row), row)  # the row, not its id: copies may share one
    kept = [row for row in rows if first[content_key(row)] is row]
    return kept, [row for row in rows if first[content_key(row)] is not row]


def overlaps(rows: list[Row]) -> list[Row]:
    """Pairs of equal questions: {first, first_place, second, second_place}, place being dataset/split."""
    seen: dict[tuple[str, ...], Row] = {}
    found = []
    for row in rows:
        earlier = seen.setdefault(content_key(row), row)
        if earlier is not row:
            found.append(
                {
                    "first": earlier["id"],
                    "first_place": _place(earlier),
                    "second": row["id"],
                    "second_place": _place(row),
                }
            )
    return found


def _place(row: Row) -> str:
    return f"{row['dataset']}/{row['split']}"


def _squeeze(string: str) -> str:
    return re.sub(r"\W+", " ", string.lower()).strip()
