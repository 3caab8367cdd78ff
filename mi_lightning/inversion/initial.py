"""Starts: where a candidate begins."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mi_lightning.errors import InputError
from mi_lightning.inversion.rows import Rows


class Initial(ABC):
    """Initial value of the candidates, the same for every row or drawn from each row's own generator."""

    @abstractmethod
    def __call__(self, rows: Rows, shape: tuple[int, ...], value_range: tuple[float, float]) -> Tensor:
        """Return the initial candidates.

        Args:
            rows: Rows to start; random numbers come from their generators.
            shape: Shape of one candidate.
            value_range: Lowest and highest value of the space.

        Returns:
            Initial candidates on the CPU, shape (R, *shape), float32.
        """


class Zeros(Initial):
    """Zero everywhere: the black image [F15, Algorithm 1]."""

    def __call__(self, rows: Rows, shape: tuple[int, ...], value_range: tuple[float, float]) -> Tensor:
        """Return zeros, shape (R, *shape)."""
        return torch.zeros(len(rows), *shape)


class MidGrey(Initial):
    """The middle of the value range everywhere: a grey image, the start that knows nothing and saturates nothing."""

    def __call__(self, rows: Rows, shape: tuple[int, ...], value_range: tuple[float, float]) -> Tensor:
        """Return the middle of the range, shape (R, *shape)."""
        return torch.full((len(rows), *shape), sum(value_range) / 2)


class Noise(Initial):
    """Random values, independent for each element.

    Args:
        distribution: ``"normal"``, ``"laplace"`` or ``"uniform"``.
        mean: Mean of the distribution.
        std: Standard deviation of the distribution, at least 0.
    """

    def __init__(
        self,
        *,
        distribution: Literal["normal", "laplace", "uniform"] = "normal",
        mean: float = 0.5,
        std: float = 0.01,
    ) -> None:
        """Check the arguments."""
        if std < 0:
            raise InputError("std >= 0", std, "--model.space.init_args.initial.init_args.std")
        self.distribution, self.mean, self.std = distribution, mean, std

    def __call__(self, rows: Rows, shape: tuple[int, ...], value_range: tuple[float, float]) -> Tensor:
        """Return mean + std times a unit-variance draw, shape (R, *shape)."""
        return self.mean + self.std * rows.draw(lambda generator: self._unit(shape, generator))

    def _unit(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """One draw of zero mean and unit variance."""
        if self.distribution == "normal":
            return torch.randn(shape, generator=generator)
        uniform = torch.rand(shape, generator=generator)
        if self.distribution == "uniform":
            return (uniform - 0.5) * math.sqrt(12.0)
        # Laplace by its inverse distribution function; its variance is twice the squared scale
        centred = uniform - 0.5
        return -centred.sign() * torch.log1p(-2 * centred.abs().clamp_max(0.5 - 2**-25)) / math.sqrt(2.0)


class NaturalNoise(Initial):
    """Random images with the amplitude spectrum of photographs: 1 / f^exponent, phases at random.

    Their large soft patches move the answers of a classifier of images far more than noise that is independent from
    pixel to pixel. Source of the spectrum: Field, *Relations between the statistics of natural images and the response
    properties of cortical cells* (1987).

    Args:
        exponent: Fall of the amplitude with spatial frequency; 1 is the mean of natural images.
        mean: Grey level about which the image varies.
        std: Standard deviation of each image's values, before they are clamped to the value range; at least 0.
    """

    def __init__(self, *, exponent: float = 1.5, mean: float = 0.5, std: float = 0.25) -> None:
        """Check the arguments."""
        if std < 0:
            raise InputError("std >= 0", std, "--model.space.init_args.initial.init_args.std")
        self.exponent, self.mean, self.std = exponent, mean, std

    def __call__(self, rows: Rows, shape: tuple[int, ...], value_range: tuple[float, float]) -> Tensor:
        """Return the images, shape (R, channels, height, width)."""
        if len(shape) != 3:
            raise InputError("a space of images (channels, height, width) for NaturalNoise", shape, "--model.space")
        frequency = torch.hypot(torch.fft.fftfreq(shape[1])[:, None], torch.fft.rfftfreq(shape[2])[None])
        amplitude = frequency.clamp_min(1 / max(shape[1:])) ** -self.exponent
        amplitude[0, 0] = 0  # the mean is given
        white = torch.fft.rfft2(rows.draw(lambda generator: torch.randn(shape, generator=generator)))
        image: Tensor = torch.fft.irfft2(white * amplitude, s=shape[1:])
        image /= image.flatten(1).std(1).clamp_min(torch.finfo(image.dtype).tiny).view(-1, 1, 1, 1)
        start: Tensor = image.mul_(self.std).add_(self.mean).clamp_(*value_range)
        return start


class GivenImage(Initial):
    """An image from a file, the same for every row: any picture that Pillow reads, or an ``.npy`` array.

    A picture is read in grey or in colour as the space has one or three channels; its 8-bit values are mapped to the
    value range. An array is taken as it is. Nothing is rescaled: a picture of another size is refused.

    Args:
        path: File to read.
    """

    def __init__(self, *, path: str) -> None:
        """Keep the path; the file is read when the attack starts."""
        self.path = path

    def __call__(self, rows: Rows, shape: tuple[int, ...], value_range: tuple[float, float]) -> Tensor:
        """Return the image for every row, shape (R, *shape)."""
        image = self._read(shape, value_range)
        if tuple(image.shape) != shape:
            raise InputError(
                f"an image of shape {shape}",
                f"{self.path} of shape {tuple(image.shape)}",
                "--model.space.init_args.initial.init_args.path",
            )
        return image.expand(len(rows), *shape).clone()

    def _read(self, shape: tuple[int, ...], value_range: tuple[float, float]) -> Tensor:
        """Read the file, channels first."""
        low, high = value_range
        try:
            if Path(self.path).suffix == ".npy":
                return torch.from_numpy(np.load(self.path, allow_pickle=False)).float()
            with Image.open(self.path) as picture:
                pixels = np.asarray(picture.convert("RGB" if shape[0] == 3 else "L"), dtype=np.float32)
        except (OSError, ValueError) as error:
            raise InputError(
                "a readable image", f"{self.path}: {error}", "--model.space.init_args.initial.init_args.path"
            ) from error
        image = torch.from_numpy(pixels.copy()) / 255 * (high - low) + low
        return image.permute(2, 0, 1) if image.ndim == 3 else image[None]
