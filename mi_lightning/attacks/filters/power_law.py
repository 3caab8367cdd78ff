"""Weigh the spatial frequencies of a gradient as those of natural images: amplitude falls as a power of frequency."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mi_lightning.attacks.filters.base import GradientFilter
from mi_lightning.errors import InputError


class PowerLaw(GradientFilter):
    """Weigh the spatial frequencies of a gradient as those of natural images: amplitude falls as a power of frequency.

    The amplitude spectrum of photographs falls about as 1 / f [Field, *Relations between the statistics of natural
    images and the response properties of cortical cells*, J. Opt. Soc. Am. A 4 (1987)]: broad light and shadow are
    likelier than fine texture, at every scale, where a Gaussian blur knows one scale only. Frequency f is weighed by
    (1 + (f / corner)^2)^(-exponent / 2), in the cosine basis, whose reflecting ends make the filter symmetric and
    positive, so that a filtered gradient still points downhill.

    Args:
        exponent: How fast the weight falls, above 0. A change of variables to coefficients of amplitude 1 / f squares
            that amplitude, hence 2.
        corner: Frequency up to which nothing is taken away, in periods per height of the image, above 0.

    Raises:
        InputError: If an argument is out of its range.
    """

    axes = "picture"

    def __init__(self, *, exponent: float = 2.0, corner: float = 2.0) -> None:
        """Check the arguments."""
        super().__init__()
        if not 0 < exponent < math.inf:
            raise InputError("a finite exponent > 0", exponent, field="exponent")
        if not 0 < corner < math.inf:
            raise InputError("a finite corner > 0", corner, field="corner")
        self.exponent, self.corner = exponent, corner
        self._cache: dict[tuple[int, int, torch.device, torch.dtype], tuple[Tensor, Tensor, Tensor]] = {}

    def forward(self, gradient: Tensor) -> Tensor:
        """Filter images of shape (R, channels, height, width)."""
        self.check(gradient.shape[1:])
        height, width = gradient.shape[-2:]
        key = (height, width, gradient.device, gradient.dtype)
        if key not in self._cache:
            # periods per height: the k-th cosine of a side runs through half as many periods as k
            down = torch.arange(height) / 2
            across = torch.arange(width) / 2 * (height / width)
            square = (down[:, None] ** 2 + across**2) / self.corner**2
            weight = (1 + square) ** (-self.exponent / 2)
            bases = cosine_basis(height), cosine_basis(width)
            self._cache[key] = (bases[0].to(gradient), weight.to(gradient), bases[1].to(gradient))
        vertical, weight, horizontal = self._cache[key]
        # products with dense matrices beat a Fourier transform on a CPU at these sizes
        return vertical.T @ (weight * (vertical @ gradient @ horizontal.T)) @ horizontal


def cosine_basis(size: int) -> Tensor:
    """Return the orthonormal cosine basis (DCT-II) of a line of ``size`` pixels, one function a row, (size, size)."""
    order, place = torch.arange(size, dtype=torch.float64)[:, None], torch.arange(size, dtype=torch.float64)
    basis = torch.cos(math.pi * order * (place + 0.5) / size) * math.sqrt(2 / size)
    basis[0] /= math.sqrt(2)
    return basis.float()
