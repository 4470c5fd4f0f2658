"""Prompts of teachers and students: a question as text, and a completion divided into its parts. Kinds of answers are
defined in `answers`.
"""

import functools
import itertools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from scicot_utils.prompts import answers
from scicot_utils.prompts.answers import PromptError, answer_text, has_options, letter, options, read_conclusion
from scicot_utils.prompts.conclusions import conclude, plain
from scicot_utils.tables import Row

ARROW = " --> "  # Fine-tune-CoT's separator of rationale and answer (Ho et al., section 3.1)
SEPARATOR = " ###"  # Fine-tune-CoT's separator of input and target in a decoder-only student


def _options(before: str, question: Row, after: str = "", separator: str = " ") -> str:
    """The options between two texts; '' for a question with an open answer."""
    if not has_options(question):
        return ""
    return f"{before}{separator.join(f'({mark}) {text}' for mark, text in options(question))}{after}"


def _question_and_options(question: Row, before_options: str) -> str:
    return f"{question['question']}{_options(before_options, question)}"


# ── The teacher's side ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Exemplar:
    """A worked example for a few-shot prompt: a question with its gold answer, and a rationale that leads there."""

    question: Row
    rationale: str


@dataclass(frozen=True)
class TeacherPrompt:
    """How a teacher is asked. If `answer_cue` is not empty, there is a second call, with the rationale and this cue
    appended.

    `split` divides a whole completion into (rationale, the part that names the answer). A prompt with `few_shot` can
    only be shown after `few_shot()` gave it `exemplars`, one more than it shows. `cue`: the mark after which
    Fine-tune-CoT's reading looks for the answer of a single call. If empty, that reading takes the answer part as a
    text of its own.
    """

    name: str
    version: int
    block: Callable[[Row], str]
    answer_cue: str
    split: Callable[[str], tuple[str, str]]
    source: str
    few_shot: bool = False
    cue: str = ""
    exemplars: tuple[Exemplar, ...] = ()

    @property
    def label(self) -> str:
        """Name and version, as stored with completions."""
        return f"{self.name}/{self.version}"

    @property
    def joint(self) -> str:
        """The text between the output of a first call and that of a second one; '' without a second call."""
        return self.answer_cue or (CUE if self.split is _split_recorded else "")

    def question(self, question: Row) -> str:
        """The full text of the prompt. A question is never among its own exemplars, which would show its gold answer.
        Raises PromptError for a few-shot prompt without exemplars.
        """
        if not self.few_shot:
            return self.block(question)
        if len(self.exemplars) < 2:
            raise PromptError(
                f"prompt '{self.name}': found {len(self.exemplars)} exemplars, allowed: one more than are shown; "
                "make it with teachers.prompt_of(settings, questions)"
            )
        candidates = [exemplar for exemplar in self.exemplars if exemplar.question["id"] != question["id"]]
        worked = [
            f"{self.block(exemplar.question)} {exemplar.rationale} {FINAL} "
            f"{answers.format_answer(exemplar.question, exemplar.question['answer'])}."
            for exemplar in candidates[: len(self.exemplars) - 1]
        ]
        return "\n\n".join([*worked, self.block(question)])


CUE = "\nTherefore, the answer is"
FINAL = "The answer is"
GOLD = "The correct answer is"
OPTIONS = "\nOptions: "


def few_shot(prompt: TeacherPrompt, exemplars: Iterable[Exemplar]) -> TeacherPrompt:
    """The prompt with exemplars, one more than it shows: the last replaces one that is the question itself."""
    return replace(prompt, exemplars=tuple(exemplars))


def _ending(question: Row) -> str:
    return f"end with one line of the form '{FINAL} {'(X)' if has_options(question) else 'X'}.'"


def _zero_shot_cot(question: Row) -> str:
    return f"{ask(question)} Let's think step by step."


def _one_call(question: Row) -> str:
    return f"Question: {_question_and_options(question, OPTIONS)}\nThink step by step, then {_ending(question)}\nReasoning:"


def need_options(question: Row) -> None:
    """Raise PromptError if a question has no options to discuss. Only its `dataset` is needed."""
    if not has_options(question):
        raise PromptError(
            f"prompt 'options_walked': {question['dataset']} has open answers, so there are no options to walk; "
            "allowed: zero_shot_cot, zero_shot_cot_one_call, few_shot_cot"
        )


def _options_walked(question: Row) -> str:
    need_options(question)
    return (
        f"Question: {_question_and_options(question, OPTIONS)}\n"
        f"Discuss each option in turn, then {_ending(question)}\nReasoning:"
    )


