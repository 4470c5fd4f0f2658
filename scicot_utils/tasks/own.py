"""A user's own benchmark: rows of any table file, converted to the questions table by the columns that a recipe names.

A file names its right options by label, by text or by place. Which of these holds is decided once for the whole file:
the one way that fits its rows. If two ways fit and disagree on the right options, the recipe must say which
(`answer_is`).
"""

import functools
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from scicot_utils import paths
from scicot_utils.recipe import Own
from scicot_utils.tables import Row
from scicot_utils.tasks import files, options
from scicot_utils.tasks.entries import SPLITS, TRUTH, RowFault, TaskError, question_row
from scicot_utils.tasks.files import text
from scicot_utils.tasks.options import ANSWER_FORMS, LABELS, RawQuestion

SAME = 0.9  # share of rows with the right option in one place from which that place is the file's doing
ANSWER_MARK = re.compile(r"#{4,}|\\boxed ?\{")  # before the answer at the end of a worked solution
NUMBER = re.compile(r"-?\$?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?")
# What to do about a missing column: of a table, of nested rows, of the answers
HEADER = "; its first line must name the columns, with commas or tabs between; without names, they are '1', '2', …"
NESTED = "; what each item of a list holds is reached with a star, as in questions.*.stem"
NO_ANSWERS = (
    "; if answers are in another file, join the two, or put it beside as train-labels.lst, with a line for each row, and "
    "name the folder and the column label; if those of a split are not published, leave its file out"
)
Converter = Callable[[RawQuestion], Row]  # raises RowFault for a question that is none


def read(name: str, own: Own, left_out: Counter[str] | None = None) -> dict[str, list[Row]]:
    """Split → rows {id, question, choices, answer} of a user's own benchmark, in the order of its file.

    Raises TaskError, one line, with the file, the row and what is allowed. With `faulty: drop`, it leaves such rows out
    instead and counts them in `left_out`.
    """
    or_leave_out = functools.partial(_or_leave_out, own, Counter() if left_out is None else left_out)
    questions: list[RawQuestion] = []
    columns = [*filter(None, (*_question_columns(own), own.answer, own.id, own.split, *_option_columns(own)))]
    for file, split_of_file, prefix in files.at(name, paths.expand(own.path)):
        if own.split and split_of_file:
            raise TaskError(f"{name}: found split: {own.split}, but {file.name} is of {split_of_file}; leave split out")
        hints = {"": HEADER if files.form(file) in (".csv", ".tsv") else NESTED, own.answer: NO_ANSWERS}
        # Beside a file that is named alone, none is read: the content of what a recipe names says if a run is up to date.
        for number, row in files.read(name, file, _question_columns(own), bool(prefix) and own.answer == "label"):
            source, split = f"{name}: {file.name}, row {number}", split_of_file
            with or_leave_out(source, split):
                for place, cells in files.questions_of(source, row, columns, hints):
                    split = split_of_file or _split_of(own, cells)
                    with or_leave_out(source, split):
                        questions.append(_parse(source, own, cells, f"{prefix}{number:05d}", place, split))
    for split in SPLITS:
        of_split = [question for question in questions if question.split == split]
        if of_split and all(question.gold is None and question.answer in ("", "-1") for question in of_split):
            fault = "has an answer, as where publishers keep those of their test set back"
            raise TaskError(
                f"{name}: no question of split {split} {fault}; leave that split out, and call another one test"
            )
    is_open = not own.options and not own.answer_set
    questions, convert = _open(name, own, questions) if is_open else _with_options(own, questions)
    converted, sharing = [], Counter(question.passage for question in questions)
    for question in questions:
        with or_leave_out(f"{question.source} (id {question.id})", question.split):
            is_passage = question.passage and sharing[question.passage] < len(questions) / 2  # or else an instruction
            converted.append((question.split, question.passage if is_passage else question.group, convert(question)))
    by_split = files.divided(converted, own.test_share, own.validation_share, own.seed)
    if empty := [split for split in SPLITS if not by_split[split]]:
        raise TaskError(
            f"{name}: no question of split {', '.join(empty)} in {own.path}; needed: each of {', '.join(SPLITS)}; where no "
            "row names its split, they are divided by shares, those of one row or passage together"
        )
    return by_split


