"""Served teachers: nothing lost, nothing asked twice, no cap passed, no key told, whatever the server does."""

import asyncio
import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from conftest import MINIMAL, make_question, read_completion, refused
from faulty_server import FAULTS, FaultyServer

from scicot_utils import prompts, rationales, recipe, tables, teachers
from scicot_utils.prompts import TEACHER_PROMPTS
from scicot_utils.recipe import Settings
from scicot_utils.serving.cache import Cache, CacheError, export
from scicot_utils.serving.served import _retry_after
from scicot_utils.teachers import BudgetReached, Limits, PermanentError, TeacherError, TransientError
from scicot_utils.teachers.asking import MAX_PENDING

ANSWER = {
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "Birds fly. The answer is (B)."}}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 20},
}
ONE_CALL, TWO_CALLS = TEACHER_PROMPTS["zero_shot_cot_one_call"], TEACHER_PROMPTS["zero_shot_cot"]


def rows(count):
    return [make_question(id=f"q{i}", question=f"Which is number {i}?") for i in range(count)]


def served(server, *, pause=0.01, **changes):
    settings = {"teacher_in_flight": 64, "teacher_timeout": 5.0} | changes
    teacher = unserved(teacher_base_url=server.url, **settings)
    teacher.pause = pause
    return teacher


def ask(teacher, questions, cache, prompt=ONE_CALL, **more):
    return list(teachers.ask(teacher, prompt, questions, cache, **more))


def finishes(completions):
    return {row["finish_reason"] for row in completions}


def unserved(**changes):
    """A teacher that is asked nothing: its server is not there."""
    settings = {"teacher": "openai", "teacher_model": "m", "teacher_base_url": "http://127.0.0.1:1/v1"} | changes
    return teachers.open_teacher(Settings(**settings))


class Deadline:
    """Ends a test that would never end, by the interrupts that a user would send."""

    def __init__(self, seconds):
        self._seconds = seconds

    def __enter__(self):
        self._before = signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, self._seconds, 1.0)

    def __exit__(self, kind, *_):
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._before)
        assert kind is not KeyboardInterrupt, f"it did not end within {self._seconds} s"


# What is sent and read


@pytest.mark.parametrize(("endpoint", "field"), [("chat", "messages"), ("completion", "prompt")])
def test_a_question_is_sent_and_its_answer_read_from_either_endpoint(cache, endpoint, field):
    with FaultyServer() as server:
        [row] = ask(served(server, teacher_endpoint=endpoint, teacher_max_tokens=77), rows(1), cache)
    [body] = server.bodies
    assert field in body and (body["max_tokens"], body["temperature"], body["model"]) == (77, 0.0, "m")
    assert row["finish_reason"] == "stop" and row["text"].endswith("The answer is (B).")
    assert (row["prompt_tokens"], row["completion_tokens"], row["teacher"]) == (10, 20, "m")


def test_samples_have_seeds_of_their_own_and_greedy_ones_are_one_request_paid_for_once(cache):
    with FaultyServer(latency=0.02) as server:
        warm = ask(served(server), rows(2), cache, samples=4, temperature=0.7)
        assert sorted(body["seed"] for body in server.bodies) == [0, 0, 1, 1, 2, 2, 3, 3]
        server.bodies.clear()
        cold = ask(served(server, **PRICED), rows(2), cache, samples=4)
        assert len(server.bodies) == 2
    expected = [(f"q{question}", sample) for question in range(2) for sample in range(4)]
    for completions in (warm, cold):
        assert [(row["question_id"], row["sample"]) for row in completions] == expected
    assert (cache.misses, cache.hits) == (8 + 2, 6)
    assert sum(row["usd"] for row in cold) == pytest.approx(2 * PRICE)


def test_a_model_that_refuses_parameters_is_asked_without_them_in_both_calls(cache):
    not_taken = ("temperature", "seed")
    with FaultyServer(refused=not_taken) as server:
        with refused(TeacherError, r"'temperature' is not supported.* leave the parameter out with teacher_omit"):
            ask(served(server), rows(1), cache, TWO_CALLS)
        without = served(server, teacher_omit="temperature,seed")
        completions = ask(without, rows(2), cache, TWO_CALLS, samples=2, temperature=1.0)
        assert server.charged == 6 and not any(name in body for body in server.bodies[1:] for name in not_taken)
    assert finishes(completions) == {"stop"}
    assert all(row["temperature"] != row["temperature"] for row in completions), "NaN: the model decided it"
    assert without.identity["omitted"] == "temperature,seed" and "omitted" not in served(server).identity, "of the key"


def parts(*texts):
    return [{"type": "text", "text": text} for text in texts]


