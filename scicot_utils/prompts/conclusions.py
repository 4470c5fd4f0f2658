"""Find the conclusion, the final answer, in free text written by another model. All known forms are declared here.

The last conclusion of a text counts, and only its own words are returned. `answers.read_conclusion` decides what they
mean for a question: one answer, several, a denial, or nothing known.
"""

import functools
import json
import re
from dataclasses import dataclass, replace

from scicot_utils.serving.replies import split_thinking


@dataclass(frozen=True)
class Rule:
    """A form of conclusion, an example of it, and who writes it. Group `answer` of `pattern` holds the answer's words.

    `weak`: the form says little. It counts only if no other conclusion begins later, and behind one it must say the same.
    """

    name: str
    pattern: re.Pattern[str]
    example: str
    source: str
    weak: bool = False


LEAD = r"(?:\b(?:so|thus|therefore|hence|finally|consequently|in conclusion)\b[,:]? {0,3}){0,2}"
QUALIFIERS = (
    r"(?:\b(?:the|my|our) )?(?:\b(?:final|correct|best|right|likely|most likely|most appropriate|most accurate) ){0,2}"
)
NAMED_ANSWER = r"\b(?:(?:the|my|our|final|correct|best|right|most|likely) ){1,4}(?:answer|option|choice)\b"
IS = r"[ \t]*(?:\b(?:is|must be|should be|would be)\b[ \t]*:?|:|=)"
START = r"(?:^|(?<=[.!?:] )|(?<=[.!?]  ))[ \t]*"  # start of a sentence
BRACED = r"(?:[^{}\n]|\{(?:[^{}\n]|\{[^{}\n]*\})*\})*"  # what stands in braces, with two more pairs inside
REASONS = "weil|parce que|puisque|porque|perché|poiché"  # because, in other languages
CHINESE_LEAD = r"(?:(?:因此|所以|综上(?:所述)?|故)[,:]? ?)"
CHINESE_WRONG = r"(?<!错误)(?<!错误的)(?<!不正确)(?<!不正确的)"  # before `answer`
CHINESE_NOUNS = r"(?![择项题手民举拔修用])"  # not an option, a multiple-choice question, a player, an election, …


def _lead(letters: str) -> str:
    """Words that may lead up to a conclusion, as a pattern. `letters`: the class of the options' letters."""
    return rf"{LEAD}(?:among {letters} through {letters},? )?"


