"""Random images with the amplitude spectrum of photographs: 1 / f^exponent, phases at random."""

from __future__ import annotations

import torch
from torch import Tensor

from mi_lightning.attacks.initializers.base import Initializer
from mi_lightning.attacks.rows import Rows
from mi_lightning.errors import InputError


class NaturalNoise(Initializer):
    """Random images with the amplitude spectrum of photographs: 1 / f^exponent, phases at random.

    Their large soft patches move the answers of a classifier of images far more than noise that is independent from
    pixel to pixel. Source of the spectrum: Field, *Relations between the statistics of natural images and the response
    properties of cortical cells* (1987).

    Args:
        exponent: Fall of the amplitude with spatial frequency; 1 is the mean of natural images.
        mean: Grey level about which the image varies.
        std: Standard deviation of each image's values, before they are clamped to the value range; at least 0.
    """

    axes = "picture"

    def __init__(self, *, exponent: float = 1.5, mean: float = 0.5, std: float = 0.25) -> None:
        """Check the arguments."""
        if std < 0:
            raise InputError("std >= 0", std, field="std")
        self.exponent, self.mean, self.std = exponent, mean, std

    def __call__(self, rows: Rows, shape: tuple[int, ...], value_range: tuple[float, float]) -> Tensor:
        """Return the images, shape (R, channels, height, width)."""
        self.check(shape)
        frequency = torch.hypot(torch.fft.fftfreq(shape[1])[:, None], torch.fft.rfftfreq(shape[2])[None])
        amplitude = frequency.clamp_min(1 / max(shape[1:])) ** -self.exponent
        amplitude[0, 0] = 0  # the mean is given
        white = torch.fft.rfft2(rows.draw(lambda generator: torch.randn(shape, generator=generator)))
        image: Tensor = torch.fft.irfft2(white * amplitude, s=shape[1:])
        image /= image.flatten(1).std(1).clamp_min(torch.finfo(image.dtype).tiny).view(-1, 1, 1, 1)
        start: Tensor = image.mul_(self.std).add_(self.mean).clamp_(*value_range)
        return start
