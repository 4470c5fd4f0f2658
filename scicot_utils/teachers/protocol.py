"""What every teacher is: something that turns prompt text into completion text, and says what stands in the way."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Self

from scicot_utils import ScicotError
from scicot_utils.cache import Response

SHOWN = 200  # characters of a server's own message that are repeated in ours


class TeacherError(ScicotError):
    """A teacher that cannot be asked: the run ends, and all that was answered is kept.

    `sent`: whether the request may have been worked on, and so be charged.
    """

    def __init__(self, told: str, *, sent: bool = False):
        super().__init__(told)
        self.sent = sent


class TransientError(Exception):
    """A request that failed and may succeed when it is sent again.

    `wait`: seconds that the server asked for. `sent`: whether it may have been worked on, and so be charged.
    """

    def __init__(self, told: str, *, wait: float = 0.0, sent: bool = False):
        super().__init__(told)
        self.wait, self.sent = wait, sent


class PermanentError(Exception):
    """A request that cannot succeed, because of its own question: `reason` becomes its drop reason."""

    def __init__(self, reason: str, told: str):
        super().__init__(told)
        self.reason = reason


class Teacher:
    """`name` goes into tables; `identity` is all that decides its answers beside the prompt, and part of the cache's key.

    Up to `in_flight` requests are in flight at once, inside `with`; each is tried up to `tries` times. What a `paid` one
    is asked counts against the caps. `omitted` parameters are not sent to it, so that it decides them.
    """

    name: str
    identity: dict[str, Any]
    in_flight: int = 1
    paid: bool = False
    omitted: tuple[str, ...] = ()
    tries: int = 1
    pause: float = 0.0  # seconds before the second try, doubled for each further one

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def complete(self, prompt: str, *, sample: int, temperature: float) -> Response:
        """One try, in one of several threads. Raises TransientError, PermanentError or TeacherError."""
        raise NotImplementedError

    def worst(self, prompt: str) -> float | None:
        """USD that a request costs at most; None where the price is not known."""
        return 0.0


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def free(prompt: str, text: str, finish_reason: str = "stop") -> Response:
    """A response that costs nothing; tokens are counted as words, for want of a tokenizer."""
    return Response(text, finish_reason, len(prompt.split()), len(text.split()), 0.0, now())


def clean(text: str) -> str:
    """Text as any file can hold it: half of a surrogate pair, which JSON may carry, becomes the replacement mark."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def one_line(text: object) -> str:
    """A message from elsewhere as part of one line of ours: no control characters, and not too long."""
    plain = " ".join(
        re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e]", " ", clean(str(text))).split()
    )
    return plain if len(plain) <= SHOWN else f"{plain[:SHOWN]}…"


FINISHES = {"stop": "stop", "eos": "stop", "eos_token": "stop", "stop_sequence": "stop", "end_turn": "stop"}
FINISHES |= {"length": "length", "max_tokens": "length", "content_filter": "content_filter"}  # in any case


def finished(reason: object) -> str:
    """A server's word for how a completion ended, as the completions table has it."""
    return FINISHES.get(reason.lower(), "unfinished") if isinstance(reason, str) else "unfinished"
