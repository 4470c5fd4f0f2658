"""A benchmark as it is described: its splits, repeated questions, what chance comes to, whether untrained baselines stay
there, its card.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd
import yaml

from scicot_utils import prompts, scoring, tasks
from scicot_utils.report.style import Paragraph, ReportError, Table, arm_name, distinct, percent, plural
from scicot_utils.tables import Row

FAIR_LEVEL = 0.95  # at which all intervals of a table of untrained baselines hold together (Bonferroni)


def split_sizes(
    name: str, read: Sequence[Row], left_out: Mapping[str, int], removed: Sequence[Row], used: Sequence[Row]
) -> list[Row]:
    """How many questions of each split of a benchmark were read, left out, removed as duplicates and used, beside the
    number in the paper, and their options. `left_out`: split → rows that `tasks.load` left out.
    """
    numbers_removed, numbers_used = (Counter(row["split"] for row in rows) for rows in (removed, used))
    sizes = []
    for split in tasks.splits_of(read):
        labels = [row["choices"]["label"] for row in read if row["split"] == split]
        options = sorted(Counter(map(len, labels)).items())
        row = {"dataset": name, "split": split, "read": len(labels), "left out": left_out.get(split, 0)}
        row |= {"duplicates removed": numbers_removed[split], "used": numbers_used[split]}
        row |= {"in the paper": tasks.task(name).published.get(split)}
        row |= {"options": ", ".join(f"{n} × {count} options" for count, n in options if count)}
        sizes.append(row | {"labelled 1–5": sum(of_question[:1] == ["1"] for of_question in labels)})
    return sizes


def splits_table(sizes: Sequence[Row]) -> Table:
    """Rows of `split_sizes` for reading, without the columns that have nothing to tell."""
    told = {name for name in ("left out", "in the paper") if not any(row[name] for row in sizes)}
    return Table(sizes, show=[name for name in sizes[0] if name not in told])


def near_duplicate_counts(name: str, rows: Sequence[Row], pairs: Sequence[Row]) -> list[Row]:
    """How many questions of each split but train have a near-duplicate in train. `pairs`: `tasks.near_duplicates`."""
    counts = []
    for split in tasks.splits_of(rows)[1:]:
        of_split = [pair for pair in pairs if pair["split"] == split]
        count = {"dataset": name, "split": split, "n": sum(row["split"] == split for row in rows)}
        count |= {"questions with a near-duplicate in train": len({pair["other"] for pair in of_split})}
        count |= {
            "pairs": len(of_split),
            "of them with the same answer": sum(pair["answer shared"] for pair in of_split),
        }
        counts.append(count)
    return counts


def chance(questions: Iterable[Row], split: str = "test") -> float:
    """Expected accuracy on a split of guessing among the possible answers; 0 where there is no end of them."""
    chances = [_chance(row) for row in questions if row["split"] == split]
    return sum(chances) / len(chances)


def _chance(question: Row) -> float:
    """Chance that a random guess at a question is right."""
    answers = prompts.possible(question)
    return 1 / len(answers) if answers else 0.0


def fairness(answers: Mapping[str, Sequence[Row]], questions: Sequence[Row]) -> list[Row]:
    """How often each untrained baseline is right on each test, and whether that can be told from chance.

    `answers`: baseline → its predictions. Wilson's intervals, each at such a level that all of the table hold together
    with FAIR_LEVEL (Bonferroni): with a plain 95% one baseline in twenty would be out by luck.
    """
    chances = {row["id"]: _chance(row) for row in questions}
    groups = [
        (split, baseline, [row for row in rows if row["split"] == split])
        for split in distinct(questions, "split")
        for baseline, rows in answers.items()
    ]
    confidence = 1 - (1 - FAIR_LEVEL) / max(1, len(groups))
    results = []
    for split, baseline, rows in groups:
        n, right = len(rows), sum(row["correct"] for row in rows)
        by_chance = sum(chances[row["question_id"]] for row in rows) / n
        low, high = scoring.wilson(right, n, confidence)
        row = {"split": split, "baseline": arm_name(baseline), "n": n, "accuracy": right / n, "low": low, "high": high}
        results.append(row | {"chance": by_chance, "within chance": "yes" if low <= by_chance <= high else "no"})
    return results


def ceilings(frame: pd.DataFrame) -> dict[str, float]:
    """Form → accuracy on validation with the teacher's rationale given, from metrics of recipe `micro_ceiling`."""
    by_form = frame["metric"].str.startswith("generated:") & (frame["arm"] == "two_stage_teacher_rationale")
    means = frame[by_form & (frame["split"] == "validation")].groupby("metric")["value"].mean()
    return {name.split(":")[1]: float(mean) for name, mean in means.items()}