@pytest.mark.parametrize(
    "message",
    [
        {"content": "The answer is (B).", "reasoning_content": "Birds fly."},
        {"content": "The answer is (B).", "reasoning": "Birds fly."},
        {"content": "<think>\nBirds fly.\n</think>\n\nThe answer is (B)."},
        {"content": "Birds fly.\n</think>The answer is (B)."},
        {"content": [{"type": "thinking", "thinking": "Birds fly."}, *parts("The answer is (B).")]},
        {"content": [{"type": "thinking", "thinking": parts("Birds fly", ".")}, *parts("The answer", " is (B).")]},
    ],
)
def test_what_a_reasoning_model_thought_is_kept_and_can_be_the_rationale(cache, message):
    [question] = rows(1)
    with FaultyServer(reply=message) as server:
        [plain] = ask(served(server), [question], cache)
        [reasoned] = ask(served(server), [question], cache, rationale="reasoning")
    assert len(server.bodies) == 1
    assert plain["text"].strip() == "The answer is (B)."
    assert read_completion(ONE_CALL, question, reasoned["text"]) == ("Birds fly.", "B")
    assert '"reasoning": "Birds fly."' in export(cache._path)[0]


@pytest.mark.parametrize(("rationale", "first"), [("text", "It is (B)."), ("reasoning", "Birds fly.")])
def test_two_calls_are_two_requests_the_second_with_the_rationale(cache, rationale, first):
    with FaultyServer(reply={"content": "It is (B).", "reasoning": "Birds fly."}) as server:
        [row] = ask(served(server), rows(1), cache, TWO_CALLS, rationale=rationale)
    asked, again = (body["messages"][0]["content"] for body in server.bodies)
    assert again == f"{asked} {first}{prompts.CUE}" and row["text"] == f"{first}{prompts.CUE} It is (B)."


NOTHING = {
    "no letter": "",
    "spaces": " \n",
    "no content": {"content": None},
    "a thought that never ended": "<think>Birds",
}


@pytest.mark.parametrize("prompt", [ONE_CALL, TWO_CALLS], ids=["one call", "two calls"])
@pytest.mark.parametrize("reply", NOTHING.values(), ids=NOTHING)
def test_an_empty_text_is_not_whole_whatever_the_server_says_and_no_answer_is_asked_of_it(cache, reply, prompt):
    [question] = rows(1)
    with FaultyServer(reply=reply) as server:
        [row] = ask(served(server), [question], cache, prompt)
    assert (row["text"].strip(), row["finish_reason"]) == ("", "empty") and server.charged == 1
    assert rationales.judge(prompt, {"q0": question}, [row], "all")[0]["drop_reason"] == "empty"


@pytest.mark.parametrize(
    "text", ["\x00 null", "\ud83d half a pair", "\x1b[31mred", "<script>alert(1)</script>", "x" * 50_000, "\u202eevil"]
)
def test_any_text_comes_through_to_the_table(cache, tmp_path, text):
    with FaultyServer(reply=text) as server:
        completions = ask(served(server), rows(1), cache, TWO_CALLS)
    tables.write("completions", completions, tmp_path / "c.parquet")
    assert tables.read("completions", tmp_path / "c.parquet")[0]["text"] == completions[0]["text"]
    assert completions[0]["text"].startswith(text.replace("\ud83d", "\ufffd"))
    assert ask(served(server), rows(1), cache, TWO_CALLS) == completions


# What fails


TOLD = {
    "context_length": (400, {"error": {"message": "maximum context length is 9", "code": "context_length_exceeded"}}),
    "content_filter": (400, {"error": {"message": "content management policy", "code": "content_filter"}}),
    "rejected": (422, {"error": {"message": "no"}}),
}


@pytest.mark.parametrize("reason", TOLD)
def test_what_one_question_cannot_have_is_its_drop_reason_and_the_rest_goes_on(cache, reason):
    questions = rows(12)
    with FaultyServer(special={"number 7?": TOLD[reason]}) as server:
        completions = ask(served(server), questions, cache)
        assert max(server.requests.values()) == 1, "asked once: it cannot pass"
    judgements = rationales.judge(ONE_CALL, {row["id"]: row for row in questions}, completions, "correct")
    assert [row["drop_reason"] for row in judgements] == [reason if i == 7 else "" for i in range(12)]


@pytest.mark.parametrize(
    ("reason", "reply", "tries"), [("rejected", TOLD["rejected"], 1), ("unanswered", (503, {"error": "busy"}), 3)]
)
def test_what_was_given_up_is_not_sent_again_for_the_other_samples(cache, reason, reply, tries):
    with FaultyServer(latency=0.01, special={"number 7?": reply}) as server:
        completions = ask(served(server, teacher_tries=3), rows(12), cache, samples=8)
        assert sorted(server.requests.values()) == [*[1] * 11, tries]
    assert [row["finish_reason"] for row in completions] == [*["stop"] * 56, *[reason] * 8, *["stop"] * 32]


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (401, {"error": {"message": "Incorrect API key"}}, "set the environment variable KEY_OF_THE_TEST"),
        (403, {"error": {"message": "no"}}, "no right to this model"),
        (404, {"error": {"message": "The model m does not exist"}}, "check teacher_model and teacher_base_url"),
        (402, {"error": {"message": "pay"}}, "fix the account"),
        (429, {"error": {"message": "quota", "code": "insufficient_quota"}}, "fix the account"),
        (400, {"error": {"message": "use max_completion_tokens", "code": "unsupported_parameter"}}, "max_completion"),
    ],
)
def test_what_concerns_account_or_model_ends_the_run_at_once_in_one_line(cache, status, body, message):
    with FaultyServer(special={"number": (status, body)}) as server, refused(TeacherError, message):
        ask(served(server, teacher_in_flight=4, teacher_api_key_env="KEY_OF_THE_TEST"), rows(200), cache)
    assert sum(server.requests.values()) <= 4


