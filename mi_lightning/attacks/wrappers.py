"""Wrappers round an engine: the best of several initial candidates, one window after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Protocol

import torch
from torch import Tensor

from mi_lightning.attacks.engine import Engine
from mi_lightning.attacks.findings import Report, as_confidence, ask_confidence
from mi_lightning.attacks.problem import Problem
from mi_lightning.attacks.result import InversionResult
from mi_lightning.attacks.rows import Rows
from mi_lightning.attacks.spaces.sliding_windows import SlidingWindows
from mi_lightning.errors import InputError
from mi_lightning.targets.base import TargetError


class Runs(Protocol):
    """What an engine and its wrappers have in common; see :class:`~mi_lightning.attacks.engine.Engine`."""

    stop_requested: bool

    @property
    def failure(self) -> TargetError | None:
        """What the target failed by."""

    @property
    def core(self) -> Engine:
        """The engine in the middle."""

    @property
    def parts(self) -> int:
        """How many parts the attack has, known after :meth:`start`."""

    @property
    def result(self) -> InversionResult:
        """What the rows that have stopped have found."""

    def start(self, rows: Rows) -> None:
        """Place the initial candidates."""

    def run(self, rows: Rows | None = None, report_every: int = 50) -> Iterator[Report]:
        """Run until every row has stopped."""

    def progress(self) -> InversionResult:
        """Return the best iterates so far of the rows that have been started."""

    def interrupt(self) -> None:
        """End the attack where it is."""

    def state_dict(self) -> dict[str, Any]:
        """Return all that changes while the attack runs."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another one was."""


