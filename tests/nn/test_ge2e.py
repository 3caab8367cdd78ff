"""The speaker encoder: its cutting and hearing against formulas, its network against its equations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mi_lightning.errors import MIError
from mi_lightning.nn.ge2e import (
    SpeakerEncoder,
    load_speaker_encoder,
    made_loud,
    mel_energies,
    slaney_filters,
    window_starts,
    windows,
)


def tone(hz, seconds=0.5, level=1.0):
    return level * torch.sin(2 * math.pi * hz * torch.arange(int(16000 * seconds), dtype=torch.float64) / 16000).float()


def small_encoder():
    torch.manual_seed(0)
    return SpeakerEncoder(hidden=6, layers=3).eval().requires_grad_(False)


def test_network_is_its_equations():
    """Hochreiter's cell as torch orders its gates (input, forget, cell, output), three deep, written out in NumPy."""
    encoder = small_encoder()
    state = {name: value.double().numpy() for name, value in encoder.state_dict().items()}
    x = torch.rand(5, 40, generator=torch.Generator().manual_seed(1))

    def sigmoid(value):
        return 1 / (1 + np.exp(-value))

    sequence = list(x.double().numpy())
    for layer in range(3):
        w, u, b, c = (state[f"lstm.{name}_l{layer}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        hidden, cell, heard = np.zeros(6), np.zeros(6), []
        for frame in sequence:
            i, f, g, o = np.split(w @ frame + b + u @ hidden + c, 4)
            cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
            hidden = sigmoid(o) * np.tanh(cell)
            heard.append(hidden)
        sequence = heard
    expected = np.maximum(state["linear.weight"] @ sequence[-1] + state["linear.bias"], 0)
    assert expected.any()
    np.testing.assert_allclose(encoder(x[None])[0], expected / np.linalg.norm(expected), atol=1e-6)


def test_filters_have_equal_area_and_meet_at_their_middles():
    """Slaney's scale is linear up to 1 kHz: its bands there are equally far apart, above by equal factors."""
    filters = slaney_filters()
    hz = torch.linspace(0, 8000, 201, dtype=torch.float64)
    assert filters.shape == (201, 40)
    wide = filters[:, 20:]  # those of many bins
    torch.testing.assert_close(wide.sum(0) * 40, torch.ones(20, dtype=torch.float64), atol=0.02, rtol=0)
    middle = (filters * hz[:, None]).sum(0) / filters.sum(0)
    ratios = middle[25:] / middle[24:-1]
    assert float(ratios.std()) < 0.01
    # 41 steps of the scale from 0 Hz to 8 kHz: 15 of them up to 1 kHz and 27 log(8) / log(6.4) above, shared by 41
    step = (15 + 27 * math.log(8) / math.log(6.4)) / 41
    assert float(ratios.mean()) == pytest.approx(6.4 ** (step / 27), abs=0.002)


def test_filters_are_those_of_the_formula_at_one_band():
    """The third triangle rises from the third edge over the fourth to the fifth; its area is 1."""
    step = (15 + 27 * math.log(8) / math.log(6.4)) / 41
    low, middle, high = (200 / 3 * step * place for place in (2, 3, 4))
    for bin_ in range(201):
        hz = 40 * bin_
        expected = max(0.0, min((hz - low) / (middle - low), (high - hz) / (high - middle))) * 2 / (high - low)
        assert float(slaney_filters()[bin_, 2]) == pytest.approx(expected, abs=1e-12)


def test_energy_of_a_tone():
    """A tone of amplitude a in the middle of bin k has power (a sum(window) / 2)^2 there, a quarter of it beside it."""
    energies = mel_energies(tone(2000, level=0.5))
    assert energies.shape == (1 + 8000 // 160, 40)
    power = (0.5 * 200 / 2) ** 2
    filters = slaney_filters()
    expected = power * (filters[50] + (filters[49] + filters[51]) / 4)
    torch.testing.assert_close(energies[10].double(), expected, rtol=1e-4, atol=1e-6)


def test_frames_lie_around_multiples_of_the_hop_with_silence_outside():
    wave = torch.zeros(1600)
    wave[800] = 1.0
    heard = mel_energies(wave).sum(1)
    assert heard.argmax() == 5  # sample 800
    assert (heard > 1e-6).nonzero()[:, 0].tolist() == [4, 5, 6]  # 200 samples on both sides, the last of them 0


@pytest.mark.parametrize(
    ("samples", "starts"),
    [
        (1, [0]),
        (16000, [0]),
        (25600, [0]),  # 1.6 s; of a second window there would be less than three quarters
        (12320 + 19199, [0]),  # 19,200 are three quarters of a window that begins at frame 77
        (12320 + 19200, [0, 77]),
        (80000, [0, 77, 154, 231, 308]),
    ],
)
def test_windows_begin_where_they_should(samples, starts):
    assert window_starts(samples) == starts


def test_windows_are_cut_from_the_whole_and_filled_up_with_silence():
    wave = torch.randn(40000, generator=torch.Generator().manual_seed(0))
    cut = windows(wave)
    assert cut.shape == (2, 160, 40)
    whole = mel_energies(torch.cat([wave, torch.zeros(10000)]))
    torch.testing.assert_close(cut[1], whole[77:237])
    short = windows(wave[:8000])
    assert short.shape == (1, 160, 40)
    assert not short[0, 53:].any()
    assert short[0, 48].any()


def test_quiet_sounds_are_raised_and_loud_ones_left_alone():
    quiet = made_loud(tone(440, level=0.001))
    assert float(quiet.square().mean().sqrt()) == pytest.approx(10**-1.5, rel=1e-4)
    loud = tone(440, level=0.5)
    assert torch.equal(made_loud(loud), loud)
    assert not made_loud(torch.zeros(100)).any()


def test_file_of_weights_is_read(tmp_path):
    torch.manual_seed(0)
    encoder = SpeakerEncoder()
    extra = {"similarity_weight": torch.ones(1), "similarity_bias": torch.ones(1)}
    torch.save({"model_state": encoder.state_dict() | extra, "step": 1}, tmp_path / "pretrained.pt")
    read = load_speaker_encoder(tmp_path / "pretrained.pt")
    x = torch.rand(2, 30, 40)
    torch.testing.assert_close(read(x), encoder.eval()(x).detach())
    assert not read.training
    assert not any(weight.requires_grad for weight in read.parameters())


@pytest.mark.parametrize("content", [{"model_state": {"lstm": torch.ones(1)}}, {}, [1], {"model_state": None}])
def test_file_of_something_else(tmp_path, content):
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(MIError, match=r"other\.pt does not hold the speaker encoder"):
        load_speaker_encoder(tmp_path / "other.pt")


def test_file_of_other_sizes(tmp_path):
    torch.save({"model_state": small_encoder().state_dict()}, tmp_path / "small.pt")
    with pytest.raises(MIError, match=r"small\.pt does not hold the speaker encoder"):
        load_speaker_encoder(tmp_path / "small.pt")
