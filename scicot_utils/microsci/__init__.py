"""The embedded benchmark MicroSci: facts of a closed world, questions that combine them, pretraining texts.

Pure functions, without prompts, teachers or students. This package writes facts and questions; `prompts` decides how a
student is asked. Layers: facts, then reasoning, then questions and pretraining.
"""

from scicot_utils.microsci.facts import LABELS, ORDERED, WORD, World, fingerprint, load_world
from scicot_utils.microsci.pretraining import MASK, PHASES, TASKS, Lesson, lessons, options_line, probes, vocabulary
from scicot_utils.microsci.questions import SPLITS, questions
from scicot_utils.microsci.reasoning import FORMS, HELD_OUT_FORMS, Asked, Reasoning, Solver

__all__ = [
    "FORMS", "HELD_OUT_FORMS", "LABELS", "MASK", "ORDERED", "PHASES", "SPLITS", "TASKS", "WORD",
    "Asked", "Lesson", "Reasoning", "Solver", "World", "fingerprint", "lessons", "load_world", "options_line",
    "probes", "questions", "vocabulary",
]  # fmt: skip
