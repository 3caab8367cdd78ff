"""A classifier whose features are a code that it can also decode, such as ``StackedDAE``."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

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

    has_logits = True

    def __init__(self, target: WhiteBox, codec: Codec) -> None:
        """Share the ledger."""
        super().__init__()
        self.look_like(target)
        self.head = codec.head
        self.input_shape, self.input_range = (codec.code_size,), (-1.0, 1.0)
        self._describe = target.describe

    def release(self, x: Tensor) -> Tensor:
        """Return the softmax of the logits of codes ``x``, shape (N, C)."""
        return self.release_log(x).exp()

    def release_logits(self, x: Tensor) -> Tensor:
        """Return the logits of codes ``x``, shape (N, C)."""
        return self.in_batches(self.head, x)

    def release_log(self, x: Tensor) -> Tensor:
        """Return the log-softmax of the logits of codes ``x``, shape (N, C), in nats."""
        return self.release_logits(x).log_softmax(-1)

    def describe(self) -> dict[str, Any]:
        """Return what a report says of the target."""
        return self._describe()
