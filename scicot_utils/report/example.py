"""One question followed through every stage, with the rows of a run, and the templates that its texts are made with.

Nothing is typed here: a template is shown by giving the code that fills it a question made of placeholders.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping

from scicot_utils import arms, paths, prompts, tables
from scicot_utils.recipe import MAIN, Recipe
from scicot_utils.report.style import arm_name, visible
from scicot_utils.tables import Row

Passage = tuple[str, str]  # what a text is, and the text
IN_TWO_STEPS = arms.maps_of("two_stage")


class Texts:
    """Texts as they were read and written, line by line, each under a line that says what it is; everything escaped."""

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


def templates(recipe: Recipe, questions: Mapping[str, Row]) -> list[Passage]:
    """What the teacher is asked and what each map of the recipe's arms reads and writes, around `{placeholders}`; of
    several options the first is the right one.
    """
    blank = _placeholder_question(next(iter(questions.values())))
    prompt = prompts.TEACHER_PROMPTS[recipe.teacher.prompt]
    after = f", after {recipe.teacher.few_shot_examples} worked examples" if prompt.few_shot else ""
    passages = [(f"The teacher reads (prompt {prompt.label}){after}", prompt.block(blank))]
    if prompt.answer_cue:
        passages.append(("and, in a second call, after its own text", prompt.answer_cue))
    return passages + _pairs(recipe, blank, "{rationale}", {blank["id"]: "{rationale}"})


def training_followed(recipe: Recipe, dataset: str, questions: Mapping[str, Row]) -> list[Passage]:
    """The first question of the training set from the teacher's prompt to what each arm's student is trained on."""
    judgements = tables.read("rationales", paths.rationales(recipe.name, dataset, MAIN))
    question, rationale = arms.training_examples(list(questions.values()), judgements, recipe.settings())[0]
    completions = tables.read("completions", paths.completions(recipe.name, dataset, MAIN))
    completion = next(row for row in completions if row["question_id"] == question["id"])
    source = f"question {question['id']} (prompt {completion['prompt_version']})"
    passages = [
        (f"The teacher read, for {source}", completion["prompt"]),
        ("It wrote", completion["text"]),
        (f"The rationale kept from it (right answer: {_option(question, question['answer'])})", rationale),
    ]
    generated = {}
    if "two_stage" in recipe.trained_arms(MAIN) and recipe.settings("two_stage").stage2_source != "teacher":
        file = paths.run(recipe.name, dataset, "two_stage", MAIN, recipe.seeds[0]) / "crossfit.parquet"
        generated = {row["question_id"]: row["text"] for row in tables.read("generations", file)}
    return passages + _pairs(recipe, question, rationale, generated)


def test_followed(
    recipe: Recipe, answers: Mapping[str, Mapping[str, Row]], questions: Mapping[str, Row], right: str, wrong: str
) -> list[Passage]:
    """The first test question that the first seed's student of arm `right` answers right and that of `wrong` answers
    wrong, as both met it; [] where there is none, or an arm was not run. `answers`: of `results.first_answers`.
    """
    if not {right, wrong} <= {*answers}:
        return []
    for name, question in questions.items():
        predictions = {arm: answers[arm].get(name) for arm in (right, wrong)}
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
    if maps != IN_TWO_STEPS:
        return [(f"{arm_name(arm)} reads", maps[0].input(question, "", settings)), last]
    return [
        (f"{arm_name(arm)}, first step, reads", arms.RATIONALE.input(question, "", settings)),
        ("and writes", rationale),
        (f"{arm_name(arm)}, second step, reads", arms.ANSWER_FROM.input(question, rationale, settings)),
        last,
    ]


def _pairs(recipe: Recipe, question: Row, rationale: str, generated: Mapping[str, str]) -> list[Passage]:
    """What students learn from one question with its rationale: a pair for each map, named once with all its arms.

    `generated`: question id → the rationale of a student that had not seen it, where stage 2 learns from that.
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


def _placeholder_question(question: Row) -> Row:
    """A question of the same shape, of placeholders."""
    labels = question["choices"]["label"]
    texts = [f"{{option {prompts.letter(question, label)}}}" for label in labels]
    answer = labels[0] if labels else "{answer}"
    return question | {"question": "{question}", "choices": {"label": labels, "text": texts}, "answer": answer}
