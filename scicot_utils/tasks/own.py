"""A user's own benchmark: rows of any table file, converted to the questions table by the columns that a recipe names.

A file names its right options by label, by text or by place. Which of these holds is decided once for the whole file:
the one way that fits its rows. If two ways fit and disagree on the right options, the recipe must say which
(`answer_is`).
"""

import ast
import datetime
import functools
import io
import json
import random
import re
import string
import tokenize
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from scicot_utils import paths, rows
from scicot_utils.recipe import Own
from scicot_utils.tables import Row
from scicot_utils.tasks.entries import SPLITS, TASKS, TRUTH, Task, TaskError

SPLIT_NAMES = {  # a split → pattern of its names, in a column or in a file's name
    "train": re.compile(r"(?i)(?:^|[\W_])train(?:ing)?(?=$|[\W_])"),
    "validation": re.compile(r"(?i)(?:^|[\W_])(?:valid(?:ation)?|val|dev(?:elopment)?)(?=$|[\W_])"),
    "test": re.compile(r"(?i)(?:^|[\W_])test(?:ing)?(?=$|[\W_])"),
}
LABELS = string.ascii_uppercase
SAME = 0.9  # share of rows with the right option in one place from which that place is the file's doing
# Options in a question's text: "Which flies? (A) raft (B) robin", or A. raft B. robin
LISTED = re.compile(  # from the first A to the last B, with no way back, since a text may be long
    r"\A(?>.*?\([A1]\)).+\([B2]\)|\A(?>.*?(?:^|\s)[Aa] ?[).．、:]).+\s[Bb] ?[).．、:]", re.DOTALL
)
OPTIONS_CUE = re.compile(r"(?<!\s)\s*\b(?:answer )?(?:options|choices):?\s*$", re.IGNORECASE)  # before the options
ANSWER_CUE = re.compile(r"(?<!\s)\s+(?:a|answer) ?:\s*$", re.IGNORECASE)  # after the options, as in a prompt
# An option with its label: "A)21", "(B) No", "C. fish", "D、魚".
LABELLED = re.compile(r"[(（]?([A-Za-z]) ?[).:）．、：]\s*(.+)", re.DOTALL)
# Before each option of a text: "a ) 38 , b ) 27.5"; or, where no letters are, numbers as in "(1) 38 (2) 27.5"
LETTERED = re.compile(r"(?<![^\s,])(\(?)([A-Za-z]) ?([).．、])\s*")
NUMBERED = re.compile(r"(?<![^\s,])(\(?)([1-9]) ?(\))\s*")
ANSWER_MARK = re.compile(r"#{4,}|\\boxed ?\{")  # before the answer at the end of a worked solution
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
class RawQuestion:
    """A row as in its file. `source`: benchmark, file and row, for messages. `labels`: its own labels, or []. `texts`:
    all option texts, '' for an empty column. `gold`: the index of the right option, where scores give it, and not an
    answer.
    """

    source: str
    id: str
    question: str
    answer: str
    split: str = ""
    labels: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    gold: int | None = None


def read(name: str, own: Own, left_out: Counter[str] | None = None) -> dict[str, list[Row]]:
    """Split → rows {id, question, choices, answer} of a user's own benchmark, in the order of its file.

    Raises TaskError, one line, with the file, the row and what is allowed. With `faulty: drop`, it leaves such rows out
    instead and counts them in `left_out`.
    """
    questions: list[RawQuestion] = []
    folder = paths.expand(own.path)
    for file, file_split in _files(name, own):
        try:
            numbered = list(rows.read(file, _question_columns(own)))
        except ValueError as error:
            raise TaskError(f"{name}: {error}") from None
        place = "-".join((*file.relative_to(folder).parts[:-1], file.stem, "")) if file_split else ""
        for number, row in numbered:
            source, split = f"{name}: {file.name}, row {number}", file_split
            _check_columns(source, own, row, is_table=rows.kind(file) in (".csv", ".tsv"))
            try:
                split = file_split or _split_of(own, row)
                questions.append(_parse_row(source, own, row, f"{place}{number:05d}", split))
            except RowFault as fault:
                _reject(source, str(fault), own, left_out, split)
    for split in SPLITS:
        of_split = [question for question in questions if question.split == split]
        if of_split and all(question.gold is None and question.answer in ("", "-1") for question in of_split):
            raise TaskError(
                f"{name}: no question of split {split} has an answer, as where publishers keep those of their test set back; "
                "leave that split out, and call another one test"
            )
    is_open = not own.options and not own.answer_set
    converted = _open(name, own, questions, left_out) if is_open else _with_options(own, questions, left_out)
    by_split = _assign_splits(own, converted)
    if empty := [split for split in SPLITS if not by_split[split]]:
        raise TaskError(
            f"{name}: no question of split {', '.join(empty)} in {own.path}; needed: each of {', '.join(SPLITS)}"
        )
    return by_split


