"""An image from a file, the same for every row: any picture that Pillow reads, or an ``.npy`` array."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mi_lightning.attacks.initializers.base import Initializer
from mi_lightning.attacks.rows import Rows
from mi_lightning.data.axes import check_axes
from mi_lightning.errors import InputError


class GivenImage(Initializer):
    """An image from a file, the same for every row: any picture that Pillow reads, or an ``.npy`` array.

    A picture is read in grey or in colour as the space has one or three channels; its 8-bit values are mapped to the
    value range. An array is taken as it is. Nothing is rescaled: a picture of another size is refused.

    Args:
        path: File to read.
    """

    #: Knowledge of other people, which an attacker has without the target (the control *prior alone*).
    public: ClassVar[bool] = True

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse what is no picture; an array may have any shape."""
        if Path(self.path).suffix != ".npy":
            check_axes(shape, "picture", self, "initializer")

    def __init__(self, *, path: str) -> None:
        """Keep the path; the file is read when the attack starts."""
        self.path = path

    def __call__(self, rows: Rows, shape: tuple[int, ...], value_range: tuple[float, float]) -> Tensor:
        """Return the image for every row, shape (R, *shape)."""
        self.check(shape)
        image = self._read(shape, value_range)
        if tuple(image.shape) != shape:
            raise InputError(
                f"an image of shape {shape}",
                f"{self.path} of shape {tuple(image.shape)}",
                field="path",
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
            raise InputError("a readable image", f"{self.path}: {error}", field="path") from error
        image = torch.from_numpy(pixels.copy()) / 255 * (high - low) + low
        return image.permute(2, 0, 1) if image.ndim == 3 else image[None]
