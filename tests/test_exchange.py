"""A teacher's answers in files: the cache's export, recorded teachers of every kind, a provider's batches."""

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import MINIMAL, make_question, refused
from faulty_server import FaultyServer

from scicot_utils import __main__, paths, prompts, rationales, tables, teachers
from scicot_utils import recipe as recipes
from scicot_utils.prompts import TEACHER_PROMPTS
from scicot_utils.recipe import Settings
from scicot_utils.serving import batch
from scicot_utils.serving.budget import NO_LIMITS
from scicot_utils.serving.cache import Cache, CacheError, Response, export
from scicot_utils.teachers import BudgetReached, Limits, Recorded, TeacherError
from scicot_utils.teachers.asking import pending

ONE_CALL, TWO_CALLS = TEACHER_PROMPTS["zero_shot_cot_one_call"], TEACHER_PROMPTS["zero_shot_cot"]
RECORDED = TEACHER_PROMPTS["recorded"]
PRICED = {"teacher_prices": "m=100/1000", "teacher_max_tokens": 20}  # 10 and 20 tokens: 0.021 USD a request
RECIPE = (
    MINIMAL
    + """teacher: {{teacher: openai, teacher_model: m, teacher_base_url: '{url}', teacher_splits: train, samples: 2,
  temperature: 0.7{more}}}
"""
)


def rows(count):
    return [make_question(id=f"q{i}", question=f"Which is number {i}?", split="train") for i in range(count)]


def served(url="http://127.0.0.1:9/v1", **changes):
    settings = {"teacher": "openai", "teacher_model": "m", "teacher_base_url": url} | changes
    teacher = teachers.open_teacher(Settings(**settings))
    teacher.pause = 0.0
    return teacher


def ask(teacher, questions, cache, prompt=ONE_CALL, **more):
    return list(teachers.ask(teacher, prompt, questions, cache, **more))


def readings(prompt, questions, completions):
    by_id = {row["id"]: row for row in questions}
    return [(row["rationale"], row["teacher_answer"]) for row in rationales.judge(prompt, by_id, completions, "all")]


@pytest.fixture
def exported(cache, answers):
    """Writes what the cache holds into a file; gives its path."""
    return lambda: str(answers(*export(cache._path)))


# Recorded teachers


@pytest.mark.parametrize("prompt", [ONE_CALL, TWO_CALLS], ids=["one call", "two calls"])
def test_an_export_answers_as_the_teacher_did_and_needs_no_server(cache, tmp_path, exported, prompt):
    samples = {"samples": 3, "temperature": 0.7}
    with FaultyServer(rate=0.2, faults=("truncated",)) as server:
        completions = ask(served(server.url), rows(5), cache, prompt, **samples)
    settings = Settings(teacher="recorded", teacher_path=exported(), prompt=prompt.name)
    assert teachers.prompt_of(settings) == prompt
    with Cache(tmp_path / "other.sqlite") as other:
        again = ask(teachers.open_teacher(settings), rows(5), other, prompt, **samples)
    columns = (
        "question_id", "sample", "prompt", "text", "finish_reason", "prompt_tokens", "completion_tokens", "created",
    )  # fmt: skip
    said, repeated = ([[row[name] for name in columns] for row in found] for found in (completions, again))
    assert said == repeated
    assert {row["finish_reason"] for row in completions} == {"stop", "length"}


def test_an_export_of_several_models_needs_one_named(cache, exported):
    with FaultyServer() as server:
        for model in ("m", "n"):
            ask(served(server.url, teacher_model=model), rows(1), cache)
    path = exported()
    with refused(TeacherError, 'one prompt with model "m" and "n", allowed: one of them in teacher_model'):
        Recorded(path, {"model": ""})
    prompt = ONE_CALL.question(rows(1)[0])
    assert Recorded(path, {"model": "n"}).complete(prompt, sample=0, temperature=0).finish_reason == "stop"
    with refused(TeacherError, "no answer of model 'x'"):
        Recorded(path, {"model": "x"})


