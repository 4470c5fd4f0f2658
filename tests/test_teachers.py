"""Teachers: what they are shown, what they say, and that nothing is asked twice."""

import functools
import itertools
import json
import os
import re
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack, nullcontext

import pytest
from conftest import read_completion, refused

from scicot_utils import microsci, prompts, rationales, teachers
from scicot_utils.microsci import facts
from scicot_utils.microsci.teacher import REFUSAL, Habits, Simulated
from scicot_utils.recipe import Settings
from scicot_utils.serving import protocol
from scicot_utils.serving.cache import Cache
from scicot_utils.students.words import WORD
from scicot_utils.teachers import Recorded, TeacherError

STYLES = ("walk", "verdict", "justify", "terse")
# Without gold_shown, which leaves nothing to answer.
NAMES = ("zero_shot_cot", "zero_shot_cot_one_call", "options_walked", "few_shot_cot")
SIZES = {"train": 200, "test_forms": 40, "test_domain": 40}
WORLD = microsci.load_world()
ROWS = microsci.questions(WORLD, SIZES, 0)
PROMPTS = {name: teachers.prompt_of(Settings(), ROWS, name=name) for name in (*NAMES, "gold_shown")}


@functools.cache
def simulated(style="walk", **habits):
    return Simulated(Habits(style=style, **habits))


@pytest.fixture
def rows():
    """Questions of all forms, seen and held out, and of the held-out domains; some about things without an article."""
    assert {row["group"] for row in ROWS} == set(microsci.FORMS)
    without_article = {name for name, entity in WORLD.entities.items() if not entity.article}
    assert sum(prompts.option_text(row, row["answer"]) in without_article for row in ROWS) > 20
    return ROWS


@pytest.fixture
def some(rows):
    """One question of each form."""
    return list({row["group"]: row for row in rows}.values())


class Forgetful:
    """No cache at all: for tests that ask much and are not about the cache."""

    def __init__(self):
        self.closing = ExitStack()

    def asking(self, request):
        return nullcontext()

    def get(self, request):
        return None

    def put(self, request, response, *, reserved=None):
        return response


def ask(teacher, name, rows, cache=None, **more):
    """The completions that a teacher gives to a prompt of this name."""
    kept = Forgetful() if cache is None else cache
    return list(teachers.ask(teacher, PROMPTS[name], rows, kept, **more))


class Counting(teachers.Teacher):
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


def accuracy(name, rows, completions):
    correct = [question["answer"] == answer for question, _, answer in read(name, rows, completions)]
    return sum(correct) / len(correct)


def read(name, rows, completions):
    """(question, rationale, answer) of each completion."""
    by_id = {row["id"]: row for row in rows}
    for completion in completions:
        question = by_id[completion["question_id"]]
        yield question, *read_completion(PROMPTS[name], question, completion["text"])


def judge(name, rows, completions, keep="all", reading="conclusion"):
    by_id = {row["id"]: row for row in rows}
    return rationales.judge(PROMPTS[name], by_id, completions, keep, reading)


def say(teacher, name, question, sample=0, temperature=0.0):
    return say_text(teacher, PROMPTS[name].question(question), sample, temperature)


def say_text(teacher, prompt, sample=0, temperature=0.0):
    return teacher.complete(prompt, sample=sample, temperature=temperature).text


STYLED = pytest.mark.parametrize(("style", "name"), [*itertools.product(STYLES, PROMPTS)])


# The simulated teacher: right and wrong


@STYLED
def test_without_errors_it_is_right_on_every_question(rows, style, name):
    assert accuracy(name, rows, ask(simulated(style), name, rows)) == 1


@pytest.mark.parametrize("errors", ["random", "systematic"])
@pytest.mark.parametrize("name", NAMES)
def test_more_errors_are_less_often_right(rows, name, errors):
    sloppy = [simulated(error_rate=rate, errors=errors) for rate in (0.0, 0.2, 1.0)]
    rates = [accuracy(name, rows, ask(teacher, name, rows)) for teacher in sloppy]
    assert rates[0] == 1 and 0.65 < rates[1] < 0.95 and rates[2] < 0.45


