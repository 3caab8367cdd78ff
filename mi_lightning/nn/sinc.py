"""Convolution by band-pass filters of which only the cut-off frequencies are learnt [Ravanelli, Bengio, SLT 2018]."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from mi_lightning.audio.mel import mel_edges
from mi_lightning.errors import InputError

_KILO = 1000.0


class SincConv1d(nn.Module):
    r"""Bank of windowed band-pass filters with learnt cut-off frequencies.

    Filter k passes ``f1`` to ``f2`` with ``f1 = low_hz + |a_k|`` and ``f2 = min(f1 + band_hz + |b_k|, rate / 2)``. At
    the sample n from its middle it is (equations 4 and 6 to 8 of the source)

    .. math:: w[n] \, (2 f_2 \,\mathrm{sinc}(2 \pi f_2 n) - 2 f_1 \,\mathrm{sinc}(2 \pi f_1 n)) / (2 (f_2 - f_1))

    with a Hamming window w, the frequencies in cycles a sample and ``sinc(x) = sin(x) / x``; its largest value is 1.
    The filters start side by side on the mel scale. Parameters are in kHz, so that a learning rate of 1e-3 moves a
    cut-off by about 1 Hz a step.

    Args:
        filters: Number of filters.
        taps: Length of each, odd, so that it is symmetric about a sample.
        sample_rate: Hz.
        stride: Samples from one output to the next.
        min_low_hz: Least lower cut-off frequency, Hz.
        min_band_hz: Least width of a band, Hz.

    Attributes:
        low: a of each filter, (filters,), kHz.
        band: b of each filter, (filters,), kHz.

    Raises:
        InputError: If there is no such bank.

    Example:
        >>> bank = SincConv1d(80, 251, sample_rate=16000)
        >>> bank(torch.zeros(2, 1, 3200)).shape
        torch.Size([2, 80, 2950])
    """

    window: Tensor
    time: Tensor

    def __init__(
        self,
        filters: int,
        taps: int,
        *,
        sample_rate: int = 16000,
        stride: int = 1,
        min_low_hz: float = 50.0,
        min_band_hz: float = 50.0,
    ) -> None:
        super().__init__()
        if filters < 1:
            raise InputError("filters >= 1", filters, "--model.filters")
        if taps < 3 or taps % 2 == 0:
            raise InputError("an odd number of taps >= 3", taps, "--model.taps")
        if stride < 1:
            raise InputError("stride >= 1", stride, "--model.stride")
        if min_low_hz < 0 or min_band_hz <= 0 or min_low_hz + min_band_hz >= sample_rate / 2:
            raise InputError(
                f"min_low_hz >= 0 and min_band_hz > 0, together below half the rate of {sample_rate} Hz",
                f"{min_low_hz} and {min_band_hz}",
                "--model.min_low_hz, --model.min_band_hz",
            )
        self.filters, self.taps, self.sample_rate, self.stride = filters, taps, sample_rate, stride
        self.min_low_hz, self.min_band_hz = float(min_low_hz), float(min_band_hz)
        # as the authors: from 30 Hz, so that the lowest filter starts below what is added to each
        ends = min(30.0, min_low_hz), sample_rate / 2 - (min_low_hz + min_band_hz)
        edges = mel_edges(filters + 1, *ends) / _KILO
        self.low = nn.Parameter(edges[:-1].clone())
        self.band = nn.Parameter(edges.diff())
        # constants of the formula; they are made anew, not read from a checkpoint
        half = torch.arange(1, taps // 2 + 1, dtype=torch.float64)
        self.register_buffer("time", (2 * math.pi * half / sample_rate).float(), persistent=False)
        window = 0.54 + 0.46 * torch.cos(2 * math.pi * half / (taps - 1))
        self.register_buffer("window", window.float(), persistent=False)

    @property
    def cutoffs(self) -> Tensor:
        """Lower and upper cut-off frequency of each filter, (filters, 2), Hz."""
        low = self.min_low_hz + _KILO * self.low.abs()
        # a filter that was pushed to the top of the range keeps half a band: the formula divides by its width
        low = low.clamp(max=self.sample_rate / 2 - self.min_band_hz / 2)
        high = (low + self.min_band_hz + _KILO * self.band.abs()).clamp(max=self.sample_rate / 2)
        return torch.stack((low, high), 1)

    def kernels(self) -> Tensor:
        """Impulse responses, (filters, 1, taps)."""
        low, high = self.cutoffs[:, :1], self.cutoffs[:, 1:]
        right = (torch.sin(high * self.time) - torch.sin(low * self.time)) / (self.time * (high - low)) * self.window
        kernels = torch.cat((right.flip(1), torch.ones_like(low), right), 1)
        return kernels[:, None]

    def forward(self, x: Tensor) -> Tensor:
        """Filter (N, 1, samples) to (N, filters, 1 + (samples - taps) // stride)."""
        return strided_conv1d(x, self.kernels().to(x.dtype), self.stride)


def strided_conv1d(x: Tensor, kernels: Tensor, stride: int) -> Tensor:
    """Filter one channel, as ``conv1d(x, kernels, stride=stride)``, by polyphase components.

    A convolution of one channel with a large stride is a convolution of ``stride`` channels with stride 1, which
    processors do several times faster, above all the gradient towards the input.

    Args:
        x: (N, 1, samples).
        kernels: (filters, 1, taps).
        stride: Samples from one output to the next.

    Returns:
        (N, filters, 1 + (samples - taps) // stride).
    """
    if stride < 4:
        return functional.conv1d(x, kernels, stride=stride)
    (n, _, samples), (filters, _, taps) = x.shape, kernels.shape
    phases = -(-taps // stride)
    blocks = (samples - taps) // stride + phases
    x = functional.pad(x, (0, blocks * stride - samples))  # by a negative number where samples at the end are not used
    kernels = functional.pad(kernels, (0, phases * stride - taps))
    return functional.conv1d(
        x.reshape(n, blocks, stride).transpose(1, 2), kernels.reshape(filters, phases, stride).transpose(1, 2)
    )
