"""A provider's batch mode: the requests that are not in the cache yet as a file, and the file of results back into it.

The format is OpenAI's (one JSON object a line with custom_id, method, url and body); others read the same. A prompt of
two calls takes two rounds, since the second call holds the first one's answer.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from scicot_utils import cache as caches
from scicot_utils.cache import Cache, Response
from scicot_utils.prompts import TeacherPrompt
from scicot_utils.tables import Row
from scicot_utils.teachers.asking import NO_LIMITS, BudgetReached, Limits, follow_up, request_of
from scicot_utils.teachers.protocol import MayPass, TeacherError, Unanswerable, now, one_line
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
    """Key → request of all that can be asked now and is not in the cache."""
    found = {}
    for question in questions:
        shown = prompt.question(question)
        for sample in range(samples):
            request = request_of(teacher, prompt, shown, temperature, sample)
            first = cache.get(request)
            if first is not None:
                second = follow_up(prompt, shown, first, limits)
                request = request_of(teacher, prompt, second, 0.0, sample)
                if not second or cache.get(request) is not None:
                    continue
            found[caches.key(request)] = request
    return found


def write(teacher: Served, requests: dict[str, dict[str, Any]], cache: Cache, limits: Limits) -> Iterator[str]:
    """The lines of a batch file. BudgetReached before the first where all of them, at their worst, would pass a cap."""
    prices = [teacher.worst(request["prompt"]) for request in requests.values()]
    usd, requests_sent = cache.spent()
    worst = None if None in prices else sum(prices)
    if limits.max_usd and usd + worst > limits.max_usd:
        raise BudgetReached(
            f"budget: {usd:.4f} USD are spent, and a batch of {len(requests)} requests, at most {worst:.4f} USD, would "
            f"pass max_usd {limits.max_usd:g}; raise the cap, or lower teacher_max_tokens, samples or train_questions"
        )
    if limits.max_requests and requests_sent + len(requests) > limits.max_requests:
        raise BudgetReached(
            f"budget: {requests_sent} requests are sent, and a batch of {len(requests)} would pass max_requests "
            f"{limits.max_requests}; raise the cap, or lower samples or train_questions"
        )
    for name, request in requests.items():
        body = teacher.body(request["prompt"], sample=request["sample"], temperature=request["temperature"])
        line = {"custom_id": name, "method": "POST", "url": f"/v1{teacher.path}", "body": body}
        yield json.dumps(line, ensure_ascii=False)


def take_in(
    teacher: Served,
    requests: dict[str, dict[str, Any]],
    lines: Iterable[str],
    cache: Cache,
    *,
    where: str,
    price_factor: float = 1.0,
) -> dict[str, int]:
    """Store a batch's results; how many there were of each kind. `price_factor`: of the listed price, in batch mode.

    Stored are answers, and marks of what cannot be answered; all else counts as `to be asked again`, and results of
    other requests, or of some that the cache already has, as `not asked for`.
    """
    counts: Counter[str] = Counter()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            name, told = row["custom_id"], row.get("response") or {}
            status, body = told.get("status_code"), told.get("body")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise TeacherError(
                f"{where}, line {number}: allowed: a result of a batch with custom_id, response, error ({error!r})"
            ) from None
        request = requests.get(name) if isinstance(name, str) else None
        if request is None or cache.get(request) is not None:
            counts["not asked for"] += 1
            continue
        response = _read(teacher, request["prompt"], status, body)
        if response is None:
            counts["to be asked again"] += 1
            continue
        if response.usd is not None:
            response = replace(response, usd=response.usd * price_factor)
        cache.reserve(0.0, 0.0, 0)  # counts the request
        cache.put([(request, response)], reserved=0.0)
        counts["whole" if response.finish_reason == "stop" else response.finish_reason] += 1
    return dict(counts.most_common())


def _read(teacher: Served, prompt: str, status: object, body: object) -> Response | None:
    """The response in one result; None where another try may give one. TeacherError as when it is asked directly."""
    try:
        if status == 200 and isinstance(body, dict):
            return teacher.read(body, prompt)
        if isinstance(status, int):
            raise teacher.refused(status, body, {})
    except Unanswerable as error:
        return Response("", error.reason, 0, 0, 0.0, now(), note=one_line(error))
    except MayPass:
        return None
    return None  # the batch expired or was cancelled, and the request was not charged
