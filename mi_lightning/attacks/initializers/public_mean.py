"""The mean of public faces, the same for every row: an average face of other people."""

from __future__ import annotations

import math

from torch import Tensor

from mi_lightning.attacks.initializers.base import Initializer
from mi_lightning.attacks.rows import Rows
from mi_lightning.errors import InputError
from mi_lightning.nn.dcgan import load_generator
from mi_lightning.public_models.face_gan import check_crop, check_grey, find_weights, framed_faces


class PublicMean(Initializer):
    """The mean of public faces, the same for every row: an average face of other people.

    Each face is brought to one brightness and contrast first, and so is their mean.

    Args:
        mean: Grey level about which the picture varies, as a part of the value range.
        std: Standard deviation of its grey levels, as a part of the value range, at least 0.
        count: Number of public faces.
        seed: Seed of their codes.
        crop: Part of a public face that is kept, see `Frame`.
        weights: File of the generator's weights; that of the package gan-face-generate if None.
        cache: Folder in which the faces are kept; the user's cache folder if None.

    Raises:
        InputError: If an argument is out of its range, or the weights are missing.
        MIError: If the package is not installed.
    """

    def __init__(
        self,
        *,
        mean: float = 0.5,
        std: float = 0.1,
        count: int = 4000,
        seed: int = 0,
        crop: float = 0.9,
        weights: str | None = None,
        cache: str | None = None,
    ) -> None:
        """Check the arguments and whether there is a generator."""
        if not 0 <= std < math.inf:
            raise InputError("a finite std >= 0", std, field="std")
        if count < 1:
            raise InputError("count >= 1", count, field="count")
        check_crop(crop)
        load_generator(find_weights(weights))  # so that a mistake is told at once
        self.mean, self.std = mean, std
        self.count, self.seed, self.crop, self.weights, self.cache = count, seed, crop, weights, cache

    def __call__(self, rows: Rows, shape: tuple[int, ...], value_range: tuple[float, float]) -> Tensor:
        """Return the picture for every row, shape (R, *shape)."""
        check_grey(shape)
        low, high = value_range
        face = framed_faces(
            shape, count=self.count, seed=self.seed, crop=self.crop, weights=self.weights, cache=self.cache
        ).mean(0)
        face = (face - face.mean()) / face.std(correction=0).clamp_min(1e-3)
        start = (low + (high - low) * (self.mean + self.std * face)).clamp(low, high)
        return start.expand(len(rows), *shape).clone()
