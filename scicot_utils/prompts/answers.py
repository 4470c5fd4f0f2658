"""Kinds of answers, and how an answer is read from a text. No other module knows the kinds.

A task declares its kind (`tasks.Task.answers`). `read_answer` is strict: it reads an answer only if the text names
exactly one. `read_conclusion` reads the conclusion of another model's text. `cleanse` is Fine-tune-CoT's own reading
with all its pitfalls, for comparison with its figures.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from scicot_utils import ScicotError, tasks
from scicot_utils.recipe import OWN
from scicot_utils.tables import Row

LETTERS = "ABCDEFGH"
NUMBER = re.compile(r"(?<![\w.])-?\$?(?:\d{1,3}(?:,\d{3})+(?![\d,]\d)|\d+)(?:\.\d+)?")
CLOSE = 1e-6  # distance up to which Fine-tune-CoT's floats count as equal


class PromptError(ScicotError):
    """A template cannot show a question, or a prompt shows none."""


# ── Options ─────────────────────────────────────────────────────────────────────────────────────────────────────


def options(question: Row) -> list[tuple[str, str]]:
    """(letter, text) of every option. Letters start at A, whatever the benchmark's labels are. Raises PromptError for
    fewer than 2 or more than 8 options.
    """
    texts = question["choices"]["text"]
    if not 2 <= len(texts) <= len(LETTERS):
        raise PromptError(f"question {question['id']}: found {len(texts)} options, allowed: 2 to {len(LETTERS)}")
    return list(zip(LETTERS, texts, strict=False))


def option_text(question: Row, label: str) -> str:
    """The text of the option with the benchmark's label `label`."""
    return question["choices"]["text"][question["choices"]["label"].index(label)]


def letter(question: Row, label: str) -> str:
    """The letter under which the option with the benchmark's label is shown."""
    return LETTERS[question["choices"]["label"].index(label)]


Read = tuple[str, str]  # an answer and the rule by which it was read; ("", "") where none was
UNREAD = ("", "")


def _read_option(question: Row, text: str) -> Read:
    """The option that `text` names: by its exact words, else by a letter in brackets, else by a letter alone, else by
    its words in any case and punctuation.

    Exact words come first, since options may read "WW" and "Ww", "+2" and "-2", "gram (g)" or "C". A bare letter counts
    only if it is the whole text, so the article "A" is never taken for an answer.
    """
    labelled = list(zip(question["choices"]["label"], question["choices"]["text"], strict=True))
    for form in (str.strip, lambda words: words.strip().casefold()):
        matching = [label for label, option in labelled if form(option) == form(text)]
        if len(matching) == 1 and text.strip():
            return matching[0], "the option's very words"
    shown = dict(zip(LETTERS, question["choices"]["label"], strict=False))
    bare = re.fullmatch(r"\s*([A-Ha-h])[.:)]?\s*", text)  # lower case: some students' tokenizers have no capitals
    for found, rule in ((re.search(r"\(([A-Ha-h])\)", text), "a letter in brackets"), (bare, "a letter alone")):
        if found:
            label = shown.get(found[1].upper(), "")
            return (label, rule) if label else UNREAD
    wanted = _squeeze(text)
    matching = [label for label, option in labelled if wanted and _squeeze(option) == wanted]
    return (matching[0], "the option's words") if len(matching) == 1 else UNREAD


def _letters_anywhere(question: Row, text: str) -> list[str]:
    allowed = _task(question).letters or LETTERS[: len(question["choices"]["label"])]
    shown = dict(zip(LETTERS, question["choices"]["label"], strict=False))
    return [shown.get(mark, "") for mark in re.findall(f"[{allowed}]", text)]


# ── Numbers ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _read_number(question: Row, text: str) -> Read:
    """The one number that `text` names, however often; none if there are several. "39.0" and "$39" are read as "39"."""
    gold, named = dict.fromkeys(numbers(question["answer"]), question["answer"]), numbers(text)
    if len(named) != 1:
        return UNREAD
    value = named.pop()
    return gold.get(value, f"{value.normalize():f}"), "the one number"


