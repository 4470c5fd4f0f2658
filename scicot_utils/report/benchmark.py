"""A benchmark as it is described: what chance comes to, whether untrained baselines stay there, its card."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd
import yaml

from scicot_utils import prompts, scoring
from scicot_utils.report.style import Paragraph, ReportError, Table, arm_name
from scicot_utils.tables import Row

FAIR_LEVEL = 0.95  # at which all intervals of a table of untrained baselines hold together (Bonferroni)


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

    `answers`: baseline → its predictions on `questions`. Intervals are Wilson's, each at such a level that all of the
    table hold together with FAIR_LEVEL (Bonferroni): with a plain 95% one baseline in twenty would be out by luck.
    """
    chances = {row["id"]: _chance(row) for row in questions}
    groups = [
        (split, baseline, [row for row in rows if row["split"] == split])
        for split in dict.fromkeys(row["split"] for row in questions)
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
    """Form → accuracy (generated) on validation with the teacher's rationale given, mean over seeds.

    `frame`: metrics.csv of recipe `micro_ceiling`.
    """
    by_form = frame["metric"].str.startswith("generated:") & (frame["arm"] == "two_stage_teacher_rationale")
    means = frame[by_form & (frame["split"] == "validation")].groupby("metric")["value"].mean()
    return {name.split(":")[1]: float(mean) for name, mean in means.items()}


def dataset_card(page: str, values: Mapping[str, Table | Paragraph]) -> str:
    """The book's page of a dataset as a card that stands alone: what the page pastes by name stands in it as Markdown.

    `page`: its text; `values`: what the notebook glues. Raises ReportError for a name that was not handed over.
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
    authors = ", ".join(
        author.get("name") or f"{author['given-names']} {author['family-names']}" for author in metadata["authors"]
    )
    return f"{authors[0].upper()}{authors[1:]}: {metadata['title']}, version {metadata['version']}."
