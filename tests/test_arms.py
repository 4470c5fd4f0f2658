"""Arms: what each is trained on, how each answers, and that the way to a score is fair. Students are mostly fakes."""

import dataclasses
import random
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import refused
from hypothesis import given
from hypothesis import settings as examples_of
from hypothesis import strategies as st

from scicot_utils import arms, prompts, recipe, scoring, students, tables, tasks
from scicot_utils.arms import ArmError
from scicot_utils.arms.answering import chaining
from scicot_utils.recipe import Settings, Training
from scicot_utils.students import Generated

SETTINGS = Settings(max_target_tokens=16, evaluation_batch_size=4)
NAMES = ("raft", "robin", "copper", "ant", "oak", "wolf", "lamp", "river", "fern", "crab")

WRITE_TWO = [name for name, arm in recipe.REGISTRY.items() if arm.writes_two]


def settings(**changes):
    return Settings(**SETTINGS.model_dump() | changes)


@pytest.fixture(scope="module")
def two(question):
    """Two questions, the second with three options and numbers for labels."""
    return [question(), question(("yes", "no", "perhaps"), id="q2", labels="123")]


@pytest.fixture(scope="module")
def rows(question):
    """Questions with four different options each; every position is right equally often."""
    rng = random.Random(0)
    return [
        question(rng.sample(NAMES, 4), id=f"q{i:04d}", answer="ABCD"[i % 4], question=f"Which one fits {i}?")
        for i in range(400)
    ]


def rationale_rows(*ids, **changes):
    return [{"question_id": name, "rationale": f"why {name}", "kept": True} | changes for name in ids]


# Training examples


@pytest.fixture(scope="module")
def train(question):
    return [question(id=f"t{i}", split="train") for i in range(30)]


def test_every_kept_rationale_of_the_train_split_is_an_example_and_no_other(question, train):
    rows = [*train, question(id="test"), question(id="dev", split="validation")]
    rationales = rationale_rows("t3", "test", "dev", "t1") + rationale_rows("t2", kept=False)
    rationales += rationale_rows("t1", rationale="another")
    examples = [(row["id"], text) for row, text in arms.training_examples(rows, rationales, SETTINGS)]
    assert examples == [("t3", "why t3"), ("t1", "why t1"), ("t1", "another")]


@given(small=st.integers(1, 30), more=st.integers(0, 29), seed=st.integers(0, 5))
def test_a_smaller_training_set_lies_in_order_inside_a_larger_one(train, small, more, seed):
    rows = rationale_rows(*(row["id"] for row in train))

    def ids(size):
        examples = arms.training_examples(train, rows, settings(train_size=size, question_seed=seed))
        return [row["id"] for row, _ in examples]

    smaller, larger = ids(small), ids(min(small + more, 30))
    assert len(smaller) == small
    assert smaller == [name for name in larger if name in smaller]
    assert ids(0) == ids(30) == [row["id"] for row in train]


def test_a_pool_holds_all_rationales_of_its_questions_and_lies_inside_a_larger_one(train):
    names = [row["id"] for row in train]
    rows = rationale_rows(*names) + rationale_rows(*names, rationale="another")

    def ids(pool, **changes):
        return [row["id"] for row, _ in arms.training_examples(train, rows, settings(train_pool=pool, **changes))]

    few, many = ids(5), ids(12)
    assert len(few) == 10 and {*few} < {*many} and len({*many}) == 12 and all(few.count(name) == 2 for name in few)
    assert {*ids(5, train_size=4)} <= {*few} and len(ids(5, train_size=4)) == 4
    assert ids(5) != ids(5, question_seed=1)
    with refused(ArmError, "train_pool: found 31, allowed: at most 30"):
        ids(31)


@pytest.mark.parametrize(
    ("rows", "size", "message"),
    [
        (rationale_rows("t1", "t2"), 3, "train_size: found 3, allowed: at most 2"),
        ([], 0, "no rationale was kept"),
        (rationale_rows("t1", kept=False), 0, "no rationale was kept"),
        (rationale_rows("unknown"), 0, "no rationale was kept"),
    ],
)
def test_more_examples_than_there_are_and_nothing_to_train_on_are_refused(train, rows, size, message):
    with refused(ArmError, message):
        arms.training_examples(train, rows, settings(train_size=size))


# Stage 2 on rationales of students


@pytest.fixture(scope="module")
def doubled(train):
    """Two rationales of each training question."""
    return [(row, f"{word} {row['id']}") for word in ("why", "how") for row in train]


@given(parts=st.integers(2, 20), seed=st.integers(0, 5))
def test_folds_share_out_the_questions_evenly_by_their_seed_and_the_examples_in_order(doubled, parts, seed):
    folds = arms.folds(doubled, settings(crossfit_folds=parts, question_seed=seed))
    assert sorted(doubled.index(pair) for part in folds for pair in part) == list(range(len(doubled)))
    assert all(part == [pair for pair in doubled if pair in part] for part in folds)
    questions = [{question["id"] for question, _ in part} for part in folds]
    assert sum(map(len, questions)) == len(set.union(*questions)) == 30  # all rationales of one lie in one fold
    assert len(folds) == parts and max(map(len, questions)) - min(map(len, questions)) <= 1
    assert folds == arms.folds(doubled, settings(crossfit_folds=parts, question_seed=seed))
    assert folds != arms.folds(doubled, settings(crossfit_folds=parts, question_seed=seed + 1))