def test_a_server_that_is_not_there_ends_the_run(cache):
    with FaultyServer() as server:
        pass
    with refused(TeacherError, r"answered none of the last .* no connection"):
        ask(served(server, teacher_tries=2), rows(200), cache)


def test_retry_after_is_honoured_by_all(cache):
    with FaultyServer(rate=1.0, faults=("429 wait",)) as server:
        began = time.monotonic()
        completions = ask(served(server, teacher_tries=3, pause=0.0), rows(3), cache)
    assert time.monotonic() - began > 0.4  # twice 0.2 s between three tries
    assert finishes(completions) == {"unanswered"}


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ({}, 0), ({"retry-after": "3"}, 3), ({"retry-after-ms": "250"}, 0.25), ({"retry-after": "nan"}, 0),
        ({"retry-after": "-5"}, 0), ({"retry-after": "soon"}, 0), ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
    ],
)  # fmt: skip
def test_retry_after_may_be_a_number_a_date_or_nonsense(header, seconds):
    assert _retry_after(header) == seconds


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "truncated"])
def test_each_passing_fault_is_tried_again_and_given_up_by_name(cache, fault):
    with FaultyServer(rate=1.0, faults=(fault,)) as server:
        completions = ask(served(server, teacher_tries=2, teacher_timeout=0.3), rows(2), cache)
        assert finishes(completions) == {"unanswered"} and max(server.requests.values()) == 2
        server.rate = 0.0
        assert finishes(ask(served(server), rows(2), cache)) == {"stop"}, "a rerun asks anew what was given up"


def test_a_truncated_answer_is_stored_as_such_and_not_asked_again(cache):
    with FaultyServer(rate=1.0, faults=("truncated",)) as server:
        completions = ask(served(server), rows(3), cache) + ask(served(server), rows(3), cache)
    assert finishes(completions) == {"length"} and sum(server.requests.values()) == 3


@pytest.mark.parametrize(
    "content",
    [
        "[]", "{}", '{"choices": [1]}', '{"choices": [{"message": {"content": 3}}]}', "[" * 9999,
        '{"choices": [{"message": {"content": [3, {"type": "image"}]}}]}',
    ],
)  # fmt: skip
def test_a_reply_of_another_shape_is_no_answer(content):
    with pytest.raises(TransientError):
        unserved().read(content.encode(), "x")


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens",  # OpenAI, vLLM
        "The prompt is too long: 210000 tokens > 200000 maximum",  # Anthropic
        "request (4390 tokens) exceeds the available context size (4096 tokens), try increasing it",  # llama.cpp
        "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000",  # TGI
        "Input validation error: `inputs` must have less than 4095 tokens. Given: 5000",  # TGI
        "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context length",
        "the input length exceeds the context length",  # Ollama
    ],
)
def test_every_servers_way_to_say_too_long_drops_one_question(message):
    for body in ({"error": {"message": message}}, {"error": message}):
        assert unserved().refused(400, body, {}).reason == "context_length"


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        ({"message": "the model is overloaded", "code": 503}, TransientError, "overloaded"),
        ({"message": "Internal error"}, TransientError, "Internal error"),
        ("slot unavailable", TransientError, "slot unavailable"),
        ({"message": "exceeds the available context size", "code": 400}, PermanentError, "context size"),
        ({"message": "no such key", "code": 401}, TeacherError, "no such key"),
    ],
)
def test_an_error_in_a_reply_with_status_200_is_told_in_the_servers_words(error, kind, message):
    with pytest.raises(kind, match=message):
        unserved().read({"error": error}, "prompt")


@pytest.mark.parametrize(
    ("reported", "finish"),
    [
        ("STOP", "stop"), ("Stop", "stop"), ("MAX_TOKENS", "length"), ("Length", "length"),
        ("SAFETY", "content_filter"), ("RECITATION", "unfinished"), (None, "unfinished"),
    ],
)  # fmt: skip
def test_a_finish_reason_counts_in_any_case_and_without_a_count_of_tokens_nothing_is_taken_for_free(reported, finish):
    reply = {"choices": [{"message": {"content": "x"}, "finish_reason": reported}]}
    response = unserved(teacher_prices="m=1/2").read(json.dumps(reply).encode(), "prompt")
    assert (response.finish_reason, response.usd) == (finish, None)