def _reject(source: str, fault: str, own: Own, left_out: Counter[str] | None, split: str) -> None:
    """Raise TaskError for a faulty row, or count it in its split if the recipe drops such rows. One that has no split
    yet, as in a file that is divided by shares, counts as one of train.
    """
    if own.faulty == "stop":
        fault = " ".join(fault.split())  # an answer may have several lines
        raise TaskError(f"{source}: {fault}; fix the row, or leave such rows out with faulty: drop")
    if left_out is not None:
        left_out[split or "train"] += 1


def _files(name: str, own: Own) -> list[tuple[Path, str]]:
    """The files of a benchmark, each with its split; '' for a single file."""
    path = paths.expand(own.path)
    if path.is_file() and rows.kind(path):
        return [(path, "")]
    by_split = split_files(name, path)
    if missing := {"train", "test"} - by_split.keys():
        found = ", ".join(file.name for files in by_split.values() for file in files)
        what = f"no file of split {min(missing)} beside {found[:200]}" if found else "no file"
        hint = "; if test's answers are not published, call the validation file test" if missing == {"test"} else ""
        raise TaskError(
            f"{name}: {what} at own path '{own.path}'; allowed: a file of the kind {', '.join(rows.SUFFIXES)}, gzipped "
            f"or not, or a folder with one for each split, named after it (train, validation or dev, test){hint}"
        )
    return [(file, split) for split, files in by_split.items() for file in files]


def split_files(name: str, folder: Path, suffixes: Sequence[str] = rows.SUFFIXES) -> dict[str, list[Path]]:
    """Split → its files in a folder: those named after it, there or in `data/`, or all in a folder named after it; {} if
    there are none. Several are parts of one, told apart by numbers (`train-00000-of-00002`). If one is called like the
    split alone (`train`, `train-2`), others (`train_socratic`) are none of its files. Raises TaskError for any other,
    and for a missing part.
    """
    for pattern, place in (("*", _stem), ("data/*", _stem), ("*/*", lambda file: file.parent.name)):
        files = [
            file
            for file in sorted(folder.glob(pattern))
            if file.is_file() and rows.kind(file) in suffixes and file.name[0] != "." and "no_answers" not in file.name
        ]
        by_split = {split: [file for file in files if _split_in(place(file)) == split] for split in SPLITS}
        by_split = {split: several for split, several in by_split.items() if several}
        for split, several in by_split.items():
            alone = [file for file in several if SPLIT_NAMES[split].fullmatch(re.sub(r"[-_.]?\d+$", "", place(file)))]
            by_split[split] = several = alone or several
            names = [re.sub(r"(-of-\d+)-[0-9a-f]+$", r"\1", place(file)) for file in several]  # the hub added a hash
            all_parts, parts = re.search(r"-of-(\d+)$", names[0]), {re.sub(r"[-_.]?\d+", "", name) for name in names}
            is_whole = not all_parts or len(several) == int(all_parts[1])
            if len(parts) > 1 or len({_stem(file) for file in several}) < len(several) or not is_whole:
                raise TaskError(
                    f"{name}: {folder} has for split {split} {', '.join(file.name for file in several)[:200]}; allowed: one "
                    "file, or all its parts, as train-00000-of-00002 and train-00001-of-00002"
                )
        if by_split:
            return by_split
    return {}


