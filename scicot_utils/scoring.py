"""Accuracy, confidence intervals, paired tests, and measures of rationales against reference texts. Pure functions: no
files, no clocks, no global randomness.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

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
    half_width = t * float(np.std(values, ddof=1)) * (more + more**2 / n) ** 0.5
    return total, max(total - half_width, 0.0), total + half_width


USAGE = {"prompt tokens": "prompt_tokens", "completion tokens": "completion_tokens", "USD": "usd"}  # measure → column


def usage_of_more(sample: Sequence[Row], more: int, confidence: float) -> dict[str, tuple[float, float, float]]:
    """Measure of USAGE → `total_of_more` for `more` completions, from a sample of the completions table. NaN is a sum
    that the sample cannot tell: of an empty one, or of unknown prices.
    """
    columns = {measure: [row[name] for row in sample] or [np.nan] for measure, name in USAGE.items()}
    return {measure: total_of_more(values, more, confidence) for measure, values in columns.items()}


def teacher_accuracy(
    judged: Sequence[Row], confidence: float, teacher: str
) -> tuple[float, float, float] | tuple[None, None, None]:
    """(accuracy, low, high) of the teacher's own answers in rows of the rationales table, with Wilson's interval; an
    unparsed answer is wrong. All None if `teacher` is recorded, and fewer than half of the answers could be parsed: a
    file of rationales holds none, or few.
    """
    right, n = sum(row["correct"] for row in judged), len(judged)
    if teacher == "recorded" and sum(bool(row["teacher_answer"]) for row in judged) < n / 2:
        return None, None, None
    return right / n, *wilson(right, n, confidence)


def _format_p(value: float) -> str:
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
    singletons = np.arange(n)
    clusters = np.unique(groups, return_inverse=True)[1] if len(set(groups)) > 1 else singletons
    count = int(clusters.max()) + 1
    variance = 1.0  # the greatest squared error of a single difference
    if n > 1:
        mean = OLS(gaps.mean(axis=0), np.ones(n))
        clusterings = [clusters] if count >= FEWEST_GROUPS else [clusters, singletons]
        errors = [mean.fit(cov_type="cluster", cov_kwds={"groups": clustering}).bse[0] for clustering in clusterings]
        variance = float(max(errors)) ** 2 + 1 / n**2
    return {
        "seeds": seeds,
        "n": n,
        "groups": count,
        "difference": float(gaps.mean()),
        "error questions": variance**0.5,
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
    components = [(row["error questions"] ** 2, max(row["groups"] - 1, 1))]  # (variance, degrees of freedom)
    if row["seeds"] > 1:
        components.append((row["error seeds"] ** 2, row["seeds"] - 1))
    total = sum(variance for variance, _ in components)
    df = min(total**2 / sum(variance**2 / own_df for variance, own_df in components), max(components)[1])
    half_width = float(stats.t.ppf((1 + confidence) / 2, df)) * total**0.5
    p = 2 * float(stats.t.sf(abs(row["difference"]) / total**0.5, df))
    low, high = max(row["difference"] - half_width, -1.0), min(row["difference"] + half_width, 1.0)
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
                        "McNemar p by seed": " ".join(_format_p(mcnemar(*seed)) for seed in zip(a, b, strict=True)),
                    }
                )
    return corrected(rows)


def corrected(rows: Sequence[Row]) -> list[Row]:
    """Rows of comparisons with `p corrected`, after Holm over all rows, and their number, `comparisons`."""
    p_values = holm([row["p"] for row in rows])
    return [row | {"p corrected": p, "comparisons": len(rows)} for row, p in zip(rows, p_values, strict=True)]


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
    measures = {"generated": [row["answer"] == row["gold"] for row in predictions]}
    if all(labels[row["question_id"]] for row in predictions):
        measures["ranked"] = [
            ranked(labels[row["question_id"]], row["option_scores"]) == row["gold"] for row in predictions
        ]
    measures["unparsed"] = [row["answer"] == "" for row in predictions]
    measures["truncated"] = [row["truncated"] for row in predictions]
    return {measure: np.array(values) for measure, values in measures.items()}


def evaluate(
    predictions: Sequence[Row], questions: Mapping[str, Row], confidence: float, **columns: str | int
) -> list[Row]:
    """Rows of metrics.csv for rows of the predictions table, with Wilson intervals over the questions.

    `questions`: id → question. `columns`: values that predictions do not hold (recipe, student, parameters). If a split
    has several groups of questions, accuracies are also given per group, as in `generated:loses_food`.
    """
    labels = {name: question["choices"]["label"] for name, question in questions.items()}
    metrics = []
    for rows in _by_arm_and_split(predictions):
        groups = np.array([questions[row["question_id"]]["group"] for row in rows])
        measures = outcomes(rows, labels)
        if rows[0]["arm"] in UNTAUGHT and "ranked" in measures:
            measures["ranked per character"] = _ranked_per_character(rows, questions)
        for measure, values in measures.items():
            metrics.append(_metric(columns, rows[0], measure, values, confidence))
            if measure in ("generated", "ranked") and len(set(groups)) > 1:
                metrics += [
                    _metric(columns, rows[0], f"{measure}:{group}", values[groups == group], confidence)
                    for group in sorted(set(groups))
                ]
    return metrics


def _by_arm_and_split(predictions: Sequence[Row]) -> Iterator[list[Row]]:
    for arm, split in dict.fromkeys((row["arm"], row["split"]) for row in predictions):
        yield [row for row in predictions if (row["arm"], row["split"]) == (arm, split)]


def _ranked_per_character(predictions: Sequence[Row], questions: Mapping[str, Row]) -> np.ndarray:
    """Whether the option with the greatest log-likelihood per character is gold: lm-evaluation-harness's `acc_norm`. It
    removes the advantage of short options in a student without fine-tuning.
    """
    right = []
    for row in predictions:
        choices = questions[row["question_id"]]["choices"]
        scores = [score / len(text) for score, text in zip(row["option_scores"], choices["text"], strict=True)]
        right.append(ranked(choices["label"], scores) == row["gold"])
    return np.array(right)


def followed(
    predictions: Sequence[Row], argued_for: Mapping[str, str], confidence: float, **columns: str | int
) -> list[Row]:
    """Faithfulness: how often the answer is the option that the rationale argued for. One metrics row per arm and
    split. `argued_for`: question id → label.
    """
    metrics = []
    for rows in _by_arm_and_split(predictions):
        values = [row["answer"] == argued_for[row["question_id"]] for row in rows]
        metrics.append(_metric(columns, rows[0], "followed", values, confidence))
    return metrics


def order_effects(
    predictions: Sequence[Row], rotated: Sequence[Row], confidence: float, **columns: str | int
) -> list[Row]:
    """How the order of options affects one arm's answers: metrics rows for one run.

    `rotated`: the questions as they were asked, each in several orders (`arms.rotations`), one per prediction. `same
    generated` and `same ranked`: the share of questions for which the same option text was chosen in every order; an
    unreadable answer never counts as the same. `generated, gold at (A)` and so on: accuracy where the right option
    stood at that position.
    """
    metrics = []
    for measure in ("generated", "ranked"):
        chosen: dict[str, set[str]] = {}  # question id → texts of its options
        right: dict[str, list[bool]] = {}  # letter of the right option → whether it was chosen
        for row, question in zip(predictions, rotated, strict=True):
            labels, texts = question["choices"]["label"], question["choices"]["text"]
            answer = row["answer"] if measure == "generated" else ranked(labels, row["option_scores"])
            chosen.setdefault(question["id"], set()).add(texts[labels.index(answer)] if answer else "")
            letter = prompts.letter(question, question["answer"])
            right.setdefault(letter, []).append(answer == question["answer"])
        if chosen:
            same = [len(texts) == 1 and texts != {""} for texts in chosen.values()]
            metrics.append(_metric(columns, predictions[0], f"same {measure}", same, confidence))
        for letter, values in sorted(right.items()):
            metrics.append(_metric(columns, predictions[0], f"{measure}, gold at ({letter})", values, confidence))
    return metrics


def _metric(
    columns: Mapping[str, str | int], prediction: Row, metric: str, values: Sequence[bool], confidence: float
) -> Row:
    """A row of metrics.csv. `prediction`: one of its run. `values`: right or wrong, a value per question."""
    low, high = wilson(int(np.sum(values)), len(values), confidence)
    row = {"metric": metric, "value": float(np.mean(values)), "low": low, "high": high, "n": len(values)}
    row |= {name: prediction[name] for name in ("dataset", "arm", "variant", "seed", "split")}
    return {name: (columns | row)[name] for name in METRICS}


# ── Rationales ──────────────────────────────────────────────────────────────────────────────────────────────────


def facts(rationale: str, proof: Iterable[str]) -> tuple[float | None, float]:
    """Exact-fact (precision, recall) of a rationale against the facts of a question's proof, each from 0 to 1.

    Precision: the share of the rationale's distinct sentences that are facts of the proof; None without sentences.
    Recall: the share of the proof's facts that the rationale states. Case, punctuation and a verdict at the end of a
    sentence (so yes, so no) are ignored. Raises ValueError for a proof without facts.
    """
    stated, needed = _statements([rationale]), _statements(proof)
    if not needed:
        raise ValueError("facts: found a proof without facts, allowed: at least one")
    right = len(stated & needed)
    return right / len(stated) if stated else None, right / len(needed)


def _statements(texts: Iterable[str]) -> set[str]:
    return {sentence for text in texts for sentence, _ in rationales.statements(text)}


def rouge_l(text: str, reference: str) -> float:
    """ROUGE-L of two texts, as an F measure of equally weighted precision and recall (Lin 2004, section 3.1), 0 to 1.

    Words are runs of letters and digits in lower case, not stemmed. 0 if either text has no words.
    """
    words, reference_words = rationales.words(text), rationales.words(reference)
    if not words or not reference_words:
        return 0.0
    return 2 * common_subsequence(words, reference_words) / (len(words) + len(reference_words))


def common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence of two word lists (Hyyrö 2004, one bit per word of `first`)."""
    positions: dict[str, int] = {}
    for index, word in enumerate(first):
        positions[word] = positions.get(word, 0) | 1 << index
    row = (1 << len(first)) - 1
    for word in second:
        matches = row & positions.get(word, 0)
        row = (row + matches) | (row - matches)
    return len(first) - (row & (1 << len(first)) - 1).bit_count()
