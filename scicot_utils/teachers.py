"""Teachers: whatever turns prompt text into completion text, behind one protocol and one cache.

`simulated` knows the embedded world and errs at declared rates; `recorded` replays a file of rationales. Neither sees
more than the prompt shows. Judging what they wrote is the business of `rationales`.
"""

from __future__ import annotations

import functools
import hashlib
import json
import random
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any, Protocol

from scicot_utils import ScicotError, microsci, paths
from scicot_utils.cache import Cache, Response
from scicot_utils.microsci import Reasoning, facts
from scicot_utils.microsci.reasoning import Recall
from scicot_utils.prompts import (
    CUE,
    FINAL,
    LETTERS,
    TEACHER_PROMPTS,
    Exemplar,
    PromptError,
    TeacherPrompt,
    few_shot,
    read_prompt,
)
from scicot_utils.recipe import Settings
from scicot_utils.tables import Row

UNSURE = "It could be any of these."  # what a malformed answer of the simulated teacher says
REFUSAL = "I cannot help with that."
OPENINGS = ("", "Let us think about it.", "Well, let us see.")  # in the words of microsci.vocabulary


class TeacherError(ScicotError):
    """A teacher that cannot be asked."""


class Teacher(Protocol):
    """`name` goes into tables; `identity` is all that decides its answers, and part of the cache's key."""

    name: str
    identity: dict[str, Any]

    def complete(self, prompt: str, *, sample: int, temperature: float) -> Response: ...


def open_teacher(settings: Settings) -> Teacher:
    """The teacher that a recipe names."""
    if settings.teacher == "recorded":
        return Recorded(settings.teacher_path)
    return Simulated(Habits.of(settings))


def ask(
    teacher: Teacher,
    prompt: TeacherPrompt,
    questions: Iterable[Row],
    cache: Cache,
    *,
    samples: int = 1,
    temperature: float = 0.0,
) -> Iterator[Row]:
    """Rows of the completions table, `samples` a question, in order; each response is stored before it is given out.

    A prompt with an answer cue takes two calls, the second greedy (Ho et al., appendix): the row's text is the first
    completion, the cue and the second completion, so that the prompt's parser sees the whole.
    """
    for question in questions:
        shown = prompt.question(question)
        for sample in range(samples):
            first = _cached(teacher, cache, prompt, shown, temperature, sample)
            text, calls = first.text, [first]
            if prompt.answer_cue and first.finish_reason == "stop":
                follow_up = f"{shown} {first.text}{prompt.answer_cue}"
                calls.append(_cached(teacher, cache, prompt, follow_up, 0.0, sample))
                text = f"{first.text}{prompt.answer_cue} {calls[-1].text}"
            yield {
                "question_id": question["id"],
                "sample": sample,
                "prompt": shown,
                "prompt_version": prompt.label,
                "teacher": teacher.name,
                "temperature": float(temperature),
                "text": text,
                "finish_reason": calls[-1].finish_reason,
                "prompt_tokens": sum(call.prompt_tokens for call in calls),
                "completion_tokens": sum(call.completion_tokens for call in calls),
                "usd": sum(call.usd for call in calls),
                "created": calls[-1].created,
            }


def _cached(
    teacher: Teacher, cache: Cache, prompt: TeacherPrompt, text: str, temperature: float, sample: int
) -> Response:
    request = teacher.identity | {
        "prompt": text,
        "prompt_version": prompt.label,
        "temperature": temperature,
        "sample": sample if temperature else 0,  # greedy samples are one and the same
    }
    response = cache.get(request)
    if response is None:
        response = teacher.complete(text, sample=request["sample"], temperature=temperature)
        cache.put([(request, response)])
    return response


def _response(prompt: str, text: str, finish_reason: str = "stop") -> Response:
    """A free response; tokens are counted as words, for want of a tokenizer."""
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return Response(text, finish_reason, len(prompt.split()), len(text.split()), 0.0, created)