def ask(question: Row) -> str:
    """A question in the format of Kojima et al. (2022), up to where its answer begins."""
    return f"Q: {_question_and_options(question, ' Answer Choices: ')}\nA:"


def _gold_shown(question: Row) -> str:
    gold = answers.format_answer(question, question["answer"])
    if has_options(question):
        gold = f"{gold} {answer_text(question, question['answer'])}"
    return (
        f"Question: {_question_and_options(question, OPTIONS)}\n"
        f"{GOLD} {gold}. Explain step by step why, then {_ending(question)}\nReasoning:"
    )


def _split_last(cue: str, text: str) -> tuple[str, str]:
    """(rationale, answer) around the last cue, whatever the white space around it."""
    rationale, separator, answer = text.rpartition(cue.strip())
    return (rationale.strip(), answer.strip()) if separator else (text.strip(), "")


def _split_block(text: str) -> tuple[str, str]:
    """The first block only: after few-shot examples, a language model may go on with a question of its own."""
    return _split_last(FINAL, text.split("\n\nQ:")[0])


def _by_id(question: Row) -> str:
    return f"{question['id']}\n{_question_and_options(question, OPTIONS)}"


def _split_recorded(text: str) -> tuple[str, str]:
    """(rationale, answer) around the first whole cue, including its line break, which `teachers.forms` puts there."""
    rationale, _, answer = text.partition(CUE)
    return rationale.strip(), answer.strip()


_split_cue, _split_final = functools.partial(_split_last, CUE), functools.partial(_split_last, FINAL)

TEACHER_PROMPTS = {
    prompt.name: prompt
    for prompt in (
        TeacherPrompt("zero_shot_cot", 1, _zero_shot_cot, CUE, _split_cue, "Kojima et al. 2022; Ho et al., 3.1"),
        TeacherPrompt("zero_shot_cot_one_call", 1, _one_call, "", _split_final, "one-call form of the same", cue=FINAL),
        TeacherPrompt("few_shot_cot", 1, ask, "", _split_block, "Wei et al. 2022, arXiv 2201.11903", few_shot=True, cue=FINAL),
        TeacherPrompt("gold_shown", 1, _gold_shown, "", _split_final, "after Zelikman et al. 2022, STaR's hint", cue=FINAL),
        TeacherPrompt("options_walked", 1, _options_walked, "", _split_final, "this project", cue=FINAL),
        TeacherPrompt("recorded", 3, _by_id, "", _split_recorded, "a file of rationales, looked up by the id in line 1"),
    )
}  # fmt: skip


@dataclass(frozen=True)
class ParsedPrompt:
    """What a prompt's text shows: its last question, the options if any, the gold letter or open answer ('' if not
    shown), and the text after the question.
    """

    question: str
    options: tuple[str, ...]
    gold: str
    rest: str


def read_prompt(text: str) -> ParsedPrompt:
    """Parse the text of any teacher's prompt. Raises PromptError if it shows no question."""
    pattern = r"^(?:Q|Question): (.+?)(?:(?: Answer Choices: |\nOptions: )(\(A\) .+))?$"
    matches = list(re.finditer(pattern, text, re.MULTILINE))
    if not matches:
        raise PromptError(f"found no question in a prompt that starts '{text[:80]}'")
    question, option_list = matches[-1].groups(default="")
    rest = text[matches[-1].end() :]
    gold = re.match(rf"\n{GOLD} (?:\(([A-Z])\)|(.+?)\. Explain step by step)", rest)
    return ParsedPrompt(question, _listed(option_list), (gold[1] or gold[2]) if gold else "", rest)


def _listed(text: str) -> tuple[str, ...]:
    """The options in `(A) raft (B) robin …`, to the last letter that follows the one before it."""
    choices = []
    for mark, following in itertools.pairwise((*answers.LETTERS, "")):
        option, is_listed, text = text.removeprefix(f"({mark}) ").partition(f" ({following}) ")
        choices += [option] if option else []
        if not is_listed:
            break
    return tuple(choices)


@dataclass(frozen=True)
class Completion:
    """A whole completion, parsed.

    `answer`: the teacher's answer as `answers` reads it; '' if unreadable. `rule`: how it was read, or why it was not.
    `cut`: the text that was cut off after the rationale.
    """

    rationale: str
    answer: str
    rule: str
    cut: str