# fmt: off
@functools.cache
def _rules(last_letter: str) -> tuple[Rule, ...]:
    """The forms of a conclusion, with options up to this letter. Ties are settled in this order; the last conclusion in
    the text counts, whatever its rule.
    """
    letters = f"[A-{last_letter}]"
    lead = _lead(letters)
    kind = rf"(?: \([^()\n]{{1,40}}\)| among {letters} through {letters})?"  # as in `the answer (arabic numerals) is`
    answer = rf"[ \t]*(?P<answer>(?:(?!{lead}{NAMED_ANSWER})[^\n]){{0,2000}})"  # up to the next conclusion of the line
    alone = rf"(?:[(\[]|\[\[){letters}[)\]]{{1,2}}[.]?|{letters}[.)]?|[-+]?\$?\d[\d,]*(?:\.\d+)?%?|(?:yes|no|true|false)[.!]?"
    forms = (  # name, who writes it, an example, the pattern
        ("boxed", "models trained on mathematics", r"$\boxed{B}$", rf"\\boxed ?\{{(?P<answer>{BRACED})\}}"),
        ("hashes", "GSM8K's own solutions", "#### 1234", rf"(?<!#)####(?!#){answer}"),
        ("json", "servers with a JSON mode", '{"answer": "B"}', r'["\']answer["\'] ?: ?["\']?(?P<answer>[^"\'\n}}]*)'),
        ("tag", "models trained by rewards", "<answer>B</answer>",
         r"[<\[](?P<tag>answer|final_answer|solution)[>\]]\s*+(?P<answer>(?:(?:(?!\[/?(?P=tag)\])[^<\s])++(?:[^\S\n]++(?![<\[]/))?)*+)\s*+[<\[]/(?P=tag)[>\]]"),
        ("phrase", "Kojima et al. 2022; Gemini; chat models", "The best answer is B.",
         rf"{lead}{QUALIFIERS}\banswer(?: choice| option)?{kind}(?: (?:to [^.:\n]{{1,60}}?|(?:for|based on) (?:the|this|your)(?: given)? (?:question|problem|passage|text|context|information|image)(?: above| provided)?))?{IS}{answer}"),
        ("choice", "chat models", "The correct choice is (B).",
         rf"{lead}(?:(?:\bthe )?\b(?:correct|right|best)|\b(?:my|our) final) (?:(?:option|choice){IS}|solution is:){answer}"),
        ("remainder", "InstructGPT", "This leaves us with (B) as the most likely answer.",
         rf"{START}{lead}(?:this|that|it) leaves (?:us )?(?:with )?(?:only )?(?P<answer>(?:option |answer )?\(?{letters}\)[^\n.]{{0,80}}?),? as the {QUALIFIERS}(?:answer|option|choice)[.!]?[ \t]*$"),
        ("Chinese", "Chinese chat models", "答案是 B",
         rf"(?:{CHINESE_LEAD}{{0,2}}(?:(?<!不)正确|最终|最佳)?{CHINESE_WRONG}的?答案(?:应?[是为选])?[】\]:]*|{CHINESE_LEAD}{{1,2}}选择?{CHINESE_NOUNS}:?){answer}"),
        ("Korean or Japanese", "chat models asked in Korean or Japanese", "정답: B",
         r"(?:(?:^|(?<=[.!:\]] )|(?<=따라서 )|(?<=가장 적절한 ))정?답(?:은| ?:)|(?:^|(?<=[.!:、]))(?:正解|正答|解答|答え)(?:は|:))[ \t]*(?P<answer>[^\n]{0,200}?)(?:입니다|이다|です|である)?[.]?[ \t]*$"),
        ("other languages", "chat models asked in German, French, Spanish, Italian, Portuguese or Russian", "Die richtige Antwort ist B.",
         rf"(?:^|(?<=[.!?] ))[ \t]*(?:(?:also|daher|deshalb|somit|donc|ainsi|por (?:lo )?tanto|quindi|portanto),? )?(?:(?:die|la|a) )?"
         rf"(?:(?:richtige|korrekte|bonne|правильный) )?(?:antwort|réponse|respuesta|risposta|resposta|ответ|(?:alternativa|opción|opção|opzione)(?= cor))"
         rf"(?: (?:correcte|correcta|corretta|correta))?[ \t]*(?:\b(?:ist|lautet|est|es|è|é)\b[ \t]*:?|:){answer}"),
        ("heading", "chat models that write Markdown, a heading or a bold line", "### Answer\nB",
         rf"^(?:#{{1,6}} )?{QUALIFIERS}answer[ \t]*:?[ \t]*\n+{answer}"),
        ("named correct", "chat models", "So (B) is the correct answer.",
         rf"{START}{lead}(?P<answer>(?:option )?\(?(?-i:(?!I [a-z]){letters})\)?(?:[.:)]? [^.\n]{{0,60}}?)?) is (?:the )?(?:correct|right|best)"
         rf"(?:(?: answer| option| choice)?[.!]?[ \t]*$| (?:answer|option|choice)[.!] )"),
    )
    weak = (
        ("option", "chat models", "option B",
         rf"{START}{lead}(?:the |it is |it's |i choose |i pick |i select )?(?P<answer>option \(?{letters}\)?)[.]?[ \t]*$"),
        ("letter first", "chat models that give the answer first", "B, weil es brennt.",
         rf"\A(?P<answer>(?-i:(?!I\b|A (?:car|da)\b)[(\[]?{letters}[)\]]?)(?:(?=,? (?:{REASONS})\b|,? (?:car|da|denn)\b(?! (?:is|was|has|had|and|or|can|will|would|goes|moves|travels|drives)\b))|,? (?:because|since)\b"
         rf"(?![^\n]*(?-i:\b{letters}[)\]]?,?) (?:because|since)\b)[^\n]*))"),
        ("first line", "base models that go on to explain", "B\n\nIt has feathers.",
         rf"\A(?P<answer>{alone})[ \t]*\n(?=[ \t]*\n|(?:explanation|reason(?:ing)?|rationale|step(?:-by-step| \d)\b)[^\n]*:)"),
        ("last line", "models that were told to answer with a letter or a number", "It has feathers.\nB",
         rf"^[ \t]*(?:A:[ \t]+)?(?P<answer>{alone})[ \t]*\Z"),
    )
    flags = re.IGNORECASE | re.MULTILINE
    return tuple(
        Rule(name, re.compile(pattern, flags), example, source, forms_ is weak)
        for forms_ in (forms, weak) for name, source, example, pattern in forms_
    )