@pytest.mark.parametrize("proxy", ["socks5://user:secret@127.0.0.1:9", "socks://user:secret@127.0.0.1:9"])
def test_a_proxy_that_cannot_be_used_is_one_line_without_its_address(monkeypatch, proxy):
    monkeypatch.setenv("ALL_PROXY", proxy)
    message = r"the proxy of the environment cannot be used .*; ALL_PROXY.* set a proxy"
    with refused(TeacherError, message) as error, unserved():
        pass
    assert "127.0.0.1:9" not in str(error.value)


def test_a_proxy_is_named_where_a_connection_fails(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://user:secret@127.0.0.1:9")
    with (
        pytest.raises(TransientError, match=r"no connection \(.*; HTTP_PROXY set a proxy") as error,
        unserved() as teacher,
    ):
        teacher.complete("x", sample=0, temperature=0.0)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("fault", ["hang", "not json", "no choices"])
def test_a_server_that_charges_and_gives_nothing_is_asked_a_few_times_and_the_run_ends(cache, fault):
    message = r"took the last 5 requests, sent one by one, .* rerun"
    with FaultyServer(rate=1.0, faults=(fault,)) as server, refused(TeacherError, message):
        ask(served(server, teacher_timeout=1.0), rows(500), cache)
    assert server.charged == 5


def test_a_server_that_ceases_to_give_anything_is_asked_by_those_under_way_and_a_few_times_more(cache):
    """An answer between two failures would begin a new row of them, so here only the first request gets one."""
    first = {"number 0?": (200, ANSWER)}
    with FaultyServer(latency=0.05, special=first, rate=1.0, faults=("not json",)) as server:
        with refused(TeacherError, "took the last 5 requests"):
            ask(served(server, teacher_in_flight=32), rows(5000), cache)
        assert 5 + 5 <= server.charged <= 5 + 31 + 5, "in a row, those under way meanwhile, one by one"


def test_connections_that_are_lost_all_at_once_end_no_run(cache):
    with FaultyServer(latency=0.3) as server:
        completions = teachers.ask(served(server, teacher_in_flight=32), ONE_CALL, rows(200), cache)
        next(completions)
        server.rate, server.faults = 1.0, ("reset",)
        while server.faulted["reset"] < 20:
            time.sleep(0.005)
        server.rate = 0.0
        assert len(list(completions)) == 199 and server.faulted["reset"] >= 20
        assert set(server.whole.values()) == {1} and len(server.whole) == 200


def test_two_thousand_prompts_through_a_third_of_faults(cache):
    questions = rows(2000)
    with FaultyServer(rate=0.3, latency=0.002) as server:
        completions = ask(served(server, teacher_timeout=5.0), questions, cache)
        assert 32 < server.most_at_once <= 64
        faults = Counter(row["finish_reason"] for row in completions)
        assert [row["question_id"] for row in completions] == [row["id"] for row in questions], "in order"
        assert faults.keys() <= {"stop", "length", "unanswered"} and faults["stop"] > 1800
        assert set(server.faulted) == {*FAULTS, ""}
        assert set(server.whole.values()) == {1} and len(server.whole) == faults["stop"] + faults["length"]
        for question, row in zip(questions, completions, strict=True):
            whole = row["finish_reason"] in ("stop", "length")
            assert (question["question"] in row["prompt"]) and whole == bool(row["text"])


RUN = """
import json, pathlib, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started the tests without it
sys.path.insert(0, sys.argv[3])
from conftest import make_question
from scicot_utils import teachers
from scicot_utils.serving.cache import Cache
from scicot_utils.prompts import TEACHER_PROMPTS
from scicot_utils.recipe import Settings
more = json.loads(sys.argv[4])
first, count = more.pop("first", 0), more.pop("count")
settings = Settings(teacher="openai", teacher_model="m", teacher_base_url=sys.argv[1], teacher_in_flight=64, **more)
rows = [make_question(id=f"q{i}", question=f"Which is number {i}?") for i in range(first, first + count)]
with Cache(pathlib.Path(sys.argv[2])) as cache:
    prompt = TEACHER_PROMPTS["zero_shot_cot_one_call"]
    teacher, limits = teachers.open_teacher(settings), teachers.limits_of(settings)
    teacher.pause = 0.01
    completions = list(teachers.ask(teacher, prompt, rows, cache, limits=limits))
print(len(completions), hash(tuple(row["text"] for row in completions)))
"""


def start(server, path, **more):
    words = [sys.executable, "-c", RUN, server.url, str(path), str(Path(__file__).parent), json.dumps(more)]
    alike = os.environ | {"PYTHONHASHSEED": "0"}
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=alike)


def wait_for(condition, process):
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.005)


def stored(path):
    with closing(sqlite3.connect(path)) as connection:
        return {
            f"0/{json.loads(request)['prompt']}"
            for request, response in connection.execute("SELECT request, response FROM responses")
            if json.loads(response)["finish_reason"] in ("stop", "length")
        }


