"""The mean of public faces, the same for every row: an average face of other people."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from mi_lightning.attacks.initializers.base import Initializer
from mi_lightning.attacks.rows import Rows
from mi_lightning.errors import InputError
from mi_lightning.public_models.face_gan import FromPublicFaces, check_grey


class PublicMean(FromPublicFaces, Initializer):
    """The mean of public faces, the same for every row: an average face of other people.

    Each face is brought to one brightness and contrast first, and so is their mean.

    Args:
        mean: Grey level about which the picture varies, as a part of the value range.
        std: Standard deviation of its grey levels, as a part of the value range, at least 0.
        **faces: The arguments of `FromPublicFaces`.

    Raises:
        InputError: If an argument is out of its range, or the weights are missing.
        MIError: If the package is not installed.
    """

    axes = "picture"

    def __init__(self, *, mean: float = 0.5, std: float = 0.1, **faces: Any) -> None:
        """Check the arguments and whether there is a generator."""
        super().__init__(**faces)
        if not 0 <= std < math.inf:
            raise InputError("a finite std >= 0", std, field="std")
        self.mean, self.std = mean, std

    def __call__(self, rows: Rows, shape: tuple[int, ...], value_range: tuple[float, float]) -> Tensor:
        """Return the picture for every row, shape (R, *shape)."""
        self.check(shape)
        check_grey(shape)
        low, high = value_range
        face = self.faces(shape).mean(0)
        face = (face - face.mean()) / face.std(correction=0).clamp_min(1e-3)
        start = (low + (high - low) * (self.mean + self.std * face)).clamp(low, high)
        return start.expand(len(rows), *shape).clone()
