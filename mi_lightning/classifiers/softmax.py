"""Softmax regression."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn

from mi_lightning.classifiers.base import Classifier


class SoftmaxRegression(Classifier):
    """Linear softmax classifier on the flattened sample: 10304 -> 40 for the AT&T faces.

    Source: the softmax model of Fredrikson, Jha, Ristenpart, CCS 2015, section 5. The weights start at zero, as is
    usual where the loss is convex. Random ones would be trained only in the directions that the photographs span, and
    stay as noise in all others.

    Args:
        optimizer: Optimizer over the weights.
        **classifier: The arguments of `Classifier`.

    Example:
        >>> classifier = SoftmaxRegression(input_shape=(1, 4, 4), num_classes=3)
        >>> classifier(torch.zeros(2, 1, 4, 4)).shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        *,
        optimizer: OptimizerCallable = lambda parameters: torch.optim.SGD(parameters, lr=0.01),
        **classifier: Any,
    ) -> None:
        super().__init__(optimizer=optimizer, **classifier)
        self.head = nn.Linear(torch.Size(self.input_shape).numel(), self.num_classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.remember()

    def features(self, x: Tensor) -> Tensor:
        """The sample itself, flattened, (N, F)."""
        return x.flatten(1)
