"""Teachers turn prompt text into completion text. `ask` is the only way to ask one; its requests go through `serving`.

A recipe's teacher is a server (`serving.served`), a transformers model on this machine (`local`), a file that is
replayed (`recorded`), or the simulated one of `microsci`, whose world it knows. A teacher sees only what the prompt
shows. What they write is judged in `rationales`. Layers: the teachers, then the teacher and prompt of a recipe and
asking, then plans and commands.
"""

# fmt: off
from scicot_utils.serving.budget import BudgetReached, Limits, usd_text
from scicot_utils.serving.protocol import PermanentError, Teacher, TeacherError, TransientError
from scicot_utils.teachers.asking import ask
from scicot_utils.teachers.choosing import exemplars, limits_of, need_proofs, open_teacher, prompt_of
from scicot_utils.teachers.costs import cost_text, full_run, known_usd, spending, usage
from scicot_utils.teachers.recorded import Recorded, need_match