def test_killed_three_times_it_asks_nothing_again_that_was_stored(tmp_path):
    path, snapshots = tmp_path / "c.sqlite", []
    with FaultyServer(rate=0.3, latency=0.01) as server:
        for part in (0.2, 0.45, 0.7):
            process = start(server, path, count=2000, teacher_timeout=3.0)
            wait_for(lambda part=part: len(server.whole) >= 2000 * part, process)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            time.sleep(0.1)  # the server finishes what it was at
            snapshots.append((stored(path), Counter(server.requests)))
        process = start(server, path, count=2000, teacher_timeout=3.0)
        out, errors = process.communicate()
        assert process.returncode == 0 and out.startswith("2000 "), errors
        assert 0 < len(snapshots[0][0]) < len(snapshots[1][0]) < len(snapshots[2][0]) < 2000
        for stored_prompts, requests in snapshots:  # what was stored was not asked again
            assert all(server.requests[prompt] == requests[prompt] for prompt in stored_prompts)
        final = stored(path)
        assert len(final) >= 1990 and all(server.whole[prompt] >= 1 for prompt in final)
        lost = sum(server.whole.values()) - len(server.whole)
        assert lost <= 3 * 64, "only what was under way at a kill is asked twice"
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


# Money


PRICED = {"teacher_prices": "m=100/1000", "teacher_max_tokens": 20}
PRICE = 0.021  # in USD, of a request with 10 and 20 tokens


def test_a_cap_is_never_passed_with_64_under_way_and_a_higher_one_goes_on(cache):
    with FaultyServer(rate=0.3, latency=0.005, tokens=(10, 20)) as server:
        teacher = served(server, teacher_timeout=3.0, **PRICED)
        for _ in range(2):
            with refused(BudgetReached, r"would pass max_usd 1 .* raise the cap and rerun"):
                ask(teacher, rows(300), cache, limits=Limits(max_usd=1.0))
            assert server.charged * PRICE <= 1.0
        assert server.most_at_once <= 64
        assert len(cache) > 10 and sum(server.whole.values()) == len(cache)
        completions = ask(teacher, rows(300), cache, limits=Limits(max_usd=100.0))
        assert len(completions) == 300 and set(server.whole.values()) == {1}


def test_a_server_that_ignores_the_limit_passes_a_cap_by_one_request_at_most(cache):
    price = 2000 * 100 / 1e6
    with FaultyServer(tokens=(10, 2000), latency=0.02) as server:
        teacher = served(server, teacher_prices="m=0/100", teacher_max_tokens=16)
        assert teacher.worst("x") < price / 100
        with refused(BudgetReached, r"the next, at most 0\.2"):
            ask(teacher, rows(500), cache, limits=Limits(max_usd=1.0))
        assert 0.6 < server.charged * price <= 1.0 + 1e-9
        with refused(BudgetReached):
            ask(teacher, rows(500), cache, limits=Limits(max_usd=1.1))
        assert server.charged * price <= 1.1 + price
        assert cache.spent()[0] == pytest.approx(server.charged * price)


def test_a_cap_holds_for_several_processes_together(tmp_path):
    with FaultyServer(latency=0.02, tokens=(10, 20)) as server:
        capped = {"count": 100, "max_usd": 1.0} | PRICED
        running = [start(server, tmp_path / "c.sqlite", first=first, **capped) for first in (0, 100, 200)]
        errors = [process.communicate()[1] for process in running]
        assert all("BudgetReached" in text for text in errors), errors
        assert 0.8 < server.charged * PRICE <= 1.0


def test_a_cap_on_requests_counts_tries(cache):
    with FaultyServer(rate=0.5, faults=("500",)) as server, refused(BudgetReached, "max_requests 30"):
        ask(served(server), rows(100), cache, limits=Limits(max_requests=30))
    assert sum(server.requests.values()) == 30


@pytest.mark.parametrize(
    ("fault", "charged"),
    [
        *dict.fromkeys(("reset", "hang", "504", "not json"), True).items(),
        *dict.fromkeys(("429", "500", "503"), False).items(),
    ],
)
def test_what_may_have_been_charged_without_an_answer_stays_counted_and_what_was_refused_costs_nothing(
    cache, fault, charged
):
    with FaultyServer(rate=1.0, faults=(fault,)) as server:
        teacher = served(server, teacher_tries=3, teacher_timeout=0.3, **PRICED)
        [row] = ask(teacher, rows(1), cache)
    assert cache.spent() == (pytest.approx(3 * teacher.worst(row["prompt"]) * charged), 3)
    assert row["finish_reason"] == "unanswered" and (math.isnan(row["usd"]) if charged else row["usd"] == 0.0)


@pytest.mark.parametrize(
    ("status", "charged"),
    [(408, True), (502, True), (504, True), (524, True), (409, False), (429, False), (500, False), (503, False)],
)
def test_behind_a_gateways_status_an_answer_may_be_lost_that_is_charged(status, charged):
    error = unserved().refused(status, None, {})
    assert isinstance(error, TransientError) and error.sent == charged


