"""Cut a part out of a picture and bring it to the size of the whole."""

from __future__ import annotations

import torch
from torch import Tensor

from mi_lightning.attacks.transforms.base import Transform
from mi_lightning.errors import InputError


class RandomResizedCrop(Transform):
    """Cut a part out of a picture, of the same proportions, and bring it to the size of the whole.

    Linear between pixels. Source: Szegedy et al., *Going deeper with convolutions*, CVPR 2015, section 6, with the
    proportions kept, since faces have theirs.

    Args:
        scale: Least part of the area that is kept, in (0, 1]: the part is drawn between this and 1.

    Raises:
        InputError: If it is out of its range.
    """

    def __init__(self, *, scale: float = 0.9) -> None:
        """Check the scale."""
        super().__init__()
        if not 0 < scale <= 1:
            raise InputError("scale in (0, 1]", scale, field="scale")
        self.scale = scale

    def draw(self, generator: torch.Generator) -> Tensor:
        """Draw where the part lies, down and right, as a share of the room there is, and its side; shape (3,)."""
        down, right, area = torch.rand(3, generator=generator)
        return torch.stack((down, right, (1 - (1 - self.scale) * area).sqrt()))

    def change(self, x: Tensor, drawn: Tensor) -> Tensor:
        """Resample each picture."""
        down, right, side = drawn.unbind(1)
        return _cut(x.shape[-2], down, side).to(x) @ x @ _cut(x.shape[-1], right, side).to(x).mT


def _cut(size: int, place: Tensor, side: Tensor) -> Tensor:
    """Return the matrices that resample a part of a line, rows that sum to 1, shape (N, 1, size, size).

    Args:
        size: Pixels in the line, before and after.
        place: Where the part begins, as a share of the room there is, shape (N,).
        side: Length of the part, as a share of the line, shape (N,).
    """
    line = torch.arange(size, device=place.device)
    begin = place * (1 - side) * size
    position = (begin[:, None] + (line + 0.5) * side[:, None] - 0.5).clamp(0, size - 1)
    return (1 - (position[:, None, :, None] - line).abs()).clamp_min(0)
