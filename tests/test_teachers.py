"""Teachers: what they are shown, what they say, and that nothing is asked twice."""

import itertools
import json
from collections import Counter

import pytest

from scicot_utils import microsci, prompts, teachers
from scicot_utils.cache import Cache
from scicot_utils.prompts import TEACHER_PROMPTS, read_completion
from scicot_utils.recipe import Settings
from scicot_utils.teachers import Recorded, Simulated, TeacherError

PROMPTS = {name: TEACHER_PROMPTS[name] for name in ("zero_shot_cot", "zero_shot_cot_one_call")}
STYLES = ("walk", "verdict")


def simulated(style="walk", error_rate=0.0, malformed_rate=0.0, seed=0):
    return Simulated(style=style, error_rate=error_rate, malformed_rate=malformed_rate, seed=seed)


@pytest.fixture(scope="module")
def rows():
    """Questions in which every property, and nearly every thing of the world, occurs."""
    return microsci.questions(microsci.load_world(), {"train": 80, "validation": 40, "test": 40}, seed=3)


@pytest.fixture
def cache(tmp_path):
    with Cache(tmp_path / "cache.sqlite") as opened:
        yield opened


class Counting:
    """A teacher that counts what it is asked, and dies at one of the calls."""

    def __init__(self, inner, dies_at=0):
        self.inner, self.name, self.identity = inner, inner.name, inner.identity
        self.asked, self.dies_at = [], dies_at

    def complete(self, prompt, *, sample, temperature):
        self.asked.append((prompt, sample, temperature))
        if len(self.asked) == self.dies_at:
            raise KeyboardInterrupt
        return self.inner.complete(prompt, sample=sample, temperature=temperature)


def texts(rows):
    return [row["text"] for row in rows]


def accuracy(prompt, rows, completions):
    by_id = {row["id"]: row for row in rows}
    answers = [
        (by_id[found["question_id"]]["answer"], read_completion(prompt, by_id[found["question_id"]], found["text"])[1])
        for found in completions
    ]
    return sum(gold == answer for gold, answer in answers) / len(answers)


# The simulated teacher


@pytest.mark.parametrize(("style", "name"), list(itertools.product(STYLES, PROMPTS)))
def test_without_errors_it_is_right_on_every_question(rows, cache, style, name):
    found = list(teachers.ask(simulated(style), PROMPTS[name], rows, cache))
    assert accuracy(PROMPTS[name], rows, found) == 1


def test_it_is_right_about_things_without_an_article(cache):
    world = microsci.load_world()
    names = [name for name, entity in world.entities.items() if not entity.article]
    rows = microsci.questions(world, {"test": 400}, seed=0)
    rows = [row for row in rows if prompts.option_text(row, row["answer"]) in names]
    assert len(rows) > 20
    prompt = PROMPTS["zero_shot_cot"]
    assert accuracy(prompt, rows, list(teachers.ask(simulated(), prompt, rows, cache))) == 1


@pytest.mark.parametrize("style", STYLES)
def test_without_errors_its_rationale_holds_the_facts_of_the_proof(rows, style):
    world = microsci.load_world()
    for row in rows[:40]:
        text = simulated(style).complete(PROMPTS["zero_shot_cot"].question(row), sample=0, temperature=0.0).text
        facts = microsci.proof(world, row["question"], row["choices"]["text"])
        assert all(fact.rstrip(".") in text for fact in facts)
        assert text.startswith(facts[-1]) == (style == "verdict")


def test_it_is_not_shown_the_gold_answer(rows, cache):
    asked = {}
    for gold in "ABCD":
        teacher = Counting(simulated(error_rate=0.3, seed=ord(gold)))
        list(teachers.ask(teacher, PROMPTS["zero_shot_cot"], [row | {"answer": gold} for row in rows[:20]], cache))
        asked[gold] = [prompt for prompt, *_ in teacher.asked if not prompt.endswith(prompts.CUE)]
    assert asked["A"] == asked["B"] == asked["C"] == asked["D"]
    assert len(asked["A"]) == 20


def test_the_same_seed_prompt_and_sample_give_the_same_words(rows):
    prompt = PROMPTS["zero_shot_cot"].question(rows[0])

    def words(seed, sample):
        teacher = simulated(error_rate=0.5, seed=seed)
        return tuple(teacher.complete(prompt, sample=sample, temperature=0.7).text for _ in range(2))

    found = {(seed, sample): words(seed, sample) for seed in range(6) for sample in range(6)}
    assert all(first == second for first, second in found.values())
    assert len({words for words, _ in found.values()}) > 6


