"""The files of a benchmark, found by the splits that their names say; their rows, and the cells of each question."""

import datetime
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from scicot_utils import rows
from scicot_utils.tables import Row
from scicot_utils.tasks.entries import SPLITS, RowFault, TaskError

# Suffix → its name in `datasets`. Of the same questions in several formats, those in the first are read.
FORMATS = {
    ".parquet": "parquet", ".arrow": "arrow", ".jsonl": "json", ".json": "json", ".csv": "csv", ".tsv": "csv", ".txt": "json",
}  # fmt: skip
PART = re.compile(r"(.*?)\d+-of-(\d+)(?:-[0-9a-f]+)?")  # of a table in several files; the hub once added a hash
PLACES = (("*", 0), ("data/*", 0), ("*/*", 1), ("*/*/*", 2))  # of files; which folder above is called like the split
SPLIT_NAMES = {  # a split → pattern of its names, in a column or in a file's name
    "train": re.compile(r"(?i)(?:^|[\W_])train(?:ing)?(?=$|[\W_])"),
    "validation": re.compile(r"(?i)(?:^|[\W_])(?:valid(?:ation)?|val|dev(?:elopment)?)(?=$|[\W_])"),
    "test": re.compile(r"(?i)(?:^|[\W_])test(?:ing)?(?=$|[\W_])"),
}
EXAMPLES = re.compile(r"(?i)(?:^|[\W_])dev(?=$|[\W_])")  # beside a validation split, those few for prompts
Placed = tuple[str, str, Row]  # a question: its split, or ''; its group; its row in the questions table
Place = tuple[str, ...]  # of a question in its row: keys of mappings, and numbers in lists


def split_in(name: str) -> str:
    """The split that a name contains; '' if it contains none or several."""
    splits = [split for split, pattern in SPLIT_NAMES.items() if pattern.search(name)]
    return splits[0] if len(splits) == 1 else ""


def by_split(name: str, folder: Path, needed: set[str]) -> dict[str, list[Path]]:
    """Split → its files in a folder: those named after it, there or in `data/`, or all in a folder named after it; {} if
    there are none. All are of one format, if files of one have all the splits: those that are there or `needed`. Caches
    in a folder that `datasets` saved are none of them.

    Several files are parts of one, told apart by numbers (`train-00000-of-00002`). If one is called like the split alone
    (`train`, `train-2`), others (`train_socratic`) are none of its files. Raises TaskError for any other, and for a
    missing part.
    """
    first: dict[str, dict[Path, str]] = {}
    for pattern, above in PLACES:
        named = []
        for file in sorted(folder.glob(pattern)):
            place = file.parents[above - 1].name if above else _stem(file)
            is_cache = file.suffix == ".arrow" and file.with_name("state.json").is_file() and file.stem[:4] != "data"
            if (split := split_in(place)) and (suffix := form(file)) and "no_answers" not in file.name and not is_cache:
                named.append((suffix, split, file, place))
        for forms in (*([suffix] for suffix in FORMATS), FORMATS):
            found: dict[str, dict[Path, str]] = {split: {} for split in SPLITS}
            for suffix, split, file, place in named:
                found[split] |= {file: place} if suffix in forms else {}
            found = {split: files for split, files in found.items() if files}
            if needed | {split for _, split, *_ in named} <= found.keys():
                return {split: _parts(name, folder, split, files) for split, files in found.items()}
        first = first or found
    return {split: _parts(name, folder, split, files) for split, files in first.items()}


def form(file: Path) -> str:
    """A file's suffix in FORMATS, ignoring `.gz`; '' if it is no file with rows. A text file may hold JSON."""
    if not file.is_file() or file.name[0] == ".":
        return ""
    if file.suffix != ".txt":
        return rows.kind(file)
    with file.open("rb") as content:
        return ".txt" if content.read(1) in (b"{", b"[") else ""