LETTERED = re.compile(r"^[^\w\n]*([A-Za-z])(?:[)\].:,]|(?<![AaIi]) )", re.MULTILINE)  # not the article or the pronoun
# A line above an option that sets it apart from the answer, and one that leads on to it
APART = re.compile(r"\b(?:not|no|never|nor|wrong|incorrect|but|except|other|least|worst|eliminat\w*|exclud\w*|rul\w+ out)\b|n['’]t\b|\?\W*\Z", re.IGNORECASE)  # fmt: skip
LEADS_ON = re.compile(r"\A\W*\Z|[.!]\W*\Z|\b(?:correct|right|best|answer|therefore|so|thus|hence)\b", re.IGNORECASE)
YES_NO = re.compile(r"\A\W*(?:yes|no|true|false)\b\W*", re.IGNORECASE)


def read_free(question: Row, text: str) -> Completion:
    """A text read by its conclusion, in any form (`conclusions`). Without one, a line counts that is an answer by itself
    (`_read_line`).
    """
    conclusion = conclude(text, answers.letters_read(question)[-1])
    if not conclusion.rule:
        return _read_line(question, conclusion.before)
    answer, rule = read_conclusion(question, conclusion.words)
    above = conclusion.before.rpartition("\n")[2] if conclusion.rule == "last line" else ""
    said = f"{conclusion.words}{conclusion.behind}" if conclusion.rule in ("first line", "named correct") else ""
    if answer and (
        (above.endswith(":") and APART.search(above)) or (said and answers.is_disputed(question, answer, said))
    ):
        answer, rule = "", answers.SEVERAL
    rule = f"{conclusion.rule}: {rule}" if answer else rule
    says_more = not answer or answers.adds_words(conclusion.before, answer_text(question, answer))
    return Completion(conclusion.before if says_more else "", answer, rule, conclusion.cut)


def _read_line(question: Row, text: str) -> Completion:
    """A text without a conclusion, read by its last line, if that is an option's exact words, with or without its
    letter; else by its first line, if that has both, or by yes or no before its first clause. It must not be taken back,
    and the lines beside it must not list other options.
    """
    before, _, last = text.rpartition("\n")
    first, _, after = text.partition("\n")
    above = before.rstrip().rpartition("\n")[2]
    lead = re.split(r"[.!?] +", plain(above))[-1]
    for name, line, rationale, beside in (("last line", last, before, above), ("first line", first, after, after)):
        answer, rule = read_conclusion(question, plain(line))
        if "option's words" in rule:
            others = {mark.upper() for mark in LETTERED.findall(plain(beside))} - {letter(question, answer)}
            needs_letter = name == "first line" or rule.startswith("a letter")
            has_context = bool(LETTERED.match(plain(line)) if needs_letter else before)
            is_alone = has_context and not others and not answers.adds_words(plain(line), answer_text(question, answer))
        else:
            rationale = YES_NO.sub("", text)
            is_alone = name == "first line" and rule == "its first word"
        is_led = LEADS_ON.search(lead) and not APART.search(lead)
        if is_alone and (is_led if name == "last line" else not answers.is_disputed(question, answer, plain(text))):
            return Completion(rationale.strip(), answer, f"{name}: {rule}", text.replace(rationale, "", 1).strip())
    return Completion(text, "", answers.NO_CONCLUSION, "")


def read_completion(prompt: TeacherPrompt, question: Row, text: str, reading: str = "conclusion") -> Completion:
    """A teacher's whole completion, read as a recipe's `teacher_reading` says.

    `conclusion`: by its last conclusion, whatever the prompt (`read_free`); the rationale ends before the first cue of
    a second call. `strict`: from the first line after the prompt's cue. `paper`: Fine-tune-CoT's own reading. It takes
    the first candidate in the text of the second call, or after the cue of a single call; if that cue is missing, the
    last candidate of all.
    """
    if reading == "conclusion":
        completion = read_free(question, text)
        rationale, second_call = _split_calls(question, completion.rationale, prompt.joint)
        return replace(completion, rationale=rationale.strip(), cut=f"{second_call}\n{completion.cut}".strip())
    rationale, answer_part = prompt.split(text)
    cut = text[len(text.rstrip()) - len(answer_part) :] if answer_part else ""
    if reading == "paper":
        answer = answers.cleanse(question, text, prompt.cue) if prompt.cue else answers.cleanse(question, answer_part)
        return Completion(rationale, answer, "the paper's" if answer else answers.NO_CONCLUSION, cut)
    if not answer_part:
        return Completion(rationale, "", answers.NO_CONCLUSION, cut)
    answer, rule = answers.read_by(question, answer_part.splitlines()[0])
    return Completion(rationale, answer, rule or answers.NOT_UNDERSTOOD, cut)


