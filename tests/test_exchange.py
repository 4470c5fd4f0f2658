"""A teacher's answers in files: the cache's export, recorded teachers of every kind, a provider's batches."""

import json
import sqlite3
import subprocess
import sys

import pytest
from conftest import make_question
from faulty_server import FaultyServer

from scicot_utils import __main__, paths, prompts, rationales, tables, teachers
from scicot_utils import recipe as recipes
from scicot_utils.cache import Cache
from scicot_utils.prompts import TEACHER_PROMPTS
from scicot_utils.recipe import Settings
from scicot_utils.teachers import BudgetReached, Limits, Recorded, TeacherError, batch
from scicot_utils.teachers.served import Served

ONE_CALL, TWO_CALLS = TEACHER_PROMPTS["zero_shot_cot_one_call"], TEACHER_PROMPTS["zero_shot_cot"]
RECORDED = TEACHER_PROMPTS["recorded"]
RECIPE = """# two cores, a minute
description: a test
datasets: [microsci]
distill: [microsci]
arms: [answer_only]
seeds: [0]
teacher: {{teacher: openai, teacher_model: m, teacher_base_url: '{url}', teacher_splits: train, samples: 2,
  temperature: 0.7{more}}}
"""


def rows(count):
    return [make_question(id=f"q{i}", question=f"Which is number {i}?", split="train") for i in range(count)]


def served(url="http://127.0.0.1:9/v1", **changes):
    return Served(Settings(teacher="openai", teacher_model="m", teacher_base_url=url, **changes), pause=0.0)


def judged(prompt, questions, found):
    by_id = {row["id"]: row for row in questions}
    return [(row["rationale"], row["teacher_answer"]) for row in rationales.judge(prompt, by_id, found, "all")]


@pytest.fixture
def cache(tmp_path):
    with Cache(tmp_path / "cache.sqlite") as opened:
        yield opened


@pytest.fixture
def file(tmp_path):
    def write(content):
        path = tmp_path / "answers.json"
        path.write_text(content, encoding="utf-8")
        return str(path)

    return write


# Recorded teachers


@pytest.mark.parametrize("prompt", [ONE_CALL, TWO_CALLS], ids=["one call", "two calls"])
def test_an_export_answers_as_the_teacher_did_and_needs_no_server(cache, tmp_path, file, prompt):
    questions = rows(5)
    with FaultyServer(rate=0.2, faults=("truncated",)) as server:
        asked = list(teachers.ask(served(server.url), prompt, questions, cache, samples=3, temperature=0.7))
    path = file("\n".join(cache.export()))
    settings = Settings(teacher="recorded", teacher_path=path, prompt=prompt.name)
    assert teachers.prompt_of(settings) == prompt
    with Cache(tmp_path / "other.sqlite") as other:
        again = list(
            teachers.ask(teachers.open_teacher(settings), prompt, questions, other, samples=3, temperature=0.7)
        )
    kept = ("question_id", "sample", "prompt", "text", "finish_reason", "prompt_tokens", "completion_tokens", "created")
    assert [[row[name] for name in kept] for row in again] == [[row[name] for name in kept] for row in asked]
    assert {row["finish_reason"] for row in asked} == {"stop", "length"}


def test_an_export_of_several_models_needs_one_named(cache, file):
    with FaultyServer() as server:
        for model in ("m", "n"):
            settings = Settings(teacher="openai", teacher_model=model, teacher_base_url=server.url)
            list(teachers.ask(Served(settings), ONE_CALL, rows(1), cache))
    path = file("\n".join(cache.export()))
    with pytest.raises(TeacherError, match=r"two answers to one prompt \(models: m, n\).* teacher_model"):
        Recorded(path)
    assert Recorded(path, "n").complete(ONE_CALL.question(rows(1)[0]), sample=0, temperature=0).finish_reason == "stop"
    with pytest.raises(TeacherError, match="no answer of model 'x'"):
        Recorded(path, "x")


