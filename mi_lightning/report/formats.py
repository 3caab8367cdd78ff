"""Numbers and settings as people read them, and as JSON and CSV hold them."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor


def show(value: float | str | None, kind: str = "number") -> str:
    """A number for people; a dash where there is none.

    Example:
        >>> show(0.975, "share"), show(1.0, "share"), show(0.41, "number"), show(None, "share")
        ('97.5%', '100%', '0.410', '–')
    """
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if kind == "share":
        return f"{value:.1%}".replace(".0%", "%")
    if kind == "count":
        return f"{value:,.0f}"
    if kind == "seconds":
        return f"{value:.1f}" if value < 100 else f"{value:,.0f}"
    return f"{value:.1f}" if kind == "decibel" else f"{value:.3f}"


def text(value: Any) -> str:
    """A setting for people."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(map(text, value)) or "none"
    return str(value)


def plain(value: Any) -> Any:
    """Turn a value into what JSON knows; numbers that are not finite become null."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, Tensor | np.generic | np.ndarray):
        return plain(value.tolist())
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)


def csv_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> str:
    """Rows of equal keys as CSV with a heading; what is None is left empty.

    Args:
        rows: The rows.
        columns: Heading where there is no row.
    """
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]) if rows else columns)
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()
