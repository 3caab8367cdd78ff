"""The schema of ``results.json``, version 1, in the vocabulary of JSON Schema, and a check against it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

SCHEMA_VERSION = 1

#: Metrics of a row against the mean of its person's training images, and against the most similar one.
LIKENESS = ("mse", "nrmse", "psnr", "ssim", "mse_best", "nrmse_best", "psnr_best", "ssim_best")
#: Shares of rows that an independent classifier recognises.
HITS = ("evaluator_top1", "evaluator_top5", "identification_top1")
#: Metrics of a row; those of the summary that are not shares have ``_mean`` behind them.
METRICS = (*HITS, "evaluator_confidence", *LIKENESS)
#: The same metrics over all people, as in ``summary`` and ``controls``.
SUMMARY_METRICS = tuple(name if name in HITS else f"{name}_mean" for name in METRICS)

_NUMBER = {"type": ["number", "null"]}
_TEXT = {"type": ["string", "null"]}


def _object(properties: Mapping[str, Any], *, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "type": "object",
        "required": [name for name in properties if name not in optional],
        "properties": dict(properties),
    }


#: What every ``results.json`` holds. More keys may be there; these must be. What does not apply is null.
RESULTS_SCHEMA: dict[str, Any] = _object(
    {
        "schema_version": {"type": "integer", "const": SCHEMA_VERSION},
        "created": {"type": "string"},
        "package_versions": {"type": "object"},
        "config": _TEXT,
        "target": _object(
            {"class": _TEXT, "checkpoint_sha256": _TEXT, "defenses": {"type": "array"}, "test_accuracy": _NUMBER}
        ),
        "attack": _object(
            {
                "space": {},
                "cost": {},
                "estimator": {},
                "optimizer": {},
                "alpha": {"type": ["integer", "null"]},
                "beta": {"type": ["integer", "null"]},
                "gamma": _NUMBER,
                "restarts": {"type": ["integer", "null"]},
                "seed": {"type": ["integer", "null"]},
            }
        ),
        "summary": _object(
            {
                "rows": {"type": "integer"},
                "labels": {"type": "integer"},
                "seconds": _NUMBER,
                "iterations_mean": _NUMBER,
                "queries_total": {"type": "integer"},
                "queries_per_label": _NUMBER,
                "cost_mean": _NUMBER,
                "confidence_mean": _NUMBER,
                "outside_range": _NUMBER,
                "stop_reasons": {"type": "object"},
                **dict.fromkeys(SUMMARY_METRICS, _NUMBER),
            },
            optional=(
                *("cost_mean", "outside_range", "stop_reasons", "evaluator_confidence_mean"),
                *(f"{name}_mean" for name in LIKENESS if name.endswith("_best")),
            ),
        ),
        "per_label": {
            "type": "array",
            "items": _object(
                {
                    "label": {"type": "integer"},
                    "name": {"type": "string"},
                    "restart": {"type": "integer"},
                    "best": {"type": "boolean"},
                    "cost": _NUMBER,
                    "confidence": _NUMBER,
                    "iterations": {"type": "integer"},
                    "stop_reason": {"type": "string"},
                    "queries": {"type": "integer"},
                    "seconds": _NUMBER,
                    "evaluator_guess": _TEXT,
                    **dict.fromkeys(METRICS, _NUMBER),
                },
                optional=(
                    *("best", "evaluator_guess", "evaluator_confidence"),
                    *(name for name in LIKENESS if name.endswith("_best")),
                ),
            ),
        },
        "input_shape": {"type": "array", "items": {"type": "integer"}},
        "input_range": {"type": "array", "items": {"type": "number"}},
        "controls": {"type": "object"},
        "chance": {"type": "object"},
        "evaluator": {"type": ["object", "null"]},
        "data": {"type": ["object", "null"]},
        "run": {"type": "object"},
    },
    optional=("input_shape", "input_range", "controls", "chance", "evaluator", "data", "run"),
)

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

    Knows the keywords that :data:`RESULTS_SCHEMA` uses: type, const, required, properties, items.

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
