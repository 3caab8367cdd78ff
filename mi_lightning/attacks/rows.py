"""Rows of an attack: which person each one reconstructs, where its random numbers come from, and where it stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mi_lightning.attacks.result import STOP_REASONS


class Rows:
    """A batch of (label, restart) pairs, each with a random generator of its own.

    A row's generator is seeded by (seed, label, restart) alone and lives on the CPU, so that its draws do not depend
    on which other rows, chunks, processes or devices it runs with.

    Args:
        label: Class to reconstruct, shape (R,), int64.
        restart: Number of the restart, shape (R,), int64.
        seed: Seed of the attack.

    Attributes:
        generators: Random generator of each row.
        keys: A number for each row that no other row has: its seed. Targets count queries by it.
    """

    def __init__(self, label: Tensor, restart: Tensor, *, seed: int) -> None:
        """Seed one generator per row."""
        self.label, self.restart, self.seed = label, restart, seed
        pairs = zip(label.tolist(), restart.tolist(), strict=True)
        self.keys = tuple(row_seed(seed, int(k), int(r)) for k, r in pairs)
        self.generators = [torch.Generator().manual_seed(key) for key in self.keys]

    @classmethod
    def grid(cls, labels: Sequence[int], restarts: int, *, seed: int) -> Rows:
        """All pairs of labels and restarts, the restarts of one label side by side."""
        label = torch.tensor(labels, dtype=torch.int64).repeat_interleave(restarts)
        restart = torch.arange(restarts).repeat(len(labels))
        return cls(label, restart, seed=seed)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.generators)

    def select(self, index: Tensor | slice) -> Rows:
        """Return the chosen rows; they go on with the same generators, they are not seeded again."""
        chosen = torch.arange(len(self))[index if isinstance(index, slice) else index.cpu()]
        rows = Rows.__new__(Rows)
        rows.label, rows.restart, rows.seed = self.label[chosen], self.restart[chosen], self.seed
        rows.generators = [self.generators[i] for i in chosen.tolist()]
        rows.keys = tuple(self.keys[i] for i in chosen.tolist())
        return rows

    def part(self, where: slice) -> Rows:
        """Return consecutive rows; like :meth:`select`, but made for every question: nothing is copied."""
        rows = Rows.__new__(Rows)
        rows.label, rows.restart, rows.seed = self.label[where], self.restart[where], self.seed
        rows.generators, rows.keys = self.generators[where], self.keys[where]
        return rows

    def draw(self, sample: Callable[[torch.Generator], Tensor]) -> Tensor:
        """Stack one draw per row, shape (R, ...), on the CPU.

        Args:
            sample: Draws from the generator that it is given, for example
                ``lambda generator: torch.randn(3, generator=generator)``.
        """
        return torch.stack([sample(generator) for generator in self.generators])

    def state_dict(self) -> dict[str, Any]:
        """Return which rows these are, and the states of their generators: plain values and tensors."""
        states = [generator.get_state() for generator in self.generators]
        return {"label": self.label, "restart": self.restart, "seed": self.seed, "generators": states}

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Any]) -> Rows:
        """Return rows that draw what those would have drawn whose state this is."""
        rows = cls(state["label"], state["restart"], seed=state["seed"])
        for generator, saved in zip(rows.generators, state["generators"], strict=True):
            generator.set_state(saved)
        return rows


class Evaluation(NamedTuple):
    """Cost of the candidates, and its gradient where that came along for nothing.

    Attributes:
        total: Cost with priors, shape (R,).
        identity_loss: Cost without priors, what the target says, shape (R,).
        gradient: Gradient of the total with respect to the candidates, shape (R, *candidate_shape), or None if it has
            to be asked for.
    """

    total: Tensor
    identity_loss: Tensor
    gradient: Tensor | None


class RowState:
    """Everything of an attack that has one place a row, for the rows that are in the batch.

    Args:
        rows: The rows.
        z: Their initial candidates x_0, shape (R, *candidate_shape), on the device of the attack.

    Attributes:
        rows: The rows in the batch.
        index: Place of each among the rows that the attack began with, shape (R,), int64, on the CPU.
        label: Class of each, on the device, shape (R,), int64.
        z: Candidates x_i, shape (R, *candidate_shape).
        active: Rows that have not stopped, shape (R,), bool.
        total: Cost with priors of the candidates, shape (R,).
        identity_loss: The target's share of it, shape (R,).
        gradient: Gradient of the total at the candidates, where it came with the evaluation.
        best_z: Candidate that the selection ranks first so far; with ``best_score``, ``best_total`` and
            ``best_identity_loss``, each of shape (R,).
        best_iteration: Iteration that it came from, shape (R,), int64: 0 is x_0, -1 none yet.
        least_answer: Least identity loss of all that was asked for by queries, shape (R,); with ``greatest_answer`` it
            tells rows whose answers never changed. Infinite where nobody looked.
        iteration: Number of the iteration that is running, or has just run; 0 is x_0.
        evaluated: Number of the last iterate that was evaluated; -1 before x_0 was.
    """

    __slots__ = (
        "active", "best_identity_loss", "best_iteration", "best_score", "best_total", "best_z", "evaluated", "gradient",
        "greatest_answer", "identity_loss", "index", "iteration", "label", "least_answer", "rows", "stop_code",
        "stop_iteration", "total", "z",
    )  # fmt: skip

    def __init__(self, rows: Rows, z: Tensor) -> None:
        """Begin before anything was evaluated."""
        count, device = len(rows), z.device
        infinite = torch.full((count,), torch.inf, device=device)
        self.rows, self.index, self.label, self.z = rows, torch.arange(count), rows.label.to(device), z
        self.active = torch.ones(count, dtype=torch.bool, device=device)
        self.stop_code = torch.zeros(count, dtype=torch.int64, device=device)
        self.stop_iteration = torch.zeros(count, dtype=torch.int64, device=device)
        self.best_iteration = torch.full((count,), -1, dtype=torch.int64, device=device)
        self.total = self.identity_loss = self.best_score = infinite
        self.best_total = self.best_identity_loss = infinite
        self.best_z, self.gradient = z.clone(), None
        self.least_answer, self.greatest_answer = infinite.clone(), -infinite
        self.iteration, self.evaluated = 0, -1

    gradient: Tensor | None

    def __len__(self) -> int:
        """Return the number of rows in the batch."""
        return len(self.rows)

    def record(self, z: Tensor, evaluation: Evaluation, score: Tensor) -> None:
        """Take up an evaluated iterate, and keep it in the active rows where it ranks before all earlier ones.

        A row whose cost is not finite has diverged and stops.

        Args:
            z: The candidates, shape (R, *candidate_shape).
            evaluation: Their cost.
            score: What the selection ranks them by, shape (R,), smaller is better.
        """
        self.z, (self.total, self.identity_loss, self.gradient) = z, evaluation
        improved = (score < self.best_score).logical_and_(self.active)
        self.best_score = torch.where(improved, score, self.best_score)
        same = score is self.total
        self.best_total = self.best_score if same else torch.where(improved, self.total, self.best_total)
        self.best_identity_loss = torch.where(improved, self.identity_loss, self.best_identity_loss)
        self.best_iteration.masked_fill_(improved, self.iteration)
        copy_rows_(self.best_z, z, improved)
        self.evaluated = self.iteration
        self.stop(self.total.isfinite().logical_not_(), "diverged")

    def hear(self, answers: Tensor, where: slice) -> None:
        """Look at what the target says: whether it ever changes.

        Args:
            answers: Identity losses, shape (r, ...).
            where: Which r rows of the batch they belong to.
        """
        least, greatest = answers.flatten(1).aminmax(dim=1)
        self.least_answer[where] = torch.minimum(self.least_answer[where], least.to(self.least_answer))
        self.greatest_answer[where] = torch.maximum(self.greatest_answer[where], greatest.to(self.greatest_answer))

    @property
    def same_answers(self) -> Tensor:
        """Rows whose answers never changed, shape (R,), bool."""
        return self.least_answer == self.greatest_answer

    def stop(self, mask: Tensor | None, reason: str) -> None:
        """Stop rows at the present iteration; rows that have stopped already stay as they are.

        Args:
            mask: Rows to stop, shape (R,), bool, on the device of the candidates; all if None.
            reason: One of :data:`~mi_lightning.attacks.result.STOP_REASONS`.
        """
        stopping = self.active.clone() if mask is None else mask & self.active
        self.stop_code.masked_fill_(stopping, STOP_REASONS.index(reason))
        self.stop_iteration.masked_fill_(stopping, self.iteration)
        self.active ^= stopping

    def keep(self, index: Tensor) -> None:
        """Go on with the chosen rows.

        Args:
            index: Places of these in the batch, shape (K,), int64, on the device of the candidates.
        """
        on_host = index.cpu()
        self.rows, self.index = self.rows.select(on_host), self.index[on_host]
        for name in _ON_DEVICE:
            if (value := getattr(self, name)) is not None:
                setattr(self, name, value[index])

    def state_dict(self) -> dict[str, Any]:
        """Return what is kept, but for the rows themselves: plain values and tensors."""
        return {name: getattr(self, name) for name in ("index", "iteration", "evaluated", *_ON_DEVICE)}

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Any], rows: Rows, device: torch.device) -> RowState:
        """Return the state that was saved.

        Args:
            state: What :meth:`state_dict` gave.
            rows: All rows that the attack began with; those in the batch go on with their generators.
            device: Where the candidates go.
        """
        restored = cls(rows.select(state["index"]), state["z"].to(device))
        restored.index, restored.iteration, restored.evaluated = state["index"], state["iteration"], state["evaluated"]
        for name in _ON_DEVICE:
            value = state[name]
            setattr(restored, name, None if value is None else value.to(device, copy=True))
        return restored


#: What lies on the device and has one place a row.
_ON_DEVICE = (
    "label", "z", "active", "stop_code", "stop_iteration", "total", "identity_loss", "gradient", "best_z", "best_score",
    "best_total", "best_identity_loss", "best_iteration", "least_answer", "greatest_answer",
)  # fmt: skip


def copy_rows_(out: Tensor, source: Tensor, mask: Tensor) -> None:
    """Copy the rows of ``source`` where ``mask`` is set into ``out``, in place, without waiting for the device.

    Args:
        out: Shape (R, ...), contiguous.
        source: Same shape and type; values that are not finite are harmless where the mask is not set.
        mask: Shape (R,), bool.
    """
    wide, source = out.flatten(1), source.flatten(1)
    # `where` costs by the element, not by the byte: copying words of 16 bytes is several times faster; nothing is
    # computed with them
    if wide.dtype == torch.float32 and wide.shape[1] % 4 == 0 and wide.device.type in ("cpu", "cuda"):
        wide, source = wide.view(torch.complex128), source.view(torch.complex128)
    torch.where(mask[:, None], source, wide, out=wide)


def row_seed(seed: int, label: int, restart: int) -> int:
    """Return the seed of one row, a number below 2^63 that is well mixed from its three parts."""
    words = np.random.SeedSequence((seed, label, restart)).generate_state(2, np.uint32)
    return int(words[0]) | (int(words[1]) & 0x7FFFFFFF) << 32