def _stem(file: Path) -> str:
    return Path(file.name.removesuffix(".gz")).stem


def _split_in(name: str) -> str:
    """The split that a name contains; '' if it contains none or several."""
    splits = [split for split, pattern in SPLIT_NAMES.items() if pattern.search(name)]
    return splits[0] if len(splits) == 1 else ""


def _split_of(own: Own, row: Any) -> str:
    """The split in a row's column; '' if the recipe names no such column. Raises RowFault for an unknown split."""
    if not own.split:
        return ""
    if not (split := _split_in(_text(rows.at(row, own.split)))):
        raise RowFault("its split is called neither train, validation (dev) nor test")
    return split


def _check_columns(source: str, own: Own, row: Any, is_table: bool) -> None:
    """Raise TaskError if a column that the recipe names is missing."""
    for column in filter(None, (*_question_columns(own), own.answer, own.id, own.split, *_option_columns(own))):
        try:
            rows.at(row, column)
        except KeyError:
            columns = ", ".join(map(str, row)) if isinstance(row, Mapping) else type(row).__name__
            columns = f"{columns[:300]} …" if len(columns) > 300 else columns
            hint = "; its first line must name the columns, with commas or tabs between" if is_table else ""
            if column == own.answer:
                hint = "; if its answers are in another file, join the two; if those of a split are not published, leave its file out"
            raise TaskError(
                f"{source}: no column '{column}', found {columns}; name it in the recipe under own{hint}"
            ) from None


def _question_columns(own: Own) -> list[str]:
    return [own.question] if isinstance(own.question, str) else own.question


def _option_columns(own: Own) -> list[str]:
    return [column.strip() for column in own.options.split(",")] if own.options else []


def _parse_row(source: str, own: Own, row: Any, default_id: str, split: str) -> RawQuestion:
    """A row as in its file. Raises RowFault if its id or question is empty, or a value is no text."""
    cells = {column: rows.as_list(rows.at(row, column)) for column in _question_columns(own)}
    # A list of texts is a passage in parts, or a dialogue.
    cells = {column: " ".join(map(_text, cell if isinstance(cell, list) else [cell])) for column, cell in cells.items()}
    if own.options in cells:  # listed in the question's text
        cells[own.options], labels, texts = split_listed(cells[own.options])
    else:
        labels, texts = _without_labels(*_options(own, row))
    identifier = _text(rows.at(row, own.id)) if own.id else default_id
    if not identifier:
        raise RowFault("its id is empty")
    question = " ".join(" ".join(cells.values()).split())
    if not question:
        raise RowFault("the question is empty")
    answer, columns = rows.as_list(rows.at(row, own.answer)), _option_columns(own) if "," in own.options else []
    answer = answer[0] if isinstance(answer, list) and len(answer) == 1 else answer
    gold = columns.index(own.answer) if own.answer in columns else _scored(answer, texts)
    if gold is not None:
        return RawQuestion(source, identifier, question, "", split, labels, texts, gold)
    answer = _text(answer)
    answer = labels[columns.index(answer)] if answer in columns else answer
    if own.answer_set:
        names = (answer.casefold(), TRUTH.get(answer.casefold()))
        answer = next((text for text in own.answer_set if text.casefold() in names), answer)
    if (labelled := LABELLED.fullmatch(answer)) and labelled[2] in texts:
        answer = labelled[2]
    return RawQuestion(source, identifier, question, answer, split, labels, texts)


def _text(value: Any) -> str:
    """A cell as text; '' for a missing value. Raises RowFault if it holds neither text nor a number."""
    value = rows.cell(value)
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    if not isinstance(value, str | int | Decimal | datetime.date):
        raise RowFault(
            f"found {type(value).__name__}, allowed: a text or a number; reach inside with dots, as in question.stem or answers.0"
        )
    if "\0" in str(value):
        raise RowFault("a text holds a null byte")
    return str(value).strip()


