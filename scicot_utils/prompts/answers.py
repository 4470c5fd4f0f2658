"""Kinds of answers, and how an answer is read from a text. No other module knows the kinds.

A task declares its kind (`tasks.Task.answers`). `read_answer` is strict: it reads an answer only if the text names
exactly one. `read_conclusion` reads the conclusion of another model's text. `cleanse` is Fine-tune-CoT's own reading
with all its pitfalls, for comparison with its figures.
"""

import functools
import re
import string
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from scicot_utils import ScicotError, tasks
from scicot_utils.recipe import OWN
from scicot_utils.tables import Row
from scicot_utils.tasks.checks import squeeze

LETTERS = string.ascii_uppercase
# So many letters, A to H, are read of every question; later ones, as the pronoun I, only where it has such options.
USUAL = 8
NUMBER = re.compile(r"(?<![\w.])-?\$?(?:\d{1,3}(?:,\d{3})+(?![\d,]\d)|\d+)(?:\.\d+)?")
CLOSE = 1e-6  # distance up to which Fine-tune-CoT's floats count as equal


class PromptError(ScicotError):
    """A template cannot show a question, or a prompt shows none."""


# ── Options ─────────────────────────────────────────────────────────────────────────────────────────────────────


def options(question: Row) -> list[tuple[str, str]]:
    """(letter, text) of every option. Letters start at A, whatever the benchmark's labels are. Raises PromptError for
    fewer than 2 or more than 26 options.
    """
    texts = question["choices"]["text"]
    if not 2 <= len(texts) <= len(LETTERS):
        raise PromptError(f"question {question['id']}: found {len(texts)} options, allowed: 2 to {len(LETTERS)}")
    return list(zip(LETTERS, texts, strict=False))


def letters_read(question: Row) -> str:
    """The letters that may name an option where a text is read: those of the options, and at least A to H."""
    return LETTERS[: max(USUAL, len(question["choices"]["text"]))]


def option_text(question: Row, label: str) -> str:
    """The text of the option with the benchmark's label `label`."""
    return question["choices"]["text"][question["choices"]["label"].index(label)]


def letter(question: Row, label: str) -> str:
    """The letter under which the option with the benchmark's label is shown."""
    return LETTERS[question["choices"]["label"].index(label)]


Reading = tuple[str, str]  # an answer and the rule by which it was read; UNREAD if there is none
UNREAD = ("", "")


def _labels_by_letter(question: Row) -> dict[str, str]:
    return dict(zip(LETTERS, question["choices"]["label"], strict=False))


def _read_option(question: Row, text: str) -> Reading:
    """The option that `text` names: by its exact words, else by a letter in brackets, else by a letter alone, else by
    its words in any case and punctuation.

    Exact words come first, since options may read "WW" and "Ww", "+2" and "-2", "gram (g)" or "C". A bare letter counts
    only if it is the whole text, so the article "A" is never taken for an answer.
    """
    options_by_label = list(zip(question["choices"]["label"], question["choices"]["text"], strict=True))
    for normalise in (str.strip, lambda words: words.strip().casefold()):
        matches = [label for label, option in options_by_label if normalise(option) == normalise(text)]
        if len(matches) == 1 and text.strip():
            return matches[0], "the option's very words"
    marks = f"[{letters_read(question)}{letters_read(question).lower()}]"  # some students' tokenizers have no capitals
    bracketed = re.search(rf"\(({marks})\)", text)
    alone = re.fullmatch(rf"\s*({marks})[.:)]?\s*", text)
    for match, rule in ((bracketed, "a letter in brackets"), (alone, "a letter alone")):
        if match:
            label = _labels_by_letter(question).get(match[1].upper(), "")
            return (label, rule) if label else UNREAD
    words = squeeze(text)
    matches = [label for label, option in options_by_label if words and squeeze(option) == words]
    return (matches[0], "the option's words") if len(matches) == 1 else UNREAD


def _letters_anywhere(question: Row, text: str) -> list[str]:
    allowed = _task(question).letters or LETTERS[: len(question["choices"]["label"])]
    labels = _labels_by_letter(question)
    return [labels.get(mark, "") for mark in re.findall(f"[{allowed}]", text)]


