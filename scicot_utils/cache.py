"""A durable store of teacher responses, addressed by what determines them. It asks no teacher.

One SQLite file (write-ahead log, so that many processes may use it). A response is stored before it is used: whatever
dies afterwards, no response is paid for twice. The same file counts what was spent, so that a cap holds for all of them.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from scicot_utils import ScicotError, paths

T = TypeVar("T")
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS responses (key TEXT PRIMARY KEY, request TEXT NOT NULL, response TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS spent (one INTEGER PRIMARY KEY CHECK (one = 1), usd REAL NOT NULL, requests INTEGER NOT NULL)",
    "INSERT OR IGNORE INTO spent VALUES (1, 0, 0)",
)
STORE = """INSERT INTO responses VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET response = excluded.response
    WHERE json_extract(response, '$.finish_reason') IN ('unanswered', 'rejected', 'batched')"""  # GIVEN_UP, BATCHED
BUSY_SECONDS = 60  # how long one writer waits for another
UNANSWERED = "unanswered"  # the finish_reason of a request that was tried in vain
GIVEN_UP = (UNANSWERED, "rejected")  # finish_reasons that are kept as marks only: a rerun asks again
BATCHED = (
    "batched"  # the finish_reason of a mark: it is in a batch that was written and not read; `usd`: set aside for it
)
DAMAGES = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
OUT_OF_REACH = 100_000  # rows that cannot be read, one after the other, until a damaged file is given up
DUST = 1e-9  # USD: what adding floats may be off by


class CacheError(ScicotError):
    """A cache file that is no cache."""


@dataclass(frozen=True)
class Response:
    """One answer of a teacher, whole or marked as what it is.

    `finish_reason`: stop | length | content_filter | why there is no answer. `usd`: its price, 0 for a free one, None
    where the price is not known. `reasoning`: what a reasoning model wrote apart from `text`. `note`: why there is no
    answer, in the server's words.
    """

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    usd: float | None
    created: str  # ISO 8601, UTC
    reasoning: str = ""
    note: str = ""


def key(request: dict[str, Any]) -> str:
    """SHA-256 of a request's canonical JSON."""
    return hashlib.sha256(_canonical(request).encode()).hexdigest()


