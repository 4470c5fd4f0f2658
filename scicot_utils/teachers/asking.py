"""Asking a teacher: the one way in which completions come into being, whoever the teacher is.

Many requests may be under way at once; rows come out in the order of questions and samples all the same. A response is
in the cache before it is used, one request is never under way twice, what may pass is tried again, and a request that
would pass a cap is not sent. A server that is paid for is asked one request at a time until it has answered, so that one
that takes requests and gives nothing costs a few of them.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import queue
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from scicot_utils import cache as caches
from scicot_utils.cache import Cache, Response
from scicot_utils.prompts import TeacherPrompt, with_rationale
from scicot_utils.recipe import Settings
from scicot_utils.tables import Row
from scicot_utils.teachers.protocol import MayPass, Teacher, TeacherError, Unanswerable, now, one_line

IN_A_ROW = 5  # requests in vain with none answered between: then it is not the questions, and the run ends
HAND_OVER_SECONDS = 0.05  # for which rows that are ready are gathered
BREATHER = 50  # rows after which the loop may see to other things
LONGEST_PAUSE = 60.0  # seconds between two tries, where the server names none
AHEAD = 256  # rows that the reader has not come to yet, at which asking waits for it
LOOK_AGAIN_SECONDS = 0.2  # between two looks at whether another process has got the response that it asks for


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
    """The next request would pass a cap."""


@dataclass
class Progress:
    """Where a run stands, in completions. `usd`: what its requests cost, at worst where they told no price; None once
    the price of one was unknown.
    """

    cached: int = 0  # of those done, without any new request
    failed: int = 0  # of those done, not whole
    usd: float | None = 0.0
    tries_again: int = 0

    def told(self) -> str:
        return f"cached {self.cached}, failed {self.failed}, tries again {self.tries_again}, {money(self.usd)}"


def known(usd: float | None) -> float | str:
    """The sum itself, or 'unknown': what has no known price is never shown as a number."""
    return "unknown" if usd is None or math.isnan(usd) else usd


def money(usd: float | str | None) -> str:
    """'0.42 USD', or that the price is unknown; small sums keep two digits, so that they do not look like nothing."""
    usd = usd if isinstance(usd, str) else known(usd)
    if isinstance(usd, str):
        return "price unknown"
    return f"{usd:.2f} USD" if usd >= 0.01 or not usd else f"{usd:.2g} USD"


def spending(cache: Cache, settings: Settings) -> str:
    """What was ever spent through a cache, and the caps on it, as a sentence."""
    usd, requests = cache.spent()
    cost = (
        f"for at most {money(usd)} as far as prices were listed" if usd or settings.price() else "at an unknown price"
    )
    most_usd, most_requests = (f"{cap:g}" if cap else "none" for cap in (settings.max_usd, settings.max_requests))
    return (
        f"Requests ever sent through this cache: {requests} (max_requests: {most_requests}), {cost} (max_usd: {most_usd})."
        " What was written to a batch counts as sent."
        if requests
        else "No paid request was ever sent through this cache."
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
    sent, and what is under way is waited for and stored; a second KeyboardInterrupt leaves it.
    """
    jobs = [(question, sample) for question in questions for sample in range(samples)]
    with tqdm(total=len(jobs), unit="completion", mininterval=2, disable=not show_progress) as bar:
        yield from _Asking(teacher, prompt, cache, temperature, limits, jobs, bar).rows()