def test_more_folds_than_questions_are_refused(doubled):
    of_four = [pair for pair in doubled if pair[0]["id"] in ("t0", "t1", "t2", "t3")]
    with refused(ArmError, "crossfit_folds: found 5, allowed: at most 4, the questions"):
        arms.folds(of_four, settings(crossfit_folds=5))


@pytest.mark.parametrize(
    ("source", "teachers", "students_own"), [("teacher", 1, 0), ("crossfit", 0, 1), ("both", 1, 1)]
)
def test_stage_two_learns_from_the_teachers_rationales_then_from_one_of_a_student_for_each_question(
    doubled, train, source, teachers, students_own
):
    crossfit = {row["id"]: f"I think {row['id']}" for row in reversed(train)} if students_own else {}
    examples = arms.stage2_examples(doubled, crossfit, settings(stage2_source=source))
    assert examples == teachers * doubled + students_own * [(row, f"I think {row['id']}") for row in train]
    if students_own:  # a question without a student's rationale is not passed over
        with pytest.raises(KeyError, match="t0"):
            arms.stage2_examples(doubled, {}, settings(stage2_source=source))


@pytest.mark.parametrize("source", ["crossfit", "both"])
@pytest.mark.parametrize("parts", [2, 5])
def test_no_rationale_that_stage_two_learns_from_was_written_by_a_student_that_had_seen_its_question(
    monkeypatch, doubled, tmp_path, parts, source
):
    """Every student plants the markers of all questions that it was trained on into whatever it writes."""
    marked = [(row | {"question": f"What is marked <{row['id']}>?"}, rationale) for row, rationale in doubled]

    def fine_tune(student, taught, options, asked, **_):
        student.model, student.tokenizer = " ".join(re.search("<.*?>", text)[0] for text, _ in taught), asked
        return SimpleNamespace(seconds=1.0)

    def generate(student, inputs, **_):
        assert inputs == student.tokenizer, "else one too long for the student would be found after its training"
        return [Generated(student.model, False)] * len(inputs)

    monkeypatch.setattr(students, "load", lambda *_: students.Student(None, None, ""))
    monkeypatch.setattr(students, "fine_tune", fine_tune)
    monkeypatch.setattr(students, "generate", generate)
    chosen = settings(crossfit_folds=parts, stage2_source=source)
    generations, seconds = arms.crossfit("mine", marked, chosen, seed=0, folder=tmp_path)
    crossfit = {row["question_id"]: row["text"] for row in generations}
    learned_from = [pair for pair in arms.stage2_examples(marked, crossfit, chosen) if pair not in marked]
    names = {row["id"] for row, _ in marked}
    assert {row["id"] for row, _ in learned_from} == names and len(learned_from) == len(names)
    for row, rationale in learned_from:
        seen = set(re.findall("<(.*?)>", rationale))
        assert row["id"] not in seen
        assert len(seen) >= len(names) - len(names) // parts - 1  # and yet each had seen all other folds
    assert seconds == parts


# What is read and what is written, on one question

ASKED = "(A) raft (B) robin (C) copper (D) ant Which of these has feathers?"
WHY = "Birds have feathers."


QUESTION_FIRST = {"stage2_order": "question_first"}
MULTIMODAL = QUESTION_FIRST | {"template": "multimodal_cot", "answer_format": "label"}
MULTIMODAL_ASKED = (
    "Question: Which of these has feathers?\nContext: N/A\n"
    f"Options: (A) raft (B) robin (C) copper (D) ant\nSolution: {WHY}\nAnswer:"
)


@pytest.mark.parametrize(
    ("mapping", "changes", "reads", "writes"),
    [
        (arms.ANSWER, {}, f"{ASKED} Answer:", "robin"),
        (arms.ANSWER, {"answer_format": "label"}, f"{ASKED} Answer:", "The answer is (B)."),
        (arms.BOTH, {}, f"{ASKED} Solution:", f"{WHY} --> robin"),
        (arms.RATIONALE, {}, f"{ASKED} Solution:", WHY),
        (arms.ANSWER_FROM, {}, f"Solution: {WHY} {ASKED} Answer:", "robin"),
        (arms.ANSWER_FROM, QUESTION_FIRST, f"{ASKED} Solution: {WHY} Answer:", "robin"),
        (arms.ANSWER_FROM, MULTIMODAL, MULTIMODAL_ASKED, "The answer is (B)."),
    ],
)
def test_the_training_pair_of_an_arm_and_of_several_maps_a_pair_of_each(question, mapping, changes, reads, writes):
    chosen = settings(**changes)
    assert arms.pairs([mapping], [(question(), WHY)], chosen) == [(reads, writes)]
    rows = [(question(id=name), f"why {name}") for name in ("q1", "q2")]
    single = [arms.pairs([each], [row], chosen)[0] for row in rows for each in (arms.RATIONALE, mapping)]
    assert arms.pairs((arms.RATIONALE, mapping), rows, chosen) == single


MAPS = [arms.ANSWER, arms.RATIONALE, arms.BOTH, arms.REVERSED, arms.ANSWER_FROM]


@pytest.mark.parametrize("mapping", MAPS, ids=lambda mapping: mapping.notation)
def test_no_student_reads_the_gold_answer(question, mapping):
    assert len({arms.pairs([mapping], [(question(answer=gold), WHY)], SETTINGS)[0][0] for gold in "ABCD"}) == 1


def test_every_arm_with_one_student_is_one_that_a_recipe_may_name():
    assert {*arms.ONE_STUDENT, *recipe.UNTAUGHT, "untrained", "two_stage"} == set(recipe.ARMS)


# How an arm answers