# fmt: on


SAY = r"(?:think|say|guess|assume|believe|conclude|argue|claim|suppose|answer|choose|pick)s?\b"
SAID = r"(?:says|said|claims|claimed|thinks|thought|believes|believed|assumed|argues|argued|wrote)\b"
NO_TURN = r"(?!\b(?:but|yet|however)\b(?!, that\b))"  # words that turn to the writer's own view
IN_SCOPE = rf"(?!\b(?:(?<!if )so|but|yet|means|meaning)\b|\bhowever\b(?!, that\b)|\b(?:thus|therefore|hence)\b(?! (?:we )?{SAY}))"
OPINION_SCOPE = rf"(?:{NO_TURN}[^.;])*"  # how far somebody else's opinion reaches
DOUBT_SCOPE, CLAUSE_SCOPE = rf"(?:{IN_SCOPE}[^.;])*", rf"(?:{IN_SCOPE}[^.,;:—–])*"  # how far a doubt reaches
NOT_CONCLUDED = re.compile(  # text before `answer`, in its sentence, that makes it no conclusion
    r"(?:\b(?:wrong|incorrect|least(?: likely)?|worst|other|each|every) (?:answer )?|"  # another answer is meant, or any
    rf"(?<!\bI )(?<!\bwe )\b(?:might|may|could|would|tempt\w*) (?:\w+ ){{0,3}}{SAY}{OPINION_SCOPE}|"  # somebody else's answer
    rf"\b(?:some|many|most|people|students?|others|mistake|misconception)\b{OPINION_SCOPE}\b(?:{SAY}|{SAID}){OPINION_SCOPE}|"
    rf"\b(?:some|many|people|students?(?: \d)?|misconception)\b{CLAUSE_SCOPE}|\b{SAID}(?: that|:)? $|"
    rf"(?:\b(?:(?:can)?not(?! (?:hard|difficult|surprising)\b)|never|nor|nobody|no one|none|nothing|few|disagree)\b|n't) (?:\w+ ){{0,2}}{SAY}{DOUBT_SCOPE}|"
    rf"(?:\b(?:(?:can)?not(?! (?:hard|difficult|surprising)\b)|(?<!no )doubt|false|mistake\w*|wrongly|hardly|unsure|no way|nor|none|nothing|disagree|"
    rf"wrong|incorrect|unlikely|impossible|no reason)\b|n't\b){CLAUSE_SCOPE}|not the case, however, that $|"  # denied
    r"\bif so, ?$|\b(?:if|unless|whether)\b[^.,;]*$|^(?:were|suppose|assume|imagine|let's (?:say|assume|suppose))\b[^.,;]*)$",  # supposed
    re.IGNORECASE,
)
SUPPOSED = re.compile(rf"(?:\bif\b|^(?:were|had|suppos\w+)\b){DOUBT_SCOPE}$", re.IGNORECASE)  # the same, before `would`
CONCEDED = re.compile(r"^(?:even )?(?:although|though|while|whereas|despite|contrary to)\b[^,.;]*, ", re.IGNORECASE)
BOX = re.compile(rf"\\boxed ?\{{({BRACED})\}}")
# The end of a sentence; a Chinese one ends without a space
SENTENCE = re.compile(r"(?:[.!?][*_\"')\]]*[ \t]+|(?<=[\u3001-\u9fff][.!?])|\n[ \t]*)")
WORD = re.compile(r"[\u4e00-\u9fff]|[^\s\u4e00-\u9fff]+")  # a Chinese character counts as one
NEXT_QUESTION = re.compile(
    r"\n[^\S\n]*(?:#{1,6} ?)?(?:Q|Question|Human|User|Problem)(?: \d+)?:|<\|im_(?:end|start)\|>|<\|eot_id\|>|<\|(?:end\w*|return)\|>|</s>",
    re.IGNORECASE,
)  # a question that a model goes on to ask itself
ITEM = r"(?:[-*•]|\d{1,2}[.)]) "  # the start of a list's item
AFTER_ANSWER = re.compile(  # what stands between an answer and its reasons in the same line
    r'\b(?i:yes|no),[ \t]+|[.!](?:[ \t]+(?=[A-Z"“(])|(?=[\u3001-\u9fff]))|[,;:.]?[ \t]+(?=(?i:because|since|due to)\b)'
)
COURTESY = re.compile(  # what opens such reasons, and how a chat model ends
    r"\Abecause\b:?\s*|(?:\A|(?<=[.!?])\s|\n)(?:I hope|(?:please )?let me know|feel free|would you like)\b[^\n]*\Z",
    re.IGNORECASE,
)
HEDGE = re.compile(r"\b(?:most|very|likely|probably|therefore|that|option)\b", re.IGNORECASE)  # beside an answer
GAP = re.compile(r"[\s.:]*")

