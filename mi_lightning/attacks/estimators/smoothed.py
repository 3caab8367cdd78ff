"""White-box gradients of a smoothed cost."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mi_lightning.attacks.estimators.autograd import ChangedAutograd, gradient_at
from mi_lightning.attacks.problem import Problem
from mi_lightning.attacks.rows import RowState
from mi_lightning.errors import InputError


class SmoothedAutograd(ChangedAutograd):
    """Backpropagation, averaged over candidates with noise: the gradient of the cost blurred by a Gaussian.

    g = mean over the samples of the gradient of c at z + noise * u, u ~ N(0, I). Source: Smilkov et al., *SmoothGrad:
    removing noise by adding noise*, arXiv 1706.03825, who look at one image and do not descend.

    A network of maxima and rectifiers has a gradient made of specks: it flows through one pixel of each pooling window
    and changes from one candidate to the next. The descent follows the specks and ends at a pattern that nobody but
    the network takes for the person. What noise does not change is what the network really looks at.

    The samples come in pairs, u and -u, and an odd one out. The cost that is reported, and by which the best iterate is
    chosen, is that of the candidate itself.

    Args:
        noise: Standard deviation of the noise, in units of the candidate (grey levels in [0, 1] for images), above 0.
        samples: Gradients in the mean, each one forward and one backward pass, at least 1.

    Raises:
        InputError: If an argument is out of its range.
    """

    def __init__(self, *, noise: float = 0.1, samples: int = 4) -> None:
        """Check the arguments."""
        super().__init__()
        if not 0 < noise < math.inf:
            raise InputError("a finite noise > 0", noise, field="noise")
        if samples < 1:
            raise InputError("samples >= 1", samples, field="samples")
        self.noise, self.samples = noise, samples

    def gradient(self, problem: Problem, z: Tensor, state: RowState) -> Tensor:
        """Return the mean gradient around the candidates, shape (R, *candidate_shape)."""
        z = z.detach()
        total, step = torch.zeros_like(z), z
        for sample in range(self.samples):
            if sample % 2 == 0:
                noise = state.rows.draw(lambda generator: torch.randn(z.shape[1:], generator=generator))
                step = noise.to(z) * self.noise
            total += gradient_at(problem, (z + step if sample % 2 == 0 else z - step).requires_grad_(), state)
        return total / self.samples
