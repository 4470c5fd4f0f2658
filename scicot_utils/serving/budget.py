"""The caps on what a teacher may cost, and how a price is written."""

import math
from dataclasses import dataclass

from scicot_utils.serving.cache import Cache
from scicot_utils.serving.protocol import TeacherError


@dataclass(frozen=True)
class Limits:
    """Caps on what a cache has ever spent (0: none)."""

    max_usd: float = 0.0
    max_requests: int = 0


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


def usd_text(usd: float | str | None) -> str:
    """'0.42 USD', or that the price is unknown; small sums keep two digits, so that they do not look like nothing."""
    if usd in (None, "unknown") or math.isnan(usd):
        return "price unknown"
    return f"{usd:.2f} USD" if usd >= 0.01 or not usd else f"{usd:.2g} USD"
