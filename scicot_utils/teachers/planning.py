"""The number of requests that a recipe will make. Notebook 02 estimates their cost from a sample."""

from __future__ import annotations

from typing import Any

from scicot_utils import cache
from scicot_utils.recipe import MAIN, Recipe, Settings
from scicot_utils.tables import Row
from scicot_utils.teachers.asking import request_of
from scicot_utils.teachers.choosing import open_teacher, prompt_of


def variants_ask(planned: Recipe, settings: Settings, questions: list[Row]) -> list[dict[str, Any]]:
    """The completions that variants with a paid teacher ask beyond those of `settings`; shared ones count once.

    One dict per variant: variant, prompt, completions, `alike`. `alike`: teacher, price and exemplars are such that a
    sample asked with `settings` tells the cost of a completion with the same prompt.
    """
    plans, seen = [], _requests(settings, questions) if settings.teacher == "openai" else set()
    for variant in planned.variants:
        changed = planned.settings(variant=variant)
        if changed.teacher != "openai" or planned.variant_at("teacher", variant) == MAIN:
            continue
        new = _requests(changed, questions) - seen
        seen |= new
        if new:
            alike = _priced_by(changed) == _priced_by(settings)
            plans.append({"variant": variant, "prompt": changed.prompt, "completions": len(new), "alike": alike})
    return plans


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
    """All that determines the price of a completion, except the question and the name of the prompt."""
    if settings.teacher != "openai":
        return (settings.teacher,)
    identity = {name: value for name, value in open_teacher(settings).identity.items() if name != "seed"}
    return identity, settings.price(), settings.few_shot_examples