def test_a_higher_error_rate_keeps_the_errors_of_a_lower_one(some):
    """So that a sweep over the rate compares like with like."""
    right = {sentence for row in some for sentence in say(simulated(), "zero_shot_cot", row).split(". ")}
    wrong = [
        {sentence for row in some for sentence in say(simulated(error_rate=rate), "zero_shot_cot", row).split(". ")}
        - right
        for rate in (0.1, 0.3)
    ]
    concluded = ("Wanted", "Of", "Only")
    lines = [  # a line that joins two facts may get its second error at the higher rate
        {sentence for sentence in sentences if not sentence.startswith(concluded) and " and " not in sentence}
        for sentences in wrong
    ]
    assert lines[0] and lines[0] < lines[1]


def _kinds_said(teacher, rows):
    """Option → kinds that it was said to be of, over questions that ask for kinds."""
    by_name = {}
    for row in rows:
        text = say(teacher, "zero_shot_cot", row)
        for name in row["choices"]["text"]:
            if name in WORLD.entities:
                subject = re.escape(facts.entity_noun(WORLD, name))
                for kind in re.findall(rf"(?i:\b{subject}) is (?:an? )?([a-z ]+?)(?:,[^.]*)?\.", text):
                    if kind in WORLD.kinds:
                        by_name.setdefault(name, []).append(kind)
    return {name: kinds for name, kinds in by_name.items() if len(kinds) > 2}


def test_systematic_errors_are_the_same_whatever_is_asked(rows):
    systematic = _kinds_said(simulated(error_rate=0.5, errors="systematic"), rows)
    assert all(len(set(kinds)) == 1 for kinds in systematic.values())
    assert 0 < sum(kinds[0] != WORLD.entities[name].kind for name, kinds in systematic.items()) < len(systematic)
    drawn_anew = _kinds_said(simulated(error_rate=0.5), rows)
    assert any(len(set(kinds)) > 2 for kinds in drawn_anew.values())


def test_a_wrong_kind_is_often_of_the_same_class(rows):
    by_name = _kinds_said(simulated(error_rate=1.0), rows)
    pairs = [(WORLD.entities[name].kind, kind) for name, kinds in by_name.items() for kind in kinds]
    assert all(true != kind for true, kind in pairs)
    same_class = [WORLD.kinds[true].class_name == WORLD.kinds[kind].class_name for true, kind in pairs]
    assert 0.4 < sum(same_class) / len(pairs) < 0.8


def test_what_it_misremembers_still_makes_whole_sentences(rows):
    for row in rows:
        text = say(simulated(error_rate=1.0), "zero_shot_cot", row)
        assert " ." not in text and "  " not in text


def test_a_verdict_says_yes_of_the_answer_and_no_of_the_rest(rows):
    for row in rows:
        text = say(simulated("verdict"), "zero_shot_cot", row)
        assert (text.count(", so yes."), text.count(", so no.")) == ((0, 0) if row["group"] == "classify" else (1, 3))


# Its style and words


@pytest.mark.parametrize("style", STYLES)
def test_without_errors_it_states_facts_of_the_proof(some, style):
    solver = microsci.Solver(WORLD)
    for row in some:
        sentences = re.split(r"(?<=\.) ", re.sub(r", so (yes|no)\.", ".", say(simulated(style), "zero_shot_cot", row)))
        reasoning = solver.reason(solver.read(row["question"]), row["choices"]["text"])
        chosen = [line for line, fits in zip(reasoning.lines, reasoning.fits, strict=False) if fits]
        assert sentences == [
            *{
                "walk": (*reasoning.head, *reasoning.lines, *reasoning.rules),
                "verdict": (*reasoning.rules, *reasoning.head, *reasoning.lines),
                "justify": (*reasoning.head, *chosen, *reasoning.rules),
                "terse": chosen or reasoning.head,
            }[style]
        ]


@pytest.mark.parametrize("style", STYLES)
def test_it_keeps_to_the_words_of_the_world(rows, style):
    vocabulary = set(microsci.vocabulary(WORLD))
    teacher = simulated(style, error_rate=0.3, paraphrase=3, wrong_rationale_rate=0.2, malformed_rate=0.1)
    name = "zero_shot_cot_one_call"
    for _, rationale, _ in read(name, rows, ask(teacher, name, rows, temperature=1.0)):
        assert rationale and set(WORD.findall(rationale.lower())) <= vocabulary