def test_the_progress_counts_a_lost_try_at_its_worst(cache, capfd):
    with FaultyServer(rate=0.2, faults=("504",)) as server:  # too few faults to end the run, in whatever order
        ask(served(server, **PRICED), rows(20), cache, show_progress=True)
    assert server.charged > len(server.whole) == 20
    assert teachers.usd_text(cache.spent()[0]) in capfd.readouterr().err.rsplit("\r", 1)[-1]


PLANNED = (
    MINIMAL
    + """teacher: {teacher: openai, teacher_model: m, prompt: zero_shot_cot_one_call, teacher_splits: train}
variants:
  more: {samples: 3, temperature: 0.7}
  most: {samples: 5, temperature: 0.7}
  two: {prompt: zero_shot_cot}
  other: {teacher_model: n}
  longer: {teacher_max_tokens: 9}
  free: {teacher: simulated}
  all: {filter: all}
"""
)


@pytest.fixture
def planned(tmp_path):
    """A recipe whose variants ask the teacher for more, and its questions: (recipe, of train, of test)."""
    (tmp_path / "mine.yaml").write_text(PLANNED)
    train = [row | {"split": "train"} for row in rows(4)]
    return recipe.load(str(tmp_path / "mine.yaml")), train, rows(6)[4:]


def test_what_the_variants_of_a_recipe_ask_is_counted_once(planned):
    plan, train, test = planned
    plans = teachers.full_run(plan, plan.settings(), [*train, *test], [], "main")
    assert [(row["variant"], row["prompt"], row["completions"], row["alike"]) for row in plans] == [
        ("more", "zero_shot_cot_one_call", 12, True),
        ("most", "zero_shot_cot_one_call", 8, True),
        ("two", "zero_shot_cot", 4, True),
        ("other", "zero_shot_cot_one_call", 4, False),
        ("longer", "zero_shot_cot_one_call", 4, False),
    ]


def test_a_full_run_asks_its_own_prompt_and_only_compares_the_others(planned):
    plan, questions, _ = planned
    prompts_compared = ["zero_shot_cot", "zero_shot_cot_one_call"]
    plans = teachers.full_run(plan, plan.settings(variant="more"), questions, prompts_compared, "main")
    own = [(row["variant"], row["prompt"], row["completions"], row["asked"]) for row in plans[:2]]
    assert own == [("main", "zero_shot_cot", 12, False), ("main", "zero_shot_cot_one_call", 12, True)]
    greedy = teachers.full_run(plan, plan.settings(), questions, prompts_compared, "main")
    assert greedy[0]["completions"] == 4, "greedy samples are asked once"
    assert greedy[2:] == teachers.full_run(plan, plan.settings(), questions, [], "main")
    assert all(row["asked"] for row in greedy[2:])
    free = teachers.full_run(plan, plan.settings(variant="free"), questions, [plan.settings().prompt], "free")
    assert [row["asked"] for row in free[:2]] == [False, True], "a free teacher's run costs nothing, a variant's may"


def test_the_cost_of_a_full_run_is_the_sum_of_its_parts_and_unknown_with_one_that_is():
    parts = [(1.0, 0.5, 1.5), (0.25, 0.25, 0.25)]
    assert teachers.cost_text(parts, "p") == (
        "The full run with `p`, variants included, is expected to cost 1.25 USD (0.75 USD to 1.75 USD)."
    )
    assert teachers.cost_text([*parts, (math.nan, 0.0, math.inf)], "p").startswith(
        "The cost of the full run is unknown"
    )
    assert teachers.cost_text([], "p") == teachers.cost_text([(0.0, 0.0, 0.0)], "p") == ""


def test_what_completions_took_is_summed_and_an_unknown_price_makes_an_unknown_sum(cache):
    row = {"prompt_tokens": 10, "completion_tokens": 5, "usd": 0.5}
    assert list(teachers.usage(cache, [row, row]).values()) == [0, 0, 0.0, 20, 10, 1.0]
    assert teachers.usage(cache, [row, row | {"usd": math.nan}])["USD of all completions"] == "unknown"


def test_what_was_ever_spent_is_told_against_the_caps(cache):
    unlisted = Settings(teacher="openai", teacher_model="m")
    paid = unlisted.model_copy(update=PRICED | {"max_usd": 9.0, "max_requests": 50})
    assert teachers.spending(cache, paid) == "No paid request was ever sent through this cache."
    with FaultyServer() as server:
        ask(served(server), rows(1), cache)
        begun = "Requests ever sent through this cache: 1 (max_requests: none), at an unknown price (max_usd: none)."
        begun += " What was written to a batch counts as sent."
        assert teachers.spending(cache, unlisted) == begun
        ask(served(server, **PRICED), rows(2), cache)
    assert teachers.spending(cache, paid) == (
        "Requests ever sent through this cache: 3 (max_requests: 50), "
        "for at most 0.04 USD as far as prices were listed (max_usd: 9). What was written to a batch counts as sent."
    )


