"""What came of a gate: for each run, whether a figure stayed within what was asked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """A gate and a run.

    Attributes:
        gate: What was asked for, such as ``"recognised at most 20%"``.
        run: Name of the run.
        figure: Figure of the run, by its key in ``audit.json``.
        line: What was found, in one line.
        passed: Whether it is what was asked for. What could not be measured never is.
        measured: Whether it could be measured.
    """

    gate: str
    run: str
    figure: str
    line: str
    passed: bool
    measured: bool = True
