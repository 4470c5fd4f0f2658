"""The store of responses: what was paid for once is never asked for again."""

import json
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from conftest import refused
from filelock import Timeout
from hypothesis import given, settings
from hypothesis import strategies as st

from scicot_utils.serving import cache
from scicot_utils.serving.cache import Cache, CacheError, Response

REQUEST = {"prompt": "Q: é\n", "temperature": 0.0, "sample": 0, "identity": {"a": 1, "b": [1, 2]}}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def response(text="It flies.", **changes):
    return Response(**{
        "text": text, "finish_reason": "stop", "prompt_tokens": 3, "completion_tokens": 2, "usd": 0.25,
        "created": "2026-01-01T00:00:00+00:00",
    } | changes)  # fmt: skip


def fill(opened, count):
    for i in range(count):
        opened.put({"i": i}, response())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "cache.sqlite"


@pytest.fixture
def other(path):
    """A second cache, beside the one that is tested."""
    with Cache(path.with_name("other.sqlite")) as opened:
        yield opened


def database(path):
    """The file as any program may open it; what is written is so at once."""
    return closing(sqlite3.connect(path, isolation_level=None))


def turned(value):
    """The same JSON with the keys of every object in the opposite order."""
    if isinstance(value, dict):
        return {name: turned(inner) for name, inner in reversed(value.items())}
    return [turned(inner) for inner in value] if isinstance(value, list) else value


@given(request=st.dictionaries(st.text(), JSON, max_size=5))
def test_the_order_of_keys_makes_no_other_request(request):
    assert cache.key(turned(request)) == cache.key(request)


@pytest.mark.parametrize("change", [{"prompt": "Q: e\n"}, {"temperature": 0.7}, {"sample": 1}, {"more": None}])
def test_anything_else_makes_another_request(change):
    assert cache.key(REQUEST | change) != cache.key(REQUEST)


@settings(max_examples=20)  # each opens a file
@given(text=st.text(), reason=st.sampled_from(("stop", "length")), usd=st.floats(0, 10))
def test_what_was_put_is_got_again(tmp_path_factory, text, reason, usd):
    stored = response(text, finish_reason=reason, usd=usd)
    with Cache(tmp_path_factory.mktemp("cache") / "c.sqlite") as opened:
        opened.put(REQUEST, stored)
        assert opened.get(turned(REQUEST)) == stored


def test_the_first_answer_stays_outlives_the_process_and_its_request_can_be_read_in_the_file(path):
    with Cache(path) as opened:
        opened.put(REQUEST, response("first"))
        stored = opened.put(REQUEST, response("second"))
        assert stored == opened.get(REQUEST) == response("first"), "and is handed back"
    with Cache(path) as opened:
        assert opened.get(REQUEST) == response("first") and len(opened) == 1
    with database(path) as connection:
        assert json.loads(connection.execute("SELECT request FROM responses").fetchone()[0]) == REQUEST


def test_hits_misses_and_the_price_of_what_is_put_in_are_counted(path):
    with Cache(path) as opened:
        assert opened.get(REQUEST) is None
        opened.put(REQUEST, response())
        opened.get(REQUEST)
        opened.get(REQUEST)
        assert (opened.hits, opened.misses, opened.usd) == (2, 1, 0.25)
        fill(opened, 3)
        assert opened.usd == 1.0
        opened.put({"i": 5}, response(usd=None))
        assert opened.usd is None


def test_of_a_request_that_is_no_json_nothing_is_stored_or_counted(path):
    with Cache(path) as opened:
        with pytest.raises(TypeError):
            opened.put({"prompt": object()}, response(), reserved=0.5)
        assert len(opened) == 0 and opened.spent() == (0.0, 0)


def test_threads_may_share_one(path):
    with Cache(path) as opened, ThreadPoolExecutor(8) as threads:

        def use(name):
            for i in range(50):
                assert opened.reserve(0.5, 0.0, 0)
                opened.get({"shared": i})
                opened.put({"own": [name, i]}, response(), reserved=0.5)
                opened.put({"shared": i}, response())

        list(threads.map(use, range(8)))
        assert len(opened) == 450 and opened.hits + opened.misses == 400
        assert opened.spent() == (pytest.approx(8 * 50 * 0.25), 400)


