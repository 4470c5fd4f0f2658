"""MicroSci as a benchmark: rows of the questions table, with proofs. `tasks.entries` names it."""

from __future__ import annotations

from scicot_utils.microsci.facts import load_world
from scicot_utils.microsci.questions import questions
from scicot_utils.microsci.reasoning import Solver
from scicot_utils.recipe import TRANSFER
from scicot_utils.tables import Row
from scicot_utils.tasks.entries import TaskError


def rows(sizes: dict[str, int], seed: int) -> list[Row]:
    """Questions with their proofs, `sizes[split]` for each split; a transfer test of size 0 is left out.

    Raises TaskError for any other split of size 0, which would mean all questions.
    """
    sizes = {split: size for split, size in sizes.items() if size or split not in TRANSFER}
    if not all(sizes.values()):
        raise TaskError("microsci is generated, so 'all' (0) has no meaning: give every split's number of questions")
    world = load_world()
    solver = Solver(world)
    return [
        row | {"proof": solver.proof(str(row["question"]), row["choices"]["text"])}
        for row in questions(world, sizes, seed)
    ]
