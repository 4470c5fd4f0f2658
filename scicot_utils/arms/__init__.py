"""Each arm of the study: what its student is trained on, and how it answers. Training itself is in `students`.

Layers: what is learned, then how it is answered, then training, baselines and controls.
"""

# fmt: off
from scicot_utils.arms.answering import (
    ONE_STUDENT, OneStudent, answer_from, choice, generations, maps_of, output_format, predictions,
    spelling, write_rationales,
)
from scicot_utils.arms.baselines import untrained
from scicot_utils.arms.controls import STAGE_ONE_WROTE, controls, rotations
from scicot_utils.arms.learned import (
    ANSWER, ANSWER_FROM, BOTH, RATIONALE, REVERSED, ArmError, InputTarget, chosen_on, folds, pairs, stage2_examples,
    training_examples,
)
from scicot_utils.arms.training import crossfit, load_student, load_trained, train, training_options
