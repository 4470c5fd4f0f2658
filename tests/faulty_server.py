"""A server with OpenAI's interface on loopback, made to fail: it keeps count of all that it was asked and has charged.

Plain asyncio, one thread of its own. What it answers to a prompt is always the same, so that answers can be checked;
which requests fail is drawn from a seed, for each prompt and each time that it comes, and may be changed while it runs.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections import Counter
from typing import Any

FAULTS = ("429", "429 wait", "500", "503", "504", "hang", "reset", "not json", "no choices", "truncated")


class FaultyServer:
    """`rate`: share of replies with a fault, drawn from `faults`. `latency`: seconds before a reply.

    `special`: words in a prompt → (status, body) that it always gets. `key`: the only one accepted; '': any. `refused`:
    parameters that no request may hold, as some models have it.
    """

    def __init__(
        self, *, rate: float = 0.0, faults: tuple[str, ...] = FAULTS, latency: float = 0.0, seed: int = 0,
        special: dict[str, tuple[int, dict]] | None = None, key: str = "", tokens: tuple[int, int] = (10, 20),
        reply: Any = None, port: int = 0, refused: tuple[str, ...] = (),
    ):  # fmt: skip
        self.rate, self.faults, self.latency, self.seed, self.key = rate, faults, latency, seed, key
        self.special, self.tokens, self.reply, self.port, self.refused = special or {}, tokens, reply, port, refused
        self.requests: Counter[str] = Counter()  # by prompt: every request that arrived
        self.whole: Counter[str] = Counter()  # by prompt: whole answers that were sent to the end
        self.faulted: Counter[str] = Counter()  # by fault
        self.charged = 0  # requests that were worked on, whether or not the answer arrived
        self.bodies: list[dict] = []
        self.headers: list[dict[str, str]] = []  # their names in lower case
        self.at_once = self.most_at_once = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> FaultyServer:
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), daemon=True)
        self._thread.start()
        ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._stop, self._open = asyncio.get_running_loop(), asyncio.Event(), set()
        server = await asyncio.start_server(self._connection, "127.0.0.1", self.port, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self._stop.wait()
        server.close()
        for task in [*self._open]:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._open.add(task)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
                body = json.loads(await reader.readexactly(int(headers.get("content-length", 0))) or b"{}")
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
                try:
                    await self._answer(lines[0].split()[1], headers, body, writer)
                finally:
                    self.at_once -= 1
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._open.discard(task)
            writer.close()

    async def _answer(self, path: str, headers: dict[str, str], body: dict, writer: asyncio.StreamWriter) -> None:
        self.bodies.append(body)
        self.headers.append(headers)
        chat = path.endswith("/chat/completions")
        prompt = body["messages"][-1]["content"] if chat else body["prompt"]
        key = f"{body.get('seed', 0)}/{prompt}"
        self.requests[key] += 1
        if self.latency:
            await asyncio.sleep(self.latency)
        if self.key and (header := headers.get("authorization", "")) != f"Bearer {self.key}":
            return await self._refuse(writer, 401, f"Bad key: {header}", code="invalid_api_key")
        for name in self.refused:
            if name in body:
                message = f"'{name}' is not supported with this model."
                return await self._refuse(writer, 400, message, code="unsupported_parameter")
        for words, (status, reply) in self.special.items():
            if words in prompt:
                return await self._send(writer, status, reply)
        draws = random.Random(f"{self.seed}/{key}/{self.requests[key]}")
        fault = draws.choice(self.faults) if draws.random() < self.rate else ""
        self.faulted[fault] += 1
        if fault[:3].isdigit():  # 504: as a gateway says it that waited in vain for a server that works on it
            self.charged += fault == "504"
            return await self._refuse(writer, int(fault[:3]), "oops", wait=fault == "429 wait")
        self.charged += 1
        text = f"Because of {prompt[-40:]!r}. The answer is (B)." if self.reply is None else self.reply
        message = text if isinstance(text, dict) else {"role": "assistant", "content": text}
        choice = {"index": 0, "finish_reason": "length" if fault == "truncated" else "stop"}
        choice |= {"message": message} if chat else {"text": text}
        usage = dict(zip(("prompt_tokens", "completion_tokens"), self.tokens, strict=True))
        content = {"id": "c", "object": "x", "model": body["model"], "choices": [choice], "usage": usage}
        if fault == "hang":
            self.at_once -= 1  # for the client it will be over before
            try:
                await asyncio.sleep(3600)
            finally:
                self.at_once += 1
        elif fault == "reset":
            await self._send(writer, 200, '{"choices": [', length=999)
            writer.transport.abort()
            raise ConnectionResetError
        elif fault == "not json":
            await self._send(writer, 200, '{"choices": [{"message": {"content": "cut')
        elif fault == "no choices":
            await self._send(writer, 200, content | {"choices": []})
        else:
            await self._send(writer, 200, content)
            self.whole[key] += 1

    async def _refuse(
        self, writer: asyncio.StreamWriter, status: int, message: str, *, wait: bool = False, **more: str
    ):
        await self._send(writer, status, {"error": {"message": message} | more}, wait=wait)

    async def _send(
        self, writer: asyncio.StreamWriter, status: int, body: dict | str, *, wait: bool = False, length: int = 0
    ):
        """`body`: a text is sent as it is. `length`: the one that is told, if it is not the body's own."""
        content = (body if isinstance(body, str) else json.dumps(body)).encode()
        length = length or len(content)
        head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n"
        writer.write((head + ("retry-after: 0.2\r\n" if wait else "") + "\r\n").encode() + content)
        await writer.drain()


if __name__ == "__main__":  # for benchmarks: a process of its own, told how slow to be
    import sys
    import time

    with FaultyServer(latency=float(sys.argv[1])) as server:
        print(server.port, flush=True)
        while True:
            time.sleep(1)
