"""The keys of a recipe as tables: what each means, what is allowed, and its default. All is read from the schema."""

import json
from typing import Any

from scicot_utils.recipe.plan import Recipe
from scicot_utils.recipe.schema import SECTIONS, Own, Section

KINDS = {
    "string": "text", "integer": "whole number", "number": "number", "boolean": "true, false", "array": "list",
    "object": "mapping",
}  # fmt: skip
LIMITS = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
WHOLE = "recipe"  # stands for the keys that are in no section


def reference(section: str) -> list[dict[str, str]]:
    """A row for each key of a section, of "own", or of the recipe itself (WHOLE): {key, meaning, allowed, default}."""
    model: type[Section] = {WHOLE: Recipe, "own": Own}.get(section) or SECTIONS[section]
    properties = model.model_json_schema()["properties"]
    skipped = ("name", *SECTIONS) if section == WHOLE else ()  # a recipe's name is its file's
    return [
        {
            "key": key,
            "meaning": " ".join(declared["description"].split()),
            "allowed": _allowed(declared),
            "default": _value(declared["default"]) if "default" in declared else "required",
        }
        for key, declared in properties.items()
        if key not in skipped
    ]


def _allowed(declared: dict[str, Any]) -> str:
    """What a JSON schema declares as allowed, in words."""
    if "anyOf" in declared:
        return " or ".join(map(_allowed, declared["anyOf"]))
    if "enum" in declared:
        return ", ".join(map(_value, declared["enum"]))
    limits = [f"{word} {declared[name]:g}" for name, word in LIMITS.items() if name in declared]
    items = f", each: {_allowed(declared['items'])}" if declared["type"] == "array" else ""
    return " ".join([KINDS[declared["type"]] + items, *limits])


def _value(value: Any) -> str:
    if value in ("", [], {}):
        return "empty"
    return value if isinstance(value, str) else json.dumps(value)
