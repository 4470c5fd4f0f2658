"""Fine-tune-CoT's own ground: its tasks with its published figures, and what more rationales a question bring."""

from __future__ import annotations

import operator
from collections.abc import Mapping

import pandas as pd

from scicot_utils import arms, paths, prompts, rationales, tables
from scicot_utils.recipe import MAIN, Recipe
from scicot_utils.report.accuracy import ablation, series_name
from scicot_utils.report.results import over_seeds, predictions, where
from scicot_utils.report.style import Table, arm_name, percent, plural, wide
from scicot_utils.tables import Row
from scicot_utils.tasks import task as task_entry

PAPER = "finetune_cot"
READINGS = ("strict", "paper", "conclusion")


def published(paper: str = PAPER) -> pd.DataFrame:
    """Accuracies, in %, as a paper gives them: `method`, `model`, `size`, `task`, `accuracy`.

    finetune_cot: Ho et al. 2023 (arXiv 2212.10071), its tables and the results that its code was released with; arc:
    what others report on ARC, with `source`.
    """
    return pd.read_csv(paths.PUBLISHED / f"{paper}.csv", dtype={"size": str})


def published_table(frame: pd.DataFrame) -> Table:
    """Published rows side by side, a column a task; empty where the paper gives no figure."""
    rows = wide(frame.to_dict("records"), ["method", "model", "size"], "task", "accuracy")
    return Table(rows, "{:.1f}")


def tasks_of_the_paper(frame: pd.DataFrame) -> list[Row]:
    """The tasks with published figures: what is answered, the paper's sizes, where the questions come from."""
    return [
        {
            "task": name,
            "answers": task_entry(name).answers.replace("_", " or "),
            **{f"{split}, paper's": task_entry(name).published.get(split) for split in ("train", "test")},
            "questions": task_entry(name).source,
        }
        for name in dict.fromkeys(frame["task"])
    ]


def measured_on_tasks(metrics: pd.DataFrame, recipe: Recipe, frame: pd.DataFrame) -> list[Row]:
    """This run's generated test accuracy, in %, on the tasks that have published figures: a row an arm and variant."""
    tasks = [name for name in dict.fromkeys(frame["task"]) if name in recipe.distill]
    rows = []
    test = where(metrics, dataset=tasks, split="test", metric="generated")
    for (arm, variant), part in test.groupby(["arm", "variant"], sort=False):
        means = over_seeds(part, ["dataset"]).set_index("dataset")
        accuracies = {task: 100 * means["mean"][task] if task in means.index else None for task in tasks}
        rows.append({"arm": arm_name(arm), "variant": variant, "seeds": int(means["seeds"].min())} | accuracies)
    return rows


def yields(recipe: Recipe, dataset: str, questions: Mapping[str, Row]) -> list[Row]:
    """What asking `samples` rationales a training question came to, in each variant of a sweep of `samples`.

    `kept a question`: of those with one kept at least; `of different wording`: share of the kept ones that are no copy of
    an earlier one of the same question, case and spacing apart.
    """
    rows = []
    for variant in [name for sweep in recipe.sweeps().get("samples", []) for name in sweep]:
        file = paths.rationales(recipe.name, dataset, recipe.variant_at("rationales", variant))
        train = [row for row in tables.read("rationales", file) if questions[row["question_id"]]["split"] == "train"]
        kept = [row for row in train if row["kept"]]
        wordings = {(row["question_id"], " ".join(row["rationale"].lower().split())) for row in kept}
        question_count, kept_count = (len({row["question_id"] for row in judgements}) for judgements in (train, kept))
        row = {"variant": variant, "D": recipe.settings(variant=variant).samples, "questions asked": question_count}
        row |= {
            "with one kept": kept_count / question_count,
            "kept a question": len(kept) / kept_count if kept else 0.0,
        }
        rows.append(row | {"of different wording": len(wordings) / len(kept) if kept else 0.0})
    return rows


def readings(recipe: Recipe, dataset: str, questions: Mapping[str, Row]) -> list[Row]:
    """Test accuracy of the main variant's arms, and the teacher's on what it was asked, with each reading of answers.

    From the texts as they stand in the predictions and completions, whichever reading the recipe names. `differ`: the
    share of texts of which not all readings take one answer. All seeds together; a teacher whose recorded texts
    hold no answers is left out.
    """
    settings = recipe.settings()
    prompt = prompts.TEACHER_PROMPTS[settings.prompt]
    completions = tables.read("completions", paths.completions(recipe.name, dataset, MAIN))
    by_reading = [
        [row["teacher_answer"] for row in rationales.judge(prompt, questions, completions, settings.filter, reading)]
        for reading in READINGS
    ]
    rows = [_accuracies("teacher", 1, by_reading, questions, completions)] if any(map(any, by_reading)) else []
    for arm in recipe.trained_arms(MAIN):
        answers = [row for seed in recipe.seeds for row in predictions(recipe, dataset, arm, MAIN, seed)]
        by_reading = [
            [arms.output_format(arm).read(questions[row["question_id"]], row["text"], reading) for row in answers]
            for reading in READINGS
        ]
        rows.append(_accuracies(arm, len(recipe.seeds), by_reading, questions, answers))
    return rows


def _accuracies(
    who: str, seeds: int, by_reading: list[list[str]], questions: Mapping[str, Row], texts: list[Row]
) -> Row:
    gold = [questions[row["question_id"]]["answer"] for row in texts]
    shares = {
        reading: sum(map(operator.eq, answers, gold)) / len(gold)
        for reading, answers in zip(READINGS, by_reading, strict=True)
    }
    differ = sum(len({*answers}) > 1 for answers in zip(*by_reading, strict=True)) / len(gold)
    return {"who": arm_name(who), "seeds": seeds, "texts": len(gold)} | shares | {"differ": differ}


def diversity_summary(metrics: pd.DataFrame, recipe: Recipe, dataset: str) -> str:
    """The difference between the most and the fewest rationales a question in each sweep, as a sentence."""
    if "samples" not in recipe.sweeps():
        return ""
    frame, common = ablation(recipe, where(metrics, dataset=dataset), "samples")
    accuracies = []
    for (arm, given), part in where(frame, metric="generated").groupby(["arm", "given"], sort=False):
        means = over_seeds(part, ["level"]).set_index("level")
        few, many = min(means.index), max(means.index)
        accuracies.append(
            f"{series_name(arm, given)} {percent(means['mean'][few])} with D = {few} and "
            f"{percent(means['mean'][many])} with D = {many} ({plural(means['seeds'].min(), 'seed')})"
        )
    if not accuracies:
        return ""
    return f"Generated accuracy on {dataset}{f', with {common}' if common else ''}: {'; '.join(accuracies)}."
