"""Baselines without a student: none of them reasons."""

import itertools
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
    right_counts = Counter(prompts.option_text(row, row["answer"]).lower() for row in train)
    bag_scores = _bag_of_words(train)

    def best(row: Row, values: Iterable[float]) -> str:
        scores = list(values)
        tied = [label for label, score in zip(row["choices"]["label"], scores, strict=True) if score == max(scores)]
        return tied[0] if len(tied) == 1 else rng.choice(tied)

    choose: dict[str, Callable[[Row], str]] = {
        "random": lambda row: rng.choice(row["choices"]["label"]),
        "majority_label": lambda row: row["choices"]["label"][: prompts.LETTERS.index(favourite) + 1][-1],
        "longest_option": lambda row: best(row, (len(text) for text in row["choices"]["text"])),
        "shortest_option": lambda row: best(row, (-len(text) for text in row["choices"]["text"])),
        "frequent_answer": lambda row: best(row, (right_counts[text.lower()] for text in row["choices"]["text"])),
        "word_overlap": lambda row: rationales.overlap_choice(row, row["question"]) or choose["random"](row),
        "bag_of_words": lambda row: best(row, bag_scores(row)),
    }
    return {name: [choice(row, pick(row)) for row in questions] for name, pick in choose.items()}


def _untrained_open(questions: Sequence[Row], train: Sequence[Row], rng: random.Random) -> dict[str, list[Row]]:
    """For open answers: the most frequent training answer and, if only a few are possible, a random one of them."""
    counts = Counter(row["answer"] for row in train)
    most_frequent = min(counts, key=lambda answer: (-counts[answer], answer)) if counts else ""
    predictions = {"frequent_answer": [choice(row, most_frequent) for row in questions]}
    if all(map(prompts.possible, questions)):
        predictions = {"random": [choice(row, rng.choice(prompts.possible(row))) for row in questions]} | predictions
    return predictions


def _bag_of_words(train: Sequence[Row]) -> Callable[[Row], list[float]]:
    """Fit a linear classifier to `train`. Returns question → one score per option; words it never saw score 0.

    The features of an option are its words, and all pairs of a question word and an option word. The loss is the
    cross-entropy of the right option among the options, with an L2 penalty. It is convex, so no seed is needed.
    """
    index: dict[object, int] = {}
    columns, row_starts, first_options, gold = [], [0], [0], []  # a row per option, as scipy's CSR format has it
    for row in train:
        gold.append(first_options[-1] + row["choices"]["label"].index(row["answer"]))
        for text in row["choices"]["text"]:
            columns += [index.setdefault(feature, len(index)) for feature in _features(row["question"], text)]
            row_starts.append(len(columns))
        first_options.append(len(row_starts) - 1)
    weights = np.zeros(len(index))
    if index:
        features = sparse.csr_array((np.ones(len(columns)), columns, row_starts), shape=(first_options[-1], len(index)))
        starts, sizes = np.array(first_options[:-1]), np.diff(first_options)

        def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
            scores = features @ weights
            powers = np.exp(scores - np.repeat(np.maximum.reduceat(scores, starts), sizes))
            softmax = powers / np.repeat(np.add.reduceat(powers, starts), sizes)
            penalty = BAG_PENALTY / 2 * np.square(weights).sum()
            value = penalty - np.log(np.maximum(softmax[gold], np.finfo(float).tiny)).sum()
            softmax[gold] -= 1
            return value, features.T @ softmax + BAG_PENALTY * weights

        weights = optimize.minimize(loss, weights, jac=True, method="L-BFGS-B", options={"maxiter": 200}).x

    def option_scores(row: Row) -> list[float]:
        return [
            float(sum(weights[index[feature]] for feature in _features(row["question"], text) if feature in index))
            for text in row["choices"]["text"]
        ]

    return option_scores


def _features(question: str, option: str) -> list[object]:
    """The option's words, and all pairs of a question word and an option word; each once, in a fixed order."""
    question_words, option_words = (dict.fromkeys(re.findall(r"\w+", text.lower())) for text in (question, option))
    return [*option_words, *itertools.product(question_words, option_words)]
