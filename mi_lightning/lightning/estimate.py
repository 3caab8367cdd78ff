"""What an attack will take, said before it starts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import torch

from mi_lightning.attacks.attack import Attack
from mi_lightning.attacks.in_parts import InParts
from mi_lightning.attacks.measure import answers_here, bound, measure, seconds_of_iteration
from mi_lightning.attacks.rows import Rows
from mi_lightning.memory import bytes_as_text
from mi_lightning.targets.base import Target


class Planned(Protocol):
    """What is asked of an :class:`~mi_lightning.lightning.module.Inversion`."""

    attack: Attack
    query_budget: int | None

    @property
    def target(self) -> Target:
        """The target behind its defenses."""

    def build(self, callbacks: Iterable[object]) -> InParts:
        """Put the engine together."""

    def rows(self) -> Rows:
        """Return the rows of the attack."""


@dataclass(frozen=True)
class Estimate:
    """What an attack will take at most: it may stop earlier.

    Attributes:
        rows: Rows: people times restarts.
        iterations: Iterations of each, all windows together.
        rows_at_once: Rows in memory at a time.
        queries: Inputs that the target will be asked for.
        seconds: Time, without judging; None where only the target knows how long it takes to answer.
        memory_bytes: Memory beside what this process holds already.
        disk_bytes: Size of the files of the run, about.
        price: What the queries cost, in whatever money the target's price is in; None where it has none.

    Example:
        >>> print(Estimate(40, 200, 40, 8080, 12.0, 350_000_000, 2_000_000))
        40 rows x 200 iterations: about 12 s, at most 8,080 queries, 350 MB of memory, 2 MB on disk
    """

    rows: int
    iterations: int
    rows_at_once: int
    queries: int
    seconds: float | None
    memory_bytes: int
    disk_bytes: int
    price: float | None = None

    def __str__(self) -> str:
        """Say it in one line."""
        batch = "" if self.rows_at_once >= self.rows else f", {self.rows_at_once} rows at once"
        took = "time as the target answers" if self.seconds is None else f"about {_duration(self.seconds)}"
        cost = "" if self.price is None else f" (price {self.price:,.2f})"
        return (
            f"{self.rows} rows x {self.iterations} iterations{batch}: {took}, at most {self.queries:,} queries{cost}, "
            f"{bytes_as_text(self.memory_bytes)} of memory, {bytes_as_text(self.disk_bytes)} on disk"
        )


def estimate(inversion: Planned) -> Estimate:
    """Say what an attack will take, where the weights of its target lie now; nothing that was asked is counted.

    What runs in this process is measured on one row and on two. A target that only answers is not asked.

    Args:
        inversion: The attack; it must not be running.

    Raises:
        InputError: If a part of the attack does not fit the target.
    """
    engine = inversion.build(())
    return estimate_of(inversion, engine, inversion.rows())


def estimate_of(inversion: Planned, engine: InParts, rows: Rows) -> Estimate:
    """Say what the rows of one process will take.

    Args:
        inversion: The attack.
        engine: It, put together; it is started anew, and what is measured stays with it.
        rows: The rows.
    """
    core = engine.core
    problem, target = core.problem, core.problem.target
    local = answers_here(target)
    seconds: float | None = None
    if local and bound(core) is None:
        engine.measured = measure(core, rows) or engine.measured
    fresh = Rows(rows.label, rows.restart, seed=rows.seed)  # the attack's own have drawn nothing yet
    engine.start(fresh)
    iterations = inversion.attack.max_iterations * engine.engine.parts
    candidate = problem.space.initial(Rows.grid([0], 1, seed=0))
    if engine.measured is not None:
        each = engine.measured
        seconds = iterations * (len(engine.starts) * each.fixed_seconds + len(rows) * each.row_seconds)
        memory = each.fixed_bytes + engine.largest * each.row_bytes
    else:
        memory = engine.largest * (bound(core) or 0)
        if local:
            largest = Rows(rows.label[: engine.largest], rows.restart[: engine.largest], seed=rows.seed)
            once = seconds_of_iteration(core, largest)
            seconds = None if once is None else iterations * len(engine.starts) * once
    size = 4 * (candidate[0].numel() + torch.Size(target.input_shape).numel())
    queries = _queries(inversion, engine, candidate[0].numel()) * len(rows)
    price = getattr(target, "price_per_query", None)
    return Estimate(
        rows=len(rows),
        iterations=iterations,
        rows_at_once=engine.largest,
        queries=queries,
        seconds=seconds,
        memory_bytes=memory + 2 * size * len(rows),
        disk_bytes=size * len(rows) + 20_000 * len(rows),
        price=None if price is None else queries * float(price),
    )


def _queries(inversion: Planned, engine: InParts, size: int) -> int:
    """Queries of a row, where nothing stops it before its last iteration."""
    attack, core = inversion.attack, engine.core
    whole = core.step.queries_per_evaluation + core.selection.queries
    tried = attack.initial_candidates + (attack.initial_candidates > 1)
    steps = core.step.queries_per_iteration(size) + core.selection.queries
    each = (tried * whole + attack.max_iterations * steps) * core.problem.space.queries_per_candidate
    asked = each * engine.engine.parts + (0 if core.problem.cost.tells_confidence else 1)
    return asked if inversion.query_budget is None else min(asked, inversion.query_budget)


def _duration(seconds: float) -> str:
    """Render a time.

    Example:
        >>> _duration(0.4), _duration(75), _duration(8000)
        ('1 s', '75 s', '2.2 h')
    """
    if seconds < 120:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