PAIRED = re.compile(
    r"(?<![\w*_`])(\*{1,3}|__?|`{1,3})(?=\S)(?P<inside>[^\n]{0,300}?\S)\1(?![\w*_`])"
)  # Markdown's emphasis
LATEX = re.compile(r"\\(?:text|math)(?:bf|rm)? ?\{(?P<inside>[^{}]*)\}|\\[()\[\]]|\$(?!\d)|(?<=[\d,])\\[,!](?=\d)")
PARTS = "p|div|thinking|thought|reasoning|rationale|explanation|analysis|output|response"  # of a text, in tags
TAGS = rf"<(?:/?(?:b|i|u|em|strong|mark|font|span|br|h\d|eo\w|{PARTS})(?: [^<>\n]*)?/?|(?:start|end)_working_out)>"
OPENING = " \n#>-*_{$[(\\`"  # characters that open markup
TAG_END = re.compile(r"[\w/\"']>")  # where the last of them closes it
LEFT_OVER = re.compile(
    r"(?:\\(?:text|mathbf|textbf)|\n[#* \t]*(?:\d{1,2}[.)]|(?:step \d+|conclusion)\b[:.*]*)|"
    r"(?:\A|\n|(?<=[.!?] ))[^.!?:\n]{0,100}\b(?:is|are|es|est|ist|è|é):)\Z", re.IGNORECASE,
)  # fmt: skip
TAG = re.compile(rf"{TAGS}(?P<inside>)", re.IGNORECASE)
TAGS_AROUND = re.compile(rf"\A(?:\s*<(?:{PARTS}|start_working_out)>)+\s*|(?<![>\s])(?:\s*{TAGS})+\s*\Z", re.IGNORECASE)
GROUPED = re.compile(r"(?<=\d)\{(?P<inside>,)\}(?=\d)")  # 1{,}234
WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: " ", ord("。"): "."}
MINUS = re.compile(r"(?<!\d)[\u2212\u2013](?=\d)")


