"""The summary of a run from its rows: the same figures for who writes them and for who checks them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

from mi_lightning.judging.judgement import summarise
from mi_lightning.judging.verdicts import VERDICTS
from mi_lightning.report.pictures import outside_range
from mi_lightning.report.results import RunResults

Row = Mapping[str, Any]

#: What a row says beside the numbers of judges.
NOT_JUDGED = (
    *("label", "name", "restart", "best", "cost", "confidence", "iterations", "stop_reason", "queries", "seconds"),
    *("evaluator_guess", "recogniser_guess", "verdict", "verdict_reason", "best_iteration", "same_answers"),
)


def best_of(rows: Sequence[Row]) -> list[Row]:
    """The row of each label that the attack's selection ranks first."""
    return [row for row in rows if row.get("best", True)]


def effort(rows: Sequence[Row], outside: float | None) -> dict[str, Any]:
    """What an attack cost, over all rows, and what its target said, over the best row of each label.

    Args:
        rows: Entries of ``per_label``.
        outside: Share of the values of the best reconstructions that lie outside the input range.

    Returns:
        Figures of ``summary``; null where a number that they need is not finite.
    """
    best = best_of(rows)
    queries = sum(row["queries"] for row in rows)
    return {
        "rows": len(rows),
        "labels": len(best),
        "seconds": math.fsum(row["seconds"] for row in rows),
        "iterations_mean": mean(row["iterations"] for row in rows),
        "queries_total": queries,
        "queries_per_label": queries / len(best),
        "cost_mean": mean(row["cost"] for row in best),
        "confidence_mean": mean(row["confidence"] for row in best),
        "outside_range": outside,
        "stop_reasons": dict(sorted(Counter(row["stop_reason"] for row in rows).items())),
    }


def mean(values: Iterable[float | None]) -> float | None:
    """Mean of numbers; None if there is none, or one of them is none or not finite.

    Example:
        >>> mean([1, 2]), mean([1.0, None]), mean([])
        (1.5, None, None)
    """
    found = list(values)
    known = [value for value in found if value is not None and math.isfinite(value)]
    return math.fsum(known) / len(known) if known and len(known) == len(found) else None


def judged(rows: Sequence[Row]) -> dict[str, float | None]:
    """What judges say of the best rows: the mean of every number of theirs, named as in ``summary``."""
    best = best_of(rows)
    names = [name for name in dict.fromkeys(key for row in best for key in row) if name not in NOT_JUDGED]
    columns = {name: [row.get(name) for row in best] for name in names}
    numbers = {
        # the order of the rows and the precision of the judge: the mean is the same to the last digit
        name: torch.tensor([math.nan if value is None else float(value) for value in column], dtype=torch.float64)
        for name, column in columns.items()
        if not any(isinstance(value, str | list | dict) for value in column)
    }
    return {name: value if math.isfinite(value) else None for name, value in summarise(numbers).items()}


def verdict_figures(rows: Sequence[Row]) -> dict[str, Any]:
    """What follows from the verdicts on the best rows: their counts, and two shares; nothing where there are none.

    ``fools_model_only`` is a share of the people. ``inside_false_positive_rate`` is the share of the people who are
    not recognised and whom the inside evaluator names all the same. Both are null where no recogniser was asked.
    """
    best = best_of(rows)
    kinds = [row["verdict"] for row in best if row.get("verdict") is not None]
    if not kinds:
        return {}
    asked = any(row.get("recognised") is not None for row in best)
    strangers = [row for row in best if row.get("recognised") == 0]
    return {
        "verdicts": {kind: kinds.count(kind) for kind in VERDICTS},
        "fools_model_only": kinds.count("fools_model_only") / len(best) if asked else None,
        "inside_false_positive_rate": mean(row.get("evaluator_top1") for row in strangers),
    }


def recomputed_summary(run: RunResults) -> dict[str, Any]:
    """Every figure of ``summary``, computed anew from ``per_label`` and the arrays.

    Args:
        run: The run.

    Raises:
        MIError: If its arrays cannot be read.
    """
    low, high = run.data.get("input_range", (0.0, 1.0))
    rows = run.data["per_label"]
    return effort(rows, outside_range(run.reconstructions, (low, high))) | judged(rows) | verdict_figures(rows)
