"""Teachers turn prompt text into completion text, behind one protocol and one cache.

`served` is any server with OpenAI's interface. `local` is a transformers model on this machine. `recorded` replays a
file. The simulated teacher is in `microsci`, whose world it knows. A teacher sees only what the prompt shows, and `ask`
is the only way to ask one. What they write is judged in `rationales`. Layers: protocol, then the teachers and the caps,
then sending, then asking, then batch files and the teacher and prompt of a recipe.
"""

# fmt: off
from scicot_utils.teachers.asking import ask
from scicot_utils.teachers.budget import BudgetReached, Limits, known_usd, spending, usage, usd_text
from scicot_utils.teachers.choosing import exemplars, need_proofs, open_teacher, prompt_of
from scicot_utils.teachers.planning import cost_text, full_run
from scicot_utils.teachers.protocol import PermanentError, Teacher, TeacherError, TransientError
from scicot_utils.teachers.recorded import Recorded, need_match
