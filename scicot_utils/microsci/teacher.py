"""A simulated teacher for the embedded world and the symbolic tasks. It knows that world's facts, solves puzzles, and
errs at declared rates.

It reads prompt text and writes completion text as an LLM would, and sees only what the prompt shows.
"""

import functools
import random
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Self

from scicot_utils.microsci import facts
from scicot_utils.microsci.reasoning import Query, Reasoning, Recall, Solver
from scicot_utils.prompts import CUE, FINAL, LETTERS, PromptError, read_prompt
from scicot_utils.recipe import Settings
from scicot_utils.serving.cache import Response
from scicot_utils.serving.protocol import Teacher, TeacherError, free
from scicot_utils.tasks import symbolic
from scicot_utils.teachers import puzzles

UNSURE = "It could be any of these."  # the text of a malformed answer
REFUSAL = "I cannot help with that."
OPENINGS = ("", "Let us think about it.", "Well, let us see.")  # in the words of pretraining.vocabulary


@functools.cache
def _solver() -> Solver:
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
    def of(cls, settings: Settings) -> Self:
        """The habits in a recipe's settings."""
        keys = {field.name: f"teacher_{field.name}" for field in fields(cls)} | {"style": "rationale_style"}
        return cls(**{name: getattr(settings, key) for name, key in keys.items()})


@dataclass(frozen=True)
class _Case:
    """A MicroSci question parsed from a prompt. Options are identified by their index."""

    query: Query
    options: tuple[str, ...]
    gold: int | None  # the right option, as the prompt says or else by the fact tables
    gold_shown: bool  # whether the prompt says which is right
    unfaithful: bool  # whether it answers from knowledge that its rationale contradicts
    continuation: str  # the text after the question
    names: tuple[str, ...]  # entities that the question and its options name
    claims: tuple[str, ...]  # if options are texts: the solver's sentence about each


