"""What the requests of a recipe came to, and how many it will make: notebook 02 estimates their cost from a sample."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from scicot_utils.recipe import MAIN, Recipe, Settings
from scicot_utils.serving import cache
from scicot_utils.serving.budget import usd_text
from scicot_utils.serving.cache import Cache
from scicot_utils.tables import Row
from scicot_utils.teachers.asking import request_of
from scicot_utils.teachers.choosing import open_teacher, prompt_of


def full_run(
    planned: Recipe, settings: Settings, questions: list[Row], compared: Iterable[str], variant: str
) -> list[dict[str, Any]]:
    """The completions that a recipe asks, by prompt and variant: {variant, prompt, completions, alike, asked}.

    First, for each prompt that is `compared` in a sample, a run of `variant` with it; only that with the recipe's own
    prompt is `asked`, where it costs. Greedy samples are identical, so they are asked once. Then what each variant with a
    paid teacher asks beyond those before it; shared ones count once. `alike`: teacher, price and exemplars are such that
    a sample asked with `settings` tells the cost of a completion with the same prompt.
    """
    samples, paid = settings.samples if settings.temperature else 1, settings.teacher == "openai"
    completions = samples * sum(row["split"] in settings.teacher_splits.split(",") for row in questions)
    own = {"variant": variant, "completions": completions, "alike": True}
    plans = [own | {"prompt": name, "asked": paid and name == settings.prompt} for name in compared]
    seen = _requests(settings, questions) if paid else set()
    for name in planned.variants:
        changed = planned.settings(variant=name)
        if changed.teacher != "openai" or planned.variant_at("teacher", name) == MAIN:
            continue
        if new := _requests(changed, questions) - seen:
            seen |= new
            alike = paid and _priced_by(changed) == _priced_by(settings)
            plan = {"variant": name, "prompt": changed.prompt, "completions": len(new), "alike": alike}
            plans.append(plan | {"asked": True})
    return plans


def cost_text(costs: Sequence[tuple[float, float, float]], prompt: str) -> str:
    """The cost of a full run as a sentence; '' if nothing is paid. `costs`: (USD, low, high) of each part of it."""
    usd, low, high = (sum(values) for values in zip(*costs, strict=True)) if costs else (0.0, 0.0, 0.0)
    if math.isnan(usd):
        return (
            "The cost of the full run is unknown: `teacher_prices` does not list the model, or a prompt or variant was "
            "not sampled."
        )
    between = f"({usd_text(low)} to {usd_text(high)})"
    expected = f"The full run with `{prompt}`, variants included, is expected to cost {usd_text(usd)} {between}."
    return expected if usd else ""


def known_usd(usd: float | None) -> float | str:
    """The sum itself, or 'unknown': what has no known price is never shown as a number."""
    return "unknown" if usd is None or math.isnan(usd) else usd


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


def _requests(settings: Settings, questions: list[Row]) -> set[str]:
    """Keys of the requests; only of the first calls if the prompt takes two."""
    teacher, prompt = open_teacher(settings), prompt_of(settings, questions)
    prompts = [prompt.question(row) for row in questions if row["split"] in settings.teacher_splits.split(",")]
    return {
        cache.key(request_of(teacher, prompt, text, settings.temperature, sample))
        for text in prompts
        for sample in range(settings.samples)
    }


def _priced_by(settings: Settings) -> tuple[Any, ...]:
    """All that determines the price of a paid completion, except the question and the name of the prompt."""
    identity = {name: value for name, value in open_teacher(settings).identity.items() if name != "seed"}
    return identity, settings.price(), settings.few_shot_examples
