"""A durable store of teacher responses, addressed by what determines them. It asks no teacher.

One SQLite file (write-ahead log, so that many processes may use it). A response is stored before it is used: whatever
dies afterwards, no response is paid for twice. The same file counts what was spent, so that a cap holds for all of them,
and tells who is asking for what, so that two never pay for one response.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from scicot_utils import ScicotError, owners, paths
from scicot_utils.owners import Owner

T = TypeVar("T")
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS responses (key TEXT PRIMARY KEY, request TEXT NOT NULL, response TEXT NOT NULL)",
    # What was spent, and through which cache: this one (own = 1), or one whose export was taken in.
    "CREATE TABLE IF NOT EXISTS ledger (cache TEXT PRIMARY KEY, usd REAL NOT NULL, requests INTEGER NOT NULL, own INTEGER NOT NULL)",
    "INSERT INTO ledger SELECT lower(hex(randomblob(8))), 0, 0, 1 WHERE NOT EXISTS (SELECT 1 FROM ledger WHERE own)",
    "CREATE TABLE IF NOT EXISTS claims (key TEXT PRIMARY KEY, owner TEXT NOT NULL)",
)
STORE = """INSERT INTO responses VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET response = excluded.response
    WHERE json_extract(response, '$.finish_reason') IN ('unanswered', 'rejected', 'batched')"""  # GIVEN_UP, BATCHED
BUSY_SECONDS = 60  # how long one writer waits for another
UNANSWERED = "unanswered"  # the finish_reason of a request that was tried in vain
GIVEN_UP = (UNANSWERED, "rejected")  # finish_reasons that are kept as marks only: a rerun asks again
BATCHED = "batched"  # of a mark: it is in a batch that was written and not read; `usd` is set aside for it
DAMAGES = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
OUT_OF_REACH = 100_000  # rows that cannot be read, one after the other, until a damaged file is given up
DUST = 1e-9  # USD: what adding floats may be off by


class CacheError(ScicotError):
    """A cache file that is no cache."""


class User(Protocol):
    """Who works with a cache in a thread of its own, and has to end that before it is closed."""

    def stop(self) -> None: ...


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


@dataclass(frozen=True)
class Spent:
    """What was spent through one cache, as its export tells; `least`: it may have been more."""

    cache: str
    usd: float
    requests: int
    least: bool = False

    def line(self) -> str:
        return json.dumps({"spent": asdict(self)})


def key(request: dict[str, Any]) -> str:
    """SHA-256 of a request's canonical JSON."""
    return hashlib.sha256(_canonical(request).encode()).hexdigest()


