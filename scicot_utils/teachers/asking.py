"""Ask a teacher: the only place where completions are made, whichever teacher it is.

Requests run in as many threads as the teacher may have in flight; rows come out in the order of questions and samples. A
response is stored before it is used, transient errors are retried, and no request is sent that would exceed a cap. A paid
server is asked one request at a time until it has answered, so that one that answers nothing costs a few requests only.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from filelock import Timeout
from tqdm import tqdm

from scicot_utils import cache as caches
from scicot_utils.cache import Cache, Response
from scicot_utils.prompts import TeacherPrompt, with_rationale
from scicot_utils.recipe import Settings
from scicot_utils.tables import Row
from scicot_utils.teachers.protocol import PermanentError, Teacher, TeacherError, TransientError, now, one_line

MAX_FAILURES = 5  # in a row, with none answered between: then it is not the questions, and the run ends
MAX_BACKOFF = 60.0  # seconds between two tries, where the server names none
MAX_PENDING = 256  # rows that are asked ahead of the reader
POLL_SECONDS = 0.2  # between two looks at whether another process has stopped asking
STOPPED = "asking was stopped before its end, or its cache closed; what was answered is kept: rerun to go on"


@dataclass(frozen=True)
class Limits:
    """Caps on what a cache has ever spent (0: none), and whether a reasoning model's thoughts are the rationale."""

    max_usd: float = 0.0
    max_requests: int = 0
    rationale: str = "text"

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        return cls(settings.max_usd, settings.max_requests, settings.teacher_rationale)


NO_LIMITS = Limits()


class BudgetReached(TeacherError):
    """The next request would exceed a cap."""


@dataclass
class Progress:
    """Where a run stands, in completions. `usd`: what its requests cost, at worst where they told no price; None once
    the price of one was unknown."""

    cached: int = 0  # of those done, without any new request
    failed: int = 0  # of those done, not whole
    usd: float | None = 0.0
    retries: int = 0

    def __str__(self) -> str:
        return f"cached {self.cached}, failed {self.failed}, retries {self.retries}, {usd_text(self.usd)}"


def known_usd(usd: float | None) -> float | str:
    """The sum itself, or 'unknown': what has no known price is never shown as a number."""
    return "unknown" if usd is None or math.isnan(usd) else usd


def usd_text(usd: float | str | None) -> str:
    """'0.42 USD', or that the price is unknown; small sums keep two digits, so that they do not look like nothing."""
    if usd in (None, "unknown") or math.isnan(usd):
        return "price unknown"
    return f"{usd:.2f} USD" if usd >= 0.01 or not usd else f"{usd:.2g} USD"


def spending(cache: Cache, settings: Settings) -> str:
    """What was ever spent through a cache, and the caps on it, as a sentence."""
    usd, requests = cache.spent()
    if not requests:
        return "No paid request was ever sent through this cache."
    cost = "at an unknown price"
    if usd or settings.price():
        cost = f"for at most {usd_text(usd)} as far as prices were listed"
    max_usd, max_requests = (f"{cap:g}" if cap else "none" for cap in (settings.max_usd, settings.max_requests))
    return (
        f"Requests ever sent through this cache: {requests} (max_requests: {max_requests}), {cost} (max_usd: {max_usd})."
        " What was written to a batch counts as sent."
    )


def ask(
    teacher: Teacher,
    prompt: TeacherPrompt,
    questions: Iterable[Row],
    cache: Cache,
    *,
    samples: int = 1,
    temperature: float = 0.0,
    limits: Limits = NO_LIMITS,
    show_progress: bool = False,
) -> Iterator[Row]:
    """Rows of the completions table, `samples` a question, in order; each response is stored before it is given out.

    A prompt with an answer cue takes two calls, the second greedy (Ho et al., appendix): the row's text is the first
    completion, the cue and the second completion, so that the prompt's parser sees the whole. A question that cannot
    be answered gets a row without text, and the reason as its finish_reason.

    Raises TeacherError when the run cannot go on. Then, and when the reader stops or closes the cache, nothing more is
    sent, and what is in flight is waited for and stored; a second KeyboardInterrupt does not wait.
    """
    jobs = [(question, sample) for question in questions for sample in range(samples)]
    with tqdm(total=len(jobs), unit="completion", mininterval=2, disable=not show_progress) as bar:
        yield from _Run(teacher, prompt, cache, temperature, limits, bar).rows(jobs)


