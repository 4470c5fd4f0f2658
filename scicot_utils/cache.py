"""A durable store of teacher responses, keyed by everything that determines them. It does not call teachers.

It is one SQLite file with a write-ahead log, which several processes may use. A response is stored before it is used,
so none is paid for twice, even after a crash. The file also counts what was spent, so that a cap holds for all
processes together.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock

from scicot_utils import ScicotError, paths

T = TypeVar("T")
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS responses (key TEXT PRIMARY KEY, request TEXT NOT NULL, response TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS ledger (cache TEXT PRIMARY KEY, usd REAL NOT NULL, requests INTEGER NOT NULL, own INTEGER NOT NULL)",
    "INSERT INTO ledger SELECT 'own', 0, 0, 1 WHERE NOT EXISTS (SELECT 1 FROM ledger WHERE own)",
)
RESERVE = """UPDATE ledger SET usd = usd + :usd, requests = requests + :requests WHERE own
    AND (:max_usd = 0 OR (SELECT sum(usd) FROM ledger) + :usd <= :max_usd)
    AND (:max_requests = 0 OR (SELECT sum(requests) FROM ledger) + :requests <= :max_requests)"""
SPEND = "UPDATE ledger SET usd = usd + ?, requests = requests + ? WHERE own"
OF_KIND = "FROM responses WHERE json_extract(response, '$.finish_reason') = ?"
BUSY_SECONDS = 60  # how long one writer waits for another
UNANSWERED = "unanswered"  # finish_reason of a request whose tries all failed
GIVEN_UP = (UNANSWERED, "rejected")  # finish_reasons stored as marks only: a rerun asks again
# finish_reason of the mark for a request in a batch whose results were not read yet. The mark's `usd` is reserved; None
# if the price is unknown.
BATCHED = "batched"
MARKS = (*GIVEN_UP, BATCHED)
TO_BE_ASKED = (None, *GIVEN_UP)  # finish_reasons of requests still to be asked; None: nothing is stored
DAMAGES = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
MAX_MISSING = 100_000  # consecutive unreadable rows after which a damaged file counts as read to its end
ROUNDING = 1e-9  # USD


class CacheError(ScicotError):
    """A cache file, or a request through it, cannot be used."""


@dataclass(frozen=True)
class Response:
    """One answer of a teacher, or a mark that says why there is none.

    `finish_reason`: stop | length | content_filter | why there is no answer. `usd`: its price; 0 if free, None if
    unknown. `reasoning`: what a reasoning model wrote apart from `text`. `note`: why there is no answer, in the
    server's words.
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
    """Responses by request. Use it as a context manager; threads may share one instance.

    Counters since opening: `hits`, `misses`, and for the responses put in `prompt_tokens`, `completion_tokens` and
    `usd` (None once a price was unknown). `closing`: callbacks that run before the cache is closed. `pending`: key →
    request that is being asked. `turn`: the file lock that a process holds while it asks a paid teacher.
    """

    def __init__(self, path: Path):
        self.name, self._path = path.stem, path.resolve()  # links are resolved, so that one file has one lock
        self.hits = self.misses = self.prompt_tokens = self.completion_tokens = 0
        self.usd: float | None = 0.0
        self.closing, self.pending, self.lock = ExitStack(), dict[str, Future[Response]](), threading.RLock()
        self.turn = FileLock(f"{self._path}.lock", thread_local=False)
        with self._errors():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self._path, timeout=BUSY_SECONDS, check_same_thread=False)
            self.closing.callback(self._connection.close)
            try:
                for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL", *SCHEMA):
                    self._do(lambda connection, statement=statement: connection.execute(statement))
                self._connection.commit()
                [found] = self._do(lambda connection: connection.execute("PRAGMA quick_check(1)").fetchone())
                if found != "ok":  # found now, not after money was spent
                    raise _corrupt(str(found).splitlines()[0])
            except BaseException:
                self.closing.close()
                raise

    def __enter__(self) -> Cache:
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn SQLite's errors into a CacheError: one line that says what to do."""
        shown = paths.relative(self._path)
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            advice = "check disk space, permissions and other processes, then rerun: the content is kept"
            if _is_damage(error):
                advice = (
                    f"save what is still readable with `python -m scicot_utils export-cache {shown} FILE`, delete it, "
                    "and load FILE with `import-cache`; until then nothing is asked"
                )
            raise CacheError(f"{shown} is no usable cache ({error}); {advice}") from error

    def _do(self, action: Callable[[sqlite3.Connection], T], *, write: bool = False) -> T:
        """Run `action`, in one thread at a time. With `write`, it is one transaction with exclusive write access."""
        end = time.monotonic() + BUSY_SECONDS
        with self.lock, self._errors():
            while True:
                try:
                    with self._connection:
                        if write:
                            self._connection.execute("BEGIN IMMEDIATE")
                        return action(self._connection)
                except (
                    sqlite3.OperationalError
                ) as error:  # raised without waiting while another process opens or closes the file
                    if "locked" not in str(error) or time.monotonic() > end:
                        raise
                    time.sleep(0.02)

    def get(self, request: dict[str, Any], *, missed: bool = False) -> Response | None:
        """The stored response. None if there is none, or only the mark of a request given up.

        Raises CacheError for a request that is in a batch: asked now, it would be paid for twice. `missed`: an earlier
        lookup has already counted a miss. A hit then takes the place of that miss.
        """
        found = self.stored(request)
        if found and found.finish_reason == BATCHED:
            raise CacheError(
                f"this request is in a batch that was written at {found.created} and not read yet; read the "
                f"batch's results with `python -m scicot_utils batch-read {self.name} FILE`, or, if it was never sent, "
                f"drop it with `python -m scicot_utils forget {self.name} {BATCHED}`"
            )
        if found and found.finish_reason in GIVEN_UP:
            found = None
        with self.lock:
            self.hits, self.misses = self.hits + bool(found), self.misses + (not found) - missed
        return found

    def stored(self, request: dict[str, Any]) -> Response | None:
        """What is stored for a request, marks included; None if nothing is."""
        digest = key(request)
        return self._do(lambda connection: _stored(connection, digest))

    def kinds(self) -> dict[str, int]:
        """finish_reason → number of stored responses and marks, most frequent first."""
        query = (
            "SELECT json_extract(response, '$.finish_reason') AS kind, count(*) AS number FROM responses"
            " GROUP BY kind ORDER BY number DESC, kind"
        )
        return dict(self._do(lambda connection: connection.execute(query).fetchall()))

    def of_kind(self, kind: str) -> list[tuple[dict[str, Any], Response]]:
        """All (request, response) with this finish_reason."""
        rows = self._do(
            lambda connection: connection.execute(f"SELECT request, response {OF_KIND}", (kind,)).fetchall()
        )
        return [(json.loads(request), Response(**json.loads(response))) for request, response in rows]

    def forget(self, kind: str) -> int:
        """Delete all responses and marks with this finish_reason, so that they are asked again; returns their number.
        Deleting the marks of a batch releases what was reserved for it.
        """

        def delete(connection: sqlite3.Connection) -> int:
            if kind == BATCHED:
                query = f"SELECT -total(json_extract(response, '$.usd')), -count(*) {OF_KIND}"
                connection.execute(SPEND, connection.execute(query, (kind,)).fetchone())
            return connection.execute(f"DELETE {OF_KIND}", (kind,)).rowcount

        return self._do(delete, write=True)

    def put(
        self, answered: Iterable[tuple[dict[str, Any], Response]], *, reserved: float | None = None
    ) -> list[Response]:
        """Store responses in one transaction and return what is stored then.

        The first answer to a request stays, unless it was given up. The mark of a batch is replaced by an answer only.
        With `reserved` (USD), the responses' price is counted as spent in its place. Without it, nothing was paid here.
        """
        rows = _rows(answered)
        prices = [response.usd for *_, response in rows]
        spent = 0.0 if reserved is None else sum(reserved if price is None else price for price in prices) - reserved

        def store(connection: sqlite3.Connection) -> list[Response]:
            if spent:
                connection.execute(SPEND, (spent, 0))
            return [_put(connection, *row) for row in rows]

        stored = self._do(store, write=True)
        self._count(response for *_, response in rows)
        return stored

    def _count(self, put_in: Iterable[Response]) -> None:
        with self.lock:
            for response in put_in:
                self.prompt_tokens += response.prompt_tokens
                self.completion_tokens += response.completion_tokens
                self.usd = None if None in (self.usd, response.usd) else self.usd + response.usd

    def set_aside(
        self, priced: Iterable[tuple[dict[str, Any], float | None]], created: str, max_usd: float, max_requests: int
    ) -> list[dict[str, Any]] | None:
        """Mark requests as being in a batch and reserve their worst-case prices, in one transaction.

        Returns the requests that it marked, without those that are answered or in another batch. Returns None, and
        marks nothing, if they would exceed a cap.
        """
        given = [(key(request), request, price) for request, price in priced]

        def mark(connection: sqlite3.Connection) -> list[dict[str, Any]] | None:
            free = [one for one in given if finish_of(_stored(connection, one[0])) in TO_BE_ASKED]
            worst = sum(price or 0.0 for *_, price in free)
            if free and not _reserve(connection, worst, max_usd, max_requests, len(free)):
                return None
            for digest, request, price in free:
                _write(connection, digest, _canonical(request), Response("", BATCHED, 0, 0, price, created))
            return [request for _, request, _ in free]

        return self._do(mark, write=True)

    def settle(self, request: dict[str, Any], response: Response, worst: float) -> bool:
        """Store a batch's result in one transaction. Its price, or `worst` (USD) if unknown, replaces its reservation.

        Returns False, and does nothing, if the cache already has an answer.
        """
        [(digest, canonical, _)] = _rows([(request, response)])

        def store(connection: sqlite3.Connection) -> bool:
            mark = _stored(connection, digest)
            if finish_of(mark) not in (None, *MARKS):
                return False
            if finish_of(mark) in GIVEN_UP and response.finish_reason in GIVEN_UP:
                return True  # read and counted before
            counted = finish_of(mark) == BATCHED
            reserved = (mark.usd or 0.0) if counted else 0.0
            price = max(reserved, worst) if response.usd is None else response.usd
            connection.execute(SPEND, (price - reserved, int(not counted)))
            _write(connection, digest, canonical, response)
            return True

        stored = self._do(store, write=True)
        self._count([response] if stored else [])
        return stored

    def reserve(self, usd: float, max_usd: float, max_requests: int) -> bool:
        """Count a request, and its worst-case price as spent; False, and nothing is counted, if that exceeds a cap (0:
        no cap). What a killed process had reserved stays counted.
        """
        return self._do(lambda connection: _reserve(connection, usd, max_usd, max_requests, 1), write=True)

    def give_back(self, usd: float) -> None:
        """Release the reservation (USD) of a request that cost nothing."""
        self._do(lambda connection: connection.execute(SPEND, (-usd, 0)), write=True)

    def spent(self) -> tuple[float, int]:
        """(USD, requests) ever spent through this file. Requests in flight or lost count at their worst-case price."""
        query = "SELECT sum(usd), sum(requests) FROM ledger"
        usd, requests = self._do(lambda connection: connection.execute(query).fetchone())
        return max(usd, 0.0), max(requests, 0)

    def __len__(self) -> int:
        return self._do(lambda connection: connection.execute("SELECT count(*) FROM responses").fetchone())[0]

    def take_in(self, lines: Iterable[str], where: str, *, paid_here: bool = True) -> int:
        """Store the lines that `export` wrote; returns how many are new. Raises CacheError for the first invalid line.

        With `paid_here`, the known prices of new responses are counted as spent, and each that was not free as a
        request.
        """
        rows = _rows(exported(lines, where))

        def store(connection: sqlite3.Connection) -> list[Response]:
            new = []
            for digest, request, response in rows:
                old = finish_of(_stored(connection, digest))
                if response.finish_reason not in MARKS or old is None:
                    _put(connection, digest, request, response)
                    new += [response] * (old is None)
            if paid_here:
                paid = [response.usd for response in new if response.usd != 0]
                connection.execute(SPEND, (sum(usd or 0.0 for usd in paid), len(paid)))
            return new

        new = self._do(store, write=True)
        self._count(new)
        return len(new)


