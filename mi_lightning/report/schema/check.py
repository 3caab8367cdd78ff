"""A check of plain values against a schema in the vocabulary of JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}


def problem(value: object, schema: Mapping[str, Any], where: str = "") -> str | None:
    """Say what is wrong with a value, or None if it fits.

    Knows the keywords type, const, required, properties and items.

    Args:
        value: What ``json.load`` gave.
        schema: What it should be.
        where: Path of the value, for the message.

    Example:
        >>> problem({"rows": "many"}, {"type": "object", "properties": {"rows": {"type": "integer"}}})
        'rows is a str, not integer'
        >>> problem(1, {"type": "integer"}) is None
        True
    """
    name = where or "the whole"
    if (kinds := schema.get("type")) is not None:
        allowed = [kinds] if isinstance(kinds, str) else list(kinds)
        classes = tuple(cls for kind in allowed for cls in _TYPES[kind])
        if not isinstance(value, classes) or (isinstance(value, bool) and "boolean" not in allowed):
            return f"{name} is a {type(value).__name__}, not {' or '.join(allowed)}"
    if "const" in schema and value != schema["const"]:
        return f"{name} is {value!r}, not {schema['const']!r}"
    if isinstance(value, dict):
        for key in schema.get("required", ()):
            if key not in value:
                return f"{_path(where, key)} is missing"
        for key, inner in schema.get("properties", {}).items():
            if key in value and (found := problem(value[key], inner, _path(where, key))):
                return found
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            if found := problem(item, schema["items"], f"{where}[{index}]"):
                return found
    return None


def _path(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key
