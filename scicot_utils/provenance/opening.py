"""How a notebook opens: which of its parameters count, and what they lead to."""

import atexit
import gc
from collections.abc import Mapping
from typing import Any

from scicot_utils import paths
from scicot_utils import recipe as recipes
from scicot_utils.provenance.study import SCOPE, Study
from scicot_utils.recipe import MAIN, RecipeError

UNVARIED = ("architecture", *recipes.REACHED_BY)  # with a folder of its own, or without effect: they make no variant


def begin(notebook: str, namespace: Mapping[str, Any], arm: str = "", stage: str = "") -> Study:
    """Open a notebook: check its parameters, and say where its tables lie. `arm`: for a notebook with only one; `stage`:
    for one that makes what variants share, see `Recipe.variant_at`.

    A parameter counts when papermill injected it or when the cell's default was edited; all others take the recipe's
    values. Values that differ from the recipe's are run under a variant named after them, so that no table of the
    recipe is touched. Raises RecipeError, one line, for a name or a value that cannot be.
    """
    _spare_the_collector()
    paths.have_a_home()
    defaults = recipes.notebook_defaults(notebook)
    injected = _injected(namespace)
    explicit = _explicit_parameters(notebook, namespace, defaults, injected)
    reference = str(explicit.get("recipe", recipes.DEFAULT))
    recipe = recipes.load(reference)
    dataset, arm = str(explicit.get("dataset", "")), str(explicit.get("arm", arm))
    variant, seed = str(explicit.get("variant", MAIN)), explicit.get("seed", recipe.seeds[0])
    if dataset == defaults.get("dataset") and "dataset" not in injected and dataset not in recipe.distill:
        dataset = recipe.distill[0]  # the default cell names the default recipe's
    if "dataset" in defaults and dataset not in recipe.datasets:
        raise RecipeError(f"{notebook}: dataset: found '{dataset}', allowed: {', '.join(recipe.datasets)}")
    single = [name for name in recipes.ARMS if name != "two_stage"]
    if "arm" in defaults and arm not in single:
        raise RecipeError(
            f"{notebook}: arm: found '{arm}', allowed: {', '.join(single)}; two_stage has notebooks 04, 05"
        )
    if type(seed) is not int or not 0 <= seed < 2**32:
        raise RecipeError(f"{notebook}: seed: found {seed!r}, allowed: a whole number from 0 to 2**32 - 1")
    recipe.settings(arm, variant)  # an unknown variant is refused under its own name
    variant = recipe.variant_at(stage, variant) if stage else variant
    planned = recipe.settings(arm, variant)
    values = {key: value for key, value in explicit.items() if key not in SCOPE}
    settings = recipes.checked(values, notebook, base=planned.model_dump())
    changed = {key: value for key, value in values.items() if key not in UNVARIED and value != getattr(planned, key)}
    variant = recipes.ad_hoc(variant, changed)
    visible = [
        key for key in defaults if key in recipes.SECTION_OF and key not in recipes.HIDDEN and key not in explicit
    ]
    unused = {key: namespace[key] for key in visible if namespace[key] != getattr(settings, key)}
    return Study(notebook, reference, recipe, settings, dataset, arm, variant, seed, changed, unused)


def _explicit_parameters(
    notebook: str, namespace: Mapping[str, Any], defaults: Mapping[str, Any], injected: set[str]
) -> dict[str, Any]:
    """The parameters that count: those that say which part of a recipe to run, injected ones and edited ones.

    Raises RecipeError for a name that the notebook does not know, and for one that is not assigned.
    """
    for name in sorted(_edited(namespace, defaults) | injected):
        if name not in defaults:
            raise RecipeError(f"{notebook}: {recipes.unknown(name, defaults)}")
    for name in defaults:
        if name not in namespace:
            raise RecipeError(f"{notebook}: parameter '{name}' is missing; run the cell of parameters first")
    standard = recipes.load(recipes.DEFAULT).flat()
    return {
        name: namespace[name]
        for name in defaults
        if name in SCOPE or name in injected or namespace[name] != standard.get(name)
    }


def _injected(namespace: Mapping[str, Any]) -> set[str]:
    """Names that papermill assigned: its cell starts with the line `# Parameters`."""
    cells = [source for source in namespace.get("In", []) if source.startswith("# Parameters\n")]
    return {name for source in cells for name in recipes.assigned(source)}


def _edited(namespace: Mapping[str, Any], defaults: Mapping[str, Any]) -> set[str]:
    """Names assigned in the last run of a cell that assigns most of the notebook's own parameters."""
    edited: set[str] = set()
    for source in namespace.get("In", []):
        try:
            assigned = recipes.assigned(source) if "recipe" in source and "=" in source else {}
        except SyntaxError:
            continue  # a cell that did not run
        if len(assigned.keys() & defaults.keys()) > len(defaults) / 2:
            edited = set(assigned)
    return edited


def _spare_the_collector() -> None:
    """For the process of one notebook: what it imports lives to its end. Gone over by every small collection, and once
    more at the end, half a million such objects (torch, transformers) add two seconds to each notebook.
    """
    gc.set_threshold(100_000, 50, 100)
    atexit.register(gc.freeze)