# ── Options ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _options(own: Own, row: Any) -> tuple[list[str], list[str]]:
    """(own labels or [], texts) of a row's options: columns, a list, a mapping, {label: […], text: […]}, [{label,
    text}], or a text of one of these; the set of all answers, if the recipe gives it.
    """
    columns = _option_columns(own)
    if len(columns) > 1:
        letters = enumerate(zip(*columns, strict=False))
        prefix = next((length for length, same_place in letters if len({*same_place}) > 1), 0)
        return [column[prefix:] for column in columns], [_text(rows.at(row, column)) for column in columns]
    if not columns:
        return [], own.answer_set
    value = rows.at(row, columns[0])
    value = _from_text(value) if isinstance(value, str) else rows.as_list(value)
    labels, texts = [], value
    if isinstance(value, Mapping) and {"label", "text"} <= value.keys():
        labels, texts = rows.as_list(value["label"]), rows.as_list(value["text"])
    elif isinstance(value, Mapping) and {"choices", "labels"} <= value.keys():
        texts = rows.as_list(value["choices"])
    elif isinstance(value, Mapping) and columns[0] == own.answer:
        texts = list(value)  # the keys of scores
    elif isinstance(value, Mapping):
        value = {label: text for label, text in value.items() if text is not None}  # as Parquet fills shorter ones
        labels, texts = list(value.keys()), list(value.values())
    elif value and rows.are_objects(value, list) and all("text" in option for option in value):
        letters, keys = {*LABELS[: len(value)]}, [] if "label" in value[0] else value[0].keys() - {"text"}
        lettered = [key for key in keys if {_bare(str(option.get(key))).upper() for option in value} == letters]
        key = min(lettered, default="label")
        labels, texts = [option.get(key) for option in value], [option["text"] for option in value]
    if not isinstance(texts, list) or not isinstance(labels, list):
        raise RowFault(f"its options are {type(value).__name__}; allowed: a list, a mapping, or columns by comma")
    labels, texts = [_bare(_text(label)) for label in labels], [_text(text) for text in texts]
    labels = labels if any(labels) else []
    if labels and ("" in labels or not len({label.casefold() for label in labels}) == len(labels) == len(texts)):
        raise RowFault(
            f"found {len(texts)} options with the labels {', '.join(labels)}, allowed: one of its own for each"
        )
    return labels, texts


def _scored(value: Any, texts: list[str]) -> int | None:
    """The index of the only 1 among the scores of a row's options: a list, a mapping's values, {choices, labels}, or a
    text of one of these; None for any other answer, such as an option that is an interval, `[0, 1]`. Raises RowFault for
    scores that are not one 1, and 0 for every other option.
    """
    if isinstance(value, str):
        if not value.strip().startswith(("[", "{")) or value.strip() in texts:
            return None
        try:
            value = _from_text(value)
        except RowFault:
            return None
    if isinstance(value, Mapping):
        value = value.get("labels", list(value.values()))
    scores = rows.as_list(value)
    if not texts or not isinstance(scores, list) or not all(isinstance(score, int | float) for score in scores):
        return None
    if len(scores) != len(texts) or not {*map(str, scores)} <= {"0", "1", "0.0", "1.0"} or scores.count(1) != 1:
        raise RowFault(f"its {len(texts)} options have the scores {scores}, allowed: one 1, and 0 for every other")
    return scores.index(1)


def _from_text(text: str) -> Any:
    """Options or scores from a text: JSON, a list or mapping as Python or NumPy writes it, or `a ) 38 , b ) 27.5` as in
    MathQA.
    """
    for parse in (json.loads, lambda text: ast.literal_eval(_without_arrays(text))):
        try:
            return parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError, tokenize.TokenError):
            continue
    return split_listed(text.strip(), alone=True)[2]


