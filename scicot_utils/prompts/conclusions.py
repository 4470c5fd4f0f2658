"""Where a text that somebody else's model wrote comes to its conclusion: the one place that knows the forms.

The last conclusion of a text counts. One that names two answers in a form known here, or says what the answer is not, is
none. Known to be misread: a working line below a cue, and an answer that is taken back after its sentence. What the answer
words mean for a question is read by its kind, in `answers`.
"""

from __future__ import annotations

import bisect
import re
import unicodedata
from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """A form of conclusion. Group `answer` of `pattern` holds the answer's words, to the end of their line."""

    name: str
    pattern: re.Pattern[str]
    example: str
    seen: str


def _rule(name: str, pattern: str, example: str, seen: str) -> Rule:
    return Rule(name, re.compile(pattern, re.IGNORECASE | re.MULTILINE), example, seen)


LEAD = r"(?:\b(?:so|thus|therefore|hence|finally|consequently|in conclusion)\b[,:]? {0,3}){0,2}(?:among [A-H] through [A-H],? )?"
KIND = r"(?: \([^()\n]{1,40}\)| among [A-H] through [A-H])?"  # as in `the answer (arabic numerals) is`
WHICH = (
    r"(?:\b(?:the|my|our) )?(?:\b(?:final|correct|best|right|likely|most likely|most appropriate|most accurate) ){0,2}"
)
NAMED = r"\b(?:(?:the|my|our|final|correct|best|right|most|likely) ){1,4}answer\b"
REST = rf"[ \t]*(?P<answer>(?:(?!{LEAD}{NAMED})[^\n])*)"  # not beyond the next conclusion of a line

RULES = (
    _rule(
        "boxed", r"\\boxed ?\{(?P<answer>(?:[^{}\n]|\{[^{}\n]*\})*)\}", r"$\boxed{B}$", "models trained on mathematics"
    ),
    _rule("hashes", rf"^####(?!#){REST}", "#### 1234", "GSM8K's own solutions"),
    _rule("json", r'"answer" ?: ?"?(?P<answer>[^"\n}]*)', '{"answer": "B"}', "servers with a JSON mode"),
    _rule(
        "phrase",
        rf"{LEAD}{WHICH}\banswer(?: choice| option)?{KIND}(?: to [^.:\n]{{1,60}}?)?[ \t]*(?:\b(?:is|must be|should be|would be)\b[ \t]*:?|:|=){REST}",
        "The best answer is B.",
        "Kojima et al. 2022; Gemini; chat models",
    ),
    _rule("heading", rf"^#{{1,6}} {WHICH}answer[ \t]*\n+{REST}", "### Answer\nB", "chat models that write Markdown"),
    _rule("option", rf"{LEAD}\b(?:the |it is )?(?P<answer>option \(?[A-H]\)?)[.]?[ \t]*$", "option B", "chat models"),
    _rule(
        "last line",
        r"(?<=\n)[ \t]*(?P<answer>\([A-H]\)[.]?|[A-H][.)]?|[-+]?\$?\d[\d,]*(?:\.\d+)?%?|(?:yes|no|true|false)[.!]?)[ \t]*\Z",
        "It has feathers.\nB",
        "models that were told to answer with a letter or a number",
    ),
)  # in the order in which ties are settled; the last conclusion in the text counts, whatever its rule

THOUGHTS = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
MARKUP = re.compile(r"[*`]{1,3}|(?<!\w)__?|__?(?!\w)")
LATEX = re.compile(r"\\(?:text|mathrm|mathbf|textbf) ?\{([^{}]*)\}|\\[()\[\]]|\$(?!\d)")
MINUS = re.compile(r"(?<!\d)[\u2212\u2013](?=\d)")
LETTERED = re.compile(r"(?:option )?\(?([A-H])(?:\)|[.:](?= |$))[.:]?(?: .*)?|option ([A-H])\b.*", re.IGNORECASE)
DENIAL = re.compile(r"(?:not|neither|either|both|none|unknown|unclear)\b", re.IGNORECASE)
SEVERAL = re.compile(r"\(?\b[A-H]\)?[ ]*(?:/|,|\bor\b|\band\b)[ ]*\(?[A-H]\b\)?", re.IGNORECASE)
TOTAL = re.compile(r"[^=]*\d[^=]*(?:=[^=]*)*= ?([-$]?\d[\d,.]*(?: ?[^\W\d]+){0,2}|[-$]?\d[\d,.]*%)\.?")
GAP = re.compile(r"[\s.:]*")
TRUTH = {"true": "yes", "false": "no"}


@dataclass(frozen=True)
class Conclusion:
    """`before`: what stands before it and before what it repeats, the rationale; `cut`: the rest of the text; `answer`:
    its words, '' where it names none or several; `rule`: the form, '' where there is no conclusion; `words`: all that it
    says."""

    before: str
    cut: str
    answer: str
    rule: str
    words: str


def conclude(text: str) -> Conclusion:
    """The last conclusion of a text; where there is none, all of the text and no answer under the rule ''.

    What says the same directly before it is cut with it, so that no rationale ends with the answer. Thoughts between `<think>` and `</think>` are set apart and conclude nothing.
    """
    text = THOUGHTS.sub("", text).strip()
    bare = plain(text)
    found = [(rule, match) for rule in RULES for match in rule.pattern.finditer(bare)]
    if not found:
        return Conclusion(text, "", "", "", "")
    rule, match = max(found, key=lambda one: one[1].end("answer"))  # of equals the first, in the order of RULES
    words = match["answer"].strip()
    if not words:  # on the line below its cue
        words = next((line.strip() for line in bare[match.end() :].split("\n") if line.strip()), "")
    answer, start = _named(words), match.start()
    for one in sorted((one for _, one in found), key=re.Match.end, reverse=True):
        if one.start() < start <= GAP.match(bare, one.end()).end() and _alike(_named(one["answer"]), answer):
            start = one.start()
    cut = bisect.bisect_left(range(len(text)), start, key=lambda end: len(plain(text[:end])))
    before = text[:cut].rstrip(" \n#>-*_{")
    return Conclusion(before, text[len(before) :].strip(), answer, rule.name, words)


def plain(text: str) -> str:
    """Text without emphasis, full-width forms and typographic minus signs; what LaTeX sets as text stands as text."""
    text = MINUS.sub("-", unicodedata.normalize("NFKC", text).replace("。", "."))
    return MARKUP.sub("", LATEX.sub(lambda found: found[1] or "", text))


def _alike(led: str, answer: str) -> bool:
    """Whether a conclusion before the last one says the same, or nothing and so leads up to it."""
    return re.sub(r"\W", "", led).casefold() in ("", re.sub(r"\W", "", answer).casefold())


def _named(words: str) -> str:
    """The answer's own words: `B. carbon dioxide` is "(B)", `a + b = 1234` is 1234; '' for several or a denial."""
    words = words.strip(" \"'“”{}")
    if DENIAL.match(words) or SEVERAL.match(words):
        return ""
    if len({mark.upper() for mark in re.findall(r"\(([A-Ha-h])\)", words)}) > 1:
        return ""
    if lettered := LETTERED.fullmatch(words):
        return f"({(lettered[1] or lettered[2]).upper()})"
    first = re.match(r"(?:yes|no|true|false)\b", words, re.IGNORECASE)
    if first:
        return TRUTH.get(first[0].lower(), first[0].lower())
    total = TOTAL.fullmatch(words)
    return total[1] if total else words
