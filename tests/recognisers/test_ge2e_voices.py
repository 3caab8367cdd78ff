"""Voices: how sounds reach the encoder (of random weights here), and real voices where its weights are installed."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from mi_lightning.checkpoint import file_digest
from mi_lightning.data import SyntheticVoices
from mi_lightning.errors import MIError
from mi_lightning.nn.ge2e import SpeakerEncoder, windows
from mi_lightning.recognisers import Gallery, GE2EVoices, ge2e_voices


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return SpeakerEncoder().eval().requires_grad_(False)


@pytest.fixture
def voices(encoder, tmp_path, monkeypatch):
    """A recogniser of random weights."""
    folder = tmp_path / "random_voices"
    folder.mkdir()
    (folder / "__init__.py").touch()
    torch.save({"model_state": encoder.state_dict()}, folder / "pretrained.pt")
    monkeypatch.syspath_prepend(str(tmp_path))
    digest = file_digest(folder / "pretrained.pt")
    monkeypatch.setattr(ge2e_voices, "WEIGHTS", replace(ge2e_voices.WEIGHTS, package="random_voices", sha256=digest))
    monkeypatch.setattr(ge2e_voices, "_MEMORY", {})
    return GE2EVoices()


def sound(seconds, seed=0, rate=16000):
    """Loud noise: louder than -30 dB, so that it stays as it is."""
    return 0.3 * torch.randn(1, int(rate * seconds), generator=torch.Generator().manual_seed(seed)).clamp(-3, 3)


def test_vector_is_the_mean_over_windows_of_unit_length(voices, encoder):
    x = sound(4)
    found = voices.embed([x], value_range=(-1, 1), sample_rate=16000)
    mean = encoder(windows(x[0])).mean(0)
    assert len(windows(x[0])) > 2
    torch.testing.assert_close(found.vectors[0], mean / mean.norm(), rtol=1e-5, atol=1e-6)
    assert found.detected.tolist() == [True]


def test_sound_shorter_than_a_window_is_repeated(voices):
    x = sound(0.7)
    filled = torch.cat([x, x, x], 1)[:, :25600]
    found = voices.embed([x, filled], value_range=(-1, 1), sample_rate=16000).vectors
    assert len(voices.memory) == 2
    torch.testing.assert_close(found[0], found[1], rtol=1e-5, atol=1e-6)
    silent = torch.cat([x, torch.zeros(1, 25600 - x.shape[1])], 1)
    other = voices.embed([silent], value_range=(-1, 1), sample_rate=16000).vectors[0]
    assert not torch.allclose(found[0], other, atol=1e-4)


def test_sounds_of_different_lengths_do_not_depend_on_each_other(voices):
    sounds = [sound(seconds, seed) for seed, seconds in enumerate((0.2, 1, 3, 2.4))]
    together = voices.embed(sounds, value_range=(-1, 1), sample_rate=16000).vectors
    voices.memory.clear()
    for x, expected in zip(sounds, together, strict=True):
        alone = voices.embed([x], value_range=(-1, 1), sample_rate=16000).vectors[0]
        torch.testing.assert_close(alone, expected, rtol=1e-5, atol=1e-6)


def test_other_ranges_and_rates_sound_the_same(voices):
    second = torch.arange(2 * 16000, dtype=torch.float64) / 16000
    x = (0.01 * torch.sin(2 * math.pi * 440 * second)).float()[None]
    expected = voices.embed([x], value_range=(-1, 1), sample_rate=16000).vectors
    shifted = voices.embed([(x + 1) / 2 * 255], value_range=(0, 255), sample_rate=16000).vectors
    torch.testing.assert_close(shifted, expected, rtol=1e-4, atol=1e-5)
    slower = voices.embed([x[:, ::2]], value_range=(-1, 1), sample_rate=8000).vectors
    wrong = voices.embed([x[:, ::2]], value_range=(-1, 1), sample_rate=16000).vectors
    assert (slower - expected).norm() < 0.1 * (wrong - expected).norm()


def test_silence_has_no_vector(voices):
    found = voices.embed([torch.zeros(1, 16000), sound(1)], value_range=(-1, 1), sample_rate=16000)
    assert found.vectors.isfinite().all(1).tolist() == [False, True]
    assert voices.embed([torch.zeros(1, 8000)], value_range=(-1, 1), sample_rate=8000).vectors.isnan().all()


def test_it_says_what_it_is(voices):
    told = voices.describe()
    assert told["class"] == "mi_lightning.recognisers.GE2EVoices"
    assert told["weights"] == {"pretrained.pt": ge2e_voices.WEIGHTS.sha256}
    assert (told["metric"], told["embedding_size"]) == ("cosine", 256)


def test_real_voices_are_told_apart():
    """Of synthetic voices, one second of a sentence that nobody was enrolled with."""
    recogniser = GE2EVoices()
    try:
        recogniser.check()
        data = SyntheticVoices(voices=4, sentences=6)
        data.setup()
    except MIError as error:
        pytest.skip(f"needs Resemblyzer's weights and the extra speech: {error}")
    train = [(label, wave[:, :32000]) for label, wave in data.utterances("train")]
    test = [(label, wave[:, 8000:24000]) for label, wave in data.utterances("test")]
    (known, shown), (label, asked) = zip(*train, strict=True), zip(*test, strict=True)
    vectors = [recogniser.embed(part, value_range=(-1, 1), sample_rate=16000).vectors for part in (shown, asked)]
    gallery = Gallery.enrol(vectors[0], torch.tensor(known), 4, recogniser.metric)
    assert float((gallery.rank(vectors[1], torch.tensor(label)) == 1).double().mean()) > 0.9