class Fake:
    """Stands in for a student: `says` maps an input to a text, `likes` (input, lead, target) to a log-likelihood."""

    def __init__(self, monkeypatch, says, likes):
        self.inputs, self.scored = [], []

        def generate(student, inputs, *, max_new_tokens, batch_size, stop, precision):
            self.inputs += inputs
            return [Generated(says(text).partition(stop)[0] + stop if stop else says(text), False) for text in inputs]

        def score(student, inputs, targets, *, batch_size, prefixes, ends):
            sequences = list(zip(inputs, prefixes, targets, strict=True))
            self.scored += sequences
            return [likes(*sequence) for sequence in sequences]

        monkeypatch.setattr(students, "generate", generate)
        monkeypatch.setattr(students, "score", score)
        monkeypatch.setattr(students, "round_trip", lambda _, texts: texts)


def predicted(answers, arm, seed=0):
    return arms.predictions(answers, recipe="r", dataset="microsci", arm=arm, variant="main", seed=seed)


def is_table(predictions, folder):
    """Whether they can be written as the table that they are, and read again."""
    return tables.read("predictions", tables.write("predictions", predictions, folder / "p.parquet")) == predictions


def evaluated(rows, answers, arm):
    by_id = {row["id"]: row for row in rows}
    metrics = scoring.evaluate(predicted(answers, arm), by_id, 0.95, recipe="r", student="fake", parameters=0)
    return {row["metric"]: row for row in metrics}


def values(metrics, *names):
    return tuple(metrics[name]["value"] for name in names)


COMBINATIONS = [
    (arm, template, answer_format)
    for arm in (*arms.ONE_STUDENT, "two_stage")
    for template in prompts.STUDENT_TEMPLATES
    for answer_format in ("text", "label", "letter")
    if not (arm in WRITE_TWO and template == "finetune_cot")
]


def answer(arm, rows, chosen):
    return (chaining if arm == "two_stage" else arms.ONE_STUDENT[arm].answers)(None, rows, chosen)


def learned(arm, rows, chosen):
    """What each input of the arm's students should be followed by."""
    maps = (arms.RATIONALE, arms.ANSWER_FROM) if arm == "two_stage" else arms.ONE_STUDENT[arm].maps
    return dict(arms.pairs(maps, [(row, WHY) for row in rows], chosen))


@pytest.mark.parametrize(("arm", "template", "answer_format"), COMBINATIONS)
def test_a_student_that_writes_its_targets_is_always_right(monkeypatch, rows, tmp_path, arm, template, answer_format):
    chosen = settings(template=template, answer_format=answer_format)
    targets = learned(arm, rows, chosen)

    def likes(text, lead, target):
        """An option is ranked as it stood in training: after the same words."""
        return float(targets[text].startswith(f"{lead} {target}".strip()))

    Fake(monkeypatch, targets.__getitem__, likes)
    answers = answer(arm, rows, chosen)
    assert values(evaluated(rows, answers, arm), "generated", "ranked", "unparsed") == (1, 1, 0)
    silent = ("answer_only", "answer_rationale", "multitask")  # at test they write no rationale
    assert {row["rationale"] for row in answers} == ({""} if arm in silent else {WHY})
    assert is_table(predicted(answers, arm), tmp_path)


@pytest.mark.parametrize("arm", [*arms.ONE_STUDENT, "two_stage"])
def test_a_student_that_writes_nothing_is_wrong_and_unparsed(monkeypatch, rows, arm):
    Fake(monkeypatch, lambda text: "", lambda *_: 0.0)
    metrics = evaluated(rows, answer(arm, rows, SETTINGS), arm)
    assert values(metrics, "generated", "unparsed") == (0, 1)
    assert values(metrics, "ranked") == (0.25,)  # all scores are equal, so it takes (A) each time


def test_every_option_of_every_question_is_scored_once_after_the_students_own_rationale(monkeypatch, two):
    fake = Fake(monkeypatch, lambda text: "Hm. --> robin", lambda *_: 0.0)
    answers = arms.ONE_STUDENT["rationale_answer"].answers(None, two, SETTINGS)
    assert [target for *_, target in fake.scored] == ["raft", "robin", "copper", "ant", "yes", "no", "perhaps"]
    assert {lead for _, lead, _ in fake.scored} == {"Hm. -->"}
    assert [len(row["option_scores"]) for row in answers] == [4, 3]


def test_stage_two_reads_what_it_is_given_and_passes_a_cut_rationale_on(monkeypatch, two):
    fake = Fake(monkeypatch, lambda text: "robin", lambda *_: 0.0)
    rationales = [{"text": "First.", "truncated": True}, {"text": "Second.", "truncated": False}]
    answers = arms.answer_from(None, two, rationales, SETTINGS)
    assert [text.split(" (A)")[0] for text in fake.inputs] == ["Solution: First.", "Solution: Second."]
    assert [(row["rationale"], row["truncated"]) for row in answers] == [("First.", True), ("Second.", False)]
    with pytest.raises(ValueError, match="shorter"):
        arms.answer_from(None, two, rationales[:1], SETTINGS)


# The whole way to a score, of every arm, control and baseline

CONTROLS = [f"two_stage_{control}_rationale" for control in ("teacher", "shuffled", "no", "counterfactual")]
TRAINED = [*arms.ONE_STUDENT, "two_stage", *CONTROLS]


def question_of(text):
    """(question, letter → option) that an input shows."""
    return re.search(r"Which one fits \d+\?", text)[0], dict(re.findall(r"\(([A-D])\) (\w+)", text))