@dataclass(frozen=True)
class Conclusion:
    """The parts of a text around its conclusion.

    `before`: the rationale, which is the text before the conclusion and before repetitions of it; if there is none, the
    text after it. `cut`: the rest of the text. `words`: the words of the conclusion; '' for a cue without an answer.
    `rule`: the form; '' if there is no conclusion. `behind`: what follows the conclusion, without markup.
    """

    before: str
    cut: str
    words: str
    rule: str
    behind: str = ""


def conclude(text: str, last_letter: str = "H") -> Conclusion:
    """The last conclusion of a text, in which a letter from A to `last_letter` may name an option. If there is none, the
    whole text is `before`, and the rule is ''.

    Thoughts, up to `</think>`, are removed first, and so is a further question that a model goes on to ask itself. If
    every conclusion answers such a question, and they differ, the words name all of them. A repetition directly before
    the conclusion is cut with it, so that no rationale ends with the answer. Of a JSON object with reasoning and answer,
    the reasoning's words are `before`.
    """
    text = split_thinking(text)[1].partition("<think>")[0].strip()
    if reply := _json_reply(text, last_letter):
        return reply
    head, *others = map(str.rstrip, NEXT_QUESTION.split(text))
    if others and (last := _last(head, last_letter)):
        return last
    text = text if any(others) else head
    last = _last(text, last_letter) or Conclusion(text, "", "", "")
    answers = [answer.words for other in others if (answer := _last(other, last_letter))]
    differ = any(not _alike(words, last.words) for words in answers)
    return replace(last, words=" or ".join(answers)) if differ else last


REASONING = ("reasoning", "rationale", "explanation", "thoughts", "thought", "analysis", "steps", "solution")
JSON_REPLY = re.compile(r"(?:```\w*\s*)?(\{.*\})(?:\s*```)?", re.DOTALL)  # in a fence of Markdown or not


def _json_reply(text: str, last_letter: str) -> Conclusion | None:
    """The conclusion of a text that is one JSON object with reasoning and an answer; None for any other text."""
    try:
        reply = json.loads(match[1], strict=False) if (match := JSON_REPLY.fullmatch(text)) else {}
    except (ValueError, RecursionError):
        return None
    keys = {key.casefold(): key for key in reply}
    reasoning = next((reply[keys[name]] for name in REASONING if name in keys), None)
    answer = next((reply[keys[name]] for name in ("answer", "final_answer") if name in keys), None)
    steps = reasoning if isinstance(reasoning, list) else [reasoning]
    if not isinstance(answer, str | int | float) or not all(isinstance(step, str) for step in steps):
        return None
    lines = "\n".join(steps)
    last = _last(f"{lines}\nThe answer is {answer}", last_letter)
    remaining = {key: value for key, value in reply.items() if value is not reasoning}
    return last and replace(last, cut=json.dumps(remaining, ensure_ascii=False), rule="json")


TAIL = 8000  # characters at the end of a text that are searched for its conclusion
TAKEN_BACK = re.compile(
    r"\b(?:wait|actually|kidding|correction)\b|\b(?:made|is) (?:a|an) (?:mistake|error)\b|\b(?:that|this|it)(?:'s| is)? (?:wrong|incorrect|not right|not correct)\b|"
    r"いいえ|しかし|아니[,. ]|아닙니다|하지만|그러나|\A\s*(?:no|non|nein|não), |(?:\A|[\n.!])\s*(?:es|está|esto es|é|è|c'est|(?:das|sie) ist) (?:incorrect[ao]|falsch|fau(?:x|sse)|fals[ao]|errad[ao]|sbagliat[ao])\b", re.IGNORECASE,
)  # fmt: skip


