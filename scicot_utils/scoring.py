"""Accuracy, confidence intervals, paired tests, and measures of rationales against reference texts. Pure functions: no
files, no clocks, no global randomness.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from scipy import stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats import contingency_tables
from statsmodels.stats.multitest import multipletests

from scicot_utils import prompts, rationales
from scicot_utils.recipe import UNTAUGHT
from scicot_utils.tables import METRICS, Row


def wilson(successes: int, n: int, confidence: float) -> tuple[float, float]:
    """Wilson's score interval of a proportion, as fractions (Wilson 1927). Raises ValueError when n is 0."""
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"wilson: found {successes} of {n}, allowed: 0 ≤ successes ≤ n and n ≥ 1")
    low, high = stats.binomtest(successes, n).proportion_ci(confidence, method="wilson")
    return float(low), float(high)


def total_of_more(values: Sequence[float], more: int, confidence: float) -> tuple[float, float, float]:
    """(sum, low, high) predicted for the sum of `more` further values, from a sample of such values: Student's
    prediction interval.

    A single value says nothing about the spread, so its interval is 0 to infinity. Raises ValueError without values.
    """
    if not len(values):
        raise ValueError("total_of_more: found no values, allowed: at least 1")
    n, total = len(values), more * float(np.mean(values))
    if n == 1:
        return total, 0.0, float("inf")
    t = float(stats.t.ppf((1 + confidence) / 2, n - 1))
    off = t * float(np.std(values, ddof=1)) * (more + more**2 / n) ** 0.5
    return total, max(total - off, 0.0), total + off


def _p(value: float) -> str:
    """p with two digits. A value too small for a float is shown as <1e-300 instead of 0."""
    return f"{value:.2g}" if value else "<1e-300"


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> float:
    """Two-sided p of McNemar's exact test, whose null hypothesis is that two arms are right equally often on the same
    questions. Raises ValueError for unequal lengths.
    """
    if len(first) != len(second):
        raise ValueError(f"mcnemar: found {len(first)} and {len(second)} values, allowed: the same questions in both")
    a, b = np.asarray(first, bool), np.asarray(second, bool)
    counts = [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]]
    return float(contingency_tables.mcnemar(counts, exact=True).pvalue)


FEWEST_GROUPS = 20  # a clustered error over fewer groups is unreliable by itself (Cameron and Miller 2015)


def paired_difference(first: np.ndarray, second: np.ndarray, groups: Sequence[str] = ()) -> Row:
    """The mean difference of two arms on the same questions, with its standard errors over questions and over seeds.

    Each array holds what is right or wrong, shape (seeds, questions), with the same seeds and questions in both.
    Returns {seeds, n, groups, difference, error questions, error seeds}; the last three are fractions.

    The error over questions is the error of each question's mean over the seeds. `groups`, one per question, allows for
    questions that depend on others in their group (statsmodels' cluster-robust error). With fewer than FEWEST_GROUPS
    groups, the error is at least that of independent questions. Half a question is added to either kind of disagreement
    (as Agresti and Min 2005 do), so that the error without disagreement is not 0. With one seed, the error over seeds
    is unknown: NaN. Raises ValueError for other shapes.
    """
    if np.shape(first) != np.shape(second) or np.ndim(first) != 2 or not np.size(first):
        raise ValueError(
            f"paired_difference: found shapes {np.shape(first)} and {np.shape(second)}, "
            "allowed: (seeds, questions), the same in both"
        )
    gaps = np.asarray(first, float) - np.asarray(second, float)
    seeds, n = gaps.shape
    if len(groups) not in (0, n):
        raise ValueError(f"paired_difference: found {len(groups)} groups, allowed: none or {n}, one a question")
    apart = np.arange(n)
    of = np.unique(groups, return_inverse=True)[1] if len(set(groups)) > 1 else apart
    ways = [of] if of.max() + 1 >= FEWEST_GROUPS else [of, apart]
    squared = 1.0  # the greatest squared error of a single difference
    if n > 1:
        line = OLS(gaps.mean(axis=0), np.ones(n))
        errors = [line.fit(cov_type="cluster", cov_kwds={"groups": way}).bse[0] for way in ways]
        squared = float(max(errors)) ** 2 + 1 / n**2
    return {
        "seeds": seeds,
        "n": n,
        "groups": int(of.max()) + 1,
        "difference": float(gaps.mean()),
        "error questions": squared**0.5,
        "error seeds": float(gaps.mean(axis=1).std(ddof=1) / seeds**0.5) if seeds > 1 else float("nan"),
    }


