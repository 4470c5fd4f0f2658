"""A durable store of teacher responses, addressed by what determines them. It asks no teacher.

One SQLite file (write-ahead log, so that several processes may use it). A response is stored before it is used:
whatever dies afterwards, no response is paid for twice.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from scicot_utils import ScicotError, paths

T = TypeVar("T")
SCHEMA = "CREATE TABLE IF NOT EXISTS responses (key TEXT PRIMARY KEY, request TEXT NOT NULL, response TEXT NOT NULL)"
BUSY_SECONDS = 60  # how long one writer waits for another


class CacheError(ScicotError):
    """A cache file that is no cache."""


@dataclass(frozen=True)
class Response:
    """One answer of a teacher. `finish_reason`: stop | length | content_filter; `usd`: its price, 0 for a free one."""

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    usd: float
    created: str  # ISO 8601, UTC


def key(request: dict[str, Any]) -> str:
    """SHA-256 of a request's canonical JSON."""
    return hashlib.sha256(_canonical(request).encode()).hexdigest()


def _canonical(request: dict[str, Any]) -> str:
    return json.dumps(request, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


class Cache:
    """Responses by request. Counts its `hits` and `misses`; use as a context manager."""

    def __init__(self, path: Path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.hits = self.misses = 0
        self._path = path
        with self._readable():
            self._connection = sqlite3.connect(path, timeout=BUSY_SECONDS)
        try:
            with self._readable():
                self._patiently(lambda: self._connection.execute("PRAGMA journal_mode=WAL"))
                self._patiently(lambda: self._connection.execute(SCHEMA))
        except CacheError:
            self._connection.close()
            raise

    @staticmethod
    def _patiently(action: Callable[[], T]) -> T:
        """Do it again while another process opens or closes the file: SQLite then says `locked` without waiting."""
        end = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                return action()
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > end:
                    raise
                time.sleep(0.02)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Turn SQLite's errors, which a damaged file may raise at any access, into one that says what to do."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise CacheError(
                f"{paths.relative(self._path)} is no usable cache ({error}); move it away and rerun: responses are asked anew"
            ) from error

    def __enter__(self) -> Cache:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def get(self, request: dict[str, Any]) -> Response | None:
        """The stored response, or None when there is none yet."""
        with self._readable():
            asked = "SELECT response FROM responses WHERE key = ?"
            row = self._patiently(lambda: self._connection.execute(asked, (key(request),)).fetchone())
        self.hits, self.misses = self.hits + bool(row), self.misses + (not row)
        return Response(**json.loads(row[0])) if row else None

    def put(self, answered: Iterable[tuple[dict[str, Any], Response]]) -> None:
        """Store responses, all in one transaction; the first answer to a request stays."""
        rows = [(key(request), _canonical(request), json.dumps(asdict(response))) for request, response in answered]

        def store() -> None:
            with self._connection:  # one transaction
                self._connection.executemany("INSERT OR IGNORE INTO responses VALUES (?, ?, ?)", rows)

        with self._readable():
            self._patiently(store)

    def __len__(self) -> int:
        with self._readable():
            return self._connection.execute("SELECT count(*) FROM responses").fetchone()[0]
