"""Public models: learned from other people."""

from __future__ import annotations

from mi_lightning.public_models.base import FittedDecoder
from mi_lightning.public_models.face_gan import FaceDecoder

__all__ = ["FaceDecoder", "FittedDecoder"]
