"""Estimators: the gradient of the cost with respect to the candidates; and filters that act on it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mi_lightning.errors import InputError
from mi_lightning.inversion.costs import Cost, Prior
from mi_lightning.inversion.rows import Rows
from mi_lightning.inversion.spaces import Space
from mi_lightning.targets.base import Target


class Objective(nn.Module):
    """Everything between a candidate and its cost: decode, query, add the priors.

    Args:
        target: What is asked.
        space: Decodes candidates to inputs, and says whether the cost looks at these or at something else.
        cost: Cost of the confidences.
        priors: Added to the cost.
    """

    def __init__(self, target: Target, space: Space, cost: Cost, priors: Sequence[Prior]) -> None:
        """Keep the parts."""
        super().__init__()
        self.target, self.space, self.cost, self.priors = target, space, cost, nn.ModuleList(priors)
        self.view = space.view(target)

    def forward(self, z: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        """Evaluate candidates; one query each.

        Args:
            z: Candidates, shape (N, *candidate_shape).
            label: Class of each, shape (N,), int64.

        Returns:
            The cost with priors and the cost without, each of shape (N,).
        """
        shown = self.space.present(z)
        total = bare = self.cost(self.view, shown, label)
        if len(self.priors):
            x = shown if self.view is self.target else self.space.decode(z)
            for prior in self.priors:
                total = total + prior(z if prior.of_candidate else x)
        return total, bare


class Evaluation(NamedTuple):
    """Cost of the candidates, and the gradient where it came along for nothing.

    Attributes:
        cost: Cost with priors, shape (R,).
        bare: Cost without priors, shape (R,).
        gradient: Gradient of the cost with respect to the candidates, shape (R, *candidate_shape), or None if it has
            to be asked for.
    """

    cost: Tensor
    bare: Tensor
    gradient: Tensor | None


class GradientEstimator(nn.Module, ABC):
    """Gives the gradient of an objective.

    Attributes:
        needs_gradients: Whether the target has to be differentiable.
        queries_per_evaluation: Queries per row that an evaluation costs.
    """

    needs_gradients: bool
    queries_per_evaluation: int = 1

    def queries_per_gradient(self, size: int) -> int:
        """Return the queries per row that a gradient of ``size`` coordinates costs beyond those of the evaluation."""
        return 0

    def reset(self) -> None:
        """Begin with a new batch of rows: forget whatever is kept of earlier ones. Nothing, unless overridden."""

    @abstractmethod
    def evaluate(self, objective: Objective, z: Tensor, rows: Rows, label: Tensor) -> Evaluation:
        """Evaluate the candidates, ``queries_per_evaluation`` queries per row.

        Args:
            objective: What is minimised.
            z: Candidates, shape (R, *candidate_shape).
            rows: The rows, for their random numbers.
            label: Class of each row, on the device of ``z``, shape (R,).

        Returns:
            Cost and, where it is free, the gradient; all detached.
        """

    @abstractmethod
    def gradient(self, objective: Objective, z: Tensor, rows: Rows, label: Tensor) -> Tensor:
        """Return the gradient at the candidates, shape (R, *candidate_shape), when :meth:`evaluate` gave none."""


class Autograd(GradientEstimator):
    """The exact gradient by backpropagation: white box."""

    needs_gradients = True

    def evaluate(self, objective: Objective, z: Tensor, rows: Rows, label: Tensor) -> Evaluation:
        """Return the cost and its gradient from one forward and one backward pass."""
        leaf = z.detach().requires_grad_()
        with torch.enable_grad():
            cost, bare = objective(leaf, label)
            # rows are independent, so the gradient of the sum is the gradient of each
            (gradient,) = torch.autograd.grad(cost.sum(), leaf)
        return Evaluation(cost.detach(), bare.detach(), gradient)

    def gradient(self, objective: Objective, z: Tensor, rows: Rows, label: Tensor) -> Tensor:
        """Return the gradient, shape (R, *candidate_shape)."""
        gradient = self.evaluate(objective, z, rows, label).gradient
        if gradient is None:  # pragma: no cover - evaluate always gives one
            raise RuntimeError("autograd gave no gradient")
        return gradient


class GradientFilter(nn.Module, ABC):
    """Acts on the gradient before the update: a preconditioner that says which directions are likely."""

    @abstractmethod
    def forward(self, gradient: Tensor) -> Tensor:
        """Return the filtered gradient, same shape."""


class GaussianBlur(GradientFilter):
    """Blur the gradient of an image: the update prefers smooth pictures.

    Equal to a change of variables x = G z with the square root of the blur, G. Reflecting edges make the blur
    symmetric, so that a filtered gradient still points downhill.

    Args:
        sigma: Standard deviation of the Gaussian, in pixels, above 0.
    """

    def __init__(self, *, sigma: float = 1.5) -> None:
        """Check the width."""
        super().__init__()
        if sigma <= 0:
            raise InputError("sigma > 0", sigma, "--model.gradient_filter.init_args.sigma")
        self.sigma = sigma
        self._matrices: dict[tuple[int, torch.device, torch.dtype], Tensor] = {}

    def forward(self, gradient: Tensor) -> Tensor:
        """Blur images of shape (R, channels, height, width)."""
        # two products with small dense matrices beat a depthwise convolution on a CPU at these sizes
        vertical = self._matrix(gradient.shape[-2], gradient)
        horizontal = self._matrix(gradient.shape[-1], gradient)
        return vertical @ gradient @ horizontal

    def _matrix(self, size: int, like: Tensor) -> Tensor:
        """Return the blur of a line of ``size`` pixels with reflecting ends, shape (size, size), symmetric."""
        key = (size, like.device, like.dtype)
        if key not in self._matrices:
            self._matrices[key] = gaussian_matrix(size, self.sigma).to(like)
        return self._matrices[key]


def gaussian_matrix(size: int, sigma: float) -> Tensor:
    """Return the matrix that blurs a line of ``size`` pixels, half-sample reflecting ends, rows that sum to 1.

    Args:
        size: Pixels in the line.
        sigma: Standard deviation, in pixels.
    """
    reach = max(1, math.ceil(4 * sigma))
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=torch.float64) / sigma) ** 2)
    taps /= taps.sum()
    line = torch.arange(size)
    matrix = torch.zeros(size, size, dtype=torch.float64)
    for offset, tap in zip(range(-reach, reach + 1), taps, strict=True):
        position = (line + offset) % (2 * size)  # the line and its mirror image repeat with period 2 * size
        position = torch.where(position < size, position, 2 * size - 1 - position)
        matrix[line, position] += tap
    return matrix.float()
