"""A durable store of teacher responses, keyed by everything that determines them. It does not call teachers.

It is one SQLite file with a write-ahead log, which several processes may use. A response is stored before it is used,
so none is paid for twice, even after a crash. The file also counts what was spent, so that a cap holds for all
processes together.
"""

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self
from weakref import WeakValueDictionary

from filelock import FileLock

from scicot_utils import ScicotError, paths

OPENING = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=NORMAL",
    "CREATE TABLE IF NOT EXISTS responses (key TEXT PRIMARY KEY, request TEXT NOT NULL, response TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS ledger (cache TEXT PRIMARY KEY, usd REAL NOT NULL, requests INTEGER NOT NULL, own INTEGER NOT NULL)",
    "INSERT INTO ledger SELECT 'own', 0, 0, 1 WHERE NOT EXISTS (SELECT 1 FROM ledger WHERE own)",
)
RESERVE = """UPDATE ledger SET usd = usd + :usd, requests = requests + :requests WHERE own
    AND (:max_usd = 0 OR (SELECT sum(usd) FROM ledger) + :usd <= :max_usd)
    AND (:max_requests = 0 OR (SELECT sum(requests) FROM ledger) + :requests <= :max_requests)"""
SPEND = "UPDATE ledger SET usd = usd + ?, requests = requests + ? WHERE own"
WRITE = "INSERT INTO responses VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET response = excluded.response"
OF_KIND = "FROM responses WHERE json_extract(response, '$.finish_reason') = ?"
BUSY_SECONDS = 60  # how long one writer waits for another
UNANSWERED = "unanswered"  # finish_reason of a request whose tries all failed
GIVEN_UP = (UNANSWERED, "rejected")  # finish_reasons stored as marks only: a rerun asks again
# finish_reason of the mark for a request in a batch whose results were not read yet. The mark's `usd` is reserved; None
# if the price is unknown.
BATCHED = "batched"
MARKS = (*GIVEN_UP, BATCHED)
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


def to_be_asked(stored: Response | None) -> bool:
    """Whether a request is still to be asked, by what is stored for it: nothing, or the mark of one given up."""
    return stored is None or stored.finish_reason in GIVEN_UP


