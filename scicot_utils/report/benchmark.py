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
    guessed = [_guessed(row) for row in questions if row["split"] == split]
    return sum(guessed) / len(guessed)


def _guessed(question: Row) -> float:
    """Chance that a random guess at a question is right."""
    answers = prompts.possible(question)
    return 1 / len(answers) if answers else 0.0


def fairness(answers: Mapping[str, Sequence[Row]], questions: Sequence[Row]) -> list[Row]:
    """How often each untrained baseline is right on each test, and whether that can be told from chance.

    `answers`: baseline → its predictions on `questions`. Intervals are Wilson's, each at such a level that all of the
    table hold together with FAIR_LEVEL (Bonferroni): with a plain 95% one baseline in twenty would be out by luck.
    """
    by_luck = {row["id"]: _guessed(row) for row in questions}
    groups = [
        (split, name, [row for row in rows if row["split"] == split])
        for split in dict.fromkeys(row["split"] for row in questions)
        for name, rows in answers.items()
    ]
    confidence = 1 - (1 - FAIR_LEVEL) / max(1, len(groups))
    found = []
    for split, name, rows in groups:
        right, by_chance = sum(row["correct"] for row in rows), sum(by_luck[row["question_id"]] for row in rows)
        low, high = scoring.wilson(right, len(rows), confidence)
        found.append(
            {
                "split": split,
                "baseline": arm_name(name),
                "n": len(rows),
                "accuracy": right / len(rows),
                "low": low,
                "high": high,
                "chance": by_chance / len(rows),
                "within chance": "yes" if low <= by_chance / len(rows) <= high else "no",
            }
        )
    return found


def ceilings(frame: pd.DataFrame) -> dict[str, float]:
    """Form → accuracy (generated) on validation with the teacher's rationale given, mean over seeds.

    `frame`: metrics.csv of recipe `micro_ceiling`.
    """
    found = frame[(frame["arm"] == "two_stage_teacher_rationale") & (frame["split"] == "validation")]
    found = found[found["metric"].str.startswith("generated:")]
    return {name.split(":")[1]: float(mean) for name, mean in found.groupby("metric")["value"].mean().items()}


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
    told = yaml.safe_load(citation_file)
    authors = ", ".join(
        author.get("name") or f"{author['given-names']} {author['family-names']}" for author in told["authors"]
    )
    return f"{authors[0].upper()}{authors[1:]}: {told['title']}, version {told['version']}."