@pytest.mark.parametrize("style", STYLES)
def test_in_whatever_words_it_understands_what_it_wrote(rows, style):
    completions = ask(simulated(style, paraphrase=3), "zero_shot_cot", rows, samples=2, temperature=1.0)
    assert accuracy("zero_shot_cot", rows, completions) == 1


def test_every_wording_of_every_fact_is_understood():
    teacher = simulated()
    pairs = {("kind", entity.kind) for entity in WORLD.entities.values()}
    pairs |= {pair for attributes in WORLD.attributes.values() for pair in attributes.items()}
    for relation, value in pairs:
        for wording in range(len(facts.SAYINGS[relation])):
            saying = facts.saying(WORLD, relation, value, wording)
            [match] = teacher._saying_pattern.finditer(saying)
            assert match[0] == saying and teacher._sayings[saying] == (relation, value)


def test_samples_differ_more_with_temperature_and_paraphrase_and_by_errors_alone(some):
    def distinct(temperature, paraphrase, error_rate=0.0):
        teacher = simulated(paraphrase=paraphrase, error_rate=error_rate)
        words = [{say(teacher, "zero_shot_cot", row, i, temperature) for i in range(16)} for row in some]
        return sum(map(len, words)) / len(some)

    warmer = [distinct(temperature, 2) for temperature in (0.0, 0.05, 0.3)]
    richer = [distinct(0.1, paraphrase) for paraphrase in (1, 2, 3)]
    assert warmer == sorted(set(warmer)) and warmer[0] == 1
    assert richer == sorted(set(richer)) and richer[0] == 1
    assert distinct(0.7, 1, error_rate=0.3) > 3
    for row in some:  # at temperature 0 words and order are the usual ones
        assert say(simulated(paraphrase=3), "zero_shot_cot", row) == say(simulated(), "zero_shot_cot", row)


# What it sees


def test_it_is_not_shown_the_gold_answer(rows):
    asked = {}
    for gold in "ABCD":
        teacher = Counting(simulated(error_rate=0.3, seed=ord(gold)))
        ask(teacher, "zero_shot_cot", [row | {"answer": gold} for row in rows[:20]])
        asked[gold] = [prompt for prompt, *_ in teacher.asked if not prompt.endswith(prompts.CUE)]
    assert asked["A"] == asked["B"] == asked["C"] == asked["D"]
    assert len(asked["A"]) == 20


@pytest.mark.parametrize("style", STYLES)
def test_shown_an_answer_it_makes_a_case_for_it_right_or_wrong(rows, style):
    for shown in ([row | {"answer": "A"} for row in rows], rows):
        found = ask(simulated(style, error_rate=0.5), "gold_shown", shown)
        assert accuracy("gold_shown", shown, found) == 1
    for question, rationale, answer in read("gold_shown", shown, found):
        asked = f"{PROMPTS['zero_shot_cot'].question(question)} {rationale}{prompts.CUE}"
        assert read_completion(PROMPTS["zero_shot_cot"], question, asked + say_text(simulated(), asked))[1] == answer


FLIES = (
    "Q: Which of these has feathers? Answer Choices: (A) raft (B) robin (C) ant (D) oak\nA: Let's think step by step."
)
RULE = "Every bird has feathers."


@pytest.mark.parametrize(
    ("rationale", "answer"),
    [
        (f"A raft is a boat. A robin is a bird. An ant is an insect. An oak is a tree. {RULE}", "B"),
        (f"A raft is a bird. A robin is a boat. An ant is an insect. An oak is a tree. {RULE}", "A"),
        (f"An oak counts as a bird. A robin is a fish. An ant is an insect. A raft can be called a boat. {RULE}", "D"),
        (f"{RULE} A raft is a boat, so no. A robin is a bird, so no. An ant is an insect, so yes.", "C"),
        (f"An ant is a bird. {RULE}", "C"),
        ("An oak is a tree.", "D"),
        ("Well, let us see. A robin is a fish. An ant is a bird.", "C"),
        ("Hm.", "B"),
        ("", "B"),
    ],
)
def test_it_concludes_from_the_rationale_in_the_prompt_whoever_wrote_it(rationale, answer):
    for seed in range(3):
        assert say_text(simulated(seed=seed), f"{FLIES} {rationale}{prompts.CUE}").startswith(f"({answer})")


