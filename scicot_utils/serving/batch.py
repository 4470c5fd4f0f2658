"""A provider's batch mode: write the requests that are not in the cache to a file, and read the file of results back.

The format is OpenAI's (one JSON object a line with custom_id, method, url and body); others read the same. A request in a
batch has a mark in the cache, and its worst-case price is reserved, until its result is read.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from scicot_utils.serving import cache as caches
from scicot_utils.serving.budget import Limits, over_budget
from scicot_utils.serving.cache import BATCHED, UNANSWERED, Cache, Response
from scicot_utils.serving.protocol import PermanentError, TeacherError, TransientError, now
from scicot_utils.serving.replies import one_line
from scicot_utils.serving.served import Served


def lines(teacher: Served, requests: dict[str, dict[str, Any]]) -> Iterator[str]:
    """The lines of a batch file."""
    for key, request in requests.items():
        body = teacher.body(request["prompt"], sample=request["sample"], temperature=request["temperature"])
        line = {"custom_id": key, "method": "POST", "url": f"/v1{teacher.path}", "body": body}
        yield json.dumps(line, ensure_ascii=False)


def set_aside(teacher: Served, requests: dict[str, dict[str, Any]], cache: Cache, limits: Limits) -> None:
    """Mark requests as being in a batch, and reserve their worst-case prices, in one transaction. Raises BudgetReached, and
    marks none, beyond a cap.
    """
    prices = [teacher.worst(request["prompt"]) for request in requests.values()]
    usd = sum(price or 0.0 for price in prices)
    with cache.transaction():
        if not cache.reserve(usd, limits.max_usd, limits.max_requests, len(requests)):
            cost = "at an unknown price" if None in prices else f"at most {usd:.4f} USD"
            advice = "raise the cap, or lower teacher_max_tokens, samples or train_questions"
            raise over_budget(cache, limits, f"a batch of {len(requests)}, {cost}", advice)
        for request, price in zip(requests.values(), prices, strict=True):
            cache.put(request, Response("", BATCHED, 0, 0, price, now()))


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
    batched = {caches.key(request): request for request, _ in cache.of_kind(BATCHED) if identity <= request.items()}
    requests = requests | batched
    counts: Counter[str] = Counter()
    messages = []
    for number, line in enumerate(results, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            reply = row.get("response") or {}
            key, status, body = str(row["custom_id"]), reply.get("status_code"), reply.get("body")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            counts["no result"] += 1
            messages.append(f"line {number}: allowed: a result of a batch with custom_id, response, error ({error!r})")
            continue
        if key not in requests:
            counts["not asked for"] += 1
            continue
        prompt = requests[key]["prompt"]
        response, kind = _read(teacher, prompt, status, body)
        if response.usd:
            response = replace(response, usd=response.usd * price_factor)
        if not cache.settle(requests[key], response, teacher.worst(prompt) or 0.0):
            kind = "not asked for"
        elif kind == "refused":
            messages.append(f"line {number}: {response.note}")
        counts[kind] += 1
    return dict(counts.most_common()), messages


def _read(teacher: Served, prompt: str, status: object, body: object) -> tuple[Response, str]:
    """The response in one result, or the mark of a request without one, and the kind that it is counted as."""
    try:
        if status == 200 and isinstance(body, dict):
            response = teacher.read(body, prompt)
            return response, "whole" if response.finish_reason == "stop" else response.finish_reason
        if isinstance(status, int):
            raise teacher.refused(status, body, {})
        raise TransientError("the batch expired or was cancelled")  # in both cases, the request was not charged
    except (PermanentError, TransientError, TeacherError) as error:
        reason = kind = getattr(error, "reason", UNANSWERED)
        if reason == UNANSWERED:
            kind = "refused" if isinstance(error, TeacherError) else "to be asked again"
        return Response("", reason, 0, 0, None if error.sent else 0.0, now(), note=one_line(error)), kind