@pytest.mark.parametrize(
    ("key", "values", "other"),
    [
        ("teacher_max_tokens", [64, 128], 512),
        ("teacher_seed", [1, 2], 0),
        ("teacher_omit", ["", "seed"], "temperature"),
        ("teacher_endpoint", ["chat", "completion"], None),
    ],
)
def test_where_an_export_holds_several_answers_to_one_prompt_the_recipe_chooses(cache, exported, key, values, other):
    for value in values:
        with FaultyServer(reply=f"Because {value}. The answer is (B).") as server:
            ask(served(server.url, **{key: value}), rows(2), cache, temperature=0.7)
    recorded = {"teacher": "recorded", "teacher_path": exported()}
    prompt, identities = ONE_CALL.question(rows(1)[0]), []
    for value in values:
        teacher = teachers.open_teacher(Settings(**recorded, **{key: value}))
        assert teacher.complete(prompt, sample=0, temperature=0.7).text == f"Because {value}. The answer is (B)."
        identities.append(teacher.identity)
    assert identities[0] != identities[1], "since one cache may hold both"
    if other is not None:
        allowed = " and ".join(sorted(map(json.dumps, values)))
        with refused(TeacherError, f"{allowed}, allowed: one of them in {key}, which is {json.dumps(other)}"):
            teachers.open_teacher(Settings(**recorded, **{key: other}))


def test_what_was_in_a_batch_when_a_cache_was_exported_is_missing_from_the_export(cache, exported):
    with FaultyServer() as server:
        ask(served(server.url), rows(1), cache)
    write(served(), rows(2), cache)
    teacher = Recorded(exported())
    responses = [teacher.complete(ONE_CALL.question(row), sample=0, temperature=0.0) for row in rows(2)]
    assert [answer.finish_reason for answer in responses] == ["stop", "missing"]


def test_an_export_of_requests_without_a_prompt_is_refused(cache, exported):
    for request in ({"model": "m"}, ["prompt", "temperature", "sample"]):
        cache.put(request, Response("a", "stop", 1, 1, 0.0, ""))
        with refused(TeacherError, "allowed: an export of a teacher's cache, with prompts"):
            Recorded(exported())


def test_two_answers_that_no_key_tells_apart_are_refused(cache, exported):
    request = {"teacher": "a", "prompt": "x", "temperature": 0.0, "sample": 0}
    for version in "12":
        cache.put(request | {"prompt_version": version}, Response("a", "stop", 1, 1, 0.0, ""))
    with refused(TeacherError, "found 2 answers to one prompt that differ in nothing a recipe names"):
        Recorded(exported())


@pytest.mark.parametrize(
    ("line", "read"),
    [
        ({"rationale": "Birds fly."}, ("Birds fly.", "")),
        ({"rationale": "Birds fly. The answer is (B)."}, ("Birds fly. The answer is (B).", "")),
        ({"rationale": "The answer is (B)."}, ("The answer is (B).", "")),
        ({"rationale": "Birds fly.\nTherefore, the answer is (B)."}, ("Birds fly.", "B")),
        ({"text": "Birds fly. The answer is (B)."}, ("Birds fly.", "B")),
        ({"text": "Birds fly.\nTherefore, the answer is (C) copper."}, ("Birds fly.", "C")),
        ({"text": "The answer is hard. Therefore, the answer is B."}, ("The answer is hard.", "B")),
        ({"text": "Birds fly."}, ("Birds fly.", "")),
    ],
)
def test_lines_hold_a_rationale_or_a_whole_completion(cache, answers, line, read):
    completions = ask(Recorded(str(answers({"id": "q0"} | line))), rows(1), cache, RECORDED)
    assert readings(RECORDED, rows(1), completions) == [read]


def test_several_lines_of_one_question_are_its_samples_and_another_file_is_another_teacher(cache, answers):
    lines = [
        {"id": name, "rationale": text}
        for name, text in (("q2", "six"), *(("q0", text) for text in ("one", "two", "ten")))
    ]
    teacher = Recorded(str(answers(*lines)))
    completions = ask(teacher, rows(3), cache, RECORDED, samples=4, temperature=0.7)
    assert [row["text"] for row in completions] == ["one", "two", "ten", "", *[""] * 4, "six", *[""] * 3]
    assert {(not row["text"], row["finish_reason"]) for row in completions} == {(False, "stop"), (True, "missing")}
    assert teacher.identity != Recorded(str(answers(*lines[1:]))).identity, "to the cache"


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


