"""A user's own benchmark: rows of any table file, converted to the questions table by the columns that a recipe names.

A file names its right options by label, by text or by place. Which of these holds is decided once for the whole file:
the one way that fits its rows. If two ways fit and disagree on the right options, the recipe must say which
(`answer_is`).
"""

from __future__ import annotations

import datetime
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from scicot_utils import paths, rows
from scicot_utils.recipe import Own
from scicot_utils.tables import Row
from scicot_utils.tasks.entries import SPLITS, TASKS, TRUTH, Task, TaskError

CALLED = {  # a split → pattern of its names, in a column or in a file's name
    "train": re.compile(r"(?i)(?:^|[\W_])train(?:ing)?(?=$|[\W_])"),
    "validation": re.compile(r"(?i)(?:^|[\W_])(?:valid(?:ation)?|val|dev(?:elopment)?)(?=$|[\W_])"),
    "test": re.compile(r"(?i)(?:^|[\W_])test(?:ing)?(?=$|[\W_])"),
}
LABELS = "ABCDEFGH"
NUMBER = re.compile(r"-?\$?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?")


class RowFault(Exception):
    """A row is not a valid question; the message says why."""


def task(name: str) -> Task:
    """The declared entry of a benchmark, or a default entry for one of the user's own."""
    return TASKS.get(name) or Task(name, "a file of the user's own")


def kind_of(answer: str) -> str:
    """The kind of an open answer: yes_no, number or word; '' for one that could not be read from a text."""
    if answer.lower() in ("yes", "no", *TRUTH):
        return "yes_no"
    if NUMBER.fullmatch(answer):
        return "number"
    return "word" if re.fullmatch(r"[^\W\d_]\S*", answer) else ""


@dataclass
class Asked:
    """A row as in its file. `labels`: its own labels, or []. `texts`: all option texts, '' for an empty column."""

    where: str
    id: str
    question: str
    answer: str
    labels: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    split: str = ""


def read(name: str, own: Own, left_out: Counter[str] | None = None) -> dict[str, list[Row]]:
    """Split → rows {id, question, choices, answer} of a user's own benchmark, in the order of its file.

    Raises TaskError, one line, with the file, the row and what is allowed. With `faulty: drop`, it leaves such rows out
    instead and counts them in `left_out`.
    """
    asked: list[Asked] = []
    for file, of_file in _files(name, own):
        try:
            numbered = list(rows.read(file))
        except ValueError as error:
            raise TaskError(f"{name}: {error}") from None
        for number, row in numbered:
            where = f"{name}: {file.name}, row {number}"
            _columns(where, own, row)
            try:
                one = _asked(where, own, row, f"{file.stem}-{number:05d}" if of_file else f"{number:05d}")
                one.split = of_file or (_split(_text(rows.at(row, own.split))) if own.split else "")
                if own.split and not one.split:
                    raise RowFault("its split is called neither train, validation (dev) nor test")
            except RowFault as fault:
                _faulty(where, str(fault), own, left_out)
            else:
                asked.append(one)
    made = _open(name, own, asked, left_out) if not own.options else _with_options(name, own, asked, left_out)
    found = _divided(own, made)
    if empty := [split for split in SPLITS if not found[split]]:
        raise TaskError(
            f"{name}: no question of split {', '.join(empty)} in {own.path}; needed: each of {', '.join(SPLITS)}"
        )
    return found


def _faulty(where: str, fault: str, own: Own, left_out: Counter[str] | None) -> None:
    if own.faulty == "stop":
        raise TaskError(f"{where}: {fault}; fix the row, or leave such rows out with faulty: drop")
    if left_out is not None:
        left_out["train"] += 1


def _files(name: str, own: Own) -> list[tuple[Path, str]]:
    """The files of a benchmark, each with its split; '' for a single file."""
    place = paths.expand(own.path)
    if place.is_file() and rows.kind(place):
        return [(place, "")]
    inside = sorted(place.iterdir()) if place.is_dir() else []
    kept = [file for file in inside if file.is_file() and rows.kind(file) and not file.name.startswith(".")]
    named = [(file, _split(file.name.partition(".")[0])) for file in kept]
    named = [(file, split) for file, split in named if split]
    stems = Counter(file.name.partition(".")[0] for file, _ in named)
    if twice := [stem for stem, count in stems.items() if count > 1]:
        raise TaskError(f"{name}: {own.path} holds several files called {twice[0]}; allowed: one of each")
    if not {"train", "test"} <= {split for _, split in named}:
        raise TaskError(
            f"{name}: no file at own path '{own.path}'; allowed: a file of the kind {', '.join(rows.SUFFIXES)}, gzipped or "
            "not, or a folder with one for each split, named after it (train, validation or dev, test)"
        )
    return named


