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
from contextlib import closing, contextmanager, suppress
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
RESERVE = """UPDATE ledger SET usd = usd + :usd, requests = requests + :requests WHERE own
    AND (:max_usd = 0 OR (SELECT sum(usd) FROM ledger) + :usd <= :max_usd)
    AND (:max_requests = 0 OR (SELECT sum(requests) FROM ledger) + :requests <= :max_requests)"""
GIVE_UP_BATCHES = """UPDATE ledger SET (usd, requests) = (
    SELECT ledger.usd - total(json_extract(response, '$.usd')), ledger.requests - count(*) FROM responses
    WHERE json_extract(response, '$.finish_reason') = ? AND json_extract(response, '$.usd') IS NOT 0
    ) WHERE own"""
BUSY_SECONDS = 60  # how long one writer waits for another
UNANSWERED = "unanswered"  # the finish_reason of a request that was tried in vain
GIVEN_UP = (UNANSWERED, "rejected")  # finish_reasons that are kept as marks only: a rerun asks again
# Of a mark: it is in a batch that was written and not read. `usd` is set aside for it: None at an unknown price, 0 where
# neither price nor request is counted in this cache.
BATCHED = "batched"
MARKS = (*GIVEN_UP, BATCHED)
TO_BE_ASKED = (None, *GIVEN_UP)  # finish_reasons of what is to be asked; None: nothing is stored
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
        self.name, path = path.stem, path.resolve()  # one file has one set of owners, whatever links lead to it
        self.hits = self.misses = self.prompt_tokens = self.completion_tokens = 0
        self.usd: float | None = 0.0
        self.users: list[User] = []
        self._path, self._lock = path, threading.Lock()
        self._held: set[str] = set()  # keys that are claimed here
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
                path.parent.mkdir(parents=True, exist_ok=True)
                owners.clear(path)
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
                    f"{shown} is no usable cache ({error}); set aside as {self._set_aside_damaged()}: save what it holds with "
                    "`python -m scicot_utils export-cache`, or delete it to have everything asked, and paid for, anew"
                ) from error
            raise CacheError(
                f"{shown} is no usable cache ({error}); see to the disk, its rights and other processes, then rerun: "
                "what is in it stays"
            ) from error
        except OSError as error:
            raise CacheError(
                f"{paths.relative(self._path)} cannot be used as a cache ({error}); see to the disk and to the rights of "
                "the file and its folder"
            ) from error

    def _set_aside_damaged(self) -> str:
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

    def _whole(self, action: Callable[[sqlite3.Connection], T]) -> T:
        """All that it does, or nothing: one transaction, in which it alone may write from its first reading on."""

        def transaction() -> T:
            with self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                return action(self._connection)

        with self._access():
            return self._patiently(transaction)

    def _change(self, statement: str, given: Sequence[object] | dict[str, object]) -> bool:
        """Whether it changed anything; a transaction of its own."""
        return self._whole(lambda connection: connection.execute(statement, given).rowcount > 0)

    def get(self, request: dict[str, Any], *, missed: bool = False) -> Response | None:
        """The stored response, or None when there is none yet, or none but the mark of a request given up. CacheError for
        one that is in a batch: asked now, it would be paid for twice.

        `missed`: it was looked for before, in vain, so that only its finding is counted, in place of that miss.
        """
        found = self.stored(request)
        if found and found.finish_reason == BATCHED:
            raise CacheError(
                f"what is to be asked is in a batch that was written at {found.created} and not read yet; read its results "
                f"with `python -m scicot_utils batch-read {self.name} FILE`, or, where it was never sent, give it up "
                f"with `python -m scicot_utils forget {self.name} {BATCHED}`"
            )
        if found and found.finish_reason in GIVEN_UP:
            found = None
        with self._lock:
            self.hits, self.misses = self.hits + bool(found), self.misses + (not found) - missed
        return found

    def stored(self, request: dict[str, Any]) -> Response | None:
        """What is stored of a request, be it only a mark."""
        digest = key(request)
        with self._access():
            return self._patiently(lambda: _stored(self._connection, digest))

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

    def forget(self, kind: str) -> int:
        """Delete all responses and marks of one finish_reason, so that they are asked anew; their number. What was set
        aside for a batch is given back with its marks.
        """

        def delete(connection: sqlite3.Connection) -> int:
            if kind == BATCHED:
                connection.execute(GIVE_UP_BATCHES, (kind,))
            return connection.execute(
                "DELETE FROM responses WHERE json_extract(response, '$.finish_reason') = ?", (kind,)
            ).rowcount

        return self._whole(delete)

    def claim(self, request: dict[str, Any]) -> bool:
        """Whether this is the one to ask it now: not while it is claimed, here or by another process that is still there."""
        digest = key(request)
        with self._access():
            self._owner = self._owner or Owner(self._path)
            if digest in self._held:
                return False
            self._held.add(digest)
        try:
            taken = self._whole(lambda connection: self._taken(connection, digest))
        except BaseException:
            self._held.discard(digest)
            raise
        if not taken:
            self._held.discard(digest)
        return taken

    def _taken(self, connection: sqlite3.Connection, digest: str) -> bool:
        row = connection.execute("SELECT owner FROM claims WHERE key = ?", (digest,)).fetchone()
        if row and row[0] != self._owner.name:  # one's own is left from a release that failed
            if owners.is_there(self._path, row[0]):
                return False
            connection.execute("DELETE FROM claims WHERE owner = ?", row)
        connection.execute("INSERT OR IGNORE INTO claims VALUES (?, ?)", (digest, self._owner.name))
        return True

    def _asked_now(self, connection: sqlite3.Connection) -> set[str]:
        """Keys that are claimed, here or by another process that is still there."""
        claims = connection.execute("SELECT key, owner FROM claims").fetchall()
        others = {owner for _, owner in claims if not self._owner or owner != self._owner.name}
        there = {owner for owner in others if owners.is_there(self._path, owner)}
        return self._held | {digest for digest, owner in claims if owner in there}

    def release(self, request: dict[str, Any]) -> None:
        """End a claim."""
        self._held.discard(key(request))
        self._change("DELETE FROM claims WHERE key = ?", (key(request),))

    def put(
        self, answered: Iterable[tuple[dict[str, Any], Response]], *, reserved: float | None = None
    ) -> list[Response]:
        """Store responses, all in one transaction, and hand back what is stored: the first answer to a request stays,
        unless it was given up; and what is in a batch gives way to an answer only.

        With `reserved` (USD) their price is counted as spent instead of that, in the same transaction; without, as
        nothing was paid here, it is not.
        """
        rows = _rows_of(answered)
        prices = [response.usd for *_, response in rows]
        spent = 0.0 if reserved is None else sum(reserved if price is None else price for price in prices) - reserved

        def store(connection: sqlite3.Connection) -> list[Response]:
            if spent:
                connection.execute("UPDATE ledger SET usd = usd + ? WHERE own", (spent,))
            return [_put(connection, *row) for row in rows]

        stored = self._whole(store)
        self._count(response for *_, response in rows)
        return stored

    def _count(self, put_in: Iterable[Response]) -> None:
        with self._lock:
            for response in put_in:
                self.prompt_tokens += response.prompt_tokens
                self.completion_tokens += response.completion_tokens
                self.usd = None if None in (self.usd, response.usd) else self.usd + response.usd

    def set_aside(
        self, priced: Iterable[tuple[dict[str, Any], float | None]], created: str, max_usd: float, max_requests: int
    ) -> list[dict[str, Any]] | None:
        """Mark requests as being in a batch and count them at their worst prices, in one transaction: those that it
        marked, which leaves out what is answered, in another batch, or asked by anyone right now. None, and nothing is
        marked, where they would pass a cap.
        """
        given = [(key(request), request, price) for request, price in priced]

        def mark(connection: sqlite3.Connection) -> list[dict[str, Any]] | None:
            asked_now = self._asked_now(connection)
            free = [
                one
                for one in given
                if one[0] not in asked_now and finish_of(_stored(connection, one[0])) in TO_BE_ASKED
            ]
            worst = sum(price or 0.0 for *_, price in free)
            if free and not _reserve(connection, worst, max_usd, max_requests, len(free)):
                return None
            for digest, request, price in free:
                _write(connection, digest, _canonical(request), Response("", BATCHED, 0, 0, price or None, created))
            return [request for _, request, _ in free]

        return self._whole(mark)

    def settle(self, request: dict[str, Any], response: Response, worst: float) -> bool:
        """Store a batch's result and count its price, or `worst` (USD) where that is unknown, instead of what was set
        aside, in one transaction. False, and nothing is done, where the cache has the answer.
        """
        [(digest, canonical, _)] = _rows_of([(request, response)])

        def store(connection: sqlite3.Connection) -> bool:
            mark = _stored(connection, digest)
            if finish_of(mark) not in (None, *MARKS):
                return False
            if finish_of(mark) in GIVEN_UP and response.finish_reason in GIVEN_UP:
                return True  # as it was when it was read before, and counted
            counted = finish_of(mark) == BATCHED and mark.usd != 0
            aside = (mark.usd or 0.0) if counted else 0.0
            price = max(aside, worst) if response.usd is None else response.usd
            connection.execute(
                "UPDATE ledger SET usd = usd + ?, requests = requests + ? WHERE own", (price - aside, int(not counted))
            )
            _write(connection, digest, canonical, response)
            return True

        stored = self._whole(store)
        self._count([response] if stored else [])
        return stored

    def reserve(self, usd: float, max_usd: float, max_requests: int) -> bool:
        """Count a request, and the price at worst as spent, unless that would pass a cap (0: none). One step for all
        processes, so that together they pass none; what a killed process had reserved stays counted.
        """
        return self._whole(lambda connection: _reserve(connection, usd, max_usd, max_requests, 1))

    def give_back(self, usd: float) -> None:
        """Of a reservation whose request cost nothing."""
        self._change("UPDATE ledger SET usd = usd - ? WHERE own", (usd,))

    def spent(self) -> tuple[float, int]:
        """(USD, requests) ever spent through this file, or through one whose export was taken in: what is in flight, or
        was lost, at its price at worst.
        """
        usd, requests = self._row("SELECT sum(usd), sum(requests) FROM ledger")
        return max(usd, 0.0), max(requests, 0)

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
        without `with_spending`, for what others paid. A mark takes the place of nothing that is here.
        """
        before, found = len(self), list(_read(lines, where))
        spendings = [(one.cache, one.usd, one.requests) for one in found if isinstance(one, Spent) and with_spending]
        rows = _rows_of(one for one in found if not isinstance(one, Spent))
        if not spendings:  # then nothing is set aside here for what is in a batch
            rows = [(*row, replace(told, usd=0.0) if told.finish_reason == BATCHED else told) for *row, told in rows]

        def store(connection: sqlite3.Connection) -> None:
            connection.executemany(
                "INSERT INTO ledger VALUES (?, ?, ?, 0) ON CONFLICT (cache) DO UPDATE"
                " SET usd = max(usd, excluded.usd), requests = max(requests, excluded.requests)",
                spendings,
            )
            for digest, request, response in rows:
                if response.finish_reason not in MARKS or not _stored(connection, digest):
                    _put(connection, digest, request, response)

        self._whole(store)
        self._count(response for *_, response in rows)
        return len(self) - before


def finish_of(response: Response | None) -> str | None:
    """The finish_reason of what is stored; None where nothing is."""
    return response and response.finish_reason


def _rows_of(answered: Iterable[tuple[dict[str, Any], Response]]) -> list[tuple[str, str, Response]]:
    return [(key(request), _canonical(request), response) for request, response in answered]


# Parts of a transaction


def _stored(connection: sqlite3.Connection, digest: str) -> Response | None:
    row = connection.execute("SELECT response FROM responses WHERE key = ?", (digest,)).fetchone()
    return Response(**json.loads(row[0])) if row else None


def _write(connection: sqlite3.Connection, digest: str, request: str, response: Response) -> None:
    row = (digest, request, json.dumps(asdict(response)))
    connection.execute(
        "INSERT INTO responses VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET response = excluded.response", row
    )


def _put(connection: sqlite3.Connection, digest: str, request: str, response: Response) -> Response:
    """Store it unless something stands there that it does not replace; what is stored then. What was set aside for a
    batch is taken to cost what the answer cost that is there before the batch's.
    """
    old = _stored(connection, digest)
    if not (finish_of(old) in TO_BE_ASKED or (finish_of(old) == BATCHED and response.finish_reason not in MARKS)):
        return old
    if finish_of(old) == BATCHED and old.usd and response.usd is not None:
        connection.execute("UPDATE ledger SET usd = usd + ? WHERE own", (response.usd - old.usd,))
    _write(connection, digest, request, response)
    return response


def _reserve(connection: sqlite3.Connection, usd: float, max_usd: float, max_requests: int, requests: int) -> bool:
    given = {"usd": usd, "max_usd": max_usd and max_usd + DUST, "requests": requests, "max_requests": max_requests}
    return connection.execute(RESERVE, given).rowcount > 0


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
    return row["request"], _response(row["response"])


def _response(told: dict[str, Any]) -> Response:
    known = {field.name for field in fields(Response)}
    response = Response(**{name: value for name, value in told.items() if name in known})
    texts = (response.text, response.finish_reason, response.created, response.reasoning, response.note)
    counts = (response.prompt_tokens, response.completion_tokens)
    priced = response.usd is None or isinstance(response.usd, (int, float))
    if not (all(type(t) is str for t in texts) and all(type(n) is int for n in counts) and priced):
        raise TypeError("a value of its response has another type")
    return response


def _spent(told: dict[str, Any]) -> Spent:
    found = Spent(**told)
    if not (isinstance(found.cache, str) and isinstance(found.usd, (int, float)) and type(found.requests) is int):
        raise TypeError("a value of what was spent has another type")
    if not (0 <= found.usd < math.inf and found.requests >= 0):
        raise ValueError("what was spent is less than nothing, or without end")
    return found


def _ledger(connection: sqlite3.Connection) -> list[Spent]:
    found = connection.execute("SELECT cache, usd, requests FROM ledger WHERE usd > 0 OR requests > 0 ORDER BY cache")
    return [Spent(name, max(usd, 0.0), max(requests, 0)) for name, usd, requests in found.fetchall()]


def _corrupt(told: str) -> sqlite3.DatabaseError:
    """Damage that SQLite itself does not raise an error for."""
    error = sqlite3.DatabaseError(told)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def salvage(path: Path) -> Iterator[str]:
    """As `Cache.export`, of a file that may be damaged: each row that can still be read, and the file left as it is.

    Where what was spent cannot be read, the prices of the responses stand for it, as the least. CacheError where it is
    not damage that keeps from reading.
    """
    log = path.with_name(f"{path.name}-wal")
    still = "" if log.exists() or os.access(path.parent, os.W_OK) else "&immutable=1"  # no log can be made there
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro{still}", uri=True)) as connection:
            yield from _salvaged(connection, path.name)
    except sqlite3.Error as error:
        raise CacheError(f"{paths.relative(path)}: cannot be read ({error})") from None


def _salvaged(connection: sqlite3.Connection, name: str) -> Iterator[str]:
    number = missed = 0
    usd, requests = 0.0, 0
    while missed < OUT_OF_REACH:  # row by row, since one that lies on a damaged page takes no other with it
        number, missed = number + 1, missed + 1
        try:
            [request, response] = connection.execute(
                "SELECT request, response FROM responses WHERE rowid = ?", (number,)
            ).fetchone()
            request, response = json.loads(request), json.loads(response)
            price = _response(response).usd
        except sqlite3.DatabaseError as error:
            if not _damage(error):
                raise
            continue
        except (ValueError, TypeError, AttributeError):  # damaged, or none of that number
            continue
        missed = 0
        usd, requests = usd + (price or 0.0), requests + (price != 0)
        yield json.dumps({"key": key(request), "request": request, "response": response}, ensure_ascii=False)
    try:
        found = _ledger(connection)
    except sqlite3.DatabaseError as error:
        if not _damage(error) and "no such table" not in str(error):
            raise
        found = [Spent(name, usd, requests, least=True)]
    for one in found:
        yield one.line()


def _damage(error: sqlite3.DatabaseError) -> bool:
    """Whether it tells of damage; what the driver finds by itself, text that is none, has no code."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF in DAMAGES  # the low byte is the kind