def test_a_file_of_rationales_has_no_other_prompt_than_its_own(file):
    path = file('{"id": "q0", "rationale": "Why."}')
    with pytest.raises(TeacherError, match="allowed: prompt 'recorded' with teacher 'recorded'"):
        teachers.prompt_of(Settings(teacher="recorded", teacher_path=path, prompt="zero_shot_cot"))


@pytest.mark.parametrize(
    ("line", "read"),
    [
        ({"rationale": "Birds fly."}, ("Birds fly.", "")),
        ({"rationale": "Birds fly. The answer is (B)."}, ("Birds fly. The answer is (B).", "")),
        ({"text": "Birds fly. The answer is (B)."}, ("Birds fly.", "B")),
        ({"text": "Birds fly.\nTherefore, the answer is (C) copper."}, ("Birds fly.", "C")),
        ({"text": "The answer is hard. Therefore, the answer is B."}, ("The answer is hard.", "B")),
        ({"text": "Birds fly."}, ("Birds fly.", "")),
    ],
)
def test_lines_hold_a_rationale_or_a_whole_completion(cache, file, line, read):
    questions = rows(1)
    found = list(teachers.ask(Recorded(file(json.dumps({"id": "q0"} | line))), RECORDED, questions, cache))
    assert judged(RECORDED, questions, found) == [read]


def test_several_lines_of_one_question_are_its_samples(cache, file):
    path = file("\n".join(json.dumps({"id": "q0", "rationale": text}) for text in "abc"))
    found = list(teachers.ask(Recorded(path), RECORDED, rows(2), cache, samples=4, temperature=0.7))
    assert [(row["text"], row["finish_reason"]) for row in found[:4]] == [
        ("a", "stop"), ("b", "stop"), ("c", "stop"), ("", "missing"),
    ]  # fmt: skip
    assert {row["finish_reason"] for row in found[4:]} == {"missing"}


# As src/data/completion_dataset.py and src/oai/inference.py of itsnamgyu/reasoning-teacher write it.
PUBLISHED = {
    "metadata": {"base_model": "text-davinci-002", "dataset_key": "commonsense_qa", "prediction_template": "zs_cot"},
    "data": {
        "3": [
            {
                "sample_index": 3, "completion_index": index, "answer": "B", "completion": answer,
                "question": "Which of these has feathers? Answer Choices: (A) raft (B) robin (C) copper (D) ant",
                "reasoning_prompt": "Q: …\nA: Let's think step by step.", "reasoning_completion": reasoning,
                "prompt": "…", "finish_reason": "stop", "reasoning_finish_reason": finish,
            }
            for index, (reasoning, answer, finish) in enumerate(
                [(" A robin is a bird.", " (B).", "stop"), ("\n\nFeathers.", " B.", "stop"), (" A robin", " B", "length")]
            )
        ]
    },
}  # fmt: skip


def test_a_published_file_of_fine_tune_cot_is_replayed_by_the_text_of_its_questions(cache, file):
    questions = [make_question(id="commonsense_qa-00003")]
    teacher = Recorded(file(json.dumps(PUBLISHED, indent=4)))
    found = list(teachers.ask(teacher, RECORDED, questions, cache, samples=4, temperature=0.7))
    assert judged(RECORDED, questions, found)[:2] == [("A robin is a bird.", "B"), ("Feathers.", "B")]
    assert [row["finish_reason"] for row in found] == ["stop", "stop", "length", "missing"]


@pytest.mark.parametrize("data", [{"3": [{"question": "x"}]}, {"3": 4}, {"3": ["x"]}])
def test_a_published_file_of_another_form_is_named(file, data):
    with pytest.raises(TeacherError, match=r"answers\.json: allowed: Fine-tune-CoT's completion file") as caught:
        Recorded(file(json.dumps({"metadata": {}, "data": data})))
    assert "\n" not in str(caught.value)


