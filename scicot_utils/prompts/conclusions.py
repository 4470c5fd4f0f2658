"""Find the conclusion, the final answer, in free text written by another model. All known forms are declared here.

The last conclusion of a text counts, and only its own words are returned. `answers.read_conclusion` decides what they
mean for a question: one answer, several, a denial, or nothing known.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Rule:
    """A form of conclusion. Group `answer` of `pattern` holds the answer's words, to the end of their line. `seen`: who
    writes this form.
    """

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
NAMED = r"\b(?:(?:the|my|our|final|correct|best|right|most|likely) ){1,4}(?:answer|option|choice)\b"
REST = rf"[ \t]*(?P<answer>(?:(?!{LEAD}{NAMED})[^\n]){{0,2000}})"  # up to the next conclusion of the line
IS = r"[ \t]*(?:\b(?:is|must be|should be|would be)\b[ \t]*:?|:|=)"
START = r"(?:^|(?<=[.!?:] )|(?<=[.!?]  ))[ \t]*"  # start of a sentence

RULES = (
    _rule(
        "boxed", r"\\boxed ?\{(?P<answer>(?:[^{}\n]|\{[^{}\n]*\})*)\}", r"$\boxed{B}$", "models trained on mathematics"
    ),
    _rule("hashes", rf"(?<!#)####(?!#){REST}", "#### 1234", "GSM8K's own solutions"),
    _rule("json", r'["\']answer["\'] ?: ?["\']?(?P<answer>[^"\'\n}}]*)', '{"answer": "B"}', "servers with a JSON mode"),
    _rule("tag", r"<answer>\s*(?P<answer>[^<\n]*)\s*</answer>", "<answer>B</answer>", "models trained by rewards"),
    _rule(
        "phrase",
        rf"{LEAD}{WHICH}\banswer(?: choice| option)?{KIND}(?: to [^.:\n]{{1,60}}?)?{IS}{REST}",
        "The best answer is B.",
        "Kojima et al. 2022; Gemini; chat models",
    ),
    _rule(
        "choice",
        rf"{LEAD}(?:\bthe )?\b(?:correct|right|best) (?:option|choice){IS}{REST}",
        "The correct choice is (B).",
        "chat models",
    ),
    _rule("Chinese", rf"答案(?:是|为|:|:)?{REST}", "答案是 B", "Chinese chat models"),
    _rule(
        "heading",
        rf"^#{{1,6}} {WHICH}answer[ \t]*:?[ \t]*\n+{REST}",
        "### Answer\nB",
        "chat models that write Markdown",
    ),
    _rule("heading", rf"^{WHICH}answer[ \t]*:?[ \t]*\n+{REST}", "**Final answer**\nB", "the same, with a bold line"),
    _rule(
        "option",
        rf"{START}{LEAD}(?:the |it is |it's |i choose |i pick |i select )?(?P<answer>option \(?[A-H]\)?)[.]?[ \t]*$",
        "option B",
        "chat models",
    ),
    _rule(
        "named correct",
        rf"{START}{LEAD}(?P<answer>(?:option )?\(?(?-i:[A-H])\)?(?:[.:)]? [^.\n]{{0,60}}?)?) is (?:the )?(?:correct|right|best)"
        r"(?: answer| option| choice)?[.!]?[ \t]*$",
        "So (B) is the correct answer.",
        "chat models",
    ),
    _rule(
        "last line",
        r"(?<=\n)[ \t]*(?P<answer>\([A-H]\)[.]?|[A-H][.)]?|[-+]?\$?\d[\d,]*(?:\.\d+)?%?|(?:yes|no|true|false)[.!]?)[ \t]*\Z",
        "It has feathers.\nB",
        "models that were told to answer with a letter or a number",
    ),
)  # ties are settled in this order; the last conclusion in the text counts, whatever its rule

SAY = r"(?:think|say|guess|assume|believe|conclude|argue|claim|suppose|answer|choose|pick)s?\b"
SAID = r"(?:says|said|claims|claimed|thinks|thought|believes|believed|assumed|argues|argued|wrote)\b"
TURN = r"(?!\b(?:but|yet|however)\b(?!, that\b))"  # words that turn to the writer's own view
ON = rf"(?!\b(?:(?<!if )so|but|yet|means|meaning)\b|\bhowever\b(?!, that\b)|\b(?:thus|therefore|hence)\b(?! (?:we )?{SAY}))"
OTHERS, LED, CLAUSE = rf"(?:{TURN}[^.;])*", rf"(?:{ON}[^.;])*", rf"(?:{ON}[^.,;:—–])*"  # scope of a doubt
NONE = re.compile(  # text before `answer`, in its sentence, that makes it no conclusion
    r"(?:\b(?:wrong|incorrect|least(?: likely)?|worst|other) (?:answer )?|"  # another answer is meant
    rf"(?<!\bI )(?<!\bwe )\b(?:might|may|could|would|tempt\w*) (?:\w+ ){{0,3}}{SAY}{OTHERS}|"  # somebody else's answer
    rf"\b(?:some|many|most|people|students?|others|mistake|misconception)\b{OTHERS}\b(?:{SAY}|{SAID}){OTHERS}|"
    rf"\b(?:some|many|people|students?(?: \d)?|misconception)\b{CLAUSE}|\b{SAID}(?: that|:)? $|"
    rf"(?:\b(?:(?:can)?not(?! (?:hard|difficult|surprising)\b)|never|nor|nobody|no one|none|nothing|few|disagree)\b|n't) (?:\w+ ){{0,2}}{SAY}{LED}|"
    rf"(?:\b(?:(?:can)?not(?! (?:hard|difficult|surprising)\b)|(?<!no )doubt|false|mistake\w*|wrongly|hardly|unsure|no way|nor|none|nothing|disagree|"
    rf"wrong|incorrect|unlikely|impossible|no reason)\b|n't\b){CLAUSE}|not the case, however, that $|"  # denied
    r"\bif so, ?$|\b(?:if|unless|whether)\b[^.,;]*$|^(?:were|suppose|assume|imagine|let's (?:say|assume|suppose))\b[^.,;]*)$",  # supposed
    re.IGNORECASE,
)
SUPPOSED = re.compile(rf"(?:\bif\b|^(?:were|had|suppos\w+)\b){LED}$", re.IGNORECASE)  # the same, before `would be`
CONCEDED = re.compile(r"^(?:even )?(?:although|though|while|whereas|despite|contrary to)\b[^,.;]*, ", re.IGNORECASE)
BOX = re.compile(r"\\boxed ?\{((?:[^{}\n]|\{[^{}\n]*\})*)\}")
SENTENCE = re.compile(r"(?:[.!?][*_\"')\]]*[ \t]+|\n[ \t]*)")
NEXT_QUESTION = re.compile(
    r"\n\s*(?:#{1,6} ?)?(?:Q|Question|Human|User|Problem)(?: \d+)?:|<\|im_(?:end|start)\|>|<\|eot_id\|>|<\|end\w*\|>|</s>",
    re.IGNORECASE,
)  # a question that a model goes on to ask itself
GAP = re.compile(r"[\s.:]*")

PAIRED = re.compile(
    r"(?<![\w*_`])(\*{1,3}|__?|`{1,3})(?=\S)(?P<kept>[^\n]{0,300}?\S)\1(?![\w*_`])"
)  # Markdown's emphasis
LATEX = re.compile(r"\\(?:text|mathrm|mathbf|textbf) ?\{(?P<kept>[^{}]*)\}|\\[()\[\]]|\$(?!\d)|(?<=\d)\\,(?=\d)")
GROUPED = re.compile(r"(?<=\d)\{(?P<kept>,)\}(?=\d)")  # 1{,}234
WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: " ", ord("。"): "."}
MINUS = re.compile(r"(?<!\d)[\u2212\u2013](?=\d)")


@dataclass(frozen=True)
class Conclusion:
    """The parts of a text around its conclusion.

    `before`: the rationale, which is the text before the conclusion and before repetitions of it; if there is none, the
    text after it. `cut`: the rest of the text. `words`: the words of the conclusion; '' for a cue without an answer.
    `rule`: the form; '' if there is no conclusion.
    """

    before: str
    cut: str
    words: str
    rule: str


def conclude(text: str) -> Conclusion:
    """The last conclusion of a text. If there is none, the whole text is `before`, and the rule is ''.

    Thoughts, up to `</think>`, are removed first, and so is a further question that a model goes on to ask itself. A
    repetition directly before the conclusion is cut with it, so that no rationale ends with the answer.
    """
    text = split_thinking(text)[1].partition("<think>")[0].strip()
    head = NEXT_QUESTION.split(text)[0].rstrip()
    found = _last(head) if head != text else None
    return found or _last(text) or Conclusion(text, "", "", "")


TAIL = 8000  # characters at the end of a text that are searched for its conclusion
TAKEN_BACK = re.compile(
    r"\b(?:wait|actually|kidding|correction)\b|\b(?:made|is) (?:a|an) (?:mistake|error)\b|\b(?:that|this|it)(?:'s| is)? (?:wrong|incorrect|not right|not correct)\b",
    re.IGNORECASE,
)


def split_thinking(text: str) -> tuple[str, str]:
    """(thoughts, rest) of a text that begins with a `<think>` block. A template may have written the opening tag."""
    thought, closed, rest = text.rpartition("</think>")
    if closed:
        return thought.strip().removeprefix("<think>").strip(), rest.strip()
    opened = text.lstrip().startswith("<think>")
    return (text.strip().removeprefix("<think>").strip(), "") if opened else ("", text)


def _last(text: str) -> Conclusion | None:
    if len(text) > TAIL:
        at = text.find("\n", len(text) - TAIL) if "\n" in text[-TAIL:] else len(text) - TAIL
        last = _last(text[at:])
        return last and replace(
            last, before=f"{text[:at]}{text[at:][: text[at:].find(last.before)]}{last.before}".strip()
        )
    bare, places = _bare(text)
    found = [(rule, one) for rule in RULES for one in rule.pattern.finditer(bare) if not _says_nothing(bare, one)]
    if not found:
        return None
    end = max(one.end("answer") for _, one in found)
    last = [
        (rule, one)
        for rule, one in found
        if one.end("answer") == end or (BOX.match(bare, one.start()) and one.end() >= end)
    ]
    rule, match = min(last, key=lambda one: one[1].start())  # of matches with the same end, the one that begins first
    inside = [(of, one) for of, one in found if of.name == "json" and "}" not in bare[one.end() : match.start()]]
    rule, match = inside[-1] if inside and inside[-1][1].start() < match.start() else (rule, match)
    words, end = match["answer"].strip(), match.end()
    if rule.name == "boxed":  # other boxes in the same line are answers, too
        line = bare[bare.rfind("\n", 0, match.start()) + 1 : end]
        words = " or ".join(dict.fromkeys(BOX.findall(line)))
    if not words:  # the answer is on the line below its cue
        below = re.search(r"[^\n]*\S[^\n]*", bare[end:])
        words, end = (below[0].strip(), end + below.end()) if below else ("", end)
    if listed := re.match(r"(?:\n[ \t]*[-*•] [^\n]*)+", bare[end:] if re.match(r"[-*•] ", words) else ""):
        words, end = words + listed[0].replace("\n", " and "), end + listed.end()
    earlier = [
        one["answer"].strip() for of, one in found if of.name not in ("last line", "option") and one["answer"].strip()
    ]
    if rule.name == "last line" and earlier and not _alike(earlier[-1], words):
        words = f"{earlier[-1]} or {words}"  # two conclusions; the second is not a sentence
    if TAKEN_BACK.search(bare[end : end + 200]):
        words = f"not {words}"
    start = _sentence(bare, match)
    for one in sorted((one for _, one in found), key=re.Match.end, reverse=True):
        if one.start() < start <= GAP.match(bare, one.end()).end() and _alike(one["answer"], words):
            start = _sentence(bare, one)
    cut = places[start] if start < len(places) else len(text)
    before = text[:cut].rstrip(" \n#>-*_{$[(\\`").rstrip()
    first = min((one for _, one in found), key=re.Match.start)
    if (
        first.start() == 0 and first.end() < start and _alike(first["answer"], words)
    ):  # the answer comes first, then its reasons
        before = before[places[first.end()] :].strip(" \n*_`.")
    if not before:
        before = text[places[end] if end < len(places) else len(text) :].strip(" \n*_`.")
        before = before if len(before.split()) > 2 else ""
        return Conclusion(before, text.removesuffix(before).strip(), _within(words), rule.name)
    return Conclusion(before, text[len(before) :].strip(), _within(words), rule.name)


def _says_nothing(bare: str, match: re.Match[str]) -> bool:
    """Whether a match concludes nothing: it is about a wrong answer, what others might say, or a supposed case."""
    led = re.compile(LEAD, re.IGNORECASE).match(bare, match.start())
    before = CONCEDED.sub("", bare[_begin(bare, match.start()) : led.end() if led else match.start()])
    would = "would" in bare[match.start() : match.start("answer")].casefold()
    return bool(NONE.search(before) or (would and SUPPOSED.search(before)))


def _begin(bare: str, at: int) -> int:
    """Where the sentence that contains `at` starts, judged by the 200 characters before it."""
    return max([max(0, at - 200), *(one.end() for one in SENTENCE.finditer(bare, max(0, at - 200), at))])


def _sentence(bare: str, match: re.Match[str]) -> int:
    """Where a conclusion starts, with a short lead-in: `I think that` in `I think that the answer is B`. A clause of
    its own before the conclusion is no lead-in.
    """
    start = match.start()
    begin = _begin(bare, start)
    led = bare[begin:start].strip(" \t*_>#-")
    whole = BOX.match(bare, start) is not None  # a box stands at the end of its computation
    return begin if led and (whole or (len(led.split()) <= 5 and led[-1] not in ",;:)—–")) else start


def _alike(led: str, words: str) -> bool:
    """Whether an earlier conclusion says the same as the last one, or says nothing and so leads up to it."""
    led, words = (re.sub(r"\W", "", BOX.sub(r"\1", one)).casefold() for one in (led, words))
    return led in ("", words) or (bool(re.match(r"[a-h](?![a-z0-9])", words)) and led == words[:1])


def _within(words: str) -> str:
    """A conclusion's words, or the content of its box; different boxes are joined by `or`."""
    boxed = dict.fromkeys(BOX.findall(words))
    return " or ".join(boxed) if boxed else words


def plain(text: str) -> str:
    """Text without Markdown's emphasis and LaTeX's commands; text inside LaTeX commands is kept."""
    return _bare(text)[0]


def _bare(text: str) -> tuple[str, list[int]]:
    """(text of `plain`, for each of its characters the place in `text`). Full-width forms and typographic minus signs
    become plain ones.
    """
    found, places = MINUS.sub("-", text.translate(WIDE)), list(range(len(text)))
    for pattern in (LATEX, GROUPED, PAIRED, PAIRED, PAIRED):  # emphasis may be nested
        kept: list[tuple[int, int]] = []
        at = 0
        for one in pattern.finditer(found):
            inside = one.span("kept") if "kept" in one.re.groupindex else (-1, -1)
            kept += [(at, one.start()), inside if inside[0] >= 0 else (at, at)]
            at = one.end()
        kept.append((at, len(found)))
        found = "".join(found[a:b] for a, b in kept)
        places = [place for a, b in kept for place in places[a:b]]
    return found, places