def numbers(text: str) -> set[Decimal]:
    """The values of all numbers in a text."""
    return {Decimal(re.sub(r"[$,]", "", found)) for found in NUMBER.findall(text)}


def _numbers_anywhere(question: Row, text: str) -> list[str]:
    gold = question["answer"].replace(",", "")
    found = re.findall(r"-?\d+(?:\.\d+)?", text.replace(",", ""))
    if _task(question).compared_as == "text":
        return [question["answer"] if number == gold else number for number in found]
    return [question["answer"] if abs(float(number) - float(gold)) <= CLOSE else number for number in found]


# ── Yes or no, and single words ─────────────────────────────────────────────────────────────────────────────────


def _read_yes_no(question: Row, text: str) -> Read:
    """yes or no, if `text` has exactly one of these words."""
    found = set(re.findall(r"\b(?:yes|no)\b", text.lower()))
    return (found.pop(), "the one of yes and no") if len(found) == 1 else UNREAD


def _yes_no_anywhere(question: Row, text: str) -> list[str]:
    return [word for word in re.sub(r"[\"'\n.\s:,]", " ", text.lower()).split(" ") if word in ("yes", "no")]


def _read_word(question: Row, text: str) -> Read:
    """The only quoted text, else the text if it is a single word. Case and final punctuation are ignored."""
    quoted = {found.strip() for found in re.findall(r"[\"“]([^\"“”]+)[\"”]", text)}
    word = quoted.pop() if len(quoted) == 1 else text
    word = word.strip().strip("\"'“”.,:;!?").strip()
    if not re.fullmatch(r"\S+", word):
        return UNREAD
    rule = "the one word in quotation marks" if quoted else "the one word"
    return (question["answer"] if word.casefold() == question["answer"].casefold() else word), rule


def _text_as_word(question: Row, text: str) -> list[str]:
    return [re.sub(r"[\"'\n.\s]", "", text)]


# ── Kinds ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Kind:
    """A kind of answer. `read` is the strict reading. `anywhere`: all candidates of Fine-tune-CoT's reading, in order.

    `among`: every possible answer, if there are few and the question lists none.
    """

    read: Callable[[Row, str], Read]
    anywhere: Callable[[Row, str], list[str]]
    among: tuple[str, ...] = ()


KINDS = {
    "option": Kind(_read_option, _letters_anywhere),
    "number": Kind(_read_number, _numbers_anywhere),
    "yes_no": Kind(_read_yes_no, _yes_no_anywhere, ("yes", "no")),
    "word": Kind(_read_word, _text_as_word),
}


def _task(question: Row) -> tasks.Task:
    return tasks.TASKS.get(question.get("dataset", ""), tasks.TASKS[tasks.EMBEDDED])


def _own(question: Row) -> bool:
    return question.get("dataset", "").startswith(OWN) and not question.get("choices", {}).get("label", True)


def _kind(question: Row) -> Kind:
    return KINDS[_kind_name(question)]


def _kind_name(question: Row) -> str:
    """The kind of a question's answer. For open answers of a user's own benchmark, it follows from the gold answer."""
    return tasks.kind_of(question["answer"]) if _own(question) else _task(question).answers


def has_options(question: Row) -> bool:
    """Whether the answer is one of the question's options. Open answers have none to show, rank or exchange."""
    return _kind(question) is KINDS["option"]


def possible(question: Row) -> list[str]:
    """Every answer that can be guessed: the options' labels, or yes and no; [] if there is no limit to them."""
    return list(question["choices"]["label"] if has_options(question) else _kind(question).among)


def answer_text(question: Row, answer: str) -> str:
    """An answer in words: its option's text, or an open answer itself."""
    return option_text(question, answer) if has_options(question) else answer


