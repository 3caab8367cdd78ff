"""A decoder that makes pictures of any size, such as ``FaceDecoder``: it is told which before it is used."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import nn


class FittedDecoder(nn.Module, ABC):
    """A decoder that makes pictures of any size, such as ``FaceDecoder``: it is told which before it is used."""

    #: Knowledge of other people, which an attacker has without the target (the control *prior alone*).
    public: ClassVar[bool] = True

    @abstractmethod
    def bind(self, input_shape: tuple[int, ...], input_range: tuple[float, float]) -> None:
        """Decode to inputs of this shape and range from now on."""
