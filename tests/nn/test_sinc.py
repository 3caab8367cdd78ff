"""Sinc filters: the formula, an independent design, their spectra, and the fast convolution."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.signal import firwin

from mi_lightning.audio.mel import hz_to_mel, mel_to_hz
from mi_lightning.errors import InputError
from mi_lightning.nn.sinc import SincConv1d, strided_conv1d

RATE = 16000


@pytest.fixture
def bank() -> SincConv1d:
    """A bank whose filters have moved from where they start, some of them to negative parameters."""
    bank = SincConv1d(12, 101, sample_rate=RATE)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        bank.low.add_(0.05 * torch.randn(12, generator=generator))
        bank.band.mul_(torch.randn(12, generator=generator))
    return bank


def test_filters_start_side_by_side_on_the_mel_scale():
    cutoffs = SincConv1d(80, 251, sample_rate=RATE).cutoffs.detach()
    # the published bank: edges even in mel from 30 Hz to 7900 Hz, then 50 Hz added to the low edge and to the band
    mel = np.linspace(2595 * math.log10(1 + 30 / 700), 2595 * math.log10(1 + 7900 / 700), 81)
    edges = 700 * (10 ** (mel / 2595) - 1)
    expected = np.stack([edges[:-1] + 50, np.minimum(edges[1:] + 100, 8000)], 1)
    np.testing.assert_allclose(cutoffs, expected, rtol=1e-4)


def test_kernel_is_the_formula(bank):
    """Equations 4 to 8 of the source, number by number."""
    kernels = bank.kernels().detach()
    for k, (low, high) in enumerate(bank.cutoffs.tolist()):
        for n in (-50, -7, -1, 0, 1, 30):
            f1, f2 = low / RATE, high / RATE

            def sinc(x: float) -> float:
                return math.sin(x) / x if x else 1.0

            ideal = 2 * f2 * sinc(2 * math.pi * f2 * n) - 2 * f1 * sinc(2 * math.pi * f1 * n)
            window = 0.54 - 0.46 * math.cos(2 * math.pi * (n + 50) / 100)
            assert kernels[k, 0, n + 50].item() == pytest.approx(ideal * window / (2 * (f2 - f1)), abs=2e-5)


def test_kernel_is_that_of_a_plain_window_design(bank):
    for kernel, (low, high) in zip(bank.kernels()[:, 0].detach(), bank.cutoffs.tolist(), strict=True):
        high = min(high, RATE / 2 * (1 - 1e-9))  # scipy takes no edge at half the rate
        design = firwin(101, [low, high], window="hamming", pass_zero=False, scale=False, fs=RATE)
        np.testing.assert_allclose(kernel, design / (2 * (high - low) / RATE), atol=2e-5)


def test_band_passes_and_the_rest_does_not():
    bank = SincConv1d(1, 251, sample_rate=RATE)
    with torch.no_grad():
        bank.low.fill_(0.95)  # 1000 Hz
        bank.band.fill_(0.95)  # to 2000 Hz
    time = torch.arange(4000) / RATE

    def gain(hz: float) -> float:
        return bank(torch.sin(2 * math.pi * hz * time)[None, None]).square().mean().sqrt().item()

    inside, below, above = gain(1500), gain(700), gain(2300)
    assert max(below, above) < 0.01 * inside


def test_gradient_towards_the_cutoffs_is_right(bank):
    bank = bank.double()
    x = torch.randn(2, 1, 160, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def loss(low: torch.Tensor, band: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(bank, {"low": low, "band": band}, (x,)).square().mean()

    low, band = bank.low.detach().requires_grad_(), bank.band.detach().requires_grad_()
    assert torch.autograd.gradcheck(loss, (low, band), atol=1e-6)


@pytest.mark.parametrize(("taps", "stride"), [(251, 1), (251, 3), (251, 16), (129, 8), (5, 7), (33, 16), (3, 5)])
@pytest.mark.parametrize("samples", [251, 300, 317, 511])
def test_polyphase_is_the_plain_convolution(taps, stride, samples):
    generator = torch.Generator().manual_seed(taps)
    x = torch.randn(2, 1, samples, generator=generator, dtype=torch.float64, requires_grad=True)
    kernels = torch.randn(3, 1, taps, generator=generator, dtype=torch.float64)
    plain = torch.nn.functional.conv1d(x, kernels, stride=stride)
    fast = strided_conv1d(x, kernels, stride)
    torch.testing.assert_close(fast, plain)
    weights = torch.randn(plain.shape, generator=generator, dtype=torch.float64)
    expected, found = (torch.autograd.grad((y * weights).sum(), x)[0] for y in (plain, fast))
    torch.testing.assert_close(found, expected)


def test_filter_pushed_out_of_the_range_stays_finite():
    bank = SincConv1d(2, 31, sample_rate=RATE)
    with torch.no_grad():
        bank.low.fill_(100.0)
    kernels = bank.kernels()
    assert kernels.isfinite().all()
    kernels.sum().backward()
    assert bank.band.grad.isfinite().all()
    assert (bank.cutoffs[:, 1] > bank.cutoffs[:, 0]).all()


def test_only_the_cutoffs_are_kept():
    assert set(SincConv1d(4, 31).state_dict()) == {"low", "band"}


def test_mel_there_and_back():
    assert hz_to_mel(torch.tensor(1000.0)).item() == pytest.approx(1000, abs=0.1)  # what the scale is fixed by
    hz = torch.tensor([0.0, 50.0, 700.0, 8000.0])
    torch.testing.assert_close(mel_to_hz(hz_to_mel(hz)), hz, atol=1e-2, rtol=0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"filters": 0}, r"filters >= 1, got 0 \(--model\.filters\)"),
        ({"taps": 250}, r"odd number of taps >= 3, got 250"),
        ({"stride": 0}, r"stride >= 1, got 0"),
        ({"min_low_hz": 8000.0}, r"together below half the rate of 16000 Hz, got 8000\.0 and 50\.0"),
        ({"min_band_hz": 0.0}, r"min_band_hz > 0"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(InputError, match=words):
        SincConv1d(**({"filters": 4, "taps": 31} | arguments))