def _split(called: str) -> str:
    found = [split for split, pattern in CALLED.items() if pattern.search(called)]
    return found[0] if len(found) == 1 else ""


def _columns(where: str, own: Own, row: Any) -> None:
    """Raise TaskError if a column that the recipe names is missing."""
    for place in filter(None, (own.question, own.answer, own.id, own.split, *_names(own))):
        try:
            rows.at(row, place)
        except KeyError:
            columns = ", ".join(map(str, row)) if isinstance(row, Mapping) else type(row).__name__
            raise TaskError(f"{where}: no column '{place}', found {columns}; name it in the recipe under own") from None


def _names(own: Own) -> list[str]:
    return [column.strip() for column in own.options.split(",")] if own.options else []


def _asked(where: str, own: Own, row: Any, number: str) -> Asked:
    """A row as in its file. Raises RowFault if its id or question is empty, or a value is no text."""
    labels, texts = _options(own, row)
    name = _text(rows.at(row, own.id)) if own.id else number
    if not name:
        raise RowFault("its id is empty")
    question = " ".join(_text(rows.at(row, own.question)).split())
    if not question:
        raise RowFault("the question is empty")
    return Asked(where, name, question, _text(rows.at(row, own.answer)), labels, texts)


def _text(value: Any) -> str:
    """A cell as text; '' for a missing value. Raises RowFault if it holds neither text nor a number."""
    if hasattr(value, "item"):
        value = value.item()  # a NumPy scalar
    if value is None or value != value:
        return ""
    if isinstance(value, float):
        value = format(Decimal(str(value)), "f").removesuffix(".0")  # whole numbers in a column with a missing value
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    if not isinstance(value, str | int | Decimal | datetime.date):
        raise RowFault(
            f"found {type(value).__name__}, allowed: a text or a number; reach inside with dots, as in question.stem"
        )
    if "\0" in str(value):
        raise RowFault("a text holds a null byte")
    return str(value).strip()


# ── Options ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _options(own: Own, row: Any) -> tuple[list[str], list[str]]:
    """(own labels or [], texts) of a row's options: columns, a list, a mapping, {label: […], text: […]}, [{label,
    text}], or JSON of one of these.
    """
    names = _names(own)
    if len(names) > 1:
        common = next((at for at, marks in enumerate(zip(*names, strict=False)) if len({*marks}) > 1), 0)
        return [name[common:] or name for name in names], [_text(rows.at(row, name)) for name in names]
    if not names:
        return [], []
    found = rows.at(row, names[0])
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except ValueError:
            raise RowFault(f"its options are neither a list nor JSON of one: {found[:60]!r}") from None
    found = found.tolist() if hasattr(found, "tolist") else found  # Parquet holds lists as arrays
    labels: Any = []
    if isinstance(found, Mapping) and {"label", "text"} <= found.keys():
        labels, texts = (
            value.tolist() if hasattr(value, "tolist") else value for value in (found["label"], found["text"])
        )
    elif isinstance(found, Mapping):
        labels, texts = list(found.keys()), list(found.values())
    elif isinstance(found, list) and found and all(isinstance(one, Mapping) for one in found):
        labels, texts = [one.get("label") for one in found], [one.get("text") for one in found]
    else:
        texts = found
    if not isinstance(texts, list) or not isinstance(labels, list):
        raise RowFault(f"its options are {type(found).__name__}; allowed: a list, a mapping, or columns by comma")
    labels, texts = [_bare(_text(label)) for label in labels], [_text(text) for text in texts]
    if not any(labels):
        labels = []
    if labels and (
        len(labels) != len(texts) or len({label.casefold() for label in labels}) < len(labels) or "" in labels
    ):
        raise RowFault(
            f"found {len(texts)} options with the labels {', '.join(labels)}, allowed: one of its own for each"
        )
    return labels, texts


def _bare(label: str) -> str:
    return label.strip("().: ")


def _by_label(one: Asked) -> int | None:
    places = {label.casefold(): place for place, label in enumerate(one.labels)}
    letters = {letter.casefold(): place for place, letter in enumerate(LABELS[: len(one.texts)])}
    if not places.keys() & {
        letter.casefold() for letter in LABELS
    }:  # columns called option1, option2, … can be named by letters, too
        places = letters | places
    return places.get(_bare(one.answer).casefold())


def _by_text(one: Asked) -> int | None:
    return one.texts.index(one.answer) if one.texts.count(one.answer) == 1 else None


def _by_place(first: int) -> Callable[[Asked], int | None]:
    def place(one: Asked) -> int | None:
        at = int(one.answer) - first if one.answer.isdecimal() and len(one.answer) < 4 else -1
        return at if 0 <= at < len(one.texts) else None

    return place


