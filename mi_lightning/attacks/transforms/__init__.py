"""Transforms: random changes of an input, between decoding and asking, that leave the person who they are."""

from __future__ import annotations

from mi_lightning.attacks.transforms.base import Transform
from mi_lightning.attacks.transforms.horizontal_flip import HorizontalFlip
from mi_lightning.attacks.transforms.random_resized_crop import RandomResizedCrop
from mi_lightning.attacks.transforms.random_shift import RandomShift

__all__ = ["HorizontalFlip", "RandomResizedCrop", "RandomShift", "Transform"]