def test_at_temperature_0_all_samples_are_equal(rows, cache):
    teacher = Counting(simulated(error_rate=0.5))
    found = list(teachers.ask(teacher, PROMPTS["zero_shot_cot_one_call"], rows[:10], cache, samples=4))
    assert [row["sample"] for row in found] == [0, 1, 2, 3] * 10
    assert all(len(set(texts(found[start : start + 4]))) == 1 for start in range(0, 40, 4))
    assert len(teacher.asked) == 10
    prompt = PROMPTS["zero_shot_cot_one_call"].question(rows[0])
    assert len({teacher.inner.complete(prompt, sample=i, temperature=0.0).text for i in range(4)}) == 1


def test_at_a_higher_temperature_samples_differ_where_it_errs(rows, cache):
    prompt = PROMPTS["zero_shot_cot_one_call"]
    found = list(teachers.ask(simulated(error_rate=0.5), prompt, rows[:5], cache, samples=8, temperature=0.7))
    assert all(len(set(texts(found[start : start + 8]))) > 1 for start in range(0, 40, 8))


def test_a_higher_error_rate_is_less_often_right(rows, cache):
    prompt = PROMPTS["zero_shot_cot"]
    asked = rows[:80]
    rates = [
        accuracy(prompt, asked, teachers.ask(simulated(error_rate=rate), prompt, asked, cache))
        for rate in (0.0, 0.3, 0.9)
    ]
    assert rates == sorted(rates, reverse=True) and len(set(rates)) == 3


@pytest.mark.parametrize(("style", "name"), list(itertools.product(STYLES, PROMPTS)))
def test_malformed_answers_name_no_option(rows, cache, style, name):
    found = teachers.ask(simulated(style, malformed_rate=1.0), PROMPTS[name], rows[:30], cache)
    by_id = {row["id"]: row for row in rows}
    read = [read_completion(PROMPTS[name], by_id[row["question_id"]], row["text"]) for row in found]
    assert {answer for _, answer in read} == {""}
    assert all(rationale for rationale, _ in read)


@pytest.mark.parametrize(
    "prompt",
    [
        "Hello!",
        "",
        "Q: Which is red? Answer Choices: (A) raft (B) robin\nA: Let's think step by step.",
        "Q: Which has feathers? Answer Choices: (A) a duvet (B) robin\nA: Let's think step by step.",
    ],
)
def test_a_question_of_another_world_is_refused(prompt):
    with pytest.raises(TeacherError, match="knows only questions of microsci"):
        simulated().complete(prompt, sample=0, temperature=0.0)


def test_all_that_decides_its_answers_is_part_of_the_caches_key():
    known = [
        simulated(),
        simulated("verdict"),
        simulated(error_rate=0.1),
        simulated(malformed_rate=0.1),
        simulated(seed=1),
    ]
    assert len({json.dumps(teacher.identity, sort_keys=True) for teacher in known}) == len(known)


# Asking


def test_a_prompt_with_a_cue_takes_two_calls_the_second_greedy(rows, cache):
    teacher = Counting(simulated())
    [row] = teachers.ask(teacher, PROMPTS["zero_shot_cot"], rows[:1], cache, temperature=0.7)
    (first, _, warm), (second, _, cold) = teacher.asked
    assert (warm, cold) == (0.7, 0.0)
    assert second.startswith(first) and second.endswith("\nTherefore, the answer is")
    assert row["prompt"] == first and row["text"] in second + row["text"].rpartition(prompts.CUE)[2]
    assert row["prompt_tokens"] == len(first.split()) + len(second.split())


def test_another_prompt_takes_one_call(rows, cache):
    teacher = Counting(simulated())
    list(teachers.ask(teacher, PROMPTS["zero_shot_cot_one_call"], rows[:3], cache))
    assert len(teacher.asked) == 3


def test_what_was_cut_off_is_not_asked_for_its_answer(rows, cache):
    class Short:
        name, identity = "short", {"teacher": "short"}

        def complete(self, prompt, *, sample, temperature):
            return teachers._response(prompt, "A robin", "length")

    teacher = Counting(Short())
    [row] = teachers.ask(teacher, PROMPTS["zero_shot_cot"], rows[:1], cache)
    assert (row["finish_reason"], row["text"], len(teacher.asked)) == ("length", "A robin", 1)


@pytest.mark.parametrize("dies_at", [1, 2, 7, 20])
def test_a_killed_run_asks_nothing_twice_and_ends_the_same(rows, tmp_path, dies_at):
    def ask(teacher, file):
        with Cache(tmp_path / file) as cache:
            found = list(teachers.ask(teacher, PROMPTS["zero_shot_cot"], rows[:12], cache, samples=2, temperature=0.7))
        return [{name: value for name, value in row.items() if name != "created"} for row in found]

    undisturbed, killed = Counting(simulated(error_rate=0.3)), Counting(simulated(error_rate=0.3), dies_at)
    whole = ask(undisturbed, "whole.sqlite")
    with pytest.raises(KeyboardInterrupt):
        ask(killed, "killed.sqlite")
    assert ask(killed, "killed.sqlite") == whole
    interrupted = killed.asked.pop(dies_at - 1)
    assert interrupted in killed.asked
    assert Counter(killed.asked) == Counter(undisturbed.asked)
    assert max(Counter(killed.asked).values()) == 1