def test_an_edited_rationale_leads_to_another_answer(rows):
    """Two options change places in the rationale: the answer goes along."""
    prompt = PROMPTS["zero_shot_cot"]
    for style in STYLES:
        for row in rows:
            gold, other = row["answer"], "ABCD"[("ABCD".index(row["answer"]) + 1) % 4]
            if row["group"] in ("true_of", "classify", "home_like"):
                continue  # options are texts there, and what is said of them are rules
            rationale = say(simulated(style), "zero_shot_cot", row)
            first, second = (facts.entity_noun(WORLD, prompts.option_text(row, label)) for label in (gold, other))
            swapped = re.sub(
                rf"(?i:(?<=^)|(?<=\. ))({re.escape(first)}|{re.escape(second)}) (?=[a-z])",
                lambda m, first=first, second=second: f"{second if m[1].lower() == first.lower() else first} ",
                rationale,
                flags=re.IGNORECASE,
            )
            request = f"{prompt.question(row)} {swapped}{prompts.CUE}"
            assert swapped != rationale and say_text(simulated(style), request).startswith(f"({other})"), request


def test_with_nothing_or_too_much_that_fits_it_guesses_among_them():
    nothing = f"{FLIES} A raft is a boat. A robin is a fish. An ant is an insect. An oak is a tree. {RULE}{prompts.CUE}"
    several = f"{FLIES} A raft is a bird. A robin is a bird. An ant is an insect. An oak is a tree. {RULE}{prompts.CUE}"
    assert {say_text(simulated(seed=seed), nothing)[1] for seed in range(40)} == set("ABCD")
    assert {say_text(simulated(seed=seed), several)[1] for seed in range(40)} == set("AB")


@pytest.mark.parametrize(
    "prompt",
    [
        "Hello!",
        "",
        "Q: Which is red? Answer Choices: (A) raft (B) robin\nA: Let's think step by step.",
        "Q: Which of these has feathers? Answer Choices: (A) a duvet (B) robin\nA: Let's think step by step.",
    ],
)
def test_a_question_of_another_world_is_refused(prompt):
    with refused(TeacherError, "knows only questions of microsci and the symbolic tasks"):
        say_text(simulated(), prompt)


# Its chances


def test_the_same_seed_prompt_and_sample_give_the_same_words(rows):
    def words(seed, sample):
        teacher = simulated(error_rate=0.5, paraphrase=2, seed=seed)
        return tuple(say(teacher, "zero_shot_cot", rows[0], sample, 0.7) for _ in range(2))

    twice = [words(seed, sample) for seed in range(6) for sample in range(6)]
    assert all(first == second for first, second in twice)
    assert len({first for first, _ in twice}) > 6


def test_another_process_with_other_hashes_gives_the_same_words():
    code = (
        "from scicot_utils.microsci.teacher import Habits, Simulated\n"
        "teacher = Simulated(Habits(error_rate=0.5, paraphrase=3, wrong_rationale_rate=0.3))\n"
        f"print([teacher.complete({FLIES!r}, sample=i, temperature=0.7).text for i in range(5)])"
    )
    teacher = simulated(error_rate=0.5, paraphrase=3, wrong_rationale_rate=0.3)
    here = [say_text(teacher, FLIES, i, 0.7) for i in range(5)]
    for seed in ("1", "2"):
        variables = os.environ | {"PYTHONHASHSEED": seed}
        there = subprocess.check_output([sys.executable, "-c", code], env=variables, text=True)
        assert there.strip() == str(here)


