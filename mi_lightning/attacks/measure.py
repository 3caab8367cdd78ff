"""What an iteration of an attack takes, measured on one row and on two, and how many rows fit in memory."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mi_lightning.attacks.engine import Engine
from mi_lightning.attacks.rows import Rows
from mi_lightning.memory import free_memory, is_out_of_memory
from mi_lightning.targets.base import Target, TargetError

_SHARE = 0.5  # of the free memory for a batch: others want some, and it comes in pieces
_SAFETY = 1.5  # what libraries take for themselves is not seen
_TINY = 1 / 8  # of the free memory: below, by the shapes alone, nothing is measured
_STATES = 16  # tensors like a candidate that step, state and findings hold of a row
_RESULTS = 4  # tensors like an input that are held of every row in the end, while they are put together and judged


@dataclass(frozen=True)
class Measurement:
    """What an iteration takes: something, and something for each row.

    Attributes:
        fixed_bytes: Memory whatever the number of rows.
        row_bytes: Memory of each row in the batch.
        fixed_seconds: Time of an iteration whatever the number of rows.
        row_seconds: Time of each row in the batch.
    """

    fixed_bytes: int
    row_bytes: int
    fixed_seconds: float
    row_seconds: float


class PeakMemory(TorchDispatchMode):
    """Counts the bytes of the tensors that are made in a ``with`` block, wherever they lie, by their storages.

    Attributes:
        now: Bytes that are held.
        peak: Most that were held at a time.
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._held: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operator, and look at what it made."""
        made = func(*args, **(kwargs or {}))
        for value in tree_leaves(made):
            if isinstance(value, Tensor) and value.layout is torch.strided:
                self._see(value.untyped_storage())
        return made

    def _see(self, storage: torch.UntypedStorage) -> None:
        """Count a storage from now until it is freed."""
        key, size = id(storage), storage.nbytes()
        if not size or ((known := self._held.get(key)) is not None and known() is storage):
            return

        def freed(_: object) -> None:
            self._held.pop(key, None)
            self.now -= size

        self._held[key] = weakref.ref(storage, freed)
        self.now += size
        self.peak = max(self.peak, self.now)


def bound(core: Engine) -> int | None:
    """Return the bytes that a row takes at most, by the shapes alone; None where these do not tell.

    They tell where all weights are those of linear layers, and where the target only answers: then the space alone is
    tried, which makes inputs of candidates.

    Args:
        core: The attack.
    """
    problem = core.problem
    candidate = problem.space.initial(Rows.grid([0], 1, seed=0))
    size = max(candidate[0].numel(), torch.Size(problem.target.input_shape).numel())
    owners = [module for module in problem.modules() if next(module.parameters(recurse=False), None) is not None]
    if not answers_here(problem.target):
        if not owners:
            return 4 * _STATES * size
        with PeakMemory() as memory, torch.no_grad(), torch.random.fork_rng(devices=[]):
            problem.space.present(candidate.to(problem.device))
        decoding: int = memory.peak
        return 4 * _STATES * size + decoding
    if not owners or not all(isinstance(module, nn.Linear) for module in owners):
        return None
    widths = sum(layer.in_features + layer.out_features for layer in owners if isinstance(layer, nn.Linear))
    return 4 * _STATES * (size + widths)


def answers_here(target: Target) -> bool:
    """Whether a target is a module of this process, which may be asked to see what that takes.

    Any other may be a service: whoever runs it counts each input, and may charge for it.
    """
    inside = target.differentiable or next(target.parameters(), None) is not None
    return inside and target.price_per_query is None


@contextmanager
def leaving_no_trace(core: Engine) -> Iterator[None]:
    """Let the target be asked in a ``with`` block as if it had not been: queries and defenses are as before."""
    target = core.problem.target
    before = target.run_state()
    target.restart(None)
    try:
        with torch.random.fork_rng(devices=[]):  # a module may draw even in evaluation mode
            yield
    finally:
        target.load_run_state(before)


def measure(core: Engine, rows: Rows) -> Measurement | None:
    """Run an iteration on one row and on two; queries, random numbers and defenses are then as before.

    Args:
        core: The attack; what it has begun is lost.
        rows: Its rows, one or more.

    Returns:
        What an iteration takes; None where the target failed, or not even these rows fit.
    """
    try:
        with leaving_no_trace(core):
            found = [_one(core, _first(rows, count)) for count in (1, 2)]
    except (TargetError, RuntimeError, MemoryError) as error:
        if not isinstance(error, TargetError) and not is_out_of_memory(error):
            raise
        return None
    (one_bytes, one_seconds), (two_bytes, two_seconds) = found
    # a second row cannot cost more than the first; where it seems to cost nothing, the first was not warm yet
    more = min(max(two_seconds - one_seconds, 0.2 * one_seconds), one_seconds)
    row_bytes = max(two_bytes - one_bytes, 1) if len(rows) > 1 else one_bytes
    return Measurement(max(0, one_bytes - row_bytes), row_bytes, one_seconds - more, more)


def _one(core: Engine, rows: Rows) -> tuple[int, float]:
    """Bytes at the peak of an iteration, and its seconds."""
    device = core.problem.device
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats(device)
        held = torch.cuda.memory_allocated(device)
    with PeakMemory() as memory:
        core.start(rows)
        core.begin()
        core.iterate()
    peak = torch.cuda.max_memory_allocated(device) - held if cuda else memory.peak
    began = time.perf_counter()
    core.iterate()
    if cuda:
        torch.cuda.synchronize(device)
    return peak, time.perf_counter() - began


def _first(rows: Rows, count: int) -> Rows:
    """The first rows, with generators of their own."""
    return Rows(rows.label[:count], rows.restart[:count], seed=rows.seed)


def seconds_of_iteration(core: Engine, rows: Rows) -> float | None:
    """Return the time of an iteration of rows that fit in memory; None where the target failed.

    Args:
        core: The attack; what it has begun is lost.
        rows: The rows, with generators that nobody else uses.
    """
    try:
        with leaving_no_trace(core):
            core.start(rows)
            core.begin()
            began = time.perf_counter()
            core.iterate()
            if core.problem.device.type == "cuda":
                torch.cuda.synchronize(core.problem.device)
            return time.perf_counter() - began
    except TargetError:
        return None


def rows_that_fit(core: Engine, rows: Rows, measured: Measurement | None = None) -> tuple[int, Measurement | None]:
    """Return how many rows can be in memory at a time, and what was measured to tell.

    Args:
        core: The attack; what it has begun is lost.
        rows: All its rows.
        measured: What has been measured already.
    """
    free, count = free_memory(core.problem.device), len(rows)
    if count < 2 or free is None:
        return max(1, count), measured
    if measured is None:
        known = bound(core)
        if known is not None and (count * known < _TINY * free or not core.problem.target.differentiable):
            return (count if count * known < _SHARE * free else max(1, int(_SHARE * free / known))), None
        measured = measure(core, rows)
    if measured is None:
        return count, None
    size = 4 * torch.Size(core.problem.target.input_shape).numel()
    on_host = core.problem.device.type == "cpu"
    in_the_end = min(_RESULTS * size * count, free // 2) if on_host else 0
    fits = (_SHARE * (free - in_the_end) - measured.fixed_bytes) / (_SAFETY * measured.row_bytes)
    at_once = max(1, min(count, int(fits)))
    parts = -(-count // at_once)
    return -(-count // parts), measured  # parts of nearly equal size