def tested(row: Row, confidence: float) -> Row:
    """A row of `paired_difference` with {df, low, high, p}: the interval, and the two-sided p of a zero difference.

    The squared errors over questions and over seeds are added, because the result should hold for other questions and
    other seeds (two-way clustering, Cameron, Gelbach and Miller 2011). The term for what both share is not subtracted,
    so intervals are, if anything, too wide. Student's t has Satterthwaite's (1946) degrees of freedom, but no more than
    the larger of the two errors has. Nothing is drawn at random, so p has no floor. With one seed, the spread over
    seeds is left out, so the result supports no verdict.
    """
    parts = [(row["error questions"] ** 2, max(row["groups"] - 1, 1))]
    if row["seeds"] > 1:
        parts.append((row["error seeds"] ** 2, row["seeds"] - 1))
    squared = sum(part for part, _ in parts)
    df = min(squared**2 / sum(part**2 / own for part, own in parts), max(parts)[1])
    off = float(stats.t.ppf((1 + confidence) / 2, df)) * squared**0.5
    p = 2 * float(stats.t.sf(abs(row["difference"]) / squared**0.5, df))
    low, high = max(row["difference"] - off, -1.0), min(row["difference"] + off, 1.0)
    return row | {"df": df, "low": low, "high": high, "p": p}


POINTS = ("difference", "error questions", "error seeds", "low", "high")  # columns of `compare` in percentage points


def compare(
    outcomes: Mapping[tuple[str, str], np.ndarray],
    pairs: Sequence[tuple[str, str]],
    *,
    confidence: float,
    groups: Sequence[str] = (),
) -> list[Row]:
    """Compare pairs of arms on the same questions, by each measure: {first, second, measure, difference, low, high, …}.

    `outcomes`: (arm, measure) → right or wrong, shape (seeds, questions). The rows are those of `tested`, with POINTS
    in percentage points of the mean over seeds. `p corrected` is corrected after Holm over all rows. Two more columns
    give the difference and McNemar's p for each seed.
    """
    rows = []
    for first, second in pairs:
        for measure in ("generated", "ranked"):
            if (first, measure) in outcomes and (second, measure) in outcomes:
                a, b = outcomes[first, measure], outcomes[second, measure]
                row = tested(paired_difference(a, b, groups), confidence)
                rows.append(
                    {"first": first, "second": second, "measure": measure}
                    | row
                    | {name: 100 * row[name] for name in POINTS}
                    | {
                        "by seed": " ".join(f"{100 * gap:+.1f}" for gap in a.mean(axis=1) - b.mean(axis=1)),
                        "McNemar p by seed": " ".join(_p(mcnemar(*seeds)) for seeds in zip(a, b, strict=True)),
                    }
                )
    return corrected(rows)


def corrected(rows: Sequence[Row]) -> list[Row]:
    """Rows of comparisons with `p corrected`, after Holm over all rows, and their number, `comparisons`."""
    found = holm([row["p"] for row in rows])
    return [row | {"p corrected": p, "comparisons": len(rows)} for row, p in zip(rows, found, strict=True)]


def holm(p_values: Sequence[float]) -> list[float]:
    """p values corrected for multiple comparisons (Holm 1979), in the order given."""
    return [float(p) for p in multipletests(p_values, method="holm")[1]] if len(p_values) else []


def ranked(labels: Sequence[str], scores: Sequence[float]) -> str:
    """The label with the greatest score; the first of a tie."""
    return labels[int(np.argmax(scores))]


def outcomes(predictions: Sequence[Row], labels: Mapping[str, Sequence[str]]) -> dict[str, np.ndarray]:
    """Measure → one value per prediction, in the order given. `labels`: question id → its options' labels.

    `generated`: the parsed answer is gold (an unparsable one is wrong). `ranked`: the option with the greatest summed
    log-likelihood is gold; absent for open answers. `unparsed` and `truncated`: the output has this flaw.
    """
    choosing = all(labels[row["question_id"]] for row in predictions)
    rank = [ranked(labels[row["question_id"]], row["option_scores"]) == row["gold"] for row in predictions if choosing]
    return {
        "generated": np.array([row["answer"] == row["gold"] for row in predictions]),
        **({"ranked": np.array(rank)} if choosing else {}),
        "unparsed": np.array([row["answer"] == "" for row in predictions]),
        "truncated": np.array([row["truncated"] for row in predictions]),
    }


def evaluate(
    predictions: Sequence[Row], questions: Mapping[str, Row], confidence: float, **columns: str | int
) -> list[Row]:
    """Rows of metrics.csv for rows of the predictions table, with Wilson intervals over the questions.

    `questions`: id → question. `columns`: values that predictions do not hold (recipe, student, parameters). If a split
    has several groups of questions, accuracies are also given per group, as in `generated:loses_food`.
    """
    labels = {name: question["choices"]["label"] for name, question in questions.items()}
    found = []
    for arm, split in dict.fromkeys((row["arm"], row["split"]) for row in predictions):
        rows = [row for row in predictions if (row["arm"], row["split"]) == (arm, split)]
        where = columns | {name: rows[0][name] for name in ("dataset", "arm", "variant", "seed", "split")}
        groups = np.array([questions[row["question_id"]]["group"] for row in rows])
        measures = outcomes(rows, labels)
        if arm in UNTAUGHT and "ranked" in measures:
            measures["ranked per character"] = _ranked_per_character(rows, questions)
        for measure, values in measures.items():
            found.append(where | _metric(measure, values, confidence))
            if measure in ("generated", "ranked") and len(set(groups)) > 1:
                found += [
                    where | _metric(f"{measure}:{group}", values[groups == group], confidence)
                    for group in sorted(set(groups))
                ]
    return [{name: row[name] for name in METRICS} for row in found]


