"""What is published, beside what was measured; and what more rationales a question bring, Fine-tune-CoT's ground."""

from collections.abc import Sequence

import pandas as pd

from scicot_utils import arms, paths, prompts, rationales, tables
from scicot_utils.recipe import MAIN, Recipe
from scicot_utils.report.accuracy import Lines, Published, sources
from scicot_utils.report.effects import ablation, series_name
from scicot_utils.report.results import Questions, interval_side, over_seeds, predictions, where
from scicot_utils.report.style import Table, arm_name, interval, percent, plural, wide
from scicot_utils.tables import Row
from scicot_utils.tasks import task as task_entry

PUBLISHED_AS = {  # the methods of Fine-tune-CoT's tables, as arms
    "zero-shot": "zero_shot",
    "few-shot CoT": "few_shot_cot",
    "fine-tuning on answers": "answer_only",
    "Fine-tune-CoT": "rationale_answer",
    "zero-shot CoT (teacher)": "teacher",
}
READINGS = ("strict", "paper", "conclusion")


def published(paper: str = "finetune_cot") -> pd.DataFrame:
    """Accuracies, in %: finetune_cot, of Ho et al. 2023 (arXiv 2212.10071), its tables and the results that its code
    was released with; arc, what others report on ARC, with `source`.
    """
    return pd.read_csv(paths.PUBLISHED / f"{paper}.csv", dtype={"size": str})


def published_table(frame: pd.DataFrame) -> Table:
    """Published rows side by side, a column a task; empty where the paper gives no figure."""
    rows = wide(frame.to_dict("records"), ["method", "model", "size"], "task", "accuracy")
    return Table(rows, "{:.1f}")


def reference_lines(published: pd.DataFrame, model: str, method: str) -> Lines:
    """Test → (name, share) of what another model is published to reach there; `published`: see `published("arc")`."""
    rows = where(published, model=model, method=method).to_dict("records")
    return {row["task"]: (f"{model}-{row['size']} {method}", row["accuracy"] / 100) for row in rows}


def published_beside(published: pd.DataFrame, students: Sequence[tuple[str, str]]) -> Published:
    """What is published of an arm on a test, of some `students` (model, size) and of the teacher; see `published()`."""
    beside: dict[tuple[str, str], dict[str, float]] = {}
    for row in published.to_dict("records"):
        arm, source = PUBLISHED_AS.get(row["method"], ""), (row["model"], row["size"])
        if arm and (arm == "teacher" or source in students):
            beside.setdefault((row["task"], arm), {})[" ".join(source)] = row["accuracy"] / 100
    return beside


def beside_table(rows: Sequence[Row], beside: Published) -> Table:
    """Accuracies of `by_test` with what is published of the same arm on the same test, a row for each of both."""
    lines = []
    for row in rows:
        figures = beside.get((row["test"], row["arm"]), {})
        line = {"task": row["test"], "arm": arm_name(row["arm"]), "measured": row["mean"]}
        line |= {"interval": interval(row["low"], row["high"]), "questions": row["n"]}
        lines.append(line | {f"published, {name}": figures.get(name) for name in sources(beside)})
    return Table(lines, "{:.1%}")


def reference_summary(rows: Sequence[Row], lines: Lines, arm: str) -> str:
    """Whether an arm passes a published figure, on each test that has one; `lines` as in `by_test_figure`."""
    stands = {"above": "lies above", "below": "lies below", "around": "includes"}
    sentences = []
    for test, (name, share) in lines.items():
        if results := [
            f"{percent(row['mean'])} {row['scoring']}, its interval {stands[interval_side(row, share)]} that accuracy"
            for row in rows
            if (row["test"], row["arm"]) == (test, arm)
        ]:
            sentences.append(f"{test}, {name} {percent(share)}: {arm_name(arm)} {'; '.join(results)}.")
    return " ".join(sentences)