def test_a_published_file_of_fine_tune_cot_is_replayed_by_the_text_of_its_questions(cache, answers):
    questions = [make_question(id="commonsense_qa-00003")]
    teacher = Recorded(str(answers(json.dumps(PUBLISHED, indent=4), name="answers.json")))
    completions = ask(teacher, questions, cache, RECORDED, samples=4, temperature=0.7)
    assert readings(RECORDED, questions, completions)[:2] == [("A robin is a bird.", "B"), ("Feathers.", "B")]
    assert [row["finish_reason"] for row in completions] == ["stop", "stop", "length", "missing"]


@pytest.mark.parametrize("data", [{"3": [{"question": "x"}]}, {"3": 4}, {"3": ["x"]}])
def test_a_published_file_of_another_form_is_named(answers, data):
    with refused(TeacherError, r"answers\.json: allowed: Fine-tune-CoT's completion file"):
        Recorded(str(answers({"metadata": {}, "data": data}, name="answers.json")))


# Batches


def results_of(lines, **changes):
    """A provider's result file: in another order, as they come."""
    results = []
    for line in reversed(lines):
        request = json.loads(line)
        prompt = request["body"]["messages"][0]["content"]
        text = " (B)." if prompt.endswith(prompts.CUE) else f"Because {request['body']['seed']}."
        choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        body = {"choices": [choice], "usage": {"prompt_tokens": 10, "completion_tokens": 20}}
        row = {"id": "r", "custom_id": request["custom_id"], "response": {"status_code": 200, "body": body}}
        results.append(json.dumps(row | {"error": None} | changes))
    return results


def write(teacher, questions, cache, prompt=ONE_CALL, limits=NO_LIMITS, **asking):
    """The lines of a batch that is counted from now on."""
    requests = pending(teacher, prompt, questions, cache, **asking)
    batch.set_aside(teacher, requests, cache, limits)
    return list(batch.lines(teacher, requests))


def test_a_batch_in_two_rounds_comes_to_what_asking_would(cache):
    questions, asking = rows(3), {"samples": 2, "temperature": 0.7}
    teacher = served(teacher_prices="m=100/1000")
    for count in (6, 6, 0):
        lines = write(teacher, questions, cache, TWO_CALLS, **asking)
        assert len(lines) == count
        outcome = batch.take_in(teacher, {}, results_of(lines), cache, price_factor=0.5)
        assert outcome == ({"whole": count} if count else {}, [])
    completions = ask(teacher, questions, cache, TWO_CALLS, **asking)  # no server: all is in the cache
    assert readings(TWO_CALLS, questions, completions) == 3 * [("Because 0.", "B"), ("Because 1.", "B")]
    assert cache.spent() == (pytest.approx(12 * 0.021 / 2), 12)


def test_a_line_of_a_batch_is_the_request_that_would_be_sent(cache):
    teacher, [question] = served(teacher_endpoint="completion", teacher_max_tokens=9), rows(1)
    requests = pending(teacher, ONE_CALL, [question], cache)
    [line] = map(json.loads, batch.lines(teacher, requests))
    body = teacher.body(ONE_CALL.question(question), sample=0, temperature=0.0)
    assert line == {"custom_id": next(iter(requests)), "method": "POST", "url": "/v1/completions", "body": body}


LONG = {"error": {"message": "maximum context length", "code": "context_length_exceeded"}}
QUOTA = {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}


@pytest.fixture
def teacher():
    return served(**PRICED)


def test_what_a_batch_did_not_answer_is_marked_or_left_to_be_asked_again(cache, teacher):
    lines = write(teacher, rows(5), cache)
    results = [
        results_of(lines[:1], response=None, error={"code": "batch_expired"}),
        results_of(lines[1:2], response={"status_code": 400, "body": LONG}),
        results_of(lines[2:3], response={"status_code": 500, "body": None}),
        results_of(lines[3:4]),
        results_of(lines[4:], custom_id="another"),
        results_of(lines[3:4]),
    ]
    counts, messages = batch.take_in(teacher, {}, [line for result in results for line in result], cache)
    assert counts == {"to be asked again": 2, "not asked for": 2, "context_length": 1, "whole": 1} and not messages
    assert len(pending(teacher, ONE_CALL, rows(5), cache)) == 2
    worst = teacher.worst(ONE_CALL.question(rows(1)[0]))
    assert cache.spent() == (pytest.approx(0.021 + worst), 5), "one is answered, and one still in the batch"