def test_a_known_price_is_counted_and_an_unknown_one_is_not_zero(cache):
    with FaultyServer(tokens=(10, 20)) as server:
        [priced] = ask(served(server, **PRICED), rows(1), cache)
        assert priced["usd"] == pytest.approx(PRICE) and cache.usd == pytest.approx(PRICE)
        [unknown] = ask(served(server), rows(1), cache)
    assert unknown["usd"] != unknown["usd"] and cache.usd is None
    assert teachers.usd_text(unknown["usd"]) == teachers.usd_text(None) == "price unknown"


# The key


KEY = "sk-Planted-Secret-0123456789"


def everything(folder):
    return b"\n".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_the_key_is_sent_and_appears_nowhere(tmp_path, monkeypatch, capfd, caplog):
    monkeypatch.setenv("TEACHER_KEY_FOR_TEST", KEY)
    caplog.set_level("DEBUG")
    with FaultyServer(key=KEY) as server, Cache(tmp_path / "c.sqlite") as cache:
        teacher = served(server, teacher_api_key_env="TEACHER_KEY_FOR_TEST")
        completions = ask(teacher, rows(3), cache, show_progress=True)
        (tmp_path / "export.jsonl").write_text("\n".join(export(cache._path)))
        monkeypatch.setenv("TEACHER_KEY_FOR_TEST", KEY + "x")
        with refused(TeacherError, "status 401") as caught:
            ask(teacher, rows(9), cache)  # the server repeats the key that it was sent
    told = [str(caught.value), repr(caught.value), repr(completions), repr(teacher), str(vars(teacher)), caplog.text]
    told += [*capfd.readouterr(), json.dumps(teacher.identity)]
    assert completions[0]["finish_reason"] == "stop" and "Bad key" in "".join(told)
    assert KEY not in "".join(told) and KEY.encode() not in everything(tmp_path)


@pytest.mark.parametrize("key", ["sk-secré", "sk-secret\nsk-more"])
def test_a_key_that_cannot_be_sent_is_told_of_by_its_name_only(cache, monkeypatch, key):
    monkeypatch.setenv("KEY_OF_THE_TEST", key)
    message = "variable KEY_OF_THE_TEST: holds characters"
    with FaultyServer() as server, refused(TeacherError, message) as caught:
        ask(served(server, teacher_api_key_env="KEY_OF_THE_TEST"), rows(1), cache)
    assert "sk-" not in str(caught.value) and not server.requests


def test_the_key_in_the_default_variable_is_sent_to_no_other_server_than_the_default_one(cache, monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, KEY)
    with FaultyServer() as server:
        ask(served(server), rows(1), cache)
    assert KEY not in json.dumps(server.headers) and server.headers
    message = "name the variable that holds its key in teacher_api_key_env: OPENAI_API_KEY is for https://api.openai"
    with FaultyServer(key=KEY) as server, refused(TeacherError, message):
        ask(served(server), rows(2), cache)


