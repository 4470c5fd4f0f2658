"""The store of responses: what was paid for once is never asked for again."""

import json
import sqlite3
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scicot_utils import cache
from scicot_utils.cache import Cache, CacheError, Response

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


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "cache.sqlite"


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
        opened.put([(REQUEST, stored)])
        assert opened.get(turned(REQUEST)) == stored


def test_a_response_outlives_the_process(path):
    with Cache(path) as opened:
        opened.put([(REQUEST, response())])
    with Cache(path) as opened:
        assert opened.get(REQUEST) == response() and len(opened) == 1


def test_the_first_answer_stays(path):
    with Cache(path) as opened:
        opened.put([(REQUEST, response("first"))])
        opened.put([(REQUEST, response("second"))])
        assert opened.get(REQUEST).text == "first" and len(opened) == 1


def test_hits_and_misses_are_counted(path):
    with Cache(path) as opened:
        assert opened.get(REQUEST) is None
        opened.put([(REQUEST, response())])
        opened.get(REQUEST)
        opened.get(REQUEST)
        assert (opened.hits, opened.misses) == (2, 1)


def test_responses_of_one_call_are_stored_all_or_none(path):
    with Cache(path) as opened:
        with pytest.raises(TypeError):
            opened.put([(REQUEST, response()), ({"prompt": object()}, response())])
        assert len(opened) == 0


def test_the_request_can_be_read_in_the_file(path):
    with Cache(path) as opened:
        opened.put([(REQUEST, response())])
    with sqlite3.connect(path) as connection:
        assert json.loads(connection.execute("SELECT request FROM responses").fetchone()[0]) == REQUEST
    connection.close()


def test_two_processes_write_to_one_file(path):
    code = """
import pathlib, sys
from scicot_utils.cache import Cache, Response
for i in range(100):
    with Cache(pathlib.Path(sys.argv[1])) as opened:
        shared = Response(sys.argv[2], "stop", 1, 1, 0.0, "")
        opened.put([({"own": [sys.argv[2], i]}, shared), ({"shared": i}, shared)])
"""
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(path), name], stderr=subprocess.PIPE, text=True)
        for name in "ab"
    ]
    told = [process.communicate()[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], told
    with Cache(path) as opened:
        assert len(opened) == 300
        assert all(opened.get({"own": [name, i]}).text == name for name in "ab" for i in range(100))


@pytest.mark.parametrize("place", [0, 100, 4096, 20_000])
def test_a_damaged_file_is_named_with_what_to_do(path, place):
    with Cache(path) as opened:
        opened.put([({"i": i}, response()) for i in range(300)])
    content = bytearray(path.read_bytes())
    content[place : place + 4000] = b"\xff" * 4000
    path.write_bytes(content)
    with (
        pytest.raises(CacheError, match=r"cache\.sqlite is no usable cache .*move it away and rerun"),
        Cache(path) as opened,
    ):
        for i in range(300):
            opened.get({"i": i})


def test_a_database_of_something_else_is_no_cache(path):
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE responses (id TEXT)")
    connection.close()
    with pytest.raises(CacheError, match="no usable cache"), Cache(path) as opened:
        opened.get(REQUEST)


def test_a_folder_is_no_cache(tmp_path):
    with pytest.raises(CacheError, match="no usable cache"):
        Cache(tmp_path)