def _split_calls(question: Row, rationale: str, joint: str) -> tuple[str, str]:
    """(text of the first call, the joint and the text of the second), divided where the second call repeats the cue
    that joins the calls, or the answer. (rationale, '') if it repeats neither.
    """
    for match in re.finditer(re.escape(joint), rationale) if joint else ():
        first_line = rationale[match.end() :].split("\n")[0]
        if len(first_line.split()) <= 2 or read_conclusion(question, first_line)[0]:
            return rationale[: match.start()], rationale[match.start() :]
    return rationale, ""


def with_rationale(prompt: TeacherPrompt, text: str, rationale: str) -> str:
    """A completion with `rationale` in place of its own, and with the same answer."""
    answer = prompt.split(text)[1]
    rationale = re.sub(r"\n{2,}Q:", "\nQ:", rationale)  # where a few-shot prompt's completion would end
    cue = prompt.answer_cue or f"\n{FINAL}"
    return f"{rationale}{cue} {answer}" if answer else rationale


# ── The student's side ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class StudentTemplate:
    """How a student is shown a question. The two cues tell it what to write; `block` shows question and options.

    `separator` ends the input of a decoder-only student, whose one sequence is "input separator target".
    """

    name: str
    version: int
    block: Callable[[Row], str]
    rationale_cue: str
    answer_cue: str
    source: str
    separator: str = SEPARATOR

    def ask_rationale(self, question: Row) -> str:
        """The input to which a student writes a rationale."""
        return f"{self.block(question)}{self.rationale_cue}"

    def ask_answer(self, question: Row) -> str:
        """The input to which a student writes an answer."""
        return f"{self.block(question)}{self.answer_cue}"

    def ask_answer_from(self, question: Row, rationale: str, order: str) -> str:
        """Stage 2's input: question and rationale, in the declared order (`stage2_order`)."""
        solution = f"{self.rationale_cue.strip()} {rationale}".strip()
        if order == "rationale_first":
            return f"{solution}{self.joint}{self.block(question)}{self.answer_cue}"
        return f"{self.block(question)}{self.joint}{solution}{self.answer_cue}"

    @property
    def joint(self) -> str:
        """The white space between question and rationale in stage 2's input."""
        return "\n" if "\n" in self.rationale_cue else " "


STUDENT_TEMPLATES = {
    template.name: template
    for template in (
        StudentTemplate("options_first", 1, lambda question: f"{_options('', question, ' ')}{question['question']}",
                        " Solution:", " Answer:", "this project: options at fixed places, then the question"),
        StudentTemplate("multimodal_cot", 1, lambda question: f"Question: {question['question']}\nContext: N/A{_options(OPTIONS, question)}",
                        "\nSolution:", "\nAnswer:", "Zhang et al. 2023, arXiv 2302.00923, text only"),
        StudentTemplate("finetune_cot", 1, lambda question: f"{question['question']}{_options(' Answer choices: ', question, '.', ', ')}",
                        "", "", "Ho et al., section 3.1, encoder-decoder students: the question alone, whatever is to be written"),
    )
}  # fmt: skip


def write_answer(question: Row, answer: str, answer_format: str) -> str:
    """The target text of an answer. An open answer is written as it is. For an option, `answer_format` chooses its
    text, its letter, or the sentence `The answer is (B).` (`label`, Multimodal-CoT's form).
    """
    if has_options(question) and answer_format == "label":
        return f"{FINAL} {answers.format_answer(question, answer)}."
    if has_options(question) and answer_format == "letter":
        return letter(question, answer)
    return answer_text(question, answer)


def write_rationale_answer(rationale: str, answer: str) -> str:
    """Fine-tune-CoT's target, `{rationale} --> {answer}`."""
    return f"{rationale}{ARROW}{answer}"


def split_rationale_answer(text: str) -> tuple[str, str]:
    """(rationale, answer) of Fine-tune-CoT's target. A text without an arrow is all rationale."""
    return _split_last(ARROW, text)


def write_answer_rationale(rationale: str, answer: str) -> str:
    """The target in reverse order, `{answer} --> {rationale}`."""
    return f"{answer}{ARROW}{rationale}"


def split_answer_rationale(text: str) -> tuple[str, str]:
    """(rationale, answer) of the target in reverse order. A text without an arrow is all answer."""
    answer, _, rationale = text.partition(ARROW.strip())
    return rationale.strip(), answer.strip()
