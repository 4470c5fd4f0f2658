"""The files of a benchmark, found by the splits that their names say; their rows, and the columns that a recipe names."""

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scicot_utils import rows
from scicot_utils.recipe import Own
from scicot_utils.tables import Row
from scicot_utils.tasks.entries import SPLITS, RowFault, TaskError

# Suffix → its name in `datasets`. Of the same questions in several formats, those in the first are read.
FORMATS = {
    ".parquet": "parquet", ".arrow": "arrow", ".jsonl": "json", ".json": "json", ".csv": "csv", ".tsv": "csv", ".txt": "json",
}  # fmt: skip
PLACES = (
    ("*", 0),
    ("data/*", 0),
    ("*/*", 1),
    ("*/*/*", 2),
)  # where files are; how far above is the folder of the split
SPLIT_NAMES = {  # a split → pattern of its names, in a column or in a file's name
    "train": re.compile(r"(?i)(?:^|[\W_])train(?:ing)?(?=$|[\W_])"),
    "validation": re.compile(r"(?i)(?:^|[\W_])(?:valid(?:ation)?|val|dev(?:elopment)?)(?=$|[\W_])"),
    "test": re.compile(r"(?i)(?:^|[\W_])test(?:ing)?(?=$|[\W_])"),
}
EXAMPLES = re.compile(r"(?i)(?:^|[\W_])dev(?=$|[\W_])")  # beside a validation split, those few for prompts


def split_in(name: str) -> str:
    """The split that a name contains; '' if it contains none or several."""
    splits = [split for split, pattern in SPLIT_NAMES.items() if pattern.search(name)]
    return splits[0] if len(splits) == 1 else ""


def by_split(name: str, folder: Path, needed: set[str]) -> dict[str, list[Path]]:
    """Split → its files in a folder: those named after it, there or in `data/`, or all in a folder named after it; {} if
    there are none. All are of one format, if files of one have all the splits that are `needed`.

    Several files are parts of one, told apart by numbers (`train-00000-of-00002`). If one is called like the split alone
    (`train`, `train-2`), others (`train_socratic`) are none of its files. Raises TaskError for any other, and for a
    missing part.
    """
    first: dict[str, dict[Path, str]] = {}
    for pattern, above in PLACES:
        named = {file: file.parents[above - 1].name if above else _stem(file) for file in sorted(folder.glob(pattern))}
        named = {file: place for file, place in named.items() if form(file) and "no_answers" not in file.name}
        for forms in (*([suffix] for suffix in FORMATS), FORMATS):
            found = {split: {} for split in SPLITS}
            for file, place in named.items():
                if form(file) in forms and (split := split_in(place)):
                    found[split][file] = place
            found = {split: files for split, files in found.items() if files}
            if needed <= found.keys():
                return {split: _parts(name, folder, split, files) for split, files in found.items()}
        first = first or found
    return {split: _parts(name, folder, split, files) for split, files in first.items()}


def form(file: Path) -> str:
    """A file's suffix in FORMATS, ignoring `.gz`; '' if it is no file with rows. A text file may hold JSON."""
    if not file.is_file() or file.name[0] == ".":
        return ""
    if file.suffix == ".txt":
        with file.open("rb") as text:
            return ".txt" if text.read(1) in (b"{", b"[") else ""
    return rows.kind(file)


def _parts(name: str, folder: Path, split: str, files: dict[Path, str]) -> list[Path]:
    """The one file of a split, or all its parts, of the files that are named after it."""
    is_split = SPLIT_NAMES[split].fullmatch if split else lambda place: place
    files = {file: place for file, place in files.items() if is_split(re.sub(r"[-_.]?\d+$", "", place))} or files
    files = {file: place for file, place in files.items() if not EXAMPLES.search(place)} or files
    names = [re.sub(r"(-of-\d+)-[0-9a-f]+$", r"\1", place) for place in files.values()]  # the hub added a hash
    all_parts = re.search(r"-of-(\d+)$", names[0])
    is_whole = not all_parts or len(files) == int(all_parts[1])
    is_one = len({re.sub(r"[-_.]?\d+", "", place) for place in names}) == 1
    if not is_one or not is_whole or len({file.with_name(_stem(file)) for file in files}) < len(files):
        raise TaskError(
            f"{name}: {folder} has for split {split} {', '.join(file.name for file in files)[:200]}; allowed: one "
            "file, or all its parts, as train-00000-of-00002 and train-00001-of-00002; move the others elsewhere"
        )
    return [*files]


def of(name: str, path: Path) -> list[tuple[Path, str, str]]:
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
        raise TaskError(
            f"{name}: {what} at own path '{path}'; allowed: a file of the kind {', '.join(rows.SUFFIXES)}, gzipped "
            f"or not, or a folder with one for each split, named after it (train, validation or dev, test){hint}"
        )
    split_of = {file: split for split, files in found.items() for file in files}
    return [
        (file, split, "-".join((*file.relative_to(path).parts[:-1], _stem(file), "")))
        for file, split in split_of.items()
    ]


