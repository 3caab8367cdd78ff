from __future__ import annotations

import math

import pytest
import torch

from mi_lightning.attacks.estimators.augmented import AugmentedAutograd
from mi_lightning.attacks.filters.spectral import BandPass, SpectralEnvelope
from mi_lightning.attacks.initializers.speech_noise import SpeechNoise
from mi_lightning.attacks.rows import Rows, RowState
from mi_lightning.audio.spectra import long_term_spectrum, spectral_distance
from mi_lightning.data.speech.spectrum import SpeechSpectrum
from mi_lightning.errors import InputError
from tests.judging.voices import ToneSpeakers

RATE = 16000


def tone(hertz: float, samples: int = RATE) -> torch.Tensor:
    return torch.sin(2 * math.pi * hertz * torch.arange(samples, dtype=torch.float64) / RATE).float()


def test_published_spectrum_has_the_levels_of_its_table():
    amplitude = SpeechSpectrum().amplitude(RATE)  # 1 Hz apart
    decibels = 20 * amplitude.log10()
    # third-octave levels 62.1 dB at 500 Hz and 48.7 dB at 2 kHz, over bands whose widths are as 1 to 4
    assert float(decibels[500] - decibels[2000]) == pytest.approx(62.1 - 48.7 + 10 * math.log10(4), abs=0.01)
    assert float(amplitude[0]) == 0
    assert float(amplitude.max()) == 1
    # halfway between two bands on a logarithmic scale: halfway between their levels
    middle = round(math.sqrt(1600 * 2000))
    assert float(decibels[middle]) == pytest.approx(float(decibels[1600] + decibels[2000]) / 2, abs=0.05)


def test_measured_spectrum_is_that_of_the_references():
    data = ToneSpeakers(hertz=(1000.0, 3000.0))
    amplitude = SpeechSpectrum(data).amplitude(RATE)
    assert int(amplitude.argmax()) in (1000, 3000)
    assert float(amplitude[2000]) < 1e-2
    assert float(amplitude[1000]) == pytest.approx(float(amplitude[3000]), rel=0.05)


def test_references_of_another_rate_are_refused():
    with pytest.raises(InputError, match="expected references at 8000 Hz, got 16000"):
        SpeechSpectrum(ToneSpeakers(), sample_rate=8000).amplitude(100)


def test_speech_noise_sounds_like_speech_and_has_the_size_asked_for():
    rows = Rows.grid([0, 1], 1, seed=0)
    noise = SpeechNoise(std=0.05)(rows, (1, 3 * RATE), (-1.0, 1.0))
    torch.testing.assert_close(noise.square().mean(-1).sqrt(), torch.full((2, 1), 0.05), atol=1e-4, rtol=0)
    assert not torch.allclose(noise[0], noise[1])
    again = SpeechNoise(std=0.05)(Rows.grid([1], 1, seed=0), (1, 3 * RATE), (-1.0, 1.0))
    torch.testing.assert_close(again[0], noise[1])  # a row's noise is its own
    white = torch.randn(2, 3 * RATE, generator=torch.Generator().manual_seed(0))
    shaped = torch.fft.irfft(SpeechSpectrum().amplitude(3 * RATE) * torch.fft.rfft(white))
    reference = long_term_spectrum(shaped).mean(0)
    assert (spectral_distance(noise[:, 0], reference) < 1).all()
    assert (spectral_distance(white, reference) > 5).all()


def test_band_pass_keeps_its_band():
    gradient = (tone(500) + tone(5000))[None, None]
    torch.testing.assert_close(BandPass(low=100, high=1000)(gradient)[0, 0], tone(500), atol=1e-4, rtol=0)


def test_spectral_envelope_is_the_amplitude_to_the_power():
    gradient = (tone(500) + tone(2000))[None, None]
    amplitude = SpeechSpectrum().amplitude(RATE)
    for power in (0.0, 1.0, 2.0):
        found = SpectralEnvelope(power=power)(gradient)[0, 0]
        expected = amplitude[500] ** power * tone(500) + amplitude[2000] ** power * tone(2000)
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_filters_are_symmetric_and_point_downhill():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 1, 1, 400, generator=generator)
    for part in (BandPass(low=300, high=3000), SpectralEnvelope()):
        torch.testing.assert_close((part(a) * b).sum(), (a * part(b)).sum(), atol=1e-4, rtol=1e-4)
        assert float((part(a) * a).sum()) > 0


class _Sum(torch.nn.Module):
    """A cost that is the scalar product with a ramp; counts what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []

    def forward(self, z: torch.Tensor, label: torch.Tensor, rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
        self.seen.append(z.detach())
        cost = (z * torch.arange(z.shape[-1])).flatten(1).sum(1)
        return cost, cost


def test_augmented_gradient_is_moved_back_and_scaled():
    rows, z = Rows.grid([0, 1, 2], 1, seed=3), torch.randn(3, 1, 50, generator=torch.Generator().manual_seed(0))
    objective = _Sum()
    gradient = AugmentedAutograd(shift=7, gain=0.3).gradient(objective, z, RowState(rows, z))
    moved: set[int] = set()
    for row in range(3):
        moves = [by for by in range(-7, 8) if _moved(z[row, 0], by, objective.seen[0][row, 0])]
        assert len(moves) == 1
        moved.add(moves[0])
        gain = float(objective.seen[0][row].norm() / z[row].norm())
        assert 0.7 <= gain <= 1.3
        # the gradient of <ramp, gain * roll(z)> is gain * the ramp rolled back
        torch.testing.assert_close(gradient[row, 0], gain * torch.arange(50.0).roll(-moves[0]), atol=1e-3, rtol=1e-4)
    assert len(moved) > 1  # each row by a number of its own


def _moved(x: torch.Tensor, by: int, seen: torch.Tensor) -> bool:
    return bool(torch.nn.functional.cosine_similarity(x.roll(by), seen, dim=0) > 0.9999)


def test_augmented_evaluation_is_of_the_candidate_itself():
    objective, z = _Sum(), torch.randn(2, 1, 50)
    evaluation = AugmentedAutograd().evaluate(objective, z, RowState(Rows.grid([0, 1], 1, seed=0), z))
    torch.testing.assert_close(objective.seen[0], z)
    assert evaluation.gradient is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SpeechNoise(std=-1.0), "expected a finite std >= 0, got -1.0"),
        (lambda: BandPass(low=200, high=100), "expected 0 <= low < high, got 200 and 100"),
        (lambda: SpectralEnvelope(power=-1), "expected a finite power >= 0, got -1"),
        (lambda: AugmentedAutograd(shift=-1), "expected shift >= 0, got -1"),
        (lambda: AugmentedAutograd(gain=1.0), r"expected gain in \[0, 1\), got 1.0"),
        (lambda: AugmentedAutograd(noise=-1.0), "expected a finite noise >= 0, got -1.0"),
        (lambda: AugmentedAutograd(samples=0), "expected samples >= 1, got 0"),
    ],
)
def test_bad_input_is_told_in_one_line(make, message):
    with pytest.raises(InputError, match=message):
        make()