def _ranked_per_character(predictions: Sequence[Row], questions: Mapping[str, Row]) -> np.ndarray:
    """Whether the option with the greatest log-likelihood per character is gold: lm-evaluation-harness's `acc_norm`. It
    removes the advantage of short options in a student without fine-tuning.
    """
    found = []
    for row in predictions:
        choices = questions[row["question_id"]]["choices"]
        scores = [score / len(text) for score, text in zip(row["option_scores"], choices["text"], strict=True)]
        found.append(ranked(choices["label"], scores) == row["gold"])
    return np.array(found)


def followed(
    predictions: Sequence[Row], argued_for: Mapping[str, str], confidence: float, **columns: str | int
) -> list[Row]:
    """Faithfulness: how often the answer is the option that the rationale argued for. One metrics row per arm and
    split. `argued_for`: question id → label.
    """
    found = []
    for arm, split in dict.fromkeys((row["arm"], row["split"]) for row in predictions):
        rows = [row for row in predictions if (row["arm"], row["split"]) == (arm, split)]
        where = columns | {name: rows[0][name] for name in ("dataset", "arm", "variant", "seed", "split")}
        values = np.array([row["answer"] == argued_for[row["question_id"]] for row in rows])
        found.append(where | _metric("followed", values, confidence))
    return [{name: row[name] for name in METRICS} for row in found]


def order_effects(
    predictions: Sequence[Row], rotated: Sequence[Row], confidence: float, **columns: str | int
) -> list[Row]:
    """How the order of options affects one arm's answers: metrics rows for one run.

    `rotated`: the questions as they were asked, each in several orders (`arms.rotations`), one per prediction. `same
    generated` and `same ranked`: the share of questions for which the same option text was chosen in every order; an
    unreadable answer never counts as the same. `generated, gold at (A)` and so on: accuracy where the right option
    stood at that place.
    """
    chosen: dict[tuple[str, str], set[str]] = {}
    right: dict[tuple[str, str], list[bool]] = {}
    for row, question in zip(predictions, rotated, strict=True):
        labels = question["choices"]["label"]
        answers = {"generated": row["answer"], "ranked": ranked(labels, row["option_scores"])}
        for measure, answer in answers.items():
            text = question["choices"]["text"][labels.index(answer)] if answer else ""
            chosen.setdefault((measure, question["id"]), set()).add(text)
            place = prompts.letter(question, question["answer"])
            right.setdefault((measure, place), []).append(answer == question["answer"])
    found = []
    for measure in ("generated", "ranked") if predictions else ():
        same = [len(texts) == 1 and texts != {""} for (of, _), texts in chosen.items() if of == measure]
        found.append(_metric(f"same {measure}", np.array(same), confidence))
        for place in sorted(place for of, place in right if of == measure):
            found.append(_metric(f"{measure}, gold at ({place})", np.array(right[measure, place]), confidence))
    where = {name: row[name] for row in predictions[:1] for name in ("dataset", "arm", "variant", "seed", "split")}
    return [{name: (columns | where | row)[name] for name in METRICS} for row in found]


def _metric(metric: str, values: np.ndarray, confidence: float) -> Row:
    low, high = wilson(int(values.sum()), len(values), confidence)
    return {"metric": metric, "value": float(values.mean()), "low": low, "high": high, "n": len(values)}


# ── Rationales ──────────────────────────────────────────────────────────────────────────────────────────────────


def facts(rationale: str, proof: Iterable[str]) -> tuple[float | None, float]:
    """Exact-fact (precision, recall) of a rationale against the facts of a question's proof, each from 0 to 1.

    Precision: the share of the rationale's distinct sentences that are facts of the proof; None without sentences.
    Recall: the share of the proof's facts that the rationale states. Case, punctuation and a verdict at the end of a
    sentence (so yes, so no) are ignored. Raises ValueError for a proof without facts.
    """
    said, needed = _statements([rationale]), _statements(proof)
    if not needed:
        raise ValueError("facts: found a proof without facts, allowed: at least one")
    right = len(said & needed)
    return right / len(said) if said else None, right / len(needed)


def _statements(texts: Iterable[str]) -> set[str]:
    return {sentence for text in texts for sentence, _ in rationales.statements(text)}


def rouge_l(text: str, reference: str) -> float:
    """ROUGE-L of two texts, as an F measure of equally weighted precision and recall (Lin 2004, section 3.1), 0 to 1.

    Words are runs of letters and digits in lower case, not stemmed. 0 if either text has no words.
    """
    words, wanted = rationales.words(text), rationales.words(reference)
    if not words or not wanted:
        return 0.0
    return 2 * common_subsequence(words, wanted) / (len(words) + len(wanted))


def common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence of two word lists (Hyyrö 2004, one bit per word of `first`)."""
    places: dict[str, int] = {}
    for number, word in enumerate(first):
        places[word] = places.get(word, 0) | 1 << number
    row = (1 << len(first)) - 1
    for word in second:
        matches = row & places.get(word, 0)
        row = (row + matches) | (row - matches)
    return len(first) - (row & (1 << len(first)) - 1).bit_count()
