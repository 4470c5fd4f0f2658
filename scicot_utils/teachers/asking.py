"""Ask a teacher: the only place where rows of the completions table are made, whichever teacher it is.

Requests run in as many threads as the teacher may have in flight; rows come out in the order of questions and samples.
How one request is sent, retried, stored and paid for is in `sending`.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from typing import Any

from tqdm import tqdm

from scicot_utils.cache import Cache, Response
from scicot_utils.prompts import TeacherPrompt, with_rationale
from scicot_utils.tables import Row
from scicot_utils.teachers.budget import NO_LIMITS, Limits, usd_text
from scicot_utils.teachers.protocol import Teacher
from scicot_utils.teachers.sending import Sender

MAX_PENDING = 256  # rows that are asked ahead of the reader


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
        yield from _Run(Sender(teacher, cache, limits), prompt, temperature, bar).rows(jobs)


class _Run:
    """One run of `ask`."""

    def __init__(self, sender: Sender, prompt: TeacherPrompt, temperature: float, bar: tqdm):
        self._sender, self.teacher, self.limits = sender, sender.teacher, sender.limits
        self.prompt, self.temperature, self._bar = prompt, temperature, bar
        self._cached = self._failed = 0  # of the rows given out: without a new request; without a whole answer

    def rows(self, jobs: Iterable[tuple[Row, int]]) -> Iterator[Row]:
        """Runs the jobs and gives out their rows in order."""
        if self.teacher.in_flight == 1 and not self.teacher.paid:  # it never waits, so threads would only cost
            with self.teacher:
                for job in jobs:
                    yield self._reported(*self._row(*job))
            return
        sender, jobs = self._sender, iter(jobs)
        pool, pending = ThreadPoolExecutor(self.teacher.in_flight), deque[Future[tuple[Row, bool]]]()
        done: tuple[Row, bool] | None = None
        with ExitStack() as stack:  # left from the last to the first
            stack.callback(sender.end_turn)
            stack.callback(pool.shutdown)
            stack.enter_context(self.teacher)
            stack.callback(self._finish, pool)
            sender.cache.closing.callback(stack.close)
            while True:
                ahead = (MAX_PENDING if sender.proven else 1) - len(pending)  # in order, while requests go one by one
                if not sender.stopped:
                    pending.extend(pool.submit(self._job, *job) for job in islice(jobs, max(ahead, 0)))
                if done:  # while its reader works, the next are under way
                    yield self._reported(*done)
                if not pending:
                    return sender.check()
                try:
                    done = pending.popleft().result()
                except (Exception, CancelledError):
                    raise sender.failure() from None

    def _finish(self, pool: ThreadPoolExecutor) -> None:
        """Send nothing more, wait for what is in flight, which takes as long as one try at most, and store it."""
        self._sender.stop()
        if self._sender.sent:
            self._bar.set_description_str("waiting for what is in flight; interrupt again to leave it")
        pool.shutdown(cancel_futures=True)

    def _reported(self, row: Row, sent: bool) -> Row:
        """The row itself, counted in the progress bar."""
        self._cached += not sent
        self._failed += row["finish_reason"] != "stop"
        progress = f"cached {self._cached}, failed {self._failed}, retries {self._sender.retries}, {usd_text(self._sender.usd)}"
        self._bar.set_postfix_str(progress, refresh=False)
        self._bar.update()
        return row

    def _job(self, question: Row, sample: int) -> tuple[Row, bool]:
        """`_row` in a thread of the pool: an error stops the others."""
        try:
            return self._row(question, sample)
        except BaseException as error:
            self._sender.stop(error)
            raise

    def _row(self, question: Row, sample: int) -> tuple[Row, bool]:
        """One row of the completions table, of one call or two, and whether a request was sent for it."""
        prompt, first_prompt = self.prompt, self.prompt.question(question)
        first, sent = self._response(first_prompt, self.temperature, sample)
        calls, text = [first], first.text
        if second_prompt := follow_up(prompt, first_prompt, first, self.limits):
            answer, sent_again = self._response(second_prompt, 0.0, sample)
            calls, sent = [first, answer], sent or sent_again
            text = f"{rationale_of(first, self.limits)}{prompt.answer_cue} {answer.text}"
        elif first.finish_reason == "stop" and rationale_of(first, self.limits) != first.text:
            text = with_rationale(prompt, first.text, first.reasoning)
        # greedy samples are one request, which the first of them has paid for
        prices = [0.0] if sample and not self.temperature else [call.usd for call in calls]
        row = {
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
        return row, sent

    def _response(self, prompt: str, temperature: float, sample: int) -> tuple[Response, bool]:
        return self._sender.response(request_of(self.teacher, self.prompt, prompt, temperature, sample))


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