def has_number(question: Row) -> bool:
    """Whether the answer is a number."""
    return _kind(question) is KINDS["number"]


def shown_answer(question: Row, answer: str) -> str:
    """An answer as prompts name it: its option's letter in brackets, or an open answer itself."""
    return f"({letter(question, answer)})" if has_options(question) else answer


def read_by(question: Row, text: str) -> Read:
    """The one answer that `text` names, and the rule that read it; both '' if there is none. The answer is the
    benchmark's label of an option, or an open answer in the benchmark's spelling.
    """
    return _kind(question).read(question, text)


def read_conclusion(question: Row, words: str) -> Read:
    """What the words of a conclusion in another model's text (`conclusions`) mean: an answer and the rule that read it,
    or '' and the reason, one of WHY_NOT.

    It never guesses. A second answer, a denial, a correction, or anything beside the answer except a reason for it
    makes the conclusion unreadable.
    """
    words = words.strip()[:LONGEST]
    said = words.rstrip(" .\"'”’}]").lstrip(" \"'“‘{[")
    if not said:
        return "", NOTHING_SAID
    if re.search(r"\b(?:that|this|it)(?:'s| is) (?:wrong|incorrect|not right|not correct)\b", said, re.IGNORECASE):
        return "", SEVERAL
    kind = _kind_name(question)
    found = CONCLUDED[kind](question, words if kind == "word" else said)
    if found == UNREAD:
        several = DENIED.search(said) or len(set(re.findall(r"(?<![A-Za-z])[A-H](?![A-Za-z])", said))) > 1
        return "", SEVERAL if several else NOT_UNDERSTOOD
    return found


NO_CONCLUSION, NOTHING_SAID = "no conclusion", "a cue without an answer"
SEVERAL, NOT_UNDERSTOOD = "several answers, or a denial", "an answer that is none of its kind"
WHY_NOT = (NO_CONCLUSION, NOTHING_SAID, SEVERAL, NOT_UNDERSTOOD)
LONGEST = 300  # characters of a conclusion that are read
DENIED = re.compile(
    r"\b(?:not|never|neither|nor|none|either|both|cannot|can't|isn't|unlikely|anything but|or|and)\b", re.IGNORECASE
)
SURELY = re.compile(
    r"(?:(?:most |very )?(?:likely|probably|technically|definitely|clearly|certainly|simply|indeed|therefore|thus|obviously|option|choice|"
    r"letter|that it is|that|therefore)[,:]?\s+)+", re.IGNORECASE,
)  # fmt: skip
REASON = re.compile(r"[\s,;:.(–—-]*(?:because|since|as|which|due to|given that|for the reason)\b", re.IGNORECASE)
CORRECTED = re.compile(
    r"\b(?:but|however|though|although|wait|actually|mistake|rather|instead|unless|if|no|not)\b", re.IGNORECASE
)
RETRACTED = re.compile(
    r"\b(?:but|however|wait|mistake|error|kidding|(?:which|that|this) is (?:wrong|incorrect|not)|as opposed)\b|\bno\b[,.;: ]*(?:it|[A-H]\b|wait)",
    re.IGNORECASE,
)
LETTER_FIRST = re.compile(r"[(\[]?([A-Ha-h])(?:[)\]](?P<apart>)|(?![A-Za-z0-9'’]))\s*(?P<rest>.*)", re.DOTALL)
LETTER_LAST = re.compile(r"(?P<text>.+?)[\s,]*[(\[]([A-Ha-h])[)\]]\.?", re.DOTALL)


def _plainly(said: str) -> str:
    """`said` without words of certainty before it, and without the quotation marks behind them."""
    surely = SURELY.match(said)
    return said[surely.end() :].lstrip(" \"'“‘([").rstrip(" .\"'”’") if surely else said