# ── Numbers ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _read_number(question: Row, text: str) -> Reading:
    """The one number that `text` names, however often; none if there are several. "39.0" and "$39" are read as "39"."""
    values = numbers(text)
    if len(values) != 1:
        return UNREAD
    value = values.pop()
    return (question["answer"] if value in numbers(question["answer"]) else f"{value.normalize():f}"), "the one number"


def numbers(text: str) -> set[Decimal]:
    """The values of all numbers in a text."""
    return {Decimal(re.sub(r"[$,]", "", match)) for match in NUMBER.findall(text)}


def _numbers_anywhere(question: Row, text: str) -> list[str]:
    gold = question["answer"].replace(",", "")
    candidates = re.findall(r"-?\d+(?:\.\d+)?", text.replace(",", ""))
    if _task(question).compared_as == "text":
        return [question["answer"] if number == gold else number for number in candidates]
    return [question["answer"] if abs(float(number) - float(gold)) <= CLOSE else number for number in candidates]


# ── Yes or no, and single words ─────────────────────────────────────────────────────────────────────────────────


def _read_yes_no(question: Row, text: str) -> Reading:
    """yes or no, if `text` has exactly one of these words."""
    words = set(re.findall(r"\b(?:yes|no)\b", text.lower()))
    return (words.pop(), "the one of yes and no") if len(words) == 1 else UNREAD


def _yes_no_anywhere(question: Row, text: str) -> list[str]:
    return [word for word in re.sub(r"[\"'\n.\s:,]", " ", text.lower()).split(" ") if word in ("yes", "no")]


def _read_word(question: Row, text: str) -> Reading:
    """The only quoted text, else the text if it is a single word. Case and final punctuation are ignored."""
    quoted = {match.strip() for match in re.findall(r"[\"“]([^\"“”]+)[\"”]", text)}
    is_quoted = len(quoted) == 1
    word = quoted.pop() if is_quoted else text
    word = word.strip().strip("\"'“”.,:;!?").strip()
    if not re.fullmatch(r"\S+", word):
        return UNREAD
    rule = "the one word in quotation marks" if is_quoted else "the one word"
    return (question["answer"] if word.casefold() == question["answer"].casefold() else word), rule


def _text_as_word(question: Row, text: str) -> list[str]:
    return [re.sub(r"[\"'\n.\s]", "", text)]


# ── Conclusions of another model's text ─────────────────────────────────────────────────────────────────────────


