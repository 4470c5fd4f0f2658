"""A recipe's values as papermill parameters of notebooks, and names of variants that were changed by hand."""

import ast
import hashlib
import json
import re
from collections.abc import Mapping

import yaml

from scicot_utils import paths
from scicot_utils.recipe.plan import MAIN, Recipe
from scicot_utils.recipe.schema import RecipeError, Scalar


def notebook_defaults(notebook: str) -> dict[str, Scalar]:
    """Name → default of every parameter in the notebook's cell tagged `parameters`. Raises RecipeError if there is no
    such cell.
    """
    content = json.loads(paths.notebook(notebook).read_text(encoding="utf-8"))
    for cell in content["cells"]:
        if "parameters" in cell["metadata"].get("tags", []):
            return assigned("".join(cell["source"]))
    raise RecipeError(f"{notebook}.ipynb: no cell is tagged 'parameters'")


def assigned(source: str) -> dict[str, Scalar]:
    """Name → value of a cell's plain assignments. Values that are not literals are left out."""
    values = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                values[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:
                continue
    return values


def parameters(recipe: Recipe, notebook: str, /, **scope: Scalar) -> dict[str, Scalar]:
    """What the pipeline passes to a notebook: `scope` (dataset, arm, variant, seed) and the recipe's values for it."""
    settings = recipe.settings(str(scope.get("arm", "")), str(scope.get("variant", MAIN))).model_dump()
    values = settings | {"recipe": recipe.name} | scope
    return {key: values[key] for key in notebook_defaults(notebook) if key in values}


def as_yaml(values: Mapping[str, Scalar]) -> str:
    """Parameters as one line of YAML, for papermill's `-y`.

    JSON is no substitute, although YAML can read it: YAML takes 5e-05 as text, and an emoji becomes two surrogates.
    """
    return yaml.safe_dump(
        dict(values), default_flow_style=True, allow_unicode=True, sort_keys=False, width=float("inf")
    ).strip()


def ad_hoc(variant: str, changes: dict[str, Scalar]) -> str:
    """The name of a variant that no recipe declares, built from the values that were changed by hand."""
    if not changes:
        return variant
    name = ",".join(f"{key}={_tidy(value)}" for key, value in sorted(changes.items()))
    return name if variant == MAIN else f"{variant}+{name}"


def _tidy(value: Scalar) -> str:
    """A value as part of a folder's name. A checksum keeps values apart if characters were replaced or cut off."""
    plain = re.sub(r"[^A-Za-z0-9_.-]", "-", str(value))
    if plain == str(value) and len(plain) <= 40:
        return plain
    return f"{plain[:40]}-{hashlib.sha256(str(value).encode()).hexdigest()[:8]}"