def finish_of(response: Response | None) -> str | None:
    """The finish_reason of what is stored; None if nothing is."""
    return response and response.finish_reason


def _rows(answered: Iterable[tuple[dict[str, Any], Response]]) -> list[tuple[str, str, Response]]:
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
    """Store a response unless what is stored must stay; returns what is stored then. If it replaces the mark of a
    batch, its price, if known, is counted in place of what was reserved for that.
    """
    old = _stored(connection, digest)
    if not (finish_of(old) in TO_BE_ASKED or (finish_of(old) == BATCHED and response.finish_reason not in MARKS)):
        return old
    if finish_of(old) == BATCHED and response.usd is not None:
        connection.execute(SPEND, (response.usd - (old.usd or 0.0), 0))
    _write(connection, digest, request, response)
    return response


def _reserve(connection: sqlite3.Connection, usd: float, max_usd: float, max_requests: int, requests: int) -> bool:
    given = {"usd": usd, "max_usd": max_usd and max_usd + ROUNDING, "requests": requests, "max_requests": max_requests}
    return connection.execute(RESERVE, given).rowcount > 0


# Exports


def export(path: Path) -> list[str]:
    """Every response of a cache as a line of JSON with `key`, `request`, `response`, sorted by key.

    Equal caches thus give equal exports. Marks of batches are left out. From a damaged file, every row that can still
    be read is taken. Raises CacheError if the file cannot be read for another reason than damage.
    """
    try:
        with closing(
            sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)
        ) as connection:
            try:
                rows = connection.execute("SELECT request, response FROM responses ORDER BY rowid").fetchall()
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                rows = _readable(connection)
            return sorted(line for request, response in rows if (line := _line(request, response)))
    except sqlite3.Error as error:
        raise CacheError(f"{paths.relative(path)}: cannot be read ({error})") from None


