"""What the attacker may touch: confidences, and how many were asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn


class Target(nn.Module, ABC):
    """Confidences of a classifier, perhaps behind defenses, with a count of the queries.

    A subclass releases confidences in :meth:`release`; every input that passes through :meth:`confidences` or
    :meth:`log_confidences` is one query.

    Attributes:
        differentiable: Whether gradients flow through the confidences to the input.
        queries: Inputs asked for so far.
        input_shape: Shape of one input, without the batch.
        input_range: Lowest and highest value of an input.
        num_classes: Number of classes, C.
        class_names: Name of each class.
    """

    differentiable: bool
    input_shape: tuple[int, ...]
    input_range: tuple[float, float]
    num_classes: int
    class_names: tuple[str, ...]

    def __init__(self) -> None:
        """Start with no query."""
        super().__init__()
        self.queries = 0

    @abstractmethod
    def release(self, x: Tensor) -> Tensor:
        """Return the confidences that are released for ``x``, shape (N, C), rows that sum to 1."""

    def release_log(self, x: Tensor) -> Tensor:
        """Return the logarithm of the released confidences, shape (N, C), in nats.

        A target that knows its logits overrides this with a form that does not overflow.
        """
        released = self.release(x)
        return released.clamp_min(torch.finfo(released.dtype).tiny).log()

    def confidences(self, x: Tensor) -> Tensor:
        """Query ``x``, shape (N, *input_shape): confidences, shape (N, C), rows that sum to 1. Counts N queries."""
        self.queries += len(x)
        return self.release(x)

    def log_confidences(self, x: Tensor) -> Tensor:
        """Query ``x``, shape (N, *input_shape): logarithms of the confidences, in nats. Counts N queries."""
        self.queries += len(x)
        return self.release_log(x)

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return what a report says of the target: plain values only."""