def test_at_temperature_0_all_samples_are_equal(rows, cache):
    teacher = Counting(simulated(error_rate=0.5, paraphrase=3))
    found = ask(teacher, "zero_shot_cot_one_call", rows[:10], cache, samples=4)
    assert [row["sample"] for row in found] == [0, 1, 2, 3] * 10
    assert all(len(set(texts(found[start : start + 4]))) == 1 for start in range(0, 40, 4))
    assert len(teacher.asked) == 10
    assert len({say(teacher.inner, "zero_shot_cot_one_call", rows[0], i) for i in range(4)}) == 1


@STYLED
def test_its_whole_texts_conclude_what_stands_behind_their_cue(rows, style, name):
    """The reader of conclusions finds what the strict reading finds, and so keeps the same rationales."""
    teacher = simulated(style, error_rate=0.2, malformed_rate=0.3, paraphrase=3)
    found = ask(teacher, name, rows[:60], samples=2, temperature=0.7)
    whole = [row for row in found if row["finish_reason"] == "stop"]
    strict, concluded = (
        [{key: row[key] for key in ("rationale", "teacher_answer", "kept")} for row in judge(name, rows, whole, "correct", reading)]
        for reading in ("strict", "conclusion")
    )  # fmt: skip
    assert strict == concluded and any(row["kept"] for row in strict) and not all(row["kept"] for row in strict)


@STYLED
def test_malformed_answers_name_no_option(rows, style, name):
    judged = list(read(name, rows, ask(simulated(style, malformed_rate=1.0), name, rows[:30])))
    assert {answer for *_, answer in judged} == {""}
    assert all(rationale for _, rationale, _ in judged)


@pytest.mark.parametrize("name", PROMPTS)
def test_a_refusal_which_names_no_option_and_a_text_cut_midway_are_dropped_for_their_own_reasons(rows, name):
    whole, refusals, cut = (
        ask(simulated(**habits), name, rows[:30]) for habits in ({}, {"refusal_rate": 1.0}, {"truncation_rate": 1.0})
    )
    assert {(row["text"], row["finish_reason"]) for row in refusals} == {(REFUSAL, "content_filter")}
    judged = judge(name, rows, refusals)
    assert {(row["drop_reason"], row["teacher_answer"]) for row in judged} == {("content_filter", "")}
    for uncut, short in zip(whole, cut, strict=True):
        assert uncut["text"].startswith(short["text"]) and 0 < len(short["text"]) < len(uncut["text"])
    assert {row["drop_reason"] for row in judge(name, rows, cut)} == {"length"}


@pytest.mark.parametrize(("style", "name"), [*itertools.product(STYLES, NAMES)])
def test_a_wrong_answer_comes_after_a_right_rationale(rows, style, name):
    wrongly = [simulated(style, wrong_answer_rate=rate) for rate in (0.0, 1.0)]
    right, wrong = (list(read(name, rows, ask(teacher, name, rows))) for teacher in wrongly)
    assert [rationale for _, rationale, _ in right] == [rationale for _, rationale, _ in wrong]
    assert all(answer not in ("", question["answer"]) for question, _, answer in wrong)


@STYLED
def test_a_wrong_rationale_comes_before_the_right_answer(rows, style, name):
    found = ask(simulated(style, wrong_rationale_rate=1.0), name, rows)
    assert accuracy(name, rows, found) == 1
    solver, honest, guessed = microsci.Solver(WORLD), simulated(), 0
    for question, rationale, answer in read(name, rows, found):
        proof = solver.proof(question["question"], question["choices"]["text"])
        sentences = re.split(r"(?<=\.) ", re.sub(r", so (yes|no)\.", ".", rationale))
        request = f"{PROMPTS['zero_shot_cot'].question(question)} {rationale}{prompts.CUE}"
        led_to = honest._led_to(honest._read(request), rationale, "")
        argued_wrongly = len(sentences) < len(proof) and not set(sentences) <= set(proof)
        assert len(led_to) == 4 or "ABCD".index(answer) not in led_to or argued_wrongly
        guessed += len(led_to) == 4
    assert guessed < len(rows)


@pytest.mark.parametrize("fault", ["malformed", "refusal", "truncation", "wrong_answer"])
def test_rates_are_rates(rows, fault):
    found = ask(simulated(**{f"{fault}_rate": 0.3}), "zero_shot_cot", rows)
    assert 0.2 < 1 - accuracy("zero_shot_cot", rows, found) < 0.4