def test_two_teachers_share_a_cache_without_sharing_answers(rows, cache):
    prompt = PROMPTS["zero_shot_cot"]
    both = [texts(teachers.ask(simulated(error_rate=rate), prompt, rows[:40], cache)) for rate in (0.0, 0.9)]
    assert both[0] != both[1]
    assert both[0] == texts(teachers.ask(simulated(), prompt, rows[:40], cache))


# The recorded teacher


@pytest.fixture
def recorded(tmp_path):
    def write(*lines):
        file = tmp_path / "rationales.jsonl"
        file.write_bytes("\n".join(lines).encode())
        return str(file)

    return write


def line(name, rationale):
    return json.dumps({"id": name, "rationale": rationale}, ensure_ascii=False)


def test_a_recorded_rationale_is_given_for_its_question(question, cache, recorded):
    rows = [question(id="a"), question(id="b")]
    teacher = Recorded(recorded(line("b", "It flies."), line("a", "It floats.")))
    found = list(teachers.ask(teacher, TEACHER_PROMPTS["recorded"], rows, cache))
    assert texts(found) == ["It floats.", "It flies."]
    assert {row["finish_reason"] for row in found} == {"stop"}


def test_a_question_without_a_recorded_rationale_is_missing(question, cache, recorded):
    teacher = Recorded(recorded(line("a", "It floats.")))
    [row] = teachers.ask(teacher, TEACHER_PROMPTS["recorded"], [question(id="b")], cache)
    assert (row["finish_reason"], row["text"]) == ("missing", "")


def test_a_rationale_may_hold_any_character_and_lines_may_be_empty(recorded, question):
    text = "One.\u2028Two.\x85Three.\nFour."
    teacher = Recorded(recorded(line("a", text), "", line("b", "x"), "\r", ""))
    asked = TEACHER_PROMPTS["recorded"].question(question(id="a"))
    assert teacher.complete(asked, sample=0, temperature=0.0).text == text


@pytest.mark.parametrize("bad", ["{", "[1]", '"text"', '{"id": "c"}', '{"id": "c", "rationale": null}', "null"])
def test_a_bad_line_is_named(recorded, bad):
    with pytest.raises(TeacherError, match=r"rationales\.jsonl, line 2: allowed: a JSON object") as caught:
        Recorded(recorded(line("a", "x"), bad))
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_named(tmp_path):
    file = tmp_path / "r.jsonl"
    file.write_bytes(line("a", "x").encode() + b'\n{"id": "b", "rationale": "\xff"}\n')
    with pytest.raises(TeacherError, match="line 2"):
        Recorded(str(file))


@pytest.mark.parametrize("path", ["", "/no/such/file.jsonl", "${SCICOT_NOT_SET}/r.jsonl", "/"])
def test_a_missing_file_is_named_with_what_to_do(path):
    with pytest.raises(TeacherError, match="teacher 'recorded': no file at teacher_path"):
        Recorded(path)


def test_another_file_is_another_teacher_to_the_cache(recorded):
    first = Recorded(recorded(line("a", "x"))).identity
    assert Recorded(recorded(line("a", "y"))).identity != first


def test_the_recorded_rationales_at_hand_are_read(real_data):
    for file in sorted((real_data / "rationales").glob("*.jsonl")):
        ids = [json.loads(text)["id"] for text in file.read_text(encoding="utf-8").split("\n") if text]
        teacher = Recorded(str(file))
        assert all(teacher.complete(name, sample=0, temperature=0.0).finish_reason == "stop" for name in ids)


# What a recipe names


@pytest.mark.parametrize(("teacher", "prompt"), [("recorded", "zero_shot_cot"), ("simulated", "recorded")])
def test_a_teacher_with_a_prompt_not_its_own_is_refused(teacher, prompt):
    with pytest.raises(TeacherError, match=f"teacher '{teacher}' with prompt '{prompt}': allowed: "):
        teachers.prompt_of(Settings(teacher=teacher, prompt=prompt))


def test_a_recipe_names_its_teacher_and_prompt(recorded):
    path = recorded(line("a", "x"))
    assert teachers.open_teacher(Settings(teacher="recorded", teacher_path=path)).name == "recorded:rationales.jsonl"
    assert teachers.prompt_of(Settings(teacher="recorded", prompt="recorded")).name == "recorded"
    settings = Settings(teacher_error_rate=0.5, teacher_malformed_rate=0.25, teacher_seed=9, rationale_style="verdict")
    identity = teachers.open_teacher(settings).identity
    assert [identity[name] for name in ("error_rate", "malformed_rate", "seed", "style")] == [0.5, 0.25, 9, "verdict"]