def test_eight_processes_write_to_one_file(path):
    code = """
import pathlib, sys
from scicot_utils.serving.cache import Cache, Response
for i in range(100):
    with Cache(pathlib.Path(sys.argv[1])) as opened:
        shared = Response(sys.argv[2], "stop", 1, 1, 0.0, "")
        opened.put({"own": [sys.argv[2], i]}, shared)
        opened.put({"shared": i}, shared)
"""
    words = [sys.executable, "-c", code, str(path)]
    started = [subprocess.Popen([*words, name], stderr=subprocess.PIPE, text=True) for name in "abcdefgh"]
    errors = [process.communicate()[1] for process in started]
    assert [process.returncode for process in started] == [0] * 8, errors
    with Cache(path) as opened:
        assert len(opened) == 900
        assert all(opened.get({"own": [name, i]}).text == name for name in "abcdefgh" for i in range(100))
    with database(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@pytest.fixture
def damaged(path):
    """Fills a cache, damages its file, and gives what meets it next."""

    def damage(start, length=0):
        with Cache(path) as opened:
            fill(opened, 300)
        content = bytearray(path.read_bytes())
        if length:
            content[start : start + length] = b"\xff" * length
        else:
            del content[start:]  # cut off
        path.write_bytes(content)
        with refused(CacheError) as caught, Cache(path) as opened:
            for i in range(300):
                opened.get({"i": i})
        return content, str(caught.value)

    return damage


@pytest.mark.parametrize(
    ("start", "length"), [(0, 4000), (100, 4000), (4096, 4000), (20_000, 4000), (8192, 0), (50_001, 0)]
)
def test_a_damaged_file_is_named_stays_as_it_is_and_is_not_used(path, damaged, start, length):
    content, message = damaged(start, length)
    assert "cache.sqlite is no usable cache" in message and "export-cache" in message
    assert path.read_bytes() == content
    with refused(CacheError, "is no usable cache"), Cache(path) as opened:
        opened.get({"i": 299})
    path.unlink()
    with Cache(path) as opened:
        assert len(opened) == 0


def test_a_file_that_others_hold_stays_in_its_place(path, monkeypatch):
    monkeypatch.setattr(cache, "BUSY_SECONDS", 0.1)
    with Cache(path) as opened:
        with database(path) as connection:
            connection.execute("BEGIN IMMEDIATE")
            with refused(CacheError, r"locked\); check disk space, permissions and other processes, then rerun"):
                opened.put(REQUEST, response())
        opened.put(REQUEST, response())
    assert [file.name for file in path.parent.iterdir()] == ["cache.sqlite"]


def test_what_a_damaged_file_still_holds_can_be_saved(path):
    with Cache(path) as opened:
        for i in range(300):
            opened.reserve(0.25, 0.0, 0)
            opened.put({"i": i}, response(), reserved=0.25)
    with database(path) as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_responses_1'"
        [page] = connection.execute(query).fetchone()
    content = bytearray(path.read_bytes())
    content[4096 * (page - 1) : 4096 * page] = b"\xff" * 4096
    path.write_bytes(content)
    with refused(CacheError):
        Cache(path)
    lines = cache.export(path)
    path.unlink()
    with Cache(path) as opened:
        assert opened.take_in(lines, "saved.jsonl") == 300 and opened.take_in(lines, "saved.jsonl") == 0
        assert opened.get({"i": 0}) == response() and opened.spent() == (pytest.approx(75.0), 300), "counted once"
        assert not opened.reserve(0.25, 75.1, 0), "and a cap holds for what was spent before"


def test_a_file_that_cannot_be_read_for_another_reason_than_damage_is_not_taken_for_empty(path, monkeypatch):
    monkeypatch.setattr(cache, "BUSY_SECONDS", 0.1)
    with Cache(path) as opened:
        opened.put(REQUEST, response())
    with database(path) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("BEGIN EXCLUSIVE")
        with refused(CacheError, r"cannot be read \(database is locked\)"):
            cache.export(path)


def test_a_cache_is_exported_and_built_again_from_the_export(path, other):
    answers = [({"i": i, "text": "é\u2028\0"}, response("\u2028\x00é\n", usd=None, reasoning="why")) for i in range(9)]
    with Cache(path) as opened:
        for answer in answers:
            opened.put(*answer)
    lines = cache.export(path)
    assert other.take_in(lines, "x") == 9 and other.take_in(lines, "x") == 0
    assert cache.export(path.with_name("other.sqlite")) == lines
    assert all(other.get(request) == stored for request, stored in answers)
    with database(path) as connection:  # a row whose price is no number is left out
        connection.execute("UPDATE responses SET response = json_set(response, '$.usd', '1') WHERE rowid = 2")
    assert len(cache.export(path)) == 8


@pytest.mark.parametrize(
    "change", [{"key": "0"}, {"request": {}}, {"response": {}}, {"response": None}, {"response": {"text": 1}}, None]
)
def test_a_line_that_is_no_export_is_named_and_nothing_is_taken_in(path, other, change):
    with Cache(path) as opened:
        opened.put(REQUEST, response())
    [line] = cache.export(path)
    bad = "{" if change is None else json.dumps(json.loads(line) | change)
    with refused(CacheError, r"export\.jsonl, line 2: allowed: a line of `export-cache`"):
        other.take_in([line, bad], "export.jsonl")
    assert len(other) == 0


@pytest.mark.parametrize("reason", cache.GIVEN_UP)
def test_the_mark_of_a_request_given_up_is_no_answer_and_gives_way_to_one(path, reason):
    with Cache(path) as opened:
        opened.put(REQUEST, response("", finish_reason=reason))
        assert opened.get(REQUEST) is None and len(opened) == 1
        opened.put(REQUEST, response("whole"))
        opened.put(REQUEST, response("", finish_reason=reason))
        assert opened.get(REQUEST).text == "whole"


def test_a_reservation_is_refused_where_it_would_pass_a_cap(path):
    with Cache(path) as opened, Cache(path) as other:
        assert opened.reserve(0.6, 1.0, 0) and not other.reserve(0.6, 1.0, 0)
        opened.put(REQUEST, response(usd=0.25), reserved=0.6)
        assert other.reserve(0.6, 1.0, 0)
        other.give_back(0.6)
        assert opened.spent() == (pytest.approx(0.25), 2)
        assert not opened.reserve(0.0, 0.0, 2) and opened.reserve(5.0, 0.0, 0)


def test_a_cache_of_the_first_version_is_read_and_a_database_of_something_else_or_a_folder_is_none(path):
    path.parent.mkdir()
    old = {"text": "a", "finish_reason": "stop", "prompt_tokens": 1, "completion_tokens": 1, "usd": 0.0, "created": ""}
    columns = "key TEXT PRIMARY KEY, request TEXT NOT NULL, response TEXT NOT NULL"
    with database(path) as connection:
        connection.execute(f"CREATE TABLE responses ({columns})")
        connection.execute("INSERT INTO responses VALUES (?, '{}', ?)", (cache.key(REQUEST), json.dumps(old)))
    with Cache(path) as opened:
        assert opened.get(REQUEST) == Response(**old)
    other = path.with_name("other.sqlite")
    with database(other) as connection:
        connection.execute("CREATE TABLE responses (id TEXT)")
    for no_cache in (other, path.parent):
        with refused(CacheError, "no usable cache"), Cache(no_cache) as opened:
            opened.get(REQUEST)


def test_what_others_paid_for_an_export_need_not_count_here(tmp_path):
    with Cache(tmp_path / "theirs.sqlite") as theirs:
        theirs.put(REQUEST, response())
        theirs.put({"free": 1}, response(usd=0.0))
        theirs.put({"of unknown price": 1}, response(usd=None))
    lines = cache.export(tmp_path / "theirs.sqlite")
    lines += ['{"spent": {"cache": "a", "usd": 1.0, "requests": 1}}']  # which an earlier version wrote
    exported = [*cache.exported(lines, "x")]
    assert len(exported) == 3 and (REQUEST, response()) in exported
    for paid_here, spent in ((True, (0.25, 2)), (False, (0.0, 0))):
        with Cache(tmp_path / f"ours{paid_here}.sqlite") as ours:
            assert ours.take_in(lines, "export", paid_here=paid_here) == 3
            assert ours.spent() == spent


def test_one_process_at_a_time_has_its_turn_and_a_killed_one_gives_it_up(path):
    code = "import pathlib, sys; from scicot_utils.serving.cache import Cache; "
    code += "opened = Cache(pathlib.Path(sys.argv[1])); opened.turn.acquire(); print(flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], text=True, **pipes)
    assert process.stdout.readline() == "\n"
    link = path.with_name("link.sqlite")
    link.symlink_to(path)
    for name in (path, link):
        with Cache(name) as opened, pytest.raises(Timeout):
            opened.turn.acquire(timeout=0)
    process.kill()
    process.communicate()
    with Cache(path) as opened, opened.turn.acquire(timeout=0):
        assert opened.turn.is_locked
