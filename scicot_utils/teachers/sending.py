"""Send a teacher's requests from several threads: each answer is stored before it is used, and nothing is paid twice.

Transient errors are retried, and no request is sent that would exceed a cap. A paid server is asked one request at a
time until it has answered, so that one that answers nothing costs a few requests only.
"""

import random
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from filelock import Timeout

from scicot_utils import cache as caches
from scicot_utils.cache import Cache, Response
from scicot_utils.teachers.budget import Limits, over_budget
from scicot_utils.teachers.protocol import PermanentError, Teacher, TeacherError, TransientError, now, one_line

MAX_FAILURES = 5  # in a row, with none answered between: then it is not the questions, and the run ends
MAX_BACKOFF = 60.0  # seconds between two tries, where the server names none
POLL_SECONDS = 0.2  # between two looks at whether another process has stopped asking
STOPPED = "asking was stopped before its end, or its cache closed; what was answered is kept: rerun to go on"


class Sender:
    """Sends the requests of one run to `teacher`, inside `with teacher`; `_state` guards what its threads share.

    `proven`: whether the teacher answers, so that many requests may be in flight. `sent`: requests that are with it
    now. `stopped`: nothing more is sent. `retries` and `usd` say what the run came to: `usd` is what its requests cost,
    at worst where they told no price, and None once the price of one was unknown.
    """

    def __init__(self, teacher: Teacher, cache: Cache, limits: Limits):
        self.teacher, self.cache, self.limits = teacher, cache, limits
        self.proven, self.sent = not teacher.paid, 0
        self.usd: float | None = 0.0
        self.retries = 0
        self._state, self._alone, self._stop = threading.Condition(), threading.Lock(), threading.Event()
        self._error: BaseException | None = None  # the first that a thread met
        self._has_turn = False
        self._unusable = 0  # requests since the last answer that may be charged and gave nothing
        self._given_up = 0  # requests since the last that was answered
        self._overrun = 0.0  # USD by which a request cost more than its worst, at most
        self._not_before = 0.0  # monotonic time from which the server wants to be asked again

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    def stop(self, error: BaseException | None = None) -> None:
        """Send nothing more; `error` is what `check` raises from now on, unless there was one before."""
        with self._state:
            self._error = self._error or error
            self._stop.set()
            self._state.notify_all()

    def failure(self) -> BaseException:
        """Why nothing more is sent."""
        return self._error or TeacherError(STOPPED)

    def check(self) -> None:
        """Raises `failure` once the run is stopped."""
        if self.stopped:
            raise self.failure()

    def response(self, request: dict[str, Any]) -> tuple[Response, bool]:
        """The response to a request, and whether it was sent for it now. One request is in flight once: who wants the
        same waits for it. Raises TeacherError when the run cannot go on.
        """
        key, own = caches.key(request), Future[Response]()
        while (future := self.cache.pending.setdefault(key, own)) is not own:
            with suppress(Exception):  # of another run, which has ended: this one asks
                response = future.result()
                with self.cache.lock:
                    self.cache.hits += 1
                return response, False
            self.check()
        try:
            if self.teacher.paid and not self._has_turn and caches.to_be_asked(self.cache.stored(request)):
                self._take_turn()
            stored = self.cache.get(request)
            response = stored or self._completed(request)
            own.set_result(response)
        except BaseException as error:
            own.set_exception(error)
            raise
        finally:
            del self.cache.pending[key]
        return response, stored is None

    def _take_turn(self) -> None:
        """One process at a time asks a paid teacher through a cache. The lock is the kernel's: it ends with its process."""
        with self._alone:
            while not self._has_turn:
                self.check()
                with suppress(Timeout), self.cache.lock:
                    self.cache.turn.acquire(timeout=0)
                    self._has_turn = True
                    return
                self._stop.wait(POLL_SECONDS)

    def end_turn(self) -> None:
        """Let another process ask the teacher through the cache."""
        if self._has_turn:
            with self.cache.lock:
                self.cache.turn.release()

    def _completed(self, request: dict[str, Any]) -> Response:
        """Tries until there is a response or none to be had, and stores which it is."""
        charged, last_error = False, None
        for attempt in range(self.teacher.tries):
            backoff = min(self.teacher.pause * 2 ** (attempt - 1), MAX_BACKOFF) * random.uniform(0.5, 1.0)
            self._pause(backoff if attempt else 0.0)
            try:
                return self._try(request)
            except PermanentError as error:
                return self._give_up(request, error.reason, error, charged)
            except TransientError as error:
                last_error, charged = error, charged or error.sent
                with self._state:
                    self.retries += 1
                    self._not_before = max(self._not_before, time.monotonic() + error.wait)
        return self._give_up(request, caches.UNANSWERED, last_error, charged)

    def _pause(self, seconds: float) -> None:
        """Back off, and longer where the server said for how long; not once the run has stopped."""
        until = time.monotonic() + seconds
        while (left := max(until, self._not_before) - time.monotonic()) > 0 and not self.stopped:
            self._stop.wait(min(left, 1.0) * random.uniform(1.0, 1.1))  # not all at one moment
        self.check()

    def _try(self, request: dict[str, Any]) -> Response:
        """One try: alone, as long as there is no answer that shows that others may be sent at once."""
        if not self.proven:
            with self._alone:
                if not self.proven:
                    return self._send(request, alone=True)
        return self._send(request)

    def _send(self, request: dict[str, Any], *, alone: bool = False) -> Response:
        """One request within the caps. What may have been worked on, and so be charged, stays counted at its worst."""
        self.check()
        prompt = request["prompt"]
        worst, charged = self.teacher.worst(prompt), True  # also where it is answered and cannot be stored
        reserved = self._reserve(worst) if self.teacher.paid else None
        try:
            response = self.teacher.complete(prompt, sample=request["sample"], temperature=request["temperature"])
            stored = self.cache.put(request, response, reserved=reserved)
        except (TransientError, PermanentError, TeacherError) as error:
            charged = error.sent
            if isinstance(error, TransientError) and charged:
                self._count_unusable(error, worst, alone)
            raise
        finally:
            if reserved is not None:
                self._release(0.0 if charged else reserved)
        with self._state:
            self.proven, self._unusable, self._given_up = True, 0, 0
            if response.usd is not None:
                self._overrun = max(self._overrun, response.usd - (worst or 0.0))
            self._add_cost(worst if response.usd is None else response.usd)
        return stored

    def _release(self, unspent: float) -> None:
        """A request is with the server no more; of what was reserved for it, USD `unspent` are free again."""
        try:
            if unspent:
                self.cache.give_back(unspent)
        except BaseException as error:
            self.stop(error)  # before those that wait at a cap go on
            raise
        finally:
            with self._state:
                self.sent -= 1
                self._state.notify_all()

    def _count_unusable(self, error: TransientError, worst: float | None, alone: bool) -> None:
        """Too many in a row, and requests go one by one again; too many of those, and the run ends."""
        with self._state:
            self._add_cost(worst)
            if alone or self.proven:  # else it was in flight when the trust was lost
                self._unusable += 1
            if self._unusable < MAX_FAILURES:
                return
            if not alone:
                self.proven, self._unusable = False, 0
                return
            failure = TeacherError(
                f"teacher '{self.teacher.name}' took the last {self._unusable} requests, sent one by one, and gave nothing "
                f"that can be used (the last: {one_line(error)}); they may be charged. See whether the recipe's teacher "
                "section fits it, above all teacher_endpoint and teacher_timeout, then rerun: what was answered is kept"
            )
            self.stop(failure)  # before another thread sends the next one
            raise failure from None

    def _add_cost(self, usd: float | None) -> None:
        self.usd = None if None in (usd, self.usd) else self.usd + usd

    def _reserve(self, worst: float | None) -> float:
        """USD set aside for a request: its worst, and by how much one has exceeded it. BudgetReached at a cap."""
        limits = self.limits
        with self._state:
            while not self.cache.reserve(usd := (worst or 0.0) + self._overrun, limits.max_usd, limits.max_requests):
                if not self.sent:
                    advice = "all answers so far are kept: raise the cap and rerun to go on"
                    raise over_budget(self.cache, limits, f"the next, at most {usd:.4f} USD", advice)
                self._state.wait()  # for those in flight, which will cost less than their worst
                self.check()
            self.sent += 1
            return usd

    def _give_up(self, request: dict[str, Any], reason: str, error: Exception | None, charged: bool) -> Response:
        """The mark of a request that has no answer; what it cost is unknown where a try may have been `charged`.

        When none has an answer, the run ends: it is not for the question then.
        """
        message = one_line(error)
        stored = self.cache.put(request, Response("", reason, 0, 0, None if charged else 0.0, now(), note=message))
        with self._state:
            self._given_up += reason in caches.GIVEN_UP
            failures = self._given_up
        if failures >= MAX_FAILURES:
            raise TeacherError(
                f"teacher '{self.teacher.name}' answered none of the last {failures} requests (the last: {message}); "
                "see whether it runs and the recipe's teacher section fits it, then rerun: what was answered is kept"
            )
        return stored