def _option_concluded(question: Row, said: str) -> Read:
    said = _plainly(said)
    shown = dict(options(question))
    labels = dict(zip(shown, question["choices"]["label"], strict=True))
    as_words = [mark for mark, text in shown.items() if _same(text, said)]
    if len(as_words) == 1 and (as_words[0] == said.strip(" .").upper() or said.strip(" .()[]").upper() not in shown):
        return labels[as_words[0]], "the option's words"
    first = LETTER_FIRST.fullmatch(said)
    if first and first[1].upper() in shown:
        mark, rest = first[1].upper(), first["rest"].strip()
        bare = rest.lstrip(" .,:;–—-)").rstrip(" .")
        conflict = [
            other
            for other, text in shown.items()
            if other != mark and (_squeeze(text) == mark.lower() if not bare else _same(text, bare))
        ]
        if conflict:
            return UNREAD
        if not bare:
            return labels[mark], "a letter" if first["apart"] is None else "a letter in brackets"
        if "?" in rest:
            return UNREAD
        own, behind = _squeeze(shown[mark]), _squeeze(bare)
        if own and (behind == own or (behind.startswith(f"{own} ") and not _others(bare, shown, mark))):
            return labels[mark], "a letter before its option's words"
        if not RETRACTED.search(rest) and (
            REASON.match(rest) or re.match(r"[,;]? ?(?:not|rather than|instead of)\b", rest)
        ):
            return labels[mark], "a letter with a reason"
        sentence = re.match(r"[.!]\s+(?!I (?:need|will|have|must)\b|We \b|Let\b|First\b)[A-Z(\[]", rest)
        if sentence and not CORRECTED.search(rest) and not _others(bare, shown, mark):
            return labels[mark], "a letter at the end of a sentence"
        return UNREAD
    last = LETTER_LAST.fullmatch(said)
    if last and last[2].upper() in shown and _same(shown[last[2].upper()], last["text"]):
        return labels[last[2].upper()], "a letter behind its option's words"
    reason = REASON.search(said)
    if reason and len(before := [mark for mark, text in shown.items() if _same(text, said[: reason.start()])]) == 1:
        return labels[before[0]], "the option's words with a reason"
    return UNREAD


def _same(text: str, said: str) -> bool:
    """Whether two texts are one option's words. A leading article and punctuation do not count; signs and digits do."""
    if text.strip().casefold() == said.strip().rstrip(".").casefold():
        return True
    forms = [_squeeze(re.sub(r"^(?:the|a|an) (?=\w\w)", "", one.strip())) for one in (text, said)]
    signs = [re.findall(r"[-+*/%=<>^√°]", one) for one in (text, said)]
    return bool(forms[0]) and forms[0] == forms[1] and signs[0] == signs[1]


def _others(said: str, shown: dict[str, str], mark: str) -> bool:
    """Whether `said` names another option than `mark`, by its letter or by its words."""
    letters = {*re.findall(r"(?<![A-Za-z])[(\[]?([A-H])[)\]]?(?![A-Za-z])", said)} - {
        mark,
        "A" if "(A)" not in said else "",
    }
    padded = f" {_squeeze(said)} "
    return bool(letters & shown.keys()) or any(
        f" {_squeeze(text)} " in padded for other, text in shown.items() if other != mark and _squeeze(text)
    )


TOTAL = re.compile(r"[^=]*\d[^=]*=(?:[^=]*=)? ?([-$]?\d[\d,.]*(?: ?[^\W\d]+){0,2}|[-$]?\d[\d,.]*%)\.?")
NOT_ONE_NUMBER = re.compile(
    r"^\s*[-–]\s+\$?\d|\b(?:million|billion|trillion|thousand|hundred|dozen|half|halves|twice|double|triple|thirds?|quarters?|fifths?|squared|"
    r"cubed|power|root|log|percent more|more than|less than|fewer than|at least|at most|over|under|between|step|times|not|never|neither|nor|cannot|unlikely)\b|[√πΠ^!²³¹⁰-⁹½¼¾≠|_]|"
    r"\\(?:sqrt|frac|pi|times|cdot)|\d\s*[*/×÷x+=<>]\s*|[*/×÷+=<>]\s*\d|\d\s*[-–]\s*\d|\d[A-Za-z]|[A-Za-z][-–]?\d", re.IGNORECASE,
)  # fmt: skip


