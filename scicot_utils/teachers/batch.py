"""A provider's batch mode: write the requests that are not in the cache to a file, and read the file of results back.

The format is OpenAI's (one JSON object a line with custom_id, method, url and body); others read the same. A prompt of
two calls takes two rounds, since the second call holds the first one's answer. A request in a batch has a mark in the
cache, and its worst-case price is reserved, until its result is read.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from scicot_utils import cache as caches
from scicot_utils.cache import BATCHED, TO_BE_ASKED, UNANSWERED, Cache, Response, finish_of
from scicot_utils.prompts import TeacherPrompt
from scicot_utils.tables import Row
from scicot_utils.teachers.asking import NO_LIMITS, BudgetReached, Limits, follow_up, request_of
from scicot_utils.teachers.protocol import PermanentError, TeacherError, TransientError, now, one_line
from scicot_utils.teachers.served import Served


def pending(
    teacher: Served,
    prompt: TeacherPrompt,
    questions: Iterable[Row],
    cache: Cache,
    *,
    samples: int = 1,
    temperature: float = 0.0,
    limits: Limits = NO_LIMITS,
) -> dict[str, dict[str, Any]]:
    """Key → request for all that can be asked now and is neither in the cache nor in a batch."""
    found = {}
    for question in questions:
        shown = prompt.question(question)
        for sample in range(samples):
            request = request_of(teacher, prompt, shown, temperature, sample)
            if (first := cache.stored(request)) and finish_of(first) not in TO_BE_ASKED:
                second = follow_up(prompt, shown, first, limits)
                request = request_of(teacher, prompt, second, 0.0, sample)
                if not second or finish_of(cache.stored(request)) not in TO_BE_ASKED:
                    continue
            found[caches.key(request)] = request
    return found


def lines(teacher: Served, requests: dict[str, dict[str, Any]]) -> Iterator[str]:
    """The lines of a batch file."""
    for name, request in requests.items():
        body = teacher.body(request["prompt"], sample=request["sample"], temperature=request["temperature"])
        line = {"custom_id": name, "method": "POST", "url": f"/v1{teacher.path}", "body": body}
        yield json.dumps(line, ensure_ascii=False)


def set_aside(
    teacher: Served, requests: dict[str, dict[str, Any]], cache: Cache, limits: Limits
) -> dict[str, dict[str, Any]]:
    """Count a batch at its worst-case price and mark its requests; returns those marked, without any answered
    meanwhile. Raises BudgetReached if it would exceed a cap.
    """
    prices = [teacher.worst(request["prompt"]) for request in requests.values()]
    marked = cache.set_aside(zip(requests.values(), prices, strict=True), now(), limits.max_usd, limits.max_requests)
    if marked is None:
        worst = sum(price or 0.0 for price in prices)
        usd, sent = cache.spent()
        cost = "at an unknown price" if None in prices else f"at most {worst:.4f} USD"
        raise BudgetReached(
            f"budget: {sent} requests and at most {usd:.4f} USD are spent, and a batch of {len(requests)}, {cost}, would pass max_usd {limits.max_usd:g} or max_requests {limits.max_requests} (0: none); "
            "raise the cap, or lower teacher_max_tokens, samples or train_questions"
        )
    return {caches.key(request): request for request in marked}


def take_in(
    teacher: Served,
    requests: dict[str, dict[str, Any]],
    results: Iterable[str],
    cache: Cache,
    *,
    price_factor: float = 1.0,
) -> tuple[dict[str, int], list[str]]:
    """Store a batch's results: (kind → number of results, messages about lines without a usable result).

    Results are accepted for requests that are in a batch of this teacher, and for `requests`, which may be in a batch
    of another checkout. Stored are answers, and marks of requests that cannot be answered. The rest is counted as `to
    be asked again`. Results that the cache already has, or nobody asked for, are `not asked for`. `price_factor`: price
    of batch mode, as a share of the listed price.
    """
    identity = teacher.identity.items()
    batched = {caches.key(found): found for found, _ in cache.of_kind(BATCHED) if identity <= found.items()}
    counts: Counter[str] = Counter()
    wrong = []
    for number, line in enumerate(results, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            told = row.get("response") or {}
            name, status, body = str(row["custom_id"]), told.get("status_code"), told.get("body")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            counts["no result"] += 1
            wrong.append(f"line {number}: allowed: a result of a batch with custom_id, response, error ({error!r})")
            continue
        request, told_of = batched.get(name) or requests.get(name), ""
        if request is None:
            counts["not asked for"] += 1
            continue
        try:
            response = _read(teacher, request["prompt"], status, body)
            kind = "whole" if response.finish_reason == "stop" else response.finish_reason
        except PermanentError as error:
            response, kind = _mark(error.reason, 0.0, error), error.reason
        except TransientError as error:
            response, kind = _mark(UNANSWERED, None if error.sent else 0.0, error), "to be asked again"
        except TeacherError as error:
            response, kind = _mark(UNANSWERED, 0.0, error), "refused"
            told_of = f"line {number}: {one_line(error)}"
        if response.usd:
            response = replace(response, usd=response.usd * price_factor)
        if not cache.settle(request, response, teacher.worst(request["prompt"]) or 0.0):
            kind, told_of = "not asked for", ""
        counts[kind] += 1
        wrong += [told_of] if told_of else []
    return dict(counts.most_common()), wrong


def _read(teacher: Served, prompt: str, status: object, body: object) -> Response:
    """The response in one result. Raises the errors that asking the teacher directly raises."""
    if status == 200 and isinstance(body, dict):
        return teacher.read(body, prompt)
    if isinstance(status, int):
        raise teacher.refused(status, body, {})
    raise TransientError("the batch expired or was cancelled")  # in both cases, the request was not charged


def _mark(reason: str, usd: float | None, error: Exception) -> Response:
    return Response("", reason, 0, 0, usd, now(), note=one_line(error))
