"""Teachers: whatever turns prompt text into completion text, behind one protocol and one cache.

`simulated` knows the embedded world and errs at a declared rate; `recorded` replays a file of rationales. Neither is
shown the gold answer. Judging what they wrote is the business of `rationales`.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Protocol

from scicot_utils import ScicotError, microsci, paths
from scicot_utils.cache import Cache, Response
from scicot_utils.prompts import CUE, FINAL, TEACHER_PROMPTS, TeacherPrompt
from scicot_utils.recipe import Settings
from scicot_utils.tables import Row

UNSURE = "It could be any of these."  # what a malformed answer of the simulated teacher says


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
    return Simulated(
        style=settings.rationale_style,
        error_rate=settings.teacher_error_rate,
        malformed_rate=settings.teacher_malformed_rate,
        seed=settings.teacher_seed,
    )


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


class Simulated:
    """A teacher for the embedded world: reads any of this package's prompts, and writes as an LLM would.

    For each option it recalls kind and class, wrongly with probability `error_rate`; recalls the rule; and concludes
    from what it has written. `style`: `walk` goes through the options and ends with the rule; `verdict` starts with
    the rule and says yes or no to each. Deterministic for (seed, prompt, sample); at temperature 0 samples are equal.
    """

    name = "simulated"

    def __init__(self, *, style: str, error_rate: float, malformed_rate: float, seed: int):
        self.identity = {
            "teacher": self.name,
            "version": 1,  # raised whenever the same prompt gets another text
            "style": style,
            "error_rate": error_rate,
            "malformed_rate": malformed_rate,
            "seed": seed,
            "world": microsci.fingerprint(),
        }
        self._world = microsci.load_world()
        self._style, self._error_rate, self._malformed_rate, self._seed = style, error_rate, malformed_rate, seed

    def complete(self, prompt: str, *, sample: int, temperature: float) -> Response:
        digest = hashlib.sha256(f"{self._seed}/{sample if temperature else 0}/{prompt}".encode()).digest()
        return _response(prompt, self._write(prompt, random.Random(int.from_bytes(digest[:8], "big"))))

    def _write(self, prompt: str, rng: random.Random) -> str:
        options, property_ = self._read(prompt)
        if prompt.endswith(CUE):
            return self._conclude(prompt, options, rng)
        rationale = self._reason(options, property_, rng)
        if FINAL not in prompt:
            return rationale
        return f"{rationale}\n{FINAL} {self._conclude(rationale, options, rng)}"

    def _read(self, prompt: str) -> tuple[dict[str, str], microsci.Property]:
        """(letter → option, property asked for), found in the prompt's own words."""
        line = next((line for line in prompt.splitlines() if "(A)" in line), prompt)
        options = dict(re.findall(r"\(([A-H])\) (.+?)(?= \([A-H]\) |$)", line))
        asked = [known for known in self._world.properties.values() if f" {known.text}" in prompt.split("\nA:")[0]]
        if not options or not asked or not self._world.entities.keys() >= set(options.values()):
            raise TeacherError(f"teacher 'simulated' knows only questions of microsci; found: {line[:80]}")
        return options, max(asked, key=lambda known: len(known.text))

    def _reason(self, options: dict[str, str], property_: microsci.Property, rng: random.Random) -> str:
        rule = microsci.rule_sentence(self._world, property_.text)
        lines = []
        for option in options.values():
            kind = self._world.entities[option].kind
            if rng.random() < self._error_rate:
                kind = rng.choice([other for other in self._world.kinds if other != kind])
            subject = microsci.entity_sentence(self._world, option).partition(" is ")[0]
            sentence = f"{subject} is {microsci.groups_phrase(self._world, kind)}"
            if self._style == "verdict":
                held = property_.holder in (kind, self._world.kinds[kind].class_name)
                sentence += f", so {'yes' if held else 'no'}"
            lines.append(f"{sentence}.")
        return " ".join([rule, *lines] if self._style == "verdict" else [*lines, rule])

    def _conclude(self, text: str, options: dict[str, str], rng: random.Random) -> str:
        """The option whose line in `text` fits the rule in `text`; a guess where none or several do."""
        if rng.random() < self._malformed_rate:
            return UNSURE
        known_rules = self._world.properties.values()
        rule = next(known for known in known_rules if microsci.rule_sentence(self._world, known.text) in text)
        fitting = [
            letter
            for letter, option in options.items()
            # Without an article the option starts its sentence, so its first letter may be a capital.
            if re.search(rf"\b(?i:{re.escape(option)}) is [^.]*\b{re.escape(rule.holder)}\b", text)
        ]
        chosen = fitting[0] if len(fitting) == 1 else rng.choice(fitting or list(options))
        return f"({chosen}) {options[chosen]}."


def prompt_of(settings: Settings) -> TeacherPrompt:
    """The prompt that a recipe names; a recorded teacher has only its own."""
    if (settings.teacher == "recorded") != (settings.prompt == "recorded"):
        raise TeacherError(
            f"teacher '{settings.teacher}' with prompt '{settings.prompt}': allowed: prompt 'recorded' with teacher "
            "'recorded', any other prompt with any other teacher"
        )
    return TEACHER_PROMPTS[settings.prompt]
