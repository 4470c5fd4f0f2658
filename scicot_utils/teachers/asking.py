"""Ask a teacher: the only place where rows of the completions table are made, whichever teacher it is.

Requests run in as many threads as the teacher may have in flight; rows come out in the order of questions and samples.
How one request is sent, retried, stored and paid for is in `serving`.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from typing import Any

from tqdm import tqdm

from scicot_utils.prompts import TeacherPrompt, with_rationale
from scicot_utils.serving import cache as caches
from scicot_utils.serving.budget import NO_LIMITS, Limits, usd_text
from scicot_utils.serving.cache import Cache, Response, to_be_asked
from scicot_utils.serving.protocol import Teacher
from scicot_utils.serving.sending import Sender
from scicot_utils.tables import Row

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
    rationale: str = "text",
    show_progress: bool = False,
) -> Iterator[Row]:
    """Rows of the completions table, `samples` a question, in order; each response is stored before it is given out.

    `rationale`: the part of a response that is the rationale, its text or what a reasoning model thought (reasoning).

    A prompt with an answer cue takes two calls, the second greedy (Ho et al., appendix): the row's text is the first
    completion, the cue and the second completion, so that the prompt's parser sees the whole. A question that cannot
    be answered gets a row without text, and the reason as its finish_reason.

    Raises TeacherError when the run cannot go on. Then, and when the reader stops or closes the cache, nothing more is
    sent, and what is in flight is waited for and stored; a second KeyboardInterrupt does not wait.
    """
    jobs = [(question, sample) for question in questions for sample in range(samples)]
    sender, left, futures = Sender(teacher, cache, limits), iter(jobs), deque[Future[tuple[Row, bool]]]()
    cached = failed = 0  # of the rows given out: without a new request; without the whole answer that was asked for
    done: tuple[Row, bool] | None = None
    with ExitStack() as stack:  # left from the last to the first
        bar = stack.enter_context(tqdm(total=len(jobs), unit="completion", mininterval=2, disable=not show_progress))
        pool = ThreadPoolExecutor(teacher.in_flight)
        stack.callback(sender.end_turn)
        stack.callback(pool.shutdown)
        stack.enter_context(teacher)
        stack.callback(_finish, sender, pool, bar)
        cache.closing.callback(stack.close)
        while True:
            sender.check()
            ahead = (MAX_PENDING if sender.proven else 1) - len(futures)  # in order, while requests go one by one
            for job in islice(left, max(ahead, 0)):
                futures.append(pool.submit(_row, sender, prompt, temperature, rationale, *job))
            if done:  # while its reader works, the next are under way
                row, sent = done
                cached, failed = cached + (not sent), failed + (row["finish_reason"] not in ("stop", "missing"))
                spent = f"retries {sender.retries}, {usd_text(sender.usd)}"
                bar.set_postfix_str(f"cached {cached}, failed {failed}, {spent}", refresh=False)
                bar.update()
                yield row
            if not futures:
                return
            done = futures.popleft().result()


def pending(
    teacher: Teacher,
    prompt: TeacherPrompt,
    questions: Iterable[Row],
    cache: Cache,
    *,
    samples: int = 1,
    temperature: float = 0.0,
    rationale: str = "text",
) -> dict[str, dict[str, Any]]:
    """Key → request for all that `ask` would send first, and that is neither in the cache nor in a batch."""
    requests = {}
    for question in questions:
        first_prompt = prompt.question(question)
        for sample in range(samples):
            request = request_of(teacher, prompt, first_prompt, temperature, sample)
            if not to_be_asked(first := cache.stored(request)):
                second_prompt = follow_up(prompt, first_prompt, first, rationale)
                request = request_of(teacher, prompt, second_prompt, 0.0, sample)
                if not (second_prompt and to_be_asked(cache.stored(request))):
                    continue
            requests[caches.key(request)] = request
    return requests


def _finish(sender: Sender, pool: ThreadPoolExecutor, bar: tqdm) -> None:
    """Send nothing more, wait for what is in flight, which takes as long as one try at most, and store it."""
    sender.stop()
    if sender.sent:
        bar.set_description_str("waiting for what is in flight; interrupt again to leave it")
    pool.shutdown(cancel_futures=True)


def _row(
    sender: Sender, prompt: TeacherPrompt, temperature: float, rationale: str, question: Row, sample: int
) -> tuple[Row, bool]:
    """One row of the completions table, of one call or two, and whether a request was sent for it."""
    teacher, first_prompt = sender.teacher, prompt.question(question)
    first, sent = sender.response(request_of(teacher, prompt, first_prompt, temperature, sample))
    calls, text = [first], first.text
    if second_prompt := follow_up(prompt, first_prompt, first, rationale):
        answer, sent_again = sender.response(request_of(teacher, prompt, second_prompt, 0.0, sample))
        calls, sent = [first, answer], sent or sent_again
        text = f"{rationale_of(first, rationale)}{prompt.answer_cue} {answer.text}"
    elif first.finish_reason == "stop" and rationale_of(first, rationale) != first.text:
        text = with_rationale(prompt, first.text, first.reasoning)
    # greedy samples are one request, which the first of them has paid for
    prices = [0.0] if sample and not temperature else [call.usd for call in calls]
    row = {
        "question_id": question["id"],
        "sample": sample,
        "prompt": first_prompt,
        "prompt_version": prompt.label,
        "teacher": teacher.name,
        "temperature": math.nan if "temperature" in teacher.omitted else float(temperature),
        "text": text,
        "finish_reason": calls[-1].finish_reason,
        "prompt_tokens": sum(call.prompt_tokens for call in calls),
        "completion_tokens": sum(call.completion_tokens for call in calls),
        "usd": math.nan if None in prices else float(sum(prices)),
        "created": calls[-1].created,
    }
    return row, sent


def request_of(teacher: Teacher, prompt: TeacherPrompt, text: str, temperature: float, sample: int) -> dict[str, Any]:
    """All that determines an answer: what the cache's key is made from."""
    return teacher.identity | {
        "prompt": text,
        "prompt_version": prompt.label,
        "temperature": temperature,
        "sample": sample if temperature else 0,  # greedy samples are one and the same
    }


def rationale_of(first: Response, rationale: str) -> str:
    """The rationale in the first call's response: its text, or what the model thought."""
    return first.reasoning if rationale == "reasoning" and first.reasoning else first.text


def follow_up(prompt: TeacherPrompt, first_prompt: str, first: Response, rationale: str) -> str:
    """The prompt of the second of two calls, or '' where there is none: of what is not whole no answer is asked."""
    if not prompt.answer_cue or first.finish_reason != "stop":
        return ""
    return f"{first_prompt} {rationale_of(first, rationale)}{prompt.answer_cue}"
