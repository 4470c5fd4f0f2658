"""Probe the embedded student: which single facts it knows, and how well it does the tasks of pretraining."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from scicot_utils import microsci
from scicot_utils.students.answering import is_greedy
from scicot_utils.students.loading import Student


def knowledge(student: Student, *, batch_size: int = 100) -> list[dict[str, Any]]:
    """How many facts of MicroSci a student completes word for word, by domain and in all: {domain, n, right, share}."""
    asked = microsci.probes(microsci.load_world())
    right = is_greedy(student, [one.input for one in asked], [one.target for one in asked], batch_size=batch_size)
    rows = []
    for domain in (*dict.fromkeys(probe.domain for probe in asked), "all"):
        found = [ok for ok, probe in zip(right, asked, strict=True) if domain in (probe.domain, "all")]
        rows.append({"domain": domain, "n": len(found), "right": sum(found), "share": sum(found) / len(found)})
    return rows


def skills(
    student: Student,
    *,
    count: int,
    stream: int | str,
    tasks: Iterable[str] = tuple(microsci.TASKS),
    batch_size: int = 100,
) -> list[dict[str, Any]]:
    """How many new lessons of each pretraining task a student completes word for word: {task, n, right, share}.

    `count`: lessons per task. `stream` seeds them. To test a trained student, use another stream than the one that
    ended its training (`has_mastered`).
    """
    rows = []
    for task in tasks:
        lessons = microsci.lessons(microsci.load_world(), count, stream, {task: 1})
        inputs, given, targets = ([getattr(one, part) for one in lessons] for part in ("input", "given", "target"))
        right = sum(is_greedy(student, inputs, targets, prefixes=given, batch_size=batch_size))
        rows.append({"task": task, "n": count, "right": right, "share": right / count})
    return rows


def has_mastered(student: Student, tasks: Iterable[str], share: float, *, stream: int | str, count: int = 200) -> bool:
    """Whether a student completes at least this share of `count` new lessons in each of the tasks."""
    return all(row["share"] >= share for row in skills(student, count=count, stream=stream, tasks=tasks))
