"""What the rows of an attack have found, and what it took: kept for those that have left the batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from mi_lightning.attacks.problem import Problem
from mi_lightning.attacks.result import STOP_REASONS, InversionResult
from mi_lightning.attacks.rows import Rows, RowState


@dataclass(frozen=True)
class Report:
    """What people and loggers are told of an attack every few iterations.

    Attributes:
        iteration: Iterations done on the rows that run, or have just ended.
        active_rows: Rows that go on.
        cost: Mean best cost of the rows that ran since the last report.
        confidence: Mean confidence that the target has in their best candidates.
        part: Number of the part of the attack that runs, from 0: rows in memory at a time, windows.
        parts: How many parts there are.
    """

    iteration: int
    active_rows: int
    cost: float
    confidence: float
    part: int = 0
    parts: int = 1


def report_on(state: RowState, problem: Problem) -> Report:
    """Return the numbers of the rows in the batch: one look at the device for all of them."""
    if not len(state):
        return Report(state.iteration, 0, float("nan"), float("nan"))
    sure = problem.cost.confidence(state.best_identity_loss).mean()
    numbers = torch.stack((state.active.sum().to(sure), state.best_total.mean().to(sure), sure)).tolist()
    return Report(state.iteration, int(numbers[0]), *numbers[1:])


class Findings:
    """Best iterates of the rows that have stopped, and the effort of all rows.

    Args:
        rows: How many rows the attack begins with.
        problem: What is minimised; its target's ledger is the one count of queries.
    """

    def __init__(self, rows: int, problem: Problem) -> None:
        """Begin with nothing found."""
        self._problem = problem
        self._parts: list[InversionResult] = []
        self._index: list[int] = []
        self._seconds = torch.zeros(rows, dtype=torch.float64)
        self._tick = time.perf_counter()
        self._told: InversionResult | None = None
        self.begin_anew()

    def begin_anew(self) -> None:
        """Begin at other candidates of the same rows."""
        self._total = self._problem.target.ledger.total
        self._asked: list[int] = []  # inputs that a row in the batch has asked for when x_i has been evaluated, by i

    def evaluated(self, rows: int) -> None:
        """Note what an iteration took; all rows in the batch ask the same number of inputs."""
        total = self._problem.target.ledger.total
        before = self._asked[-1] if self._asked else 0
        self._asked.append(before + (total - self._total) // rows)
        self._total = total

    def leave(self, state: RowState) -> None:
        """Take up the rows in the batch that have stopped."""
        now = time.perf_counter()
        self._seconds[state.index] += (now - self._tick) / len(state)  # split evenly over the rows in the batch
        self._tick = now
        gone = state.active.logical_not().nonzero()[:, 0].cpu()
        if len(gone):
            self._parts.append(self.snapshot(state).select(gone))
            self._index += state.index[gone].tolist()

    def __call__(self, state: RowState | None = None) -> InversionResult:
        """Return what was found by the rows that have left, in the order of the rows.

        Args:
            state: Rows in the batch, whose best iterates so far are wanted, too.
        """
        running = [] if state is None or not len(state) else [(self.snapshot(state), state.index.tolist())]
        parts = [*self._parts, *(part for part, _ in running)]
        index = [*self._index, *(place for _, places in running for place in places)]
        return InversionResult.concatenate(parts).select(torch.tensor(index, dtype=torch.int64).argsort())

    def with_confidence(self, rows: Rows, guard: Callable[[], AbstractContextManager[None]]) -> InversionResult:
        """Return what was found; where the cost does not tell how sure the target is, it is asked, once.

        Args:
            rows: All rows of the attack.
            guard: Keeps what was found when the target fails.
        """
        if self._told is None:
            self._told = self()
            asks = len(self._told) and not self._problem.cost.tells_confidence
            if asks and self._problem.affords(rows, 1):
                found = rows.select(torch.tensor(sorted(self._index), dtype=torch.int64))
                with guard():
                    self._told = ask_confidence(self._told, self._problem, found)
        return self._told

    @torch.no_grad()
    def snapshot(self, state: RowState) -> InversionResult:
        """Return the best iterates of the rows in the batch as they are now; no memory is shared with them."""
        problem, rows = self._problem, state.rows
        iterations = torch.where(state.active, state.iteration, state.stop_iteration).cpu()
        return InversionResult(
            label=rows.label,
            name=tuple(problem.target.class_names[label] for label in rows.label.tolist()),
            restart=rows.restart,
            candidate=state.best_z.cpu().clone(),
            reconstruction=problem.space.decode(state.best_z).float().cpu().clone(),
            cost=state.best_total.float().cpu().clone(),
            confidence=as_confidence(problem.cost.confidence(state.best_identity_loss)),
            iterations=iterations,
            stop_reason=tuple(STOP_REASONS[code] for code in state.stop_code.tolist()),
            queries=self._queries(rows, iterations),
            seconds=self._seconds[state.index],
            score=state.best_score.float().cpu().clone(),
            best_iteration=state.best_iteration.cpu().clone(),
            same_answers=state.same_answers.cpu(),
        )

    def _queries(self, rows: Rows, iterations: Tensor) -> Tensor:
        """Inputs that each row asked for until it stopped, shape (R,), by the ledger.

        A stopped row stays in the batch until the next report; what was asked for it after its end is not its own.
        """
        asked = torch.tensor(self._problem.target.ledger.asked(rows.keys), dtype=torch.int64)
        if not self._asked:
            return asked
        return asked - self._asked[-1] + torch.tensor(self._asked, dtype=torch.int64)[iterations]

    def state_dict(self) -> dict[str, Any]:
        """Return what is kept: plain values and tensors."""
        return {
            "parts": [part.state_dict() for part in self._parts],
            "index": list(self._index),
            "seconds": self._seconds.clone(),
            "asked": torch.tensor(self._asked, dtype=torch.int64),
            "told": None if self._told is None else self._told.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what was kept; the target's own state has been loaded."""
        self._parts = [InversionResult.from_state_dict(part) for part in state["parts"]]
        self._index, self._seconds = list(state["index"]), state["seconds"].clone()
        self._asked, self._total = state["asked"].tolist(), self._problem.target.ledger.total
        self._told = None if state["told"] is None else InversionResult.from_state_dict(state["told"])
        self._tick = time.perf_counter()


def as_confidence(confidence: Tensor) -> Tensor:
    """Return confidences on the CPU, in [0, 1]; 0 where they are no numbers."""
    return confidence.float().nan_to_num(0.0).clamp(0, 1).cpu()


@torch.no_grad()
def ask_confidence(found: InversionResult, problem: Problem, rows: Rows) -> InversionResult:
    """Ask how sure the target is of what was found, where the cost does not tell; one query a row.

    Args:
        found: What was found.
        problem: Whose target is asked.
        rows: The rows of what was found, in the same order.
    """
    device = problem.device
    label = rows.label.to(device)
    shown = problem.space.present(found.candidate.to(device))
    with problem.target.asking(rows.keys):
        confidence = problem.view.confidences(shown).gather(1, label[:, None])[:, 0]
    asked = torch.tensor(problem.target.ledger.asked(rows.keys), dtype=torch.int64)
    return replace(found, confidence=as_confidence(confidence), queries=asked)
