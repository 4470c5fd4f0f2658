"""The caps on what a teacher may cost, and how what it did cost is said."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scicot_utils.cache import Cache
from scicot_utils.recipe import Settings
from scicot_utils.tables import Row
from scicot_utils.teachers.protocol import TeacherError


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


def over_budget(cache: Cache, limits: Limits, requests: str, advice: str) -> BudgetReached:
    """The error for `requests` that would exceed a cap, in one line that says what is spent and what to do."""
    usd, sent = cache.spent()
    return BudgetReached(
        f"budget: {sent} requests and at most {usd:.4f} USD are spent, and {requests}, would pass max_usd "
        f"{limits.max_usd:g} or max_requests {limits.max_requests} (0: none); {advice}"
    )


def known_usd(usd: float | None) -> float | str:
    """The sum itself, or 'unknown': what has no known price is never shown as a number."""
    return "unknown" if usd is None or math.isnan(usd) else usd


def usd_text(usd: float | str | None) -> str:
    """'0.42 USD', or that the price is unknown; small sums keep two digits, so that they do not look like nothing."""
    if usd in (None, "unknown") or math.isnan(usd):
        return "price unknown"
    return f"{usd:.2f} USD" if usd >= 0.01 or not usd else f"{usd:.2g} USD"


def usage(cache: Cache, completions: Sequence[Row]) -> dict[str, float | str]:
    """What was asked through an open cache since it was opened, and what all completions took, by name."""
    return {
        "calls asked anew": cache.misses,
        "calls from the cache": cache.hits,
        "USD of the new answers": known_usd(cache.usd),
        "prompt tokens": sum(row["prompt_tokens"] for row in completions),
        "completion tokens": sum(row["completion_tokens"] for row in completions),
        "USD of all completions": known_usd(sum(row["usd"] for row in completions)),
    }


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
