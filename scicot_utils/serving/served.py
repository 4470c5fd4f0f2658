"""A teacher behind a server with OpenAI's interface: a paid API, vLLM, Ollama, llama.cpp, `transformers serve`.

One method call is one request; `sending` does retries, caching and the budget. A reply is untrusted text: it is read as
data, its structure is checked, and a completion counts as whole only if the reply says so.
"""

import asyncio
import email.utils
import json
import os
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, Self

import httpx2
import openai
from anyio.from_thread import start_blocking_portal

from scicot_utils.serving.cache import Response
from scicot_utils.serving.protocol import PermanentError, Teacher, TeacherError, TransientError, now
from scicot_utils.serving.replies import clean, finished, one_line, split_thinking

NO_KEY = "none"  # the client requires one, and a server without keys ignores it
OPENAI, OPENAI_KEY = (
    "https://api.openai.com/v1",
    "OPENAI_API_KEY",
)  # the only server that this variable's key is sent to
PAUSE = 0.5  # seconds before the second try
LONGEST_WAIT = 900.0  # seconds; if a server asks for more, as at the end of a daily quota, the run ends
SEEDS_APART = 1000  # teacher_seeds share no sample's seed, since there are at most 64 samples
TEMPLATE_TOKENS = 256  # the most tokens that a chat template may put around a prompt
PASSING = (408, 409, 429)  # these and all from 500: statuses that another try may change
NOT_WORKED_ON = (409, 429, 500, 501, 503, 529)  # of those; after others, as from a gateway, an answer may be lost
OF_THE_QUESTION = (400, 413, 422)  # statuses that may be about one question; others are about account or model
OF_A_PARAMETER = ("unsupported_parameter", "unsupported_value", "unknown_parameter")
OF_ALL = (
    "insufficient_quota", "billing_hard_limit_reached", "invalid_api_key", "model_not_found", "account_deactivated",
    *OF_A_PARAMETER,
)  # fmt: skip
# How servers say that a question has no room: OpenAI, vLLM, Anthropic and LM Studio, then llama.cpp, Ollama,
# text-generation-inference.
TOO_LONG = (
    "context length", "context window", "maximum context", "context_length", "too long", "too many tokens", "maximum model length",
    "context size", "exceed_context_size", "num_ctx",
    "max_new_tokens` must be", "maximum number of input tokens", "must have less than",
)  # fmt: skip
FILTERED = ("content_filter", "content filter", "content_policy", "content management policy")
PROXIES = ("http_proxy", "https_proxy", "all_proxy")
PATHS = {"chat": "/chat/completions", "completion": "/completions"}


@dataclass(frozen=True)
class Server:
    """A server's model and how to ask it; what the fields mean and allow is said in `recipe.Teacher`, as teacher_*."""

    model: str
    base_url: str
    api_key_env: str
    endpoint: str
    max_tokens: int
    limit_as: str
    omit: str
    seed: int
    timeout: float  # seconds
    in_flight: int
    tries: int
    price: tuple[float, float] | None  # of input and output, in USD per million tokens; None if unknown