def _parts(name: str, folder: Path, split: str, files: dict[Path, str]) -> list[Path]:
    """The one file of a split, or all its parts, of the files that are named after it."""
    is_split = SPLIT_NAMES[split].fullmatch if split else lambda place: place
    files = {file: place for file, place in files.items() if is_split(re.sub(r"[-_.]?\d+$", "", place))} or files
    files = {file: place for file, place in files.items() if not EXAMPLES.search(place)} or files
    names = [re.sub(r"(-of-\d+)-[0-9a-f]+$", r"\1", place) for place in files.values()]
    parts = [part for file in files if (part := PART.fullmatch(f"{file.parent / _stem(file)}"))]
    is_whole = all(sum(other[1] == part[1] for other in parts) == int(part[2]) for part in parts)
    is_one = len({re.sub(r"[-_.]?\d+", "", place) for place in names}) == 1
    if not is_one or not is_whole or len({file.with_name(_stem(file)) for file in files}) < len(files):
        raise TaskError(
            f"{name}: {folder} has for split {split} {', '.join(file.name for file in files)[:200]}; allowed: one "
            "file, or all its parts, as train-00000-of-00002 and train-00001-of-00002; move the others elsewhere"
        )
    return [*files]


def at(name: str, path: Path) -> list[tuple[Path, str, str]]:
    """The files of a user's own benchmark, each with its split and what its rows' ids start with; both '' for a single
    file. The parts of a table that `datasets` saved to disk have no split.
    """
    if form(path):
        return [(path, "", "")]
    found = by_split(name, path, {"train", "test"})
    if not found and (parts := {file: _stem(file) for file in sorted(path.glob("data-*-of-*.arrow"))}):
        found = {"": _parts(name, path, "", parts)}
    elif missing := {"train", "test"} - found.keys():
        names = ", ".join(file.name for files in found.values() for file in files)
        what = f"no file of split {min(missing)} beside {names[:200]}" if names else "no file"
        hint = "; if test's answers are not published, call the validation file test" if missing == {"test"} else ""
        below = [file for file in sorted(path.glob("*/*")) if not found and split_in(_stem(file)) and form(file)]
        inside = dict.fromkeys(file.parent.name for file in below)
        hint = f"; name one of the folders in it that have some: {', '.join(inside)[:200]}" if inside else hint
        hint = "; save it as one of these" if path.is_file() else hint
        raise TaskError(
            f"{name}: {what} at own path '{path}'; allowed: a file of the kind {', '.join(rows.SUFFIXES)}, gzipped "
            f"or not, or a folder with one for each split, named after it (train, validation or dev, test){hint}"
        )
    placed = [(file, split, file.relative_to(path).parts[:-1]) for split, files in found.items() for file in files]
    return [(file, split, "-".join((*folders, _stem(file), ""))) for file, split, folders in placed]


def _stem(file: Path) -> str:
    return Path(file.name.removesuffix(".gz")).stem


def read(name: str, file: Path, columns: list[str], with_labels: bool) -> list[tuple[int, Any]]:
    """(number, row) of every row of a file. `with_labels`: the lines of a file `<its name>-labels.lst` beside it, if there
    is one, are its column `label`. Raises TaskError for a file that cannot be read, or other than one label for each row.
    """
    beside = file.with_name(f"{_stem(file)}-labels.lst")
    try:
        numbered = list(rows.read(file, columns))
        lines = rows.content(beside).decode().splitlines() if with_labels and beside.is_file() else None
    except ValueError as error:
        raise TaskError(f"{name}: {error}") from None
    if lines is None or not all(isinstance(row, dict) for _, row in numbered):
        return numbered
    labels = [line for line in lines if line.strip()]
    if len(labels) != len(numbered):
        raise TaskError(f"{name}: {beside.name} has {len(labels)} labels, needed: one for each of {len(numbered)} rows")
    return [(number, {"label": label} | row) for (number, row), label in zip(numbered, labels, strict=True)]


