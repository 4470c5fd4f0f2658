"""Every benchmark by name, brought into the one questions table. It chooses no training examples.

A task is one declared entry. Real tasks are read with `datasets.load_dataset`, from the hub or from a local folder
in the hub's own layout; the embedded one is generated from its facts.
"""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from scicot_utils import ScicotError, microsci, paths, tables
from scicot_utils.recipe import Questions
from scicot_utils.tables import Row

SPLITS = ("train", "validation", "test")
TRANSFER = ("test_forms", "test_domain")  # of generated benchmarks: forms and domains that no training question has
TESTS = ("test", *TRANSFER)
EMBEDDED = "microsci"
FRONT_MATTER = {  # of the embedded benchmark's dataset card; the licence is LICENSE's for embedded data
    "pretty_name": "MicroSci",
    "license": "cc-by-4.0",
    "language": ["en"],
    "task_categories": ["multiple-choice", "question-answering"],
    "tags": ["synthetic", "science", "multi-hop", "reasoning"],
}
NEAR = 0.8  # share of common words from which two questions count as nearly the same


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
        Task(EMBEDDED, "", "", dict, "this project, scicot_utils/data/microsci"),
        Task("ARC-Easy", "allenai/ai2_arc", "ARC-Easy", _arc, "Clark et al. 2018, arXiv 1803.05457"),
        Task("ARC-Challenge", "allenai/ai2_arc", "ARC-Challenge", _arc, "Clark et al. 2018, arXiv 1803.05457"),
        Task("OpenBookQA", "allenai/openbookqa", "main", _openbookqa, "Mihaylov et al. 2018, arXiv 1809.02789"),
    )
}


def load(name: str, *, dataset_path: str, sizes: dict[str, int], seed: int) -> list[Row]:
    """All splits of a benchmark as rows of the questions table, in a fixed order.

    `sizes` (split → questions) and `seed` tell a generated benchmark what to make, a transfer test of size 0 not at
    all; one that is read comes whole, for `deduplicate` and then `sample`. Raises TaskError naming the benchmark, where it was looked for, and what to do.
    """
    preflight(name, dataset_path)
    if name == EMBEDDED:
        sizes = {split: size for split, size in sizes.items() if size or split not in TRANSFER}
        if not all(sizes.values()):
            raise TaskError(
                "microsci is generated, so 'all' (0) has no meaning: give every split's number of questions"
            )
        world = microsci.load_world()
        solver = microsci.Solver(world)
        return [
            row | {"proof": solver.proof(str(row["question"]), row["choices"]["text"])}
            for row in microsci.questions(world, sizes, seed)
        ]
    task, rows = TASKS[name], []
    for split, content in _read(task, dataset_path).items():
        same = {"dataset": name, "split": split, "group": name, "proof": []}
        rows += [_checked(task.normalise(row) | same) for row in content]
    return rows


def sizes_of(settings: Questions) -> dict[str, int]:
    """Split → number of questions that a recipe asks for, transfer tests included."""
    asked = {split: getattr(settings, f"{split}_questions") for split in SPLITS}
    return asked | dict.fromkeys(TRANSFER, settings.transfer_questions)


def splits_of(rows: Iterable[Row]) -> list[str]:
    """The splits that occur in `rows`, in their fixed order."""
    found = {row["split"] for row in rows}
    return [split for split in (*SPLITS, *TRANSFER) if split in found]


def sample(rows: list[Row], sizes: dict[str, int], seed: int) -> list[Row]:
    """At most `sizes[split]` questions of each split (0: all), drawn with `seed`, in their old order."""
    chosen = []
    for split in splits_of(rows):
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
    """(rows kept, rows removed): of equal questions the one in test stays, else in a transfer test, else in validation,
    else the first.

    The test split thus keeps the published size, and nothing trained on occurs in it (rules of evidence, 3).
    """
    rank = {split: place for place, split in enumerate((*TESTS, "validation", "train"))}
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


