"""The evaluator of voices: its mel frames, its augmentation, any length, and that it learns."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from mi_lightning.audio.mel import hz_to_mel, mel_filters
from mi_lightning.classifiers import MelSpeakerNet
from mi_lightning.classifiers.loading import load_classifier, save_classifier
from mi_lightning.classifiers.mel_speaker_net import LogMel
from mi_lightning.errors import InputError

STILL = {"noise": 0, "tilt": 0, "mask": 0}


def make(**arguments) -> MelSpeakerNet:
    torch.manual_seed(0)
    tiny = {"input_shape": (1, 1600), "num_classes": 3, "bands": 16, "width": 12, "hidden": 10}
    return MelSpeakerNet(**tiny | arguments).eval()


@pytest.fixture
def speech() -> Tensor:
    return 0.1 * torch.randn(4, 1, 4000, generator=torch.Generator().manual_seed(1))


def test_triangles_overlap_to_one_and_peak_where_they_should():
    filters = mel_filters(20, 257, sample_rate=16000, low_hz=100, high_hz=7000)
    frequency = torch.linspace(0, 8000, 257)
    edges = torch.linspace(*hz_to_mel(torch.tensor([100.0, 7000.0])).tolist(), 22)
    inside = (hz_to_mel(frequency) > edges[1]) & (hz_to_mel(frequency) < edges[-2])
    # neighbours fall and rise over the same stretch
    torch.testing.assert_close(filters[inside].sum(1), torch.ones(int(inside.sum())), atol=1e-4, rtol=0)
    peaks = hz_to_mel(frequency[filters.argmax(0)])
    torch.testing.assert_close(peaks, edges[1:-1], atol=45.0, rtol=0)  # a bin is 45 mel wide at the lower end
    assert filters[(frequency < 100) | (frequency > 7000)].eq(0).all()


def test_tone_lands_in_its_band():
    mel = LogMel(40)
    edges = torch.linspace(*hz_to_mel(torch.tensor([50.0, 8000.0])).tolist(), 42)[1:-1]
    for hz in (300.0, 1000.0, 3000.0):
        x = torch.sin(2 * math.pi * hz * torch.arange(8000) / 16000)[None, None]
        frames = mel(x)
        assert frames.shape == (1, 40, 1 + (8000 - 512) // 160)
        assert frames.mean(2).argmax().item() == (edges - hz_to_mel(torch.tensor(hz))).abs().argmin().item()


def test_loudness_and_offset_carry_no_name(speech):
    classifier = make()
    torch.testing.assert_close(classifier(0.3 * speech + 0.2), classifier(speech), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("samples", [1600, 1601, 4000])
def test_any_length(speech, samples):
    classifier = make()
    x = speech[:, :, :samples]
    assert classifier(x).shape == (4, 3)
    assert classifier.features(x).shape == (4, 10)
    torch.testing.assert_close(classifier(x), classifier.head(classifier.features(x)))
    assert classifier.frame_logits(x).shape == (4, 1 + (samples - 1600) // 160, 3)
    torch.testing.assert_close(classifier.frame_logits(x)[:, 0], classifier(x[:, :, :1600]))


def test_gradient_towards_the_waveform_is_right():
    classifier = make().requires_grad_(False)
    classifier.mel.float()
    x = 0.3 * torch.randn(1, 1, 1600, generator=torch.Generator().manual_seed(3))
    direction = torch.randn(1, 1, 1600, generator=torch.Generator().manual_seed(4))
    (slope,) = torch.autograd.grad(classifier(x.requires_grad_())[0, 1], x)
    with torch.no_grad():
        difference = classifier(x + 1e-3 * direction)[0, 1] - classifier(x - 1e-3 * direction)[0, 1]
    assert (slope * direction).sum().item() == pytest.approx(difference.item() / 2e-3, rel=0.02)


def test_silence_gives_finite_logits_and_gradient():
    x = torch.zeros(2, 1, 2000, requires_grad=True)
    logits = make()(x)
    logits.sum().backward()
    assert logits.isfinite().all()
    assert x.grad.isfinite().all()


def test_nothing_asked_for_changes_nothing_but_the_length(speech):
    classifier = make(**STILL).train()
    lengths = set()
    for _ in range(40):
        changed = classifier.augment(speech)
        assert torch.equal(changed, speech[:, :, : changed.shape[2]])
        lengths.add(changed.shape[2])
    assert lengths <= set(range(1600, 4001, 160))
    assert {1600, 4000} <= lengths
    mel = classifier.mel(speech)
    assert torch.equal(classifier._hide(mel), mel)


def test_noise_keeps_to_its_limit(speech):
    classifier = make(**STILL | {"noise": 0.5})
    x = speech[:1].expand(300, 1, 4000)
    changed = classifier.augment(x)
    x = x[:, :, : changed.shape[2]]
    ratio = ((changed - x).std(2) / x.std(2))[:, 0]
    assert 0.45 < ratio.max() <= 0.5001
    assert ratio.min() < 0.05


def test_tilt_keeps_to_its_limit():
    """White noise of one flat spectrum: the change of each frequency, in decibels, is what was drawn."""
    classifier = make(**STILL | {"tilt": 6.0})
    pulse = torch.zeros(100, 1, 1600)
    pulse[:, 0, 0] = 1
    decibels = 20 * torch.fft.rfft(classifier.augment(pulse)[:, 0]).abs().log10()
    assert decibels.abs().max() <= 6.01
    assert decibels.max() > 4.5
    assert decibels.diff(dim=1).abs().max() < 6  # smooth


def test_mask_hides_neighbouring_bands(speech):
    classifier = make(**STILL | {"mask": 0.5})
    mel = classifier.mel(speech[:1]).expand(200, -1, -1)
    hidden = (classifier._hide(mel) != mel).any(2)
    assert hidden.sum(1).max() in (7, 8)
    assert hidden.sum(1).min() == 0
    assert (hidden.int().diff(dim=1).abs().sum(1) <= 2).all()  # in one piece


def test_no_augmentation_outside_training_steps(speech, monkeypatch):
    classifier = make()
    calls = []
    monkeypatch.setattr(classifier, "augment", lambda x: calls.append(len(x)) or x)
    classifier.test_step((speech[:1], torch.tensor([0])), 0)
    classifier(speech)
    assert not calls
    classifier.training_step((speech, torch.tensor([0, 1, 2, 0])), 0)
    assert calls == [4]


def test_checkpoint(tmp_path, speech):
    classifier = make()
    save_classifier(classifier, tmp_path / "mel.ckpt")
    loaded = load_classifier(tmp_path / "mel.ckpt")
    assert isinstance(loaded, MelSpeakerNet)
    assert torch.equal(loaded(speech), classifier(speech))


def test_training_reduces_the_loss():
    generator = torch.Generator().manual_seed(0)
    time = torch.arange(3200) / 16000
    y = torch.arange(3).repeat(6)
    buzz = torch.sin(2 * math.pi * torch.tensor([300.0, 900.0, 2500.0])[y][:, None] * time)
    classifier = make(dropout=0.0).train()
    optimizer = torch.optim.Adam(classifier.parameters(), lr=0.01)
    losses = []
    for _ in range(25):
        x = (buzz + 0.5 * torch.randn(18, 3200, generator=generator))[:, None]
        loss = classifier.training_step((x, y), 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.3 * sum(losses[:5])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"input_shape": (1, 400)}, r"a chunk of 512 samples or more, got 400"),
        ({"bands": 1}, r"bands >= 2, got 1 \(--model\.bands\)"),
        ({"noise": -1.0}, r"0 <= noise <= 10, got -1\.0"),
        ({"mask": 1.0}, r"0 <= mask < 1, got 1\.0"),
        ({"shift_seconds": 5.0}, r"shift_seconds between one sample and a chunk"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(InputError, match=words):
        make(**arguments)


def test_shorter_than_a_chunk():
    with pytest.raises(InputError, match=r"1600 samples \(a chunk\) or more, got \(2, 1, 1599\)"):
        make()(torch.zeros(2, 1, 1599))
