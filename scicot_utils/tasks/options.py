"""How a row holds the options of its question, and how an answer names one of them.

Options are a list, a mapping, or a text of one; nothing here knows of files or splits.
"""

import ast
import functools
import io
import itertools
import json
import re
import string
import tokenize
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scicot_utils import rows
from scicot_utils.tasks.entries import RowFault, TaskError
from scicot_utils.tasks.files import text

LABELS = string.ascii_uppercase
# Options in a question's text: "Which flies? (A) raft (B) robin", or A. raft B. robin
LISTED = re.compile(  # from the first A to the last B, with no way back, since a text may be long
    r"\A(?>.*?\([A1]\)).+\([B2]\)|\A(?>.*?(?:^|\s)[Aa] ?[).．、:]).+\s[Bb] ?[).．、:]", re.DOTALL
)
OPTIONS_CUE = re.compile(r"(?<!\s)\s*\b(?:answer )?(?:options|choices):?\s*$", re.IGNORECASE)  # before the options
ANSWER_CUE = re.compile(r"(?i)(?<!\s)\s+(?:(?:a|answer) ?:\s*|(?<=\n)(?:please )?answer with .*)$")  # after them
LIST_CUE = re.compile(r"[?:？：]\s*$|\n[^\S\n]*$")  # between letters in a question and its options
# An option with its label: "A)21", "(B) No", "C. fish", "D、魚".
LABELLED = re.compile(r"[(（]?([A-Za-z]) ?[).:）．、：]\s*(.+)", re.DOTALL)
# Before each option of a text: "a ) 38 , b ) 27.5"; or, where no letters are, numbers as in "(1) 38 (2) 27.5"
LETTERED = re.compile(r"(?<![^\s,])(\(?)([A-Za-z]) ?([).．、])\s*")
NUMBERED = re.compile(r"(?<![^\s,])(\(?)([1-9]) ?(\))\s*")


@dataclass
class RawQuestion:
    """A question as in its file. `source`: benchmark, file and row, for messages. `group`: equal for questions of one
    row's passage. `labels`: its own labels, or []. `texts`: all option texts, '' for an empty column. `gold`: the index
    of the right option, where scores give it, and not an answer. `passage`: its text; '' if there is none.
    """

    source: str
    id: str
    question: str
    answer: str
    group: str
    split: str = ""
    labels: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    gold: int | None = None
    passage: str = ""


def bare(label: str) -> str:
    """A label without its brackets and points."""
    return label.strip("().:（）．、： ")


def read(value: Any, are_scored: bool = False) -> tuple[list[str], list[str]]:
    """(own labels or [], texts) of options: a list, a mapping, {label: […], text: […]}, [{label, text}], or a text of one
    of these. Those that `are_scored` may also be {text: score} or [{text, score}]. Raises RowFault for anything else.
    """
    value = _from_text(value) if isinstance(value, str) else rows.as_list(value)
    labels, texts = [], value
    if isinstance(value, Mapping) and {"label", "text"} <= value.keys():
        labels, texts = rows.as_list(value["label"]), rows.as_list(value["text"])
    elif isinstance(value, Mapping) and {"choices", "labels"} <= value.keys():
        texts = rows.as_list(value["choices"])
    elif isinstance(value, Mapping) and are_scored:
        texts = list(value)
    elif isinstance(value, Mapping):
        value = {label: cell for label, cell in value.items() if cell is not None}  # as Parquet fills shorter ones
        labels, texts = list(value.keys()), list(value.values())
    elif value and rows.are_objects(value, list):
        labels, texts = _of_objects(value, are_scored)
    if not isinstance(texts, list) or not isinstance(labels, list):
        raise RowFault(f"its options are {type(value).__name__}; allowed: a list, a mapping, or columns by comma")
    labels, texts = [bare(text(label)) for label in labels], [text(option) for option in texts]
    labels = labels if any(labels) else []
    if labels and ("" in labels or not len({label.casefold() for label in labels}) == len(labels) == len(texts)):
        listed = ", ".join(labels)
        raise RowFault(f"found {len(texts)} options with the labels {listed}, allowed: one of its own for each")
    return _without_labels(labels, texts)


