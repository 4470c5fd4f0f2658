"""A simulated teacher for the embedded world and the symbolic tasks. It knows that world's facts, solves puzzles, and
errs at declared rates.

It reads prompt text and writes completion text as an LLM would, and sees only what the prompt shows.
"""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields

from scicot_utils.cache import Response
from scicot_utils.microsci import facts
from scicot_utils.microsci.reasoning import Asked, Reasoning, Recall, Solver
from scicot_utils.prompts import CUE, FINAL, LETTERS, PromptError, read_prompt
from scicot_utils.recipe import Settings
from scicot_utils.tasks import symbolic
from scicot_utils.teachers import puzzles
from scicot_utils.teachers.protocol import Teacher, TeacherError, free

UNSURE = "It could be any of these."  # the text of a malformed answer
REFUSAL = "I cannot help with that."
OPENINGS = ("", "Let us think about it.", "Well, let us see.")  # in the words of pretraining.vocabulary


@functools.cache
def solver() -> Solver:
    """The solver of the embedded world, made once, since that takes a third of a second."""
    return Solver(facts.load_world())


@dataclass(frozen=True)
class Habits:
    """How a simulated teacher writes and errs. Rates are probabilities from 0 to 1; the recipe describes each."""

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
        """The habits in a recipe's settings."""
        keys = {field.name: f"teacher_{field.name}" for field in fields(cls)} | {"style": "rationale_style"}
        return cls(**{name: getattr(settings, key) for name, key in keys.items()})


@dataclass(frozen=True)
class _Case:
    """A MicroSci question parsed from a prompt. Options go by their place; `rest` is the text after the question."""

    question: str
    options: tuple[str, ...]
    asked: Asked
    right: int | None  # the right option, as the prompt says or else by the fact tables
    told: bool  # whether the prompt says which is right
    rest: str
    names: tuple[str, ...]  # entities that are asked about
    claims: tuple[str, ...]  # if options are texts: the solver's sentence about each


@dataclass(frozen=True)
class _Puzzled:
    """A puzzle parsed from a prompt. `options`: () for an open answer. `told`: the answer that is shown as right, or
    ''.
    """

    puzzle: symbolic.Puzzle
    options: tuple[str, ...]
    told: str
    rest: str


