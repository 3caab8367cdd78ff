"""SincNet: speaker recognition from the raw waveform [Ravanelli, Bengio, SLT 2018]."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn
from torch.nn.functional import layer_norm, max_pool1d

from mi_lightning.classifiers.speech import SpeechClassifier
from mi_lightning.errors import InputError
from mi_lightning.nn.sinc import SincConv1d

#: Sizes for machines without a GPU: some fiftieth of the work. Ten strides of 16 samples make a shift of 10 ms.
SINC_SMALL: Mapping[str, Any] = {
    "filters": 64,
    "taps": 251,
    "stride": 16,
    "channels": [64, 64],
    "kernels": [5, 5],
    "pool": 3,
    "hidden": [256, 256],
    "dropout": 0.1,
    "input_affine": False,
}


class SincNet(SpeechClassifier):
    """SincNet: a bank of learnt band-pass filters, convolutions, and fully connected layers on 200 ms of waveform.

    Layer norm of the chunk -> sinc filters, absolute value, maximum of ``pool``, layer norm, leaky ReLU -> convolutions
    likewise -> layer norm -> fully connected layers with batch norm and leaky ReLU (the last is the d-vector) ->
    logits. The defaults are the published architecture; `SINC_SMALL` holds sizes for processors.

    Args:
        filters: Sinc filters.
        taps: Length of each, odd.
        stride: Samples from one output of the filters to the next; 1 as published.
        min_low_hz: Least lower cut-off frequency of a filter, Hz.
        min_band_hz: Least width of its band, Hz.
        channels: Channels of each further convolution.
        kernels: Length of each further convolution.
        pool: Outputs of a convolution of which the largest is kept.
        hidden: Sizes of the fully connected layers.
        slope: Slope of the leaky ReLU below zero.
        dropout: Part of the activations set to zero after each fully connected layer, in training; 0 as published.
        input_affine: Whether the layer norm of the chunk has a weight and a bias for each sample, as published.
            Without them, frames of an utterance share the outputs of the filters, which makes long ones cheaper.
        optimizer: Optimizer over the weights.
        **speech: The arguments of `SpeechClassifier`.

    Raises:
        InputError: If the sizes do not fit each other, or the chunk is too short for them.

    Example:
        >>> classifier = SincNet(input_shape=(1, 3200), num_classes=10, **SINC_SMALL).eval()
        >>> classifier(torch.zeros(2, 1, 3200)).shape, classifier.frame_logits(torch.zeros(2, 1, 4800)).shape
        (torch.Size([2, 10]), torch.Size([2, 11, 10]))
    """

    def __init__(
        self,
        *,
        filters: int = 80,
        taps: int = 251,
        stride: int = 1,
        min_low_hz: float = 50.0,
        min_band_hz: float = 50.0,
        channels: Sequence[int] = (60, 60),
        kernels: Sequence[int] = (5, 5),
        pool: int = 3,
        hidden: Sequence[int] = (2048, 2048, 2048),
        slope: float = 0.2,
        dropout: float = 0.0,
        input_affine: bool = True,
        optimizer: OptimizerCallable = lambda parameters: torch.optim.RMSprop(parameters, lr=1e-3, alpha=0.95),
        **speech: Any,
    ) -> None:
        super().__init__(optimizer=optimizer, **speech)
        if len(channels) != len(kernels):
            raise InputError(f"{len(channels)} kernels, one for each of channels", len(kernels), field="kernels")
        if not hidden:
            raise InputError("at least one size in hidden", tuple(hidden), field="hidden")
        for name, sizes in (("channels", channels), ("kernels", kernels), ("hidden", hidden), ("pool", [pool])):
            if sizes and min(sizes) < 1:
                raise InputError(f"{name} >= 1", min(sizes), field=name)
        if not 0 <= dropout < 1:
            raise InputError("0 <= dropout < 1", dropout, field="dropout")
        self.filters, self.taps, self.stride = filters, taps, stride
        self.min_low_hz, self.min_band_hz = min_low_hz, min_band_hz
        self.channels, self.kernels, self.pool = tuple(channels), tuple(kernels), pool
        self.hidden, self.slope, self.dropout, self.input_affine = tuple(hidden), slope, dropout, input_affine

        self.sinc = SincConv1d(
            filters, taps, sample_rate=self.sample_rate, stride=stride, min_low_hz=min_low_hz, min_band_hz=min_band_hz
        )
        shape = (self.chunk_samples,)
        self.input_norm = nn.LayerNorm(shape) if input_affine else None
        lengths = [(self.chunk_samples - taps) // stride + 1]
        for kernel in self.kernels:
            lengths.append(lengths[-1] // pool - kernel + 1)
        lengths = [length // pool for length in lengths]
        if min(lengths) < 1:
            expected = "chunks long enough for taps, kernels and pool"
            raise InputError(expected, f"{self.chunk_samples} samples", field="input_shape")
        widths = (filters, *self.channels)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(before, after, kernel)
            for (before, after), kernel in zip(itertools.pairwise(widths), self.kernels, strict=True)
        )
        self.norms = nn.ModuleList(nn.LayerNorm([width, length]) for width, length in zip(widths, lengths, strict=True))
        self.activation = nn.LeakyReLU(slope)
        flat = widths[-1] * lengths[-1]
        layers: list[nn.Module] = [nn.Flatten(), nn.LayerNorm(flat)]
        for before, after in itertools.pairwise((flat, *self.hidden)):
            # momentum as the authors'; the bias would be lost in the norm
            layers += [nn.Linear(before, after, bias=False), nn.BatchNorm1d(after, momentum=0.05), nn.LeakyReLU(slope)]
            layers += [nn.Dropout(dropout)] if dropout else []
        self.dense = nn.Sequential(*layers)
        self.head = nn.Linear(self.hidden[-1], self.num_classes)
        self.remember()

    def chunk_features(self, x: Tensor) -> Tensor:
        """Activations of the last hidden layer, (N, hidden), of chunks."""
        x = layer_norm(x, (self.chunk_samples,)) if self.input_norm is None else self.input_norm(x)
        return self._after_filters(self.sinc(x))

    def part_features(self, x: Tensor, shift: int) -> Tensor:
        """Activations of all frames: filtered once where that is the same as filtering each frame."""
        if self.input_norm is not None or shift % self.stride:
            return super().part_features(x, shift)
        frames = x[:, 0].unfold(1, self.chunk_samples, shift)
        variance, mean = torch.var_mean(frames, 2, correction=0, keepdim=True)
        kernels = self.sinc.kernels()
        # filters are linear: the mean of a frame and its deviation can be taken out after them
        length = (self.chunk_samples - self.taps) // self.stride + 1
        filtered = self.sinc(x).unfold(2, length, shift // self.stride).transpose(1, 2)[:, : frames.shape[1]]
        filtered = (filtered - mean[..., None] * kernels.sum(2)) * (variance[..., None] + 1e-5).rsqrt()
        hidden = self._after_filters(filtered.flatten(0, 1))
        return hidden.reshape(*frames.shape[:2], -1)

    def _after_filters(self, filtered: Tensor) -> Tensor:
        """Go from the outputs of the filters, (N, filters, length), to the last hidden layer."""
        x = self.activation(self.norms[0](max_pool1d(filtered.abs(), self.pool)))
        for convolution, norm in zip(self.convolutions, list(self.norms)[1:], strict=True):
            x = self.activation(norm(max_pool1d(convolution(x), self.pool)))
        hidden: Tensor = self.dense(x)
        return hidden