@contextmanager
def _or_leave_out(own: Own, left_out: Counter[str], source: str, split: str) -> Iterator[None]:
    """Raise a row's fault as a TaskError, or count the row in its split if the recipe drops such rows. One that has no
    split yet, as in a file that is divided by shares, counts as one of train.
    """
    try:
        yield
    except RowFault as error:
        if own.faulty == "stop":
            raise TaskError(f"{source}: {error}; fix the row, or leave such rows out with faulty: drop") from None
        left_out[split or "train"] += 1


def _question_columns(own: Own) -> list[str]:
    return [own.question] if isinstance(own.question, str) else own.question


def _option_columns(own: Own) -> list[str]:
    return [*filter(None, map(str.strip, own.options.split(",")))]


def _split_of(own: Own, cells: Row) -> str:
    """The split in a row's column; '' if the recipe names no such column. Raises RowFault for an unknown split."""
    if not own.split or (split := files.split_in(text(cells[own.split]))):
        return split if own.split else ""
    raise RowFault("its split is called neither train, validation (dev) nor test")


def _parse(source: str, own: Own, cells: Row, default_id: str, place: files.Place, split: str) -> RawQuestion:
    """A question as in its file. Raises RowFault if its id or question is empty, or a value is no text."""
    # A list of texts is a passage in parts, or a dialogue.
    asked = {column: cells[column] for column in _question_columns(own)}
    asked = {column: " ".join(map(text, cell if isinstance(cell, list) else [cell])) for column, cell in asked.items()}
    columns = _option_columns(own)
    first: dict[str, int] = {}  # of several columns with options → the index of its first one
    if len(columns) > 1:
        labels, texts, first = options.of_columns({column: cells[column] for column in columns})
        if own.answer in first and isinstance(right := cells[own.answer], list) and len(right) != 1:
            raise RowFault(f"its answer's column holds {len(right) or 'no'} options, allowed: one")
    elif not columns:
        labels, texts = [], own.answer_set
    elif columns[0] in asked:  # listed in the question's text
        asked[columns[0]], labels, texts = options.split_listed(asked[columns[0]])
    else:
        held = cells[columns[0]]
        if isinstance(held, Mapping):  # beside an answer that it holds, too
            held = {key: cell for key, cell in held.items() if f"{columns[0]}.{key}" != own.answer}
        labels, texts = options.read(held, columns == [own.answer])
    if not (identifier := text(cells[own.id]) if own.id else default_id):
        raise RowFault("its id is empty")
    identifier = identifier if ".*" in own.id else "-".join((identifier, *place))
    question = " ".join(" ".join(asked.values()).split())
    if not question:
        raise RowFault("the question is empty")
    answer = cells[own.answer]
    answer = answer[0] if isinstance(answer, list) and len(answer) == 1 else answer
    gold = first[own.answer] if own.answer in first else options.scored(answer, texts)
    answer = text(answer) if gold is None else ""
    answer = labels[first[answer]] if answer in first and labels else answer
    if own.answer_set:
        names = (answer.casefold(), TRUTH.get(answer.casefold()))
        answer = next((option for option in own.answer_set if option.casefold() in names), answer)
    if (labelled := options.LABELLED.fullmatch(answer)) and labelled[2] in texts:
        answer = labelled[2]
    # Columns with fewer stars than others hold a passage that questions share; of several alike, so do all but the last.
    stars = {column.count(".*") for column in asked}
    shared = [cell for column, cell in asked.items() if column.count(".*") == min(stars)]
    passage = " ".join(" ".join(shared if len(stars) > 1 else shared[:-1]).split())
    group = f"{source} {place[: min(stars)]}"
    return RawQuestion(source, identifier, question, answer, group, split, labels, texts, gold, passage)


# ── From questions as in their file to rows of the questions table ──────────────────────────────────────────────


