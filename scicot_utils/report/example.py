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

Told = tuple[str, str]  # what a text is, and the text
IN_TWO_STEPS = arms.maps_of("two_stage")


class Texts:
    """Texts as they were read and written, line by line, each under a line that says what it is; everything escaped."""

    def __init__(self, told: Iterable[Told]):
        self.told = list(told)

    def _repr_html_(self) -> str:
        return "".join(
            f'<figure class="passage"><figcaption>{html.escape(what)}</figcaption>'
            f'<pre tabindex="0">{html.escape(visible(text)) or "–"}</pre></figure>'
            for what, text in self.told
        )

    def __repr__(self) -> str:
        return "\n\n".join(f"{what}:\n{text}" for what, text in self.told)


def templates(recipe: Recipe, questions: Mapping[str, Row]) -> list[Told]:
    """What the teacher is asked and what each map of the recipe's arms reads and writes, around `{placeholders}`; of
    several options the first is the right one.
    """
    blank = _blank(next(iter(questions.values())))
    prompt = prompts.TEACHER_PROMPTS[recipe.teacher.prompt]
    after = f", after {recipe.teacher.few_shot_examples} worked examples" if prompt.few_shot else ""
    told = [(f"The teacher reads (prompt {prompt.label}){after}", prompt.block(blank))]
    if prompt.answer_cue:
        told.append(("and, in a second call, after its own text", prompt.answer_cue))
    return told + _pairs(recipe, blank, "{rationale}", {blank["id"]: "{rationale}"})


def training_followed(recipe: Recipe, dataset: str, questions: Mapping[str, Row]) -> list[Told]:
    """The first question of the training set from the teacher's prompt to what each arm's student is trained on."""
    judged = tables.read("rationales", paths.rationales(recipe.name, dataset, MAIN))
    question, why = arms.training_examples(list(questions.values()), judged, recipe.settings())[0]
    asked = tables.read("completions", paths.completions(recipe.name, dataset, MAIN))
    completion = next(row for row in asked if row["question_id"] == question["id"])
    told = [
        (
            f"The teacher read, for question {question['id']} (prompt {completion['prompt_version']})",
            completion["prompt"],
        ),
        ("It wrote", completion["text"]),
        (f"The rationale kept from it (right answer: {_shown(question, question['answer'])})", why),
    ]
    written = {}
    if "two_stage" in recipe.trained_arms(MAIN) and recipe.settings("two_stage").stage2_source != "teacher":
        held_out = paths.run(recipe.name, dataset, "two_stage", MAIN, recipe.seeds[0]) / "crossfit.parquet"
        written = {row["question_id"]: row["text"] for row in tables.read("generations", held_out)}
    return told + _pairs(recipe, question, why, written)


def test_followed(
    recipe: Recipe, answered: Mapping[str, Mapping[str, Row]], questions: Mapping[str, Row], right: str, wrong: str
) -> list[Told]:
    """The first test question that the first seed's student of arm `right` answers right and that of `wrong` answers
    wrong, as both met it; [] where there is none, or an arm was not run. `answered`: of `results.first_answers`.
    """
    if not {right, wrong} <= {*answered}:
        return []
    for name, question in questions.items():
        met = [(arm, answered[arm].get(name)) for arm in (right, wrong)]
        if [prediction and prediction["correct"] for _, prediction in met] == [True, False]:
            asked = (f"Question {name}; right answer: {_shown(question, question['answer'])}", _asked(question))
            return [asked, *(told for arm, prediction in met for told in _met(arm, question, prediction, recipe))]
    return []


def _met(arm: str, question: Row, prediction: Row, recipe: Recipe) -> list[Told]:
    """What one arm's student, or its two, read of a question and wrote."""
    settings, maps, why = recipe.settings(arm), arms.maps_of(arm), prediction["rationale"]
    verdict = "right" if prediction["correct"] else "wrong"
    read = f"({_shown(question, prediction['answer'])}: {verdict})" if prediction["answer"] else "(no answer: wrong)"
    if maps != IN_TWO_STEPS:
        return [
            (f"{arm_name(arm)} reads", maps[0].input(question, "", settings)),
            (f"and writes {read}", prediction["text"]),
        ]
    return [
        (f"{arm_name(arm)}, first step, reads", arms.RATIONALE.input(question, "", settings)),
        ("and writes", why),
        (f"{arm_name(arm)}, second step, reads", arms.ANSWER_FROM.input(question, why, settings)),
        (f"and writes {read}", prediction["text"]),
    ]


def _pairs(recipe: Recipe, question: Row, why: str, written: Mapping[str, str]) -> list[Told]:
    """What students learn from one question with its rationale: a pair for each map, named once with all its arms.

    `written`: question id → the rationale of a student that had not seen it, where stage 2 learns from that.
    """
    learned: dict[tuple[arms.InputTarget, str], list[str]] = {}
    for arm in recipe.trained_arms(MAIN):
        for one in arms.maps_of(arm):
            given = [(question, why)]
            if arm == "two_stage" and one is arms.ANSWER_FROM:
                given = arms.stage2_examples(given, written, recipe.settings(arm))
            for text in dict.fromkeys(text for _, text in given):
                learned.setdefault((one, text), []).append(arm)
    told = []
    for (one, text), by in learned.items():
        [(reads, writes)] = arms.pairs([one], [(question, text)], recipe.settings(by[0]))
        told += [(f"{one.told} reads (in: {'; '.join(map(arm_name, by))})", reads), (f"{one.told} must write", writes)]
    return told


def _shown(question: Row, answer: str) -> str:
    """An option with its letter, or an open answer."""
    if not prompts.has_options(question):
        return answer
    return f"({prompts.letter(question, answer)}) {prompts.option_text(question, answer)}"


def _asked(question: Row) -> str:
    options = [_shown(question, label) for label in question["choices"]["label"]]
    return "\n".join([question["question"], *options])


def _blank(question: Row) -> Row:
    """A question of the same shape, of placeholders."""
    labels = question["choices"]["label"]
    named = [f"{{option {prompts.letter(question, label)}}}" for label in labels]
    right = labels[0] if labels else "{answer}"
    return question | {"question": "{question}", "choices": {"label": labels, "text": named}, "answer": right}
