"""Softmax regression."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn

from mi_lightning.classifiers.base import Classifier


class SoftmaxRegression(Classifier):
    """Linear softmax classifier on the flattened sample: 10304 -> 40 for the AT&T faces.

    Source: the softmax model of Fredrikson, Jha, Ristenpart, CCS 2015, section 5. The weights start at zero, as is
    usual where the loss is convex. Random ones would be trained only in the directions that the photographs span, and
    stay as noise in all others.

    Args:
        input_shape: Shape of one sample, without the batch.
        num_classes: Number of people.
        class_names: Name of each person; ``"0"``, ``"1"``, ... if not given.
        input_range: Least and greatest value of a sample.
        optimizer: Optimizer over the weights.
        lr_scheduler: Schedule of the learning rate, advanced once an epoch; none if not given.

    Example:
        >>> classifier = SoftmaxRegression(input_shape=(1, 4, 4), num_classes=3)
        >>> classifier(torch.zeros(2, 1, 4, 4)).shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int,
        class_names: Sequence[str] | None = None,
        input_range: Sequence[float] = (0.0, 1.0),
        optimizer: OptimizerCallable = lambda parameters: torch.optim.SGD(parameters, lr=0.01),
        lr_scheduler: LRSchedulerCallable | None = None,
    ) -> None:
        super().__init__(
            input_shape=input_shape,
            num_classes=num_classes,
            class_names=class_names,
            input_range=input_range,
            optimizer=optimizer,
            lr_scheduler=lr_scheduler,
        )
        self.head = nn.Linear(torch.Size(self.input_shape).numel(), num_classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.remember()

    def features(self, x: Tensor) -> Tensor:
        """The sample itself, flattened, (N, F)."""
        return x.flatten(1)