class Recorded:
    """Replays a JSONL file of {"id": …, "rationale": …}; a question that is not in it gets finish_reason `missing`."""

    def __init__(self, path: str):
        file = paths.expand(path)
        if not path or not file.is_file():
            raise TeacherError(
                f"teacher 'recorded': no file at teacher_path '{path}'; set it (or the environment variable in it) to "
                'a JSONL file with one {"id": …, "rationale": …} a line'
            )
        content = file.read_bytes()
        self.name = f"recorded:{file.name}"
        self.identity = {"teacher": "recorded", "sha256": hashlib.sha256(content).hexdigest()}
        self._rationales: dict[str, str] = {}
        for number, line in enumerate(content.split(b"\n"), start=1):  # not splitlines: JSON may hold U+2028
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                if not isinstance(row["rationale"], str):
                    raise TypeError("its rationale is no text")
                self._rationales[row["id"]] = row["rationale"]
            except (ValueError, KeyError, TypeError) as error:
                raise TeacherError(
                    f'teacher_path {file.name}, line {number}: allowed: a JSON object with "id" and "rationale" ({error!r})'
                ) from None

    def complete(self, prompt: str, *, sample: int, temperature: float) -> Response:
        found = self._rationales.get(prompt.splitlines()[0])
        return _response(prompt, "", "missing") if found is None else _response(prompt, found)


@functools.cache
def _solver() -> microsci.Solver:
    """Of the embedded world, made once: it takes a third of a second."""
    return microsci.Solver(microsci.load_world())


@dataclass(frozen=True)
class Habits:
    """How a simulated teacher writes and errs. Rates are chances from 0 to 1; the recipe describes each."""

    style: str = "walk"
    paraphrase: int = 1
    error_rate: float = 0.0
    errors: str = "random"
    malformed_rate: float = 0.0
    refusal_rate: float = 0.0
    truncation_rate: float = 0.0
    wrong_answer_rate: float = 0.0
    wrong_rationale_rate: float = 0.0
    seed: int = 0

    @classmethod
    def of(cls, settings: Settings) -> Habits:
        keys = {field.name: f"teacher_{field.name}" for field in fields(cls)} | {"style": "rationale_style"}
        return cls(**{name: getattr(settings, key) for name, key in keys.items()})


@dataclass(frozen=True)
class _Case:
    """What a prompt asks, found in its own words. Options go by their place; `rest` is what follows the question."""

    question: str
    options: tuple[str, ...]
    asked: microsci.Asked
    right: int | None  # the option that the prompt says is right, else the one that the fact tables make right
    told: bool  # whether the prompt says it
    rest: str
    names: tuple[str, ...]  # entities that are asked about
    claims: tuple[str, ...]  # where options are texts: the sentence that the solver says about each


