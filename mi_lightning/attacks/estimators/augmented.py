"""White-box gradients of waveforms that are moved, made louder or softer and disturbed a little each time."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mi_lightning.attacks.estimators.autograd import ChangedAutograd, gradient_at
from mi_lightning.attacks.problem import Problem
from mi_lightning.attacks.rows import Rows, RowState
from mi_lightning.errors import InputError


class AugmentedAutograd(ChangedAutograd):
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

    def gradient(self, problem: Problem, z: Tensor, state: RowState) -> Tensor:
        """Return the mean gradient at changed candidates, shape (R, *candidate_shape)."""
        z = z.detach()
        total = torch.zeros_like(z)
        for _ in range(self.samples):
            leaf = z.clone().requires_grad_()
            with torch.enable_grad():
                changed = self._change(leaf, state.rows)
            total += gradient_at(problem, leaf, state, changed)
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
