"""What a sweep varies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Name under which an axis says that there is nothing.
NOTHING = "none"


@dataclass(frozen=True)
class Axis:
    """One thing that a sweep varies.

    Attributes:
        name: What ``$name`` stands for in what is set.
        title: What it is called in a report.
        labels: Name of each value.
        values: The values.
        changes: Dotted keys that are set, and to what.
    """

    name: str
    title: str
    labels: tuple[str, ...]
    values: tuple[Any, ...]
    changes: Mapping[str, Any]

    def strength(self, label: str) -> float | None:
        """Return the value of that label as a number, if it is one."""
        value = self.values[self.labels.index(label)]
        return float(value) if is_number(value) else None

    @property
    def reference(self) -> str | None:
        """Label of the value that is nothing, with which the others are compared: ``none``, 0 or empty, if there is."""
        if NOTHING in self.labels:
            return NOTHING
        empty = (label for label, value in zip(self.labels, self.values, strict=True) if value in (None, [], {}))
        return next((label for label in self.labels if self.strength(label) == 0), next(empty, None))

    @property
    def rising(self) -> tuple[str, ...]:
        """Labels from the weakest value to the strongest: numbers by size, after ``none``; words as they stand."""
        sizes = {label: self.strength(label) for label in self.labels if label != NOTHING}
        if any(size is None or number_label(size) != label for label, size in sizes.items()):
            return self.labels
        nothing = (NOTHING,) if NOTHING in self.labels else ()
        return *nothing, *sorted(sizes, key=lambda label: sizes[label] or 0.0)


def number_label(value: float) -> str:
    """Name of a value that is a number.

    Example:
        >>> number_label(1e-5), number_label(0.20)
        ('1e-05', '0.2')
    """
    return f"{value:.10g}"


def is_number(value: Any) -> bool:
    """Whether a value is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)
