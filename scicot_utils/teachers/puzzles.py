"""Worked solutions of symbolic puzzles for the simulated teacher: from a puzzle to steps in words, and from such words
back to an answer.

A wrong step is written as it was made, and the steps after it follow from it. The puzzles and their right answers are
defined in `tasks.symbolic`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from string import ascii_lowercase as LOWER

from scicot_utils.tasks.symbolic import PEOPLE, CoinFlip, LastLetters, Puzzle, Shuffle

# Wordings of a step. The first is the default; at temperature > 0 one of them is drawn.
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

Errs = Callable[[int], random.Random | None]  # step → random numbers for a mistake; None if the step is right
Vary = Callable[[], int]  # index of a step's wording


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
        if flips != bool(errs(step)):  # a mistake: a flip is forgotten, or one is invented
            side = SIDES[side]
        lines.append((FLIPPED if flips else LEFT)[vary()].format(name=name, side=side))
    return lines


def _swaps(puzzle: Shuffle, errs: Errs, vary: Vary) -> list[str]:
    lines, holding = [], dict(zip(PEOPLE, puzzle.held, strict=True))
    for step, (a, b) in enumerate(puzzle.swaps):
        wrong = errs(step)
        if wrong:  # a mistake: the third person's thing is swapped, too
            third = next(person for person in PEOPLE if person not in (a, b))
            one, two = wrong.sample([a, b], 2)
            holding[one], holding[two], holding[third] = holding[third], holding[one], holding[two]
        else:
            holding[a], holding[b] = holding[b], holding[a]
        lines.append(SWAPPED[vary()].format(a=a, b=b, one=holding[a], two=holding[b]))
    return [*lines, LAST[vary()].format(name=puzzle.asked, one=holding[puzzle.asked])]


@dataclass(frozen=True)
class Telling:
    """For one kind of puzzle: its solution in words, the answer that words lead to, and plausible answers."""

    worked: Callable[[Puzzle, Errs, Vary], list[str]]
    led_to: Callable[[Puzzle, str], str]
    answers: Callable[[Puzzle], list[str]]  # plausible ones, right or wrong


TELLINGS: dict[type, Telling] = {
    LastLetters: Telling(_letters, _letters_told, lambda puzzle: [mark + puzzle.answer[1:] for mark in LOWER]),
    CoinFlip: Telling(_flips, _side_told, lambda puzzle: ["yes", "no"]),
    Shuffle: Telling(_swaps, _thing_told, lambda puzzle: list(puzzle.held)),
}


def worked(puzzle: Puzzle, errs: Errs, vary: Vary) -> list[str]:
    """The steps of a solution in words, with mistakes where `errs` makes them."""
    return TELLINGS[type(puzzle)].worked(puzzle, errs, vary)


def led_to(puzzle: Puzzle, text: str) -> str:
    """The answer that a text leads to, whoever wrote it, by the last state that it mentions; '' if it mentions none."""
    return TELLINGS[type(puzzle)].led_to(puzzle, text)


def other(puzzle: Puzzle, answer: str, draws: random.Random) -> str:
    """A random wrong answer, different from `answer` if there is one."""
    wrong = [one for one in TELLINGS[type(puzzle)].answers(puzzle) if one != puzzle.answer]
    return draws.choice([one for one in wrong if one != answer] or wrong)
