"""Every arm and baseline by name, in the order of tables and figures. `scicot_utils.arms` defines how they learn."""

from dataclasses import dataclass
from typing import Literal

OF_STAGE2 = ("stage2_order", "stage2_source", "crossfit_folds")  # keys that concern a second stage only


@dataclass(frozen=True)
class Arm:
    """How an arm is shown, and what concerns it. `label` may contain a line break.

    `kind`: a recipe lists arms that are trained, untaught (the student without fine-tuning) or untrained (all
    baselines). Controls and baselines are not listed; they are run with these. `ignores`: keys of stage 2 that do not
    affect the arm. `writes_two`: its one student learns to write two things, so its input must say which.
    """

    label: str
    colour: str  # Okabe and Ito's palette, distinguishable in greyscale, too
    kind: Literal["trained", "untaught", "untrained", "control", "baseline"]
    ignores: tuple[str, ...] = OF_STAGE2
    writes_two: bool = False

    @property
    def name(self) -> str:
        """The label on one line."""
        return self.label.replace("\n", " ")


REGISTRY = {
    "answer_only": Arm("answer only", "#E69F00", "trained"),
    "rationale_answer": Arm("rationale + answer\n(Fine-tune-CoT)", "#56B4E9", "trained"),
    "answer_rationale": Arm("answer + rationale", "#A65628", "trained"),
    "multitask": Arm("multi-task\n(step-by-step)", "#808000", "trained", writes_two=True),
    "two_stage_shared": Arm("two-stage,\none model", "#5E3C99", "trained", OF_STAGE2[1:], writes_two=True),
    "two_stage": Arm("two-stage\n(Sci-CoT)", "#005B96", "trained", ()),
    "two_stage_teacher_rationale": Arm("two-stage, teacher's\nrationale (ceiling)", "#009E73", "control"),
    "two_stage_shuffled_rationale": Arm("two-stage, shuffled\nrationale", "#999999", "control"),
    "two_stage_counterfactual_rationale": Arm("two-stage, rationale\nfor another option", "#CC79A7", "control"),
    "two_stage_no_rationale": Arm("two-stage,\nno rationale", "#BBBBBB", "control"),
    "zero_shot": Arm("zero-shot", "#8C8C8C", "untaught"),
    "zero_shot_cot": Arm("zero-shot-CoT", "#A3A3A3", "untaught"),
    "few_shot": Arm("few-shot", "#6B6B6B", "untaught"),
    "few_shot_cot": Arm("few-shot-CoT", "#525252", "untaught"),
    "untrained": Arm("untrained baselines", "#777777", "untrained"),
    "random": Arm("random", "#777777", "baseline"),
    "majority_label": Arm("most frequent\nposition", "#777777", "baseline"),
    "longest_option": Arm("longest option", "#777777", "baseline"),
    "shortest_option": Arm("shortest option", "#777777", "baseline"),
    "frequent_answer": Arm("most frequent\nright answer", "#777777", "baseline"),
    "word_overlap": Arm("word overlap", "#777777", "baseline"),
    "bag_of_words": Arm("bag of words", "#777777", "baseline"),
    "teacher": Arm("teacher", "#D55E00", "baseline"),
}
UNTAUGHT = tuple(name for name, arm in REGISTRY.items() if arm.kind == "untaught")
ARMS = tuple(name for name, arm in REGISTRY.items() if arm.kind in ("trained", "untaught", "untrained"))
