"""One place says the sample rate: data tell the classifier, the target tells the attack, and another is refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import mi_lightning as mi
from mi_lightning.attacks.attack import Attack
from mi_lightning.attacks.filters import BandPass, FilterChain, SpectralEnvelope
from mi_lightning.attacks.initializers import PublicSpeech, SpeechNoise
from mi_lightning.attacks.projections.vocoder import GriffinLim
from mi_lightning.attacks.rows import Rows
from mi_lightning.attacks.spaces import DisguisedSpeech, SlidingWindows, WaveformSpace
from mi_lightning.classifiers import MelSpeakerNet
from mi_lightning.classifiers.loading import load_classifier
from mi_lightning.cli.main import main
from mi_lightning.data import SpeakerFolder
from mi_lightning.errors import InputError
from mi_lightning.lightning.module import Inversion
from mi_lightning.lightning.trainer import InversionTrainer
from mi_lightning.targets import BlackBox, WhiteBox
from mi_lightning.targets.defenses import Rounding
from mi_lightning.targets.defenses.base import defend

soundfile = pytest.importorskip("soundfile", reason="recordings are read by soundfile, of the extra speech")

RATE, CHUNK = 8000, 1600  # 200 ms


def classifier(rate: int = RATE) -> MelSpeakerNet:
    torch.manual_seed(0)
    return MelSpeakerNet(input_shape=(1, CHUNK), num_classes=2, class_names=["anna", "bob"], sample_rate=rate).eval()


def plain() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(CHUNK, 2))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """48 kHz stereo, one of the two speakers in MP3."""
    time = np.arange(48000) / 48000
    for name, hz in (("anna/1.wav", 400), ("bob/1.mp3", 900)):
        path = tmp_path / "speech" / name
        path.parent.mkdir(parents=True)
        tone = 0.4 * np.sin(2 * math.pi * hz * time)
        form = {"format": "MP3", "subtype": "MPEG_LAYER_III"} if name.endswith("mp3") else {}
        soundfile.write(path, np.stack((tone, tone), 1), 48000, **form)
    return tmp_path / "speech"


# ------------------------------------------------------------------------------------------------ the attack


@pytest.mark.parametrize("make", [WhiteBox, BlackBox.of])
def test_targets_say_the_rate_of_their_classifier(make):
    assert make(classifier()).sample_rate == RATE
    assert defend(make(classifier()), [Rounding(r=0.1)]).sample_rate == RATE


def test_nobody_knows_the_rate_of_a_plain_module():
    assert WhiteBox(plain(), input_shape=(1, CHUNK), input_range=(-1.0, 1.0)).sample_rate is None


@pytest.mark.parametrize("space", [WaveformSpace, SlidingWindows, DisguisedSpeech])
def test_spaces_take_the_rate_of_the_target(space):
    made = space(duration=0.5, **({"initializer": SpeechNoise()} if space is DisguisedSpeech else {}))
    made.bind(WhiteBox(classifier()))
    final = made.final if isinstance(made, SlidingWindows) else made
    assert (made.sample_rate, final.samples, final.shift) == (RATE, RATE // 2, RATE // 10)
    made.bind(WhiteBox(classifier(4000)))  # another target, another rate
    assert (made.sample_rate, final.samples) == (4000, 2000)


def test_every_part_works_at_the_rate_of_the_target():
    chain = FilterChain(filters=[BandPass(low=80, high=3000), SpectralEnvelope()])
    start, vocoder = SpeechNoise(), GriffinLim()
    attack = Attack(
        space=WaveformSpace(initializer=start), gradient_filter=chain, projections=[vocoder], max_iterations=1
    )
    attack.engine(WhiteBox(classifier()))
    band, envelope = chain.filters
    rated = (attack.space, start, start.spectrum, band, envelope, envelope.spectrum, vocoder.vocoder)
    assert [part.sample_rate for part in rated] == [RATE] * len(rated)
    kept = (torch.fft.rfft(band(torch.randn(1, 1, CHUNK)))[0, 0].abs() > 1e-4).nonzero()[:, 0] * RATE / CHUNK
    assert (float(kept.min()), float(kept.max())) == (80.0, 3000.0)  # of a filter that was used at another rate before
    assert attack.describe()["space"]["sample_rate"] == RATE


def test_weights_at_another_rate_are_forgotten():
    band = BandPass(low=1000, high=2000)
    before = band(torch.ones(1, 1, CHUNK))
    band.take_rate(RATE)
    fresh = BandPass(low=1000, high=2000, sample_rate=RATE)
    x = torch.randn(1, 1, CHUNK)
    assert torch.equal(band(x), fresh(x))
    assert before.shape == x.shape


@pytest.mark.parametrize(
    "parts",
    [
        {"space": WaveformSpace(sample_rate=16000)},
        {"space": SlidingWindows(sample_rate=16000)},
        {"space": WaveformSpace(initializer=SpeechNoise(sample_rate=16000))},
        {"space": WaveformSpace(initializer=PublicSpeech(sample_rate=16000))},
        {"space": WaveformSpace(), "gradient_filter": BandPass(sample_rate=16000)},
        {"space": WaveformSpace(), "gradient_filter": FilterChain(filters=[SpectralEnvelope(sample_rate=16000)])},
        {"space": WaveformSpace(), "projections": [GriffinLim(sample_rate=16000)]},
    ],
)
def test_another_rate_is_refused(parts):
    with pytest.raises(InputError, match=r"expected sample_rate 8000 of \w+, which is the \w+'s, or none, got 16000"):
        Attack(**parts).engine(WhiteBox(classifier()))


def test_where_the_target_does_not_say_it_the_space_does():
    target = WhiteBox(plain(), input_shape=(1, CHUNK), input_range=(-1.0, 1.0))
    band = BandPass()
    Attack(space=WaveformSpace(sample_rate=RATE), gradient_filter=band).engine(target)
    assert band.sample_rate == RATE
    with pytest.raises(InputError, match=r"sample_rate 8000 of BandPass, which is the space's, or none, got 16000"):
        Attack(space=WaveformSpace(sample_rate=RATE), gradient_filter=BandPass(sample_rate=16000)).engine(target)
    usual = WaveformSpace()
    usual.bind(target)
    assert usual.sample_rate == 16000


def test_public_speech_of_another_rate_is_heard_anew(folder, tmp_path):
    first, second = (
        SpeakerFolder(str(folder), sample_rate=rate, chunk_seconds=0.1, cache_dir=str(tmp_path / "cache"))
        for rate in (16000, RATE)
    )
    start = PublicSpeech(references=first, speed=1.0)
    with pytest.warns(UserWarning, match="several channels"):
        start(Rows.grid([0], 1, seed=0), (1, CHUNK), (-1.0, 1.0))
    start.take_rate(RATE)
    with pytest.raises(InputError, match=r"references at 8000 Hz, got 16000"):
        start(Rows.grid([0], 1, seed=0), (1, CHUNK), (-1.0, 1.0))
    start.references = second
    with pytest.warns(UserWarning, match="several channels"):
        start(Rows.grid([0], 1, seed=0), (1, CHUNK), (-1.0, 1.0))


@pytest.mark.parametrize("rate", [0, -1])
def test_no_rate(rate):
    with pytest.raises(InputError, match="sample_rate >= 1, got"):
        WaveformSpace(sample_rate=rate)


# ------------------------------------------------------------------------------------------------ data and classifier


@pytest.mark.filterwarnings("ignore:.*several channels")
def test_the_command_line_trains_at_the_rate_of_the_data_and_attacks_there(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = ["--data", "mi_lightning.data.SpeakerFolder", "--data.root", str(folder), "--data.batches_per_epoch", "1"]
    model = ["--model", "mi_lightning.classifiers.MelSpeakerNet", "--model.shift_seconds", "0.1"]
    quick = ["--trainer.max_epochs", "1", "--trainer.logger", "false"]
    main(["fit", *model, *data, "--data.sample_rate", "8000", *quick, "--checkpoint", "net.ckpt"])
    assert (load_classifier("net.ckpt").sample_rate, load_classifier("net.ckpt").input_shape) == (RATE, (1, CHUNK))
    attack = ["invert", "--model.classifier_ckpt", "net.ckpt", "--model.space", "WaveformSpace", *data]
    attack += ["--model.max_iterations", "2", "--recogniser", "null", "--data.sample_rate"]
    main([*attack, "8000"])
    (found,) = Path("lightning_logs").rglob("results.json")
    assert json.loads(found.read_text())["attack"]["space"]["sample_rate"] == RATE
    message = r"expected the target's sample rate \(Hz\), 8000, got 16000 \(--data.init_args.sample_rate\)"
    with pytest.raises(InputError, match=message):
        run_raising([*attack, "16000", "--data.chunk_seconds", "0.1"])
    with pytest.raises(InputError, match=r"sample_rate 8000 of WaveformSpace.*got 16000 \(--model.space.init_args"):
        run_raising([*attack, "8000", "--model.space.sample_rate", "16000"])


@pytest.mark.filterwarnings("ignore:.*several channels")
def test_a_rate_beside_that_of_the_data_is_refused(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = ["--model", "mi_lightning.classifiers.MelSpeakerNet", "--model.sample_rate", "16000"]
    flags += ["--data", "mi_lightning.data.SpeakerFolder", "--data.root", str(folder), "--trainer.logger", "false"]
    message = r"the sample rate of the data, 8000, or none, got 16000 \(--model.init_args.sample_rate\)"
    with pytest.raises(InputError, match=message):
        run_raising(["fit", *flags, "--data.sample_rate", "8000"])
    assert not list(tmp_path.glob("**/*.ckpt"))


def run_raising(arguments: list[str]) -> None:
    """Run a command in this process, errors and all."""
    from mi_lightning.cli.runner import run

    run(arguments)


@pytest.mark.filterwarnings("ignore:.*several channels")
def test_a_classifier_at_another_rate_than_the_data_is_not_trained(folder):
    data = SpeakerFolder(str(folder), sample_rate=RATE, chunk_seconds=0.2)
    with pytest.raises(InputError, match="a classifier at the sample rate of the data, 8000 Hz, got one at 16000 Hz"):
        mi.fit(classifier(16000), data, max_epochs=1)


@pytest.mark.filterwarnings("ignore:.*several channels")
def test_data_tell_the_rate_of_a_target_that_does_not_say_it(folder):
    data = SpeakerFolder(str(folder), sample_rate=RATE, chunk_seconds=0.2)
    target = WhiteBox(plain(), input_shape=(1, CHUNK), input_range=(-1.0, 1.0), class_names=["anna", "bob"])
    model = Inversion(target=target, space=WaveformSpace(duration=0.5), max_iterations=2)
    InversionTrainer(
        max_epochs=1, logger=False, enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False
    ).invert(model, datamodule=data, recogniser=None)
    assert model.result.reconstruction.shape == (2, 1, RATE // 2)
