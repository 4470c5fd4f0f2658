"""How good the rationales are that students write, what came of them, and what that has to do with their answers."""

import functools
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import stats

from scicot_utils import rationales, scoring
from scicot_utils.recipe import MAIN, Recipe
from scicot_utils.report.results import Questions, first_rationales, predictions, where
from scicot_utils.report.style import ARMS, Picture, Table, arm_name, legend_below, ordered, panels, percent
from scicot_utils.tables import Row

QUALITY = {"precision": "fact precision", "recall": "fact recall", "rouge_l": "ROUGE-L"}  # measure → its name
STEPS = {"recall": "share of the proof's facts written", "rouge_l": "ROUGE-L to the teacher's rationale"}
EDGES = (0.2, 0.4, 0.6, 0.8, 1.0)  # of the steps of quality in the figure; the last is 1 itself
FEW = 30  # predictions below which a step is not drawn
FAILURES = (*rationales.OUTCOMES, "proof written", "right with it", "right without it")  # columns of `failures`


def quality_of_rationales(recipe: Recipe, dataset: str, questions: Questions) -> pd.DataFrame:
    """One row for each test prediction with a rationale: variant, arm, seed, right, precision, recall, rouge_l.

    Precision and recall are of exact facts against the question's proof, `rouge_l` is against the teacher's first
    rationale; NaN where there is none.
    """
    rows: list[tuple] = []
    teachers_of = functools.cache(lambda source: first_rationales(recipe, dataset, source))
    for _, arm, variant, seed in [run for run in recipe.runs() if run[0] == dataset]:
        teachers = teachers_of(recipe.variant_at("rationales", variant))
        for row in predictions(recipe, dataset, arm, variant, seed):
            if text := row["rationale"]:
                proof, reference = questions[row["question_id"]]["proof"], teachers.get(row["question_id"], "")
                precision, recall = scoring.facts(text, proof) if proof else (None, None)
                compared = reference and row["arm"] != "teacher"  # not against itself
                measured = (precision, recall, scoring.rouge_l(text, reference) if compared else None)
                rows.append((variant, row["arm"], seed, row["correct"], *measured))
    frame = pd.DataFrame(rows, columns=["variant", "arm", "seed", "right", *QUALITY])
    return frame.astype(dict.fromkeys(QUALITY, float))


def quality_table(frame: pd.DataFrame) -> Table:
    """Variant × arm: mean quality of the rationales over questions and seeds, and Spearman's correlation with being
    right, None where one of the two does not vary. `frame`: of `quality_of_rationales`.
    """
    rows = []
    for (variant, arm), part in frame.groupby(["variant", "arm"], sort=False):
        row: Row = {"variant": variant, "arm": arm_name(arm), "seeds": part["seed"].nunique(), "n": len(part)}
        means = part[[*QUALITY]].mean()
        row |= {name: None if np.isnan(means[measure]) else float(means[measure]) for measure, name in QUALITY.items()}
        row |= {"right": float(part["right"].mean())}
        row |= {f"{name} with right": _correlation(part[measure], part["right"]) for measure, name in QUALITY.items()}
        rows.append(row)
    return Table(rows or [{"arm": "no arm writes rationales"}], "{:.3f}")


def _correlation(quality: pd.Series, right: pd.Series) -> float | None:
    quality, right = quality.dropna(), right[quality.notna()]
    if quality.nunique() < 2 or right.nunique() < 2:
        return None
    return float(stats.spearmanr(quality, right).statistic)


def quality_figure(frame: pd.DataFrame) -> Picture:
    """Accuracy of the answer by how good its rationale is, an arm a line; the main variant. A mark's area is its share
    of the arm's predictions; steps of fewer than FEW are left out. Raises ValueError where there are no rationales.
    """
    main = where(frame, variant=MAIN)
    arms = ordered(main["arm"])
    measures = [measure for measure in STEPS if main[measure].notna().any()]
    figure, axes = panels([""] * len(measures), (4 * len(measures), 3.8), ylabel="answers right, %")
    for panel, measure in zip(axes, measures, strict=True):
        for number, arm in enumerate(arms):
            part = where(main, arm=arm).dropna(subset=measure)
            steps = part.groupby(np.digitize(part[measure], EDGES))["right"].agg(["mean", "size"])
            steps = steps[steps["size"] >= FEW]
            positions, colour = steps.index + 0.08 * (number - (len(arms) - 1) / 2), ARMS[arm].colour
            panel.plot(positions, 100 * steps["mean"], "-", color=colour, lw=1.5, label=ARMS[arm].name)
            panel.scatter(positions, 100 * steps["mean"], s=20 + 300 * steps["size"] / max(1, len(part)), color=colour)
        panel.set_xticks(range(len(EDGES) + 1), ["under\n0.2", "0.2", "0.4", "0.6", "0.8", "1"])
        panel.set(xlabel=f"{STEPS[measure]}, from", xlim=(-0.5, len(EDGES) + 0.5))
    legend_below(figure)
    return Picture(figure, f"Accuracy by the quality of the rationale. {quality_summary(frame)}")