def _readable(connection: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """Read row by row, so that a damaged page costs only the rows on it."""
    number = missing = 0
    while missing < MAX_MISSING:
        number, missing = number + 1, missing + 1
        try:
            found = connection.execute("SELECT request, response FROM responses WHERE rowid = ?", (number,)).fetchone()
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            continue
        if found:
            missing = 0
            yield found


def _line(request: str, response: str) -> str:
    """A line of an export; '' for the mark of a batch and for a damaged row."""
    try:
        asked, told = json.loads(request), json.loads(response)
        _response(told)
    except (ValueError, TypeError, AttributeError):
        return ""
    row = {"key": key(asked), "request": asked, "response": told}
    return "" if told["finish_reason"] == BATCHED else json.dumps(row, ensure_ascii=False)


def exported(lines: Iterable[str], where: str) -> Iterator[tuple[dict[str, Any], Response]]:
    """(request, response) of each line that `export` wrote. Raises CacheError that names the first invalid line."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if "spent" in row:  # written by an earlier version
                continue
            if key(row["request"]) != row["key"]:
                raise ValueError("its key is not that of its request")
            yield row["request"], _response(row["response"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise CacheError(
                f"{where}, line {number}: allowed: a line of `export-cache` with key, request, response ({error!r})"
            ) from None


def _response(told: dict[str, Any]) -> Response:
    known = {field.name for field in fields(Response)}
    response = Response(**{name: value for name, value in told.items() if name in known})
    texts = (response.text, response.finish_reason, response.created, response.reasoning, response.note)
    counts = (response.prompt_tokens, response.completion_tokens)
    priced = response.usd is None or isinstance(response.usd, (int, float))
    if not (all(type(t) is str for t in texts) and all(type(n) is int for n in counts) and priced):
        raise TypeError("a value of its response has another type")
    return response


def _is_damage(error: Exception) -> bool:
    """Whether the error tells of a damaged file. Errors without a code come from the driver itself, as for invalid
    text, and count as damage.
    """
    if not isinstance(error, sqlite3.DatabaseError):
        return False
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF in DAMAGES  # low byte: the primary code


def _corrupt(told: str) -> sqlite3.DatabaseError:
    """A damage error for cases in which SQLite itself raises none."""
    error = sqlite3.DatabaseError(told)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error
