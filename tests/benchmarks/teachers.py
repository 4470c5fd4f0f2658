"""What asking a served teacher costs beside the server: run by hand, `python tests/benchmarks/teachers.py [requests]`.

Prints completions per second at 64 in flight, through `ask` into an empty cache and with bare httpx2, for a server that
answers at once and for one that takes a while; cache hits per second; memory for 100,000 completions.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx2
import psutil

from scicot_utils import teachers
from scicot_utils.prompts import TEACHER_PROMPTS
from scicot_utils.recipe import Settings
from scicot_utils.serving.cache import Cache, Response
from scicot_utils.serving.served import Served
from scicot_utils.teachers.asking import request_of

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))
from conftest import make_question  # noqa: E402

IN_FLIGHT = 64
PROMPT = TEACHER_PROMPTS["zero_shot_cot_one_call"]


def rows(count: int) -> list[dict]:
    return [make_question(id=f"q{i}", question=f"Which is number {i}?") for i in range(count)]


def teacher(url: str) -> Served:
    return teachers.open_teacher(
        Settings(
            teacher="openai",
            teacher_model="m",
            teacher_base_url=url,
            teacher_in_flight=IN_FLIGHT,
            teacher_prices="m=1/1",
        )
    )


async def bare(url: str, bodies: list[dict]) -> None:
    following = iter(bodies)
    async with httpx2.AsyncClient(timeout=60) as client:

        async def work() -> None:
            for body in following:
                (await client.post(f"{url}/chat/completions", json=body)).json()

        await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))


def requests(count: int, latency: float) -> None:
    server = subprocess.Popen(
        [sys.executable, str(TESTS / "faulty_server.py"), str(latency)], stdout=subprocess.PIPE, text=True
    )
    try:
        url = f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
        questions, served = rows(count), teacher(url)
        bodies = [served.body(PROMPT.question(row), sample=0, temperature=0.0) for row in questions]
        rates: dict[str, list[float]] = {"bare": [], "ask": []}
        for _ in range(3):  # in turn, since other work on the machine comes and goes
            began = time.perf_counter()
            asyncio.run(bare(url, bodies))
            rates["bare"].append(count / (time.perf_counter() - began))
            with tempfile.TemporaryDirectory() as folder, Cache(Path(folder) / "c.sqlite") as cache:
                began = time.perf_counter()
                assert sum(1 for _ in teachers.ask(served, PROMPT, questions, cache)) == count
                rates["ask"].append(count / (time.perf_counter() - began))
        best = {name: max(measured) for name, measured in rates.items()}
        print(
            f"latency {latency:g} s: bare httpx2 {best['bare']:.0f}/s, ask {best['ask']:.0f}/s, "
            f"ratio {best['bare'] / best['ask']:.2f} (best of 3 each, {count} requests, {IN_FLIGHT} in flight)",
            flush=True,
        )
    finally:
        server.terminate()
        server.wait()


def hits(count: int) -> None:
    process = psutil.Process()
    with tempfile.TemporaryDirectory() as folder, Cache(Path(folder) / "c.sqlite") as cache:
        served, questions = teacher("http://127.0.0.1:9/v1"), rows(count)
        for row in questions:
            request = request_of(served, PROMPT, PROMPT.question(row), 0.0, 0)
            cache.put(request, Response("Why. " * 100, "stop", 60, 100, 0.0, "t"))
        before, began = process.memory_info().rss, time.perf_counter()
        completions = list(teachers.ask(served, PROMPT, questions, cache))
        seconds, more = time.perf_counter() - began, process.memory_info().rss - before
        size = (Path(folder) / "c.sqlite").stat().st_size
        assert len(completions) == count
    print(
        f"{count} completions of 500 characters from the cache: {count / seconds:.0f}/s, "
        f"{more / 2**20:.0f} MiB of memory for the rows, {size / 2**20:.0f} MiB on disk",
        flush=True,
    )


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    for seconds in (0.0, 0.1, 0.5):
        requests(number, seconds)
    hits(100_000)
