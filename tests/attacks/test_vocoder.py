from __future__ import annotations

import builtins
import math
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mi_lightning.attacks.attack import Attack
from mi_lightning.attacks.initializers.constant import Zeros
from mi_lightning.attacks.projections.vocoder import GriffinLim, NeuralVocoder, Vocoder
from mi_lightning.attacks.result import InversionResult
from mi_lightning.attacks.spaces.pixel import PixelSpace
from mi_lightning.attacks.spaces.waveform import WaveformSpace
from mi_lightning.classifiers import SoftmaxRegression
from mi_lightning.errors import InputError, MIError
from mi_lightning.nn.vocoder import GriffinLimVocoder, same_loudness
from mi_lightning.targets import WhiteBox
from tests.attacks.vocos import vocos_folder
from tests.judging.voices import RATE, tone


class Flip(torch.nn.Module):
    """A vocoder that changes the sign, and counts."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return -x


def attack(vocoder: Vocoder | None, shape: tuple[int, ...] = (1, 8), space: object = None) -> InversionResult:
    model = SoftmaxRegression(input_shape=shape, num_classes=3, input_range=(-1.0, 1.0))
    with torch.no_grad():
        model.head.weight.copy_(torch.randn(model.head.weight.shape, generator=torch.Generator().manual_seed(0)))
    space = space or WaveformSpace(sample_rate=100, initializer=Zeros())
    projections = [] if vocoder is None else [vocoder]
    return Attack(space=space, projections=projections, max_iterations=4).run(WhiteBox(model))


@pytest.mark.parametrize(("every", "calls"), [(None, 0), (1, 4), (2, 2), (3, 1)])
def test_candidates_are_projected_every_few_iterations(every, calls):
    flip = Flip()
    attack(Vocoder(flip, every))
    assert flip.calls == calls + 1  # once to try


def test_what_is_evaluated_has_been_projected():
    seen = []

    class Mute(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x.clone())
            return torch.zeros_like(x)

    result = attack(Vocoder(Mute(), 1))
    assert not result.candidate.any()  # silence is as loud as it can be made: it stays silence
    assert len(seen) == 5
    assert all(bool(x.any()) for x in seen[1:])


def test_loudness_is_kept_within_the_range():
    x, like = torch.randn(3, 1, 500, generator=torch.Generator().manual_seed(0)), 0.2 * torch.ones(3, 1, 500)
    found = same_loudness(x, like, (-9.0, 9.0))
    torch.testing.assert_close(found.square().mean(-1).sqrt(), like[..., 0])
    assert float(same_loudness(x, like, (-0.3, 0.3)).abs().max()) == pytest.approx(0.3)
    assert same_loudness(torch.zeros(1, 1, 4), torch.ones(1, 1, 4), (-1.0, 1.0)).isfinite().all()


# how far a tone of 1000 Hz may lie from where it was: a bin of 1024 samples at 16 kHz; on the mel scale, which does not
# say where in a band it is, half the distance of two of the 80 bands, (700 + 1000) ln(10) / 2595 Hz a mel apart
OFF = {"linear": 16000 / 1024, "mel": 2595 * math.log10(1 + 8000 / 700) / 81 * 1700 * math.log(10) / 2595 / 2}


@pytest.mark.parametrize("scale", ["mel", "linear"])
def test_griffin_lim_keeps_a_tone_and_its_length(scale):
    wave = tone(1000, 0.5)[None, None]
    found = GriffinLim(scale=scale).project(wave, (-1.0, 1.0))
    assert found.shape == wave.shape
    spectrum = torch.fft.rfft(found[0, 0]).abs()
    assert abs(int(spectrum.argmax()) * 2 - 1000) <= OFF[scale]  # bins of 2 Hz
    torch.testing.assert_close(found, GriffinLim(scale=scale).project(wave, (-1.0, 1.0)))  # nothing is drawn


def test_griffin_lim_takes_waveforms_shorter_than_its_window():
    assert GriffinLimVocoder()(tone(1000, 0.02)[None, None]).shape == (1, 1, 320)


def test_linear_griffin_lim_finds_the_amplitudes_again():
    wave = torch.randn(1, 1, RATE // 2, generator=torch.Generator().manual_seed(0)) / 4
    window = torch.hann_window(1024)

    def amplitude(x: Tensor) -> Tensor:
        return torch.stft(x[:, 0], 1024, 256, window=window, return_complex=True).abs()

    found = GriffinLimVocoder(scale="linear", iterations=32)(wave)
    error = (amplitude(found) - amplitude(wave)).norm() / amplitude(wave).norm()
    assert float(error) < 0.3
    assert float((found - wave).norm() / wave.norm()) > 0.5  # phases are others


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return vocos_folder(tmp_path)


def test_neural_vocoder_from_a_folder(weights):
    stage, wave = NeuralVocoder(weights=str(weights)), tone(1000, 0.3)[None, None].repeat(2, 1, 1)
    found = stage.project(wave, (-1.0, 1.0))
    assert found.shape == wave.shape
    assert found.isfinite().all()
    torch.testing.assert_close(found[0], found[1])
    found.add_(1)  # an ordinary tensor, which an attack may change


@pytest.mark.parametrize("missing", ["config.yaml", "pytorch_model.bin"])
def test_incomplete_weights_are_told(weights, missing):
    (weights / missing).unlink()
    with pytest.raises(InputError, match=rf"expected {missing} in the folder of weights, got none in .*weights"):
        NeuralVocoder(weights=str(weights)).project(torch.zeros(1, 1, 4800), (-1.0, 1.0))


def test_weights_of_something_else_are_told(weights):
    torch.save({"weight": torch.zeros(1)}, weights / "pytorch_model.bin")
    with pytest.raises(InputError, match="expected weights of Vocos, got"):
        NeuralVocoder(weights=str(weights)).project(torch.zeros(1, 1, 4800), (-1.0, 1.0))


def test_a_folder_that_is_not_there_is_told():
    with pytest.raises(InputError, match=r"expected a folder of weights, or a name on the hub, got ./nowhere"):
        NeuralVocoder(weights="./nowhere").project(torch.zeros(1, 1, 4800), (-1.0, 1.0))


def test_a_hub_that_cannot_be_reached_is_told(monkeypatch):
    vocos = pytest.importorskip("vocos")

    def fail(name: str) -> None:
        raise OSError("no network")

    monkeypatch.setattr(vocos.Vocos, "from_pretrained", fail)
    with pytest.raises(InputError, match="that can be reached, got somebody/weights: no network"):
        NeuralVocoder(weights="somebody/weights").project(torch.zeros(1, 1, 4800), (-1.0, 1.0))


def test_without_torchaudio_one_line_says_which_versions_go_together(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchaudio", None)
    with pytest.raises(MIError, match=r"torchaudio 2.11.*goes with torch 2.11 to 2.14"):
        attack(GriffinLim())
    attack(None)  # the rest works


def test_without_vocos_one_line_says_how_to_get_it(monkeypatch, tmp_path):
    real = builtins.__import__

    def fake(name: str, *rest: object) -> object:
        if name == "vocos":
            raise ImportError("No module named 'vocos'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", fake)
    with pytest.raises(
        MIError, match=r"NeuralVocoder needs the package vocos, which fails: No module.*pip install vocos"
    ):
        NeuralVocoder(weights=str(tmp_path)).project(torch.zeros(1, 1, 4800), (-1.0, 1.0))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GriffinLim(every=0), r"^expected every >= 1, got 0 \(every\)$"),
        (lambda: GriffinLim(scale="bark"), "expected scale mel or linear, got bark"),
        (lambda: GriffinLim(hop=1000), "expected hop <= 512, half of n_fft, got 1000"),
        (lambda: GriffinLim(iterations=0), "expected iterations >= 1, got 0"),
        (lambda: GriffinLimVocoder(momentum=1.0), r"expected momentum in \[0, 1\), got 1.0"),
        (lambda: NeuralVocoder(model_rate=0), "expected model_rate >= 1, got 0"),
    ],
)
def test_bad_input_is_told_in_one_line(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_pictures_are_refused():
    with pytest.raises(InputError, match=r"expected sounds \(1, samples\) for Vocoder, got shape \(1, 4, 4\)"):
        attack(Vocoder(Flip(), 1), shape=(1, 4, 4), space=PixelSpace())