def test_a_bad_line_is_named_and_all_others_are_taken_in(cache, teacher):
    lines = write(teacher, rows(5), cache)
    refused = results_of(lines[:1], response={"status_code": 429, "body": QUOTA})
    bad = ["{", "[1]", "{}", '{"custom_id": "x", "response": 3}']
    counts, messages = batch.take_in(teacher, {}, [*refused, *bad, *results_of(lines[1:])], cache)
    assert counts == {"whole": 4, "no result": 4, "refused": 1}
    assert "line 1: " in messages[0] and "You exceeded your quota; fix the account" in messages[0]
    assert [line.split(":")[0] for line in messages[1:]] == ["line 2", "line 3", "line 4", "line 5"]
    assert "allowed: a result of a batch with custom_id, response, error" in messages[1]
    assert cache.spent() == (pytest.approx(4 * 0.021), 5)
    assert len(pending(teacher, ONE_CALL, rows(5), cache)) == 1


def test_a_batch_that_was_written_counts_until_it_is_read(cache, teacher):
    worst = sum(teacher.worst(ONE_CALL.question(row)) for row in rows(5))
    limits = Limits(max_usd=worst * 1.5)
    lines = write(teacher, rows(5), cache, limits=limits)
    assert cache.spent() == (pytest.approx(worst), 5)
    assert write(teacher, rows(5), cache) == [], "what is in a batch is not written again"
    with refused(BudgetReached):
        write(teacher, [make_question(id=f"r{i}", question=f"Which is {i}?") for i in range(5)], cache, limits=limits)
    batch.take_in(teacher, {}, results_of(lines), cache)
    assert cache.spent() == (pytest.approx(5 * 0.021), 5)
    assert batch.take_in(teacher, {}, results_of(lines), cache)[0] == {"not asked for": 5}
    assert cache.spent() == (pytest.approx(5 * 0.021), 5), "and is settled once"


def test_what_is_in_a_batch_is_not_asked_beside_it(cache):
    with FaultyServer() as server:
        write(served(server.url), rows(2), cache)
        with refused(CacheError, r"in a batch .* batch-read cache FILE.* forget cache batched"):
            ask(served(server.url), rows(2), cache)
        assert not server.requests


@pytest.mark.parametrize("prices", ["m=100/1000", ""])
def test_a_result_without_usage_has_no_known_price_and_stays_counted_at_its_worst(cache, prices):
    teacher = served(teacher_prices=prices, teacher_max_tokens=20)
    lines = [json.loads(line) for line in results_of(write(teacher, rows(2), cache))]
    for line in lines:
        del line["response"]["body"]["usage"]
    aside = cache.spent()
    assert batch.take_in(teacher, {}, map(json.dumps, lines), cache)[0] == {"whole": 2}
    assert cache.spent() == aside and (aside[0] > 0) == bool(prices)
    assert all(row["usd"] != row["usd"] for row in ask(teacher, rows(2), cache))


def test_a_batch_of_another_checkout_is_counted_when_it_is_read(cache, teacher):
    requests = pending(teacher, ONE_CALL, rows(3), cache)
    results = results_of(list(batch.lines(teacher, requests)))
    assert batch.take_in(teacher, requests, results, cache)[0] == {"whole": 3}
    assert cache.spent() == (pytest.approx(3 * 0.021), 3)


def test_an_import_of_marks_leaves_ones_own_batch_alone_and_one_of_answers_settles_it(cache, teacher, tmp_path):
    lines = write(teacher, rows(3), cache)
    aside = cache.spent()
    with Cache(tmp_path / "other.sqlite") as other:
        requests = pending(teacher, ONE_CALL, rows(3), other)
        for request in requests.values():
            other.put(request, Response("", "unanswered", 0, 0, 0.0, ""))
        assert export(cache._path) == [], "what is in a batch is not exported"
        cache.take_in(export(other._path), "x")
        assert cache.kinds() == {"batched": 3} and cache.spent() == aside
        batch.take_in(teacher, requests, results_of(lines[:2]), other)
        cache.take_in(export(other._path), "x", paid_here=False)
    assert cache.kinds() == {"stop": 2, "batched": 1}
    assert cache.spent() == (pytest.approx(2 * 0.021 + aside[0] / 3), 3)
    assert batch.take_in(teacher, {}, results_of(lines), cache)[0] == {"not asked for": 2, "whole": 1}
    assert cache.spent() == (pytest.approx(3 * 0.021), 3)


