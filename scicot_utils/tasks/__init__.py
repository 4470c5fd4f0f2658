"""Every benchmark by name, converted to the questions table. Training examples are not chosen here.

`entries` declares each benchmark. `symbolic` generates three tasks of Fine-tune-CoT. A user's own files go through
`files` (files and rows), `options` (options and the answers that name them) and `own` (questions). `reading` reads, splits
and samples. `checks` looks for repeated questions.
"""

# fmt: off
from scicot_utils.recipe import TRANSFER
from scicot_utils.tasks.checks import deduplicate, near_duplicates, overlaps, splits_of
from scicot_utils.tasks.entries import EMBEDDED, HELD_OUT, SPLITS, TASKS, TRUTH, Task, TaskError, task
from scicot_utils.tasks.own import kind_of
from scicot_utils.tasks.reading import (
    layout, load, paper_draw, paper_split, preflight, sample, sizes_of, unseen, with_others,
)
