"""The embedded benchmark MicroSci: facts of a closed world, questions that combine them, pretraining texts.

No module of the core needs to know it. What hands it to the core: `benchmark` to `tasks`, `teacher` to `teachers`, and
the words of `pretraining` to `students`. These names are of pure functions, without teachers, students or torch.
Layers: facts, then reasoning, then questions and pretraining, then `statistics`, `benchmark`, `teacher`, `probing`.
"""

from scicot_utils.microsci.facts import LABELS, ORDERED, World, fingerprint, load_world
from scicot_utils.microsci.pretraining import PHASES, TASKS, Lesson, lessons, options_line, probes, vocabulary
from scicot_utils.microsci.questions import SPLITS, questions
from scicot_utils.microsci.reasoning import FORMS, HELD_OUT_FORMS, Query, Reasoning, Solver

__all__ = [
    "FORMS", "HELD_OUT_FORMS", "LABELS", "ORDERED", "PHASES", "SPLITS", "TASKS",
    "Lesson", "Query", "Reasoning", "Solver", "World", "fingerprint", "lessons", "load_world", "options_line",
    "probes", "questions", "vocabulary",
]  # fmt: skip