NO_CONCLUSION, EMPTY_CONCLUSION = "no conclusion", "a cue without an answer"
SEVERAL, NOT_UNDERSTOOD = "several answers, or a denial", "an answer that is none of its kind"
UNREAD_REASONS = (NO_CONCLUSION, EMPTY_CONCLUSION, SEVERAL, NOT_UNDERSTOOD)
LONGEST = 300  # characters of a conclusion that are read
DENIED = re.compile(
    r"\b(?:not|never|neither|nor|none|either|both|cannot|can't|isn't|unlikely|anything but|or|and)\b", re.IGNORECASE
)
CERTAINTY = re.compile(
    r"(?:(?:most |very )?(?:likely|probably|technically|definitely|clearly|certainly|simply|indeed|therefore|thus|obviously|option|choice|"
    r"letter|that it is|that|(?:(?:la|die|a) )?(?:opción|opção|opzione|option|alternativa|letra|lettera|lettre|antwort|réponse))[,:]?\s+)+", re.IGNORECASE,
)  # fmt: skip
REASON = re.compile(
    r"[\s,;:.(–—-]*(?:because|since|as|which|due to|given that|for the reason|weil|parce que|puisque|porque|perché|poiché)\b|"
    r"[,;:.(] ?(?:即|因为|由于)", re.IGNORECASE,
)  # fmt: skip
CORRECTED = re.compile(r"\b(?:but|hmm|sorry|never mind|correction|however|though|although|wait|actually|mistake|rather|instead|unless|if|no|not)\b", re.IGNORECASE)  # fmt: skip
DOUBTED = re.compile(  # a correction, what others say, a denial in a sentence of its own, `No. 1`, a double negation
    r"\b(?:but|however|wait|actually|rather|instead|unless|otherwise|alternatively|correction|scratch|hold on|never mind|let me|hmm|sorry|thanks|maybe|mean|meant|would be|should be|joking|kidding|"
    r"mistake\w*|error|wrong|incorrect|not (?:correct|right|true|the case)|cannot be|myth|neither|both|depends?|say|says|said|thinks?|thought|people|students?)\b|(?<=\w )false\b|\?|"
    r"\A\W*or\b|(?<=\W)not?\W*\Z|\n\W*(?:no|not)\b|\A\W*no ?(?:[-–] ?\w|\. ?\d)|(?:\bnot|n['’]t)\b[^.\n]*(?:\bnot|\bcannot|n['’]t|\bdeny)\b", re.IGNORECASE,
)  # fmt: skip
RETRACTED = re.compile(
    r"\b(?:but|however|wait|mistake|error|kidding|(?:which|that|this) is (?:wrong|incorrect|not)|as opposed)\b|\bno\b[,.;: ]*(?:it|[A-H]\b|(?-i:[I-Z])\b|wait)", re.IGNORECASE,
)  # fmt: skip
LETTER_FIRST = re.compile(r"[(\[]?([A-Za-z])(?:[)\]](?P<bracketed>)|(?![A-Za-z0-9'’]))\s*(?P<remainder>.*)", re.DOTALL)
NUMBERED = re.compile(r"\(?(\d{1,2})[.:)] +(?=[^\W\d])")  # an option's number before its words
COUNTS = re.compile(r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten)\b", re.IGNORECASE)
LETTER_LAST = re.compile(r"(?P<text>.+?)[\s,]*[(\[]([A-Za-z])[)\]]\.?", re.DOTALL)


SUPERSCRIPT = re.compile(r"[⁺⁻]?[⁰¹²³⁴-⁹]+[⁺⁻]?|[⁺⁻]")
MATH = {  # LaTeX → plain characters
    r"\\(?:text|math)\w* ?\{([^{}]*)\}": r"\1", r"[−–](?=\d)": "-",
    r"\\[dt]?frac ?\{([^{}]*)\}\{([^{}]*)\}?": r"\1/\2", r"\\sqrt": "√", r"\^?\{?\\circ\}?": "°", r"_\{?(\d+)\}?": r"\1",
    r"(?<=\d) ?(?:\\times|\\cdot|[x*]) ?(?=10\b)": " × ", r"\\(?:times|cdot|left|right|[,;:! ])|[{}~]": " ", r"\\(?=[A-Za-z%])": "",
}  # fmt: skip


def _without_certainty(words: str) -> str:
    """`words` without expressions of certainty before them, and without the quotation marks behind them."""
    match = CERTAINTY.match(words)
    return words[match.end() :].lstrip(" \"'“‘([").rstrip(" .\"'”’") if match else words


def _conclude_option(question: Row, words: str) -> Reading:
    words = _without_certainty(words)
    texts, labels = dict(options(question)), _labels_by_letter(question)
    number = NUMBERED.match(words)
    after_number = {LETTERS[int(number[1]) - 1 : int(number[1])]: words[number.end() :]} if number else {}
    matches = [mark for mark, text in texts.items() if _same(text, words) or _same(text, after_number.get(mark, words))]
    exact = [mark for mark in matches if texts[mark].strip().casefold() == words.strip().rstrip(".").casefold()]
    matches = exact or matches
    if len(matches) == 1 and (matches[0] == words.strip(" .").upper() or words.strip(" .()[]").upper() not in texts):
        return labels[matches[0]], "the option's words"
    first = LETTER_FIRST.fullmatch(words)
    if first and first[1].upper() in texts:
        rule = _letter_rule(first[1].upper(), first["remainder"].strip(), first["bracketed"] is not None, texts)
        return (labels[first[1].upper()], rule) if rule else UNREAD
    last = LETTER_LAST.fullmatch(words)
    if last and last[2].upper() in texts and _same(texts[last[2].upper()], last["text"]):
        return labels[last[2].upper()], "a letter behind its option's words"
    own = words.strip(" .()[]")
    if own.isdecimal() and own in labels.values() and not any(map(COUNTS.search, texts.values())):
        return own, "the benchmark's own label"
    if reason := REASON.search(words):
        matches = [mark for mark, text in texts.items() if _same(text, words[: reason.start()])]
        if len(matches) == 1:
            return labels[matches[0]], "the option's words with a reason"
    return UNREAD