def near_duplicates(rows: list[Row], threshold: float = NEAR) -> list[Row]:
    """Pairs of a training question and one of another split that share at least `threshold` of their words.

    Words are those of the question and its options, the share is Jaccard's (common words ÷ all words of both). Only
    questions with a rare word in common are compared: two sets that share so much cannot but share one of their
    |words| - ⌈threshold · |words|⌉ + 1 rarest (Bayardo et al. 2007, prefix filter). `answer shared`: the right option
    of the one is the right option of the other, in wording.
    """
    words = [set(_squeeze(" ".join([row["question"], *row["choices"]["text"]])).split()) for row in rows]
    common = Counter(word for found in words for word in found)
    rarest = [sorted(found, key=lambda word: (common[word], word)) for found in words]
    rarest = [found[: len(found) - math.ceil(threshold * len(found)) + 1] for found in rarest]
    holding: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        if row["split"] == "train":
            for word in rarest[number]:
                holding.setdefault(word, []).append(number)
    pairs = []
    for number, row in enumerate(rows):
        if row["split"] == "train":
            continue
        for other in sorted({other for word in rarest[number] for other in holding.get(word, ())}):
            share = len(words[number] & words[other]) / len(words[number] | words[other])
            if share >= threshold:
                pairs.append(
                    {
                        "dataset": row["dataset"],
                        "train": rows[other]["id"],
                        "split": row["split"],
                        "other": row["id"],
                        "share": share,
                        "answer shared": _right(row) == _right(rows[other]),
                    }
                )
    return pairs


def _right(row: Row) -> str:
    return _squeeze(row["choices"]["text"][row["choices"]["label"].index(row["answer"])])


# ── Of the embedded benchmark only ──────────────────────────────────────────────────────────────────────────────


def entities(rows: Iterable[Row]) -> set[str]:
    """The things that questions of MicroSci are about: their subjects, and their options where these are things."""
    world = microsci.load_world()
    solver = microsci.Solver(world)
    found = set()
    for row in rows:
        asked = solver.read(row["question"])
        subjects = {
            name for slot, name in zip(microsci.FORMS[asked.form].slots, asked.slots, strict=True) if slot == "entity"
        }
        found |= subjects | (world.entities.keys() & {*row["choices"]["text"]})
    return found


def entities_shared(rows: list[Row]) -> list[Row]:
    """For each split but train: its things, those that training questions hold too, and words common to their names."""
    trained = entities(row for row in rows if row["split"] == "train")
    trained_words = {word for name in trained for word in _squeeze(name).split()}
    counts = []
    for split in splits_of(rows)[1:]:
        found = entities(row for row in rows if row["split"] == split)
        words = {word for name in found for word in _squeeze(name).split()}
        counts.append(
            {
                "split": split,
                "things": len(found),
                "of them in training questions": len(found & trained),
                "words of their names": len(words),
                "of them in names of training": len(words & trained_words),
            }
        )
    return counts


def forms(rows: list[Row]) -> list[Row]:
    """Each form of MicroSci's questions: the facts that it takes, its questions in every split, an example, its proof."""
    listed = []
    for name, form in microsci.FORMS.items():
        found = [row for row in rows if row["group"] == name]
        example = next(iter(found), None)
        listed.append(
            {"form": name, "hops": form.hops}
            | {split: sum(row["split"] == split for row in found) for split in splits_of(rows)}
            | {
                "example": ""
                if example is None
                else f"{example['question']} {microsci.options_line(example['choices']['text'])}",
                "answer": "" if example is None else example["answer"],
                "proof": "" if example is None else " ".join(example["proof"]),
            }
        )
    return listed


def facts() -> list[Row]:
    """How many facts MicroSci holds, by table, and for things by domain."""
    world = microsci.load_world()
    counts = {
        "kinds of things": len(world.entities),
        "attributes of things": sum(map(len, world.attributes.values())),
        "classes of kinds": len(world.kinds),
        "properties of kinds and classes": len(world.properties),
        "consequences of properties": len(world.consequences),
        "values of attributes": len(world.values),
        "events": sum(bool(value.event) for value in world.values.values()),
        "orders of units": len(microsci.ORDERED),
    }
    rows = [{"what": "facts", "of": what, "number": number} for what, number in counts.items()]
    domains = Counter(map(world.domain, world.entities))
    rows += [{"what": "things", "of": domain, "number": number} for domain, number in domains.items()]
    return [*rows, {"what": "facts", "of": "all", "number": world.size()}]


def export_dataset(rows: list[Row], folder: Path, card: str) -> list[Path]:
    """Write the embedded benchmark as a dataset folder of the hub's kind; `card`: its README without front matter."""
    splits = {split: [row for row in rows if row["split"] == split] for split in splits_of(rows)}
    return tables.write_dataset("questions", splits, folder, FRONT_MATTER, card)


def _place(row: Row) -> str:
    return f"{row['dataset']}/{row['split']}"


def _squeeze(string: str) -> str:
    return re.sub(r"\W+", " ", string.lower()).strip()
