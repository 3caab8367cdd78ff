"""Blur the gradient of an image: the update prefers smooth pictures."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mi_lightning.attacks.filters.base import GradientFilter
from mi_lightning.errors import InputError


class GaussianBlur(GradientFilter):
    """Blur the gradient of an image: the update prefers smooth pictures.

    Equal to a change of variables x = G z with the square root of the blur, G. Reflecting edges make the blur
    symmetric, so that a filtered gradient still points downhill.

    Args:
        sigma: Standard deviation of the Gaussian, in pixels, above 0.
    """

    axes = "picture"

    def __init__(self, *, sigma: float = 1.5) -> None:
        """Check the width."""
        super().__init__()
        if sigma <= 0:
            raise InputError("sigma > 0", sigma, field="sigma")
        self.sigma = sigma
        self._matrices: dict[tuple[int, torch.device, torch.dtype], Tensor] = {}

    def forward(self, gradient: Tensor) -> Tensor:
        """Blur images of shape (R, channels, height, width)."""
        self.check(gradient.shape[1:])
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