def quality_summary(frame: pd.DataFrame) -> str:
    """How much of the proof the main variant's arms write, how like the teacher, and what that does to the answer."""
    main, sentences = where(frame, variant=MAIN), []
    for arm in ordered(main["arm"]):
        part, findings = where(main, arm=arm), []
        precision, recall = part["precision"].mean(), part["recall"].mean()
        if part["recall"].notna().any():
            findings.append(f"fact precision {percent(precision)}, recall {percent(recall)}")
        if part["rouge_l"].notna().any():
            findings.append(f"ROUGE-L to the teacher's {part['rouge_l'].mean():.3f}")
        with_right = {QUALITY[measure]: _correlation(part[measure], part["right"]) for measure in STEPS}
        if correlations := [f"{name} {value:+.2f}" for name, value in with_right.items() if value is not None]:
            findings.append(f"rank correlation with a right answer: {', '.join(correlations)}")
        if findings:
            sentences.append(f"{arm_name(arm)} rationales: {'; '.join(findings)}.")
    if not sentences:
        return "No arm writes rationales that can be measured."
    if frame["recall"].isna().all():
        sentences.append("Without proofs there are no facts to count, only ROUGE-L.")
    return " ".join(sentences)


def failures(recipe: Recipe, dataset: str, questions: Questions, variants: Sequence[str] = ()) -> list[Row]:
    """What came of the test questions of arms that write rationales, in each of `variants` (all if empty): shares, mean
    over seeds; how often the proof was written, and what was right with it and without. [] without proofs.
    """
    if not any(row["proof"] for row in questions.values()):
        return []
    rows = []
    for variant in variants or (MAIN, *recipe.variants):
        for arm in recipe.trained_arms(variant):
            if shares := _shares(recipe, dataset, questions, arm, variant):
                rows.append({"variant": variant, "arm": arm_name(arm)} | shares | _with_and_without(shares))
    return rows


def _shares(recipe: Recipe, dataset: str, questions: Questions, arm: str, variant: str) -> dict[str, float]:
    """Outcome → share of the test questions, mean over seeds; {} for an arm that writes no rationales."""
    settings = recipe.settings(arm, variant)
    style = settings.rationale_style if settings.teacher == "simulated" else "walk"
    by_seed = []
    for seed in recipe.seeds_of(variant):
        answers = predictions(recipe, dataset, arm, variant, seed)
        if any(row["rationale"] for row in answers):
            outcomes = Counter(
                rationales.outcome(questions[row["question_id"]], row["rationale"], row["correct"], style)
                for row in answers
            )
            by_seed.append([outcomes[name] / len(answers) for name in rationales.OUTCOMES])
    return dict(zip(rationales.OUTCOMES, np.mean(by_seed, axis=0).tolist(), strict=True)) if by_seed else {}


def _with_and_without(shares: Mapping[str, float]) -> dict[str, float | None]:
    """How often the whole proof is written, and how often the answer is right where it is and where it is not."""
    proved = shares["right answer, right rationale"] + shares["wrong answer, right rationale"]
    return {
        "proof written": proved,
        "right with it": shares["right answer, right rationale"] / proved if proved else None,
        "right without it": shares["right answer, wrong rationale"] / (1 - proved) if proved < 1 else None,
    }


def failures_summary(rows: Sequence[Row]) -> str:
    """From the rows of `failures`: how often each arm writes the proof, and what it answers with it and without it."""
    sentences = []
    for row in rows:
        shares = _with_and_without(row)
        conditions = {"right with it": "with the proof", "right without it": "without it"}
        accuracies = [f"{percent(shares[name])} {conditions[name]}" for name in conditions if shares[name] is not None]
        written = f"the whole proof is written for {percent(shares['proof written'])} of the questions"
        sentences.append(f"{row['arm']}: {written}; accuracy is {' and '.join(accuracies)}.")
    return " ".join(sentences)