def _canonical(request: dict[str, Any]) -> str:
    return json.dumps(request, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


class Cache:
    """Responses by request; use as a context manager.

    Counts, since it was opened: `hits`, `misses`; of the responses put in, `prompt_tokens`, `completion_tokens`, `usd`
    (None once the price of one was unknown). `anew`: make the file although a damaged one was set aside in its place.
    """

    def __init__(self, path: Path, *, anew: bool = False):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.hits = self.misses = self.prompt_tokens = self.completion_tokens = 0
        self.usd: float | None = 0.0
        self._path = path
        aside = sorted(path.parent.glob(f"{path.name}.damaged-*[0-9]"))
        if aside and not path.exists() and not anew:
            raise CacheError(
                f"{paths.relative(path)} was damaged and is set aside as {aside[-1].name}, since a new one would ask and "
                f"pay for everything again; save what it holds with `python -m scicot_utils export-cache "
                f"{paths.relative(aside[-1])} FILE`, then `import-cache`, or delete it"
            )
        with self._readable():
            self._connection = sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False)  # one at a time
        try:
            with self._readable():
                self._patiently(lambda: self._connection.execute("PRAGMA journal_mode=WAL"))
                self._connection.execute("PRAGMA synchronous=NORMAL")  # outlives a killed process
                for statement in SCHEMA:
                    self._patiently(lambda statement=statement: self._connection.execute(statement))
                self._connection.commit()
                self._check()
        except CacheError:
            self._connection.close()
            raise

    def _check(self) -> None:
        """Meet damage now, not after money was spent."""
        [found] = self._patiently(lambda: self._connection.execute("PRAGMA quick_check(1)").fetchone())
        if found != "ok":
            error = sqlite3.DatabaseError(str(found).splitlines()[0])
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
            raise error

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
            shown = paths.relative(self._path)
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in DAMAGES:  # the low byte is the kind
                raise CacheError(
                    f"{shown} is no usable cache ({error}); set aside as {self._set_aside()}: save what it holds with "
                    "`python -m scicot_utils export-cache`, or delete it to have everything asked, and paid for, anew"
                ) from error
            raise CacheError(
                f"{shown} is no usable cache ({error}); see to the disk, its rights and other processes, then rerun: "
                "what is in it stays"
            ) from error

    def _set_aside(self) -> str:
        """Give a damaged file, with its log, another name; nothing of it is changed."""
        if hasattr(self, "_connection"):
            self._connection.close()
        aside = self._path.with_name(f"{self._path.name}.damaged-{time.time_ns()}")
        for ending in ("-wal", "-shm", ""):
            with suppress(FileNotFoundError):
                self._path.with_name(self._path.name + ending).replace(aside.with_name(aside.name + ending))
        return aside.name

    def __enter__(self) -> Cache:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def get(self, request: dict[str, Any]) -> Response | None:
        """The stored response, or None when there is none yet, or none but the mark of a request given up. CacheError for
        one that is in a batch: asked now, it would be paid for twice.
        """
        found = self.stored(request)
        if found and found.finish_reason == BATCHED:
            raise CacheError(
                f"what is to be asked is in a batch that was written at {found.created} and not read yet; read its results "
                f"with `python -m scicot_utils batch-read {self._path.stem} FILE`, or, where it was never sent, give it up "
                f"with `python -m scicot_utils forget {self._path.stem} {BATCHED}`"
            )
        if found and found.finish_reason in GIVEN_UP:
            found = None
        self.hits, self.misses = self.hits + bool(found), self.misses + (not found)
        return found

    def stored(self, request: dict[str, Any]) -> Response | None:
        """What is stored of a request, be it only a mark."""
        with self._readable():
            asked = "SELECT response FROM responses WHERE key = ?"
            row = self._patiently(lambda: self._connection.execute(asked, (key(request),)).fetchone())
        return Response(**json.loads(row[0])) if row else None

    def kinds(self) -> dict[str, int]:
        """How many responses and marks are stored of each finish_reason, most frequent first."""
        with self._readable():
            return dict(
                self._connection.execute(
                    "SELECT json_extract(response, '$.finish_reason') AS kind, count(*) AS number FROM responses"
                    " GROUP BY kind ORDER BY number DESC, kind"
                ).fetchall()
            )

    def of_kind(self, kind: str) -> list[tuple[dict[str, Any], Response]]:
        """All (request, response) of one finish_reason."""
        with self._readable():
            rows = self._connection.execute(
                "SELECT request, response FROM responses WHERE json_extract(response, '$.finish_reason') = ?", (kind,)
            ).fetchall()
        return [(json.loads(request), Response(**json.loads(response))) for request, response in rows]

    def forget(self, kind: str) -> None:
        """Delete all responses and marks of one finish_reason, so that they are asked anew."""

        def delete() -> None:
            with self._connection:
                self._connection.execute(
                    "DELETE FROM responses WHERE json_extract(response, '$.finish_reason') = ?", (kind,)
                )

        with self._readable():
            self._patiently(delete)

    def put(self, answered: Iterable[tuple[dict[str, Any], Response]], *, reserved: float | None = None) -> None:
        """Store responses, all in one transaction; the first answer to a request stays, unless it was given up.

        With `reserved` (USD) their price is counted as spent instead of that, in the same transaction; without, as
        nothing was paid here, it is not.
        """
        answered = list(answered)
        rows = [(key(request), _canonical(request), json.dumps(asdict(response))) for request, response in answered]
        prices = [response.usd for _, response in answered]
        spent = 0.0 if reserved is None else sum(reserved if price is None else price for price in prices) - reserved

        def store() -> None:
            with self._connection:  # one transaction
                self._connection.executemany(
                    STORE,
                    rows,
                )
                if spent:
                    self._connection.execute("UPDATE spent SET usd = usd + ?", (spent,))

        with self._readable():
            self._patiently(store)
        self.prompt_tokens += sum(response.prompt_tokens for _, response in answered)
        self.completion_tokens += sum(response.completion_tokens for _, response in answered)
        self.usd = None if self.usd is None or None in prices else self.usd + sum(prices)

    def reserve(self, usd: float, max_usd: float, max_requests: int, *, requests: int = 1) -> bool:
        """Count a request, or several, and the price at worst as spent, unless that would pass a cap (0: none). One step for all
        processes, so that together they pass none; what a killed process had reserved stays counted.
        """

        def count() -> bool:
            with self._connection:
                return bool(
                    self._connection.execute(
                        "UPDATE spent SET usd = usd + :usd, requests = requests + :requests"
                        " WHERE (:max_usd = 0 OR usd + :usd <= :max_usd)"
                        " AND (:max_requests = 0 OR requests + :requests <= :max_requests)",
                        {"usd": usd, "max_usd": max_usd and max_usd + DUST}
                        | {"requests": requests, "max_requests": max_requests},
                    ).rowcount
                )

        with self._readable():
            return self._patiently(count)

    def give_back(self, usd: float) -> None:
        """Of a reservation whose request cost nothing."""

        def count() -> None:
            with self._connection:
                self._connection.execute("UPDATE spent SET usd = usd - ?", (usd,))

        with self._readable():
            self._patiently(count)

    def spent(self) -> tuple[float, int]:
        """(USD, requests) ever spent through this file: what is in flight, or was lost, at its price at worst."""
        with self._readable():
            usd, requests = self._patiently(
                lambda: self._connection.execute("SELECT usd, requests FROM spent").fetchone()
            )
        return max(usd, 0.0), requests

    def __len__(self) -> int:
        with self._readable():
            return self._connection.execute("SELECT count(*) FROM responses").fetchone()[0]

    def export(self) -> Iterator[str]:
        """Every response as a line of JSON with `key`, `request`, `response`, by key, so that equal caches export alike."""
        with self._readable():
            for digest, request, response in self._connection.execute("SELECT * FROM responses ORDER BY key"):
                yield json.dumps(
                    {"key": digest, "request": json.loads(request), "response": json.loads(response)},
                    ensure_ascii=False,
                )

    def take_in(self, lines: Iterable[str], where: str) -> int:
        """Store what `export` wrote; the number of its responses. CacheError names the first line that is none."""
        before, found = len(self), []
        for request, response in exported(lines, where):
            in_batch = response.finish_reason == BATCHED  # nothing was set aside for it here
            found.append((request, replace(response, usd=0.0) if in_batch else response))
        self.put(found)
        return len(self) - before


