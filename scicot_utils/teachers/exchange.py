"""A teacher's answers on their way between a recipe's cache and files: exports, and a provider's batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scicot_utils import ScicotError, cache, paths, tables
from scicot_utils.cache import Cache
from scicot_utils.prompts import TeacherPrompt
from scicot_utils.recipe import Recipe
from scicot_utils.tables import Row
from scicot_utils.teachers import batch
from scicot_utils.teachers.asking import Limits
from scicot_utils.teachers.choosing import open_teacher, prompt_of
from scicot_utils.teachers.protocol import Teacher


def export_cache(path: Path, file: Path) -> str:
    """Write a cache as JSON lines, and say what they hold. Of one that was set aside, each row that can still be read."""
    if not path.is_file():
        raise ScicotError(f"no cache at {paths.relative(path)}; run a notebook that asks the teacher first")
    if ".damaged-" in path.name:
        lines = list(cache.salvage(path))
    else:
        with Cache(path) as opened:
            lines = list(opened.export())
    tables.write_text(file, "".join(f"{line}\n" for line in lines))
    spent = cache.spendings(lines, file.name)
    told = f"{len(lines) - len(spent)} responses of {paths.relative(path)} written to {file}"
    if spent:
        told += f", with {_counted(sum(one.usd for one in spent), sum(one.requests for one in spent))}"
    if any(one.least for one in spent):
        told += (
            ". WARNING: what was spent could not be read, so the prices of these responses stand for it, as the least; "
            "see the provider's bill, and lower max_usd and max_requests by what is missing"
        )
    return told


def _counted(usd: float, requests: int) -> str:
    return f"{usd:.4f} USD of known prices and {requests} requests counted as spent"


def import_cache(planned: Recipe, file: Path) -> str:
    path = paths.teacher_cache(planned.name)
    with Cache(path, anew=True) as opened:
        added = opened.take_in(_lines(file), file.name)
        told = f"{added} new responses taken into {paths.relative(path)}, which holds {len(opened)}"
        return f"{told}, with {_counted(*opened.spent())}"


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").split("\n")  # not splitlines: JSON may hold U+2028
    except (OSError, UnicodeDecodeError) as error:
        raise ScicotError(f"{file}: cannot be read as UTF-8 text ({error})") from None


def _batch(planned: Recipe, dataset: str, variant: str) -> tuple[Teacher, TeacherPrompt, list[Row], dict[str, Any]]:
    """(teacher, prompt, questions, arguments of asking) of one dataset and variant, as notebook 03 would ask."""
    settings, dataset = planned.settings(variant=variant), dataset or planned.distill[0]
    if settings.teacher != "openai":
        raise ScicotError(
            f"batch: found teacher '{settings.teacher}', allowed: 'openai', whose provider has a batch mode"
        )
    if dataset not in planned.datasets:
        raise ScicotError(f"--dataset: found '{dataset}', allowed: {', '.join(planned.datasets)}")
    table = tables.read("questions", paths.questions(planned.name, dataset, planned.variant_at("questions", variant)))
    wanted = [row for row in table if row["split"] in settings.teacher_splits.split(",")]
    asking = {
        "samples": settings.samples,
        "temperature": settings.temperature,
        "limits": Limits.of(settings),
    }
    return open_teacher(settings), prompt_of(settings, table), wanted, asking


def batch_write(planned: Recipe, file: Path, dataset: str, variant: str) -> str:
    teacher, prompt, wanted, asking = _batch(planned, dataset, variant)
    with Cache(paths.teacher_cache(planned.name)) as opened:
        requests = batch.pending(teacher, prompt, wanted, opened, **asking)
        lines = list(batch.write(teacher, requests, opened, asking["limits"]))
    if not lines:
        return "nothing to ask: every response is in the cache"
    tables.write_text(file, "".join(f"{line}\n" for line in lines))
    again = "; when its results are in, a second round asks for the answers" if prompt.answer_cue else ""
    return f"{len(lines)} requests written to {file}{again}"


def batch_read(planned: Recipe, file: Path, dataset: str, variant: str, price_factor: float) -> str:
    teacher, prompt, wanted, asking = _batch(planned, dataset, variant)
    with Cache(paths.teacher_cache(planned.name)) as opened:
        requests = batch.pending(teacher, prompt, wanted, opened, **asking)
        counts = batch.take_in(teacher, requests, _lines(file), opened, where=file.name, price_factor=price_factor)
        left = len(batch.pending(teacher, prompt, wanted, opened, **asking))
    told = ", ".join(f"{number} {kind}" for kind, number in counts.items()) or "no results"
    return f"{told}; {left} requests are left to ask"
