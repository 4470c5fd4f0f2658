"""Worked solutions of symbolic puzzles for the simulated teacher: from a puzzle to steps in words, and from such words
back to an answer.

A wrong step is written as it was made, and the steps after it follow from it. The puzzles and their right answers are
defined in `tasks.symbolic`.
"""

import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from string import ascii_lowercase

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
    "{a} and {b} swap, so {a} has {first} and {b} has {second}.",
    "Then {a} and {b} swap: {a} has {first} and {b} has {second}.",
    "After {a} and {b} swap, {a} has {first} and {b} has {second}.",
)
LAST = ("At the end {name} has {first}.", "So {name} has {first}.", "In the end {name} has {first}.")
SIDES = {"heads": "tails", "tails": "heads"}

Errs = Callable[[int], random.Random | None]  # step → random numbers for a mistake; None if the step is right
Vary = Callable[[], int]  # index of a step's wording


def _letters_read(puzzle: LastLetters, text: str) -> str:
    letters = [re.findall(rf'"{name}"[^".]*"(\w)"', text) for name in puzzle.names]
    return "".join(mentions[-1] for mentions in letters) if all(letters) else ""


def _side_read(puzzle: CoinFlip, text: str) -> str:
    sides = re.findall(r"\b(heads|tails) up", text)
    return {"heads": "yes", "tails": "no"}[sides[-1]] if sides else ""


def _object_read(puzzle: Shuffle, text: str) -> str:
    objects = "|".join(map(re.escape, sorted(puzzle.objects, key=len, reverse=True)))
    mentions = re.findall(rf"\b{puzzle.person} has ({objects})", text)
    return mentions[-1] if mentions else ""


def _letters(puzzle: LastLetters, errs: Errs, vary: Vary) -> list[str]:
    lines, word = [], ""
    for step, name in enumerate(puzzle.names):
        letter = name[-1]
        if rng := errs(step):
            candidates = [char.lower() for char in name[:-1] if char.lower() != letter]
            letter = rng.choice(candidates or ["e" if letter != "e" else "a"])
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
    lines, holding = [], dict(zip(PEOPLE, puzzle.objects, strict=True))
    for step, (a, b) in enumerate(puzzle.swaps):
        if rng := errs(step):  # a mistake: the third person's thing is swapped, too
            third = next(person for person in PEOPLE if person not in (a, b))
            first, second = rng.sample([a, b], 2)
            holding[first], holding[second], holding[third] = holding[third], holding[first], holding[second]
        else:
            holding[a], holding[b] = holding[b], holding[a]
        lines.append(SWAPPED[vary()].format(a=a, b=b, first=holding[a], second=holding[b]))
    return [*lines, LAST[vary()].format(name=puzzle.person, first=holding[puzzle.person])]


@dataclass(frozen=True)
class Solution:
    """For one kind of puzzle: its solution in words, the answer that words lead to, and plausible answers."""

    worked: Callable[[Puzzle, Errs, Vary], list[str]]
    led_to: Callable[[Puzzle, str], str]
    answers: Callable[[Puzzle], list[str]]  # plausible ones, right or wrong


SOLUTIONS: dict[type, Solution] = {
    LastLetters: Solution(
        _letters, _letters_read, lambda puzzle: [letter + puzzle.answer[1:] for letter in ascii_lowercase]
    ),
    CoinFlip: Solution(_flips, _side_read, lambda puzzle: ["yes", "no"]),
    Shuffle: Solution(_swaps, _object_read, lambda puzzle: list(puzzle.objects)),
}


def worked(puzzle: Puzzle, errs: Errs, vary: Vary) -> list[str]:
    """The steps of a solution in words, with mistakes where `errs` makes them."""
    return SOLUTIONS[type(puzzle)].worked(puzzle, errs, vary)


def led_to(puzzle: Puzzle, text: str) -> str:
    """The answer that a text leads to, whoever wrote it, by the last state that it mentions; '' if it mentions none."""
    return SOLUTIONS[type(puzzle)].led_to(puzzle, text)


def wrong_answer(puzzle: Puzzle, answer: str, rng: random.Random) -> str:
    """A random wrong answer, different from `answer` if there is one."""
    wrong = [text for text in SOLUTIONS[type(puzzle)].answers(puzzle) if text != puzzle.answer]
    return rng.choice([text for text in wrong if text != answer] or wrong)