def answering(monkeypatch, arm, choose, likes, answer_format="text"):
    """A student of this arm that writes the option which `choose` takes of (cue, question, options' texts), and finds it in
    its rationale; `likes` gives an option's log-likelihood from (question, option's text).
    """

    def says(text):
        question, options = question_of(text)
        cue = text.rsplit(maxsplit=1)[1]  # so that rationale and answer may be of different options
        chosen = choose(cue, question, sorted(options.values()))
        mark = next(mark for mark, option in options.items() if option == chosen)
        output = f"The answer is ({mark})." if answer_format == "label" else options[mark]
        if cue == "Solution:":
            return f"It is {options[mark]}." + (f" --> {output}" if arm == "rationale_answer" else "")
        return f"{output} --> It is so." if arm == "answer_rationale" else output

    def score(text, lead, target):
        question, options = question_of(text)
        return likes(question, options[match[1]] if (match := re.search(r"\(([A-D])\)", target)) else target.split()[0])

    Fake(monkeypatch, says, score)


def path(arm, rows, chosen):
    """The predictions of an arm or control on `rows`, as notebooks 04 to 06 make them."""
    if arm not in CONTROLS:
        return answer(arm, rows, chosen)
    generations = [
        {"question_id": row["id"], "split": row["split"], "text": output.text, "truncated": output.truncated}
        for row, output in zip(rows, arms.write_rationales(None, rows, chosen), strict=True)
    ]
    by_id = {row["id"]: row for row in rows}
    of_teacher = [{"question_id": name, "sample": 0, "rationale": WHY} for name in by_id]
    rows_by_control, _ = arms.controls(by_id, generations, of_teacher, seed=0)
    rationales = rows_by_control[arm.removeprefix("two_stage_").removesuffix("_rationale")]
    return arms.answer_from(None, [by_id[row["question_id"]] for row in rationales], rationales, chosen)


def drawn(*parts):
    """A number from 0 to 1 that depends on the words and on nothing else."""
    return random.Random("/".join(parts)).random()


def going_by_words(monkeypatch, arm, answer_format="text"):
    """A student that knows nothing: its answers depend on the words of question and options, not on their order."""

    def choose(cue, question, options):
        return max(options, key=lambda text: drawn(cue, question, text))

    answering(monkeypatch, arm, choose, lambda question, text: drawn("likes", question, text), answer_format)


def copying(monkeypatch, arm, rows, answer_format="text"):
    """A student that knows the gold option of each row."""
    gold = {row["question"]: prompts.option_text(row, row["answer"]) for row in rows}

    def likes(question, text):
        return text == gold[question]

    answering(monkeypatch, arm, lambda cue, question, _: gold[question], likes, answer_format)


@pytest.mark.parametrize("answer_format", ["text", "label"])
@pytest.mark.parametrize("arm", TRAINED)
def test_a_student_that_copies_the_gold_answer_scores_all(monkeypatch, rows, arm, answer_format):
    copying(monkeypatch, arm, rows, answer_format)
    metrics = evaluated(rows, path(arm, rows, settings(answer_format=answer_format)), arm)
    assert values(metrics, "generated", "ranked", "unparsed", "truncated") == (1, 1, 0, 0)
    assert metrics["generated"]["n"] == len(rows)  # of the counterfactual, too: all rationales name the gold option


@pytest.mark.parametrize("arm", TRAINED)
def test_a_student_that_answers_at_random_scores_chance(monkeypatch, rows, arm):
    going_by_words(monkeypatch, arm)
    answers = path(arm, rows, SETTINGS)
    metrics = evaluated(rows, answers, arm)
    for measure in ("generated", "ranked"):
        assert metrics[measure]["low"] < 0.25 < metrics[measure]["high"]
    assert 60 < metrics["generated"]["n"] == len(answers) <= len(rows)  # turned can only be what names the gold option


def permuted(row, order):
    """The question with its options' texts at other places, under the labels of those places."""
    texts = row["choices"]["text"]
    index = order.index(row["choices"]["label"].index(row["answer"]))
    choices = {"label": row["choices"]["label"], "text": [texts[number] for number in order]}
    return row | {"choices": choices, "answer": row["choices"]["label"][index]}


@pytest.mark.parametrize("answer_format", ["text", "label"])
@pytest.mark.parametrize("arm", TRAINED)
def test_the_order_of_options_changes_no_score_of_a_student_that_reads_their_words(rows, arm, answer_format):
    chosen = settings(answer_format=answer_format)

    def measured(questions):
        with pytest.MonkeyPatch.context() as patch:
            going_by_words(patch, arm, answer_format)
            return evaluated(questions, path(arm, questions, chosen), arm)

    plain = measured(rows[:40])
    assert 0 < plain["generated"]["value"] < 1 and plain["ranked"] != plain["generated"]

    @examples_of(max_examples=8)
    @given(orders=st.lists(st.permutations(range(4)), min_size=40, max_size=40))
    def holds(orders):
        assert measured([permuted(row, order) for row, order in zip(rows, orders, strict=False)]) == plain

    holds()


