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
#: What the recogniser says of the rows that the selection ranks first (`mi_lightning.judging.outside.Opinion`).
OUTSIDE = (
    *("recognised", "recognised_top5", "recogniser_rank", "recogniser_distance", "accepted_at_1_percent"),
    *("accepted_at_0_1_percent", "wrongly_accepted_at_1_percent", "detected"),
)
#: The same over all people.
OUTSIDE_SUMMARY = tuple(
    f"{name}_mean" if name in ("recogniser_rank", "recogniser_distance") else name for name in OUTSIDE
)
#: Metrics of a row; those of the summary that are not shares have ``_mean`` behind them.
METRICS = (*HITS, "evaluator_confidence", *LIKENESS, *OUTSIDE)
#: The same metrics over all people, as in ``summary`` and ``controls``.
SUMMARY_METRICS = (
    *(name if name in HITS else f"{name}_mean" for name in (*HITS, "evaluator_confidence", *LIKENESS)),
    *OUTSIDE_SUMMARY,
)

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
                "verdicts": {"type": "object"},
                "fools_model_only": _NUMBER,
                "inside_false_positive_rate": _NUMBER,
            },
            optional=(
                *(*OUTSIDE_SUMMARY, "verdicts", "fools_model_only", "inside_false_positive_rate"),
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
                    "recogniser_guess": _TEXT,
                    "best_iteration": _COUNT,
                    "same_answers": {"type": "boolean"},
                    "verdict": _TEXT,
                    "verdict_reason": _TEXT,
                    **dict.fromkeys(METRICS, _NUMBER),
                },
                optional=(
                    *("best", "evaluator_guess", "evaluator_confidence", "recogniser_guess", "best_iteration"),
                    *("same_answers", "verdict", "verdict_reason", *OUTSIDE),
                    *(name for name in LIKENESS if name.endswith("_best")),
                ),
            ),
        },
        "input_shape": {"type": "array", "items": {"type": "integer"}},
        "input_range": {"type": "array", "items": {"type": "number"}},
        "controls": {"type": "object"},
        "ceiling": {"type": "object"},
        "chance": {"type": "object"},
        "evaluator": {"type": ["object", "null"]},
        "recogniser": {"type": ["object", "null"]},
        "recogniser_missing": _TEXT,
        "data": {"type": ["object", "null"]},
        "verification": {
            **_object(
                {
                    "status": {"type": "string"},  # verified, warned, unverified, not_verified or exempt
                    "reason": {"type": "string"},
                    "hint": {"type": "string"},
                    "accuracy": _NUMBER,
                    "chance": _NUMBER,
                    "n": {"type": "integer"},
                    "samples": _TEXT,
                    "p_value": _NUMBER,
                    "recorded_accuracy": _NUMBER,
                    "verification_queries": {"type": "integer"},
                    "names": {"type": "string"},
                }
            ),
            "type": ["object", "null"],
        },
        "run": {"type": "object"},
    },
    optional=(
        *("input_shape", "input_range", "controls", "ceiling", "chance", "evaluator", "recogniser"),
        *("recogniser_missing", "data", "verification", "run"),
    ),
)

__all__ = [
    "HITS",
    "LIKENESS",
    "METRICS",
    "OUTSIDE",
    "OUTSIDE_SUMMARY",
    "RESULTS_SCHEMA",
    "SCHEMA_VERSION",
    "SUMMARY_METRICS",
    "from_version_1",
    "problem",
]
