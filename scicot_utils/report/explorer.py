"""Texts as they were read and written: one question followed through every stage, and the rationale explorer.

Nothing is typed here: templates are filled with placeholders. All text reaches a page as text, never as HTML.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path

from scicot_utils import arms, paths, prompts, scoring, tables
from scicot_utils.recipe import MAIN, Recipe
from scicot_utils.report.results import Questions, first_rationales
from scicot_utils.report.style import arm_name, visible
from scicot_utils.tables import Row

SCRIPT, STYLE = paths.EXPLORER / "explorer.js", paths.EXPLORER / "explorer.css"
Passage = tuple[str, str]  # what a text is, and the text


class Texts:
    """Texts line by line, each under a line that says what it is."""

    def __init__(self, passages: Iterable[Passage]):
        self.passages = list(passages)

    def _repr_html_(self) -> str:
        return "".join(
            f'<figure class="passage"><figcaption>{html.escape(caption)}</figcaption>'
            f'<pre tabindex="0">{html.escape(visible(text)) or "–"}</pre></figure>'
            for caption, text in self.passages
        )

    def __repr__(self) -> str:
        return "\n\n".join(f"{caption}:\n{text}" for caption, text in self.passages)


def templates(recipe: Recipe, questions: Questions) -> list[Passage]:
    """What the teacher is asked and what each map of the arms reads and writes, around `{placeholders}`."""
    example = next(iter(questions.values()))
    labels = example["choices"]["label"]
    texts = [f"{{option {prompts.letter(example, label)}}}" for label in labels]
    blank = example | {"question": "{question}", "choices": {"label": labels, "text": texts}}
    blank["answer"] = labels[0] if labels else "{answer}"
    prompt = prompts.TEACHER_PROMPTS[recipe.teacher.prompt]
    after = f", after {recipe.teacher.few_shot_examples} worked examples" if prompt.few_shot else ""
    passages = [(f"The teacher reads (prompt {prompt.label}){after}", prompt.block(blank))]
    if prompt.answer_cue:
        passages.append(("and, in a second call, after its own text", prompt.answer_cue))
    return passages + _pairs(recipe, blank, "{rationale}", {blank["id"]: "{rationale}"})


def training_followed(recipe: Recipe, dataset: str, questions: Questions) -> list[Passage]:
    """The first question of the training set from the teacher's prompt to what each arm's student is trained on."""
    judgements = tables.read("rationales", paths.rationales(recipe.name, dataset, MAIN))
    question, rationale = arms.training_examples(list(questions.values()), judgements, recipe.settings())[0]
    completions = tables.read("completions", paths.completions(recipe.name, dataset, MAIN))
    completion = next(row for row in completions if row["question_id"] == question["id"])
    source = f"question {question['id']} (prompt {completion['prompt_version']})"
    passages = [
        (f"The teacher read, for {source}", completion["prompt"]),
        ("It wrote", completion["text"]),
        (f"The rationale taken from the completion (right answer: {_option(question, question['answer'])})", rationale),
    ]
    generated = {}
    if "two_stage" in recipe.trained_arms(MAIN) and recipe.settings("two_stage").stage2_source != "teacher":
        file = paths.run(recipe.name, dataset, "two_stage", MAIN, recipe.seeds[0]) / "crossfit.parquet"
        generated = {row["question_id"]: row["text"] for row in tables.read("generations", file)}
    return passages + _pairs(recipe, question, rationale, generated)


def test_followed(
    recipe: Recipe, answers: Mapping[str, Questions], questions: Questions, right: str, wrong: str
) -> list[Passage]:
    """The first test question that the first seed's student of arm `right` answers right and that of `wrong` wrong, as
    both met it, or []. `answers`: of `results.first_answers`.
    """
    for name in questions if {right, wrong} <= {*answers} else ():
        question, predictions = questions[name], {arm: answers[arm].get(name) for arm in (right, wrong)}
        if [row and row["correct"] for row in predictions.values()] == [True, False]:
            options = [_option(question, label) for label in question["choices"]["label"]]
            caption = f"Question {name}; right answer: {_option(question, question['answer'])}"
            passages = [(caption, "\n".join([question["question"], *options]))]
            for arm, prediction in predictions.items():
                passages += _answering(arm, question, prediction, recipe)
            return passages
    return []


def _answering(arm: str, question: Row, prediction: Row, recipe: Recipe) -> list[Passage]:
    """What one arm's student, or its two, read of a question and wrote."""
    settings, maps, rationale = recipe.settings(arm), arms.maps_of(arm), prediction["rationale"]
    verdict = "right" if prediction["correct"] else "wrong"
    answer = f"{_option(question, prediction['answer'])}: {verdict}" if prediction["answer"] else "no answer: wrong"
    last = (f"and writes ({answer})", prediction["text"])
    if maps != arms.maps_of("two_stage"):
        return [(f"{arm_name(arm)} reads", maps[0].input(question, "", settings)), last]
    return [
        (f"{arm_name(arm)}, first step, reads", arms.RATIONALE.input(question, "", settings)),
        ("and writes", rationale),
        (f"{arm_name(arm)}, second step, reads", arms.ANSWER_FROM.input(question, rationale, settings)),
        last,
    ]


