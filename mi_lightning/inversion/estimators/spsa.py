"""Simultaneous perturbation: two queries see all coordinates at once."""

from __future__ import annotations

import torch
from torch import Tensor

from mi_lightning.errors import InputError
from mi_lightning.inversion.estimators.base import QueryEstimator, Questions, apart, flag

_SIGN = -(2**31)  # the sign bit of a float32


class SPSA(QueryEstimator):
    """Simultaneous perturbation stochastic approximation [S92]: differences along random directions of +-1.

    g = mean over pairs of (c(x + delta s) - c(x - delta s)) / (2 delta) * s, s uniform over {-1, +1}^D. Its mean is
    the gradient (up to the third derivative of c times delta^2); its variance falls with 1 / pairs.

    Queries are clamped to the bounds of the space, so that near a bound a coordinate moves less than delta up or
    down. The difference is divided by the distance that the coordinate really moved: the scale stays right there.

    The signs are bits of 64-bit words of the rows' generators, unpacked by shifting each into the sign bit of a
    float: to draw and to unpack 53 million of them (128 pairs, 40 rows of 10304 pixels) takes 10 ms on one core, of
    130 ms for the queries of a linear classifier.

    Args:
        pairs: Directions in a gradient, each of which costs two queries; S of the literature.
        delta: Length of a step in each coordinate, above 0.
        repeats: Times that an iterate is asked for when it is evaluated; its cost is the mean.
        max_batch: Inputs in one call of the target; chosen by the size of an input and the free memory if None.

    Raises:
        InputError: If an argument is out of range.
    """

    def __init__(
        self, *, pairs: int = 128, delta: float = 0.01, repeats: int = 1, max_batch: int | None = None
    ) -> None:
        """Check the arguments."""
        super().__init__(repeats=repeats, max_batch=max_batch)
        if pairs < 1:
            raise InputError("pairs >= 1", pairs, flag("pairs"))
        if delta <= 0:
            raise InputError("delta > 0", delta, flag("delta"))
        self.pairs, self.delta = pairs, delta

    def queries_per_gradient(self, size: int) -> int:
        """Return two queries for each pair."""
        return 2 * self.pairs

    def estimate(self, questions: Questions, z: Tensor) -> Tensor:
        """Estimate the gradient at candidates of shape (R, D)."""
        size = z.shape[1]
        z = z.float()
        middle, half = apart(z, self.delta, questions.bounds)
        total = torch.zeros_like(z)
        shifts = torch.arange(32, dtype=torch.int32, device=z.device)[:, None]
        words = -(-size // 64)
        bits = queries = z.new_empty(0)
        for where, parts in questions.blocks(self.pairs, 2):
            count = where.stop - where.start
            for part in parts:
                pairs = part.stop - part.start
                if bits.shape[:2] != (count, pairs):  # fresh memory is dear: the same serves all batches of one size
                    bits = torch.empty(count, pairs, 32, 2 * words, dtype=torch.int32, device=z.device)
                    queries = z.new_empty(count, pairs, 2, size)
                drawn = torch.empty(count, pairs, words, dtype=torch.int64)
                for line, generator in zip(drawn, questions.rows.generators[where], strict=True):
                    line.random_(-(2**63), None, generator=generator)  # from the lowest number: all 64 bits
                packed = drawn.view(torch.int32).to(z.device)
                # each of the 32 shifts brings another bit of each word to the place of a float's sign
                torch.bitwise_left_shift(packed[:, :, None], shifts, out=bits)
                step = bits.view(count, pairs, -1)[..., :size]
                step.bitwise_and_(_SIGN).bitwise_or_(half[where, None].view(torch.int32))
                step = step.view(torch.float32)
                torch.add(middle[where, None], step, out=queries[:, :, 0])
                torch.sub(middle[where, None], step, out=queries[:, :, 1])
                cost = questions.cost(queries, where)
                total[where] += torch.bmm((cost[..., 0] - cost[..., 1])[:, None].to(step), step)[:, 0]
        # step = half * s, so one half is in the total already
        return (total / (2 * self.pairs * half.square())).masked_fill_(half == 0, 0.0)