def _last(text: str, last_letter: str) -> Conclusion | None:
    """The last conclusion of a text without thoughts; None if there is none."""
    if len(text) > TAIL:
        start = text.find("\n", len(text) - TAIL) if "\n" in text[-TAIL:] else len(text) - TAIL
        last = _last(text[start:], last_letter)
        if not last:
            return None
        before_end = start + text[start:].find(last.before)
        return replace(last, before=_trimmed(f"{text[:before_end]}{last.before}").strip())
    bare, positions = _bare(text)
    positions.append(len(text))  # of the end of `bare`
    pairs = ((rule, match) for rule in _rules(last_letter) for match in rule.pattern.finditer(bare))
    matches = [(rule, match) for rule, match in pairs if not _is_hypothetical(bare, match)]
    if not matches:
        return None
    strong = max((match.start() for rule, match in matches if not rule.weak), default=-1)
    rule, match = _choose(bare, [pair for pair in matches if not pair[0].weak or pair[1].start() > strong])
    words, end = _words_and_end(bare, rule, match)
    matches.sort(key=lambda pair: pair[1].start())
    earlier = [other["answer"].strip() for _, other in matches if other.start() < match.start()]
    before_it = next(filter(None, reversed(earlier)), words)
    if rule.weak and not _alike(AFTER_ANSWER.split(before_it)[0], words):
        words = f"{before_it} or {words}"  # two conclusions; the second is not a sentence
    if TAKEN_BACK.search(bare[end : end + 200]):
        words = f"not {words}"
    start = _sentence_start(bare, match)
    for repetition in sorted((match for _, match in matches), key=re.Match.end, reverse=True):
        adjacent = repetition.start() < start <= GAP.match(bare, repetition.end()).end()
        if adjacent and _alike(repetition["answer"], words):
            start = _sentence_start(bare, repetition)
    before = _trimmed(text[: positions[start]])
    first = matches[0][1]
    first_end = first.end() if _alike(first["answer"], words) else _answer_end(bare, first, first.end())
    first_words = first["answer"][: first_end - first.start("answer")]
    if first.start() == 0 and first_end < start and _alike(first_words, words):  # it comes first, then its reasons
        before = _reasons(_trimmed(text[positions[first_end] : positions[start]]))
    if not before:
        before = _reasons(text[positions[_answer_end(bare, match, end)] :])
        before = before if len(before.split()) > 2 else ""
    cut = text.replace(before, "", 1).strip()
    return Conclusion(before, cut, _unboxed(words), rule.name, bare[end:])


def _choose(bare: str, matches: list[tuple[Rule, re.Match[str]]]) -> tuple[Rule, re.Match[str]]:
    """The last of all conclusions. Of those with the same end, it is the one that begins first."""
    end = max(match.end("answer") for _, match in matches)
    last = [
        (rule, match)
        for rule, match in matches
        if match.end("answer") == end or (BOX.match(bare, match.start()) and match.end() >= end)
    ]
    rule, match = min(last, key=lambda pair: pair[1].start())
    same_object = [
        pair for pair in matches if pair[0].name == "json" and "}" not in bare[pair[1].end() : match.start()]
    ]
    if same_object and same_object[-1][1].start() < match.start():
        return same_object[-1]  # the rest of an answer's JSON object is no conclusion
    return rule, match


def _words_and_end(bare: str, rule: Rule, match: re.Match[str]) -> tuple[str, int]:
    """(words of a conclusion, where it ends), with the lines below its cue that belong to it."""
    words, end = match["answer"].strip(), match.end()
    if rule.name == "boxed":  # other boxes in the same line are answers, too
        words = _unboxed(bare[bare.rfind("\n", 0, match.start()) + 1 : end])
    if not words and (below := re.search(r"[^\n]*\S[^\n]*", bare[end:])):  # the answer is on the line below its cue
        words, end = below[0].strip(), end + below.end()
    if re.match(ITEM, words) and (more_items := re.match(rf"(?:\n[ \t]*{ITEM}[^\n]*)+", bare[end:])):
        words, end = words + more_items[0].replace("\n", " and "), end + more_items.end()
    return words, end


def _is_hypothetical(bare: str, match: re.Match[str]) -> bool:
    """Whether a match concludes nothing: it is about a wrong answer, what others might say, or a supposed case."""
    lead = re.compile(_lead("[A-H]"), re.IGNORECASE).match(bare, match.start())
    before = CONCEDED.sub("", bare[_sentence_begin(bare, match.start()) : lead.end()])
    would = "would" in bare[match.start() : match.start("answer")].casefold()
    return bool(NOT_CONCLUDED.search(before) or (would and SUPPOSED.search(before)))