class Wrapper:
    """Does what the wrapped engine does, unless a subclass says otherwise."""

    def __init__(self, engine: Runs) -> None:
        """Keep the engine."""
        self.engine = engine

    @property
    def core(self) -> Engine:
        """The engine in the middle."""
        return self.engine.core

    @property
    def parts(self) -> int:
        """How many parts the attack has."""
        return self.engine.parts

    @property
    def stop_requested(self) -> bool:
        """Set it to end the attack after the running iteration."""
        return self.engine.stop_requested

    @stop_requested.setter
    def stop_requested(self, value: bool) -> None:
        self.engine.stop_requested = value

    @property
    def failure(self) -> TargetError | None:
        """What the target failed by."""
        return self.engine.failure

    @property
    def result(self) -> InversionResult:
        """What the rows that have stopped have found."""
        return self.engine.result

    def start(self, rows: Rows) -> None:
        """Place the initial candidates."""
        self.engine.start(rows)

    def progress(self) -> InversionResult:
        """Return the best iterates so far."""
        return self.engine.progress()

    def interrupt(self) -> None:
        """End the attack where it is."""
        self.engine.interrupt()

    def state_dict(self) -> dict[str, Any]:
        """Return all that changes while the attack runs: plain values and tensors."""
        return {"engine": self.engine.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another one was."""
        self.engine.load_state_dict(state["engine"])


class BestOfInitial(Wrapper):
    """Tries several initial candidates of each row, and goes on from the one that the selection ranks first.

    For candidates that are drawn, where the cost is flat at most of them. The least of many noisy costs is too good to
    be true, so the chosen one is evaluated afresh.

    Args:
        engine: Goes on from there.
        initial_candidates: Candidates of each row, at least 2; one evaluation each, and one more.
    """

    engine: Engine

    def __init__(self, engine: Engine, initial_candidates: int) -> None:
        """Keep the number."""
        super().__init__(engine)
        self.initial_candidates = initial_candidates

    def run(self, rows: Rows | None = None, report_every: int = 50) -> Iterator[Report]:
        """Try the candidates, then run."""
        engine = self.engine
        if rows is not None:
            self.start(rows)
        if engine.state.evaluated < 0:
            self._choose()
        yield from engine.run(None, report_every)

    def _choose(self) -> None:
        """Try the candidates, and begin at the best of each row."""
        engine = self.engine
        with engine.keep_what_was_found():
            engine.begin()
            for _ in range(self.initial_candidates - 1):
                engine.evaluate(engine.problem.space.initial(engine.rows).to(engine.problem.device))
        if engine.failure is None:
            tried = engine.state
            engine.place(engine.rows, tried.best_z)
            with engine.keep_what_was_found():
                engine.begin()
            if engine.state.evaluated < 0:  # the target failed: what was found is the best of those that were tried
                engine.state = tried
                tried.stop(None, "target_error")


class Sliding(Wrapper):
    """Inverts a long waveform window by window, in place [P23, sliding model inversion].

    The whole attack runs on the first window, is begun anew a stride further on from what the last window has left
    there, and so on to the end; all rows do the same window at the same time. Cost and confidence of the result are
    those of the finished waveform, of which the target is asked at last.

    Args:
        engine: Its problem's space is a :class:`~mi_lightning.attacks.spaces.SlidingWindows`.

    Raises:
        InputError: If it is another.
    """

    engine: Engine

    def __init__(self, engine: Engine) -> None:
        """Make the problem of the finished waveform."""
        super().__init__(engine)
        problem = engine.problem
        if not isinstance(problem.space, SlidingWindows):
            raise InputError("a space of SlidingWindows", type(problem.space).__name__, field="space")
        self.space = problem.space
        self.whole = Problem(problem.target, problem.space.final, problem.cost)

    @property
    def parts(self) -> int:
        """Number of windows."""
        return self.space.windows

    def start(self, rows: Rows) -> None:
        """Place the first window."""
        self._windows: list[InversionResult] = []  # what was found in each window so far
        self._begun: Tensor | None = None  # where the window that runs was begun
        self._result: InversionResult | None = None
        self.engine.start(rows)

    def run(self, rows: Rows | None = None, report_every: int = 50) -> Iterator[Report]:
        """Run one window after the other."""
        if rows is not None:
            self.start(rows)
        while self._result is None:
            for report in self.engine.run(None, report_every):
                yield replace(report, part=len(self._windows), parts=self.parts)
            self._end_window()

    def _end_window(self) -> None:
        """Go on with the next window, or put the result together."""
        engine, window = self.engine, len(self._windows)
        found = engine.findings()
        if not len(found):
            if not self._windows:  # nothing was found at all
                self._result = found
                return
            # the target failed before anything of this window was found: it stays as it was begun
            last = self._windows[-1]
            begun = last.candidate if self._begun is None else self._begun
            found = replace(last, candidate=begun, stop_reason=("target_error",) * len(last))
            nothing = {name: getattr(last, name) * 0 for name in ("iterations", "seconds", "best_iteration")}
            self._windows.append(replace(last, **nothing))
        else:
            self._windows.append(found)
        over = engine.failure is not None or engine.stop_requested or "query_budget" in found.stop_reason
        if window + 1 < self.parts and not over:
            needed = engine.step.queries_per_evaluation + engine.selection.queries
            if engine.problem.affords(engine.rows, needed):
                self._begun = self.space.next_window(window, found.candidate)
                engine.start(engine.rows, self._begun)
                return
            found, over = replace(found, stop_reason=("query_budget",) * len(found)), True
        self._result = self._put_together(found, over)

    @torch.no_grad()
    def _put_together(self, found: InversionResult, over: bool) -> InversionResult:
        """Return the result of all windows: effort summed up, outcome asked for once more."""
        whole, engine = self.whole, self.engine
        candidate = self.space.finish(len(self._windows) - 1, found.candidate)
        found = replace(
            found,
            candidate=candidate,
            reconstruction=whole.space.decode(candidate.to(engine.problem.device)).float().cpu().clone(),
            iterations=torch.stack([part.iterations for part in self._windows]).sum(0),
            seconds=torch.stack([part.seconds for part in self._windows]).sum(0),
            best_iteration=torch.stack([part.best_iteration for part in self._windows]).sum(0),
            same_answers=torch.stack([part.same_answers for part in self._windows]).all(0),
        )
        if not over and whole.affords(engine.rows, 2):  # an attack that was ended from outside does not ask again
            with engine.keep_what_was_found():
                found = self._asked(found)
        return found

    def _asked(self, found: InversionResult) -> InversionResult:
        """Ask for cost and confidence of the finished waveforms."""
        whole, rows = self.whole, self.engine.rows
        device = self.engine.problem.device
        cost = whole.identity_loss(found.candidate.to(device), rows.label.to(device), rows)
        asked = torch.tensor(whole.target.ledger.asked(rows.keys), dtype=torch.int64)
        cost_now, sure = cost.float().cpu(), as_confidence(whole.cost.confidence(cost))
        found = replace(found, cost=cost_now, score=cost_now, confidence=sure, queries=asked)
        return found if whole.cost.tells_confidence else ask_confidence(found, whole, rows)

    @property
    def result(self) -> InversionResult:
        """The finished waveforms; nothing before they are finished."""
        return self.engine.findings() if self._result is None else self._result

    def progress(self) -> InversionResult:
        """Return the best of the window that runs, or the finished waveforms."""
        return self.engine.progress() if self._result is None else self._result

    def interrupt(self) -> None:
        """End the attack where it is."""
        if self._result is None:
            if len(self.engine.state) or len(self._windows) + 1 < self.parts:  # else only the last question is left
                self.engine.stop_requested = True
            self.engine.interrupt()
            self._end_window()

    def state_dict(self) -> dict[str, Any]:
        """Return all that changes while the attack runs."""
        windows = [part.state_dict() for part in self._windows]
        result = None if self._result is None else self._result.state_dict()
        own = {"windows": windows, "begun": self._begun, "result": result, "space": self.space.run_state()}
        return {**super().state_dict(), **own}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another one was."""
        super().load_state_dict(state)
        self.space.load_run_state(state["space"])
        self._windows = [InversionResult.from_state_dict(part) for part in state["windows"]]
        self._result = None if state["result"] is None else InversionResult.from_state_dict(state["result"])
        self._begun = state["begun"]