def _stem(file: Path) -> str:
    return Path(file.name.removesuffix(".gz")).stem


def read(name: str, file: Path, columns: list[str]) -> list[tuple[int, Any]]:
    """(number, row) of every row of a file. The lines of a file `<its name>-labels.lst` beside it are its column `label`.

    Raises TaskError for a file that cannot be read, or has other than one label for each row.
    """
    beside = file.with_name(f"{_stem(file)}-labels.lst")
    try:
        numbered = list(rows.read(file, columns))
        labels = rows.content(beside).decode().split() if beside.is_file() else []
    except ValueError as error:
        raise TaskError(f"{name}: {error}") from None
    if not beside.is_file():
        return numbered
    if len(labels) != len(numbered):
        raise TaskError(f"{name}: {beside.name} has {len(labels)} labels, needed: one for each of {len(numbered)} rows")
    return [(number, {"label": label} | row) for (number, row), label in zip(numbered, labels, strict=True)]


@dataclass(frozen=True)
class Columns:
    """The columns that a recipe names. A star, as in `questions.*.stem`, stands for each item of a list or mapping."""

    question: list[str]
    options: list[str]
    answer: str
    id: str
    split: str

    @classmethod
    def of(cls, own: Own) -> "Columns":
        question = [own.question] if isinstance(own.question, str) else own.question
        return cls(question, [*filter(None, map(str.strip, own.options.split(",")))], own.answer, own.id, own.split)

    def all(self) -> list[str]:
        return [*filter(None, (*self.question, self.answer, self.id, self.split, *self.options))]

    def check(self, source: str, row: Any, form: str) -> None:
        """Raise TaskError if a row lacks one of the columns, each as far as its first star."""
        for column in self.all():
            try:
                rows.at(row, column.split(".*")[0])
            except KeyError:
                found = ", ".join(map(str, row)) if isinstance(row, Mapping) else type(row).__name__
                found = f"{found[:300]} …" if len(found) > 300 else found
                hint = "; its first line must name the columns, with commas or tabs between; or name them by their numbers, '1'"
                hint = hint if form in (".csv", ".tsv") else ""
                if column == self.answer:
                    hint = "; if its answers are in another file, join the two; if those of a split are not published, leave its file out"
                raise TaskError(
                    f"{source}: no column '{column}', found {found}; name it in the recipe under own{hint}"
                ) from None

    def each(self, source: str, row: Any, form: str = "") -> Iterator[tuple[str, "Columns"]]:
        """(what to add to the row's id, columns without a star) for each question of a row; a column that has none belongs
        to all of them. Raises TaskError for a missing column, and RowFault for lists of different lengths.
        """
        self.check(source, row, form)
        places: dict[str, list[str]] = {}
        for path in (column.split(".*")[0] for column in self.all() if ".*" in column):
            value = rows.as_list(rows.at(row, path))
            if not isinstance(value, list | Mapping):
                raise RowFault(f"its '{path}' is {type(value).__name__}, allowed for '{path}.*': a list or a mapping")
            places[path] = [*value] if isinstance(value, Mapping) else [*map(str, range(len(value)))]
        if len({*map(tuple, places.values())}) > 1:
            raise RowFault(f"its {', '.join(places)} have different numbers of items; allowed: one for each question")
        if not places:
            yield "", self
        for place in next(iter(places.values()), ()):
            question, options, others = (
                [column.replace(".*", f".{place}", 1) for column in columns]
                for columns in (self.question, self.options, (self.answer, self.id, self.split))
            )
            for further, columns in Columns(question, options, *others).each(source, row):
                yield f"-{place}{further}", columns


def divided(
    questions: Sequence[tuple[str, Row]], test_share: float, validation_share: float, seed: int
) -> dict[str, list[Row]]:
    """Split → rows of (split or '', row). Rows keep the split that they name. If none names one, the rows are divided by shares. An empty
    validation split gets a share of train.
    """
    by_split: dict[str, list[Row]] = {split: [] for split in SPLITS}
    for split, row in questions:
        by_split[split or "train"].append(row)
    if not any(split for split, _ in questions):
        by_split["train"], by_split["test"] = _hold_out(by_split["train"], test_share, seed)
        validation_share /= 1 - test_share
    if not by_split["validation"]:
        by_split["train"], by_split["validation"] = _hold_out(by_split["train"], validation_share, seed)
    return by_split


def _hold_out(questions: list[Row], share: float, seed: int) -> tuple[list[Row], list[Row]]:
    """(remaining, held out): a random share of the questions, at least one; both in the original order."""
    size = min(len(questions), max(1, round(share * len(questions))))
    chosen = {*random.Random(f"own/{seed}").sample(range(len(questions)), size)}
    remaining = [row for i, row in enumerate(questions) if i not in chosen]
    return remaining, [row for i, row in enumerate(questions) if i in chosen]
