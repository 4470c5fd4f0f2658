"""Fine-tune-CoT's three symbolic tasks: made, read back, and worked out by the simulated teacher from the prompt alone."""

import functools
import random
from collections import Counter

import pytest
from conftest import read_completion
from hypothesis import given
from hypothesis import strategies as st

from scicot_utils import prompts, tables, tasks, teachers
from scicot_utils.microsci.teacher import REFUSAL, Habits, Simulated
from scicot_utils.prompts import TEACHER_PROMPTS
from scicot_utils.recipe import Settings
from scicot_utils.tasks import symbolic
from scicot_utils.teachers import puzzles

NAMES = tuple(symbolic.MAKERS)
SIZES = {"train": 90, "validation": 30, "test": 60}
ROWS = {name: symbolic.questions(name, SIZES, 0) for name in NAMES}
PROMPTS = ("zero_shot_cot", "zero_shot_cot_one_call", "few_shot_cot")


@functools.cache
def simulated(**habits):
    return Simulated(Habits(**habits))


def say(teacher, prompt, row, sample=0, temperature=0.0):
    """(rationale, answer) of one question, in one call or two."""
    request = prompt.question(row)
    text = teacher.complete(request, sample=sample, temperature=temperature).text
    if prompt.answer_cue:
        answer = teacher.complete(f"{request} {text}{prompt.answer_cue}", sample=sample, temperature=0.0).text
        text = f"{text}{prompt.answer_cue} {answer}"
    return read_completion(prompt, row, text)


def prompt_for(name, row):
    return teachers.prompt_of(Settings(), ROWS[row["dataset"]], name=name)


# Made


@pytest.mark.parametrize("name", NAMES)
def test_the_papers_sizes_are_made_where_all_are_asked_for(name):
    rows = tasks.load(name, dataset_path="", sizes=dict.fromkeys(tasks.SPLITS, 0), seed=0)
    counts, published = Counter(row["split"] for row in rows), tasks.TASKS[name].published
    assert counts["train"] + counts["validation"] == published["train"] and counts["test"] == published["test"]
    assert counts["validation"] == round(tasks.HELD_OUT * published["train"])
    assert published == {"train": 525, "test": 225} if name == "ShuffledObjects" else {"train": 350, "test": 150}


@pytest.mark.parametrize("name", NAMES)
def test_questions_are_the_same_each_time_and_others_with_another_seed(name, tmp_path):
    rows = ROWS[name]
    assert Counter(row["split"] for row in rows) == SIZES
    assert rows == symbolic.questions(name, SIZES, 0) != symbolic.questions(name, SIZES, 1)
    assert [row for row in symbolic.questions(name, SIZES | {"train": 120}, 0) if row in rows] == rows
    assert tasks.deduplicate(rows)[1] == []
    assert tables.read("questions", tables.write("questions", rows, tmp_path / "q.parquet")) == rows


def test_the_questions_read_as_published():
    # Kojima et al. 2022, appendix A.2.2
    assert symbolic.LastLetters(("Angelina", "Layla", "Jenny", "Zane")).question == (
        'Take the last letters of each words in "Angelina Layla Jenny Zane" and concatenate them.'
    )
    assert symbolic.LastLetters(("Angelina", "Layla", "Jenny", "Zane")).answer == "aaye"
    coin = symbolic.CoinFlip((("Ann", True), ("Bob", False), ("Cal", True), ("Dee", True)))
    assert coin.question == (
        "A coin is heads up. Ann flips the coin. Bob does not flip the coin. Cal flips the coin. Dee flips the coin. "
        'Is the coin still heads up? Note that "flip" here means "reverse".'
    )
    assert coin.answer == "no"
    # BIG-bench, tracking shuffled objects
    things = ("orange ball", "white ball", "blue ball")
    swaps = (("Alice", "Bob"), ("Bob", "Claire"), ("Alice", "Bob"))
    for person, thing in zip(symbolic.PEOPLE, ("blue ball", "white ball", "orange ball"), strict=True):
        puzzle = symbolic.Shuffle(symbolic.SCENES[0], things, swaps, person)
        assert puzzle.answer == thing
        assert puzzle.question.endswith(f"At the end of the game, {person} has the Which choice is true?")


@pytest.mark.parametrize("name", NAMES)
def test_a_question_is_read_back_with_its_right_answer_and_what_is_none_of_these_tasks_is_not(name):
    for row in ROWS[name]:
        puzzle = symbolic.read(row["question"])
        assert puzzle.question == row["question"]
        assert puzzle.answer == prompts.answer_text(row, row["answer"])
    for text in ("", "What flies?", "A coin is heads up.", "Alice, Bob, and Claire are playing a game."):
        assert symbolic.read(text) is None


def test_answers_are_spread_as_chance_has_it():
    rows = symbolic.questions("CoinFlip", {"test": 1000}, 0)
    assert 0.45 < sum(row["answer"] == "yes" for row in rows) / 1000 < 0.55
    rows = symbolic.questions("ShuffledObjects", {"test": 999}, 0)
    assert set(Counter(row["answer"] for row in rows).values()) == {333}, "a story asks about each person"
    assert {row["group"] for row in rows} == {scene.name for scene in symbolic.SCENES}


