"""Validation errors as one line: which key, what was found, what is allowed."""

import difflib
import re
from typing import Any

from pydantic import ValidationError

from scicot_utils.recipe.schema import HIDDEN, SECTIONS, Own, RecipeError, Section, Settings


def checked(changes: dict[str, Any], where: str, base: dict[str, Any] | None = None) -> Settings:
    """`base` with `changes` as Settings. Raises RecipeError that names the first invalid key."""
    try:
        return Settings(**(base or {}) | changes)
    except ValidationError as error:
        raise RecipeError(f"{where}: {first_error(error, Settings)}") from None


def first_error(error: ValidationError, model: type[Section]) -> str:
    """A validation error as one line: key, what was found, what is allowed."""
    errors = error.errors()
    misspelt = (details for details in errors if details["type"] == "extra_forbidden")  # the most telling error
    first = next(misspelt, errors[0])
    more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
    key = ".".join(str(part) for part in first["loc"])
    message = (
        first["msg"]
        .removeprefix("Value error, ")
        .replace("Input should be", "allowed:")
        .replace("String should", "allowed: must")
    )
    if first["type"] == "extra_forbidden":
        inside = str(first["loc"][0]) if len(first["loc"]) > 1 else ""
        section = Own if inside == "own" else SECTIONS.get(inside, model)
        return f"{key}: {unknown(str(first['loc'][-1]), [key for key in section.model_fields if key != 'name'])}{more}"
    if first["type"] == "value_error":
        return f"{key + ': ' if key else ''}{message}{more}"
    if first["type"] == "missing":
        return f"{key}: missing; it has no default, so the recipe must say it{more}"
    value = first["input"]
    if str(first["loc"][-1]) in HIDDEN:
        return f"{key}: found something else, {message}; the key itself never goes into a recipe{more}"
    hint = ""
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d+e[-+]?\d+", value):
        hint = "; YAML reads a power as a number only with a point in it, as in 3.0e-4"
    return f"{key}: found {value!r}, {message}{hint}{more}"


def unknown(name: str, allowed: Any) -> str:
    """Message for an unknown key: the most similar allowed name, if any, and all allowed names."""
    near = difflib.get_close_matches(name, list(allowed), n=1)
    return f"unknown key '{name}'; {f'did you mean {near[0]}? ' if near else ''}allowed: {', '.join(allowed)}"