class Cache:
    """Responses by request. Use it as a context manager; threads may share one instance.

    Counters since opening: `hits`, `misses`, and `usd`, the price of the responses put in (None once one was unknown).
    `closing`: callbacks that run before the cache is closed. `turn`: the file lock that a process holds while it asks a
    paid teacher.
    """

    def __init__(self, path: Path):
        self.name, self._path = path.stem, path.resolve()  # links are resolved, so that one file has one lock
        self.hits, self.misses = 0, 0
        self.usd: float | None = 0.0
        self.lock, self._asked = threading.RLock(), WeakValueDictionary[str, threading.Lock]()
        self.turn = FileLock(f"{self._path}.lock", thread_local=False)
        with self._errors(OSError), ExitStack() as stack:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                self._path, timeout=BUSY_SECONDS, check_same_thread=False, isolation_level=None
            )
            stack.callback(self._connection.close)
            for statement in OPENING:
                self._query(statement)
            [[state]] = self._query("PRAGMA quick_check(1)")
            if state != "ok":  # noticed now, not after money was spent
                raise self._unusable(str(state).splitlines()[0], damaged=True)
            self.closing = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.close()

    @contextmanager
    def _errors(self, *more: type[Exception]) -> Iterator[None]:
        """Turn SQLite's errors, and `more`, into a CacheError: one line that says what to do."""
        try:
            yield
        except (sqlite3.Error, *more) as error:
            raise self._unusable(error, damaged=_is_damage(error)) from error

    def _unusable(self, reason: object, *, damaged: bool) -> CacheError:
        path = paths.relative(self._path)
        advice = "check disk space, permissions and other processes, then rerun: the content is kept"
        if damaged:
            advice = (
                f"save what is still readable with `python -m scicot_utils export-cache {path} FILE`, delete it, "
                "and load FILE with `import-cache`; until then nothing is asked"
            )
        return CacheError(f"{path} is no usable cache ({reason}); {advice}")

    def _query(self, statement: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """The rows of one statement."""
        end = time.monotonic() + BUSY_SECONDS
        with self.lock, self._errors():
            while True:
                try:
                    return self._connection.execute(statement, values).fetchall()
                except sqlite3.OperationalError as error:
                    # raised without waiting while another process opens or closes the file
                    if "locked" not in str(error) or time.monotonic() > end:
                        raise
                    time.sleep(0.02)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """One transaction, in one thread at a time and with exclusive write access; undone by an exception. Within
        another, it is part of that.
        """
        with self.lock, self._errors():
            if self._connection.in_transaction:
                yield self._connection
                return
            with self._connection:
                self._query("BEGIN IMMEDIATE")
                yield self._connection

    def asking(self, request: dict[str, Any]) -> threading.Lock:
        """The lock of a request, which one thread holds while it asks: who wants the same waits for it."""
        with self.lock:
            return self._asked.setdefault(key(request), threading.Lock())

    def get(self, request: dict[str, Any]) -> Response | None:
        """The stored response, counted as a hit; None, counted as a miss, if the request is to be asked.

        Raises CacheError for a request that is in a batch: asked now, it would be paid for twice.
        """
        stored = self.stored(request)
        if stored and stored.finish_reason == BATCHED:
            raise CacheError(
                f"this request is in a batch that was written at {stored.created} and not read yet; read the "
                f"batch's results with `python -m scicot_utils batch-read {self.name} FILE`, or, if it was never sent, "
                f"drop it with `python -m scicot_utils forget {self.name} {BATCHED}`"
            )
        missed = to_be_asked(stored)
        with self.lock:
            self.hits, self.misses = self.hits + (not missed), self.misses + missed
        return None if missed else stored

    def stored(self, request: dict[str, Any]) -> Response | None:
        """What is stored for a request, marks included; None if nothing is."""
        rows = self._query("SELECT response FROM responses WHERE key = ?", (key(request),))
        return Response(**json.loads(rows[0][0])) if rows else None

    def kinds(self) -> dict[str, int]:
        """finish_reason → number of stored responses and marks, most frequent first."""
        return dict(
            self._query(
                "SELECT json_extract(response, '$.finish_reason') AS kind, count(*) AS number FROM responses"
                " GROUP BY kind ORDER BY number DESC, kind"
            )
        )

    def of_kind(self, kind: str) -> list[tuple[dict[str, Any], Response]]:
        """All (request, response) with this finish_reason."""
        rows = self._query(f"SELECT request, response {OF_KIND}", (kind,))
        return [(json.loads(request), Response(**json.loads(response))) for request, response in rows]

    def forget(self, kind: str) -> int:
        """Delete all responses and marks with this finish_reason, so that they are asked again; returns their number.
        Deleting the marks of a batch releases what was reserved for it.
        """
        with self.transaction() as connection:
            if kind == BATCHED:
                [reserved] = self._query(
                    f"SELECT -total(json_extract(response, '$.usd')), -count(*) {OF_KIND}", (kind,)
                )
                connection.execute(SPEND, reserved)
            return connection.execute(f"DELETE {OF_KIND}", (kind,)).rowcount

    def put(self, request: dict[str, Any], response: Response, *, reserved: float | None = None) -> Response:
        """Store a response and return what is stored then: the first answer to a request stays, unless it was given up.

        With `reserved` (USD), the response's price is counted as spent in its place. Without it, nothing was paid here.
        """
        with self.transaction() as connection:
            if reserved is not None and response.usd is not None:
                connection.execute(SPEND, (response.usd - reserved, 0))
            stored = self.stored(request)
            if to_be_asked(stored):
                self._write(request, response)
                stored = response
        with self.lock:
            self.usd = None if None in (self.usd, response.usd) else self.usd + response.usd
        return stored

    def _write(self, request: dict[str, Any], response: Response) -> None:
        self._connection.execute(WRITE, (key(request), _canonical(request), json.dumps(asdict(response))))

    def settle(
        self, request: dict[str, Any], response: Response, worst: float = 0.0, *, paid_here: bool = True
    ) -> bool:
        """Store a response that came in a file, in one transaction. Its price, or `worst` (USD) if unknown, replaces what
        was reserved for its batch. Of a request in no batch, it is counted as spent, with `paid_here` only.

        Returns False, and does nothing, if the cache already has an answer.
        """
        with self.transaction() as connection:
            old = self.stored(request)
            if old and old.finish_reason not in MARKS:
                return False
            if old and {old.finish_reason, response.finish_reason} <= {*GIVEN_UP}:
                return True  # read and counted before
            batched = old is not None and old.finish_reason == BATCHED
            if batched or paid_here:
                reserved = (old.usd or 0.0) if batched else 0.0
                price = max(reserved, worst) if response.usd is None else response.usd
                connection.execute(SPEND, (price - reserved, int(not batched and response.usd != 0)))
            self._write(request, response)
        return True

    def reserve(self, usd: float, max_usd: float, max_requests: int, requests: int = 1) -> bool:
        """Count requests, and their worst-case price as spent; False, and nothing is counted, if that exceeds a cap (0: no
        cap). What a killed process had reserved stays counted.
        """
        values = {"usd": usd, "max_usd": max_usd and max_usd + ROUNDING}
        values |= {"requests": requests, "max_requests": max_requests}
        with self.transaction() as connection:
            return connection.execute(RESERVE, values).rowcount > 0

    def give_back(self, usd: float) -> None:
        """Release the reservation (USD) of a request that cost nothing."""
        self._query(SPEND, (-usd, 0))

    def spent(self) -> tuple[float, int]:
        """(USD, requests) ever spent through this file. Requests in flight or lost count at their worst-case price."""
        [[usd, requests]] = self._query("SELECT sum(usd), sum(requests) FROM ledger")
        return max(usd, 0.0), max(requests, 0)

    def __len__(self) -> int:
        return self._query("SELECT count(*) FROM responses")[0][0]

    def take_in(self, lines: Iterable[str], where: str, *, paid_here: bool = True) -> int:
        """Store the lines that `export` wrote; returns how many are new. Raises CacheError for the first invalid line.

        With `paid_here`, the known prices of new responses are counted as spent, and each that was not free as a
        request. Marks replace nothing.
        """
        with self.transaction():
            return sum(
                self.settle(request, response, paid_here=paid_here)
                for request, response in exported(lines, where)
                if response.finish_reason not in MARKS or self.stored(request) is None
            )


# Exports


def export(path: Path) -> list[str]:
    """Every response of a cache as a line of JSON with `key`, `request`, `response`, sorted by key.

    Equal caches thus give equal exports. Marks of batches are left out. From a damaged file, every row that can still
    be read is taken. Raises CacheError if the file cannot be read for another reason than damage.
    """
    address = f"{path.resolve().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS)) as connection:
            try:
                rows = connection.execute("SELECT request, response FROM responses ORDER BY rowid").fetchall()
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                rows = _readable(connection)
            return sorted(line for row in rows if (line := _line(*row)))
    except sqlite3.Error as error:
        raise CacheError(f"{paths.relative(path)}: cannot be read ({error})") from None


def _readable(connection: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    """Read row by row, so that a damaged page costs only the rows on it."""
    number = missing = 0
    while missing < MAX_MISSING:
        number, missing = number + 1, missing + 1
        try:
            rows = connection.execute("SELECT request, response FROM responses WHERE rowid = ?", (number,)).fetchall()
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            continue
        if rows:
            missing = 0
            yield rows[0]


def _line(request_json: str, response_json: str) -> str:
    """A line of an export; '' for the mark of a batch and for a damaged row."""
    try:
        request, response = json.loads(request_json), json.loads(response_json)
        if _response(response).finish_reason == BATCHED:
            return ""
        return json.dumps({"key": key(request), "request": request, "response": response}, ensure_ascii=False)
    except (ValueError, TypeError):
        return ""


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
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise CacheError(
                f"{where}, line {number}: allowed: a line of `export-cache` with key, request, response ({error!r})"
            ) from None


def _response(values: dict[str, Any]) -> Response:
    response = Response(**{field.name: values[field.name] for field in fields(Response) if field.name in values})
    texts = (response.text, response.finish_reason, response.created, response.reasoning, response.note)
    counts = (response.prompt_tokens, response.completion_tokens)
    priced = response.usd is None or isinstance(response.usd, (int, float))
    if not (all(type(text) is str for text in texts) and all(type(count) is int for count in counts) and priced):
        raise TypeError("a value of its response has another type")
    return response


def _is_damage(error: Exception) -> bool:
    """Whether the error tells of a damaged file. Errors without a code come from the driver itself, as for invalid
    text, and count as damage.
    """
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    return isinstance(error, sqlite3.DatabaseError) and code & 0xFF in DAMAGES  # low byte: the primary code
