"""The number of requests that a recipe will make. Notebook 02 estimates their cost from a sample."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from scicot_utils import cache
from scicot_utils.recipe import MAIN, Recipe, Settings
from scicot_utils.tables import Row
from scicot_utils.teachers.asking import request_of
from scicot_utils.teachers.budget import usd_text
from scicot_utils.teachers.choosing import open_teacher, prompt_of


def full_run(
    planned: Recipe, settings: Settings, questions: list[Row], compared: Iterable[str], variant: str
) -> list[dict[str, Any]]:
    """The completions that a recipe asks, by prompt and variant: {variant, prompt, completions, alike, asked}.

    First, for each prompt that is `compared` in a sample, a run of `variant` with it; only that with the recipe's own
    prompt is `asked`. Greedy samples are identical, so they are asked once. Then what each variant with a paid teacher
    asks beyond those before it; shared ones count once. `alike`: teacher, price and exemplars are such that a sample
    asked with `settings` tells the cost of a completion with the same prompt.
    """
    samples, paid = settings.samples if settings.temperature else 1, settings.teacher == "openai"
    completions = samples * sum(row["split"] in settings.teacher_splits.split(",") for row in questions)
    own = {"variant": variant, "completions": completions, "alike": True}
    plans = [own | {"prompt": name, "asked": name == settings.prompt} for name in compared]
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