class Simulated:
    """A teacher for the embedded world: reads any of this package's prompts, and writes as an LLM would.

    It reasons like `microsci.Solver`, but recalls each fact wrongly with a declared chance, and concludes from what is
    written: its own words in one call, whatever rationale the prompt holds in the second of two. Deterministic for
    (habits, prompt, sample). Each chance has draws of its own, so that a raised rate adds faults and moves none.
    """

    name = "simulated"

    def __init__(self, habits: Habits):
        self.habits = habits
        self.identity = {
            "teacher": self.name,
            "version": 2,  # raised whenever the same prompt gets another text
            **asdict(habits),
            "world": microsci.fingerprint(),
        }
        self._solver = _solver()
        self._world = self._solver.world
        self._values: dict[str, list[str]] = {"kind": list(self._world.kinds)}
        for relation in facts.RELATIONS[1:]:
            found = {values[relation] for values in self._world.attributes.values() if relation in values}
            self._values[relation] = sorted(found)
        self._eaten = {
            kind
            for kind in self._world.kinds
            if {facts.eaten(group) for group in self._world.groups(kind)} & set(self._values["diet"])
        }
        self._sayings = {
            facts.saying(self._world, relation, value, wording): (relation, value)
            for relation, values in self._values.items()
            for value in values
            for wording in range(len(facts.SAYINGS[relation]))
        }
        said = "|".join(map(re.escape, sorted(self._sayings, key=len, reverse=True)))
        self._said = re.compile(rf"(^| and )({said})(?=,|$| and )")

    def complete(self, prompt: str, *, sample: int, temperature: float) -> Response:
        case = self._read(prompt)
        occasion = f"{sample if temperature else 0}/{prompt}"
        if prompt.endswith(CUE):
            return _response(prompt, self._conclude(case, case.rest, occasion))
        if self._happens("refusal", occasion):
            return _response(prompt, REFUSAL, "content_filter")
        text = self._rationale(case, occasion, temperature)
        if FINAL in prompt:
            text += f"\n{FINAL} {self._conclude(case, text, occasion)}"
        if self._happens("truncation", occasion):
            words = text.split(" ")
            kept = self._draws("cut", occasion).randrange(1, len(words))
            return _response(prompt, " ".join(words[:kept]), "length")
        return _response(prompt, text)

    def _draws(self, *what: str) -> random.Random:
        return random.Random("/".join((str(self.habits.seed), *what)))  # string seeds ignore PYTHONHASHSEED

    def _happens(self, fault: str, *what: str) -> bool:
        return self._draws(fault, *what).random() < getattr(self.habits, f"{fault}_rate")

    def _read(self, prompt: str) -> _Case:
        try:
            shown = read_prompt(prompt)
            asked = self._solver.read(shown.question)
            found = self._solver.reason(asked, shown.options)
        except (PromptError, ValueError, KeyError):  # no question, no wording, no entity of this world
            raise TeacherError(
                f"teacher 'simulated' knows only questions of microsci; found: {prompt[:80]!r}"
            ) from None
        names = tuple(name for name in (*shown.options, *asked.slots) if name in self._world.entities)
        claims = () if set(shown.options) <= set(names) else found.lines
        right = LETTERS.index(shown.gold) if shown.gold else next(iter(_fitting(found)), None)
        return _Case(shown.question, shown.options, asked, right, bool(shown.gold), shown.rest, names, claims)

    # Recalling

    def _mistakes(self, name: str, relation: str, draws: random.Random) -> list[str]:
        """Every wrong value, in the order in which it comes to mind: half of the time first those of the same class.

        What is eaten is taken for something else that is eaten, since what eats it may be asked.
        """
        true = self._world.value(name, relation)
        others = [value for value in self._values[relation] if value != true]
        draws.shuffle(others)
        if relation == "kind":
            others = [kind for kind in others if (kind in self._eaten) >= (true in self._eaten)]
            if draws.random() < 0.5:
                of = self._world.kinds
                others.sort(key=lambda kind: of[kind].class_name != of[true].class_name)  # stable
        return others

    def _memory(self, occasion: str) -> Recall:
        drawn_for = "always" if self.habits.errors == "systematic" else occasion

        def recall(name: str, relation: str) -> str:
            if self._happens("error", drawn_for, name, relation):
                return self._mistakes(name, relation, self._draws("mistake", drawn_for, name, relation))[0]
            return self._world.value(name, relation)

        return recall

    def _bent(self, case: _Case, memory: Recall, wanted: Callable[[Reasoning], bool], occasion: str) -> Reasoning:
        """Reasoning from `memory` with at most one more fact made wrong, so that it is as `wanted`, if that is enough.

        The facts about the option concerned come first.
        """
        used: list[tuple[str, str]] = []

        def noting(name: str, relation: str) -> str:
            used.append((name, relation))
            return memory(name, relation)

        found = self._solver.reason(case.asked, case.options, noting)
        if wanted(found):
            return found
        concerned = None if case.right is None else case.options[case.right]
        draws = self._draws("bent", occasion)
        for fact in sorted(used, key=lambda fact: fact[0] != concerned):
            for value in self._mistakes(*fact, draws):
                bent = self._solver.reason(case.asked, case.options, _but({fact: value}, memory))
                if wanted(bent):
                    return bent
        return found

    # Writing

    def _unfaithful(self, case: _Case) -> bool:
        """Whether it answers from knowledge that its rationale contradicts.

        Drawn for the question, so that both of two calls agree on it without either knowing of the other.
        """
        return case.right is not None and self._happens("wrong_rationale", case.question, *case.options)

    def _rationale(self, case: _Case, occasion: str, temperature: float) -> str:
        memory, right = self._memory(occasion), case.right
        found = self._solver.reason(case.asked, case.options, memory)
        concluded = _fitting(found) or list(range(len(case.options)))
        if self._unfaithful(case):
            found = self._bent(case, memory, lambda one: not one.fits[right], occasion)
            sound = self._solver.reason(case.asked, case.options)
            if found.lines[right : right + 1] != sound.lines[right : right + 1]:
                concluded = [right]  # to be argued for with the wrong fact
            else:
                concluded = _fitting(found) or [place for place in range(len(case.options)) if place != right]
        elif case.told:
            if _fitting(found) != [right]:  # it thinks again, and bends a fact if it must
                found = self._bent(case, self._world.value, lambda one: one.fits[right], occasion)
            concluded = [right]
        chosen = self._draws("guess", occasion).choice(concluded)
        return self._wording(case, found, chosen, temperature, self._draws("words", occasion))

    def _wording(self, case: _Case, found: Reasoning, chosen: int, temperature: float, draws: random.Random) -> str:
        """`found` in the style and in the words of this time: the usual ones at temperature 0."""

        def vary() -> int:
            return draws.randrange(self.habits.paraphrase) if draws.random() < temperature else 0

        head, lines, rules = list(found.head), list(found.lines), list(found.rules)
        style = self.habits.style
        if style == "verdict":
            lines = [f"{line[:-1]}, so {'yes' if fit else 'no'}." for line, fit in zip(lines, found.fits, strict=False)]
        elif style in ("justify", "terse"):
            lines = lines[chosen : chosen + 1]  # none where options need no fact
        if vary():
            draws.shuffle(lines)
        if style == "verdict":
            parts = [*rules, *head, *lines]
        elif style == "terse":
            parts = lines or head
        else:
            parts = [*head, *lines, *rules]
        worded = [self._reworded(case, sentence, vary) for sentence in parts]
        return " ".join(filter(None, [OPENINGS[vary()], *worded]))

    def _reworded(self, case: _Case, sentence: str, vary: Callable[[], int]) -> str:
        """The sentence with what it says of an entity put in other words."""
        for name in case.names:
            subject = facts.entity_noun(self._world, name)
            if sentence.lower().startswith(f"{subject} ".lower()):
                start, rest = sentence[: len(subject) + 1], sentence[len(subject) + 1 : -1]
                said = self._said.sub(lambda m: m[1] + facts.saying(self._world, *self._sayings[m[2]], vary()), rest)
                return f"{start}{said}."
        return sentence

    # Concluding

    def _conclude(self, case: _Case, text: str, occasion: str) -> str:
        """What comes after the cue: the option that `text` leads to, a guess among several, or a declared fault."""
        if self._happens("malformed", occasion):
            return UNSURE
        if case.told or self._unfaithful(case):
            chosen = case.right
        else:
            chosen = self._draws("guess", occasion).choice(self._led_to(case, text, occasion))
        if not self._unfaithful(case) and self._happens("wrong_answer", occasion):
            others = [place for place in range(len(case.options)) if place not in (chosen, case.right)]
            chosen = self._draws("wrong", occasion).choice(others or [chosen])
        return f"({LETTERS[chosen]}) {case.options[chosen]}."

    def _led_to(self, case: _Case, text: str, occasion: str) -> list[int]:
        """Places of the options that a rationale leads to, whoever wrote it; all of them where it leads to none.

        Those with a yes; else the only one that it discusses; else those that fit by the facts that it states, and by
        memory where it states none.
        """
        everyone = list(range(len(case.options)))
        stated: dict[tuple[str, str], str] = {}
        verdicts: dict[int, str] = {}
        discussed = set()
        for sentence in re.split(r"(?<=\.)\s+", text):
            told, _, verdict = sentence.rstrip(".").partition(", so ")
            place = case.claims.index(f"{told}.") if f"{told}." in case.claims else None
            for name in case.names:
                subject = f"{facts.entity_noun(self._world, name)} "
                if told.lower().startswith(subject.lower()):
                    said = [self._sayings[match[2]] for match in self._said.finditer(told[len(subject) :])]
                    stated |= {(name, relation): value for relation, value in said}
                    if said and name in case.options:
                        place = case.options.index(name)
            if place is not None:
                discussed.add(place)
                if verdict:
                    verdicts[place] = verdict
        if verdicts:
            return [place for place, verdict in verdicts.items() if verdict == "yes"] or everyone
        if len(discussed) == 1:
            return list(discussed)
        found = self._solver.reason(case.asked, case.options, _but(stated, self._memory(occasion)))
        return [place for place in _fitting(found) if place in discussed] or _fitting(found) or everyone