def of_columns(cells: dict[str, Any]) -> tuple[list[str], list[str], dict[str, int]]:
    """(labels, texts, column → index of its first text) of options in columns, each with one or a list of them. A label is
    what differs in the names of columns.
    """
    several = [[text(option) for option in (cell if isinstance(cell, list) else [cell])] for cell in cells.values()]
    first = dict(zip(cells, itertools.accumulate(map(len, several), initial=0), strict=False))
    letters = enumerate(zip(*cells, strict=False))
    prefix = next((length for length, same_place in letters if len({*same_place}) > 1), 0)
    labels = [column[prefix:] for column in cells] if all(len(texts) == 1 for texts in several) else []
    return *_without_labels(labels, [option for texts in several for option in texts]), first


def _of_objects(options: list[dict[str, Any]], are_scored: bool) -> tuple[list[Any], list[Any]]:
    """(labels or [], texts) of options that are objects. A label is called `label`, or is the letter of its option. The
    text is called `text`; or it is all that is left beside a letter, or the only text beside a score.
    """
    letters, keys = {*LABELS[: len(options)]}, options[0].keys() - {"text"}
    lettered = [key for key in keys if {bare(str(option.get(key))).upper() for option in options} == letters]
    label = min(lettered, default="") if "label" not in keys or are_scored else "label"
    left = [key for key in options[0] if key != label and (not are_scored or isinstance(options[0][key], str))]
    name = left[0] if len(left) == 1 and (are_scored or lettered) else "text"
    if not all(name in option for option in options):
        return [], options
    return [option.get(label) for option in options], [option[name] for option in options]


def scored(value: Any, texts: list[str]) -> int | None:
    """The index of the only 1 among the scores of a row's options: a list, a mapping's values, {choices, labels}, the
    only key of [{text, correct}] that holds scores, or a text of one of these; None for any other answer, such as an
    option that is an interval, `[0, 1]`. Raises RowFault for scores that are not one 1, and 0 for every other option.
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
    if scores and rows.are_objects(scores, list):
        cells = [[option.get(key) for option in scores] for key in scores[0]]
        cells = [column for column in cells if all(isinstance(cell, int | float) and cell in (0, 1) for cell in column)]
        scores = cells[0] if len(cells) == 1 else None
    if not texts or not isinstance(scores, list) or not all(isinstance(score, int | float) for score in scores):
        return None
    if len(scores) != len(texts) or not {*map(float, scores)} <= {0, 1} or scores.count(1) != 1:
        raise RowFault(f"its {len(texts)} options have the scores {scores}, allowed: one 1, and 0 for every other")
    return scores.index(1)


def _from_text(listed: str) -> Any:
    """Options or scores from a text: JSON, a list or mapping as Python or NumPy writes it, or `a ) 38 , b ) 27.5` as in
    MathQA.
    """
    for parse in (json.loads, lambda listed: ast.literal_eval(_without_arrays(listed))):
        try:
            return parse(listed)
        except (ValueError, SyntaxError, RecursionError, MemoryError, tokenize.TokenError):
            continue
    return split_listed(listed.strip(), alone=True)[2]


def _without_arrays(listed: str) -> str:
    """A list or mapping as Python writes it, also from one that holds arrays as NumPy writes them: `['a' 'b']`, or
    `array(['a', 'b'], dtype=object)`, as in a CSV file that pandas wrote.
    """
    words: list[str] = []
    for token in tokenize.generate_tokens(io.StringIO(listed.strip()).readline):
        if token.type == tokenize.STRING and words and words[-1][-1] in "'\"":
            words.append(",")
        words += [token.string] if token.string.strip() else []
    arrays = r"(?<![^\0])array\0\(\0(.*?)\0(?:,\0dtype\0=\0[^\0]+\0)?\)"
    return re.sub(arrays, r"\1", "\0".join(words), flags=re.DOTALL).replace("\0", " ")


def _lists(text: str, pattern: re.Pattern[str], labels: str, alone: bool) -> list[list[re.Match[str]]]:
    """The lists of options in a text: for each, the marks of `labels` from the first on, in one style. Of one style, they
    are the last list and longer ones before it.
    """
    of_style: dict[tuple[str, str], list[re.Match[str]]] = {}  # in brackets, with a full stop, …
    for mark in pattern.finditer(text):
        marks = of_style.setdefault((mark[1], mark[3]), [])
        follows = marks and marks[-1].end() == mark.start()
        is_initial = follows and ord(mark[2].upper()) != ord(marks[-1][2].upper()) + 1  # A. I. Newton
        marks += [] if is_initial else [mark]
    lists = []
    for marks in of_style.values():
        starts = [i for i, mark in enumerate(marks) if mark[2].upper() == labels[0]]
        parts = [marks[start:end] for start, end in itertools.pairwise([*starts, len(marks)])]
        whole = [
            part for part in parts if len(part) > 1 and "".join(mark[2] for mark in part).upper() == labels[: len(part)]
        ]
        if whole and whole[-1] is parts[-1]:
            lists += [part for part in whole if part is parts[-1] or len(part) > len(parts[-1])]
    return [marks for marks in lists if not (alone and text[: marks[0].start()].strip())]


def split_listed(text: str, alone: bool = False) -> tuple[str, list[str], list[str]]:
    """(what precedes the options, their letters, their texts) of a text that lists options as `(A) … (B) …` or,
    without letters, as `(1) … (2) …`. A letter A before them, as in `vitamin A.`, is none of theirs; nor is a shorter list
    in the last option, as in `Both (A) and (B)`. `alone`: nothing may precede them. Raises RowFault if it lists none, or
    one kind of letters stands among those of another.
    """
    lists = _lists(text, LETTERED, LABELS, alone) or _lists(text, NUMBERED, string.digits[1:], alone)
    last = max(lists, key=lambda marks: marks[0].start(), default=[])  # initials of names may precede it
    for marks in sorted(lists, key=lambda marks: -marks[0].start()):
        if len(marks) > len(last) and not LIST_CUE.search(text, marks[-1].end(), last[0].start()):
            last = marks
    others = [marks for marks in lists if marks is not last and marks[0].start() < last[-1].start()]
    if not last or any(marks[-1].start() > last[0].start() for marks in others):
        raise RowFault(f"its options are neither a list nor JSON of one, nor listed as (A) … (B) …: {text[:60]!r}")
    ends = [mark.start() for mark in last[1:]]
    texts = [text[mark.end() : end].rstrip().rstrip(",").rstrip() for mark, end in zip(last, ends, strict=False)]
    texts[-1:] = [re.sub(r",?\s+or$", "", option) for option in texts[-1:]]  # (A) snow or (B) ice
    before = text[: last[0].start()].rstrip().rstrip(",")
    texts.append(ANSWER_CUE.sub("", text[last[-1].end() :]).strip())
    return OPTIONS_CUE.sub("", before), [mark[2] for mark in last], texts


def _without_labels(labels: list[str], texts: list[str]) -> tuple[list[str], list[str]]:
    """The same, without the letters A, B, … if every option's text starts with its own: prompts add them."""
    matches = [LABELLED.fullmatch(option) for option in texts]
    if not texts or not all(matches) or "".join(match[1] for match in matches).upper() != LABELS[: len(texts)]:
        return labels, texts
    return labels or [match[1] for match in matches], [match[2] for match in matches]