def _with_options(own: Own, questions: list[RawQuestion]) -> tuple[list[RawQuestion], Converter]:
    """The questions, and how each becomes a row: if its answer is one of its options. If scores or columns have the right
    one in the same place of most questions, their options are shuffled.
    """
    are_columns = "," in own.options
    numbers = {question.answer for question in questions}
    are_places = own.answer_is or ("2" in numbers and "0" not in numbers)
    if not are_places and {*map(str.casefold, own.answer_set)} in ({*TRUTH}, {*TRUTH.values()}):
        no, yes = sorted(own.answer_set, key=str.casefold)  # or false and true
        words = {"0": no, "0.0": no, "1": yes, "1.0": yes}
        questions = [replace(question, answer=words.get(question.answer, question.answer)) for question in questions]
    named = [question for question in questions if question.gold is None]
    gold_index = ANSWER_FORMS[own.answer_is or options.answer_form(named, are_columns)]
    golds = Counter(question.gold for question in questions if question.gold is not None)
    if golds and max(golds.values()) >= SAME * golds.total():
        questions = [question if question.gold is None else _shuffled(question) for question in questions]

    def convert(question: RawQuestion) -> Row:
        gold = gold_index(question) if question.gold is None else question.gold
        texts = [*filter(None, question.texts)] if are_columns else question.texts
        if gold is None and question.answer and question.texts.count(question.answer) > 1:
            raise RowFault(f"two equal options, '{question.answer}'")
        if gold is None:
            raise RowFault(f"its answer '{question.answer}' names none of its {len(question.texts)} options")
        if not question.texts[gold]:
            raise RowFault("its answer names an option that is empty")
        if "" in texts:
            raise RowFault("an option is empty")
        if not 2 <= len(texts) <= len(LABELS):
            raise RowFault(f"found {len(texts)} options, allowed: 2 to {len(LABELS)}")
        if len(set(texts)) < len(texts):
            raise RowFault("two equal options")
        answer = LABELS[texts.index(question.texts[gold])]
        return question_row(question.id, question.question, answer, LABELS[: len(texts)], texts)

    return questions, convert


def _shuffled(question: RawQuestion) -> RawQuestion:
    """A question with its options in an order drawn from its id."""
    order = list(range(len(question.texts)))
    random.Random(f"own/{question.id}").shuffle(order)
    return replace(question, texts=[question.texts[index] for index in order], gold=order.index(question.gold))


def kind_of(answer: str) -> str:
    """The kind of an open answer: yes_no, number or word; '' for one that could not be read from a text."""
    if answer.lower() in ("yes", "no", *TRUTH):
        return "yes_no"
    if NUMBER.fullmatch(answer):
        return "number"
    return "word" if re.fullmatch(r"[^\W\d_]\S*", answer) else ""


def _open(name: str, own: Own, questions: list[RawQuestion]) -> tuple[list[RawQuestion], Converter]:
    """The questions, and how each becomes a row: if its answer is of the file's kind. Raises TaskError where the answers
    do not say what they are.
    """
    questions = [replace(question, answer=_final(question.answer)) for question in questions]
    marks = {options.bare(question.answer) for question in questions} - {""}
    are_labels = bool(marks) and marks <= {*LABELS, *"12345678"}
    are_listed = are_labels and all(options.LISTED.search(question.question) for question in questions)
    if are_listed or (are_labels and marks <= {*LABELS[:10]} and not own.answers):
        raise TaskError(
            f"{name}: its answers are labels of options that {'its questions list in their text' if are_listed else 'are not named'}, "
            "as in '(A) … (B) …'; allowed: that column as options, too, or options in columns of their own, or in one with a list"
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
    kind = own.answers or next(iter(kinds), "")

    def convert(question: RawQuestion) -> Row:
        answer = {"1": "yes", "0": "no"}.get(question.answer, question.answer) if kind == "yes_no" else question.answer
        if kind_of(answer) != kind or not kind:
            wanted = kind.replace("_", " or ") or "word, number, or yes or no"
            raise RowFault(f"its answer '{question.answer[:80]}' is no {wanted} that could be read from a text")
        if kind == "yes_no":
            answer = TRUTH.get(answer.lower(), answer.lower())
        elif kind == "number":
            answer = answer.removesuffix(".0")  # as pandas writes whole numbers
        return question_row(question.id, question.question, answer)

    return questions, convert


def _final(answer: str) -> str:
    """What follows the last mark of a worked solution as GSM8K's, `… #### 18`, or MATH's, `… \\boxed{18}.`, without a line
    that says it once more, as in MetaMathQA; any other answer as it is.
    """
    *before, last = ANSWER_MARK.split(answer)
    final, _, repetition = last.partition("}")[0].strip().partition("\n")
    is_final = before and "{" not in last and last.count("}") < 2 and (not repetition or final.strip() in repetition)
    return final.strip() if is_final else answer