WAYS: dict[str, Callable[[Asked], int | None]] = {
    "label": _by_label, "text": _by_text, "place": _by_place(0), "place_from_1": _by_place(1),
}  # fmt: skip


def _with_options(name: str, own: Own, asked: Sequence[Asked], left_out: Counter[str] | None) -> list[tuple[str, Row]]:
    way = WAYS[own.answer_is or _way(name, asked)]
    made = []
    for one in asked:
        gold = way(one)
        # An empty column is no option.
        texts = [text for place, text in enumerate(one.texts) if text or len(_names(own)) == 1]
        if gold is None:
            fault = f"its answer '{one.answer}' names none of its {len(one.texts)} options"
        elif not one.texts[gold]:
            fault = "its answer names an option that is empty"
        elif "" in texts:
            fault = "an option is empty"
        elif not 2 <= len(texts) <= len(LABELS):
            fault = f"found {len(texts)} options, allowed: 2 to {len(LABELS)}"
        elif len(set(texts)) < len(texts):
            fault = "two equal options"
        else:
            shown = list(LABELS[: len(texts)])
            answer = shown[texts.index(one.texts[gold])]
            row = {"id": one.id, "question": one.question, "choices": {"label": shown, "text": texts}, "answer": answer}
            made.append((one.split, row))
            continue
        _faulty(f"{one.where} (id {one.id})", fault, own, left_out)
    return made


def _way(name: str, asked: Sequence[Asked]) -> str:
    """The way in which the answers of a file name their options: the one that fits most rows. Raises TaskError if
    several fit equally well and disagree.
    """
    fits = {way: sum(place(one) is not None for one in asked) for way, place in WAYS.items()}
    most = max(fits.values())
    if fits["label"] == most and all(one.labels for one in asked):  # numbers are then labels, not places
        fits |= {"place": 0, "place_from_1": 0}
    best = [way for way, count in fits.items() if count == most]
    for one in asked:
        golds = {way: WAYS[way](one) for way in best}
        if len(set(golds.values())) > 1 and most:
            ways = " or ".join(f"{way} ({one.texts[gold]!r})" for way, gold in golds.items() if gold is not None)
            raise TaskError(
                f"{one.where} (id {one.id}): its answer '{one.answer}' could be a {ways}; say which with answer_is"
            )
    return best[0]


# ── Open answers, and splits ────────────────────────────────────────────────────────────────────────────────────


def _open(name: str, own: Own, asked: Sequence[Asked], left_out: Counter[str] | None) -> list[tuple[str, Row]]:
    kinds = {kind_of(one.answer) for one in asked if one.answer} - {""}
    if not own.answers and len(kinds) > 1:
        raise TaskError(
            f"{name}: its answers look like {' and '.join(sorted(kinds))}; say which with answers, or give them as options"
        )
    kind, made = own.answers or next(iter(kinds), "word"), []
    for one in asked:
        answer = {"1": "yes", "0": "no"}.get(one.answer, one.answer) if kind == "yes_no" else one.answer
        if kind_of(answer) != kind:
            _faulty(
                f"{one.where} (id {one.id})",
                f"its answer '{one.answer}' is no {kind.replace('_', ' or ')} that could be read from a text",
                own,
                left_out,
            )
            continue
        answer = TRUTH.get(answer.lower(), answer.lower()) if kind == "yes_no" else answer
        row = {"id": one.id, "question": one.question, "choices": {"label": [], "text": []}, "answer": answer}
        made.append((one.split, row))
    return made


def _divided(own: Own, made: Sequence[tuple[str, Row]]) -> dict[str, list[Row]]:
    """Split → rows. Rows keep the split that they name. If none names one, the rows are divided by shares. An empty
    validation split gets a share of train.
    """
    found: dict[str, list[Row]] = {split: [] for split in SPLITS}
    for split, row in made:
        found[split or "train"].append(row)
    if not any(split for split, _ in made):
        found["train"], found["test"] = _apart(found["train"], own.test_share, own.seed)
        share = own.validation_share / (1 - own.test_share)
        found["train"], found["validation"] = _apart(found["train"], share, own.seed)
    elif not found["validation"]:
        found["train"], found["validation"] = _apart(found["train"], own.validation_share, own.seed)
    return found


def _apart(rest: list[Row], share: float, seed: int) -> tuple[list[Row], list[Row]]:
    """(the others, a random share), each in the original order."""
    chosen = {*random.Random(f"own/{seed}").sample(range(len(rest)), min(len(rest), max(1, round(share * len(rest)))))}
    return [row for i, row in enumerate(rest) if i not in chosen], [row for i, row in enumerate(rest) if i in chosen]