class _Run:
    """One run of `ask`. `_state` guards what its threads share."""

    def __init__(
        self, teacher: Teacher, prompt: TeacherPrompt, cache: Cache, temperature: float, limits: Limits, bar: tqdm
    ):
        self.teacher, self.prompt, self.cache = teacher, prompt, cache
        self.temperature, self.limits = temperature, limits
        self.progress, self._bar = Progress(), bar
        self._state, self._alone, self._stop = threading.Condition(), threading.Lock(), threading.Event()
        self._error: BaseException | None = None  # the first that a thread met
        self._has_turn = False
        self._sent = 0  # requests that are with the server now
        self._proven = not teacher.paid  # whether it answers, so that many requests may be in flight
        self._unusable = 0  # requests since the last answer that may be charged and gave nothing
        self._given_up = 0  # requests since the last that was answered
        self._overrun = 0.0  # USD by which a request cost more than its worst, at most
        self._not_before = 0.0  # monotonic time from which the server wants to be asked again

    def rows(self, jobs: Iterable[tuple[Row, int]]) -> Iterator[Row]:
        """Runs the jobs and gives out their rows in order."""
        if self.teacher.in_flight == 1 and not self.teacher.paid:  # it never waits, so threads would only cost
            with self.teacher:
                for job in jobs:
                    yield self._reported(self._row(*job))
            return
        pool, pending, jobs = ThreadPoolExecutor(self.teacher.in_flight), deque[Future[Row]](), iter(jobs)
        row: Row | None = None
        with ExitStack() as stack:  # left from the last to the first
            stack.callback(self._end_turn)
            stack.callback(pool.shutdown)
            stack.enter_context(self.teacher)
            stack.callback(self._finish, pool)
            self.cache.closing.callback(stack.close)
            while True:
                ahead = (MAX_PENDING if self._proven else 1) - len(pending)  # in order, while requests go one by one
                if not self._stop.is_set():
                    pending.extend(pool.submit(self._job, *job) for job in islice(jobs, max(ahead, 0)))
                if row:  # while its reader works, the next are under way
                    yield self._reported(row)
                if not pending:
                    return self._check()
                try:
                    row = pending.popleft().result()
                except (Exception, CancelledError):
                    raise self._error or TeacherError(STOPPED) from None

    def _finish(self, pool: ThreadPoolExecutor) -> None:
        """Send nothing more, wait for what is in flight, which takes as long as one try at most, and store it."""
        self._end()
        if self._sent:
            self._bar.set_description_str("waiting for what is in flight; interrupt again to leave it")
        pool.shutdown(cancel_futures=True)

    def _reported(self, row: Row) -> Row:
        self._bar.set_postfix_str(self.progress, refresh=False)
        self._bar.update()
        return row

    # In the threads of the pool

    def _job(self, question: Row, sample: int) -> Row:
        try:
            return self._row(question, sample)
        except BaseException as error:
            self._end(error)
            raise

    def _end(self, error: BaseException | None = None) -> None:
        with self._state:
            self._error = self._error or error
            self._stop.set()
            self._state.notify_all()

    def _check(self) -> None:
        if self._stop.is_set():
            raise self._error or TeacherError(STOPPED)

    def _row(self, question: Row, sample: int) -> Row:
        """One row of the completions table, of one call or two."""
        prompt, first_prompt = self.prompt, self.prompt.question(question)
        first, sent = self._response(first_prompt, self.temperature, sample)
        calls, text = [first], first.text
        if second_prompt := follow_up(prompt, first_prompt, first, self.limits):
            answer, sent_again = self._response(second_prompt, 0.0, sample)
            calls, sent = [first, answer], sent or sent_again
            text = f"{rationale_of(first, self.limits)}{prompt.answer_cue} {answer.text}"
        elif first.finish_reason == "stop" and rationale_of(first, self.limits) != first.text:
            text = with_rationale(prompt, first.text, first.reasoning)
        with self._state:
            self.progress.cached += not sent
            self.progress.failed += calls[-1].finish_reason != "stop"
        # greedy samples are one request, which the first of them has paid for
        prices = [0.0] if sample and not self.temperature else [call.usd for call in calls]
        return {
            "question_id": question["id"],
            "sample": sample,
            "prompt": first_prompt,
            "prompt_version": prompt.label,
            "teacher": self.teacher.name,
            "temperature": math.nan if "temperature" in self.teacher.omitted else float(self.temperature),
            "text": text,
            "finish_reason": calls[-1].finish_reason,
            "prompt_tokens": sum(call.prompt_tokens for call in calls),
            "completion_tokens": sum(call.completion_tokens for call in calls),
            "usd": math.nan if None in prices else float(sum(prices)),
            "created": calls[-1].created,
        }

    def _response(self, prompt: str, temperature: float, sample: int) -> tuple[Response, bool]:
        """The response to one request, and whether it was sent for it now. One request is in flight once: who wants the
        same waits for it."""
        request = request_of(self.teacher, self.prompt, prompt, temperature, sample)
        key, own = caches.key(request), Future[Response]()
        while (future := self.cache.pending.setdefault(key, own)) is not own:
            with suppress(Exception):  # of another run, which has ended: this one asks
                response = future.result()
                with self.cache.lock:
                    self.cache.hits += 1
                return response, False
            self._check()
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
                self._check()
                with suppress(Timeout), self.cache.lock:
                    self.cache.turn.acquire(timeout=0)
                    self._has_turn = True
                    return
                self._stop.wait(POLL_SECONDS)

    def _end_turn(self) -> None:
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
                    self.progress.retries += 1
                    self._not_before = max(self._not_before, time.monotonic() + error.wait)
        return self._give_up(request, caches.UNANSWERED, last_error, charged)

    def _pause(self, seconds: float) -> None:
        """Back off, and longer where the server said for how long; not once the run has stopped."""
        until = time.monotonic() + seconds
        while (left := max(until, self._not_before) - time.monotonic()) > 0 and not self._stop.is_set():
            self._stop.wait(min(left, 1.0) * random.uniform(1.0, 1.1))  # not all at one moment
        self._check()

    def _try(self, request: dict[str, Any]) -> Response:
        """One try: alone, as long as there is no answer that shows that others may be sent at once."""
        if not self._proven:
            with self._alone:
                if not self._proven:
                    return self._send(request, alone=True)
        return self._send(request)

    def _send(self, request: dict[str, Any], *, alone: bool = False) -> Response:
        """One request within the caps. What may have been worked on, and so be charged, stays counted at its worst."""
        self._check()
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
            self._proven, self._unusable, self._given_up = True, 0, 0
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
            self._end(error)  # before those that wait at a cap go on
            raise
        finally:
            with self._state:
                self._sent -= 1
                self._state.notify_all()

    def _count_unusable(self, error: TransientError, worst: float | None, alone: bool) -> None:
        """Too many in a row, and requests go one by one again; too many of those, and the run ends."""
        with self._state:
            self._add_cost(worst)
            if alone or self._proven:  # else it was in flight when the trust was lost
                self._unusable += 1
            if self._unusable < MAX_FAILURES:
                return
            if not alone:
                self._proven, self._unusable = False, 0
                return
            failure = TeacherError(
                f"teacher '{self.teacher.name}' took the last {self._unusable} requests, sent one by one, and gave nothing "
                f"that can be used (the last: {one_line(error)}); they may be charged. See whether the recipe's teacher "
                "section fits it, above all teacher_endpoint and teacher_timeout, then rerun: what was answered is kept"
            )
            self._end(failure)  # before another thread sends the next one
            raise failure from None

    def _add_cost(self, usd: float | None) -> None:
        self.progress.usd = None if None in (usd, self.progress.usd) else self.progress.usd + usd

    def _reserve(self, worst: float | None) -> float:
        """USD set aside for a request: its worst, and by how much one has exceeded that.

        BudgetReached at a cap. While others are in flight it waits: they will cost less than their worst.
        """
        limits = self.limits
        with self._state:
            while not self.cache.reserve(usd := (worst or 0.0) + self._overrun, limits.max_usd, limits.max_requests):
                if not self._sent:
                    spent, requests = self.cache.spent()
                    raise BudgetReached(
                        f"budget: {requests} requests and at most {spent:.4f} USD are spent, and the next, at most "
                        f"{usd:.4f} USD, would pass max_usd {limits.max_usd:g} or max_requests {limits.max_requests} "
                        "(0: none); all answers so far are kept: raise the cap and rerun to go on"
                    )
                self._state.wait()
                self._check()
            self._sent += 1
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


def request_of(teacher: Teacher, prompt: TeacherPrompt, text: str, temperature: float, sample: int) -> dict[str, Any]:
    """All that determines an answer: what the cache's key is made from."""
    return teacher.identity | {
        "prompt": text,
        "prompt_version": prompt.label,
        "temperature": temperature,
        "sample": sample if temperature else 0,  # greedy samples are one and the same
    }


def rationale_of(first: Response, limits: Limits) -> str:
    """The rationale in the first call's response: its text, or what the model thought."""
    return first.reasoning if limits.rationale == "reasoning" and first.reasoning else first.text


def follow_up(prompt: TeacherPrompt, first_prompt: str, first: Response, limits: Limits) -> str:
    """The prompt of the second of two calls, or '' where there is none: of what is not whole no answer is asked."""
    if not prompt.answer_cue or first.finish_reason != "stop":
        return ""
    return f"{first_prompt} {rationale_of(first, limits)}{prompt.answer_cue}"