def _letter_rule(mark: str, remainder: str, bracketed: bool, texts: dict[str, str]) -> str:
    """The rule by which an option's letter, followed by `remainder`, is an answer; '' if another may be meant.

    `texts`: letter → option.
    """
    bare = remainder.lstrip(" .,:;–—-)").rstrip(" .")
    other_texts = [text for other, text in texts.items() if other != mark]
    if any(_same(text, bare) if bare else squeeze(text) == mark.lower() for text in other_texts):
        return ""
    if not bare:
        return "a letter in brackets" if bracketed else "a letter"
    if "?" in remainder:
        return ""
    option, words = _form(texts[mark])[0], _form(bare)[0]
    other_named = _names_other(bare, texts, mark)
    starts = words.startswith(f"{option} ") or option == _form(re.split(r"[.!]\s", bare)[0])[0]
    behind = words.removeprefix(option)
    denied = RETRACTED if REASON.match(behind) else DOUBTED
    if option and (option == words or (starts and not other_named and not denied.search(behind))):
        return "a letter before its option's words"
    comma = "," if mark in "AI" else ",?"  # `a car` is no reason
    contrast = re.match(rf"[,;]? ?(?:not|rather than|instead of)\b|{comma} ?(?:da|denn|car)\b(?! (?:or|and) )", remainder)  # fmt: skip
    if (REASON.match(remainder) or contrast) and not RETRACTED.search(remainder):
        return "a letter with a reason"
    end_of_sentence = re.match(
        r"[.!](?=[\u3001-\u9fff])|[.!]\s+(?!I (?:need|will|have|must)\b|We \b|Let\b|First\b)[A-Z(\[]", remainder
    )
    is_whole = end_of_sentence and not CORRECTED.search(remainder) and not other_named
    return "a letter at the end of a sentence" if is_whole else ""


def _same(text: str, words: str) -> bool:
    """Whether two texts are one option's words. A leading article and punctuation do not count; signs and digits do."""
    if text.strip().casefold() == words.strip().rstrip(".").casefold():
        return True
    forms = [_form(text), _form(words)]
    return bool(forms[0][0]) and forms[0] == forms[1]


@functools.lru_cache(4096)
def _form(text: str) -> tuple[str, str]:
    """(words, signs) of a text, the same in LaTeX, with Unicode's superscripts and in plain characters."""
    text = re.sub(r"^(?:the|a|an) (?=\w\w)", "", text.strip())
    text = unicodedata.normalize("NFKC", SUPERSCRIPT.sub(r"^\g<0>", text))
    for pattern, replacement in MATH.items():
        text = re.sub(pattern, replacement, text)
    return re.sub(r"(?<=\d) (?=[^\W\d_])", "", squeeze(text)), "".join(re.findall(r"[-+*/%=<>^√°]", text))


def adds_words(text: str, answer: str) -> bool:
    """Whether a text says more than some of the words of an answer."""
    words = re.sub(r"^\W*[a-z]\W+(?=\w\w)", "", text.lower())  # without a letter before them
    return len(text) > LONGEST or _form(words)[0] not in _form(answer)[0]


def _names_other(words: str, texts: dict[str, str], mark: str) -> bool:
    """Whether `words` name another option than `mark`, by its letter or by its words. `texts`: letter → option."""
    letters = {*re.findall(r"(?<![A-Za-z])[(\[]?([A-Z])[)\]]?(?![A-Za-z])", words)} - {mark}
    letters -= {word for word in "AI" if not re.search(rf"\b{word}(?:[).,:;]|$)", words)}  # the article and the pronoun
    padded = f" {squeeze(words)} "
    return bool(letters & texts.keys()) or any(
        f" {squeeze(text)} " in padded for other, text in texts.items() if other != mark and squeeze(text)
    )


