"""Fine-tune-CoT's own ground: its tasks with its published figures, and what more rationales a question bring."""

from __future__ import annotations

import operator
from collections.abc import Mapping

import pandas as pd

from scicot_utils import arms, paths, prompts, rationales, tables
from scicot_utils.recipe import MAIN, Recipe
from scicot_utils.report.accuracy import ablation
from scicot_utils.report.results import over_seeds
from scicot_utils.report.style import Table, arm_name, percent, plural
from scicot_utils.tables import Row
from scicot_utils.tasks import task as entry

PAPER = "finetune_cot"
WHOSE = ["method", "model", "size"]
READINGS = ("strict", "paper", "conclusion")


def published(paper: str = PAPER) -> pd.DataFrame:
    """Accuracies, in %, as a paper gives them: `method`, `model`, `size`, `task`, `accuracy`.

    finetune_cot: Ho et al. 2023 (arXiv 2212.10071), its tables and the results that its code was released with; arc:
    what others report on ARC, with `source`.
    """
    return pd.read_csv(paths.PUBLISHED / f"{paper}.csv", dtype={"size": str})


def published_table(frame: pd.DataFrame) -> Table:
    """Published rows side by side, a column a task; empty where the paper gives no figure."""
    wide = frame.pivot_table(index=WHOSE, columns="task", values="accuracy", sort=False)
    tasks = list(dict.fromkeys(frame["task"]))
    rows = wide[tasks].reset_index().to_dict("records")
    for row in rows:
        row |= {task: None if pd.isna(row[task]) else row[task] for task in tasks}
    return Table(rows, dict.fromkeys(tasks, "{:.1f}"))


def tasks_of_the_paper(frame: pd.DataFrame) -> list[Row]:
    """The tasks with published figures: what is answered, the paper's sizes, where the questions come from."""
    return [
        {
            "task": name,
            "answers": entry(name).answers.replace("_", " or "),
            **{f"{split}, paper's": entry(name).published.get(split) for split in ("train", "test")},
            "questions": entry(name).source,
        }
        for name in dict.fromkeys(frame["task"])
    ]


def measured_on_tasks(metrics: pd.DataFrame, recipe: Recipe, frame: pd.DataFrame) -> list[Row]:
    """This run's generated test accuracy, in %, on the tasks that have published figures: a row an arm and variant."""
    tasks = [name for name in dict.fromkeys(frame["task"]) if name in recipe.distill]
    found = metrics[metrics["dataset"].isin(tasks) & (metrics["split"] == "test") & (metrics["metric"] == "generated")]
    rows = []
    for (arm, variant), part in found.groupby(["arm", "variant"], sort=False):
        means = over_seeds(part, ["dataset"]).set_index("dataset")
        seeds = {"seeds": int(means["seeds"].min())}
        shares = {task: 100 * means["mean"][task] if task in means.index else None for task in tasks}
        rows.append({"arm": arm_name(arm), "variant": variant} | seeds | shares)
    return rows


def yields(recipe: Recipe, dataset: str, questions: Mapping[str, Row]) -> list[Row]:
    """What asking `samples` rationales a training question came to, in each variant of a sweep of `samples`.

    `kept a question`: of those with one kept at least; `of different wording`: share of the kept ones that are no copy of
    an earlier one of the same question, case and spacing apart.
    """
    rows = []
    for variant in [name for sweep in recipe.sweeps().get("samples", []) for name in sweep]:
        place = paths.rationales(recipe.name, dataset, recipe.variant_at("rationales", variant))
        judged = [row for row in tables.read("rationales", place) if questions[row["question_id"]]["split"] == "train"]
        kept = [row for row in judged if row["kept"]]
        wordings = {(row["question_id"], " ".join(row["rationale"].lower().split())) for row in kept}
        asked = len({row["question_id"] for row in judged})
        answered = len({row["question_id"] for row in kept})
        rows.append(
            {
                "variant": variant,
                "D": recipe.settings(variant=variant).samples,
                "questions asked": asked,
                "with one kept": answered / asked,
                "kept a question": len(kept) / answered if answered else 0.0,
                "of different wording": len(wordings) / len(kept) if kept else 0.0,
            }
        )
    return rows


def readings(recipe: Recipe, dataset: str, questions: Mapping[str, Row]) -> list[Row]:
    """Test accuracy of the main variant's arms, and the teacher's on what it was asked, with each reading of answers.

    From the texts as they stand in the predictions and completions, whichever reading the recipe names. `differ`: the
    share of texts of which not all readings take one answer. All seeds together; a teacher whose recorded texts
    hold no answers is left out.
    """
    settings = recipe.settings()
    prompt = prompts.TEACHER_PROMPTS[settings.prompt]
    asked = tables.read("completions", paths.completions(recipe.name, dataset, MAIN))
    judged = [rationales.judge(prompt, questions, asked, settings.filter, reading) for reading in READINGS]
    answers = [[row["teacher_answer"] for row in rows] for rows in judged]
    rows = [_both_read("teacher", 1, answers, questions, asked)] if any(map(any, answers)) else []
    for arm in recipe.trained_arms(MAIN):
        found: list[Row] = []
        for seed in recipe.seeds:
            file = paths.run(recipe.name, dataset, arm, MAIN, seed) / "predictions.parquet"
            found += [row for row in tables.read("predictions", file) if row["split"] == "test"]
        answers = [
            [arms.output_format(arm).read(questions[row["question_id"]], row["text"], reading) for row in found]
            for reading in READINGS
        ]
        rows.append(_both_read(arm, len(recipe.seeds), answers, questions, found))
    return rows


def _both_read(who: str, seeds: int, answers: list[list[str]], questions: Mapping[str, Row], asked: list[Row]) -> Row:
    gold = [questions[row["question_id"]]["answer"] for row in asked]
    shares = {
        reading: sum(map(operator.eq, read, gold)) / len(gold) for reading, read in zip(READINGS, answers, strict=True)
    }
    differ = sum(len({*read}) > 1 for read in zip(*answers, strict=True)) / len(gold)
    return {"who": arm_name(who), "seeds": seeds, "texts": len(gold)} | shares | {"differ": differ}


def diversity_summary(metrics: pd.DataFrame, recipe: Recipe, dataset: str) -> str:
    """The difference between the most and the fewest rationales a question in each sweep, as a sentence."""
    if "samples" not in recipe.sweeps():
        return ""
    frame, common = ablation(recipe, metrics[metrics["dataset"] == dataset], "samples")
    told = []
    for (arm, given), part in frame[frame["metric"] == "generated"].groupby(["arm", "given"], sort=False):
        means = over_seeds(part, ["level"]).set_index("level")
        few, many = min(means.index), max(means.index)
        told.append(
            f"{arm_name(arm)}{f' ({given})' if given else ''} {percent(means['mean'][few])} with D = {few} and "
            f"{percent(means['mean'][many])} with D = {many} ({plural(means['seeds'].min(), 'seed')})"
        )
    return f"Generated accuracy on {dataset}{f', with {common}' if common else ''}: {'; '.join(told)}." if told else ""