# ── Answers ─────────────────────────────────────────────────────────────────────────────────────────────────────

# Each of these returns the index of the right option; None if the answer names none in this form.


def _by_label(question: RawQuestion) -> int | None:
    indices = {label.casefold(): index for index, label in enumerate(question.labels)}
    letters = {letter.casefold(): index for index, letter in enumerate(LABELS[: len(question.texts)])}
    if indices.keys().isdisjoint(LABELS[: max(8, len(question.texts))].lower()):
        indices = letters | indices  # columns called option1, option2, … can be named by letters, too
    return indices.get(bare(question.answer).casefold())


def _by_place(question: RawQuestion, first: int = 0) -> int | None:
    number = question.answer.removesuffix(".0")  # as pandas writes numbers of a column with a missing one
    index = int(number) - first if number.isdecimal() and len(number) < 4 else -1
    return index if 0 <= index < len(question.texts) else None


ANSWER_FORMS: dict[str, Callable[[RawQuestion], int | None]] = {
    "label": _by_label,
    "text": lambda asked: asked.texts.index(asked.answer) if asked.texts.count(asked.answer) == 1 else None,
    "place": _by_place,
    "place_from_1": functools.partial(_by_place, first=1),
}


def answer_form(questions: Sequence[RawQuestion], are_columns: bool) -> str:
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
            fault = f"its answer '{question.answer}' could be a {' or '.join(forms)}"
            raise TaskError(f"{question.source} (id {question.id}): {fault}; say which with answer_is")
    return best[0]
