"""Probe the embedded student: which single facts it knows, and how well it does the tasks of pretraining."""

from collections.abc import Iterable, Sequence
from typing import Any

from scicot_utils.microsci import pretraining
from scicot_utils.microsci.facts import load_world
from scicot_utils.students.likelihood import is_greedy
from scicot_utils.students.loading import Student

BATCH = 100  # sequences read at once


def knowledge(student: Student) -> list[dict[str, Any]]:
    """How many facts of MicroSci a student completes word for word, by domain and in all: {domain, n, right, share}."""
    probes = pretraining.probes(load_world())
    inputs, targets = [probe.input for probe in probes], [probe.target for probe in probes]
    correct = is_greedy(student, inputs, targets, batch_size=BATCH)
    by_domain: dict[str, list[bool]] = {}
    for probe, hit in zip(probes, correct, strict=True):
        by_domain.setdefault(probe.domain, []).append(hit)
    return [{"domain": domain} | _counted(hits) for domain, hits in (by_domain | {"all": correct}).items()]


def skills(
    student: Student, *, count: int, stream: int | str, tasks: Iterable[str] = pretraining.TASKS
) -> list[dict[str, Any]]:
    """How many new lessons of each pretraining task a student completes word for word: {task, n, right, share}.

    `count`: lessons per task. `stream` seeds them. To test a trained student, use another stream than the one that
    ended its training (`has_mastered`).
    """
    rows = []
    for task in tasks:
        lessons = pretraining.lessons(load_world(), count, stream, {task: 1})
        inputs, targets, prefixes = map(list, zip(*lessons, strict=True))
        correct = is_greedy(student, inputs, targets, prefixes=prefixes, batch_size=BATCH)
        rows.append({"task": task} | _counted(correct))
    return rows


def _counted(correct: Sequence[bool]) -> dict[str, Any]:
    return {"n": len(correct), "right": sum(correct), "share": sum(correct) / len(correct)}


def has_mastered(student: Student, tasks: Iterable[str], share: float, *, stream: int | str, count: int = 200) -> bool:
    """Whether a student completes at least this share of `count` new lessons in each of the tasks."""
    return all(row["share"] >= share for row in skills(student, count=count, stream=stream, tasks=tasks))
