"""Read recipe files and validate them."""

from pathlib import Path

import yaml
from pydantic import ValidationError

from scicot_utils import paths
from scicot_utils.recipe.messages import first_error, unknown
from scicot_utils.recipe.plan import NAME, Recipe
from scicot_utils.recipe.schema import RecipeError

DEFAULT = "micro"  # the recipe whose values are the defaults in the notebooks' parameter cells


class _UniqueKeys(yaml.SafeLoader):
    """A YAML loader that rejects a key given twice, in place of keeping the last value."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"key '{key}' is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


def load(recipe: str) -> Recipe:
    """Read and validate the recipe called `recipe` in notebooks/recipes, or at that path.

    Raises RecipeError: one line with the file, the key, what was found and what is allowed.
    """
    path = paths.RECIPES / f"{recipe}.yaml" if NAME.fullmatch(recipe) and not recipe.endswith(".yaml") else Path(recipe)
    path = path if path.is_file() else paths.ROOT / path  # relative to the working directory, else to the repository
    location = paths.relative(path)
    if not path.is_file():
        shipped_names = ", ".join(sorted(file.stem for file in paths.RECIPES.glob("*.yaml")))
        raise RecipeError(f"no recipe at {location}; allowed: one of {shipped_names}, or the path of a .yaml file")
    shipped = paths.RECIPES / path.name
    if shipped.is_file() and not shipped.samefile(path):
        raise RecipeError(
            f"{location}: {paths.relative(shipped)} has the same name, so both would write to one folder; rename it"
        )
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RecipeError(f"{location}: not UTF-8: {error.reason}, byte {error.start}") from None
    if not text.startswith("#"):
        raise RecipeError(f"{location}: line 1 must be a comment with the hardware and the time it takes")
    try:
        content = yaml.load(text, Loader=_UniqueKeys)  # noqa: S506 (a SafeLoader)
    except yaml.YAMLError as error:
        raise RecipeError(f"{location}: not YAML: {error}") from error
    if not isinstance(content, dict):
        raise RecipeError(f"{location}: found {type(content).__name__}, allowed: a mapping of keys to values")
    if "name" in content:
        raise RecipeError(
            f"{location}: {unknown('name', [key for key in Recipe.model_fields if key != 'name'])}; the file's name is its name"
        )
    try:
        return Recipe.model_validate({"name": path.stem} | content)  # a key that is no text gets one line, too
    except ValidationError as error:
        raise RecipeError(f"{location}: {first_error(error, Recipe)}") from None
    except RecipeError as error:
        raise RecipeError(f"{location}: {error}") from None
