"""The protocol of teachers: from prompt text to completion text, and the errors that may occur."""

from datetime import UTC, datetime
from typing import Any, Self

from scicot_utils import ScicotError
from scicot_utils.serving.cache import Response


class TeacherError(ScicotError):
    """A teacher cannot be asked: the run ends, all answers are kept. `sent`: whether the request may be charged."""

    def __init__(self, message: str, *, sent: bool = False):
        super().__init__(message)
        self.sent = sent


class TransientError(Exception):
    """A request may succeed if sent again, `wait` seconds later if the server asked. `sent`: it may be charged."""

    def __init__(self, message: str, *, wait: float = 0.0, sent: bool = False):
        super().__init__(message)
        self.wait, self.sent = wait, sent


class PermanentError(Exception):
    """A request cannot succeed because of its own question, and is not charged. `reason` becomes its drop reason."""

    sent = False

    def __init__(self, reason: str, message: str):
        super().__init__(message)
        self.reason = reason


class Teacher:
    """Base class of teachers. `name` goes into tables. `identity` is all that determines the answers beside the prompt,
    and part of the cache's key.

    Inside `with`, up to `in_flight` requests are in flight at once, and each is tried up to `tries` times. The requests
    of a `paid` teacher count against the caps. `omitted`: parameters that are not sent, so that the model decides them.
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
        """One try, called from several threads. Raises TransientError, PermanentError or TeacherError."""
        raise NotImplementedError

    def worst(self, prompt: str) -> float | None:
        """The most that a request may cost, in USD; None if the price is unknown."""
        return 0.0


def now() -> str:
    """The time in UTC, as ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def free(prompt: str, text: str, finish_reason: str = "stop") -> Response:
    """A response that costs nothing. Tokens are counted as words, since there is no tokenizer."""
    return Response(text, finish_reason, len(prompt.split()), len(text.split()), 0.0, now())