def questions_of(source: str, row: Any, columns: Iterable[str], hints: dict[str, str]) -> Iterator[tuple[Place, Row]]:
    """(place, {column: cell}) of each question of a row: of one, or of several where a column has a star, as in
    `questions.*.stem`, which stands for each item of a list or mapping. A column with fewer stars, such as the passage's,
    belongs to all of them.

    Raises TaskError for a missing column, with its hint or that of '', and RowFault for lists that do not fit.
    """
    held: dict[str, dict[Place, Any]] = {}
    for column in columns:
        try:
            held[column] = _items(row, column)
        except KeyError:
            found = " ".join(", ".join(map(str, row)).split()) if isinstance(row, Mapping) else type(row).__name__
            found = f"{found[:300]} …" if len(found) > 300 else found
            todo = f"name it in the recipe under own{hints.get(column, hints[''])}"
            raise TaskError(f"{source}: no column '{column}', found {found}; {todo}") from None
    stars = {column: column.count(".*") for column in held}
    places = held[max(stars, key=stars.get)].keys()
    for column, items in held.items():
        needed = {place[: stars[column]] for place in places}
        if not needed <= items.keys() or (stars[column] == max(stars.values()) and items.keys() != places):
            raise RowFault(f"it has {len(places)} questions, but {len(items)} of '{column}'; allowed: one for each")
    for place in places:
        yield place, {column: items[place[: stars[column]]] for column, items in held.items()}


def _items(value: Any, column: str) -> dict[Place, Any]:
    """Place → cell of each item that a column with stars stands for; one at () if it has none."""
    before, star, after = column.partition(".*")
    value = rows.as_list(rows.at(value, before) if before else value)
    if not star:
        return {(): value}
    if not isinstance(value, list | Mapping):
        raise RowFault(f"its '{before}' is {type(value).__name__}, allowed for '{before}.*': a list or a mapping")
    items = value.items() if isinstance(value, Mapping) else enumerate(value)
    return {(f"{key}", *place): cell for key, item in items for place, cell in _items(item, after[1:]).items()}


def text(value: Any) -> str:
    """A cell as text; '' for a missing value. Raises RowFault if it holds neither text nor a number."""
    value = rows.cell(value)
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    if not isinstance(value, str | int | Decimal | datetime.date):
        raise RowFault(
            f"found {type(value).__name__}, allowed: a text or a number; reach inside with dots, as in question.stem or "
            "answers.0, or for each of its questions with a star, as in questions.*.stem"
        )
    if "\0" in str(value):
        raise RowFault("a text holds a null byte")
    return str(value).strip()


def divided(questions: list[Placed], test: float, validation: float, seed: int) -> dict[str, list[Row]]:
    """Split → rows. If no question names its split, they are divided by the shares `test` and `validation`, those of one
    group together. An empty validation split gets a share of train.
    """
    by_split = {split: [question for question in questions if (question[0] or "train") == split] for split in SPLITS}
    if not any(split for split, _, _ in questions):
        by_split["train"], by_split["test"] = _hold_out(by_split["train"], test, seed)
        validation /= 1 - test
    if not by_split["validation"]:
        by_split["train"], by_split["validation"] = _hold_out(by_split["train"], validation, seed)
    return {split: [row for _, _, row in of_split] for split, of_split in by_split.items()}


def _hold_out(questions: list[Placed], share: float, seed: int) -> tuple[list[Placed], list[Placed]]:
    """(remaining, held out): random groups, at least one, with about a share of the questions; both in the original order."""
    sizes, chosen = Counter(group for _, group, _ in questions), set()
    left, draw = max(1, round(share * len(questions))), random.Random(f"own/{seed}").sample
    first = draw([*sizes], min(len(sizes), max(1, round(share * len(sizes)))))
    for group in dict.fromkeys((*first, *draw([*sizes], len(sizes)))):
        if sizes[group] < 2 * left:
            chosen.add(group)
            left -= sizes[group]
    chosen = chosen or {min(sizes, key=sizes.get, default="")}
    remaining = [question for question in questions if question[1] not in chosen]
    return remaining, [question for question in questions if question[1] in chosen]
