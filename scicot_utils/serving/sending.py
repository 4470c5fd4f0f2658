"""Send a teacher's requests from several threads: each answer is stored before it is used, and nothing is paid twice.

Transient errors are retried, and no request is sent that would exceed a cap. A paid server is asked one request at a
time until it has answered, so that one that answers nothing costs a few requests only.
"""

import random
import threading
import time
from contextlib import suppress
from typing import Any

from filelock import Timeout

from scicot_utils.serving import cache as caches
from scicot_utils.serving.budget import Limits, over_budget
from scicot_utils.serving.cache import Cache, Response
from scicot_utils.serving.protocol import PermanentError, Teacher, TeacherError, TransientError, now
from scicot_utils.serving.replies import one_line

MAX_FAILURES = 5  # in a row, with none answered between: then it is not the questions, and the run ends
MAX_BACKOFF = 60.0  # seconds between two tries, where the server names none
POLL_SECONDS = 0.2  # between two looks at whether another process has stopped asking
STOPPED = "asking was stopped before its end, or its cache closed; what was answered is kept: rerun to go on"


class Sender:
    """Sends the requests of one run to `teacher`, inside `with teacher`; `_state` guards what its threads share.

    `proven`: whether the teacher answers, so that many requests may be in flight. `sent`: requests that are with it
    now. `retries` and `usd` say what the run came to: `usd` is what its requests cost, at worst where they told no
    price, and None once the price of one was unknown.
    """

    def __init__(self, teacher: Teacher, cache: Cache, limits: Limits):
        self.teacher, self.cache, self.limits = teacher, cache, limits
        self.proven, self.sent = not teacher.paid, 0
        self.usd: float | None = 0.0
        self.retries = 0
        self._state, self._alone, self._stopped = threading.Condition(), threading.Lock(), threading.Event()
        self._error: BaseException | None = None  # the first that a thread met
        self._has_turn = False
        self._marks: dict[str, Response] = {}  # key of a request without an answer → its mark
        self._unusable = 0  # requests since the last answer that may be charged and gave nothing
        self._given_up = 0  # requests since the last that was answered
        self._overrun = 0.0  # USD by which a request cost more than its worst, at most
        self._not_before = 0.0  # monotonic time from which the server wants to be asked again

    def stop(self, error: BaseException | None = None) -> None:
        """Send nothing more; `check` raises `error` from now on, or that of an earlier stop."""
        with self._state:
            self._error = self._error or error
            self._stopped.set()
            self._state.notify_all()

    def check(self) -> None:
        """Raises why nothing more is sent, once that is so."""
        if self._stopped.is_set():
            raise self._error or TeacherError(STOPPED) from None

    def response(self, request: dict[str, Any]) -> tuple[Response, bool]:
        """The response to a request, and whether it was sent for it now. One request is in flight once: who wants the
        same waits, and finds the response in the cache. What was given up is not sent again in this run. Raises an
        error, and stops, when the run cannot go on.
        """
        try:
            with self.cache.asking(request):
                if mark := self._marks.get(caches.key(request)):
                    return mark, False
                if self.teacher.paid and not self._has_turn and caches.to_be_asked(self.cache.stored(request)):
                    self._take_turn()
                stored = self.cache.get(request)
                return stored or self._completed(request), stored is None
        except BaseException as error:
            self.stop(error)
            raise

    def _take_turn(self) -> None:
        """One process at a time asks a paid teacher through a cache. The lock is the kernel's: it ends with its process."""
        with self._alone:
            while not self._has_turn:
                self.check()
                with suppress(Timeout), self.cache.lock:
                    self.cache.turn.acquire(timeout=0)
                    self._has_turn = True
                    return
                self._stopped.wait(POLL_SECONDS)

    def end_turn(self) -> None:
        """Let another process ask the teacher through the cache."""
        if self._has_turn:
            with self.cache.lock:
                self.cache.turn.release()

    def _completed(self, request: dict[str, Any]) -> Response:
        """Tries until there is a response or none to be had, and stores which it is: a response, or a mark without text
        whose cost is unknown where a try may have been charged. When no request gets an answer, the run ends.
        """
        reason, message, charged = caches.UNANSWERED, "", False
        for attempt in range(self.teacher.tries):
            backoff = min(self.teacher.pause * 2 ** (attempt - 1), MAX_BACKOFF) * random.uniform(0.5, 1.0)
            self._pause(backoff if attempt else 0.0)
            try:
                return self._try(request)
            except PermanentError as error:
                reason, message = error.reason, one_line(error)
                break
            except TransientError as error:
                message, charged = one_line(error), charged or error.sent
                with self._state:
                    self.retries += 1
                    self._not_before = max(self._not_before, time.monotonic() + error.wait)
        stored = self.cache.put(request, Response("", reason, 0, 0, None if charged else 0.0, now(), note=message))
        self._marks[caches.key(request)] = stored
        with self._state:
            self._given_up += reason in caches.GIVEN_UP
            failures = self._given_up
        if failures >= MAX_FAILURES:
            raise TeacherError(
                f"teacher '{self.teacher.name}' answered none of the last {failures} requests (the last: {message}); "
                "see whether it runs and the recipe's teacher section fits it, then rerun: what was answered is kept"
            )
        return stored

    def _pause(self, seconds: float) -> None:
        """Back off, and longer where the server said for how long; not once the run has stopped."""
        until = time.monotonic() + seconds
        while (left := max(until, self._not_before) - time.monotonic()) > 0 and not self._stopped.is_set():
            self._stopped.wait(min(left, 1.0) * random.uniform(1.0, 1.1))  # not all at one moment

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
        worst, unspent = self.teacher.worst(prompt), 0.0  # also where it is answered and cannot be stored
        reserved = self._reserve(worst) if self.teacher.paid else None
        try:
            response = self.teacher.complete(prompt, sample=request["sample"], temperature=request["temperature"])
            stored = self.cache.put(request, response, reserved=reserved)
            self._count(worst, worst if response.usd is None else response.usd, alone)
        except (TransientError, PermanentError, TeacherError) as error:
            unspent = 0.0 if error.sent else reserved
            if isinstance(error, TransientError) and error.sent:
                self._count(worst, worst, alone, error)
            raise
        finally:
            if reserved is not None:
                if unspent:
                    self.cache.give_back(unspent)  # an error ends the run, and nobody at a cap goes on before
                with self._state:
                    self.sent -= 1
                    self._state.notify_all()
        return stored

    def _count(self, worst: float | None, usd: float | None, alone: bool, error: TransientError | None = None) -> None:
        """Count what a request cost, and whether it gave anything. Too many in a row that did not, and requests go one by
        one again; too many of those, and the run ends.
        """
        with self._state:
            self.usd = None if None in (usd, self.usd) else self.usd + usd
            self._overrun = max(self._overrun, (usd or 0.0) - (worst or 0.0))
            if not error:
                self.proven, self._unusable, self._given_up = True, 0, 0
                return
            if alone or self.proven:  # else it was in flight when the trust was lost
                self._unusable += 1
            if self._unusable >= MAX_FAILURES and not alone:
                self.proven, self._unusable = False, 0
            elif self._unusable >= MAX_FAILURES:
                failure = TeacherError(
                    f"teacher '{self.teacher.name}' took the last {self._unusable} requests, sent one by one, and gave "
                    f"nothing that can be used (the last: {one_line(error)}); they may be charged. See whether the recipe's "
                    "teacher section fits it, above all teacher_endpoint and teacher_timeout, then rerun: what was "
                    "answered is kept"
                )
                self.stop(failure)  # before another thread sends the next one
                raise failure from None

    def _reserve(self, worst: float | None) -> float:
        """USD set aside for a request: its worst, and by how much one has exceeded it. BudgetReached at a cap."""
        limits = self.limits
        with self._state:
            while not self.cache.reserve(usd := (worst or 0.0) + self._overrun, limits.max_usd, limits.max_requests):
                if not self.sent:
                    advice = "all answers so far are kept: raise the cap and rerun to go on"
                    raise over_budget(self.cache, limits, f"the next, at most {usd:.4f} USD", advice)
                self.check()
                self._state.wait()  # for those in flight, which will cost less than their worst
                self.check()
            self.sent += 1
            return usd