def _without_arrays(text: str) -> str:
    """A list or mapping as Python writes it, also from one that holds arrays as NumPy writes them: `['a' 'b']`, or
    `array(['a', 'b'], dtype=object)`, as in a CSV file that pandas wrote.
    """
    words: list[str] = []
    for token in tokenize.generate_tokens(io.StringIO(text.strip()).readline):
        if token.type == tokenize.STRING and words and words[-1][-1] in "'\"":
            words.append(",")
        words += [token.string] if token.string.strip() else []
    arrays = r"(?<![^\0])array\0\(\0(.*?)\0(?:,\0dtype\0=\0[^\0]+\0)?\)"
    return re.sub(arrays, r"\1", "\0".join(words), flags=re.DOTALL).replace("\0", " ")


def _lists(text: str, pattern: re.Pattern[str], labels: str, alone: bool) -> list[list[re.Match[str]]]:
    """The lists of options in a text: for each, the marks of `labels` from the first on, in one style."""
    of_style: dict[tuple[str, str], list[re.Match[str]]] = {}  # in brackets, with a full stop, …
    for mark in pattern.finditer(text):
        marks = of_style.setdefault((mark[1], mark[3]), [])
        follows = marks and marks[-1].end() == mark.start()
        is_initial = follows and ord(mark[2].upper()) != ord(marks[-1][2].upper()) + 1  # A. I. Newton
        marks += [] if is_initial else [mark]
    lists = []
    for marks in of_style.values():
        marks = marks[max((i for i, mark in enumerate(marks) if mark[2].upper() == labels[0]), default=0) :]
        letters = "".join(mark[2] for mark in marks).upper()
        if len(marks) > 1 and not (alone and text[: marks[0].start()].strip()) and letters == labels[: len(marks)]:
            lists.append(marks)
    return lists


def split_listed(text: str, alone: bool = False) -> tuple[str, list[str], list[str]]:
    """(what precedes the options, their letters, their texts) of a text that lists options as `(A) … (B) …` or,
    without letters, as `(1) … (2) …`. A letter A before them, as in `vitamin A.`, is none of theirs. `alone`: nothing may
    precede them. Raises RowFault if it lists none, or one kind of letters stands among those of another.
    """
    lists = _lists(text, LETTERED, LABELS, alone) or _lists(text, NUMBERED, string.digits[1:], alone)
    last = max(lists, key=lambda marks: marks[0].start(), default=[])  # initials of names may precede it
    if not last or any(marks[-1].start() > last[0].start() for marks in lists if marks is not last):
        raise RowFault(f"its options are neither a list nor JSON of one, nor listed as (A) … (B) …: {text[:60]!r}")
    ends = [mark.start() for mark in last[1:]]
    texts = [text[mark.end() : end].rstrip().rstrip(",").rstrip() for mark, end in zip(last, ends, strict=False)]
    before = text[: last[0].start()].rstrip().rstrip(",")
    texts.append(ANSWER_CUE.sub("", text[last[-1].end() :]).strip())
    return OPTIONS_CUE.sub("", before), [mark[2] for mark in last], texts


def _without_labels(labels: list[str], texts: list[str]) -> tuple[list[str], list[str]]:
    """The same, without the letters A, B, … if every option's text starts with its own: prompts add them."""
    matches = [LABELLED.fullmatch(text) for text in texts]
    if not texts or not all(matches) or "".join(match[1] for match in matches).upper() != LABELS[: len(texts)]:
        return labels, texts
    return labels or [match[1] for match in matches], [match[2] for match in matches]


def _bare(label: str) -> str:
    return label.strip("().:（）．、： ")


# Each of these returns the index of the right option; None if the answer names none in this form.


def _by_label(question: RawQuestion) -> int | None:
    indices = {label.casefold(): index for index, label in enumerate(question.labels)}
    letters = {letter.casefold(): index for index, letter in enumerate(LABELS[: len(question.texts)])}
    if indices.keys().isdisjoint(LABELS[: max(8, len(question.texts))].lower()):
        indices = letters | indices  # columns called option1, option2, … can be named by letters, too
    return indices.get(_bare(question.answer).casefold())