def _number_concluded(question: Row, said: str) -> Read:
    total = TOTAL.fullmatch(said) or re.fullmatch(r"[A-Za-z]\w{0,2} ?= ?(-?\$?\d[\d,.]*)", said)
    said = total[1] if total and " and " not in said else said
    said = re.sub(r"(?<=\d) ?[ckm]?m(?:²|\^2|³|\^3)", " units", said)
    said = re.sub(r"\b(?:minus|negative) (?=\$?\d)", "-", said, flags=re.IGNORECASE)
    said = re.sub(r"(?<![\d.])\.(?=\d)", "0.", said)
    return UNREAD if NOT_ONE_NUMBER.search(said) else _read_number(question, said)


def _yes_no_concluded(question: Row, said: str) -> Read:
    found = re.match(
        r"(yes|no|true|false)\b(?P<rest>.*)",
        _plainly(said),
        re.IGNORECASE | re.DOTALL,
    )
    if not found or not re.match(r"\s*(?:$|[.,;:!–—(-]|because\b|since\b|as\b)", found["rest"]):
        return UNREAD
    word, rest = tasks.TRUTH.get(found[1].lower(), found[1].lower()), found["rest"]
    reason = REASON.match(rest) or re.match(r"[\s,;:.]*not\b", rest)
    other = re.search(r"\b(?:no|false)\b" if word == "yes" else r"\b(?:yes|true)\b", rest, re.IGNORECASE)
    denied = word == "yes" and re.search(r"\b(?:not|impossible|cannot)\b|n't\b", rest) and not reason
    if RETRACTED.search(rest) or denied:
        return UNREAD
    corrected = re.match(
        r"[\s,;:.!–—-]*(?:but|however|wait|actually|though|unless|if|or|and|maybe)\b", rest, re.IGNORECASE
    )
    return UNREAD if corrected or (other and not reason) else (word, "its first word")


UNSURE = {"uncertain", "unclear", "unknown", "impossible", "undefined", "none", "nothing", "n/a"}


def _word_concluded(question: Row, said: str) -> Read:
    quoted = re.findall(r"[\"“']([^\"“”']+)[\"”']", said)
    word = said if not quoted else quoted[0] if len(quoted) == 1 else ""
    beside = said.replace(word, "") if quoted else ""
    if not word or word.strip(" .").lower() in UNSURE or len(beside.split()) > 4 or DENIED.search(beside):
        return UNREAD
    return _read_word(question, word)


CONCLUDED: dict[str, Callable[[Row, str], Read]] = {
    "option": _option_concluded, "number": _number_concluded, "yes_no": _yes_no_concluded, "word": _word_concluded,
}  # fmt: skip


def read_answer(question: Row, text: str) -> str:
    """The one answer that `text` names, as in `read_by`; '' if there is none."""
    return read_by(question, text)[0]


def cleanse(question: Row, text: str, cue: str = "") -> str:
    """The answer in `text` as Fine-tune-CoT reads it, from the code of Ho et al. (reasoning-teacher, `evaluator`).

    Without a cue, it is the first candidate. With a cue, it is the first one after the cue, or the last of all if the
    cue is missing. A letter counts wherever it stands, so the article "A" is an answer. In some tasks numbers are
    compared as text (`tasks.Task.compared_as`), so "39.0" is not "39".
    """
    _, found, after = text.partition(cue) if cue else ("", True, text)
    candidates = _kind(question).anywhere(question, after if found else text)
    return (candidates[0] if found else candidates[-1]) if candidates else ""


def _squeeze(text: str) -> str:
    return re.sub(r"\W+", " ", text.lower()).strip()