# Batches


def answered(lines, **changes):
    """A provider's result file: in another order, as they come."""
    found = []
    for line in reversed(lines):
        asked = json.loads(line)
        prompt = asked["body"]["messages"][0]["content"]
        text = " (B)." if prompt.endswith(prompts.CUE) else f"Because {asked['body']['seed']}."
        body = {
            "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 20},
        }
        row = {
            "id": "r",
            "custom_id": asked["custom_id"],
            "response": {"status_code": 200, "body": body},
            "error": None,
        }
        found.append(json.dumps(row | changes))
    return found


def test_a_batch_in_two_rounds_comes_to_what_asking_would(cache):
    questions, asking = rows(3), {"samples": 2, "temperature": 0.7}
    teacher = served(teacher_prices="m=100/1000")
    for count in (6, 6, 0):
        requests = batch.pending(teacher, TWO_CALLS, questions, cache, **asking)
        lines = list(batch.write(teacher, requests, cache, Limits()))
        assert len(lines) == count
        told = batch.take_in(teacher, requests, answered(lines), cache, where="r.jsonl", price_factor=0.5)
        assert told == ({"whole": count} if count else {})
    found = list(teachers.ask(teacher, TWO_CALLS, questions, cache, **asking))  # no server: all is in the cache
    assert judged(TWO_CALLS, questions, found) == [(f"Because {sample}.", "B") for _ in range(3) for sample in range(2)]
    assert cache.spent() == (pytest.approx(12 * 0.021 / 2), 12)


def test_a_line_of_a_batch_is_the_request_that_would_be_sent(cache):
    teacher, question = served(teacher_endpoint="completion", teacher_max_tokens=9), rows(1)[0]
    requests = batch.pending(teacher, ONE_CALL, [question], cache)
    [line] = map(json.loads, batch.write(teacher, requests, cache, Limits()))
    body = teacher.body(ONE_CALL.question(question), sample=0, temperature=0.0)
    assert line == {"custom_id": next(iter(requests)), "method": "POST", "url": "/v1/completions", "body": body}


def test_what_a_batch_did_not_answer_is_marked_or_left_to_be_asked_again(cache):
    teacher = served()
    requests = batch.pending(teacher, ONE_CALL, rows(5), cache)
    lines = list(batch.write(teacher, requests, cache, Limits()))
    long = {"error": {"message": "maximum context length", "code": "context_length_exceeded"}}
    results = [
        answered(lines[:1], response=None, error={"code": "batch_expired"}),
        answered(lines[1:2], response={"status_code": 400, "body": long}),
        answered(lines[2:3], response={"status_code": 500, "body": None}),
        answered(lines[3:4]),
        answered(lines[4:], custom_id="another"),
        answered(lines[3:4]),
    ]
    told = batch.take_in(teacher, requests, [line for found in results for line in found], cache, where="r")
    assert told == {"to be asked again": 2, "not asked for": 2, "context_length": 1, "whole": 1}
    assert len(batch.pending(teacher, ONE_CALL, rows(5), cache)) == 3


@pytest.mark.parametrize("limits", [Limits(max_usd=0.1), Limits(max_requests=2)])
def test_a_batch_that_would_pass_a_cap_is_not_written(cache, limits):
    teacher = served(teacher_prices="m=100/1000")
    requests = batch.pending(teacher, ONE_CALL, rows(3), cache)
    with pytest.raises(BudgetReached, match="would pass max_"):
        list(batch.write(teacher, requests, cache, limits))


@pytest.mark.parametrize("line", ["{", "[1]", "{}", '{"custom_id": "x", "response": 3}'])
def test_a_line_that_is_no_result_is_named(cache, line):
    with pytest.raises(TeacherError, match=r"r\.jsonl, line 1: allowed: a result of a batch"):
        batch.take_in(served(), {}, [line], cache, where="r.jsonl")


# The command line


