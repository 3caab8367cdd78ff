"""Plain convolutional network: the one that the attacks read."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn

from mi_lightning.classifiers.base import Classifier
from mi_lightning.errors import InputError


class CNN(Classifier):
    """Twice (3 x 3 convolution, ReLU, 2 x 2 maximum), dropout, hidden layer with ReLU, logits.

    Source: the network of a student reproduction (TU Wien, 2020) of Fredrikson, Jha, Ristenpart, CCS 2015. It gives
    kernels, padding, pooling, dropout and the hidden layer; the channels are ours.

    Args:
        input_mean: The network sees (x - input_mean) / input_std. From grey levels in [0, 1] as they are it learns
            little for the first ten epochs: what all photographs share outweighs what tells them apart.
        input_std: See ``input_mean``.
        channels: Channels of the two convolutions.
        hidden: Size of the hidden layer.
        init: Distribution of the initial weights. ``"default"`` is PyTorch's, uniform within 1 / sqrt(inputs of the
            layer), biases as well; ``"he"`` is normal with variance 2 / inputs, biases of zero [He et al., ICCV 2015],
            which keeps the size of the activations from layer to layer: here it halves the training.
        dropout: Part of the activations set to zero before the hidden layer, in training.
        shift: Augmentation, in training: greatest shift of each image up, down and sideways, in pixels; its edge is
            repeated.
        flip: Augmentation, in training: probability of the mirror image.
        noise: Augmentation, in training: standard deviation of white noise, as a part of the range.
        optimizer: Optimizer over the weights.
        **classifier: The arguments of `Classifier`; ``input_shape`` (channels, height, width) of
            4 x 4 pixels or more.

    Raises:
        InputError: If the images are too small, or a size or an amount is out of its range.

    Example:
        >>> classifier = CNN(input_shape=(1, 112, 92), num_classes=40, channels=(4, 8)).eval()
        >>> x = torch.zeros(2, 1, 112, 92)
        >>> classifier(x).shape, classifier.features(x).shape
        (torch.Size([2, 40]), torch.Size([2, 512]))
    """

    def __init__(
        self,
        *,
        input_mean: float = 0.0,
        input_std: float = 1.0,
        channels: tuple[int, int] = (32, 64),
        hidden: int = 512,
        init: Literal["default", "he"] = "default",
        dropout: float = 0.2,
        shift: int = 0,
        flip: float = 0.0,
        noise: float = 0.0,
        optimizer: OptimizerCallable = lambda parameters: torch.optim.SGD(parameters, lr=0.01, momentum=0.9),
        **classifier: Any,
    ) -> None:
        super().__init__(optimizer=optimizer, **classifier)
        if len(self.input_shape) != 3 or min(self.input_shape[1:]) < 4:
            raise InputError("input_shape (channels, height >= 4, width >= 4)", self.input_shape, field="input_shape")
        if not math.isfinite(input_mean):
            raise InputError("a finite input_mean", input_mean, field="input_mean")
        if not 0 < input_std < math.inf:
            raise InputError("a finite input_std > 0", input_std, field="input_std")
        if len(channels) != 2 or min(channels) < 1:
            raise InputError("two channels >= 1", tuple(channels), field="channels")
        if hidden < 1:
            raise InputError("hidden >= 1", hidden, field="hidden")
        if init not in ("default", "he"):
            raise InputError("init default or he", init, field="init")
        if not 0 <= dropout < 1:
            raise InputError("0 <= dropout < 1", dropout, field="dropout")
        if not 0 <= shift < min(self.input_shape[1:]):
            raise InputError(f"0 <= shift < {min(self.input_shape[1:])} pixels", shift, field="shift")
        if not 0 <= flip <= 1:
            raise InputError("0 <= flip <= 1", flip, field="flip")
        if not 0 <= noise <= 1:
            raise InputError("0 <= noise <= 1", noise, field="noise")
        self.input_mean, self.input_std = input_mean, input_std
        self.channels, self.hidden, self.init, self.dropout = tuple(channels), hidden, init, dropout
        self.shift, self.flip, self.noise = shift, flip, noise
        depth, height, width = self.input_shape
        first, second = self.channels
        self.body = nn.Sequential(
            nn.Conv2d(depth, first, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(first, second, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(second * (height // 4) * (width // 4), hidden),
            nn.ReLU(),
        )
        self.head = nn.Linear(hidden, self.num_classes)
        if init == "he":
            for layer in self.modules():
                if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
                    nn.init.kaiming_normal_(layer.weight)
                    nn.init.zeros_(layer.bias)
        # convolutions on the CPU take a quarter less time with the channels last
        self.to(memory_format=torch.channels_last)
        self.remember()

    def features(self, x: Tensor) -> Tensor:
        """Activations of the hidden layer, (N, hidden), at least 0."""
        activations: Tensor = self.body((x - self.input_mean) / self.input_std)
        return activations

    def augment(self, x: Tensor) -> Tensor:
        """Shift, mirror and disturb each image of (N, C, H, W) by amounts drawn for it alone."""
        n, _, height, width = x.shape
        if self.shift:
            moves = torch.randint(-self.shift, self.shift + 1, (2, n, 1), device=x.device)
            rows = (torch.arange(height, device=x.device) + moves[0]).clamp(0, height - 1)
            columns = (torch.arange(width, device=x.device) + moves[1]).clamp(0, width - 1)
            image = torch.arange(n, device=x.device)[:, None, None]
            x = x[image, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
        if self.flip:
            mirrored = torch.rand(n, 1, 1, 1, device=x.device) < self.flip
            x = torch.where(mirrored, x.flip(3), x)
        if self.noise:
            low, high = self.input_range
            x = x + torch.randn_like(x) * self.noise * (high - low)
        return x
