"""Baselines without a student: none of them reasons."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from scipy import optimize, sparse

from scicot_utils import prompts, rationales
from scicot_utils.arms.answering import choice
from scicot_utils.tables import Row

BAG_PENALTY = 1.0  # L2 weight of the bag-of-words baseline: the usual default for logistic regression, not tuned


def untrained(questions: Sequence[Row], train: Sequence[Row], seed: int) -> dict[str, list[Row]]:
    """Baseline → its predictions on `questions`. No baseline reasons; `train` only shows which answers are often right.

    Each gives score 1 to its choice and 0 to all else, so `generated` and `ranked` accuracy agree. `seed` breaks ties.
    """
    rng = random.Random(seed)
    if not all(map(prompts.has_options, [*train, *questions])):
        return _untrained_open(questions, train, rng)
    positions = Counter(prompts.letter(row, row["answer"]) for row in train)
    favourite = min(positions, key=lambda mark: (-positions[mark], mark)) if positions else "A"
    rights = Counter(prompts.option_text(row, row["answer"]).lower() for row in train)
    weigh = _bag_of_words(train)

    def best(row: Row, values: Iterable[float]) -> str:
        scores = list(values)
        of_best = [label for label, value in zip(row["choices"]["label"], scores, strict=True) if value == max(scores)]
        return of_best[0] if len(of_best) == 1 else rng.choice(of_best)

    choose: dict[str, Callable[[Row], str]] = {
        "random": lambda row: rng.choice(row["choices"]["label"]),
        "majority_label": lambda row: row["choices"]["label"][
            min(prompts.LETTERS.index(favourite), len(row["choices"]["label"]) - 1)
        ],
        "longest_option": lambda row: best(row, (len(text) for text in row["choices"]["text"])),
        "shortest_option": lambda row: best(row, (-len(text) for text in row["choices"]["text"])),
        "frequent_answer": lambda row: best(row, (rights[text.lower()] for text in row["choices"]["text"])),
        "word_overlap": lambda row: (
            rationales.overlap_choice(row, row["question"]) or rng.choice(row["choices"]["label"])
        ),
        "bag_of_words": lambda row: best(row, weigh(row)),
    }
    return {name: [choice(row, pick(row)) for row in questions] for name, pick in choose.items()}


def _untrained_open(questions: Sequence[Row], train: Sequence[Row], rng: random.Random) -> dict[str, list[Row]]:
    """Baselines for open answers: the most frequent training answer and, if only a few answers are possible, a random
    one of them.
    """
    rights = Counter(row["answer"] for row in train)
    usual = min(rights, key=lambda answer: (-rights[answer], answer)) if rights else ""
    found = {"frequent_answer": [choice(row, usual) for row in questions]}
    if all(map(prompts.possible, questions)):
        found = {"random": [choice(row, rng.choice(prompts.possible(row))) for row in questions]} | found
    return found


def _bag_of_words(train: Sequence[Row]) -> Callable[[Row], list[float]]:
    """Fit a linear classifier to `train`. Returns question → one score per option; words it never saw score 0.

    The features of an option are its words, and all pairs of a question word and an option word. The loss is the
    cross-entropy of the right option among the options, with an L2 penalty. It is convex, so no seed is needed.
    """
    index: dict[object, int] = {}
    columns, starts, firsts, gold = [], [0], [0], []
    for row in train:
        gold.append(firsts[-1] + row["choices"]["label"].index(row["answer"]))
        for text in row["choices"]["text"]:
            columns += [index.setdefault(feature, len(index)) for feature in _features(row["question"], text)]
            starts.append(len(columns))
        firsts.append(len(starts) - 1)
    weights = np.zeros(len(index))
    if index:
        seen = sparse.csr_array((np.ones(len(columns)), columns, starts), shape=(firsts[-1], len(index)))
        each, sizes = np.array(firsts[:-1]), np.diff(firsts)

        def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
            scores = seen @ weights
            powers = np.exp(scores - np.repeat(np.maximum.reduceat(scores, each), sizes))
            shares = powers / np.repeat(np.add.reduceat(powers, each), sizes)
            penalty = BAG_PENALTY / 2 * np.square(weights).sum()
            value = penalty - np.log(np.maximum(shares[gold], np.finfo(float).tiny)).sum()
            shares[gold] -= 1
            return value, seen.T @ shares + BAG_PENALTY * weights

        weights = optimize.minimize(loss, weights, jac=True, method="L-BFGS-B", options={"maxiter": 200}).x

    def weigh(row: Row) -> list[float]:
        return [
            float(sum(weights[index[feature]] for feature in _features(row["question"], text) if feature in index))
            for text in row["choices"]["text"]
        ]

    return weigh


def _features(question: str, option: str) -> list[object]:
    """The option's words, and all pairs of a question word and an option word; each once, in a fixed order."""
    asked, words = (dict.fromkeys(re.findall(r"\w+", text.lower())) for text in (question, option))
    return [*words, *((one, other) for one in asked for other in words)]