@pytest.mark.parametrize("arm", [arm for arm in TRAINED if "counterfactual" not in arm])  # which is made from the gold
def test_a_wrong_gold_label_changes_whether_that_answer_is_right_and_nothing_else(monkeypatch, rows, arm):
    copying(monkeypatch, arm, rows)
    questions = rows[:40]
    wrong = [row | {"answer": "D"} if row is questions[0] else row for row in questions]
    before, after = (path(arm, version, SETTINGS) for version in (questions, wrong))
    columns = {key for a, b in zip(before, after, strict=True) for key in a if a[key] != b[key]}
    assert columns == {"gold", "correct"} and before[1:] == after[1:]
    plain, changed = evaluated(questions, before, arm), evaluated(wrong, after, arm)
    assert {name for name in plain if plain[name] != changed[name]} == {"generated", "ranked"}
    assert values(changed, "generated", "ranked") == (39 / 40, 39 / 40)


def test_rotations_of_a_sample_that_grows_put_the_right_option_at_every_place_once_and_keep_its_words(rows, question):
    other = [question(("yes", "no", "so"), id="x", labels="123"), question(id="y", split="validation")]
    rotated = arms.rotations([*rows[:30], *other], settings(order_questions=99))
    assert [row["id"] for row in rotated[:4]] == ["q0000"] * 4 and rotated[0] == rows[0]
    for row in [*rows[:30], other[0]]:
        orders = [order for order in rotated if order["id"] == row["id"]]
        assert [order["answer"] for order in orders] != [row["answer"]] * len(orders)
        assert sorted(order["answer"] for order in orders) == row["choices"]["label"] == orders[1]["choices"]["label"]
        right = prompts.option_text(row, row["answer"])
        assert all(prompts.option_text(order, order["answer"]) == right for order in orders)
        assert all(sorted(order["choices"]["text"]) == sorted(row["choices"]["text"]) for order in orders)
    assert len(rotated) == 30 * 4 + 3  # the validation question is not rotated
    ids = {count: [row["id"] for row in arms.rotations(rows, settings(order_questions=count))[::4]] for count in (5, 9)}
    assert len(ids[5]) == 5 and set(ids[5]) < set(ids[9]) and ids[9] == sorted(ids[9])
    assert ids[5] != [row["id"] for row in rows[:5]]
    assert arms.rotations(rows, settings(order_questions=0)) == []
    open_ones = [row | {"dataset": "CoinFlip", "choices": {"label": [], "text": []}} for row in rows]
    assert arms.rotations(open_ones, settings(order_questions=5)) == []


@pytest.mark.parametrize("arm", [*arms.ONE_STUDENT, "two_stage"])
def test_a_student_that_goes_by_place_is_told_from_one_that_goes_by_words(monkeypatch, rows, arm):
    rotated = arms.rotations(rows, settings(order_questions=20))

    def effects():
        predictions = predicted(path(arm, rotated, SETTINGS), arm)
        metrics = scoring.order_effects(predictions, rotated, 0.95, recipe="r", student="s", parameters=1)
        return {row["metric"]: row["value"] for row in metrics}

    going_by_words(monkeypatch, arm)
    words = effects()
    assert words["same generated"] == words["same ranked"] == 1
    assert len({value for name, value in words.items() if name.startswith("generated, gold at")}) == 1
    first = {"Solution:": f"{WHY} --> (A)" if arm == "rationale_answer" else WHY, "Answer:": "(A) -->"}
    Fake(monkeypatch, lambda text: first[text.rsplit(maxsplit=1)[1]], lambda *_: 0.0)  # of equals the first is taken
    by_place = effects()
    assert by_place["same generated"] == by_place["same ranked"] == 0
    for measure in ("generated", "ranked"):
        assert [by_place[f"{measure}, gold at ({mark})"] for mark in "ABCD"] == [1, 0, 0, 0]


def test_controls_are_what_they_are_called(question):
    rows = {f"q{i}": question(id=f"q{i}", split="test" if i < 6 else "validation") for i in range(8)}
    texts = [f"Robin {i}." if i % 2 else f"Ant {i}." for i in range(8)]
    generations = [
        {"question_id": name, "split": row["split"], "text": text, "truncated": text == "Ant 0."}
        for (name, row), text in zip(rows.items(), texts, strict=True)
    ]
    teacher_said = [("q0", 0, "T q0."), ("q7", 0, "T q7."), ("q1", 0, ""), ("q2", 1, "x")]
    teacher_rows = [dict(zip(("question_id", "sample", "rationale"), said, strict=True)) for said in teacher_said]
    rows_by_control, argued_for = arms.controls(rows, generations, teacher_rows, seed=0)
    texts_of = {name: [(row["question_id"], row["text"]) for row in of] for name, of in rows_by_control.items()}
    assert texts_of["teacher"] == [("q0", "T q0."), ("q7", "T q7.")] and not rows_by_control["teacher"][0]["truncated"]
    assert texts_of["no"] == [(f"q{i}", "") for i in range(6)]
    assert not any(row["truncated"] for row in rows_by_control["no"])
    assert [name for name, _ in texts_of["shuffled"]] == [f"q{i}" for i in range(6)]
    assert sorted(text for _, text in texts_of["shuffled"]) == sorted(texts[:6])
    assert all(text != texts[i] for i, (_, text) in enumerate(texts_of["shuffled"]))
    assert [name for name, _ in texts_of["counterfactual"]] == ["q1", "q3", "q5"] == list(argued_for)
    by_stage_one = re.compile(r"(robin|ant|raft|copper) \d\.", re.IGNORECASE)  # some with a word exchanged
    for name, pairs in texts_of.items():
        assert (name in arms.STAGE_ONE_WROTE) == all(by_stage_one.fullmatch(text) for _, text in pairs)
    for name, text in texts_of["counterfactual"]:
        assert text.startswith(prompts.option_text(rows[name], argued_for[name])) and argued_for[name] != "B"


# Real students of both kinds, of random weights