def test_the_key_in_the_default_variable_is_sent_to_the_default_server(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with teachers.open_teacher(Settings(teacher="openai", teacher_model="m")) as teacher:
        assert teacher._client.auth_headers == {"Authorization": f"Bearer {KEY}"}


# Stopping


def test_a_reader_that_stops_early_leaves_nothing_running(cache):
    with FaultyServer(latency=0.05) as server:
        completions = teachers.ask(served(server, teacher_in_flight=4), ONE_CALL, rows(500), cache)
        next(completions)
        completions.close()
        before = sum(server.requests.values())
        time.sleep(0.2)
        assert sum(server.requests.values()) == before < 50
        assert len(cache) == server.charged == before, "what was under way is stored"


def test_a_cache_that_is_closed_ends_asking_first_and_all_that_was_paid_for_is_stored(tmp_path):
    with FaultyServer(latency=0.1) as server:
        with Cache(tmp_path / "c.sqlite") as cache:
            completions = teachers.ask(served(server, teacher_in_flight=8), ONE_CALL, rows(500), cache)
            next(completions)
            while sum(server.requests.values()) < 2:  # until the next are on their way
                time.sleep(0.005)
        charged = server.charged
        with refused(TeacherError, r"asking was stopped before its end.* rerun to go on"):
            list(completions)
        with Cache(tmp_path / "c.sqlite") as cache:
            assert len(cache) == server.charged == charged > 1


def test_asking_does_not_run_far_ahead_of_its_reader(cache):
    with FaultyServer() as server:
        completions = teachers.ask(served(server), ONE_CALL, rows(2000), cache)
        next(completions)
        seen = [0]
        while len(seen) < 4 or len(set(seen[-4:])) > 1:  # it has come to rest
            seen.append(sum(server.requests.values()))
            time.sleep(0.5)
        assert 1 < seen[-1] <= MAX_PENDING + 1
        assert len(list(completions)) == 1999


def test_an_interrupted_run_waits_for_what_is_under_way_and_stores_it(tmp_path):
    path = tmp_path / "c.sqlite"
    with FaultyServer(latency=0.8) as server:
        process = start(server, path, count=500)
        wait_for(lambda: sum(server.requests.values()) >= 65, process)
        process.send_signal(signal.SIGINT)
        errors = process.communicate()[1]
        assert process.returncode and "KeyboardInterrupt" in errors
        assert len(stored(path)) == sum(server.requests.values()) == server.charged == 65, "the first, and 64 at once"


def test_a_second_interrupt_waits_for_nothing(tmp_path):
    with FaultyServer(special={"number 0?": (200, ANSWER)}, rate=1.0, faults=("hang",)) as server:
        process = start(server, tmp_path / "c.sqlite", count=500, teacher_timeout=300.0)
        wait_for(lambda: server.charged >= 60, process)
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None, "it waits"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        assert len(stored(tmp_path / "c.sqlite")) == 1


# Several at once


def test_processes_that_ask_the_same_pay_for_it_once(tmp_path):
    with FaultyServer(rate=0.3, faults=("429", "500", "truncated"), latency=0.02) as server:
        running = [start(server, tmp_path / "c.sqlite", count=150) for _ in range(3)]
        done = [(process.communicate(), process.returncode) for process in running]
        assert [code for _, code in done] == [0, 0, 0], done
        assert len({out for (out, _), _ in done}) == 1, "and go on with the same answers"
        assert len(server.whole) == 150 and set(server.whole.values()) == {1}


def test_two_runs_in_one_process_share_a_cache(cache):
    with FaultyServer(latency=0.01) as server:
        parts = rows(200)[:150], rows(200)[50:]
        first, second = (teachers.ask(served(server, **PRICED), ONE_CALL, part, cache) for part in parts)
        pairs = list(zip(first, second, strict=True))
        assert len(pairs) == 150 and len(cache) == len(server.whole) == 200 and set(server.whole.values()) == {1}
    assert cache.spent() == (pytest.approx(200 * PRICE), 200)


def test_a_full_disk_ends_the_run_with_what_was_paid_for_counted_and_the_cache_in_its_place(tmp_path):
    path = tmp_path / "c.sqlite"
    with FaultyServer(reply="x" * 5000, latency=0.01) as server, Cache(path) as cache:
        pages = cache._connection.execute("PRAGMA page_count").fetchone()[0]
        cache._connection.execute(f"PRAGMA max_page_count = {pages + 60}")
        with refused(CacheError, r"disk is full.* the content is kept") as caught:
            ask(served(server, teacher_in_flight=8, **PRICED), rows(500), cache)
        assert "set aside" not in str(caught.value)
        usd, requests = cache.spent()
        assert len(cache) < server.charged == requests and usd >= server.charged * PRICE
        cache._connection.execute("PRAGMA max_page_count = 1000000")
        assert len(ask(served(server, **PRICED), rows(500), cache)) == 500, "with room again it goes on"


def test_a_ledger_that_cannot_be_written_ends_the_run_though_others_wait_at_a_cap(cache, monkeypatch):
    def full(_):
        raise CacheError("disk is full")

    failing = {f"number {i}?": (503, {}) for i in range(1, 20)}
    with FaultyServer(latency=0.1, special=failing) as server:
        teacher = served(server, teacher_in_flight=2, teacher_tries=2, **PRICED)
        monkeypatch.setattr(cache, "give_back", full)
        cap = PRICE + 1.2 * teacher.worst(ONE_CALL.question(rows(1)[0]))  # for one under way
        with Deadline(5.0), refused(CacheError, "disk is full"):
            ask(teacher, rows(20), cache, limits=Limits(max_usd=cap))


@pytest.mark.parametrize(("status", "charged"), [(504, True), (503, False), (429, False)])
def test_a_long_wait_ends_the_run_with_what_to_do_and_stays_counted_behind_a_gateway(
    cache, monkeypatch, status, charged
):
    monkeypatch.setattr("scicot_utils.serving.served._retry_after", lambda _: 86400.0)
    message = r"asks to wait 86400 s .* rerun later"
    with FaultyServer(special={"number": (status, {})}) as server, refused(TeacherError, message):
        ask(served(server, teacher_prices="m=100/1000"), rows(1), cache)
    assert (cache.spent()[0] > 0) == charged


def test_it_can_be_asked_where_an_event_loop_is_running(cache):
    async def notebook():
        with FaultyServer() as server:
            return ask(served(server), rows(3), cache)

    assert len(asyncio.run(notebook())) == 3


def test_the_address_of_the_server_is_no_part_of_the_key(cache):
    with FaultyServer() as first, FaultyServer() as second:
        ask(served(first), rows(3), cache)
        ask(served(second), rows(3), cache)
    assert sum(first.requests.values()) == 3 and not second.requests
