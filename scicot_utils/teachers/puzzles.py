"""How the simulated teacher works out a symbolic puzzle: step by step in words, and back from such words to an answer.

A step that goes wrong is written as it went, and the steps after it follow from it. What the puzzles are, and what is
right, `tasks.symbolic` knows.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from string import ascii_lowercase as LOWER

from scicot_utils.tasks.symbolic import PEOPLE, CoinFlip, LastLetters, Puzzle, Shuffle

# What to say of a step, one of these wordings at temperature > 0; the first is the usual one.
LETTER = (
    'The last letter of "{name}" is "{letter}".',
    '"{name}" ends in "{letter}".',
    '"{name}" ends with the letter "{letter}".',
)
JOINED = ('Concatenating them is "{word}".', 'Together they make "{word}".', 'Put together, that is "{word}".')
FLIPPED = (
    "{name} flips the coin, so it is {side} up.",
    "{name} flips it: it is {side} up.",
    "After {name} flips the coin it is {side} up.",
)
LEFT = (
    "{name} does not flip the coin, so it is {side} up.",
    "{name} leaves it: it is {side} up.",
    "{name} does nothing, and the coin is {side} up.",
)
SWAPPED = (
    "{a} and {b} swap, so {a} has {one} and {b} has {two}.",
    "Then {a} and {b} swap: {a} has {one} and {b} has {two}.",
    "After {a} and {b} swap, {a} has {one} and {b} has {two}.",
)
LAST = ("At the end {name} has {one}.", "So {name} has {one}.", "In the end {name} has {one}.")
SIDES = {"heads": "tails", "tails": "heads"}

Errs = Callable[[int], random.Random | None]  # step → numbers to draw a mistake with, None where it goes right
Vary = Callable[[], int]  # which of a step's wordings


def _letters_told(puzzle: LastLetters, text: str) -> str:
    told = [re.findall(rf'"{name}"[^".]*"(\w)"', text) for name in puzzle.names]
    return "".join(found[-1] for found in told) if all(told) else ""


def _side_told(puzzle: CoinFlip, text: str) -> str:
    sides = re.findall(r"\b(heads|tails) up", text)
    return {"heads": "yes", "tails": "no"}[sides[-1]] if sides else ""


def _thing_told(puzzle: Shuffle, text: str) -> str:
    things = "|".join(map(re.escape, sorted(puzzle.held, key=len, reverse=True)))
    found = re.findall(rf"\b{puzzle.asked} has ({things})", text)
    return found[-1] if found else ""


def _letters(puzzle: LastLetters, errs: Errs, vary: Vary) -> list[str]:
    lines, word = [], ""
    for step, name in enumerate(puzzle.names):
        letter, wrong = name[-1], errs(step)
        if wrong:
            letter = wrong.choice(
                [mark.lower() for mark in name[:-1] if mark.lower() != letter] or ["e" if letter != "e" else "a"]
            )
        word += letter
        lines.append(LETTER[vary()].format(name=name, letter=letter))
    return [*lines, JOINED[vary()].format(word=word)]


def _flips(puzzle: CoinFlip, errs: Errs, vary: Vary) -> list[str]:
    lines, side = [], "heads"
    for step, (name, flips) in enumerate(puzzle.acts):
        if flips != bool(errs(step)):  # a mistake: a flip forgotten, or one that was none
            side = SIDES[side]
        lines.append((FLIPPED if flips else LEFT)[vary()].format(name=name, side=side))
    return lines


def _swaps(puzzle: Shuffle, errs: Errs, vary: Vary) -> list[str]:
    lines, holding = [], dict(zip(PEOPLE, puzzle.held, strict=True))
    for step, (a, b) in enumerate(puzzle.swaps):
        wrong = errs(step)
        if wrong:  # the third person's thing gets into it
            third = next(person for person in PEOPLE if person not in (a, b))
            one, two = wrong.sample([a, b], 2)
            holding[one], holding[two], holding[third] = holding[third], holding[one], holding[two]
        else:
            holding[a], holding[b] = holding[b], holding[a]
        lines.append(SWAPPED[vary()].format(a=a, b=b, one=holding[a], two=holding[b]))
    return [*lines, LAST[vary()].format(name=puzzle.asked, one=holding[puzzle.asked])]


@dataclass(frozen=True)
class Telling:
    """How a kind of puzzle is worked out in words, and what answer words lead to."""

    worked: Callable[[Puzzle, Errs, Vary], list[str]]
    led_to: Callable[[Puzzle, str], str]
    answers: Callable[[Puzzle], list[str]]  # some that may be given, right or wrong


TELLINGS: dict[type, Telling] = {
    LastLetters: Telling(_letters, _letters_told, lambda puzzle: [mark + puzzle.answer[1:] for mark in LOWER]),
    CoinFlip: Telling(_flips, _side_told, lambda puzzle: ["yes", "no"]),
    Shuffle: Telling(_swaps, _thing_told, lambda puzzle: list(puzzle.held)),
}


def worked(puzzle: Puzzle, errs: Errs, vary: Vary) -> list[str]:
    """The steps in words, with the mistakes that `errs` tells."""
    return TELLINGS[type(puzzle)].worked(puzzle, errs, vary)


def led_to(puzzle: Puzzle, text: str) -> str:
    """The answer that a text leads to, whoever wrote it: by the last state that it tells; '' where it tells none."""
    return TELLINGS[type(puzzle)].led_to(puzzle, text)


def other(puzzle: Puzzle, answer: str, draws: random.Random) -> str:
    """A wrong answer, and if there is one, another than `answer`."""
    wrong = [one for one in TELLINGS[type(puzzle)].answers(puzzle) if one != puzzle.answer]
    return draws.choice([one for one in wrong if one != answer] or wrong)
