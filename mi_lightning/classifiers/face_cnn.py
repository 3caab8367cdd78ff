"""A small convolutional network for faces, made to judge reconstructions."""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn
from torch.nn.functional import affine_grid, conv2d, grid_sample, pad

from mi_lightning.classifiers.base import Classifier
from mi_lightning.errors import InputError

_BLUR_RADIUS = 8  # pixels: the kernel reaches beyond two deviations of the greatest blur allowed
_MAX_BLUR = 4.0


class _Standardise(nn.Module):
    """Subtract each image's mean and divide by its deviation: overall brightness and contrast carry no name."""

    def forward(self, x: Tensor) -> Tensor:
        deviation, mean = torch.std_mean(x, dim=(1, 2, 3), keepdim=True)
        # the floor, 0.5% of the range, keeps an even image from becoming pure rounding noise
        standard: Tensor = (x - mean) / (deviation + 0.005)
        return standard


def _symmetric(n: int, amount: float, x: Tensor) -> Tensor:
    """Draw n numbers, uniform between -amount and amount, on the device of x."""
    return (torch.rand(n, device=x.device) * 2 - 1) * amount


class FaceCNN(Classifier):
    """Convolutional network that serves as evaluator: it judges reconstructions, and is never attacked with them.

    Standardised image -> half size -> three times (3 x 3 convolution, batch norm, ReLU, 2 x 2 maximum) -> hidden layer
    (the features) -> logits. For a judge it has to know faces that are not photographs as sharp as those it learns
    from: in training (and only there) each image is moved, turned, scaled, blurred, shaded and made noisy, by
    amounts drawn for it alone.

    Args:
        width: Channels of the first convolution; the others have two and four times as many.
        hidden: Size of the hidden layer.
        dropout: Part of the activations set to zero before and after the hidden layer, in training.
        shift: Augmentation: greatest shift, as a part of height and width.
        scale: Augmentation: greatest change of the logarithm of the size.
        rotation: Augmentation: greatest turn, in degrees.
        flip: Augmentation: probability of the mirror image.
        blur: Augmentation: greatest standard deviation of a Gaussian blur, in pixels, at most 4.
        contrast: Augmentation: greatest change of the logarithm of the contrast.
        brightness: Augmentation: greatest change of brightness, overall and from side to side, as a part of the range.
        noise: Augmentation: greatest standard deviation of white noise, as a part of the range.
        optimizer: Optimizer over the weights.
        **classifier: The arguments of `Classifier`; ``input_shape`` (channels, height, width) of
            16 x 16 pixels or more.

    Raises:
        InputError: If the images are too small, or an amount is out of its range.

    Example:
        >>> classifier = FaceCNN(input_shape=(1, 112, 92), num_classes=40).eval()
        >>> x = torch.zeros(2, 1, 112, 92)
        >>> classifier(x).shape, classifier.features(x).shape
        (torch.Size([2, 40]), torch.Size([2, 128]))
    """

    def __init__(
        self,
        *,
        width: int = 24,
        hidden: int = 128,
        dropout: float = 0.3,
        shift: float = 0.08,
        scale: float = 0.08,
        rotation: float = 8.0,
        flip: float = 0.0,
        blur: float = 4.0,
        contrast: float = 0.3,
        brightness: float = 0.15,
        noise: float = 0.2,
        optimizer: OptimizerCallable = lambda parameters: torch.optim.AdamW(parameters, lr=5e-3),
        **classifier: Any,
    ) -> None:
        super().__init__(optimizer=optimizer, **classifier)
        if len(self.input_shape) != 3 or min(self.input_shape[1:]) < 16:
            raise InputError("input_shape (channels, height >= 16, width >= 16)", self.input_shape, field="input_shape")
        for name, value, high in (
            ("dropout", dropout, 0.99),
            ("shift", shift, 0.5),
            ("scale", scale, 1.0),
            ("rotation", rotation, 180.0),
            ("flip", flip, 1.0),
            ("blur", blur, _MAX_BLUR),
            ("contrast", contrast, 3.0),
            ("brightness", brightness, 1.0),
            ("noise", noise, 1.0),
        ):
            if not 0 <= value <= high:
                raise InputError(f"0 <= {name} <= {high:g}", value, field=name)
        for name, size in (("width", width), ("hidden", hidden)):
            if size < 1:
                raise InputError(f"{name} >= 1", size, field=name)
        self.width, self.hidden, self.dropout = width, hidden, dropout
        self.shift, self.scale, self.rotation, self.flip = shift, scale, rotation, flip
        self.blur, self.contrast, self.brightness, self.noise = blur, contrast, brightness, noise

        channels, height, breadth = self.input_shape
        sizes = (channels, width, 2 * width, 4 * width)
        layers: list[nn.Module] = [_Standardise(), nn.AvgPool2d(2)]
        for before, after in itertools.pairwise(sizes):
            layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
            layers += [nn.MaxPool2d(2)]
        layers += [nn.Flatten(), nn.Dropout(dropout)]
        layers += [nn.Linear(4 * width * (height // 16) * (breadth // 16), hidden, bias=False), nn.BatchNorm1d(hidden)]
        self.body = nn.Sequential(*layers, nn.ReLU())
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(hidden, self.num_classes))
        # convolutions on the CPU take a quarter less time with the channels last
        self.to(memory_format=torch.channels_last)
        self.remember()

    def features(self, x: Tensor) -> Tensor:
        """Activations of the hidden layer, (N, hidden)."""
        low, high = self.input_range
        activations: Tensor = self.body((x - low) / (high - low))
        return activations

    def augment(self, x: Tensor) -> Tensor:
        """Change each image of (N, C, H, W) by amounts drawn for it alone; the result may leave the range a little."""
        low, high = self.input_range
        x = self._shade(self._blur(self._move((x - low) / (high - low))))
        return x * (high - low) + low

    def _move(self, x: Tensor) -> Tensor:
        """Shift, scale, turn and mirror."""
        n, _, height, breadth = x.shape
        angle = _symmetric(n, math.radians(self.rotation), x)
        size = _symmetric(n, self.scale, x).exp()
        mirror = torch.where(torch.rand(n, device=x.device) < self.flip, -1.0, 1.0)
        cosine, sine = angle.cos() * size, angle.sin() * size
        aspect = breadth / height  # the grid is in halves of each side: a turn has to know that they differ
        # a whole side of the grid is 2 wide, hence twice the part
        across = torch.stack([cosine * mirror, -sine / aspect, _symmetric(n, 2 * self.shift, x)], 1)
        down = torch.stack([sine * aspect * mirror, cosine, _symmetric(n, 2 * self.shift, x)], 1)
        grid = affine_grid(torch.stack([across, down], 1), list(x.shape), align_corners=False)
        return grid_sample(x, grid, padding_mode="border", align_corners=False)

    def _blur(self, x: Tensor) -> Tensor:
        """Blur with a Gaussian of each image's own width, rows and columns one after the other."""
        if not self.blur:
            return x
        n, channels, height, breadth = x.shape
        radius = min(_BLUR_RADIUS, height - 1, breadth - 1)
        steps = torch.arange(-radius, radius + 1, device=x.device)
        deviation = torch.rand(n, 1, device=x.device) * self.blur + 1e-3
        kernel = (-0.5 * (steps / deviation) ** 2).exp()
        kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(channels, 0)
        flat = pad(x.reshape(1, n * channels, height, breadth), (radius,) * 4, mode="replicate")
        flat = conv2d(flat, kernel[:, None, :, None], groups=n * channels)
        return conv2d(flat, kernel[:, None, None, :], groups=n * channels).reshape(x.shape)

    def _shade(self, x: Tensor) -> Tensor:
        """Change contrast and brightness, the latter also from top to bottom and from side to side; add noise."""
        n, _, height, breadth = x.shape
        gain, light, down, across = (
            _symmetric(n, amount, x)[:, None, None, None]
            for amount in (self.contrast, self.brightness, self.brightness, self.brightness)
        )
        rows = torch.linspace(-1, 1, height, device=x.device)[:, None]
        columns = torch.linspace(-1, 1, breadth, device=x.device)
        x = (x - 0.5) * gain.exp() + 0.5 + light + down * rows + across * columns
        return x + torch.randn_like(x) * torch.rand(n, 1, 1, 1, device=x.device) * self.noise