def _by_text(question: RawQuestion) -> int | None:
    return question.texts.index(question.answer) if question.texts.count(question.answer) == 1 else None


def _by_place(question: RawQuestion, first: int = 0) -> int | None:
    number = question.answer.removesuffix(".0")  # as pandas writes numbers of a column with a missing one
    index = int(number) - first if number.isdecimal() and len(number) < 4 else -1
    return index if 0 <= index < len(question.texts) else None


ANSWER_FORMS: dict[str, Callable[[RawQuestion], int | None]] = {
    "label": _by_label, "text": _by_text, "place": _by_place, "place_from_1": functools.partial(_by_place, first=1),
}  # fmt: skip


def _with_options(own: Own, questions: Sequence[RawQuestion], left_out: Counter[str] | None) -> list[tuple[str, Row]]:
    """(split, row) of each question whose answer is one of its options."""
    named = [question for question in questions if question.gold is None]
    gold_index = ANSWER_FORMS[own.answer_is or _answer_form(named, are_columns=len(_option_columns(own)) > 1)]
    if not named and max(Counter(question.gold for question in questions).values(), default=0) >= SAME * len(questions):
        questions = [*map(_shuffled, questions)]
    converted = []
    for question in questions:
        gold = gold_index(question) if question.gold is None else question.gold
        texts = question.texts if len(_option_columns(own)) == 1 else [*filter(None, question.texts)]  # of columns
        if gold is None and question.answer and question.texts.count(question.answer) > 1:
            fault = f"two equal options, '{question.answer}'"
        elif gold is None:
            fault = f"its answer '{question.answer}' names none of its {len(question.texts)} options"
        elif not question.texts[gold]:
            fault = "its answer names an option that is empty"
        elif "" in texts:
            fault = "an option is empty"
        elif not 2 <= len(texts) <= len(LABELS):
            fault = f"found {len(texts)} options, allowed: 2 to {len(LABELS)}"
        elif len(set(texts)) < len(texts):
            fault = "two equal options"
        else:
            labels = list(LABELS[: len(texts)])
            answer = labels[texts.index(question.texts[gold])]
            converted.append((question.split, _row(question, answer, labels, texts)))
            continue
        _reject(f"{question.source} (id {question.id})", fault, own, left_out, question.split)
    return converted


def _shuffled(question: RawQuestion) -> RawQuestion:
    """A question with its options in an order drawn from its id."""
    order = list(range(len(question.texts)))
    random.Random(f"own/{question.id}").shuffle(order)
    return replace(question, texts=[question.texts[index] for index in order], gold=order.index(question.gold))


def _row(question: RawQuestion, answer: str, labels: Sequence[str] = (), texts: Sequence[str] = ()) -> Row:
    choices = {"label": list(labels), "text": list(texts)}
    return {"id": question.id, "question": question.question, "choices": choices, "answer": answer}


def _answer_form(questions: Sequence[RawQuestion], are_columns: bool) -> str:
    """The form in which the answers of a file name their options: the one that fits most rows. Raises TaskError if
    several fit equally well and disagree. Numbers may be places even if the options' columns end in numbers.
    """
    fits = {form: sum(index(question) is not None for question in questions) for form, index in ANSWER_FORMS.items()}
    most = max(fits.values())
    if fits["label"] == most and not are_columns and all(question.labels for question in questions):
        fits |= {"place": 0, "place_from_1": 0}  # numbers are then labels, not places
    best = [form for form, count in fits.items() if count == most]
    for question in questions:
        golds = {form: ANSWER_FORMS[form](question) for form in best}
        if len(set(golds.values())) > 1 and most:
            forms = [f"{form} ({question.texts[gold]!r})" for form, gold in golds.items() if gold is not None]
            raise TaskError(
                f"{question.source} (id {question.id}): its answer '{question.answer}' could be a {' or '.join(forms)}; "
                "say which with answer_is"
            )
    return best[0]


# ── Open answers, and splits ────────────────────────────────────────────────────────────────────────────────────