def test_all_that_decides_its_answers_is_part_of_the_caches_key():
    changed = {name: 1.0 for name in Habits.__dataclass_fields__ if name.endswith("_rate")}
    changed |= {"style": "terse", "paraphrase": 2, "errors": "systematic", "seed": 1}
    assert changed.keys() == Habits.__dataclass_fields__.keys()
    variants = [simulated(), *(Simulated(Habits(**{name: value})) for name, value in changed.items())]
    assert len({json.dumps(teacher.identity, sort_keys=True) for teacher in variants}) == len(variants)
    assert simulated().identity["world"] == microsci.fingerprint()


# Exemplars


def test_exemplars_are_proved_training_questions_of_different_forms_whatever_the_order(rows):
    chosen = teachers.exemplars(rows, 5)
    assert chosen == teachers.exemplars(rows[::-1], 5)
    assert {one.question["split"] for one in chosen} == {"train"}
    assert len({one.question["group"] for one in chosen}) == 5
    for one in chosen:
        proof = microsci.Solver(WORLD).proof(one.question["question"], one.question["choices"]["text"])
        assert one.rationale == " ".join(proof)
    for count in (1, 3, 16):  # as many are shown as the recipe says
        settings = Settings(prompt="few_shot_cot", few_shot_examples=count)
        text = teachers.prompt_of(settings, rows).question(rows[-1])
        assert text.count("\n\nQ: ") == text.count("The answer is") == count


def test_exemplars_of_a_benchmark_without_rationales_or_of_too_few_questions_are_refused(question):
    rows = [question(id=str(i), split="train", dataset="ARC-Easy") for i in range(9)]
    with refused(TeacherError, "few_shot_cot' needs exemplars with rationales, and none are known for ARC"):
        teachers.prompt_of(Settings(prompt="few_shot_cot"), rows)
    assert teachers.prompt_of(Settings(), rows).name == "zero_shot_cot"
    with refused(TeacherError, "found 3 training questions, needed: 4"):
        teachers.exemplars(ROWS[:3], 4)


# Asking


def test_a_prompt_with_a_cue_takes_two_calls_the_second_greedy(rows, cache):
    teacher = Counting(simulated())
    [row] = ask(teacher, "zero_shot_cot", rows[:1], cache, temperature=0.7)
    (first, _, warm), (second, _, cold) = teacher.asked
    assert (warm, cold) == (0.7, 0.0)
    assert second.startswith(first) and second.endswith("\nTherefore, the answer is")
    assert row["prompt"] == first and row["text"] in second + row["text"].rpartition(prompts.CUE)[2]
    assert row["prompt_tokens"] == len(first.split()) + len(second.split())


def test_what_was_cut_off_is_not_asked_for_its_answer(rows, cache):
    class Short(teachers.Teacher):
        name, identity = "short", {"teacher": "short"}

        def complete(self, prompt, *, sample, temperature):
            return protocol.free(prompt, "A robin", "length")

    teacher = Counting(Short())
    [row] = ask(teacher, "zero_shot_cot", rows[:1], cache)
    assert (row["finish_reason"], row["text"], len(teacher.asked)) == ("length", "A robin", 1)


@pytest.mark.parametrize("dies_at", [1, 2, 7, 20])
def test_a_killed_run_asks_nothing_twice_and_ends_the_same(rows, tmp_path, dies_at):
    def run(teacher, file):
        with Cache(tmp_path / file) as cache:
            found = ask(teacher, "zero_shot_cot", rows[:12], cache, samples=2, temperature=0.7)
        return [{name: value for name, value in row.items() if name != "created"} for row in found]

    undisturbed, killed = Counting(simulated(error_rate=0.3)), Counting(simulated(error_rate=0.3), dies_at)
    whole = run(undisturbed, "whole.sqlite")
    with pytest.raises(KeyboardInterrupt):
        run(killed, "killed.sqlite")
    assert run(killed, "killed.sqlite") == whole
    interrupted = killed.asked.pop(dies_at - 1)
    assert interrupted in killed.asked
    assert Counter(killed.asked) == Counter(undisturbed.asked)
    assert max(Counter(killed.asked).values()) == 1


