"""The network of dlib's face recogniser in torch, so that it judges many faces at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, max_pool2d, pad

from mi_lightning.errors import MIError

SIDE = 150  # pixels, height and width of a face that the network takes
EMBEDDING_SIZE = 128
_MEAN_COLOUR = (122.782, 117.001, 104.298)  # red, green, blue: what is subtracted from a picture in [0, 255]
_SCALE = 256.0
# (channels, whether height and width are halved), from the input on
_BLOCKS = (
    *[(32, False)] * 3,
    *[(64, True), *[(64, False)] * 3],
    *[(128, True), *[(128, False)] * 2],
    *[(256, True), *[(256, False)] * 2],
    (256, True),
)


class _Block(nn.Module):
    """Two convolutions and a way past them; what is missing in channels or pixels is filled up with zeros."""

    def __init__(self, channels_in: int, channels: int, halved: bool) -> None:
        super().__init__()
        self.halved = halved
        stride, margin = (2, 0) if halved else (1, 1)
        self.first = nn.Conv2d(channels_in, channels, 3, stride, margin)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(self.first(x).relu_())
        past = avg_pool2d(x, 2) if self.halved else x
        height, width = (max(y.shape[axis], past.shape[axis]) for axis in (2, 3))
        return (_filled(y, y.shape[1], height, width) + _filled(past, y.shape[1], height, width)).relu_()


class DlibResNet(nn.Module):
    """Residual network of 29 convolutions [Ki17], the layers after [He16].

    The scale and shift after each convolution are part of its weights.
    """

    mean: Tensor

    def __init__(self) -> None:
        """Make the layers; `load_dlib_resnet` fills them."""
        super().__init__()
        self.register_buffer("mean", torch.tensor(_MEAN_COLOUR).view(3, 1, 1), persistent=False)
        self.stem = nn.Conv2d(3, 32, 7, 2)
        sizes = [32, *(channels for channels, _ in _BLOCKS)]
        self.blocks = nn.Sequential(*(_Block(size, *block) for size, block in zip(sizes, _BLOCKS, strict=False)))
        self.head = nn.Linear(256, EMBEDDING_SIZE, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return vectors (N, 128) of upright faces (N, 3, 150, 150), red, green and blue in [0, 255]."""
        x = (x - self.mean) / _SCALE
        x = max_pool2d(self.stem(x).relu_(), 3, 2)
        vectors: Tensor = self.head(self.blocks(x).mean((2, 3)))
        return vectors

    def convolutions(self) -> Iterator[nn.Conv2d]:
        """Give the convolutions from the input on."""
        return (layer for layer in self.modules() if isinstance(layer, nn.Conv2d))


def load_dlib_resnet(path: Path) -> DlibResNet:
    """Read the network from dlib's file ``dlib_face_recognition_resnet_model_v1.dat``.

    The file holds, from the input on, for each convolution its weights with the biases behind them, and the factors of
    the scaling layer with the shifts behind them; at the end the matrix. Nothing in it is executed.

    Raises:
        MIError: If the file cannot be read or does not hold this network.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise MIError(f"cannot read {path}: {error.strerror}") from error
    with torch.random.fork_rng(devices=[]):  # its first weights are drawn, and nobody else's numbers shall change
        network = DlibResNet()
    file = _Tensors(content, path)
    with torch.no_grad():
        for layer in network.convolutions():
            outputs = layer.out_channels
            numbers = file.next(layer.weight.numel() + outputs, 1)
            factor, shift = file.next(2 * outputs, 1).split(outputs)
            layer.weight.copy_(numbers[:-outputs].view_as(layer.weight) * factor.view(-1, 1, 1, 1))
            layer.bias.copy_(numbers[-outputs:] * factor + shift)  # type: ignore[union-attr]
        network.head.weight.copy_(file.next(network.head.in_features, EMBEDDING_SIZE).view(-1, EMBEDDING_SIZE).T)
    return network.eval().requires_grad_(False)


class _Tensors:
    """Reads the tensors of a file of dlib one after the other, each found by what stands before it."""

    def __init__(self, content: bytes, path: Path) -> None:
        self.content, self.path, self.place = content, path, 0

    def next(self, samples: int, channels: int) -> Tensor:
        """Return the numbers of the next tensor (samples, channels, 1, 1), flat."""
        size = samples * channels
        # version 2, four sizes; then float32, little end first
        header = b"".join(_integer(value) for value in (2, samples, channels, 1, 1))
        found = self.content.find(header, self.place)
        start = found + len(header)
        if found < 0 or start + 4 * size > len(self.content):
            raise MIError(f"{self.path} does not hold dlib's face recogniser: it is damaged, or another file")
        self.place = start + 4 * size
        return torch.from_numpy(np.frombuffer(self.content, "<f4", size, start).astype(np.float32))


def _integer(value: int) -> bytes:
    """A number >= 0 as dlib writes it: how many bytes, then the bytes, the low one first."""
    size = max(1, (value.bit_length() + 7) // 8)
    return bytes([size]) + value.to_bytes(size, "little")


def _filled(x: Tensor, channels: int, height: int, width: int) -> Tensor:
    """Add zeros behind, below and to the right."""
    return pad(x, (0, width - x.shape[3], 0, height - x.shape[2], 0, channels - x.shape[1]))