def tasks_of_the_paper(frame: pd.DataFrame) -> list[Row]:
    """The tasks with published figures: what is answered, the paper's sizes, where the questions come from."""
    return [
        {"task": name, "answers": task.answers.replace("_", " or ")}
        | {f"{split}, paper's": task.published.get(split) for split in ("train", "test")}
        | {"questions": task.source}
        for name, task in ((name, task_entry(name)) for name in frame["task"].unique())
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


def yields(recipe: Recipe, dataset: str, questions: Questions) -> list[Row]:
    """What asking `samples` rationales a training question came to, in each variant of a sweep of `samples`.

    `kept a question`: of those with one kept at least; `of different wording`: share of the kept ones that are no copy
    of an earlier one of the same question, case and spacing apart.
    """
    rows = []
    for variant in [name for sweep in recipe.sweeps().get("samples", []) for name in sweep]:
        file = paths.rationales(recipe.name, dataset, recipe.variant_at("rationales", variant))
        train = [row for row in tables.read("rationales", file) if questions[row["question_id"]]["split"] == "train"]
        kept = [row for row in train if row["kept"]]
        wordings = {(row["question_id"], " ".join(row["rationale"].lower().split())) for row in kept}
        question_count, kept_count = (len({row["question_id"] for row in judgements}) for judgements in (train, kept))
        row = {"variant": variant, "D": recipe.settings(variant=variant).samples, "questions asked": question_count}
        row |= {"with one kept": kept_count / question_count, "kept a question": len(kept) / max(kept_count, 1)}
        rows.append(row | {"of different wording": len(wordings) / max(len(kept), 1)})
    return rows


def readings(recipe: Recipe, dataset: str, questions: Questions) -> list[Row]:
    """Test accuracy of the main variant's arms, and the teacher's on what it was asked, with each reading of answers.

    `differ`: the share of texts of which not all readings take one answer. All seeds together. A teacher whose recorded
    texts hold no answers is left out.
    """
    prompt, keeps = prompts.TEACHER_PROMPTS[recipe.teacher.prompt], recipe.settings().filter
    completions = tables.read("completions", paths.completions(recipe.name, dataset, MAIN))
    judged = [rationales.judge(prompt, questions, completions, keeps, reading) for reading in READINGS]
    read = {"teacher": (1, completions, [[row["teacher_answer"] for row in judgements] for judgements in judged])}
    for arm in recipe.trained_arms(MAIN):
        texts = [row for seed in recipe.seeds for row in predictions(recipe, dataset, arm, MAIN, seed)]
        parse, pairs = arms.output_format(arm).read, [(questions[row["question_id"]], row["text"]) for row in texts]
        answers = [[parse(question, text, reading) for question, text in pairs] for reading in READINGS]
        read[arm] = (len(recipe.seeds), texts, answers)
    rows = []
    for who, (seeds, texts, by_reading) in read.items():
        answers = pd.DataFrame(dict(zip(READINGS, by_reading, strict=True)))
        right = answers.eq([questions[row["question_id"]]["answer"] for row in texts], axis=0)
        row = {"who": arm_name(who), "seeds": seeds, "texts": len(texts)} | right.mean().to_dict()
        if who != "teacher" or answers.ne("").any(axis=None):
            rows.append(row | {"differ": float((answers.nunique(axis=1) > 1).mean())})
    return rows


def diversity_summary(metrics: pd.DataFrame, recipe: Recipe, dataset: str) -> str:
    """The difference between the most and the fewest rationales a question in each sweep, as a sentence."""
    if "samples" not in recipe.sweeps():
        return ""
    frame, common = ablation(recipe, where(metrics, dataset=dataset), "samples")
    accuracies = []
    for (arm, given), part in where(frame, metric="generated").groupby(["arm", "given"], sort=False):
        means = over_seeds(part, ["level"]).set_index("level")
        few, many = (f"{percent(means['mean'][d])} with D = {d}" for d in (means.index.min(), means.index.max()))
        accuracies.append(f"{series_name(arm, given)} {few} and {many} ({plural(means['seeds'].min(), 'seed')})")
    if not accuracies:
        return ""
    return f"Generated accuracy on {dataset}{f', with {common}' if common else ''}: {'; '.join(accuracies)}."
