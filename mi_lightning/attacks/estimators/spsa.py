"""Simultaneous perturbation: two queries see all coordinates at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mi_lightning.attacks.estimators.queries import QueryEstimator, Questions, apart
from mi_lightning.errors import InputError

_SIGN, _ONE = -(2**31), 0x3F800000  # bits of a float32: the sign, and 1.0


_DIRECTIONS = 128  # directions that share one draw of signs


_PATTERN_SIZE = 2**23  # signs in the pattern at most: 32 MB


_PATTERN_SEED = 1992


class SPSA(QueryEstimator):
    """Simultaneous perturbation stochastic approximation [S92]: differences along random directions of +-1.

    g = mean over pairs of (c(x + delta s) - c(x - delta s)) / (2 delta) * s, s uniform over {-1, +1}^D. Its mean is
    the gradient (up to the third derivative of c times delta^2); its variance falls with 1 / pairs.

    Queries are clamped to the bounds of the space, so that near a bound a coordinate moves less than delta up or
    down. The difference is divided by the distance that the coordinate really moved: the scale stays right there.

    Signs are cheap here. For each 128 pairs a row draws one vector d of signs, as bits of 64-bit words of its own
    generator; the directions are s_k = h_k * d with a pattern h_1 ... h_128 of signs that is the same for all rows and
    iterations. Each s_k is uniform over {-1, +1}^D, so the mean is untouched, and so is the variance: for the fresh d
    the noise that one coordinate makes in another has a random sign in each iteration, and the size that independent
    directions give it. What is gained: a pair of queries is made in two passes over memory, and the sum over
    directions is one matrix product.

    Args:
        pairs: Directions in a gradient, each of which costs two queries; S of the literature.
        delta: Length of a step in each coordinate, above 0.
        **asking: The arguments of `QueryEstimator`.

    Raises:
        InputError: If an argument is out of range.
    """

    def __init__(self, *, pairs: int = 128, delta: float = 0.01, **asking: Any) -> None:
        """Check the arguments."""
        super().__init__(**asking)
        if pairs < 1:
            raise InputError("pairs >= 1", pairs, field="pairs")
        if delta <= 0:
            raise InputError("delta > 0", delta, field="delta")
        self.pairs, self.delta = pairs, delta
        self._known: Tensor | None = None
        self._kept: Tensor | None = None

    def queries_per_gradient(self, size: int) -> int:
        """Return two queries for each pair."""
        return 2 * self.pairs

    def estimate(self, questions: Questions, z: Tensor) -> Tensor:
        """Estimate the gradient at candidates of shape (R, D)."""
        z = z.float()
        middle, half = apart(z, self.delta, questions.bounds)
        twice, pattern = 2 * middle, self._pattern(z.shape[1], z.device)
        total = torch.zeros_like(z)
        for first in range(0, self.pairs, len(pattern)):
            directions = pattern[: self.pairs - first]
            signs = draw_signs(questions.rows.generators, z.shape[1]).to(z.device)
            step, difference = half * signs, z.new_empty(len(z), len(directions))
            for where, parts in questions.blocks(len(directions), 2):
                for part in parts:
                    queries = self._memory(z, (where.stop - where.start, part.stop - part.start, 2, z.shape[1]))
                    torch.addcmul(middle[where, None], directions[part], step[where, None], out=queries[:, :, 0])
                    # the mirror image: what was just written is nearer than the pattern
                    torch.sub(twice[where, None], queries[:, :, 0], out=queries[:, :, 1])
                    above, below = questions.cost(queries, where).to(z).unbind(2)
                    torch.sub(above, below, out=difference[where, part])
            total.addcmul_(difference @ directions, signs)
        return total.div_(half.mul_(2 * self.pairs)).masked_fill_(half == 0, 0.0)

    def _memory(self, like: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Memory of a batch of queries: fresh memory is dear, so the same serves all batches of all iterations."""
        size = math.prod(shape)
        if self._kept is None or self._kept.numel() < size or self._kept.device != like.device:
            self._kept = like.new_empty(size)
        return self._kept[:size].view(shape)

    def _pattern(self, size: int, device: torch.device) -> Tensor:
        """The directions before the rows' signs, shape (directions, D), float32, each number -1 or 1."""
        if self._known is None or self._known.shape[1] != size or self._known.device != device:
            count = max(1, min(_DIRECTIONS, self.pairs, _PATTERN_SIZE // size))
            generator = torch.Generator().manual_seed(_PATTERN_SEED)
            self._known = draw_signs([generator] * count, size).to(device)
        return self._known


def draw_signs(generators: Sequence[torch.Generator], size: int) -> Tensor:
    """Draw one line of signs from each generator, on the CPU, shape (len(generators), size), float32, each -1 or 1."""
    words = torch.empty(len(generators), -(-size // 64), dtype=torch.int64)
    for line, generator in zip(words, generators, strict=True):
        line.random_(-(2**63), None, generator=generator)  # from the lowest number: all 64 bits
    # each of 32 shifts brings another bit of each half word to the place of a float's sign
    bits = words.view(torch.int32)[:, None] << torch.arange(32, dtype=torch.int32)[:, None]
    return bits.bitwise_and_(_SIGN).bitwise_or_(_ONE).view(torch.float32).flatten(1)[:, :size]