def _open(
    name: str, own: Own, questions: Sequence[RawQuestion], left_out: Counter[str] | None
) -> list[tuple[str, Row]]:
    """(split, row) of each question with an open answer of the file's kind."""
    questions = [replace(question, answer=_final(question.answer)) for question in questions]
    labels = {*LABELS, *"12345678"}
    if questions and all(
        _bare(question.answer) in labels and LISTED.search(question.question) for question in questions
    ):
        raise TaskError(
            f"{name}: its answers are labels of options that its questions list in their text, as in '(A) … (B) …'; allowed: "
            "that column as options, too, or options in columns of their own, or in one with a list"
        )
    kinds = {kind_of(question.answer) for question in questions if question.answer} - {""}
    answers = sorted({question.answer.lower() for question in questions if question.answer})
    if len(kinds) > 1 and (not own.answers or (own.answers == "word" and len(answers) <= len(LABELS))):
        few = f", or list them, as in answers: {', '.join(answers)}" if len(answers) <= 8 else ""
        raise TaskError(
            f"{name}: its answers look like {' and '.join(sorted(kinds))}; say which with answers{few}, or give them as options"
        )
    places = [str(place) for place in range(len(answers) + 1)]
    if not own.answers and 1 < len(answers) <= len(questions) / 10 and {*answers} in ({*places[:-1]}, {*places[1:]}):
        answers.sort(key=int)
        raise TaskError(
            f"{name}: its answers are {', '.join(answers)[:80]} alone; say with answers what they are: number, yes_no, or the "
            "words that they stand for, in this order, as in answers: yes, no, maybe"
        )
    kind, converted = own.answers or next(iter(kinds), ""), []
    for question in questions:
        answer = question.answer
        if kind == "yes_no":
            answer = {"1": "yes", "0": "no"}.get(answer, answer)
        if kind_of(answer) != kind or not kind:
            wanted = kind.replace("_", " or ") or "word, number, or yes or no"
            fault = f"its answer '{question.answer[:80]}' is no {wanted} that could be read from a text"
            _reject(f"{question.source} (id {question.id})", fault, own, left_out, question.split)
            continue
        answer = TRUTH.get(answer.lower(), answer.lower()) if kind == "yes_no" else answer
        converted.append((question.split, _row(question, answer)))
    return converted


def _final(answer: str) -> str:
    """What follows the last mark of a worked solution as GSM8K's, `… #### 18`, or MATH's, `… \\boxed{18}.`, without a line
    that says it once more, as in MetaMathQA; any other answer as it is.
    """
    *before, last = ANSWER_MARK.split(answer)
    final, _, repetition = last.partition("}")[0].strip().partition("\n")
    is_final = before and "{" not in last and last.count("}") < 2 and (not repetition or final.strip() in repetition)
    return final.strip() if is_final else answer


def _assign_splits(own: Own, questions: Sequence[tuple[str, Row]]) -> dict[str, list[Row]]:
    """Split → rows. Rows keep the split that they name. If none names one, the rows are divided by shares. An empty
    validation split gets a share of train.
    """
    by_split: dict[str, list[Row]] = {split: [] for split in SPLITS}
    for split, row in questions:
        by_split[split or "train"].append(row)
    validation_share = own.validation_share
    if not any(split for split, _ in questions):
        by_split["train"], by_split["test"] = _hold_out(by_split["train"], own.test_share, own.seed)
        validation_share /= 1 - own.test_share
    if not by_split["validation"]:
        by_split["train"], by_split["validation"] = _hold_out(by_split["train"], validation_share, own.seed)
    return by_split


def _hold_out(questions: list[Row], share: float, seed: int) -> tuple[list[Row], list[Row]]:
    """(remaining, held out): a random share of the questions, at least one; both in the original order."""
    size = min(len(questions), max(1, round(share * len(questions))))
    chosen = {*random.Random(f"own/{seed}").sample(range(len(questions)), size)}
    remaining = [row for i, row in enumerate(questions) if i not in chosen]
    return remaining, [row for i, row in enumerate(questions) if i in chosen]