@pytest.fixture
def called(tmp_path, monkeypatch, capsys):
    """A recipe with a questions table in a folder of its own, and a way to call the front end on it."""
    monkeypatch.setattr(paths, "OUTPUTS", tmp_path / "outputs")
    monkeypatch.setattr(paths, "CACHE", tmp_path / "outputs" / "cache")
    file = tmp_path / "mine.yaml"
    tables.write("questions", rows(3), paths.questions("mine", "microsci", recipes.MAIN))

    def call(command, *words, url="http://127.0.0.1:9/v1", more=""):
        file.write_text(RECIPE.format(url=url, more=more), encoding="utf-8")
        monkeypatch.setattr(sys, "argv", ["scicot_utils", command, str(file), *map(str, words)])
        __main__.main()
        return capsys.readouterr().out.strip()

    return call


def test_the_front_end_writes_and_reads_batches_and_exports(called, tmp_path):
    asked, results = tmp_path / "asked.jsonl", tmp_path / "results.jsonl"
    assert called("batch-write", asked).startswith(f"6 requests written to {asked}; when its results are in, a second")
    results.write_text("\n".join(answered(asked.read_text().splitlines())))
    assert called("batch-read", results) == "6 whole; 6 requests are left to ask"
    called("batch-write", asked)
    results.write_text("\n".join(answered(asked.read_text().splitlines())))
    assert called("batch-read", results, "--price-factor", "0.5") == "6 whole; 0 requests are left to ask"
    assert called("batch-write", asked) == "nothing to ask: every response is in the cache"
    export = tmp_path / "export.jsonl"
    assert called("export-cache", export).startswith("12 responses of ")
    paths.teacher_cache("mine").unlink()
    told = called("import-cache", export)
    assert told.startswith("12 new responses taken into ")
    assert told.endswith("which holds 12, with 0.0000 USD of known prices and 12 requests counted as spent")


def test_an_export_of_a_damaged_cache_warns_where_it_cannot_tell_what_was_spent(called, tmp_path):
    place, export = paths.teacher_cache("mine"), tmp_path / "export.jsonl"
    with FaultyServer(tokens=(10, 20)) as server, Cache(place) as cache:
        list(teachers.ask(served(server.url, teacher_prices="m=100/1000"), ONE_CALL, rows(3), cache))
    assert "3 responses of " in (told := called("export-cache", export)) and "WARNING" not in told
    assert told.endswith("with 0.0630 USD of known prices and 3 requests counted as spent")
    connection = sqlite3.connect(place)
    connection.execute("DROP TABLE ledger")
    connection.close()
    aside = place.rename(f"{place}.damaged-1")
    words = [sys.executable, "-m", "scicot_utils", "export-cache", str(aside), str(export)]
    told = subprocess.run(words, cwd=paths.ROOT, capture_output=True, text=True).stdout
    assert "with 0.0630 USD of known prices and 3 requests counted as spent. WARNING: what was spent could not" in told


@pytest.mark.parametrize(
    ("words", "more", "told"),
    [
        (["batch-read", "nowhere.jsonl"], "", "nowhere.jsonl: cannot be read"),
        (["import-cache", "nowhere.jsonl"], "", "nowhere.jsonl: cannot be read"),
        (["export-cache", "x.jsonl"], "", "no cache at"),
        (["batch-write", "x.jsonl", "--dataset", "ARC-Hard"], "", "--dataset: found 'ARC-Hard', allowed: microsci"),
        (["batch-write", "x.jsonl", "--variant", "odd"], "", "no variant 'odd'"),
        (["batch-write", "x.jsonl"], ", max_requests: 1", "would pass max_requests 1"),
    ],
)
def test_what_the_front_end_cannot_do_is_told_in_one_line(called, words, more, told):
    with pytest.raises(SystemExit) as stop:
        called(*words, more=more)
    assert str(stop.value).startswith("error: ") and told in str(stop.value) and "\n" not in str(stop.value)
