"""The rationale explorer: every test question with what each arm wrote of it, in one table that is searched in a browser.

The table is DataTables, from the bundle that itables ships; it and the data lie compressed in the page, which so works
from a file and without the network. All text reaches the page as data and is shown as text, never as HTML.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from scicot_utils import arms, paths, prompts, scoring, tables
from scicot_utils.recipe import Recipe
from scicot_utils.report.results import first_rationales
from scicot_utils.report.style import arm_name, visible
from scicot_utils.tables import Row

SCRIPT, STYLE = paths.EXPLORER / "explorer.js", paths.EXPLORER / "explorer.css"


def explorer_data(
    recipe: Recipe, dataset: str, questions: Mapping[str, Row], answers: Mapping[str, Mapping[str, Row]]
) -> dict[str, object]:
    """What the explorer shows, of the main variant's first seed: `arms`, their names, and `questions`, each with `id`,
    `form`, `question`, `options`, [letter, text] pairs, `gold` (its letter or open answer), `teacher` (its first
    rationale, or '') and `answers`, one an arm: `rationale` (that a first student wrote for it; None where none does), `text` (all that
    the answering student wrote), `answer`, `ranked` (letters), `right`, `cut` (at the limit) and `rule`, how the answer
    was read. `answers`: of `results.first_answers`.
    """
    teacher = first_rationales(recipe, dataset)
    return {
        "recipe": recipe.name,
        "dataset": dataset,
        "seed": recipe.seeds[0],
        "arms": [arm_name(arm) for arm in answers],
        "questions": [
            {
                "id": row["id"],
                "form": row["group"],
                "question": visible(row["question"]),
                "options": [
                    [prompts.letter(row, label), visible(text)]
                    for label, text in zip(row["choices"]["label"], row["choices"]["text"], strict=True)
                ],
                "gold": _letter(row, row["answer"]),
                "teacher": visible(teacher.get(row["id"], "")),
                "answers": [_answer(recipe, arm, row, by_id[row["id"]]) for arm, by_id in answers.items()],
            }
            for row in questions.values()
            if row["split"] == "test" and all(row["id"] in by_id for by_id in answers.values())
        ],
    }


def _answer(recipe: Recipe, arm: str, question: Row, prediction: Row) -> Row:
    labels, scores = question["choices"]["label"], prediction["option_scores"]
    return {
        "rationale": visible(prediction["rationale"]) if arms.ANSWER_FROM in arms.maps_of(arm) else None,
        "text": visible(prediction["text"]),
        "answer": _letter(question, prediction["answer"]),
        "ranked": _letter(question, scoring.ranked(labels, scores) if labels and scores else ""),
        "right": prediction["correct"],
        "cut": prediction["truncated"],
        "rule": _rule(recipe, arm, question, prediction),
    }


def _rule(recipe: Recipe, arm: str, question: Row, prediction: Row) -> str:
    """How the answer was read, or why none was."""
    if not prediction["answer"]:
        return f"it names none{' of the options' if question['choices']['label'] else ''}, or several"
    if recipe.settings(arm).answer_reading == "strict":
        return arms.output_format(arm).read_by(question, prediction["text"])[1]
    return "the paper's reading"


def _letter(question: Row, answer: str) -> str:
    """An option's letter, an open answer as it is; '' where there is none."""
    if not answer or not prompts.has_options(question):
        return visible(answer)
    return prompts.letter(question, answer)


class Explorer:
    """`explorer_data` as a page: one row a question, filters, and all that was written of it on request."""

    ending = "json"

    def __init__(self, data: Mapping[str, object]):
        self.data = data

    def _repr_html_(self) -> str:
        bundle = resources.files("itables") / "html"
        parts = {
            "library": (bundle / "dt_bundle.js").read_bytes(),
            "style": (bundle / "dt_bundle.css").read_bytes() + STYLE.read_bytes(),
            "data": json.dumps(self.data, ensure_ascii=False, separators=(",", ":")).encode(),
        }
        packed = "".join(
            f'<script type="application/gzip" data-explorer="{name}">{_packed(content)}</script>'
            for name, content in parts.items()
        )
        return (
            f'<section class="explorer" data-explorer="place" aria-label="Rationale explorer"><p role="status">{html.escape(repr(self))}</p>'
            f"<noscript><p>The explorer needs JavaScript; notebooks 04 to 06 show examples without it.</p></noscript>"
            f'</section>{packed}<script type="module">{SCRIPT.read_text(encoding="utf-8")}</script>'
        )

    def __repr__(self) -> str:
        number, names = len(self.data["questions"]), ", ".join(self.data["arms"])
        return f"{number} test questions of {self.data['dataset']}, seed {self.data['seed']}, answered by: {names}"

    def save(self, path: Path) -> Explorer:
        """The data as JSON, for other tools."""
        tables.write_json(path, self.data)
        return self


def _packed(content: bytes) -> str:
    """Compressed, the same for the same content; base64 has no character that could end a script element."""
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()
