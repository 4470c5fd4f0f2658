"""A benchmark of the user's own: rows of any file as rows of the questions table, by columns that the recipe names."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from scicot_utils import paths, rows
from scicot_utils.recipe import Own
from scicot_utils.tables import Row
from scicot_utils.tasks.entries import SPLITS, TASKS, Task, TaskError

CALLED = {  # a split → what people call it, in a column or in a file's name
    "train": re.compile(r"(?i)(?:\b|[-_])train"),
    "validation": re.compile(r"(?i)(?:\b|[-_])(?:validation|valid|val|dev)"),
    "test": re.compile(r"(?i)(?:\b|[-_])test"),
}
LABELS = "ABCDEFGH"


def task(name: str) -> Task:
    """The entry of a benchmark: a declared one, or for one of the user's own an entry that says so."""
    return TASKS.get(name) or Task(name, "a file of the user's own")


def kind_of(answer: str) -> str:
    """The kind of an open answer, where a benchmark declares none: yes_no, number or word."""
    if answer.lower() in ("yes", "no"):
        return "yes_no"
    try:
        Decimal(answer.replace(",", "").removeprefix("$"))
    except InvalidOperation:
        return "word"
    return "number"


def kind_of_all(name: str, content: Mapping[str, list[Row]]) -> str:
    """The one kind of a benchmark's open answers. Raises TaskError where they are of several."""
    kinds = sorted({kind_of(row["answer"]) for found in content.values() for row in found if row["answer"]})
    if len(kinds) > 1:
        raise TaskError(f"{name}: its answers look like {' and '.join(kinds)}; say which in the recipe, own: answers")
    return kinds[0] if kinds else "word"


def read(name: str, own: Own) -> dict[str, list[Row]]:
    """Split → rows {id, question, choices, answer} of a benchmark of the user's own, in the order of its file.

    Raises TaskError, one line, with the file, the row and what is allowed.
    """
    place = paths.expand(own.path)
    files = sorted(file for file in place.iterdir() if rows.kind(file)) if place.is_dir() else [place]
    if not files or not files[0].is_file() or not rows.kind(files[0]):
        raise TaskError(
            f"{name}: no file at own path '{own.path}'; allowed: a file of the kind {', '.join(rows.SUFFIXES)}, gzipped or "
            "not, or a folder with one for each split"
        )
    found: dict[str, list[Row]] = {split: [] for split in SPLITS}
    undivided: list[Row] = []
    for file in files:
        try:
            numbered = list(rows.read(file))
        except ValueError as error:
            raise TaskError(f"{name}: {error}") from None
        of_file = _split(file.stem) if len(files) > 1 else ""
        for number, row in numbered:
            where = f"{name}: {file.name}, row {number}"
            made = _row(where, own, row, f"{file.stem}-{number:05d}" if len(files) > 1 else f"{number:05d}")
            split = of_file or (_split(str(_at(where, row, own.split))) if own.split else "")
            if (len(files) > 1 or own.split) and not split:
                raise TaskError(f"{where}: its split is called neither train, validation (dev) nor test")
            (found[split] if split else undivided).append(made)
    if undivided:
        order = random.Random(f"own/{own.seed}").sample(range(len(undivided)), len(undivided))
        test, validation = (max(1, round(share * len(undivided))) for share in (own.test_share, own.validation_share))
        parts = order[:test], order[test : test + validation], order[test + validation :]
        found = {
            split: [undivided[place] for place in sorted(part)]
            for split, part in zip(("test", "validation", "train"), parts, strict=True)
        }
    elif not found["validation"] and len(found["train"]) > 1:
        order = random.Random(f"own/{own.seed}").sample(range(len(found["train"])), len(found["train"]))
        held = {*order[: max(1, round(own.validation_share * len(order)))]}
        train, found["train"] = found["train"], []
        for place_, row in enumerate(train):
            found["validation" if place_ in held else "train"].append(row)
    if empty := [split for split in SPLITS if not found[split]]:
        raise TaskError(
            f"{name}: no question of split {', '.join(empty)} in {own.path}; needed: each of {', '.join(SPLITS)}"
        )
    return {split: found[split] for split in SPLITS}


def _split(called: str) -> str:
    return next((split for split, pattern in CALLED.items() if pattern.search(called)), "")


def _at(where: str, row: Any, place: str) -> Any:
    try:
        return rows.at(row, place)
    except KeyError:
        columns = ", ".join(map(str, row)) if isinstance(row, Mapping) else type(row).__name__
        raise TaskError(f"{where}: no column '{place}', found {columns}; name it in the recipe under own") from None


def _row(where: str, own: Own, row: Any, number: str) -> Row:
    labels, texts = _options(where, own, row)
    answer = _text(_at(where, row, own.answer))
    if own.answers == "yes_no":
        answer = {"true": "yes", "false": "no", "1": "yes", "0": "no"}.get(answer.lower(), answer.lower())
    if texts:
        shown, folded = list(LABELS[: len(texts)]), [label.casefold() for label in labels]
        if answer.casefold() in folded:
            answer = shown[folded.index(answer.casefold())]
        elif texts.count(answer) == 1:
            answer = shown[texts.index(answer)]
        elif answer.isdigit() and int(answer) < len(texts) and not any(label.isdigit() for label in labels):
            answer = shown[int(answer)]
        else:
            answer = answer.upper() if answer.upper() in shown else answer
        labels = shown
    name = _text(_at(where, row, own.id)) if own.id else number
    question = " ".join(_text(_at(where, row, own.question)).split())
    return {"id": name, "question": question, "choices": {"label": labels, "text": texts}, "answer": answer}


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a column of whole numbers in which one is missing
    return "" if value is None else str(value).strip()


def _options(where: str, own: Own, row: Any) -> tuple[list[str], list[str]]:
    """(labels, texts) of a list, a mapping, {label: […], text: […]}, [{label, text}], JSON text of one, or columns."""
    if not own.options:
        return [], []
    if "," in own.options:
        cells = {column.strip(): _at(where, row, column.strip()) for column in own.options.split(",")}
        found: Any = {
            name: text for name, text in cells.items() if _text(text)
        }  # some have fewer than there are columns
    else:
        found = _at(where, row, own.options)
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except ValueError:
            raise TaskError(f"{where}: its options are neither a list nor JSON of one: {found[:60]!r}") from None
    if hasattr(found, "tolist"):
        found = found.tolist()  # of Parquet
    if isinstance(found, Mapping) and {"label", "text"} <= found.keys():
        labels, texts = found["label"], found["text"]
    elif isinstance(found, Mapping):
        labels, texts = list(found.keys()), list(found.values())
    elif isinstance(found, list) and found and all(isinstance(one, Mapping) for one in found):
        labels, texts = [one.get("label", "") for one in found], [one.get("text", "") for one in found]
    elif isinstance(found, list):
        labels, texts = list(LABELS[: len(found)]), found
    else:
        raise TaskError(
            f"{where}: its options are {type(found).__name__}; allowed: a list, a mapping, or columns by comma"
        )
    if len(texts) > len(LABELS):
        raise TaskError(f"{where}: found {len(texts)} options, allowed: 2 to {len(LABELS)}")
    return list(map(_text, labels)), list(map(_text, texts))