def test_a_result_file_that_two_read_at_once_settles_once(cache, teacher):
    lines = results_of(write(teacher, rows(40), cache))
    both = threading.Barrier(2)

    def read(_):
        with Cache(cache._path) as opened:
            both.wait()
            return batch.take_in(teacher, {}, lines, opened)[0].get("whole", 0)

    with ThreadPoolExecutor(2) as threads:
        assert sum(threads.map(read, range(2))) == 40
    assert cache.spent() == (pytest.approx(40 * 0.021), 40)


def test_what_a_batch_lost_counts_once_however_often_its_file_is_read(cache, teacher):
    lines = write(teacher, rows(4), cache)
    results = [
        *results_of(lines[:2], response=None, error={"code": "batch_expired"}),
        *results_of(lines[2:], response={"status_code": 504, "body": None}),
    ]
    spent = []
    for _ in range(3):
        batch.take_in(teacher, pending(teacher, ONE_CALL, rows(4), cache), results, cache)
        spent.append(cache.spent())
    assert spent == [(pytest.approx(2 * teacher.worst(ONE_CALL.question(rows(1)[0]))), 4)] * 3


# The command line


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
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


def test_the_front_end_writes_and_reads_batches_and_exports(run, tmp_path):
    first_file, second_file, results = (tmp_path / f"{name}.jsonl" for name in ("asked", "more", "results"))
    for file, words, left in ((first_file, (), 6), (second_file, ("--price-factor", "0.5"), 0)):
        written = f"6 requests written to {file}; when its results are in, a second round asks for the answers"
        assert run("batch-write", file) == written
        results.write_text("\n".join(results_of(file.read_text().splitlines())))
        assert run("batch-read", results, *words) == f"6 whole; {left} requests are left to ask"
    assert run("batch-write", tmp_path / "none.jsonl") == "nothing to ask: every response is in the cache"
    answers = tmp_path / "export.jsonl"
    assert run("export-cache", answers).startswith("12 responses of ")
    paths.teacher_cache("mine").unlink()
    line = run("import-cache", answers)
    assert line.startswith("12 new responses taken into ")
    assert line.endswith("which holds 12, with 0.0000 USD of known prices and 12 requests counted as spent")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["batch-read", "nowhere.jsonl"], "nowhere.jsonl: cannot be read"),
        (["batch-read", "x", "--price-factor", "-10"], "--price-factor: found -10, allowed: 0 to 1"),
        (["batch-read", "x", "--price-factor", "nan"], "--price-factor: found nan, allowed: 0 to 1"),
        (["import-cache", "nowhere.jsonl"], "nowhere.jsonl: cannot be read"),
        (["export-cache", "x.jsonl"], "no cache at"),
        (["batch-write", "x.jsonl", "--dataset", "ARC-Hard"], "--dataset: found 'ARC-Hard', allowed: microsci"),
        (["batch-write", "x.jsonl", "--variant", "odd"], "no variant 'odd'"),
    ],
)
def test_what_the_front_end_cannot_do_is_told_in_one_line(run, words, message):
    with refused(SystemExit, f"^error: .*{message}"):
        run(*words)


def test_a_second_batch_leaves_the_first_alone(run, tmp_path):
    file = tmp_path / "asked.jsonl"
    run("batch-write", file)
    before = file.read_text()
    with refused(SystemExit, r"asked\.jsonl: is there already; allowed: a new file"):
        run("batch-write", file)
    line = run("batch-write", tmp_path / "more.jsonl")
    assert line == "nothing to ask; 6 are in batches whose results are not read yet"
    assert file.read_text() == before and not (tmp_path / "more.jsonl").exists()


def test_a_batch_is_not_written_while_another_process_asks(run, tmp_path):
    message = "another process asks through the cache mine now; wait for it"
    with Cache(paths.teacher_cache("mine")) as other, other.turn.acquire(), refused(SystemExit, message):
        run("batch-write", tmp_path / "asked.jsonl")
    assert not [*tmp_path.glob("asked*")]