def _canonical(request: dict[str, Any]) -> str:
    return json.dumps(request, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


class Cache:
    """Responses by request; use as a context manager. Several threads may use one.

    Counts, since it was opened: `hits`, `misses`; of the responses put in, `prompt_tokens`, `completion_tokens`, `usd`
    (None once the price of one was unknown). `users` are stopped before it is closed. `anew`: make the file although a
    damaged one was set aside in its place.
    """

    def __init__(self, path: Path, *, anew: bool = False):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.hits = self.misses = self.prompt_tokens = self.completion_tokens = 0
        self.usd: float | None = 0.0
        self.users: list[User] = []
        self._path, self._lock = path, threading.Lock()
        self._owner: Owner | None = None
        self._connection: sqlite3.Connection | None = None
        aside = sorted(path.parent.glob(f"{path.name}.damaged-*[0-9]"))
        if aside and not path.exists() and not anew:
            raise CacheError(
                f"{paths.relative(path)} was damaged and is set aside as {aside[-1].name}, since a new one would ask and "
                f"pay for everything again; save what it holds with `python -m scicot_utils export-cache "
                f"{paths.relative(aside[-1])} FILE`, then `import-cache`, or delete it"
            )
        log = path.with_name(f"{path.name}-wal")
        if log.exists() and not path.exists():  # in this order: a new log comes after its file
            raise CacheError(
                f"{paths.relative(path)} is gone, and its log {log.name} is not: put the file back, or delete the log, too, "
                "to have everything asked, and paid for, anew"
            )
        try:
            with self._access():
                if not path.exists():
                    self._make()
                if path.is_file() and not path.stat().st_size:
                    raise _corrupt("it holds nothing at all")
                self._connection = self._opened(path)
                self._check()
        except CacheError:
            if self._connection:
                self._connection.close()
            raise

    def _opened(self, path: Path) -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False)  # `_lock` sees to that
        try:
            self._patiently(lambda: connection.execute("PRAGMA journal_mode=WAL"))
            connection.execute("PRAGMA synchronous=NORMAL")  # outlives a killed process
            for statement in SCHEMA:
                self._patiently(lambda statement=statement: connection.execute(statement))
            connection.commit()
        except BaseException:
            connection.close()
            raise
        return connection

    def _make(self) -> None:
        """A new file comes into its place whole, so that one without content is known to be damaged."""
        new = self._path.with_name(f"{self._path.name}.new-{uuid.uuid4().hex}")
        try:
            self._opened(new).close()
            try:
                os.link(new, self._path)
            except FileExistsError:  # another process was first
                pass
            except OSError:  # a file system without hard links
                new.replace(self._path)
        finally:
            new.unlink(missing_ok=True)

    def _check(self) -> None:
        """Meet damage now, not after money was spent."""
        [found] = self._patiently(lambda: self._connection.execute("PRAGMA quick_check(1)").fetchone())
        if found != "ok":
            raise _corrupt(str(found).splitlines()[0])

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
    def _access(self) -> Iterator[None]:
        """One thread at a time; SQLite's errors, which a damaged file may raise at any moment, say what to do."""
        try:
            with self._lock:
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
        if self._connection:
            self._connection.close()
        aside = self._path.with_name(f"{self._path.name}.damaged-{time.time_ns()}")
        for ending in ("-wal", "-shm", ""):
            with suppress(FileNotFoundError):
                self._path.with_name(self._path.name + ending).replace(aside.with_name(aside.name + ending))
        return aside.name

    def __enter__(self) -> Cache:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for user in [*self.users]:
                user.stop()
        finally:
            self._connection.close()
            if self._owner:
                self._owner.leave()

    def _row(self, query: str, given: Sequence[object] = ()) -> Any:
        with self._access():
            return self._patiently(lambda: self._connection.execute(query, given).fetchone())

    def _rows(self, query: str, given: Sequence[object] = ()) -> list[Any]:
        with self._access():
            return self._patiently(lambda: self._connection.execute(query, given).fetchall())

    def _change(self, statement: str, given: Sequence[object] | dict[str, object]) -> bool:
        """Whether it changed anything; a transaction of its own."""

        def change() -> bool:
            with self._connection:
                return self._connection.execute(statement, given).rowcount > 0

        with self._access():
            return self._patiently(change)

    def get(self, request: dict[str, Any], *, missed: bool = False) -> Response | None:
        """The stored response, or None when there is none yet, or none but the mark of a request given up. CacheError for
        one that is in a batch: asked now, it would be paid for twice.

        `missed`: it was looked for before, in vain, so that only its finding is counted, in place of that miss.
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
        with self._lock:
            self.hits, self.misses = self.hits + bool(found), self.misses + (not found) - missed
        return found

    def stored(self, request: dict[str, Any]) -> Response | None:
        """What is stored of a request, be it only a mark."""
        row = self._row("SELECT response FROM responses WHERE key = ?", (key(request),))
        return Response(**json.loads(row[0])) if row else None

    def kinds(self) -> dict[str, int]:
        """How many responses and marks are stored of each finish_reason, most frequent first."""
        return dict(
            self._rows(
                "SELECT json_extract(response, '$.finish_reason') AS kind, count(*) AS number FROM responses"
                " GROUP BY kind ORDER BY number DESC, kind"
            )
        )

    def of_kind(self, kind: str) -> list[tuple[dict[str, Any], Response]]:
        """All (request, response) of one finish_reason."""
        rows = self._rows(
            "SELECT request, response FROM responses WHERE json_extract(response, '$.finish_reason') = ?", (kind,)
        )
        return [(json.loads(request), Response(**json.loads(response))) for request, response in rows]

    def forget(self, kind: str) -> None:
        """Delete all responses and marks of one finish_reason, so that they are asked anew."""
        self._change("DELETE FROM responses WHERE json_extract(response, '$.finish_reason') = ?", (kind,))

    def claim(self, request: dict[str, Any]) -> bool:
        """Whether this is the one to ask it now: not while it is claimed, here or by another process that is still there."""
        digest = key(request)
        with self._lock:
            self._owner = self._owner or Owner(self._path)
        while not self._change("INSERT OR IGNORE INTO claims VALUES (?, ?)", (digest, self._owner.name)):
            row = self._row("SELECT owner FROM claims WHERE key = ?", (digest,))
            if row and owners.is_there(self._path, row[0]):
                return False
            if row:
                self._change("DELETE FROM claims WHERE owner = ?", row)
        return True

    def release(self, request: dict[str, Any]) -> None:
        """End a claim."""
        self._change("DELETE FROM claims WHERE key = ?", (key(request),))

    def put(
        self, answered: Iterable[tuple[dict[str, Any], Response]], *, reserved: float | None = None
    ) -> list[Response]:
        """Store responses, all in one transaction, and hand back what is stored: the first answer to a request stays,
        unless it was given up.

        With `reserved` (USD) their price is counted as spent instead of that, in the same transaction; without, as
        nothing was paid here, it is not.
        """
        answered = list(answered)
        rows = [(key(request), _canonical(request), json.dumps(asdict(response))) for request, response in answered]
        prices = [response.usd for _, response in answered]
        spent = 0.0 if reserved is None else sum(reserved if price is None else price for price in prices) - reserved

        def store() -> int:
            with self._connection:  # one transaction
                count = self._connection.executemany(STORE, rows).rowcount
                if spent:
                    self._connection.execute("UPDATE ledger SET usd = usd + ? WHERE own", (spent,))
            return count

        with self._access():
            count = self._patiently(store)
            self.prompt_tokens += sum(response.prompt_tokens for _, response in answered)
            self.completion_tokens += sum(response.completion_tokens for _, response in answered)
            self.usd = None if self.usd is None or None in prices else self.usd + sum(prices)
        if count == len(rows):
            return [response for _, response in answered]
        return [self.stored(request) for request, _ in answered]

    def reserve(self, usd: float, max_usd: float, max_requests: int, *, requests: int = 1) -> bool:
        """Count a request, or several, and the price at worst as spent, unless that would pass a cap (0: none). One step for all
        processes, so that together they pass none; what a killed process had reserved stays counted.
        """
        return self._change(
            "UPDATE ledger SET usd = usd + :usd, requests = requests + :requests WHERE own"
            " AND (:max_usd = 0 OR (SELECT sum(usd) FROM ledger) + :usd <= :max_usd)"
            " AND (:max_requests = 0 OR (SELECT sum(requests) FROM ledger) + :requests <= :max_requests)",
            {"usd": usd, "max_usd": max_usd and max_usd + DUST, "requests": requests, "max_requests": max_requests},
        )

    def give_back(self, usd: float) -> None:
        """Of a reservation whose request cost nothing."""
        self._change("UPDATE ledger SET usd = usd - ? WHERE own", (usd,))

    def spent(self) -> tuple[float, int]:
        """(USD, requests) ever spent through this file, or through one whose export was taken in: what is in flight, or
        was lost, at its price at worst.
        """
        usd, requests = self._row("SELECT sum(usd), sum(requests) FROM ledger")
        return max(usd, 0.0), requests

    def __len__(self) -> int:
        return self._row("SELECT count(*) FROM responses")[0]

    def export(self) -> Iterator[str]:
        """Every response as a line of JSON with `key`, `request`, `response`, by key, so that equal caches export alike;
        then what was spent, a line for each cache that it was spent through.
        """
        with self._access():
            rows = self._connection.execute("SELECT * FROM responses ORDER BY key").fetchall()
            spendings = _ledger(self._connection)
        for digest, request, response in rows:
            row = {"key": digest, "request": json.loads(request), "response": json.loads(response)}
            yield json.dumps(row, ensure_ascii=False)
        for one in spendings:
            yield one.line()

    def take_in(self, lines: Iterable[str], where: str, *, with_spending: bool = True) -> int:
        """Store what `export` wrote; the number of its responses. CacheError names the first line that is none.

        What it tells of a cache's spending counts once, however often and in how many exports it comes; or not at all
        without `with_spending`, for what others paid.
        """
        before, found = len(self), list(_read(lines, where))
        spendings = [(one.cache, one.usd, one.requests) for one in found if isinstance(one, Spent) and with_spending]

        def count() -> None:
            with self._connection:
                self._connection.executemany(
                    "INSERT INTO ledger VALUES (?, ?, ?, 0) ON CONFLICT (cache) DO UPDATE"
                    " SET usd = max(usd, excluded.usd), requests = max(requests, excluded.requests)",
                    spendings,
                )

        with self._access():
            self._patiently(count)
        answered = [one for one in found if not isinstance(one, Spent)]
        self.put(
            (request, replace(response, usd=0.0) if response.finish_reason == BATCHED else response)
            for request, response in answered  # of a mark nothing was set aside here
        )
        return len(self) - before


def exported(lines: Iterable[str], where: str) -> Iterator[tuple[dict[str, Any], Response]]:
    """(request, response) of each line that `Cache.export` wrote; CacheError names the first that it did not."""
    return (found for found in _read(lines, where) if not isinstance(found, Spent))


def spendings(lines: Iterable[str], where: str) -> list[Spent]:
    """What an export tells of what was spent."""
    return [found for found in _read(lines, where) if isinstance(found, Spent)]


def _read(lines: Iterable[str], where: str) -> Iterator[tuple[dict[str, Any], Response] | Spent]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            yield _spent(row["spent"]) if "spent" in row else _answered(row)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise CacheError(
                f"{where}, line {number}: allowed: a line of `export-cache` with key, request, response, or with spent "
                f"({error!r})"
            ) from None


def _answered(row: dict[str, Any]) -> tuple[dict[str, Any], Response]:
    if key(row["request"]) != row["key"]:
        raise ValueError("its key is not that of its request")
    known = {field.name for field in fields(Response)}
    response = Response(**{name: value for name, value in row["response"].items() if name in known})
    texts = (response.text, response.finish_reason, response.created, response.reasoning, response.note)
    counts = (response.prompt_tokens, response.completion_tokens)
    priced = response.usd is None or isinstance(response.usd, (int, float))
    if not (all(type(t) is str for t in texts) and all(type(n) is int for n in counts) and priced):
        raise TypeError("a value of its response has another type")
    return row["request"], response


def _spent(told: dict[str, Any]) -> Spent:
    found = Spent(**told)
    if not (isinstance(found.cache, str) and isinstance(found.usd, (int, float)) and type(found.requests) is int):
        raise TypeError("a value of what was spent has another type")
    if not (0 <= found.usd < math.inf and found.requests >= 0):
        raise ValueError("what was spent is less than nothing, or without end")
    return found


def _ledger(connection: sqlite3.Connection) -> list[Spent]:
    found = connection.execute("SELECT cache, usd, requests FROM ledger WHERE usd > 0 OR requests ORDER BY cache")
    return [Spent(name, max(usd, 0.0), requests) for name, usd, requests in found.fetchall()]


def _corrupt(told: str) -> sqlite3.DatabaseError:
    """Damage that SQLite itself does not raise an error for."""
    error = sqlite3.DatabaseError(told)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def salvage(path: Path) -> Iterator[str]:
    """As `Cache.export`, of a file that may be damaged: each row that can still be read, and the file left as it is.

    Where what was spent cannot be read, the prices of the responses stand for it, as the least.
    """
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    except sqlite3.Error as error:
        raise CacheError(f"{paths.relative(path)}: cannot be opened ({error})") from None
    try:
        number = missed = 0
        usd, requests = 0.0, 0
        while missed < OUT_OF_REACH:  # row by row, since one that lies on a damaged page takes no other with it
            number, missed = number + 1, missed + 1
            try:
                [request, response] = connection.execute(
                    "SELECT request, response FROM responses WHERE rowid = ?", (number,)
                ).fetchone()
                request, response = json.loads(request), json.loads(response)
                price = response["usd"]
            except (sqlite3.DatabaseError, ValueError, TypeError, KeyError):  # damaged, or none of that number
                continue
            missed = 0
            usd, requests = usd + (price or 0.0), requests + (price != 0)
            yield json.dumps({"key": key(request), "request": request, "response": response}, ensure_ascii=False)
        try:
            found = _ledger(connection)
        except sqlite3.DatabaseError:
            found = [Spent(path.name, usd, requests, least=True)]
        for one in found:
            yield one.line()
    finally:
        connection.close()