KINDS = ("random/micro", "random/gpt2-tiny")


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return settings(student=request.param, steps=3, batch_size=4, max_target_tokens=24, freeze_embeddings=False)


def taught(maps, rows, rationale, chosen, folder, **more):
    """A student that learned these maps of the rows with one rationale; the log of its training."""
    student = arms.load_student("micro", chosen, seed=0)
    pairs = arms.pairs(maps, [(row, rationale) for row in rows], chosen)
    return student, arms.train(student, pairs, chosen, seed=0, folder=folder, **more)


@pytest.mark.parametrize("arm", arms.ONE_STUDENT)
def test_every_arm_trains_and_answers_with_a_student_of_either_kind(kind, two, tmp_path, arm):
    entry = arms.ONE_STUDENT[arm]
    student, log = taught(entry.maps, two, WHY, kind, tmp_path, weigh=entry.weigh)
    predictions = predicted(entry.answers(student, two, kind), arm, seed=3)
    assert log.steps == 3
    assert is_table(predictions, tmp_path)
    assert [row["run"] for row in predictions] == [f"r/microsci/{arm}/main/seed3"] * 2
    assert all(score < 0 for row in predictions for score in row["option_scores"])


def test_two_stages_train_and_answer_with_students_of_either_kind(kind, two, tmp_path):
    first, second = (taught([map_], two, WHY, kind, tmp_path)[0] for map_ in (arms.RATIONALE, arms.ANSWER_FROM))
    outputs = arms.write_rationales(first, two, kind)
    rationales = [{"text": output.text, "truncated": output.truncated} for output in outputs]
    answers = arms.answer_from(second, two, rationales, kind)
    assert [row["rationale"] for row in answers] == [output.text for output in outputs]
    assert [len(row["option_scores"]) for row in answers] == [4, 3]


@pytest.mark.parametrize("arm", arms.ONE_STUDENT)
def test_a_decoder_only_student_that_learned_a_question_by_heart_answers_it(question, tmp_path, arm):
    """So that what is learned is what is asked for at test, in every arm: separator, spaces and end in the same places."""
    learning = {"steps": 150, "batch_size": 2, "micro_batches": 1, "learning_rate": 5e-3, "dropout": 0.0}
    chosen = settings(student="random/gpt2-tiny", freeze_embeddings=False, **learning)
    rows, entry = [question(), question(("oak", "wolf"), id="q2")], arms.ONE_STUDENT[arm]
    student, _ = taught(entry.maps, rows, "A robin is a bird.", chosen, tmp_path, weigh=entry.weigh)
    answers = entry.answers(student, rows, chosen)
    assert all(row["correct"] and not row["truncated"] for row in answers)
    assert [max(row["option_scores"]) > -0.5 for row in answers] == [True, True]  # as good as certain of it


# Choosing a checkpoint


def test_a_checkpoint_is_chosen_on_the_kept_rationales_of_validation_questions(question, train):
    rows = [*train, question(id="dev", split="validation"), question(id="dev2", split="validation"), question(id="x")]
    rationales = rationale_rows("t1", "dev", "x") + rationale_rows("dev2", kept=False)
    choosing = settings(choose_by="validation_loss", checkpoint_steps=5)
    [(row, rationale)] = arms.chosen_on(rows, rationales, choosing)
    assert (row["id"], rationale) == ("dev", "why dev")
    assert arms.chosen_on(rows, rationales, SETTINGS) == []
    with refused(ArmError, "choose_by: found 'validation_loss', allowed: last, since no rationale"):
        arms.chosen_on(rows, rationale_rows("t1", "x"), choosing)


@pytest.fixture
def passed(monkeypatch):
    """What a training is called with."""
    arguments = {}
    monkeypatch.setattr(
        students, "fine_tune", lambda student, pairs, options, **others: arguments.update(vars(options) | others)
    )
    return arguments


def test_every_key_of_training_reaches_the_training_or_the_arm():
    own = {"student", "tokenizer", "template", "answer_format", "stage2_order", "stage2_source", "crossfit_folds"}
    own |= {"train_pool", "train_size", "evaluation_batch_size", "epochs"}
    options = {field.name for field in dataclasses.fields(students.TrainingOptions)} - {"seed", "weigh"}
    assert options | own == Training.model_fields.keys()


def test_a_training_is_called_with_the_keys_of_the_recipe_and_of_the_run(passed):
    chosen = settings(steps=7, learning_rate=0.5, threads=3)
    where = {"folder": Path("here"), "weigh": "pair", "validation": [("c", "d")], "asked": ["e"]}
    arms.train(None, [("a", "b")], chosen, seed=5, **where)
    own = {"steps": 7, "seed": 5, "output_dir": Path("here"), "weigh": "pair", "validation_pairs": [("c", "d")]}
    own |= {"asked": ["e"]}
    assert passed == {key: getattr(chosen, key, None) for key in passed} | own
    assert passed["threads"] == 3


@pytest.mark.parametrize(("pairs", "steps"), [(64, 4), (65, 6), (1, 2)])
def test_a_budget_in_epochs_is_that_many_passes_over_an_arms_own_pairs(passed, pairs, steps):
    arms.train(None, [("a", "b")] * pairs, settings(steps=0, epochs=2, batch_size=32), seed=0, folder=Path("here"))
    assert passed["steps"] == steps


# Without a student