class Simulated(Teacher):
    """A simulated teacher: it parses any of this package's prompts, and writes as an LLM would.

    It reasons like `Solver`, but recalls each fact wrongly with a declared probability. It concludes from the
    written rationale: its own in one call, or whatever rationale the prompt holds in the second of two calls. It solves
    a symbolic puzzle step by step, and each step goes wrong with that probability; such rationales have one style only.
    The output is deterministic for (habits, prompt, sample). Each kind of fault has its own random draws, so a raised
    rate adds faults and moves none.
    """

    name = "simulated"

    def __init__(self, habits: Habits):
        self.habits = habits
        self.identity = {
            "teacher": self.name,
            "version": 2,  # raised whenever the same prompt gets another text
            **asdict(habits),
            "world": facts.fingerprint(),
        }
        self._solver = solver()
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
        """The completion of a prompt. At temperature 0, `sample` makes no difference. Raises TeacherError for a
        question that it does not know.
        """
        case = self._read(prompt)
        puzzled = isinstance(case, _Puzzled)
        reason, conclude = (self._work_out, self._name) if puzzled else (self._rationale, self._conclude)
        occasion = f"{sample if temperature else 0}/{prompt}"
        if prompt.endswith(CUE):
            return free(prompt, conclude(case, case.rest, occasion))
        if self._happens("refusal", occasion):
            return free(prompt, REFUSAL, "content_filter")
        text = reason(case, occasion, temperature)
        if FINAL in prompt:
            text += f"\n{FINAL} {conclude(case, text, occasion)}"
        if self._happens("truncation", occasion):
            words = text.split(" ")
            kept = self._draws("cut", occasion).randrange(1, len(words))
            return free(prompt, " ".join(words[:kept]), "length")
        return free(prompt, text)

    def _draws(self, *what: str) -> random.Random:
        return random.Random("/".join((str(self.habits.seed), *what)))  # string seeds ignore PYTHONHASHSEED

    def _happens(self, fault: str, *what: str) -> bool:
        return self._draws(fault, *what).random() < getattr(self.habits, f"{fault}_rate")

    def _read(self, prompt: str) -> _Case | _Puzzled:
        try:
            shown = read_prompt(prompt)
            if puzzle := symbolic.read(shown.question):
                gold = shown.options[LETTERS.index(shown.gold)] if shown.gold and shown.options else shown.gold
                return _Puzzled(puzzle, shown.options, gold, shown.rest)
            asked = self._solver.read(shown.question)
            found = self._solver.reason(asked, shown.options)
        except (PromptError, ValueError, KeyError):  # no question, no wording, no entity of this world
            raise TeacherError(
                f"teacher 'simulated' knows only questions of microsci and the symbolic tasks; found: {prompt[:80]!r}"
            ) from None
        names = tuple(name for name in (*shown.options, *asked.slots) if name in self._world.entities)
        claims = () if set(shown.options) <= set(names) else found.lines
        right = LETTERS.index(shown.gold) if shown.gold else next(iter(_fitting(found)), None)
        return _Case(shown.question, shown.options, asked, right, bool(shown.gold), shown.rest, names, claims)

    # Recalling

    def _mistakes(self, name: str, relation: str, draws: random.Random) -> list[str]:
        """Every wrong value, in the order in which it comes to mind. Half of the time, those of the same class come
        first.

        A kind that is eaten is only taken for another one that is eaten, since a question may ask what eats it.
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
        """Reasoning from `memory`, with at most one more fact made wrong to get what is `wanted`, if one is enough.

        Facts about the option concerned are tried first.
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

        This is drawn for the question, so both calls of a prompt agree on it without knowing of each other.
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
                concluded = [right]  # its rationale argues for it with the wrong fact
            else:
                concluded = _fitting(found) or [place for place in range(len(case.options)) if place != right]
        elif case.told:
            if _fitting(found) != [right]:  # it reasons again, and changes a fact if necessary
                found = self._bent(case, self._world.value, lambda one: one.fits[right], occasion)
            concluded = [right]
        chosen = self._draws("guess", occasion).choice(concluded)
        return self._wording(case, found, chosen, temperature, self._draws("words", occasion))

    def _wording(self, case: _Case, found: Reasoning, chosen: int, temperature: float, draws: random.Random) -> str:
        """`found` as text in the teacher's style. At temperature 0, all wordings are the default ones."""

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
        """The sentence, with other words for what it says of an entity."""
        for name in case.names:
            subject = facts.entity_noun(self._world, name)
            if sentence.lower().startswith(f"{subject} ".lower()):
                start, rest = sentence[: len(subject) + 1], sentence[len(subject) + 1 : -1]
                said = self._said.sub(lambda m: m[1] + facts.saying(self._world, *self._sayings[m[2]], vary()), rest)
                return f"{start}{said}."
        return sentence

    # Concluding

    def _conclude(self, case: _Case, text: str, occasion: str) -> str:
        """The text after the cue: the option that `text` leads to, a guess among several, or a declared fault."""
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
        """Places of the options that a rationale leads to, whoever wrote it; all places if it leads to none.

        These are the options with the verdict yes, else the only one that it discusses. Else they are those that fit by
        the facts that it states, and by memory for all other facts.
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

    # Puzzles

    def _work_out(self, case: _Puzzled, occasion: str, temperature: float) -> str:
        """A step-by-step solution of the puzzle, with mistakes unless the prompt shows the right answer."""
        puzzle, draws = case.puzzle, self._draws("words", occasion)

        def vary() -> int:
            return draws.randrange(self.habits.paraphrase) if draws.random() < temperature else 0

        def errs(step: int) -> random.Random | None:
            about = puzzle.steps[step]
            drawn_for = "always" if self.habits.errors == "systematic" else f"{occasion}/{step}"
            wrong = not case.told and self._happens("error", drawn_for, about)
            return self._draws("mistake", drawn_for, about) if wrong else None

        opening, lines = OPENINGS[vary()], puzzles.worked(puzzle, errs, vary)
        attempt = 0
        while self._off_the_mark(case) and puzzles.led_to(puzzle, " ".join(lines)) == puzzle.answer:
            attempt += 1  # not every mistake changes the final answer
            bent = self._draws("bent", occasion, str(attempt))
            step = bent.randrange(len(puzzle.steps))
            lines = puzzles.worked(puzzle, lambda one, step=step, bent=bent: bent if one == step else None, vary)
        return " ".join(filter(None, [opening, *lines]))

    def _off_the_mark(self, case: _Puzzled) -> bool:
        """Whether it gives the right answer after a wrong rationale; drawn per question, as in `_unfaithful`."""
        return self._happens("wrong_rationale", case.puzzle.question, *case.options)

    def _name(self, case: _Puzzled, text: str, occasion: str) -> str:
        """The text after the cue: the answer that `text` leads to, a guess if it leads to none, or a declared fault."""
        if self._happens("malformed", occasion):
            return UNSURE
        puzzle = case.puzzle
        led = puzzles.led_to(puzzle, text) or puzzles.other(puzzle, "", self._draws("guess", occasion))
        answer = case.told or (puzzle.answer if self._off_the_mark(case) else led)
        if not self._off_the_mark(case) and self._happens("wrong_answer", occasion):
            answer = puzzles.other(puzzle, answer, self._draws("wrong", occasion))
        return f"({LETTERS[case.options.index(answer)]}) {answer}." if case.options else f"{answer}."


def _but(stated: dict[tuple[str, str], str], memory: Recall) -> Recall:
    """A memory in which stated facts override recalled ones."""
    return lambda *key: stated[key] if key in stated else memory(*key)


def _fitting(found: Reasoning) -> list[int]:
    return [place for place, fit in enumerate(found.fits) if fit]
