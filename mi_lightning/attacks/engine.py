"""The engine: Algorithm 1 of Fredrikson et al. (CCS 2015) [F15], for all rows at once, with every part exchangeable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from mi_lightning.attacks.findings import Findings, Report, report_on
from mi_lightning.attacks.problem import Problem
from mi_lightning.attacks.projections.base import Projection
from mi_lightning.attacks.result import InversionResult
from mi_lightning.attacks.rows import Rows, RowState
from mi_lightning.attacks.selection import LeastCost, Selection
from mi_lightning.attacks.steps.base import Step
from mi_lightning.attacks.stopping import StopRule
from mi_lightning.targets.base import TargetError

_PARTS = ("step", "selection", "findings")  # in the order in which they are loaded


class Engine:
    """Minimises the cost of each row's candidate, and keeps the best iterate of each.

    Plain torch: it knows nothing of Lightning, files or people. A row's random numbers are its own, so what it finds
    does not depend on the rows that run beside it. Everything that changes while it runs is in :meth:`state_dict`.

    Args:
        problem: What is minimised.
        step: Proposes the next candidates: UPDATE.
        stops: Say which rows have to stop, asked in this order.
        projections: Act on the candidates before they are evaluated: PROCESS.
        selection: Ranks the iterates; by the least cost if None.
        max_iterations: Iteration limit, alpha of [F15].

    Attributes:
        rows: All rows that the attack began with.
        state: Those that are in the batch.
        stop_requested: Set it to end the attack after the running iteration.
        failure: What the target failed by; what was found until then is kept.
    """

    rows: Rows
    state: RowState
    failure: TargetError | None
    parts = 1

    def __init__(
        self,
        problem: Problem,
        step: Step,
        *,
        stops: Sequence[StopRule] = (),
        projections: Sequence[Projection] = (),
        selection: Selection | None = None,
        max_iterations: int = 5000,
    ) -> None:
        """Keep the parts."""
        self.problem, self.step, self.selection = problem, step, selection or LeastCost()
        self.stops, self.projections = list(stops), list(projections)
        self._parts: list[StopRule | Projection] = [*stops, *projections]
        self.max_iterations, self.stop_requested, self.failure, self.core = max_iterations, False, None, self

    def run(self, rows: Rows | None = None, report_every: int = 50) -> Iterator[Report]:
        """Run until every row has stopped; what was found is then the :attr:`result`.

        Args:
            rows: Rows to begin with; those of :meth:`start` or :meth:`load_state_dict` if None.
            report_every: Iterations between two reports. Only then does the host wait for the device, and the rows
                that have stopped leave the batch.
        """
        if rows is not None:
            self.start(rows)
        while len(self.state):
            with self.keep_what_was_found():
                self.begin()
                for _ in range(min(report_every, self.max_iterations - self.state.iteration)):
                    if self.is_over():
                        break
                    self.iterate()
                    if not self.step.needs_gradients and self.drop_stopped(but_all=True):
                        break  # a query is dear: rows that have stopped leave at once
                self.problem.target.check_answers()
            if self.state.iteration >= self.max_iterations:
                self.state.stop(None, "max_iterations")
            report = report_on(self.state, self.problem)
            self.drop_stopped()
            yield report

    def iterate(self) -> None:
        """Run iteration i of Algorithm 1: x_i = PROCESS(x_{i-1} - UPDATE), and c(x_i) against the stop rules."""
        state, problem = self.state, self.problem
        state.iteration = problem.iteration = state.iteration + 1
        z = self.step.propose(problem, state)
        problem.space.constrain_(z)
        for projection in self.projections:
            z = projection(z, state)
        self.evaluate(z)
        for stop in self.stops:
            state.stop(stop(state.total), stop.reason)

    def begin(self) -> None:
        """Evaluate x_0, unless that has been done."""
        if self.state.evaluated < 0:
            self.problem.iteration = 0
            self.evaluate(self.state.z)
            for stop in self.stops:
                stop.start(self.state.total)

    def evaluate(self, z: Tensor) -> None:
        """Evaluate candidates of all rows in the batch, and keep the best of each row."""
        evaluation = self.step.evaluate(self.problem, z, self.state)
        score = self.selection.score(self.problem, z, self.state, evaluation)
        self.stop_unanswered()
        self.state.record(z, evaluation, score)
        self.findings.evaluated(len(self.state))

    def start(self, rows: Rows, z: Tensor | None = None) -> None:
        """Place the initial candidates, shape (R, *candidate_shape), drawn by the space if None; nothing is asked."""
        self.rows, self.failure = rows, None
        self.findings = Findings(len(rows), self.problem)
        self.place(rows, self.problem.space.initial(rows) if z is None else z)

    def place(self, rows: Rows, z: Tensor) -> None:
        """Begin at these candidates of all rows, which are evaluated afresh."""
        self.state = RowState(rows, z.to(self.problem.device))
        self.findings.begin_anew()
        self.step.bind(self.problem, self.state)

    @contextmanager
    def keep_what_was_found(self) -> Iterator[None]:
        """Let a failing target end the rows with what they have: the one place where that is handled."""
        try:
            yield
        except TargetError as failure:
            self.failure, state = failure, self.state
            state.iteration = max(state.evaluated, 0)  # what could not be evaluated was no iteration
            state.stop(None, "target_error")
            if state.evaluated < 0:  # these rows have found nothing at all
                self._keep(torch.arange(0, device=state.z.device))

    def stop_unanswered(self) -> None:
        """Stop the rows with a question that the target could not answer, whatever stands in for the answer."""
        if failed := self.problem.target.ledger.failed:
            mask = [key in failed for key in self.state.rows.keys]
            self.state.stop(torch.tensor(mask, device=self.state.z.device), "target_error")

    def is_over(self) -> bool:
        """Stop all rows if somebody wants it, or where the query budget does not allow a whole iteration."""
        needed = self.step.queries_per_iteration(self.state.z.shape[1:].numel()) + self.selection.queries
        if self.stop_requested:
            self.state.stop(None, "interrupted")
        elif self.failure is None and self.problem.affords(self.state.rows, needed):
            return False
        else:
            self.state.stop(None, "query_budget")  # after a failure they have stopped already
        return True

    def interrupt(self) -> None:
        """End the attack where it is: rows that run stop with what they have."""
        self.state.stop(None, "interrupted")
        self.drop_stopped()

    @property
    def result(self) -> InversionResult:
        """What the rows that have stopped have found, in the order of the rows."""
        if len(self.state) or self.stop_requested or self.failure is not None:
            return self.findings()  # an attack that was ended from outside asks nothing more
        return self.findings.with_confidence(self.rows, self.keep_what_was_found)

    def progress(self) -> InversionResult:
        """Return the best iterates so far of all rows, in their order, stopped or not."""
        return self.findings(self.state)

    def drop_stopped(self, *, but_all: bool = False) -> bool:
        """Take stopped rows out of the batch, if asked so only while others go on; return whether all have stopped."""
        keep = self.state.active.nonzero()[:, 0]  # here alone the host waits for the device
        if len(keep) < len(self.state) and (len(keep) or not but_all):
            self.findings.leave(self.state)
            self._keep(keep)
        return len(keep) == 0

    def _keep(self, index: Tensor) -> None:
        """Go on with the chosen rows: everything that has one place a row is indexed."""
        self.step.keep(index)
        for stop in self.stops:
            stop.keep(index)
        self.state.keep(index)

    def state_dict(self) -> dict[str, Any]:
        """Return all that changes while the attack runs: plain values and tensors, valid until it goes on."""
        saved = {name: getattr(self, name).state_dict() for name in ("rows", "state", *_PARTS)}
        parts = [part.state_dict() for part in self._parts]
        return {**saved, "parts": parts, "target": self.problem.target.run_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where an engine of the same parts was; :meth:`run` without rows continues."""
        self.start(Rows.from_state_dict(state["rows"]), state["state"]["z"])
        self.state = RowState.from_state_dict(state["state"], self.rows, self.problem.device)
        self.step.bind(self.problem, self.state)
        self.problem.target.load_run_state(state["target"])
        for part, saved in zip(self._parts, state["parts"], strict=True):
            part.load_state_dict(saved)
        for name in _PARTS:
            getattr(self, name).load_state_dict(state[name])