def test_nothing_is_stored_while_a_batch_is_written_and_a_full_disk_counts_and_leaves_nothing(
    run, tmp_path, monkeypatch
):
    """Else an answer that is imported meanwhile would be paid for again."""

    def full(teacher, requests):
        monkeypatch.setattr("scicot_utils.serving.cache.BUSY_SECONDS", 0.1)
        with refused(CacheError, "locked"), Cache(paths.teacher_cache("mine")) as other:
            other.put(next(iter(requests.values())), Response("a", "stop", 1, 1, 0.0, ""))
        raise OSError("disk is full")

    monkeypatch.setattr(batch, "lines", full)
    with pytest.raises(OSError, match="disk is full"):
        run("batch-write", tmp_path / "asked.jsonl")
    assert not [*tmp_path.glob("asked*")]
    with Cache(paths.teacher_cache("mine")) as opened:
        assert opened.spent() == (0.0, 0) and not len(opened)


@pytest.mark.parametrize(
    ("caps", "message"),
    [
        (", max_requests: 1", "at an unknown price, would pass max_usd 0 or max_requests 1"),
        (", max_usd: 0.1, teacher_prices: m=100/1000", r"at most .* USD, would pass max_usd 0\.1 or max_requests 0"),
    ],
)
def test_a_batch_that_would_pass_a_cap_leaves_no_file_and_is_not_counted(run, tmp_path, caps, message):
    with refused(SystemExit, f"^error: .* a batch of 6, {message}"):
        run("batch-write", tmp_path / "asked.jsonl", more=caps)
    with Cache(paths.teacher_cache("mine")) as opened:
        assert opened.spent() == (0.0, 0) and not len(opened)
    assert not [*tmp_path.glob("asked*")]


def test_reading_a_batch_with_bad_lines_ends_with_what_was_stored_and_what_was_not(run, tmp_path):
    requests, results = tmp_path / "asked.jsonl", tmp_path / "results.jsonl"
    run("batch-write", requests)
    good, quota = results_of(requests.read_text().splitlines()), {"status_code": 429, "body": QUOTA}
    bad = [json.dumps(json.loads(line) | {"response": quota}) for line in good[:4]]
    results.write_text("\n".join([*bad, *good[4:]]))
    told = "^error: results.jsonl: 4 refused, 2 whole; 6 requests are left to ask; what could be read is"
    with refused(SystemExit, rf"{told}.*line 1: .*line 3: .*; and 1 more such lines"):
        run("batch-read", results)


def test_a_batch_given_up_gives_back_what_is_not_read_yet_and_no_more(run, tmp_path):
    priced, asked, results = ", teacher_prices: m=100/1000", tmp_path / "asked.jsonl", tmp_path / "results.jsonl"
    run("batch-write", asked, more=priced)
    results.write_text(results_of(asked.read_text().splitlines())[0])
    run("batch-read", results, more=priced)
    assert "mine.sqlite: 5 batched, 1 whole. Requests ever sent through this cache: 6" in run("cache", more=priced)
    assert run("forget", "batched").startswith("5 × batched forgotten; `make book` with this recipe asks again")
    with Cache(paths.teacher_cache("mine")) as opened:
        assert opened.spent() == (pytest.approx(0.021), 1)
    assert run("batch-write", tmp_path / "again.jsonl").startswith("6 requests written to ")


def test_what_failed_for_one_reason_is_forgotten_asked_again_and_the_rest_is_not(run, capsys, tmp_path):
    with FaultyServer(special={"number 1?": (400, LONG)}) as server:
        with Cache(paths.teacher_cache("mine")) as opened:
            ask(served(server.url), rows(3), opened)
        assert "mine.sqlite: 2 whole, 1 context_length. " in run("cache")
        for reason in ("stop", "unfinished"):
            with refused(SystemExit, rf"forget: found '{reason}', allowed: .*context_length \(1\)"):
                run("forget", reason)
        assert run("forget", "context_length").startswith("1 × context_length forgotten")
        assert paths.forgotten("mine").read_text().endswith(" context_length 1\n")
        server.special = {}
        with Cache(paths.teacher_cache("mine")) as opened:
            completions = ask(served(server.url), rows(3), opened)
    assert [row["finish_reason"] for row in completions] == ["stop"] * 3 and sum(server.requests.values()) == 4