@dataclass(frozen=True)
class _PuzzleCase:
    """A puzzle parsed from a prompt. `options`: () for an open answer. `gold`: the answer that is shown as right, or
    ''. The other fields are as in `_Case`.
    """

    puzzle: symbolic.Puzzle
    options: tuple[str, ...]
    gold: str
    unfaithful: bool
    continuation: str


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
        self._solver = _solver()
        self._world = self._solver.world
        attributes = self._world.attributes.values()
        self._values = {"kind": list(self._world.kinds)}
        for relation in facts.RELATIONS[1:]:
            self._values[relation] = sorted({values[relation] for values in attributes if relation in values})
        foods = {*self._values["diet"]}
        self._eaten = {kind for kind in self._world.kinds if foods & {*map(facts.eaten, self._world.groups(kind))}}
        self._sayings = {
            facts.saying(self._world, relation, value, wording): (relation, value)
            for relation, values in self._values.items()
            for value in values
            for wording in range(len(facts.SAYINGS[relation]))
        }
        alternatives = "|".join(map(re.escape, sorted(self._sayings, key=len, reverse=True)))
        self._saying_pattern = re.compile(rf"(^| and )({alternatives})(?=,|$| and )")

    def complete(self, prompt: str, *, sample: int, temperature: float) -> Response:
        """The completion of a prompt. At temperature 0, `sample` makes no difference. Raises TeacherError for a
        question that it does not know.
        """
        case = self._read(prompt)
        reason, conclude = self._rationale, self._answer
        if isinstance(case, _PuzzleCase):
            reason, conclude = self._puzzle_rationale, self._puzzle_answer
        occasion = f"{sample if temperature else 0}/{prompt}"
        malformed = self._happens("malformed", occasion)
        if prompt.endswith(CUE):
            return free(prompt, UNSURE if malformed else conclude(case, case.continuation, occasion))
        if self._happens("refusal", occasion):
            return free(prompt, REFUSAL, "content_filter")
        text = reason(case, occasion, temperature)
        if FINAL in prompt:
            text += f"\n{FINAL} {UNSURE if malformed else conclude(case, text, occasion)}"
        if self._happens("truncation", occasion):
            words = text.split(" ")
            length = self._rng("cut", occasion).randrange(1, len(words))
            return free(prompt, " ".join(words[:length]), "length")
        return free(prompt, text)

    def _rng(self, *key: str) -> random.Random:
        return random.Random("/".join((str(self.habits.seed), *key)))  # string seeds ignore PYTHONHASHSEED

    def _happens(self, fault: str, *key: str) -> bool:
        return self._rng(fault, *key).random() < getattr(self.habits, f"{fault}_rate")

    def _vary(self, rng: random.Random, temperature: float) -> Callable[[], int]:
        """Draws the index of a wording. At temperature 0 it is always 0, the default one."""
        return lambda: rng.randrange(self.habits.paraphrase) if rng.random() < temperature else 0

    def _read(self, prompt: str) -> _Case | _PuzzleCase:
        """Whether an answer will be unfaithful is drawn for the question, so both calls of a prompt agree on it without
        knowing of each other.
        """
        try:
            parsed = read_prompt(prompt)
            options, gold_shown = parsed.options, bool(parsed.gold)
            if puzzle := symbolic.read(parsed.question):
                gold = options[LETTERS.index(parsed.gold)] if gold_shown and options else parsed.gold
                unfaithful = self._happens("wrong_rationale", puzzle.question, *options)
                return _PuzzleCase(puzzle, options, gold, unfaithful, parsed.rest)
            query = self._solver.read(parsed.question)
            reasoning = self._solver.reason(query, options)
        except (PromptError, ValueError, KeyError):  # no question, no wording, no entity of this world
            raise TeacherError(
                f"teacher 'simulated' knows only questions of microsci and the symbolic tasks; found: {prompt[:80]!r}"
            ) from None
        names = tuple(name for name in (*options, query.about) if name in self._world.entities)
        claims = () if set(options) <= set(names) else reasoning.lines
        gold = LETTERS.index(parsed.gold) if gold_shown else next(iter(reasoning.fitting), None)
        unfaithful = gold is not None and self._happens("wrong_rationale", parsed.question, *options)
        return _Case(query, options, gold, gold_shown, unfaithful, parsed.rest, names, claims)

    # Recalling

    def _mistakes(self, name: str, relation: str, rng: random.Random) -> list[str]:
        """Every wrong value, in the order in which it comes to mind. Half of the time, those of the same class come
        first.

        A kind that is eaten is only taken for another one that is eaten, since a question may ask what eats it.
        """
        true = self._world.value(name, relation)
        values = [value for value in self._values[relation] if value != true]
        rng.shuffle(values)
        if relation == "kind":
            values = [kind for kind in values if (kind in self._eaten) >= (true in self._eaten)]
            if rng.random() < 0.5:
                kinds = self._world.kinds
                values.sort(key=lambda kind: kinds[kind].class_name != kinds[true].class_name)  # stable
        return values

    def _memory(self, occasion: str) -> Recall:
        scope = "always" if self.habits.errors == "systematic" else occasion

        def recall(name: str, relation: str) -> str:
            if self._happens("error", scope, name, relation):
                return self._mistakes(name, relation, self._rng("mistake", scope, name, relation))[0]
            return self._world.value(name, relation)

        return recall

    def _steered(self, case: _Case, memory: Recall, accepts: Callable[[Reasoning], bool], occasion: str) -> Reasoning:
        """Reasoning from `memory`, with at most one more fact made wrong so that `accepts` is true, if one is enough.

        Facts about the right option are tried first.
        """
        recalled: list[tuple[str, str]] = []

        def noting(name: str, relation: str) -> str:
            recalled.append((name, relation))
            return memory(name, relation)

        original = self._solver.reason(case.query, case.options, noting)
        if accepts(original):
            return original
        gold_name = None if case.gold is None else case.options[case.gold]
        rng = self._rng("bent", occasion)
        for fact in sorted(recalled, key=lambda fact: fact[0] != gold_name):
            for value in self._mistakes(*fact, rng):
                changed = self._solver.reason(case.query, case.options, _overriding({fact: value}, memory))
                if accepts(changed):
                    return changed
        return original

    # Writing

    def _rationale(self, case: _Case, occasion: str, temperature: float) -> str:
        memory, gold = self._memory(occasion), case.gold
        reasoning = self._solver.reason(case.query, case.options, memory)
        candidates = reasoning.fitting or list(range(len(case.options)))
        if case.unfaithful:
            reasoning = self._steered(case, memory, lambda changed: not changed.fits[gold], occasion)
            sound = self._solver.reason(case.query, case.options)
            if reasoning.lines[gold : gold + 1] != sound.lines[gold : gold + 1]:
                candidates = [gold]  # its rationale argues for it with the wrong fact
            else:
                candidates = reasoning.fitting or [index for index in range(len(case.options)) if index != gold]
        elif case.gold_shown:
            if reasoning.fitting != [gold]:  # it reasons again, and changes a fact if necessary
                reasoning = self._steered(case, self._world.value, lambda changed: changed.fits[gold], occasion)
            candidates = [gold]
        chosen = self._rng("guess", occasion).choice(candidates)
        return self._wording(case, reasoning, chosen, temperature, self._rng("words", occasion))

    def _wording(self, case: _Case, reasoning: Reasoning, chosen: int, temperature: float, rng: random.Random) -> str:
        """`reasoning` as text in the teacher's style. `chosen`: the option that it argues for."""
        vary, style = self._vary(rng, temperature), self.habits.style
        head, lines, rules = list(reasoning.head), list(reasoning.lines), list(reasoning.rules)
        if style == "verdict":
            verdicts = ["yes" if fits else "no" for fits in reasoning.fits]
            lines = [f"{line[:-1]}, so {verdict}." for line, verdict in zip(lines, verdicts, strict=False)]
        elif style in ("justify", "terse"):
            lines = lines[chosen : chosen + 1]  # none where options need no fact
        if vary():
            rng.shuffle(lines)
        if style == "verdict":
            sentences = [*rules, *head, *lines]
        elif style == "terse":
            sentences = lines or head
        else:
            sentences = [*head, *lines, *rules]
        worded = [self._reworded(case, sentence, vary) for sentence in sentences]
        return " ".join(filter(None, [OPENINGS[vary()], *worded]))

    def _reworded(self, case: _Case, sentence: str, vary: Callable[[], int]) -> str:
        """The sentence, with other words for what it says of an entity."""

        def saying(match: re.Match[str]) -> str:
            return match[1] + facts.saying(self._world, *self._sayings[match[2]], vary())

        name, subject = self._subject(case, sentence)
        return f"{subject}{self._saying_pattern.sub(saying, sentence[len(subject) : -1])}." if name else sentence

    def _subject(self, case: _Case, sentence: str) -> tuple[str, str]:
        """(entity that a sentence is about, its beginning that names it); ('', '') if it is about none of the case."""
        for name in case.names:
            subject = f"{facts.entity_noun(self._world, name)} "
            if sentence.lower().startswith(subject.lower()):
                return name, sentence[: len(subject)]
        return "", ""

    # Concluding

    def _answer(self, case: _Case, text: str, occasion: str) -> str:
        """The text after the cue: the option that `text` leads to, a guess among several, or a declared wrong one."""
        if case.gold_shown or case.unfaithful:
            chosen = case.gold
        else:
            chosen = self._rng("guess", occasion).choice(self._led_to(case, text, occasion))
        if not case.unfaithful and self._happens("wrong_answer", occasion):
            wrong = [index for index in range(len(case.options)) if index not in (chosen, case.gold)]
            chosen = self._rng("wrong", occasion).choice(wrong or [chosen])
        return f"({LETTERS[chosen]}) {case.options[chosen]}."

    def _led_to(self, case: _Case, text: str, occasion: str) -> list[int]:
        """Indices of the options that a rationale leads to, whoever wrote it; all if it leads to none.

        These are the options with the verdict yes, else the only one that it discusses. Else they are those that fit by
        the facts that it states, and by memory for all other facts.
        """
        every_option = list(range(len(case.options)))
        stated: dict[tuple[str, str], str] = {}
        verdicts: dict[int, str] = {}
        discussed = set()
        for sentence in re.split(r"(?<=\.)\s+", text):
            statement, _, verdict = sentence.rstrip(".").partition(", so ")
            index = case.claims.index(f"{statement}.") if f"{statement}." in case.claims else None
            name, subject = self._subject(case, statement)
            if name:
                matches = self._saying_pattern.finditer(statement[len(subject) :])
                values = {(name, relation): value for relation, value in (self._sayings[m[2]] for m in matches)}
                stated |= values
                if values and name in case.options:
                    index = case.options.index(name)
            if index is not None:
                discussed.add(index)
                if verdict:
                    verdicts[index] = verdict
        if verdicts:
            return [index for index, verdict in verdicts.items() if verdict == "yes"] or every_option
        if len(discussed) == 1:
            return list(discussed)
        memory = _overriding(stated, self._memory(occasion))
        fitting = self._solver.reason(case.query, case.options, memory).fitting
        return [index for index in fitting if index in discussed] or fitting or every_option

    # Puzzles

    def _puzzle_rationale(self, case: _PuzzleCase, occasion: str, temperature: float) -> str:
        """A step-by-step solution of the puzzle, with mistakes unless the prompt shows the right answer."""
        puzzle, vary = case.puzzle, self._vary(self._rng("words", occasion), temperature)

        def errs(step: int) -> random.Random | None:
            subject = puzzle.steps[step]
            scope = "always" if self.habits.errors == "systematic" else f"{occasion}/{step}"
            wrong = not case.gold and self._happens("error", scope, subject)
            return self._rng("mistake", scope, subject) if wrong else None

        opening, lines = OPENINGS[vary()], puzzles.worked(puzzle, errs, vary)
        attempt = 0
        while case.unfaithful and puzzles.led_to(puzzle, " ".join(lines)) == puzzle.answer:
            attempt += 1  # not every mistake changes the final answer
            rng = self._rng("bent", occasion, str(attempt))
            wrong_step = {rng.randrange(len(puzzle.steps)): rng}
            lines = puzzles.worked(puzzle, wrong_step.get, vary)
        return " ".join(filter(None, [opening, *lines]))

    def _puzzle_answer(self, case: _PuzzleCase, text: str, occasion: str) -> str:
        """The text after the cue: the answer that `text` leads to, a guess if it leads to none, or a declared wrong one."""
        puzzle = case.puzzle
        led_to = puzzles.led_to(puzzle, text) or puzzles.wrong_answer(puzzle, "", self._rng("guess", occasion))
        answer = case.gold or (puzzle.answer if case.unfaithful else led_to)
        if not case.unfaithful and self._happens("wrong_answer", occasion):
            answer = puzzles.wrong_answer(puzzle, answer, self._rng("wrong", occasion))
        return f"({LETTERS[case.options.index(answer)]}) {answer}." if case.options else f"{answer}."


def _overriding(stated: dict[tuple[str, str], str], memory: Recall) -> Recall:
    """A memory in which stated facts override recalled ones."""
    return lambda *key: stated[key] if key in stated else memory(*key)
