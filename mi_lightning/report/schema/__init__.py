"""The schema of ``results.json``, version 2, in the vocabulary of JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mi_lightning.report.schema.check import problem
from mi_lightning.report.schema.version_1 import from_version_1

SCHEMA_VERSION = 2

#: Metrics of a row against the mean of its person's training images, and against the most similar one.
LIKENESS = ("mse", "nrmse", "psnr", "ssim", "mse_best", "nrmse_best", "psnr_best", "ssim_best")
#: Shares of rows that an inside evaluator recognises.
HITS = ("evaluator_top1", "evaluator_top5", "identification_top1")
#: Metrics of a row; those of the summary that are not shares have ``_mean`` behind them.
METRICS = (*HITS, "evaluator_confidence", *LIKENESS)
#: The same metrics over all people, as in ``summary`` and ``controls``.
SUMMARY_METRICS = tuple(name if name in HITS else f"{name}_mean" for name in METRICS)

_NUMBER = {"type": ["number", "null"]}
_TEXT = {"type": ["string", "null"]}
_COUNT = {"type": ["integer", "null"]}
_PARTS = {"type": ["array", "null"]}  # descriptions of several parts; null where nothing is known of them


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
                "priors": _PARTS,
                "transforms": _PARTS,
                "step": {},
                "estimator": {},
                "gradient_filter": {},
                "optimizer": {},
                "projections": _PARTS,
                "selection": {},
                "callbacks": _PARTS,
                "max_iterations": _COUNT,
                "beta": _COUNT,
                "gamma": _NUMBER,
                "restarts": _COUNT,
                "initial_candidates": _COUNT,
                "report_every": _COUNT,
                "seed": _COUNT,
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

__all__ = [
    "HITS",
    "LIKENESS",
    "METRICS",
    "RESULTS_SCHEMA",
    "SCHEMA_VERSION",
    "SUMMARY_METRICS",
    "from_version_1",
    "problem",
]