def exported(lines: Iterable[str], where: str) -> Iterator[tuple[dict[str, Any], Response]]:
    """(request, response) of each line that `Cache.export` wrote; CacheError names the first that it did not."""
    known = {field.name for field in fields(Response)}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if key(row["request"]) != row["key"]:
                raise ValueError("its key is not that of its request")
            response = Response(**{name: value for name, value in row["response"].items() if name in known})
            texts = (response.text, response.finish_reason, response.created, response.reasoning, response.note)
            counts = (response.prompt_tokens, response.completion_tokens)
            priced = response.usd is None or isinstance(response.usd, (int, float))
            if not (all(type(t) is str for t in texts) and all(type(n) is int for n in counts) and priced):
                raise TypeError("a value of its response has another type")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise CacheError(
                f"{where}, line {number}: allowed: a line of `export-cache` with key, request, response ({error!r})"
            ) from None
        yield row["request"], response


def salvage(path: Path) -> Iterator[str]:
    """As `Cache.export`, of a file that may be damaged: each row that can still be read, and the file left as it is."""
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    except sqlite3.Error as error:
        raise CacheError(f"{paths.relative(path)}: cannot be opened ({error})") from None
    try:
        number = missed = 0
        while missed < OUT_OF_REACH:  # row by row, since one that lies on a damaged page takes no other with it
            number, missed = number + 1, missed + 1
            try:
                [request, response] = connection.execute(
                    "SELECT request, response FROM responses WHERE rowid = ?", (number,)
                ).fetchone()
                request, response = json.loads(request), json.loads(response)
            except (sqlite3.DatabaseError, ValueError, TypeError):  # damaged, or none of that number
                continue
            missed = 0
            yield json.dumps({"key": key(request), "request": request, "response": response}, ensure_ascii=False)
    finally:
        connection.close()