class Served(Teacher):
    """The model and endpoint that a recipe names. The API key is read from the environment when it is needed."""

    paid = True

    def __init__(self, server: Server):
        self.name = server.model
        self.in_flight, self.tries, self.pause = server.in_flight, server.tries, PAUSE
        self.identity = {
            "teacher": "openai",
            "model": server.model,
            "endpoint": server.endpoint,
            "max_tokens": server.max_tokens,
            "seed": server.seed,
        }
        self.omitted = tuple(filter(None, server.omit.split(",")))
        if self.omitted:  # only then, so that older cache keys stay valid
            self.identity["omitted"] = server.omit
        self.price, self.path = server.price, PATHS[server.endpoint]
        self._server = server
        self._stack = ExitStack()  # closes what is open inside `with`

    def __enter__(self) -> Self:
        if not (self._key().isascii() and self._key().isprintable()):
            raise TeacherError(
                f"environment variable {self._server.api_key_env}: holds characters that no key has; set it anew"
            )
        try:
            self._client = openai.AsyncOpenAI(
                api_key=self._key() or NO_KEY,
                base_url=self._server.base_url,
                max_retries=0,  # `sending` retries, and counts the cost
                timeout=self._server.timeout,
            )
        except (ImportError, ValueError) as error:
            raise TeacherError(
                f"teacher '{self.name}': the proxy of the environment cannot be used ({type(error).__name__}{_proxies()}); "
                "allowed: an http:// proxy, or none: unset these variables"
            ) from None
        if not self._at_home():  # from the environment; other servers must not see them
            self._client.organization = self._client.project = None
        self._portal = self._stack.enter_context(start_blocking_portal())  # an event loop in a thread of its own
        self._stack.callback(lambda: self._portal.call(self._client.close))
        return self

    def __exit__(self, *error: Any) -> None:
        """Close the client. An error, such as a second interrupt, cancels what is in flight."""
        self._stack.__exit__(*error)

    def _at_home(self) -> bool:
        return self._server.base_url.rstrip("/") == OPENAI

    def _key(self) -> str:
        """The key for this server. The key in the default variable is only for the default server."""
        variable = self._server.api_key_env
        return os.environ.get(variable, "").strip() if self._at_home() or variable != OPENAI_KEY else ""

    def _redacted(self, message: object) -> str:
        """A message from elsewhere for use in one line of ours, without the key, if the server repeats it."""
        text, secret = str(message), self._key()
        return one_line(text.replace(secret, "…") if secret else text)

    def body(self, prompt: str, *, sample: int, temperature: float) -> dict[str, Any]:
        """The full body of a request. A batch file holds the same bodies."""
        body = {"model": self._server.model}
        if self._server.endpoint == "completion":
            body["prompt"] = prompt
        else:
            body["messages"] = [{"role": "user", "content": prompt}]
        body[self._server.limit_as] = self._server.max_tokens
        sampling = {"temperature": temperature, "seed": SEEDS_APART * self._server.seed + sample}
        return body | {name: value for name, value in sampling.items() if name not in self.omitted}

    def worst(self, prompt: str) -> float | None:
        """The most that a request may cost, in USD; None at an unknown price. A token has at least one byte, a chat
        template adds some, and the completion may use its full limit.
        """
        return self.cost(len(prompt.encode()) + TEMPLATE_TOKENS, self._server.max_tokens)

    def cost(self, prompt_tokens: int, completion_tokens: int) -> float | None:
        """The price of a request in USD; None if the price per token is unknown."""
        if self.price is None:
            return None
        return (prompt_tokens * self.price[0] + completion_tokens * self.price[1]) / 1e6

    def complete(self, prompt: str, *, sample: int, temperature: float) -> Response:
        """Send one request, inside `with`. Raises TransientError, PermanentError or TeacherError (see `refused`)."""
        body = self.body(prompt, sample=sample, temperature=temperature)
        try:
            content = self._portal.call(self._post, body)
        except (TimeoutError, openai.APITimeoutError):
            raise TransientError(f"no reply within {self._server.timeout:g} s", sent=True) from None
        except openai.APIStatusError as error:
            raise self.refused(error.status_code, error.body, error.response.headers) from None
        except openai.APIConnectionError as error:
            cause = type(error.__cause__).__name__
            sent = cause not in ("ConnectError", "ConnectTimeout", "PoolTimeout")
            raise TransientError(f"no connection ({cause}{_proxies()})", sent=sent) from None
        except openai.APIError as error:
            raise TransientError(self._redacted(error), sent=True) from None
        return self.read(content, prompt)

    async def _post(self, body: dict[str, Any]) -> bytes:
        """The client's call for any endpoint. The client's own types would drop unknown fields, such as reasoning, and
        cost as much time as the request itself.
        """
        async with asyncio.timeout(self._server.timeout):  # for the whole request, however slowly data comes
            return (await self._client.post(self.path, cast_to=httpx2.Response, body=body)).content

    def refused(self, status: int, body: object, headers: Any) -> Exception:
        """The error for a status other than 200: it makes the caller try again, drop this question, or end the run."""
        error = body.get("error", body) if isinstance(body, dict) else body
        error = error if isinstance(error, dict) else {"message": error or ""}
        code, text = str(error.get("code") or error.get("type") or ""), str(error.get("message") or error)
        searched, message = f"{code} {text}".lower(), f"status {status}: {self._redacted(text or code)}"
        server = f"teacher '{self.name}' at {self._server.base_url}"

        def says(phrases: tuple[str, ...]) -> bool:
            return any(phrase in searched for phrase in phrases)

        if (status in PASSING or status >= 500) and not says(OF_ALL):
            wait, sent = _retry_after(headers), status not in NOT_WORKED_ON
            if wait <= LONGEST_WAIT:
                return TransientError(message, wait=wait, sent=sent)
            advice = "rerun later: what was answered is kept"
            return TeacherError(f"{server} asks to wait {wait:.0f} s ({message}); {advice}", sent=sent)
        if status in OF_THE_QUESTION and not says(OF_ALL):
            if status == 413 or says(TOO_LONG):
                return PermanentError("context_length", message)
            return PermanentError("content_filter" if says(FILTERED) else "rejected", message)
        variable = self._server.api_key_env
        key = f"set the environment variable {variable} to a valid key"
        if variable == OPENAI_KEY and not self._at_home():
            key = f"name the variable that holds its key in teacher_api_key_env: {OPENAI_KEY} is for {OPENAI} only"
        hint = {
            401: key,
            403: "the key has no right to this model",
            404: "check teacher_model and teacher_base_url, which usually ends in /v1",
        }.get(status, "fix the account or the recipe, then rerun: what was answered is kept")
        if says(OF_A_PARAMETER):
            hint = "leave the parameter out with teacher_omit, or rename the limit with teacher_limit_as, then rerun"
        return TeacherError(f"{server}: {message}; {hint}")

    def read(self, content: bytes | dict[str, Any], prompt: str) -> Response:
        """The response in a reply's body. Raises TransientError if the body is no JSON or holds no response, and the
        errors of `refused` if it reports one.
        """
        try:
            reply = content if isinstance(content, dict) else json.loads(content)
            if (error := reply.get("error")) and not reply.get("choices"):  # some servers report errors with status 200
                code = error.get("code") if isinstance(error, dict) else None
                raise self.refused(code if type(code) is int and 400 <= code < 600 else 500, reply, {})
            choice = reply["choices"][0]
            completion = self._server.endpoint == "completion"
            message = choice if completion else choice["message"]
            text = message.get("text" if completion else "content")
            reasoning = message.get("reasoning_content") or message.get("reasoning")
            if isinstance(text, list):
                reasoning, text = _joined(text, "thinking") or reasoning, _joined(text, "text")
                text = "" if text is None and reasoning else text
            elif text is None:
                text = ""
            if not isinstance(text, str):
                raise TypeError("its message is no text")
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise TransientError(
                f"the reply is no JSON with a completion ({one_line(repr(error))})", sent=True
            ) from None
        finish, refusal = finished(choice.get("finish_reason")), message.get("refusal")
        if not text and isinstance(refusal, str) and refusal:
            text, finish = refusal, "content_filter"
        thinking, text = split_thinking(clean(text))
        if isinstance(reasoning, str) and reasoning.strip():
            thinking = clean(reasoning).strip()
        if finish == "stop" and not text.strip():
            finish = "empty"
        usage = reply.get("usage") if isinstance(reply.get("usage"), dict) else {}
        counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
        if all(type(count) is int and count >= 0 for count in counts):
            return Response(text, finish, *counts, self.cost(*counts), now(), thinking)
        # The server gave no token counts: words are a rough substitute, and the price is unknown.
        return Response(text, finish, len(prompt.split()), len(f"{thinking} {text}".split()), None, now(), thinking)


def _proxies() -> str:
    """For messages: the environment variables that set a proxy; never their values, which may hold a password."""
    names = sorted(name for name in os.environ if name.lower() in PROXIES and os.environ[name])
    return f"; {', '.join(names)} set a proxy, and NO_PROXY exceptions" if names else ""


def _joined(parts: list[Any], kind: str) -> str | None:
    """The joined texts of those parts of a message that are of one kind; None if there are none."""
    texts = [part.get(kind) for part in parts if isinstance(part, dict) and part.get("type") == kind]
    if kind == "thinking":  # its own content may come in parts
        texts = [_joined(text, "text") if isinstance(text, list) else text for text in texts]
    return "".join(text for text in texts if isinstance(text, str)) if texts else None


def _retry_after(headers: Any) -> float:
    """Seconds that Retry-After asks for, as a number or a date; 0 if it is missing or invalid."""
    for parse in (
        lambda: float(headers["retry-after-ms"]) / 1000,
        lambda: float(headers["retry-after"]),
        lambda: email.utils.parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time(),
    ):
        with suppress(KeyError, TypeError, ValueError):
            return max(0.0, parse())  # 0 for NaN, too
    return 0.0
