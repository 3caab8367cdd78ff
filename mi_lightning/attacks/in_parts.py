"""Some rows after the others: as many at a time as memory allows."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch

from mi_lightning.attacks.findings import Report
from mi_lightning.attacks.measure import Measurement, rows_that_fit
from mi_lightning.attacks.result import InversionResult
from mi_lightning.attacks.rows import Rows
from mi_lightning.attacks.wrappers import Runs, Wrapper
from mi_lightning.errors import MIError
from mi_lightning.memory import bytes_as_text, free_memory, is_out_of_memory


class InParts(Wrapper):
    """Runs some rows after the others, so that all of them need not be in memory at a time.

    Where memory runs short in a way that can be caught (a GPU, a limit of the process), the part that ran is begun anew
    with half the rows: a row's random numbers are its own, so what it finds does not depend on it.

    Args:
        engine: What runs them.
        rows_at_once: Rows in memory at a time, at least 1; as many as memory allows if None, measured on one row.

    Attributes:
        measured: What an iteration takes, where that was measured.
        finished: What the parts that are over have found.
        starts: Place of the first row of each part.
        on_finished: Is told the number of a part that is over, and what it found, while others still run.
    """

    measured: Measurement | None = None
    finished: list[InversionResult]
    starts: list[int]
    on_finished: Callable[[int, InversionResult], None] | None = None

    def __init__(self, engine: Runs, rows_at_once: int | None) -> None:
        """Keep the number."""
        super().__init__(engine)
        self.rows_at_once = rows_at_once

    @property
    def parts(self) -> int:
        """Parts of the wrapped engine, as often as there are batches of rows; more once memory has run short."""
        return len(self.starts) * self.engine.parts

    @property
    def most_parts(self) -> int:
        """Parts if memory allowed one row at a time only."""
        return len(self._rows) * self.engine.parts

    @property
    def largest(self) -> int:
        """Rows of the largest part."""
        return max(b - a for a, b in zip(self.starts, [*self.starts[1:], len(self._rows)], strict=True))

    def start(self, rows: Rows) -> None:
        """Place the first rows."""
        self._rows, self._part, self._joined = rows, 0, False
        self.finished = []
        at_once = self.rows_at_once
        if at_once is None:
            at_once, self.measured = rows_that_fit(self.core, rows, self.measured)
        self.starts = list(range(0, len(rows), at_once)) or [0]
        self._start_part()

    def _start_part(self) -> None:
        rows = self._own()
        # to begin the part anew; states are plain tensors of 5 kB
        self._before = [generator.get_state() for generator in rows.generators]
        self._target_before = self.core.problem.target.run_state()
        self.engine.start(rows)

    def _own(self) -> Rows:
        """The rows of the part that runs."""
        starts = self.starts[self._part : self._part + 2]
        return self._rows.select(slice(starts[0], starts[1] if len(starts) == 2 else None))

    def run(self, rows: Rows | None = None, report_every: int = 50) -> Iterator[Report]:
        """Run one part after the other."""
        if rows is not None:
            self.start(rows)
        while True:
            short = None
            try:
                for report in self.engine.run(None, report_every):
                    yield replace(report, part=self._part * self.engine.parts + report.part, parts=self.parts)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                short = str(error)  # not the error, whose frames hold what has to be freed
            if short is not None:
                self._halve(short)
                continue
            if self.stop_requested or self._part + 1 == len(self.starts):
                return
            finished = self.engine.result  # asks the last question of the part, by which the target may fail
            if self.failure is not None:
                return
            self.finished.append(finished)
            if self.on_finished is not None:
                self.on_finished(self._part, finished)
            self._part += 1
            self._start_part()

    def _halve(self, said: str) -> None:
        """Begin the part that ran anew with half its rows, and give all that follow no more.

        Raises:
            MIError: If it was a single row.
        """
        rows, problem = self._own(), self.core.problem
        device = problem.device
        if len(rows) == 1:
            free = free_memory(device)
            left = "" if free is None else f" of which {bytes_as_text(free)} are free"
            raise MIError(f"one row alone does not fit in the memory{left}: {said.splitlines()[0]}")
        first, size = self.starts[self._part], -(-len(rows) // 2)
        self.starts = [*self.starts[: self._part], *range(first, len(self._rows), size)]
        for generator, state in zip(rows.generators, self._before, strict=True):
            generator.set_state(state)
        total = problem.target.ledger.total  # what was asked has been asked
        problem.target.load_run_state(self._target_before)
        problem.target.ledger.total = total
        self.engine.start(rows.select(slice(0, 1)))  # lets go of the batch before the next one is placed
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
        for generator, state in zip(rows.generators, self._before, strict=True):
            generator.set_state(state)
        self._start_part()

    @property
    def result(self) -> InversionResult:
        """What the rows that have stopped have found."""
        if self._joined:
            return self.finished[0]
        found = InversionResult.concatenate([*self.finished, self.engine.result])
        over = self._part + 1 == len(self.starts) and not len(self.core.state)
        if over and self.finished:  # nothing is kept twice
            self.finished, self._joined = [found], True
        return found

    def progress(self) -> InversionResult:
        """Return the best iterates so far of the rows that have been started; windows are no waveforms yet."""
        if self._joined:
            return self.finished[0]
        running = self.engine.progress()
        if self.finished and running.candidate.shape[1:] != self.finished[0].candidate.shape[1:]:
            return InversionResult.concatenate(self.finished)
        return InversionResult.concatenate([*self.finished, running])

    def state_dict(self) -> dict[str, Any]:
        """Return all that changes while the attack runs."""
        own = {
            "all_rows": self._rows.state_dict(),
            "starts": list(self.starts),
            "part": self._part,
            "finished": [part.state_dict() for part in self.finished],
            "joined": self._joined,
            "before": {"generators": list(self._before), "target": self._target_before},
        }
        return {**super().state_dict(), **own}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another one was."""
        self._rows, self._part = Rows.from_state_dict(state["all_rows"]), state["part"]
        self.starts, self._joined = list(state["starts"]), state["joined"]
        self.finished = [InversionResult.from_state_dict(part) for part in state["finished"]]
        self._before, self._target_before = list(state["before"]["generators"]), state["before"]["target"]
        super().load_state_dict(state)
