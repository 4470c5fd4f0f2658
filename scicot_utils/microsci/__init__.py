"""The embedded benchmark MicroSci: facts of a closed world, questions that combine them, pretraining texts.

The core opens it at three places: `tasks.entries` the benchmark, `teachers.choosing` the simulated teacher, and
`students.building` the words. The names below are of pure functions: `teacher`, `probing` and `statistics` are imported
by their own names. Layers: facts, then reasoning, then questions and pretraining, then the rest.
"""

# fmt: off
from scicot_utils.microsci.facts import ORDERED, fingerprint, load_world
from scicot_utils.microsci.pretraining import PHASES, TASKS, lessons, options_line, probes, vocabulary
from scicot_utils.microsci.questions import SPLITS, questions
from scicot_utils.microsci.reasoning import FORMS, HELD_OUT_FORMS, Solver
