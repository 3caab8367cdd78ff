"""White-box gradients of waveforms that are moved, made louder or softer and disturbed a little each time."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mi_lightning.attacks.estimators.base import GradientEstimator
from mi_lightning.attacks.problem import Evaluation, Objective
from mi_lightning.attacks.rows import Rows
from mi_lightning.errors import InputError


class AugmentedAutograd(GradientEstimator):
    """Backpropagation through waveforms that are changed at random in each iteration.

    Each row is moved by a random number of samples (around its ends: what leaves on one side comes in on the other),
    multiplied by a random gain, and noise is added. Frames then begin somewhere else each time, so the descent cannot
    use where a frame begins, as a real voice cannot; nor one exact amplitude; nor a detail that drowns in noise.

    The cost that is reported, and by which the best iterate is chosen, is that of the candidate itself.

    Args:
        shift: Greatest move, in samples; 0 for none.
        gain: Greatest change of the gain, in [0, 1): 0.2 draws it between 0.8 and 1.2.
        noise: Standard deviation of the noise, as a share of that of the waveform, at least 0.
        samples: Gradients in the mean, each one forward and one backward pass, at least 1.

    Raises:
        InputError: If an argument is out of its range.
    """

    needs_gradients = True

    def __init__(self, *, shift: int = 1600, gain: float = 0.2, noise: float = 0.0, samples: int = 1) -> None:
        """Check the arguments."""
        super().__init__()
        if shift < 0:
            raise InputError("shift >= 0", shift, field="shift")
        if not 0 <= gain < 1:
            raise InputError("gain in [0, 1)", gain, field="gain")
        if not 0 <= noise < math.inf:
            raise InputError("a finite noise >= 0", noise, field="noise")
        if samples < 1:
            raise InputError("samples >= 1", samples, field="samples")
        self.shift, self.gain, self.noise, self.samples = shift, gain, noise, samples

    def queries_per_gradient(self, size: int) -> int:
        """Return one query for each sample."""
        return self.samples

    @torch.no_grad()
    def evaluate(self, objective: Objective, z: Tensor, rows: Rows, label: Tensor) -> Evaluation:
        """Evaluate the candidates as they are; the gradient is asked for elsewhere."""
        cost, bare = objective(z.detach(), label)
        return Evaluation(cost, bare, None)

    def gradient(self, objective: Objective, z: Tensor, rows: Rows, label: Tensor) -> Tensor:
        """Return the mean gradient at changed candidates, shape (R, *candidate_shape)."""
        z = z.detach()
        total = torch.zeros_like(z)
        for _ in range(self.samples):
            leaf = z.clone().requires_grad_()
            with torch.enable_grad(), objective.target.asking(rows.keys):
                cost, _ = objective(self._change(leaf, rows), label)
                # rows are independent, so the gradient of the sum is the gradient of each
                total += torch.autograd.grad(cost.sum(), leaf)[0]
        return total / self.samples

    def _change(self, z: Tensor, rows: Rows) -> Tensor:
        """Move, scale and disturb candidates; differentiable."""
        if self.shift:
            by = rows.draw(lambda generator: torch.randint(-self.shift, self.shift + 1, (1,), generator=generator))
            place = (torch.arange(z.shape[-1]) - by) % z.shape[-1]
            z = z.gather(-1, place.to(z.device).view(len(z), *[1] * (z.ndim - 2), -1).expand_as(z))
        if self.gain:
            draw = rows.draw(lambda generator: torch.rand(1, generator=generator)).to(z)
            z = z * (1 + self.gain * (2 * draw - 1)).view(-1, *[1] * (z.ndim - 1))
        if self.noise:
            draw = rows.draw(lambda generator: torch.randn(z.shape[1:], generator=generator)).to(z)
            z = z + draw * self.noise * z.detach().square().mean(-1, keepdim=True).sqrt()
        return z