def test_a_story_lies_in_one_split_only():
    def stories(split):
        return {row["question"].split(" At the end")[0] for row in ROWS["ShuffledObjects"] if row["split"] == split}

    assert len(stories("train")) == SIZES["train"] / 3
    assert not stories("train") & (stories("validation") | stories("test"))


# Worked out


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("name", NAMES)
def test_a_faultless_teacher_is_always_right_and_says_why(name, prompt):
    for row in ROWS[name][:20]:
        rationale, answer = say(simulated(), prompt_for(prompt, row), row)
        assert answer == row["answer"]
        puzzle = symbolic.read(row["question"])
        assert puzzles.led_to(puzzle, rationale) == puzzle.answer


@pytest.mark.parametrize("name", NAMES)
def test_a_teacher_that_errs_at_every_step_draws_the_conclusion_of_its_own_words(name):
    wrong = 0
    for row in ROWS[name]:
        rationale, answer = say(simulated(error_rate=1.0), TEACHER_PROMPTS["zero_shot_cot"], row)
        assert prompts.answer_text(row, answer) == puzzles.led_to(symbolic.read(row["question"]), rationale)
        wrong += answer != row["answer"]
    assert wrong > len(ROWS[name]) / 2 if name != "CoinFlip" else wrong == 0, "four wrong flips make it right again"


@pytest.mark.parametrize("name", NAMES)
def test_a_raised_error_rate_adds_mistakes_and_moves_none(name):
    def answers(rate):
        return [say(simulated(error_rate=rate), TEACHER_PROMPTS["zero_shot_cot"], row)[1] for row in ROWS[name]]

    gold = [row["answer"] for row in ROWS[name]]
    few, many = (sum(a != b for a, b in zip(answers(rate), gold, strict=True)) for rate in (0.1, 0.4))
    assert 0 < few < many


@pytest.mark.parametrize("name", NAMES)
def test_a_systematic_mistake_is_made_whenever_its_subject_comes_up(name):
    teacher = simulated(error_rate=0.3, errors="systematic")
    wrong: dict[str, set[bool]] = {}
    for row in ROWS[name]:
        puzzle = symbolic.read(row["question"])
        first_step = say(teacher, TEACHER_PROMPTS["zero_shot_cot"], row)[0].split(". ")[0]
        right = " ".join(puzzles.worked(puzzle, lambda _: None, lambda: 0)).split(". ")[0]
        wrong.setdefault(puzzle.steps[0], set()).add(first_step != right)
    assert {frozenset(outcomes) for outcomes in wrong.values()} == {frozenset({True}), frozenset({False})}


@pytest.mark.parametrize("name", NAMES)
def test_several_samples_differ_in_words_and_agree_in_what_they_say(name):
    row, teacher = ROWS[name][0], simulated(paraphrase=3)
    samples = [say(teacher, TEACHER_PROMPTS["zero_shot_cot"], row, sample, 0.7) for sample in range(16)]
    assert len({rationale for rationale, _ in samples}) > 8
    assert {answer for _, answer in samples} == {row["answer"]}
    assert len({say(teacher, TEACHER_PROMPTS["zero_shot_cot"], row, sample)[0] for sample in range(4)}) == 1, "greedy"


@pytest.mark.parametrize("name", NAMES)
def test_each_declared_fault_shows(name):
    prompt = TEACHER_PROMPTS["zero_shot_cot_one_call"]
    rows = ROWS[name][:30]
    assert {say(simulated(malformed_rate=1.0), prompt, row)[1] for row in rows} == {""}
    for row in rows:
        request, puzzle = prompt.question(row), symbolic.read(row["question"])
        assert simulated(refusal_rate=1.0).complete(request, sample=0, temperature=0).text == REFUSAL
        assert simulated(truncation_rate=1.0).complete(request, sample=0, temperature=0).finish_reason == "length"
        rationale, answer = say(simulated(wrong_answer_rate=1.0), prompt, row)
        assert puzzles.led_to(puzzle, rationale) == puzzle.answer and answer not in ("", row["answer"])
        rationale, answer = say(simulated(wrong_rationale_rate=1.0), prompt, row)
        assert answer == row["answer"] and puzzles.led_to(puzzle, rationale) != puzzle.answer


@pytest.mark.parametrize("name", NAMES)
def test_a_teacher_that_is_shown_the_gold_answer_argues_for_it(name):
    for row in ROWS[name][:10]:
        rationale, answer = say(simulated(error_rate=1.0), TEACHER_PROMPTS["gold_shown"], row)
        puzzle = symbolic.read(row["question"])
        assert answer == row["answer"] and puzzles.led_to(puzzle, rationale) == puzzle.answer


@given(seed=st.integers(0, 500), rate=st.floats(0, 1))
def test_whatever_goes_wrong_an_answer_follows_from_the_words(seed, rate):
    rng = random.Random(seed)
    for name in NAMES:
        [puzzle] = symbolic.MAKERS[name](1, rng)
        errs = [random.Random(seed) if rng.random() < rate else None for _ in puzzle.steps]
        text = " ".join(puzzles.worked(puzzle, errs.__getitem__, lambda: rng.randrange(3)))
        answer = puzzles.led_to(puzzle, text)
        assert answer and (any(errs) or answer == puzzle.answer)