TOTAL = re.compile(r"[^=]*\d[^=]*=(?:[^=]*=)? ?([-$]?\d[\d,.]*(?: ?[^\W\d]+){0,2}|[-$]?\d[\d,.]*%)\.?")
NOT_ONE_NUMBER = re.compile(
    r"^\s*[-–]\s+\$?\d|\b(?:million|billion|trillion|thousand|hundred|dozen|half|halves|twice|double|triple|thirds?|quarters?|fifths?|squared|"
    r"cubed|power|root|log|percent more|more than|less than|fewer than|at least|at most|over|under|between|step|times|not|never|neither|nor|cannot|unlikely)\b|n't\b|[√πΠ^!²³¹⁰-⁹½¼¾≠|_]|"
    r"\\(?:sqrt|frac|pi|times|cdot)|\d\s*[*/×÷x+=<>]\s*|[*/×÷+=<>]\s*\d|\d\s*[-–]\s*\d|\d[A-Za-z]|[A-Za-z][-–]?\d", re.IGNORECASE,
)  # fmt: skip


def _conclude_number(question: Row, words: str) -> Reading:
    total = TOTAL.fullmatch(words) or re.fullmatch(r"[A-Za-z]\w{0,2} ?= ?(-?\$?\d[\d,.]*)", words)
    words = total[1] if total and " and " not in words else words
    words = re.sub(r"(?<=\d) ?[ckm]?m(?:²|\^2|³|\^3)", " units", words)
    words = re.sub(r"\b(?:minus|negative) (?=\$?\d)", "-", words, flags=re.IGNORECASE)
    words = re.sub(r"(?<![\d.])\.(?=\d)", "0.", words)
    return UNREAD if NOT_ONE_NUMBER.search(words) else _read_number(question, words)


def _conclude_yes_no(question: Row, words: str) -> Reading:
    match = re.match(r"(yes|no|true|false)\b(?P<remainder>.*)", _without_certainty(words), re.IGNORECASE | re.DOTALL)
    if not match or not re.match(r"\s*(?:$|[.,;:!–—(-]|because\b|since\b|as\b)", match["remainder"]):
        return UNREAD
    word, remainder = tasks.TRUTH.get(match[1].lower(), match[1].lower()), match["remainder"]
    reason = REASON.match(remainder) or re.match(r"[\s,;:.]*not\b", remainder)
    opposite = re.search(r"\b(?:no|false)\b" if word == "yes" else r"\b(?:yes|true)\b", remainder, re.IGNORECASE)
    denied = word == "yes" and re.search(r"\b(?:not|impossible|cannot)\b|n't\b", remainder)
    corrected = re.match(
        r"[\s,;:.!–—-]*(?:but|however|wait|actually|though|unless|if|or|and|maybe)\b", remainder, re.IGNORECASE
    )
    if RETRACTED.search(remainder) or corrected or ((denied or opposite) and not reason):
        return UNREAD
    return word, "its first word"


UNSURE = {"uncertain", "unclear", "unknown", "impossible", "undefined", "none", "nothing", "n/a"}


def _conclude_word(question: Row, words: str) -> Reading:
    quoted = re.findall(r"[\"“']([^\"“”']+)[\"”']", words)
    if len(quoted) > 1:
        return UNREAD
    word = quoted[0] if quoted else words
    outside = words.replace(word, "") if quoted else ""
    if not word or word.strip(" .").lower() in UNSURE or len(outside.split()) > 4 or DENIED.search(outside):
        return UNREAD
    return _read_word(question, word)


# ── Kinds ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Kind:
    """A kind of answer. `read` is the strict reading, `conclude` that of another model's conclusion, and `candidates`
    finds all candidates of Fine-tune-CoT's reading, in order.

    `values`: every possible answer, if there are few and the question lists none.
    """

    read: Callable[[Row, str], Reading]
    conclude: Callable[[Row, str], Reading]
    candidates: Callable[[Row, str], list[str]]
    values: tuple[str, ...] = ()


KINDS = {
    "option": Kind(_read_option, _conclude_option, _letters_anywhere),
    "number": Kind(_read_number, _conclude_number, _numbers_anywhere),
    "yes_no": Kind(_read_yes_no, _conclude_yes_no, _yes_no_anywhere, ("yes", "no")),
    "word": Kind(_read_word, _conclude_word, _text_as_word),
}


