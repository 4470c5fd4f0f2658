"""Commands on a recipe's cache: show it, delete failures, export and import it, write and read batch files."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from filelock import Timeout

from scicot_utils import ScicotError, paths, tables
from scicot_utils.prompts import TeacherPrompt
from scicot_utils.recipe import Recipe
from scicot_utils.serving import batch, cache
from scicot_utils.serving.cache import Cache
from scicot_utils.serving.protocol import Teacher, now
from scicot_utils.teachers.asking import pending
from scicot_utils.teachers.choosing import limits_of, open_teacher, prompt_of
from scicot_utils.teachers.costs import spending

MAX_FAULTY_LINES = 3  # of a result file, in one message


def export_cache(path: Path, file: Path) -> str:
    """Write a cache as JSON lines and return a line on it. Of a damaged cache, every readable row is written."""
    lines = cache.export(_existing(path))
    _write(file, lines)
    return f"{len(lines)} responses of {paths.relative(path)} written to {file}"


def import_cache(planned: Recipe, file: Path, *, paid_elsewhere: bool = False) -> str:
    """Load a file that `export_cache` wrote into a recipe's cache, and return a line on it. With `paid_elsewhere`, its
    costs do not count against the recipe's caps. Raises ScicotError for an invalid file.
    """
    path = paths.teacher_cache(planned.name)
    with Cache(path) as opened:
        added = opened.take_in(_lines(file), file.name, paid_here=not paid_elsewhere)
        usd, requests = opened.spent()
        return (
            f"{added} new responses taken into {paths.relative(path)}, which holds {len(opened)}, with {usd:.4f} USD of known "
            f"prices and {requests} requests counted as spent{_waiting(opened)}"
        )


def batch_write(planned: Recipe, file: Path, dataset: str, variant: str) -> str:
    """Write all requests that are still to be asked as a provider's batch file, and return a line on it.

    They are marked in the cache, and their worst-case price is reserved. Raises ScicotError if the file exists, if
    another process is asking, or if a cap would be exceeded.
    """
    teacher, prompt, left = _batch(planned, dataset, variant)
    if file.exists():
        raise ScicotError(f"{file}: is there already; allowed: a new file, since a batch in it may not be sent yet")
    draft = file.with_name(f"{file.name}.draft")
    with Cache(paths.teacher_cache(planned.name)) as opened, _turn(opened):
        try:
            with opened.transaction():  # so that nothing is stored between the look at what is to be asked and its mark
                requests, waiting = left(opened), _waiting(opened)
                if not requests:
                    return f"nothing to ask{waiting or ': every response is in the cache'}"
                _write(draft, batch.lines(teacher, requests))
                batch.set_aside(teacher, requests, opened, limits_of(planned.settings(variant=variant)))
            draft.replace(file)  # last, since all requests in a batch file must be counted
        finally:
            draft.unlink(missing_ok=True)
    again = "; when its results are in, a second round asks for the answers" if prompt.answer_cue else ""
    return f"{len(requests)} requests written to {file}{again}{waiting}"


def batch_read(planned: Recipe, file: Path, dataset: str, variant: str, price_factor: float) -> str:
    """Store the results of a batch in a recipe's cache, and return a line on them. `price_factor`: price of batch mode,
    as a share of the listed price. Raises ScicotError if a line has no usable result; all other lines are stored
    before.
    """
    teacher, _, left = _batch(planned, dataset, variant)
    with Cache(paths.teacher_cache(planned.name)) as opened:
        counts, messages = batch.take_in(teacher, left(opened), _lines(file), opened, price_factor=price_factor)
        summary = ", ".join(f"{number} {kind}" for kind, number in counts.items()) or "no results"
        summary += f"; {len(left(opened))} requests are left to ask{_waiting(opened)}"
    if messages:
        more = f"; and {len(messages) - MAX_FAULTY_LINES} more such lines" if len(messages) > MAX_FAULTY_LINES else ""
        raise ScicotError(
            f"{file.name}: {summary}; what could be read is stored, the rest: {'; '.join(messages[:MAX_FAULTY_LINES])}{more}"
        )
    return summary


def state(planned: Recipe) -> str:
    """A line on what a recipe's cache holds, and on all that was spent through it."""
    path = paths.teacher_cache(planned.name)
    with Cache(_existing(path)) as opened:
        kinds = ", ".join(f"{count} {'whole' if kind == 'stop' else kind}" for kind, count in opened.kinds().items())
        return f"{paths.relative(path)}: {kinds or 'empty'}. {spending(opened, planned.settings())}"


def forget(planned: Recipe, reason: str) -> str:
    """Delete responses that are incomplete for `reason`, a finish_reason, and return a line on it. The deletion is
    logged, which makes the pipeline ask again. Raises ScicotError if there are no such responses.
    """
    with Cache(_existing(paths.teacher_cache(planned.name))) as opened:
        kinds = opened.kinds()
        kinds.pop("stop", None)  # whole answers, which were paid for
        if reason not in kinds:
            held = ", ".join(f"{kind} ({count})" for kind, count in kinds.items())
            allowed = f"allowed: what the cache holds, {held}" if held else "but all answers in the cache are whole"
            raise ScicotError(f"forget: found '{reason}', {allowed}")
        count = opened.forget(reason)
    with paths.forgotten(planned.name).open("a", encoding="utf-8") as log:
        log.write(f"{now()} {reason} {count}\n")
    return f"{count} × {reason} forgotten; `make book` with this recipe asks again"


def _batch(
    planned: Recipe, dataset: str, variant: str
) -> tuple[Teacher, TeacherPrompt, Callable[[Cache], dict[str, dict[str, Any]]]]:
    """(teacher, prompt, what is pending in a cache) of one dataset and variant, as notebook 03 would ask."""
    settings, dataset = planned.settings(variant=variant), dataset or planned.distill[0]
    if settings.teacher != "openai":
        raise ScicotError(
            f"batch: found teacher '{settings.teacher}', allowed: 'openai', whose provider has a batch mode"
        )
    if dataset not in planned.datasets:
        raise ScicotError(f"--dataset: found '{dataset}', allowed: {', '.join(planned.datasets)}")
    table = tables.read("questions", paths.questions(planned.name, dataset, planned.variant_at("questions", variant)))
    questions = [row for row in table if row["split"] in settings.teacher_splits.split(",")]
    teacher, prompt = open_teacher(settings), prompt_of(settings, table)
    asking = {key: getattr(settings, key) for key in ("samples", "temperature")} | {
        "rationale": settings.teacher_rationale
    }
    return teacher, prompt, partial(pending, teacher, prompt, questions, **asking)


@contextmanager
def _turn(opened: Cache) -> Iterator[None]:
    """Hold the cache's lock, so that no request of a running process gets into a batch, too."""
    try:
        with opened.turn.acquire(timeout=0):
            yield
    except Timeout:
        raise ScicotError(
            f"another process asks through the cache {opened.name} now; wait for it, then try again"
        ) from None


def _waiting(opened: Cache) -> str:
    count = opened.kinds().get(cache.BATCHED, 0)
    return f"; {count} are in batches whose results are not read yet" if count else ""


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ScicotError(f"no cache at {paths.relative(path)}; run a notebook that asks the teacher first")
    return path


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").split("\n")  # not splitlines: JSON may hold U+2028
    except (OSError, UnicodeDecodeError) as error:
        raise ScicotError(f"{file}: cannot be read as UTF-8 text ({error})") from None


def _write(file: Path, lines: Iterable[str]) -> None:
    tables.write_text(file, "".join(f"{line}\n" for line in lines))