def in_splits(rows: Sequence[Row]) -> str:
    """The number of questions in each split: '200 train, 40 validation, 80 test'."""
    return ", ".join(f"{sum(row['split'] == split for row in rows)} {split}" for split in tasks.splits_of(rows))


def questions_summary(
    read: Mapping[str, Sequence[Row]],
    used: Mapping[str, Sequence[Row]],
    sizes: Sequence[Row],
    overlaps: Sequence[Row],
    near: Mapping[str, Sequence[Row]],
    fair: Sequence[Row],
    shared: Sequence[Row],
) -> str:
    """What the checks of a recipe's questions came to.

    `read`, `used`, `near`: benchmark → its questions, or its pairs of `tasks.near_duplicates`; `sizes`: of `split_sizes`;
    `overlaps`: of `tasks.overlaps`; `fair`: of `fairness`, with the benchmark as `dataset`; `shared`: of
    `microsci.statistics.entities_shared`.
    """
    across = sum(pair["first_place"].split("/")[0] != pair["second_place"].split("/")[0] for pair in overlaps)
    pairs = [pair for of_benchmark in near.values() for pair in of_benchmark]
    beyond = [
        f"{row['baseline']} on {row['dataset']} {row['split']} ({percent(row['accuracy'])})"
        for row in fair
        if row["within chance"] == "no"
    ]
    sentences = [
        f"{sum(map(len, read.values()))} questions were read from {plural(len(used), 'benchmark')}.",
        "Removed as duplicates within a benchmark, or of another benchmark that its students are tested on: "
        f"{sum(row['duplicates removed'] for row in sizes)}.",
        f"Equal questions across benchmarks: {plural(across, 'pair')}.",
        f"Near-duplicates of training questions, kept: {plural(len(pairs), 'pair')}, "
        f"{sum(pair['answer shared'] for pair in pairs)} of them with the same answer.",
        *(f"{name}: {in_splits(rows)}." for name, rows in used.items()),
        f"Results of untrained baselines that cannot be told from chance: {len(fair) - len(beyond)} of {len(fair)}"
        + (f"; the others: {', '.join(beyond)}." if beyond else "."),
        *(
            f"Of the {row['things']} things in {row['split']}, {row['of them in training questions']} occur in training "
            f"questions; so do {row['of them in names of training']} words of their names."
            for row in shared
        ),
    ]
    return " ".join(sentences)


def dataset_card(page: str, values: Mapping[str, Table | Paragraph]) -> str:
    """The book's `page` of a dataset as a card that stands alone, with what the notebook glues, `values`, as Markdown.
    Raises ReportError for a name that was not handed over.
    """

    def paste(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise ReportError(f"the dataset card pastes '{match[1]}'; handed over are: {', '.join(values)}")
        value = values[match[1]]
        return value.markdown() if isinstance(value, Table) else value.text

    return re.sub(r"```\{glue\} (\w+)\n(?::\w+: .*\n)*```", paste, page)


def citation(citation_file: str) -> str:
    """How to cite this project, from the text of CITATION.cff."""
    metadata = yaml.safe_load(citation_file)
    people = [one.get("name") or f"{one['given-names']} {one['family-names']}" for one in metadata["authors"]]
    authors = ", ".join(people)
    return f"{authors[0].upper()}{authors[1:]}: {metadata['title']}, version {metadata['version']}."
