"""Multilayer perceptron with one hidden layer."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn

from mi_lightning.classifiers.base import Classifier
from mi_lightning.errors import InputError


class MLP(Classifier):
    """Flattened sample -> sigmoid units -> logits: 10304 -> 3000 -> 40 for the AT&T faces.

    Source: the multilayer perceptron of Fredrikson, Jha, Ristenpart, CCS 2015, section 5.

    The scale of the first weights decides how far the sigmoids are from their linear part before training. Grey levels
    are not centred, so the D of them add up: with weights of standard deviation s, a hidden unit starts at about
    s * sqrt(D * mean of x squared), which is 1 for faces at s = 0.02. The default of PyTorch (uniform, deviation
    0.0057) starts at a quarter of that.

    Args:
        hidden: Units of the hidden layer.
        init: Distribution of the initial weights of both layers. ``"default"`` is PyTorch's, uniform within
            1 / sqrt(inputs of the layer), biases as well; ``"normal"`` has deviation ``std``, ``"xavier"`` is uniform
            within sqrt(6 / (inputs + outputs)) [Glorot, Bengio, AISTATS 2010], both with biases of zero.
        std: Standard deviation of ``init="normal"``; without effect otherwise.
        optimizer: Optimizer over the weights.
        **classifier: The arguments of `Classifier`.

    Raises:
        InputError: If a size or a deviation is out of its range, or the initialisation is unknown.

    Example:
        >>> classifier = MLP(input_shape=(1, 4, 4), num_classes=3, hidden=5)
        >>> x = torch.zeros(2, 1, 4, 4)
        >>> classifier(x).shape, classifier.features(x).shape
        (torch.Size([2, 3]), torch.Size([2, 5]))
    """

    def __init__(
        self,
        *,
        hidden: int = 3000,
        init: Literal["default", "normal", "xavier"] = "default",
        std: float = 0.02,
        optimizer: OptimizerCallable = lambda parameters: torch.optim.SGD(parameters, lr=0.01),
        **classifier: Any,
    ) -> None:
        super().__init__(optimizer=optimizer, **classifier)
        if hidden < 1:
            raise InputError("hidden >= 1", hidden, field="hidden")
        if init not in ("default", "normal", "xavier"):
            raise InputError("init default, normal or xavier", init, field="init")
        if not 0 < std < math.inf:
            raise InputError("a finite std > 0", std, field="std")
        self.hidden, self.init, self.std = hidden, init, std
        self.body = nn.Linear(torch.Size(self.input_shape).numel(), hidden)
        self.head = nn.Linear(hidden, self.num_classes)
        for layer in (self.body, self.head):
            if init == "default":
                continue
            if init == "normal":
                nn.init.normal_(layer.weight, std=std)
            else:
                nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.remember()

    def features(self, x: Tensor) -> Tensor:
        """Activations of the hidden layer, (N, hidden), in (0, 1)."""
        return torch.sigmoid(self.body(x.flatten(1)))
