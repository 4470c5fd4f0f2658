"""A student as it is: its prompts, its exemplars, its two scores, against lm-evaluation-harness's method done by hand."""

import pytest
import torch
from conftest import planned, refused

from scicot_utils import arms, prompts, recipe, scoring, students
from scicot_utils.arms import untaught
from scicot_utils.recipe import Settings
from scicot_utils.students import Generated

SETTINGS = Settings(shots=2, max_target_tokens=16, evaluation_batch_size=4)


@pytest.fixture
def rows(question):
    return [
        question(("a rock", "carbon dioxide"), answer="B", id=f"q{i}", question=f"Which gas is taken in {i} times?")
        for i in range(6)
    ]


@pytest.fixture(scope="module")
def decoder():
    return students.load("random/gpt2-tiny")


def test_the_arms_are_those_that_a_recipe_may_name():
    assert tuple(untaught.ARMS) == recipe.UNTAUGHT and {*recipe.UNTAUGHT} <= {*recipe.ARMS}


def test_exemplars_are_drawn_once_from_training_and_the_same_for_every_question_and_arm(rows):
    examples = [(row, f"why {row['id']}") for row in rows]
    exemplars = untaught.draw_exemplars(examples, SETTINGS)
    assert exemplars == untaught.draw_exemplars(examples, SETTINGS) and len({row["id"] for row, _ in exemplars}) == 2
    assert exemplars != untaught.draw_exemplars(examples, SETTINGS.model_copy(update={"question_seed": 1}))
    plain, cot = (untaught.build_prompts(arm, rows[:2], exemplars) for arm in ("few_shot", "few_shot_cot"))
    for texts in (plain, cot):
        assert len({text.rpartition("Q:")[0] for text in texts}) == 1
    assert "why" not in plain[0] and all(rationale in cot[0] for _, rationale in exemplars)
    assert plain[0].count("The answer is carbon dioxide.") == 2 and plain[0].endswith("\nA:")
    with refused(arms.ArmError, "shots: found 2, allowed: at most 1"):
        untaught.draw_exemplars(examples[:1], SETTINGS)


def test_zero_shot_is_asked_as_kojima_et_al_have_it(rows):
    [text] = untaught.build_prompts("zero_shot_cot", rows[:1], [])
    assert text == prompts.TEACHER_PROMPTS["zero_shot_cot"].question(rows[0])


@pytest.mark.parametrize(
    ("output", "answer"),
    [(" (B) carbon dioxide.", "B"), (" carbon dioxide.\nQ: Which?", "B"), (" hard to tell.", ""), (" A or B.", "")],
)
def test_what_is_written_behind_the_cue_is_read_by_its_conclusion(monkeypatch, rows, decoder, output, answer):
    monkeypatch.setattr(students, "generate", lambda student, inputs, **_: [Generated(output, False)] * len(inputs))
    answers = untaught.answers("zero_shot", decoder, rows[:2], [], SETTINGS)
    assert [row["answer"] for row in answers] == [answer] * 2 and not answers[0]["rationale"]


def test_a_rationale_ends_before_its_conclusion_and_before_the_next_question(monkeypatch, rows, decoder):
    calls = []

    def generate(student, inputs, stop, **_):
        calls.append(list(inputs))
        thought = "Plants need it. The answer is carbon dioxide.\nQ: And now?"
        return [Generated(thought if stop == untaught.NEXT else " carbon dioxide.", False)] * len(inputs)

    monkeypatch.setattr(students, "generate", generate)
    examples = [(row, "It is a gas.") for row in rows[2:]]
    for arm, cue in (("zero_shot_cot", prompts.CUE), ("few_shot_cot", " The answer is")):
        answers = untaught.answers(arm, decoder, rows[:2], examples, SETTINGS)
        assert {row["rationale"] for row in answers} == {"Plants need it."} and all(row["correct"] for row in answers)
        assert calls[-1][0] == f"{calls[-2][0]} Plants need it.{cue}"


def test_options_are_ranked_as_lm_evaluation_harness_ranks_them(rows, decoder):
    """By hand: the log-likelihoods of the tokens of " option" after the prompt, summed; and that by its characters."""
    answers = untaught.answers("zero_shot", decoder, rows, [], SETTINGS)
    tokenizer, model = decoder.tokenizer, decoder.model
    by_hand = []
    for row, question in zip(answers, rows, strict=True):
        context = tokenizer(f"Question: {question['question']}\nAnswer:", add_special_tokens=False)["input_ids"]
        sums = []
        for option in question["choices"]["text"]:
            ids = tokenizer(f" {option}", add_special_tokens=False)["input_ids"]
            with torch.no_grad():
                logits = model(torch.tensor([[*context, *ids]])).logits[0].log_softmax(-1)
            sums.append(sum(logits[len(context) - 1 + index, token].item() for index, token in enumerate(ids)))
        assert row["option_scores"] == pytest.approx(sums, abs=1e-3)
        by_hand.append([total / len(text) for total, text in zip(sums, question["choices"]["text"], strict=True)])
    values = {}
    for arm in ("zero_shot", "answer_only"):
        predictions = arms.predictions(answers, recipe="r", dataset="x", arm=arm, variant="main", seed=0)
        by_id = {row["id"]: row for row in rows}
        metrics = scoring.evaluate(predictions, by_id, 0.95, recipe="r", student="s", parameters=1)
        values[arm] = {row["metric"]: row["value"] for row in metrics}
    assert values["zero_shot"]["ranked per character"] == sum(sums[1] > sums[0] for sums in by_hand) / len(rows)
    assert "ranked per character" not in values["answer_only"]


def test_an_encoder_decoder_and_open_answers_are_asked_too(question):
    row = question(dataset="SVAMP", choices={"label": [], "text": []}, answer="39")
    [answer] = untaught.answers("zero_shot", students.load("random/bart-tiny"), [row], [], SETTINGS)
    assert answer["option_scores"] == [] and answer["gold"] == "39"


def test_each_is_run_once_and_in_no_variant():
    plan = planned(("answer_only", "few_shot"), variants={"short": {"steps": 5}})
    assert [run for run in plan.runs() if run[1] == "few_shot"] == [("microsci", "few_shot", "main", 0)]
    assert plan.trained_arms("main") == ["answer_only"]


def test_an_option_is_read_in_the_students_own_spelling_and_a_thought_that_was_cut_is_told(
    monkeypatch, question, decoder
):
    monkeypatch.setattr(students, "round_trip", lambda _, texts: [text.replace("^", "") for text in texts])
    texts = iter(["A thought", " 6.2 x 108 J"])
    monkeypatch.setattr(students, "generate", lambda _, inputs, **__: [Generated(next(texts), "^" not in inputs[0])])
    [answer] = untaught.answers("zero_shot_cot", decoder, [question(("6.2 x 10^8 J", "7 J"), answer="A")], [], SETTINGS)
    assert answer["answer"] == "A" and not answer["truncated"]
    texts, cut = iter(["A thought", " 7 J"]), iter([True, False])
    monkeypatch.setattr(students, "generate", lambda _, inputs, **__: [Generated(next(texts), next(cut))])
    [answer] = untaught.answers("zero_shot_cot", decoder, [question(("6 J", "7 J"), answer="A")], [], SETTINGS)
    assert answer["answer"] == "B" and answer["truncated"]