class _Asking:
    """One run of `ask`. Its event loop lives in a thread of its own, since a notebook's own loop is running already."""

    def __init__(
        self,
        teacher: Teacher,
        prompt: TeacherPrompt,
        cache: Cache,
        temperature: float,
        limits: Limits,
        jobs: list[tuple[Row, int]],
        bar: tqdm,
    ):
        self.teacher, self.prompt, self.cache, self.temperature = teacher, prompt, cache, temperature
        self.limits, self.progress, self._jobs, self._bar = limits, Progress(), jobs, bar
        self._thread = threading.Thread(target=self._work, name="asking", daemon=True)
        self._started = threading.Event()
        self._arrived: queue.SimpleQueue[list[Row] | BaseException | None] = queue.SimpleQueue()
        self._finished: dict[int, Row] = {}  # by place, not handed over yet
        self._following = 0  # place of the row to be handed over next
        self._unshown = self._untaken = 0  # rows finished and not in the bar; rows handed over and not read
        self._under_way: dict[str, asyncio.Future[Response]] = {}
        self._sent = 0  # requests that are with the server now
        self._trusted = not teacher.paid  # whether it answers, so that many requests may be under way
        self._in_vain = 0  # requests since the last answer that may be charged and gave nothing
        self._given_up = 0  # requests, since the last that was answered
        self._beyond = 0.0  # USD by which a request cost more than its worst, at most
        self._welcome = 0.0  # the loop's time from which the server wants to be asked again
        self._stopped: BaseException | None = None

    # In the reader's thread

    def rows(self) -> Iterator[Row]:
        """Runs the jobs, and gives out their rows in order."""
        self._thread.start()
        self.cache.users.append(self)
        try:
            while (found := self._arrived.get()) is not None:
                if isinstance(found, BaseException):
                    raise found
                yield from found
                self._tell(self._taken, len(found))
        finally:  # the reader may have stopped before the end
            self.stop()
            self.cache.users.remove(self)

    def stop(self) -> None:
        """Send nothing more, wait for what is under way, which takes as long as one try at most, and store it."""
        self._started.wait()
        if self._sent:
            self._bar.set_description_str("waiting for what is under way; interrupt again to leave it")
        try:
            self._tell(self._end)
            self._thread.join()
        except KeyboardInterrupt:  # once more: nor wait
            self._tell(self._task.cancel)
            self._thread.join()
            raise

    def _tell(self, action: Callable[..., object], *given: object) -> None:
        with suppress(RuntimeError, AttributeError):  # the loop has ended by itself, or never begun
            self._loop.call_soon_threadsafe(action, *given)

    # In the thread of the loop

    def _work(self) -> None:
        try:
            asyncio.run(self._all())
            self._arrived.put(None)
        except BaseException as error:  # whatever it is, the reader raises it
            self._arrived.put(error)
        finally:
            self._started.set()  # also where the loop could not even begin

    async def _all(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        self._settled, self._room, self._alone = asyncio.Event(), asyncio.Event(), asyncio.Lock()
        self._started.set()
        following = iter(enumerate(self._jobs))  # shared: each worker takes the next
        async with self.teacher:
            count = min(self.teacher.in_flight, len(self._jobs))
            await asyncio.gather(*(self._work_through(following) for _ in range(count)))
        self._hand_over()
        if self._stopped:
            raise self._stopped

    async def _work_through(self, jobs: Iterator[tuple[int, tuple[Row, int]]]) -> None:
        for place, (question, sample) in jobs:
            try:
                self._finished[place] = await self._row(question, sample)
            except (Exception, KeyboardInterrupt) as error:
                self._stopped = self._stopped or error
            if self._stopped:  # the others end what they are at, and store it
                return
            self._unshown += 1
            if self._unshown == 1:
                self._loop.call_later(HAND_OVER_SECONDS, self._hand_over)
            elif self._unshown >= AHEAD:
                self._hand_over()
            if place % BREATHER == 0:
                await asyncio.sleep(0)  # a teacher that never waits must let itself be stopped
            while self._unshown + self._untaken >= AHEAD and not self._stopped:
                self._room.clear()
                await self._room.wait()

    def _hand_over(self) -> None:
        """Several rows at once: waking the reader's thread for each would cost as much as the row."""
        ready = []
        while self._following in self._finished:
            ready.append(self._finished.pop(self._following))
            self._following += 1
        self._bar.set_postfix_str(self.progress.told(), refresh=False)
        self._bar.update(self._unshown)
        self._unshown, self._untaken = 0, self._untaken + len(ready)
        if ready:
            self._arrived.put(ready)
        self._room.set()  # rows that wait for an earlier one are not held against those that ask on

    def _taken(self, count: int) -> None:
        self._untaken -= count
        self._room.set()

    def _end(self) -> None:
        self._stopped = self._stopped or TeacherError(
            "asking was stopped before its end, or its cache closed; what was answered is kept: rerun to go on"
        )
        self._room.set()
        self._settled.set()

    async def _row(self, question: Row, sample: int) -> Row:
        """One row of the completions table, of one call or two."""
        prompt, shown = self.prompt, self.prompt.question(question)
        first, anew = await self._response(shown, self.temperature, sample)
        calls, text = [first], first.text
        second = follow_up(prompt, shown, first, self.limits)
        if second:
            answer, asked = await self._response(second, 0.0, sample)
            calls, anew = [first, answer], anew or asked
            text = f"{rationale_of(first, self.limits)}{prompt.answer_cue} {answer.text}"
        elif first.finish_reason == "stop" and rationale_of(first, self.limits) != first.text:
            text = with_rationale(prompt, first.text, first.reasoning)
        self.progress.cached += not anew
        self.progress.failed += calls[-1].finish_reason != "stop"
        # greedy samples are one request, which the first of them has paid for
        prices = [0.0] if sample and not self.temperature else [call.usd for call in calls]
        return {
            "question_id": question["id"],
            "sample": sample,
            "prompt": shown,
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

    async def _response(self, text: str, temperature: float, sample: int) -> tuple[Response, bool]:
        """The response to one request, and whether it was asked for now."""
        request = request_of(self.teacher, self.prompt, text, temperature, sample)
        digest = caches.key(request)
        if digest in self._under_way:
            response = await asyncio.shield(self._under_way[digest])
            self.cache.hits += 1
            return response, False
        found = self.cache.get(request)
        if found is not None:
            return found, False
        future = self._under_way[digest] = self._loop.create_future()
        try:
            response, anew = await self._claimed(request)
        except BaseException as error:
            future.set_exception(error) if isinstance(error, Exception) else future.cancel()
            future.cancelled() or future.exception()  # looked at, though nobody may wait for it
            raise
        else:
            future.set_result(response)
        finally:
            del self._under_way[digest]
        return response, anew

    async def _claimed(self, request: dict[str, Any]) -> tuple[Response, bool]:
        """Asked for now; or by another, whose answer is waited for, so that it is not paid for twice."""
        if not self.teacher.paid:
            return await self._asked(request), True
        while not self.cache.claim(request):
            await self._pause(LOOK_AGAIN_SECONDS)
        try:
            found = self.cache.get(request, missed=True)
            return (found, False) if found else (await self._asked(request), True)
        finally:
            self.cache.release(request)

    async def _asked(self, request: dict[str, Any]) -> Response:
        """Tries until there is a response or none to be had, and stores which it is."""
        pause, last, charged = 0.0, MayPass("never tried"), False
        for attempt in range(self.teacher.tries):
            await self._pause(pause)
            try:
                return await self._try(request)
            except Unanswerable as error:
                return self._without(request, error.reason, error, charged)
            except MayPass as error:
                last, charged = error, charged or error.sent
                self.progress.tries_again += 1
                self._welcome = max(self._welcome, self._loop.time() + error.wait)
                pause = min(self.teacher.pause * 2**attempt, LONGEST_PAUSE) * random.uniform(0.5, 1.0)
        return self._without(request, caches.UNANSWERED, last, charged)

    async def _pause(self, seconds: float) -> None:
        """Back off, and longer where the server said for how long it wants none; not once the run has stopped."""
        until = self._loop.time() + seconds
        while (left := max(until, self._welcome) - self._loop.time()) > 0:
            if self._stopped:
                raise self._stopped
            await asyncio.sleep(min(left, 1.0) * random.uniform(1.0, 1.1))  # not all at one moment
        if self._stopped:
            raise self._stopped

    async def _try(self, request: dict[str, Any]) -> Response:
        """One try: alone, as long as there is no answer that shows that others may be sent at once."""
        if not self._trusted:
            async with self._alone:
                if not self._trusted:
                    return await self._send(request, alone=True)
        return await self._send(request)

    async def _send(self, request: dict[str, Any], *, alone: bool = False) -> Response:
        """One request within the caps. What may have been worked on, and so be charged, stays counted at its worst."""
        reserved = await self._reserve(request["prompt"])
        worst, charged = self.teacher.worst(request["prompt"]), False
        try:
            asked = {"sample": request["sample"], "temperature": request["temperature"]}
            found = self.teacher.complete(request["prompt"], **asked)
            response = await found if inspect.isawaitable(found) else found
            [stored] = self.cache.put([(request, response)], reserved=reserved)
            charged = True
        except MayPass as error:
            charged = error.sent
            self._cost(worst if charged else 0.0)
            if charged:
                self._count_in_vain(error, alone)
            raise
        except Unanswerable:
            raise
        except TeacherError as error:
            charged = error.sent
            raise
        except BaseException:  # cancelled, or answered and not stored: it may have been charged
            charged = True
            raise
        finally:
            if reserved is not None:
                self._sent -= 1
                self._settled.set()
                if not charged:
                    self.cache.give_back(reserved)
        self._trusted, self._in_vain, self._given_up = True, 0, 0
        if response.usd is not None:
            self._beyond = max(self._beyond, response.usd - (self.teacher.worst(request["prompt"]) or 0.0))
        self._cost(worst if response.usd is None else response.usd)
        return stored

    def _count_in_vain(self, error: MayPass, alone: bool) -> None:
        """Too many in a row, and requests go one by one again; too many of those, and the run ends."""
        if alone or self._trusted:  # else it was under way when the trust was lost
            self._in_vain += 1
        if self._in_vain < IN_A_ROW:
            return
        if alone:
            raise TeacherError(
                f"teacher '{self.teacher.name}' took the last {self._in_vain} requests, sent one by one, and gave nothing "
                f"that can be used (the last: {one_line(error)}); they may be charged. See whether the recipe's teacher "
                "section fits it, above all teacher_endpoint and teacher_timeout, then rerun: what was answered is kept"
            ) from None
        self._trusted, self._in_vain = False, 0

    def _cost(self, usd: float | None) -> None:
        self.progress.usd = None if None in (usd, self.progress.usd) else self.progress.usd + usd

    async def _reserve(self, text: str) -> float | None:
        """USD set aside for a request at its worst, or at the worst that was seen; None for a teacher that is not paid.

        BudgetReached at a cap. While others are under way it waits: they will cost less than their worst.
        """
        if self._stopped:
            raise self._stopped
        if not self.teacher.paid:
            return None
        limits = self.limits
        while True:
            worst = (self.teacher.worst(text) or 0.0) + self._beyond
            if self.cache.reserve(worst, limits.max_usd, limits.max_requests):
                break
            if not self._sent:
                usd, requests = self.cache.spent()
                raise BudgetReached(
                    f"budget: {requests} requests and at most {usd:.4f} USD are spent, and the next, at most "
                    f"{worst:.4f} USD, would pass max_usd {limits.max_usd:g} or max_requests {limits.max_requests} "
                    "(0: none); all answers so far are kept: raise the cap and rerun to go on"
                )
            self._settled.clear()
            await self._settled.wait()
            if self._stopped:
                raise self._stopped
        self._sent += 1
        return worst

    def _without(self, request: dict[str, Any], reason: str, error: Exception, charged: bool) -> Response:
        """The mark of a request that has no answer; what it cost is unknown where a try may have been `charged`.

        When none has an answer, the run ends: it is not for the question then.
        """
        told = one_line(error)
        response = Response("", reason, 0, 0, None if charged else 0.0, now(), note=told)
        [stored] = self.cache.put([(request, response)])
        self._given_up += reason in caches.GIVEN_UP
        if self._given_up >= IN_A_ROW:
            raise TeacherError(
                f"teacher '{self.teacher.name}' answered none of the last {self._given_up} requests (the last: {told}); "
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
    return first.reasoning if limits.rationale == "reasoning" and first.reasoning else first.text


def follow_up(prompt: TeacherPrompt, shown: str, first: Response, limits: Limits) -> str:
    """What the second of two calls asks, or '' where there is none: of what is not whole no answer is asked."""
    asked = prompt.answer_cue and first.finish_reason == "stop"
    return f"{shown} {rationale_of(first, limits)}{prompt.answer_cue}" if asked else ""