# The recorded teacher


def test_bytes_that_are_no_text_are_named(tmp_path):
    file = tmp_path / "r.jsonl"
    file.write_bytes(b'{"id": "a", "rationale": "x"}\n{"id": "b", "rationale": "\xff"}\n')
    with refused(TeacherError, "line 2"):
        Recorded(str(file))


@pytest.mark.parametrize("path", ["", "/no/such/file.jsonl", "${SCICOT_NOT_SET}/r.jsonl", "/"])
def test_a_missing_file_is_named_with_what_to_do(path):
    with refused(TeacherError, "teacher 'recorded': no file at teacher_path"):
        Recorded(path)


def test_the_recorded_rationales_at_hand_are_read(real_data):
    for file in sorted((real_data / "rationales").glob("*.jsonl")):
        ids = [json.loads(text)["id"] for text in file.read_text(encoding="utf-8").split("\n") if text]
        teacher = Recorded(str(file))
        assert all(teacher.complete(name, sample=0, temperature=0.0).finish_reason == "stop" for name in ids)


# What a recipe names


@pytest.mark.parametrize(("teacher", "prompt"), [("recorded", "zero_shot_cot"), ("simulated", "recorded")])
def test_a_teacher_with_a_prompt_not_its_own_is_refused(answers, teacher, prompt):
    path = str(answers({"id": "a", "rationale": "x"}))
    with refused(TeacherError, f"teacher '{teacher}' with prompt '{prompt}': allowed: "):
        teachers.prompt_of(Settings(teacher=teacher, teacher_path=path, prompt=prompt))


def test_a_recipe_names_its_teacher_and_prompt(answers):
    path = str(answers({"id": "a", "rationale": "x"}, name="rationales.jsonl"))
    assert teachers.open_teacher(Settings(teacher="recorded", teacher_path=path)).name == "recorded:rationales.jsonl"
    assert teachers.prompt_of(Settings(teacher="recorded", prompt="recorded")).name == "recorded"
    settings = Settings(teacher_error_rate=0.5, teacher_malformed_rate=0.25, teacher_seed=9, rationale_style="verdict")
    identity = teachers.open_teacher(settings).identity
    assert [identity[name] for name in ("error_rate", "malformed_rate", "seed", "style")] == [0.5, 0.25, 9, "verdict"]


@pytest.mark.parametrize("style", STYLES)
def test_what_a_faultless_teacher_writes_is_right_in_its_style_and_nothing_is_not(rows, style):
    prompt = PROMPTS["zero_shot_cot_one_call"]
    for row in rows:
        text = say_text(simulated(style), prompt.question(row))
        rationale, answer = read_completion(prompt, row, text)
        outcome = rationales.outcome(row, rationale, answer == row["answer"], style)
        assert outcome == rationales.OUTCOMES[0], (row["group"], row["proof"], rationale)
        assert rationales.outcome(row, "", False, style) != "wrong answer, right rationale"


def test_a_folder_of_published_completions_answers_each_task_from_its_own_file(answers, tmp_path):
    def published(task, **said):
        rows = {
            str(i): [{"question": asked, "completion": f" {text}."}] for i, (asked, text) in enumerate(said.items())
        }
        answers({"data": rows}, name=f"D_{task}.json")

    published("addsub", **{"How many?": "1", "And now?": "2"})
    published("svamp", **{"And now?": "3", "Answer choices: none": "4"})
    teacher = Recorded(str(tmp_path))
    prompts = ("00000\nHow many?", "00001\nAnd now?", "00000\nAnd now?", "00009\nAnd now?", "00009\nOr then?")
    responses = [teacher.complete(prompt, sample=0, temperature=0.0) for prompt in prompts]
    assert [response.text.strip() for response in responses] == ["1.", "2.", "3.", "2.", ""]
    assert [response.finish_reason for response in responses] == ["stop"] * 4 + ["missing"]
    assert responses[-1].prompt_tokens == 0, "nobody read the prompt"
