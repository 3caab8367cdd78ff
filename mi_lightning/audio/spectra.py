"""Spectra of waveforms, and how much a waveform is like speech, whoever speaks."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from mi_lightning.audio.mel import mel_filters

_WINDOW, _HOP = 512, 160  # samples of a short-time spectrum: 32 ms every 10 ms at 16 kHz


_FLOOR = 1e-3  # of the power in all bands: what is 30 dB below is not told apart, as by ear beside the rest


def power_spectra(x: Tensor) -> Tensor:
    """Short-time power spectra of waveforms (N, samples), 32 ms at 16 kHz, shape (N, 257, frames)."""
    window = torch.hann_window(_WINDOW, dtype=x.dtype, device=x.device)
    padded = pad(x, (0, max(0, _WINDOW - x.shape[-1])))
    return torch.stft(padded, _WINDOW, _HOP, window=window, center=False, return_complex=True).abs().square()


def band_matrix(bands: int, sample_rate: int) -> Tensor:
    """Triangular bands evenly spaced on the mel scale between 60 Hz and half the rate, shape (bands, 257)."""
    filters = mel_filters(bands, _WINDOW // 2 + 1, sample_rate=sample_rate, low_hz=60.0, dtype=torch.float64)
    return filters.T.float()


def long_term_spectrum(x: Tensor, sample_rate: int = 16000, bands: int = 40) -> Tensor:
    """Return the mean power in each mel band relative to the whole, in decibels, of waveforms (N, samples): (N, bands).

    The long-term average spectrum of speech is much the same for all languages and speakers (Byrne et al., *An
    international comparison of long-term average speech spectra*, J. Acoust. Soc. Am. 96, 1994).
    """
    power = band_matrix(bands, sample_rate).to(x) @ power_spectra(x).mean(-1).unsqueeze(-1)
    share = power[..., 0] / power.sum((1, 2), keepdim=True)[..., 0].clamp_min(torch.finfo(x.dtype).tiny)
    return 10 * share.clamp_min(_FLOOR).log10()


def spectral_distance(x: Tensor, reference: Tensor, sample_rate: int = 16000) -> Tensor:
    """Return the log-spectral distance of long-term spectra: root mean square difference over mel bands, in decibels.

    Args:
        x: Waveforms, shape (N, samples).
        reference: Long-term spectrum of real speech (:func:`long_term_spectrum`), shape (bands,) or (N, bands).
        sample_rate: Samples in a second.

    Returns:
        Shape (N,); 0 for the same spectrum.
    """
    return (long_term_spectrum(x, sample_rate, reference.shape[-1]) - reference).square().mean(-1).sqrt()


def modulation(x: Tensor, sample_rate: int = 16000) -> Tensor:
    """Return how much the loudness of waveforms (N, samples) varies as that of speech does, shape (N,), in [0, 1].

    The share of the variance of the envelopes of 40 mel bands (in decibels) that lies between 2 and 16 Hz, the rate of
    syllables (Houtgast, Steeneken, *A review of the MTF concept in room acoustics*, J. Acoust. Soc. Am. 77, 1985),
    times min(1, standard deviation / 10 dB): stationary noise varies fast and little, speech slowly and much.
    """
    power = band_matrix(40, sample_rate).to(x) @ power_spectra(x)
    loudest = power.amax((1, 2), keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)
    envelope = 10 * (power / loudest).clamp_min(1e-6).log10()
    envelope = envelope - envelope.mean(-1, keepdim=True)
    spectrum = torch.fft.rfft(envelope).abs().square()[..., 1:].mean(1)
    rate = torch.fft.rfftfreq(envelope.shape[-1], _HOP / sample_rate, device=x.device)[1:]
    if len(rate) == 0:
        return x.new_zeros(len(x))
    share = spectrum[:, (rate >= 2) & (rate <= 16)].sum(-1) / spectrum.sum(-1).clamp_min(torch.finfo(x.dtype).tiny)
    depth = envelope.square().mean((1, 2)).sqrt() / 10
    likeness: Tensor = share * depth.clamp_max(1)
    return likeness