def _pairs(recipe: Recipe, question: Row, rationale: str, generated: Mapping[str, str]) -> list[Passage]:
    """What students learn from one question: a pair for each map, named once with all its arms. `generated`: question
    id → the rationale of a student that had not seen it, where stage 2 learns from that.
    """
    arms_by_map: dict[tuple[arms.InputTarget, str], list[str]] = {}
    for arm in recipe.trained_arms(MAIN):
        for learned in arms.maps_of(arm):
            examples = [(question, rationale)]
            if arm == "two_stage" and learned is arms.ANSWER_FROM:
                examples = arms.stage2_examples(examples, generated, recipe.settings(arm))
            for text in dict.fromkeys(text for _, text in examples):
                arms_by_map.setdefault((learned, text), []).append(arm)
    passages = []
    for (learned, text), learners in arms_by_map.items():
        [(reads, writes)] = arms.pairs([learned], [(question, text)], recipe.settings(learners[0]))
        passages.append((f"{learned.notation} reads (in: {'; '.join(map(arm_name, learners))})", reads))
        passages.append((f"{learned.notation} must write", writes))
    return passages


def _option(question: Row, answer: str) -> str:
    """An option with its letter, or an open answer."""
    if not prompts.has_options(question):
        return answer
    return f"({prompts.letter(question, answer)}) {prompts.option_text(question, answer)}"


def explorer_data(
    recipe: Recipe, dataset: str, questions: Questions, answers: Mapping[str, Questions]
) -> dict[str, object]:
    """What the explorer shows, of the main variant's first seed: `arms`, their names, and `questions`, each with `id`,
    `form`, `question`, `options`, [letter, text] pairs, `gold` (its letter or open answer), `teacher` (its first
    rationale, or '') and `answers`, one an arm. `answers`: of `results.first_answers`.
    """
    teacher = first_rationales(recipe, dataset)
    entries = [
        {
            "id": row["id"],
            "form": row["group"],
            "question": visible(row["question"]),
            "options": [
                list(option) for option in zip(prompts.LETTERS, map(visible, row["choices"]["text"]), strict=False)
            ],
            "gold": _letter(row, row["answer"]),
            "teacher": visible(teacher.get(row["id"], "")),
            "answers": [_answer(recipe, arm, row, by_id[row["id"]]) for arm, by_id in answers.items()],
        }
        for row in questions.values()
        if row["split"] == "test" and all(row["id"] in by_id for by_id in answers.values())
    ]
    study = {"recipe": recipe.name, "dataset": dataset, "seed": recipe.seeds[0]}
    return study | {"arms": [arm_name(arm) for arm in answers], "questions": entries}


def _answer(recipe: Recipe, arm: str, question: Row, prediction: Row) -> Row:
    """`rationale` (that a first student wrote; None where none does), `text` (all that the answering student wrote),
    `answer`, `ranked` (letters), `right`, `cut` (at the limit) and `rule`, how the answer was read or why none was.
    """
    labels, scores = question["choices"]["label"], prediction["option_scores"]
    rule = "the paper's reading"
    if not prediction["answer"]:
        rule = f"it names none{' of the options' if labels else ''}, or several"
    elif recipe.settings(arm).answer_reading == "strict":
        rule = arms.output_format(arm).read_by(question, prediction["text"])[1]
    return {
        "rationale": visible(prediction["rationale"]) if arms.ANSWER_FROM in arms.maps_of(arm) else None,
        "text": visible(prediction["text"]),
        "answer": _letter(question, prediction["answer"]),
        "ranked": _letter(question, scoring.ranked(labels, scores) if labels and scores else ""),
        "right": prediction["correct"],
        "cut": prediction["truncated"],
        "rule": rule,
    }


def _letter(question: Row, answer: str) -> str:
    """An option's letter, an open answer as it is; '' where there is none."""
    if not answer or not prompts.has_options(question):
        return visible(answer)
    return prompts.letter(question, answer)


class Explorer:
    """`explorer_data` as a page: one row a question, filters, and all that was written of it on request. The table is
    DataTables, as itables ships it; it and the data lie compressed in the page, which so works without the network.
    """

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
        # The same for the same content; base64 has no character that could end a script element.
        packed = {name: base64.b64encode(gzip.compress(part, 9, mtime=0)).decode() for name, part in parts.items()}
        scripts = [
            f'<script type="application/gzip" data-explorer="{name}">{part}</script>' for name, part in packed.items()
        ]
        return (
            '<section class="explorer" data-explorer="place" aria-label="Rationale explorer">'
            f'<p role="status">{html.escape(repr(self))}</p>'
            "<noscript><p>The explorer needs JavaScript; notebooks 04 to 06 show examples without it.</p></noscript>"
            f'</section>{"".join(scripts)}<script type="module">{SCRIPT.read_text(encoding="utf-8")}</script>'
        )

    def __repr__(self) -> str:
        number, names = len(self.data["questions"]), ", ".join(self.data["arms"])
        return f"{number} test questions of {self.data['dataset']}, seed {self.data['seed']}, answered by: {names}"

    def save(self, path: Path) -> Explorer:
        """The data as JSON, for other tools."""
        tables.write_json(path, self.data)
        return self