def test_untrained_baselines_choose_as_they_say(question):
    rows = [question(("a", "feathers", "a long option", "b")), question(("yes", "no"), id="q2", labels="12")]
    train = [question(id=f"t{i}", answer=gold) for i, gold in enumerate("DDBBD")]
    baselines = arms.untrained(rows, train, seed=0)
    assert [row["answer"] for row in baselines["majority_label"]] == ["D", "2"]  # the last where there is no fourth
    assert [row["answer"] for row in baselines["longest_option"]] == ["C", "1"]
    assert baselines["shortest_option"][0]["answer"] in "AD" and baselines["shortest_option"][1]["answer"] == "2"
    assert baselines["word_overlap"][0]["answer"] == "B"
    assert all(
        row["option_scores"] == [float(label == row["answer"]) for label in question_row["choices"]["label"]]
        for answers in baselines.values()
        for row, question_row in zip(answers, rows, strict=True)
    )


def test_baselines_that_look_at_training_pick_what_was_right_there(question):
    asked = 5 * [("What grows in a wood?", "B")] + 3 * [("What do magnets pull?", "A")]
    train = [question(("iron", "oak", "rain"), id=f"t{i}", question=q, answer=a) for i, (q, a) in enumerate(asked)]
    test = [
        question(("rain", "iron", "oak"), id="q1", question="What do magnets pull?"),
        question(("rain", "oak", "iron"), id="q2", question="What grows in the wood?"),
    ]
    baselines = arms.untrained(test, train, seed=0)
    assert [row["answer"] for row in baselines["frequent_answer"]] == ["C", "B"]  # oak was right most often
    assert [row["answer"] for row in baselines["bag_of_words"]] == ["B", "B"]  # it also looks at the question


def test_where_training_says_nothing_the_choice_is_random_and_repeats_with_its_seed(rows):
    uninformative = [row | {"choices": row["choices"] | {"text": ["aa", "bb", "cc", "dd"]}} for row in rows]
    baselines = arms.untrained(uninformative, [], seed=0)
    for name in ("frequent_answer", "bag_of_words", "longest_option", "shortest_option"):
        counts = Counter(row["answer"] for row in baselines[name])
        assert set(counts) == set("ABCD") and max(counts.values()) < 2 * min(counts.values())
    assert {row["answer"] for row in baselines["majority_label"]} == {"A"}
    assert baselines == arms.untrained(uninformative, [], seed=0) != arms.untrained(uninformative, [], seed=2)


def test_the_bag_of_words_takes_questions_with_any_number_of_options(question):
    train = [question(("yes", "no"), id="t1", labels="12", answer="1"), question(("a", "yes", "b", "c", "d"), id="t2")]
    assert [row["answer"] for row in arms.untrained([question(("no", "yes"))], train, seed=0)["bag_of_words"]] == ["B"]


def test_the_bag_of_words_neither_overflows_nor_divides_by_zero(rows):
    answers = arms.untrained(rows, rows, seed=0)["bag_of_words"]
    assert sum(row["correct"] for row in answers) > len(rows) / 2  # on what it was fitted to
    assert answers == arms.untrained(rows, rows, seed=1)["bag_of_words"]  # no two options have equal scores


def test_baselines_are_at_chance_where_their_rule_says_nothing(rows):
    """Names, their order and which of them is right are drawn at random here, for training apart from test."""
    rng = random.Random(5)
    for name, answers in arms.untrained(rows, [row | {"answer": rng.choice("ABCD")} for row in rows], seed=0).items():
        metrics = evaluated(rows, answers, name)
        assert metrics["generated"]["low"] <= 0.25 <= metrics["generated"]["high"], name
        assert metrics["generated"]["value"] == metrics["ranked"]["value"]


@given(order=st.permutations(range(4)))
def test_baselines_that_read_words_do_not_care_for_the_order_of_options(question, order):
    original = question(("ant", "alligator", "robin", "copper"), question="What goes with copper?")
    train = [question(original["choices"]["text"], id=f"t{i}", answer="AABCC"[i]) for i in range(5)]
    train += [question(original["choices"]["text"], id="u", question="What goes with copper?", answer="D")]
    moved = permuted(original, order)
    for name in ("longest_option", "shortest_option", "word_overlap", "bag_of_words"):
        [plain], [other] = (arms.untrained([row], train, seed=0)[name] for row in (original, moved))
        assert prompts.option_text(original, plain["answer"]) == prompts.option_text(moved, other["answer"])
        assert plain["correct"] == other["correct"]
        assert sorted(plain["option_scores"]) == sorted(other["option_scores"])


@pytest.mark.parametrize("texts", [("raft", "robin"), ("(B)", "(A)"), ("B", "A"), ("same", "same")])
def test_a_choice_is_the_option_chosen_whatever_the_options_read_and_none_is_wrong(question, texts):
    for label in ("A", "B", ""):
        prediction = arms.choice(question(texts, answer="B"), label)
        assert (prediction["answer"], prediction["correct"]) == (label, label == "B")
    assert prediction["text"] == ""


def test_a_trained_student_is_loaded_as_it_was_saved_with_its_templates_separator(monkeypatch, kind, two, tmp_path):
    changed = replace(prompts.STUDENT_TEMPLATES["options_first"], separator="\n\n")
    monkeypatch.setitem(prompts.STUDENT_TEMPLATES, "options_first", changed)
    student = arms.load_student("micro", kind, seed=0)
    students.save(student, tmp_path / "model")
    loaded = arms.load_trained(tmp_path / "model", kind)
    assert (loaded.name, loaded.separator) == (student.name, student.separator) == (kind.student, "\n\n")
    by_folder = arms.load_student("mine", kind.model_copy(update={"student": str(tmp_path / "model")}), seed=0)
    assert by_folder.name == str(tmp_path / "model") and students.parameters(by_folder) == students.parameters(student)
    assert arms.load_student("micro", settings(student="micro"), seed=0).name == "micro"  # as the recipe calls it
    answers = arms.ONE_STUDENT["rationale_answer"].answers
    assert answers(loaded, two, kind) == answers(student, two, kind)


