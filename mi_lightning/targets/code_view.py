"""A classifier whose features are a code that it can also decode, such as ``StackedDAE``."""

from __future__ import annotations

from typing import Any, Protocol, Self, runtime_checkable

from torch import Tensor, nn

from mi_lightning.targets.base import Target
from mi_lightning.targets.white_box import WhiteBox


@runtime_checkable
class Codec(Protocol):
    """A classifier whose features are a code that it can also decode, such as ``StackedDAE``."""

    head: nn.Module

    @property
    def code_size(self) -> int:
        """Size of a code."""

    def encode(self, x: Tensor) -> Tensor:
        """Return the codes, shape (N, code_size), of inputs of shape (N, *input_shape)."""

    def decode(self, code: Tensor) -> Tensor:
        """Return the inputs that codes stand for, shape (N, *input_shape)."""


class CodeView(Target):
    """The last layer of a classifier as a target: asked about codes, it answers with the softmax of their logits.

    Args:
        target: The white box whose classifier it belongs to; one code is one query of this target.
        codec: Its classifier.
    """

    differentiable = True

    def __init__(self, target: WhiteBox, codec: Codec) -> None:
        """Share the ledger."""
        super().__init__()
        self.ledger = target.ledger
        self.head = codec.head
        self.input_shape, self.input_range = (codec.code_size,), (-1.0, 1.0)
        self.num_classes, self.class_names = target.num_classes, target.class_names
        self._describe = target.describe

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode, as the white box does."""
        return super().train(False)

    def release(self, x: Tensor) -> Tensor:
        """Return the softmax of the logits of codes ``x``, shape (N, C)."""
        return self.release_log(x).exp()

    def release_log(self, x: Tensor) -> Tensor:
        """Return the log-softmax of the logits of codes ``x``, shape (N, C), in nats."""
        logits: Tensor = self.head(x)
        return logits.log_softmax(-1)

    def describe(self) -> dict[str, Any]:
        """Return what a report says of the target."""
        return self._describe()
