"""The mel scale: frequencies at distances that sound equal, and bands that are evenly spaced on it."""

from __future__ import annotations

import torch
from torch import Tensor


def hz_to_mel(hz: Tensor) -> Tensor:
    """Convert Hz to mel: ``2595 log10(1 + f / 700)`` [O'Shaughnessy 1987]."""
    return 2595 * torch.log10(1 + hz / 700)


def mel_to_hz(mel: Tensor) -> Tensor:
    """Convert mel to Hz, the inverse of `hz_to_mel`."""
    return 700 * (10 ** (mel / 2595) - 1)


def mel_edges(count: int, low_hz: float, high_hz: float, *, dtype: torch.dtype = torch.float32) -> Tensor:
    """Frequencies evenly spaced on the mel scale, ends included, in Hz.

    Args:
        count: How many.
        low_hz: The lowest, Hz.
        high_hz: The highest, Hz.
        dtype: Precision of the arithmetic.

    Returns:
        (count,).

    Example:
        >>> mel_edges(3, 0.0, 1000.0).round()
        tensor([   0.,  391., 1000.])
    """
    low, high = hz_to_mel(torch.tensor([low_hz, high_hz], dtype=dtype)).tolist()
    return mel_to_hz(torch.linspace(low, high, count, dtype=dtype))


def mel_filters(
    bands: int,
    bins: int,
    *,
    sample_rate: int,
    low_hz: float,
    high_hz: float | None = None,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Triangles that are as wide as their neighbours are far on the mel scale, each 1 at its middle.

    Args:
        bands: Number of triangles.
        bins: Frequencies of a spectrum, from 0 to half the rate.
        sample_rate: Hz.
        low_hz: Lower end of the first triangle, Hz.
        high_hz: Upper end of the last, Hz; half the rate if None.
        dtype: Precision of the arithmetic and of the result.

    Returns:
        (bins, bands).
    """
    edges = mel_edges(bands + 2, low_hz, sample_rate / 2 if high_hz is None else high_hz, dtype=dtype)
    return triangles(edges, bins, sample_rate=sample_rate)


def triangles(edges: Tensor, bins: int, *, sample_rate: int) -> Tensor:
    """Triangles of height 1 over a spectrum, each from one edge over the next to the one after it.

    Args:
        edges: Rising frequencies, Hz, shape (bands + 2,).
        bins: Frequencies of a spectrum, from 0 to half the rate.
        sample_rate: Hz.

    Returns:
        (bins, bands).
    """
    frequency = torch.linspace(0, sample_rate / 2, bins, dtype=edges.dtype)[:, None]
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    return torch.minimum((frequency - low) / (middle - low), (high - frequency) / (high - middle)).clamp_min(0)