def _task(question: Row) -> tasks.Task:
    return tasks.TASKS.get(question.get("dataset", ""), tasks.TASKS[tasks.EMBEDDED])


def _kind(question: Row) -> str:
    """The kind of a question's answer. For open answers of a user's own benchmark, it follows from the gold answer."""
    if question.get("dataset", "").startswith(OWN) and not question.get("choices", {}).get("label", True):
        return tasks.kind_of(question["answer"])
    return _task(question).answers


def has_options(question: Row) -> bool:
    """Whether the answer is one of the question's options. Open answers have none to show, rank or exchange."""
    return _kind(question) == "option"


def has_number(question: Row) -> bool:
    """Whether the answer is a number."""
    return _kind(question) == "number"


def possible(question: Row) -> list[str]:
    """Every answer that can be guessed: the options' labels, or yes and no; [] if there is no limit to them."""
    return list(question["choices"]["label"] if has_options(question) else KINDS[_kind(question)].values)


def answer_text(question: Row, answer: str) -> str:
    """An answer in words: its option's text, or an open answer itself."""
    return option_text(question, answer) if has_options(question) else answer


def format_answer(question: Row, answer: str) -> str:
    """An answer as prompts name it: its option's letter in brackets, or an open answer itself."""
    return f"({letter(question, answer)})" if has_options(question) else answer


# ── Reading an answer ───────────────────────────────────────────────────────────────────────────────────────────


def read_by(question: Row, text: str) -> Reading:
    """The one answer that `text` names, and the rule that read it; both '' if there is none. The answer is the
    benchmark's label of an option, or an open answer in the benchmark's spelling.
    """
    return KINDS[_kind(question)].read(question, text)


def read_answer(question: Row, text: str) -> str:
    """The one answer that `text` names, as in `read_by`; '' if there is none."""
    return read_by(question, text)[0]


def read_conclusion(question: Row, words: str) -> Reading:
    """What the words of a conclusion in another model's text (`conclusions`) mean: an answer and the rule that read it,
    or '' and the reason, one of UNREAD_REASONS.

    It never guesses. A second answer, a denial, a correction, or anything beside the answer except a reason for it
    makes the conclusion unreadable.
    """
    words = words.strip()[:LONGEST]
    bare = words.rstrip(" .\"'”’}]」").lstrip(" \"'“‘{[「")
    if not bare:
        return "", EMPTY_CONCLUSION
    if re.search(r"\b(?:that|this|it)(?:'s| is) (?:wrong|incorrect|not right|not correct)\b", bare, re.IGNORECASE):
        return "", SEVERAL
    kind = _kind(question)
    reading = KINDS[kind].conclude(question, words if kind == "word" else bare)
    if reading != UNREAD:
        return reading
    letters = set(re.findall(rf"(?<![A-Za-z])[{letters_read(question)}](?![A-Za-z])", bare))
    several = DENIED.search(bare) or len(letters) > 1
    return "", SEVERAL if several else NOT_UNDERSTOOD


def is_disputed(question: Row, answer: str, text: str) -> bool:
    """Whether what stands beside an answer denies it, corrects it, tells what others say, or names another answer."""
    if not has_options(question):
        return bool(DOUBTED.search(text)) or read_answer(question, text) != answer
    return bool(DOUBTED.search(text)) or _names_other(text, dict(options(question)), letter(question, answer))


def cleanse(question: Row, text: str, cue: str = "") -> str:
    """The answer in `text` as Fine-tune-CoT reads it, from the code of Ho et al. (reasoning-teacher, `evaluator`).

    Without a cue, it is the first candidate. With a cue, it is the first one after the cue, or the last of all if the
    cue is missing. A letter counts wherever it stands, so the article "A" is an answer. In some tasks numbers are
    compared as text (`tasks.Task.compared_as`), so "39.0" is not "39".
    """
    candidates = KINDS[_kind(question)].candidates
    if cue not in text:
        return (candidates(question, text) or [""])[-1]
    return (candidates(question, text[text.index(cue) + len(cue) :]) or [""])[0]