def _sentence_begin(bare: str, position: int) -> int:
    """Where the sentence that contains `position` starts, judged by the 200 characters before it."""
    earliest = max(0, position - 200)
    return max([earliest, *(match.end() for match in SENTENCE.finditer(bare, earliest, position))])


def _sentence_start(bare: str, match: re.Match[str]) -> int:
    """Where a conclusion starts, with a short lead-in: `I think that` in `I think that the answer is B`. A clause of
    its own before the conclusion is no lead-in.
    """
    start = match.start()
    begin = _sentence_begin(bare, start)
    lead_in = bare[begin:start].strip(" \t*_>#-")
    is_box = BOX.match(bare, start) is not None  # a box stands at the end of its computation
    return (
        begin if lead_in and (is_box or (len(WORD.findall(lead_in)) <= 5 and lead_in[-1] not in ",;:)—–.")) else start
    )


def _answer_end(bare: str, match: re.Match[str], end: int) -> int:
    """Where the reasons of an answer begin, if they follow it in the line of its conclusion; else `end`."""
    answer = match.span("answer")
    reasons = AFTER_ANSWER.search(bare, *answer) if answer[1] == match.end() else None
    return reasons.end() if reasons else end


def _reasons(text: str) -> str:
    """The reasons in a text that begins behind an answer, without what a chat model says to end a talk."""
    return COURTESY.sub("", text.lstrip("*_`.,;:)").lstrip(" \n.,;:)")).strip()


def _trimmed(text: str) -> str:
    """A text without tags around it, and without what opens the markup, or is the number or heading, of what follows."""
    return _without_opening(LEFT_OVER.sub("", _without_opening(TAGS_AROUND.sub("", text)))).rstrip()


def _without_opening(text: str) -> str:
    """A text without OPENING at its end, but with the `>` of a tag."""
    trimmed = text.rstrip(OPENING)
    return f"{trimmed}>" if trimmed and TAG_END.match(text, len(trimmed) - 1) else trimmed


def _alike(earlier: str, words: str) -> bool:
    """Whether an earlier conclusion says the same as the last one, or only its letter, or says nothing and so leads up
    to it.
    """
    earlier, words = (HEDGE.sub("", BOX.sub(r"\1", answer)).casefold() for answer in (earlier, words))
    letter = re.match(r"\W*([a-z])(?![\w'’])", words)
    said = re.sub(r"\W", "", earlier)
    named = letter and re.fullmatch(rf"\W*{letter[1]}[).:] ?[^.,;:]{{0,100}}\W*", earlier)  # with its option's words
    return bool(named) or said in ("", re.sub(r"\W", "", words), letter and letter[1])


def _unboxed(words: str) -> str:
    """A conclusion's words, or the content of its box; different boxes are joined by `or`."""
    boxed = dict.fromkeys(BOX.findall(words))
    return " or ".join(boxed) if boxed else words


def plain(text: str) -> str:
    """Text without Markdown's emphasis, LaTeX's commands and HTML's tags; the text inside them is kept."""
    return _bare(text)[0]


def _bare(text: str) -> tuple[str, list[int]]:
    """(text of `plain`, for each of its characters the index in `text`). Full-width forms and typographic minus signs
    become plain ones.
    """
    bare, positions = MINUS.sub("-", text.translate(WIDE)), list(range(len(text)))
    for pattern in (TAG, LATEX, GROUPED, PAIRED, PAIRED, PAIRED):  # emphasis may be nested
        spans: list[tuple[int, int]] = []
        end = 0
        for match in pattern.finditer(bare):
            spans += [(end, match.start()), match.span("inside")]  # (-1, -1) of a group without a match is empty
            end = match.end()
        spans.append((end, len(bare)))
        bare = "".join(bare[a:b] for a, b in spans)
        positions = [position for a, b in spans for position in positions[a:b]]
    return bare, positions
