"""Rows of an attack: which person each one reconstructs, and where its random numbers come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from mi_lightning.errors import InputError


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

    def draw(self, sample: Callable[[torch.Generator], Tensor]) -> Tensor:
        """Stack one draw per row, shape (R, ...), on the CPU.

        Args:
            sample: Draws from the generator that it is given, for example
                ``lambda generator: torch.randn(3, generator=generator)``.
        """
        return torch.stack([sample(generator) for generator in self.generators])


def row_seed(seed: int, label: int, restart: int) -> int:
    """Return the seed of one row, a number below 2^63 that is well mixed from its three parts."""
    words = np.random.SeedSequence((seed, label, restart)).generate_state(2, np.uint32)
    return int(words[0]) | (int(words[1]) & 0x7FFFFFFF) << 32


def parse_labels(
    labels: str | int | Sequence[int | str], class_names: Sequence[str], flag: str = "--model.labels"
) -> list[int]:
    """Turn a choice of people into class indices, in the order given.

    Args:
        labels: ``"all"``; an index; a class name; a range ``"0-9"`` (both ends included); a comma-separated string of
            these; or a list of them.
        class_names: Name of each class.
        flag: Flag to name in an error.

    Returns:
        Class indices, without repetitions.

    Raises:
        InputError: If a label is unknown, or none is given.

    Example:
        >>> parse_labels("0-2,s5", ["s1", "s2", "s3", "s4", "s5"])
        [0, 1, 2, 4]
    """
    known = {name: index for index, name in enumerate(class_names)}
    expected = f"labels among 0-{len(class_names) - 1}, {class_names[0]}..{class_names[-1]}, or all"

    def index_of(text: str) -> int:
        if text in known:
            return known[text]
        if text.isdigit() and int(text) < len(class_names):
            return int(text)
        raise InputError(expected, text, flag)

    parts = labels if isinstance(labels, (list, tuple)) else [labels]
    tokens = [token.strip() for part in parts for token in str(part).split(",") if token.strip()]
    chosen: list[int] = []
    for token in tokens:
        first, dash, last = token.partition("-")
        if token == "all":
            chosen += range(len(class_names))
        elif dash and token not in known and first and last:
            low, high = index_of(first), index_of(last)
            if low > high:
                raise InputError("a range that goes up", token, flag)
            chosen += range(low, high + 1)
        else:
            chosen.append(index_of(token))
    if not chosen:
        raise InputError(expected, repr(labels), flag)
    return list(dict.fromkeys(chosen))
