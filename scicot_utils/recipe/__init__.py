"""Recipes: small YAML files that declare what to run. They are validated before any work starts; nothing runs here.

A recipe's leaf keys are the notebooks' papermill parameters (`schema`). Values that differ for one arm are given under
`arm_settings`. An ablation is a named set of changed keys under `variants` (`plan`). Every arm has its entry in `arms`.
"""

# fmt: off
from scicot_utils.recipe.arms import ARMS, REGISTRY, UNTAUGHT
from scicot_utils.recipe.messages import checked, unknown
from scicot_utils.recipe.parameters import ad_hoc, as_yaml, assigned, notebook_defaults, parameters
from scicot_utils.recipe.plan import ELSEWHERE, MAIN, TRANSFER, Recipe
from scicot_utils.recipe.reading import DEFAULT, load
from scicot_utils.recipe.reference import WHOLE, reference
from scicot_utils.recipe.schema import (
    AFTER_STAGE1, ARCHITECTURES, HIDDEN, NOT_LEARNED, OWN, REACHED_BY, SECTION_OF, SECTIONS, Own, Pretraining,
    Questions, RecipeError, Scalar, Settings, Teacher, Training,
)