def _but(stated: dict[tuple[str, str], str], memory: Recall) -> Recall:
    """A memory in which what is stated outranks what would be recalled."""
    return lambda *key: stated[key] if key in stated else memory(*key)


def _fitting(found: Reasoning) -> list[int]:
    return [place for place, fit in enumerate(found.fits) if fit]


# What a prompt needs besides the question


def _proof(question: Row) -> str:
    return " ".join(_solver().proof(question["question"], question["choices"]["text"]))


PROOFS: dict[str, Callable[[Row], str]] = {"microsci": _proof}  # dataset → a rationale as a human would write it


def need_proofs(dataset: str) -> None:
    """Raise TeacherError where a benchmark has no rationales that a few-shot prompt could show."""
    if dataset not in PROOFS:
        raise TeacherError(
            f"prompt 'few_shot_cot' needs exemplars with rationales, and none are known for {dataset}; "
            f"allowed: it with {', '.join(PROOFS)}, or another prompt"
        )


def exemplars(questions: Iterable[Row], count: int) -> list[Exemplar]:
    """`count` worked questions of the train split, of different groups as far as there are; always the same ones.

    Their rationales are the benchmark's own proofs. Raises TeacherError where it has none, or too few questions.
    """
    train = sorted(
        (row for row in questions if row["split"] == "train"),
        key=lambda row: hashlib.sha256(row["id"].encode()).hexdigest(),
    )
    if len(train) < count:
        raise TeacherError(f"few-shot prompt: found {len(train)} training questions, needed: {count}")
    for dataset in dict.fromkeys(row["dataset"] for row in train):
        need_proofs(dataset)
    first_of_group: dict[str, Row] = {}
    for row in train:
        first_of_group.setdefault(row["group"], row)
    firsts = list(first_of_group.values())
    chosen = [*firsts, *(row for row in train if row not in firsts)][:count]
    return [Exemplar(row, PROOFS[row["dataset"]](row)) for row in chosen]


def prompt_of(settings: Settings, questions: Iterable[Row] = (), *, name: str = "") -> TeacherPrompt:
    """The prompt that a recipe names, or the one called `name`; a recorded teacher has only its own.

    A few-shot prompt takes its exemplars from the train split of `questions`; without them it can be parsed with, not
    asked with.
    """
    name = name or settings.prompt
    if (settings.teacher == "recorded") != (name == "recorded"):
        raise TeacherError(
            f"teacher '{settings.teacher}' with prompt '{name}': allowed: prompt 'recorded' with teacher "
            "'recorded', any other prompt with any other teacher"
        )
    prompt, questions = TEACHER_PROMPTS[name], list(questions)
    if prompt.few_shot and questions:
        return few_shot(prompt, exemplars(questions, settings.few_shot_examples + 1))
    return prompt