# Open answers

OPEN = {"SVAMP": ("39", "How many?"), "CoinFlip": ("no", "Is it heads up?"), "LastLetter": ("nk", "Which letters?")}
NONE = {"label": [], "text": []}


@pytest.fixture(scope="module", params=OPEN)
def open_rows(request, question):
    answer, text = OPEN[request.param]
    return [
        question(id=f"q{i}", dataset=request.param, question=f"{text} {i}", choices=NONE, answer=answer, group="all")
        for i in range(20)
    ]


@pytest.mark.parametrize(("arm", "template", "answer_format"), COMBINATIONS)
def test_open_answers_are_written_read_and_scored_and_never_ranked(
    monkeypatch, open_rows, tmp_path, arm, template, answer_format
):
    chosen = settings(template=template, answer_format=answer_format)
    fake = Fake(monkeypatch, learned(arm, open_rows, chosen).__getitem__, lambda *_: 0.0)
    answers = answer(arm, open_rows, chosen)
    metrics = evaluated(open_rows, answers, arm)
    assert values(metrics, "generated", "unparsed") == (1, 0) and "ranked" not in metrics
    assert not fake.scored and all(row["option_scores"] == [] for row in answers)
    assert is_table(predicted(answers, arm), tmp_path)


@pytest.mark.parametrize(
    ("output", "strict", "paper"),
    [
        ("It was 40, less 1. --> 39", "39", "39"),
        ("It was 40, less 1. --> 39.0", "39", "39"),
        ("It was 40, less 1, which makes 39", "", "39"),  # no arrow: the last number there is
        ("39 --> 40 --> 41", "41", "40"),  # the first arrow counts in the paper, the last one here
        ("It was 40. --> not known", "", ""),
    ],
)
def test_how_an_answer_is_read_is_a_key_of_the_recipe(monkeypatch, question, output, strict, paper):
    row = question(dataset="SVAMP", choices=NONE, answer="39")
    Fake(monkeypatch, lambda text: output, lambda *_: 0.0)
    for reading, expected in (("strict", strict), ("paper", paper)):
        chosen = settings(answer_reading=reading)
        assert arms.ONE_STUDENT["rationale_answer"].answers(None, [row], chosen)[0]["answer"] == expected


def test_where_answers_are_open_the_untrained_baselines_are_those_that_need_no_options(question):
    def untrained(dataset, **answers):
        train, test = (
            [question(id=f"{split}{i}", dataset=dataset, split=split, choices=NONE, answer=answer)
             for i, answer in enumerate(answers[split])] for split in ("train", "test")
        )  # fmt: skip
        return arms.untrained(test, train, 0)

    numbers = untrained("SVAMP", test="12", train="2213")
    assert {name: [row["answer"] for row in of] for name, of in numbers.items()} == {"frequent_answer": ["2", "2"]}
    coins = untrained("CoinFlip", test=["yes", "no"] * 100, train=["no"])
    assert coins.keys() == {"random", "frequent_answer"}
    assert 0.4 < sum(row["correct"] for row in coins["random"]) / 200 < 0.6
    assert all(row["option_scores"] == [] for row in coins["random"])


# What a tokenizer cannot write


@pytest.mark.parametrize(
    ("options", "changed", "lost"),
    [
        (("6.2 x 10^8 J", "7.9 x 10^8 J"), 2, 0),
        (("CO_{2}", "carbon"), 1, 0),
        (("<b>10^8</b>", "carbon"), 1, 0),
        (("10^8", "108"), 0, 2),  # the first comes out as the second
        (("Wool", "wool fat"), 0, 0),
    ],
)
def test_an_option_that_a_tokenizer_cannot_write_is_read_in_its_spelling_or_counted_as_lost(
    monkeypatch, question, options, changed, lost
):
    decoded = {option: option.replace("^", "").replace("{", "").replace("}", "").lower() for option in options}
    monkeypatch.setattr(students, "round_trip", lambda _, texts: [decoded[text] for text in texts])
    row = question(options, answer="A")
    spelling = arms.spelling(None, [row])
    assert (len(spelling.changed), len(spelling.lost)) == (changed, lost)
    for label, option in zip("AB", options, strict=True):
        if option not in spelling.lost:
            assert prompts.read_by(spelling.questions[0], decoded[option])[0] == label
    told = [f"spelling: {changed}", f"become one text: {lost}."] if changed or lost else ["can write every option"]
    assert all(part in str(spelling) for part in told) and "<" not in str(spelling)
    if not changed and not lost:
        assert spelling.questions == [row]


@pytest.mark.parametrize(("name", "count"), [("ARC-Easy", 45), ("ARC-Challenge", 104)])
def test_the_options_that_t5s_tokenizer_changes_are_read_in_its_spelling_and_none_is_lost(real_data, name, count):
    student = students.load("random/t5-tiny", str(real_data / "t5-tokenizer"))
    rows = tasks.load(name, dataset_path=str(real_data), sizes={}, seed=0)
    spelling = arms.spelling(student, rows)
    assert (len(spelling.changed), spelling.lost) == (count, []) and "become one text: 0." in str(spelling)
