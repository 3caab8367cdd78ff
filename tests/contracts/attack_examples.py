"""One example or more of every part of an attack, for the contract tests.

A part that is exported from a role folder of ``mi_lightning.attacks`` is tested by the contracts of its role as soon as
it has an example here; without one the tests fail.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mi_lightning.attacks.costs import (
    Cost,
    DVectorDistance,
    NegativeLogConfidence,
    NegativeLogit,
    NegativeLogOdds,
    OneMinusConfidence,
)
from mi_lightning.attacks.filters import (
    BandPass,
    FilterChain,
    GaussianBlur,
    PowerLaw,
    PublicFaces,
    SpectralEnvelope,
    UnitRMS,
)
from mi_lightning.attacks.initializers import (
    GivenImage,
    MidGrey,
    NaturalNoise,
    Noise,
    PublicMean,
    PublicSpeech,
    SpeechNoise,
    Zeros,
)
from mi_lightning.attacks.priors import L2, CodeNorm, TotalVariation
from mi_lightning.attacks.projections import GriffinLim, NeuralVocoder, ProcessDAE, Vocoder
from mi_lightning.attacks.spaces import DisguisedSpeech, LatentSpace, PixelSpace, SlidingWindows, WaveformSpace
from mi_lightning.attacks.transforms import HorizontalFlip, RandomResizedCrop, RandomShift
from mi_lightning.classifiers import SoftmaxRegression, StackedDAE
from mi_lightning.classifiers.base import Classifier
from mi_lightning.targets import WhiteBox
from tests.attacks.vocos import vocos_folder
from tests.judging.voices import ToneEar, ToneSpeakers

PICTURE, PEOPLE, CODE, CHUNK = (1, 9, 7), 4, 3, 400


@dataclass(frozen=True)
class Materials:
    """Files that examples are made of: a face generator, a picture of 9 x 7 pixels, empty folders."""

    generator: str
    picture: str
    cache: str
    folder: Path

    def speech(self) -> ToneSpeakers:
        """Four speakers that hum."""
        return ToneSpeakers(cache_dir=self.cache)

    def vocos(self) -> str:
        """A tiny neural vocoder with drawn weights; the test is skipped where its package is missing."""
        return str(vocos_folder(self.folder / "vocos"))


def filled(model: nn.Module, scale: float = 0.4) -> Any:
    """Draw the weights of a model, always the same ones."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * scale)
    return model.eval()


def softmax(shape: tuple[int, ...] = PICTURE, input_range: tuple[float, float] = (0.0, 1.0)) -> Classifier:
    """A softmax regression whose weights are drawn."""
    return filled(SoftmaxRegression(input_shape=shape, num_classes=PEOPLE, input_range=input_range))


def dae(shape: tuple[int, ...] = PICTURE) -> Classifier:
    """A stacked denoising autoencoder whose weights are drawn."""
    return filled(StackedDAE(input_shape=shape, num_classes=PEOPLE, hidden=(6, CODE)))


def listener() -> Classifier:
    """A softmax regression on chunks of sound."""
    return softmax((1, CHUNK), (-1.0, 1.0))


class Decoder(nn.Module):
    """Codes to pictures, smooth and not linear."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(CODE, 63)
        filled(self)

    def forward(self, code: Tensor) -> Tensor:
        return self.layer(code).sigmoid().view(-1, *PICTURE)


class Halve(nn.Module):
    """A vocoder that leaves out every second sample."""

    def forward(self, x: Tensor) -> Tensor:
        return x * (torch.arange(x.shape[-1], device=x.device) % 2 == 0)


#: What makes an example: a part out of the materials, and what else the contract of the role has to know.
Made = tuple[Callable[[Materials], Any], dict[str, Any]]


def _made(make: Callable[[Materials], Any], **facts: Any) -> Made:
    return make, facts


FILTERS: dict[type, list[Made]] = {
    BandPass: [_made(lambda m: BandPass(low=500, high=3000), shape=(1, CHUNK))],
    FilterChain: [_made(lambda m: FilterChain(filters=[GaussianBlur(sigma=0.7), PowerLaw()]), shape=PICTURE)],
    GaussianBlur: [_made(lambda m: GaussianBlur(sigma=1.2), shape=PICTURE)],
    PowerLaw: [_made(lambda m: PowerLaw(exponent=1.5, corner=1.0), shape=(3, 8, 11))],
    PublicFaces: [
        _made(
            lambda m: PublicFaces(
                components=5, count=40, weights=m.generator, cache=m.cache, rest_filter=GaussianBlur(sigma=1.0)
            ),
            shape=PICTURE,
        )
    ],
    SpectralEnvelope: [_made(lambda m: SpectralEnvelope(power=1.0), shape=(1, CHUNK))],
    UnitRMS: [_made(lambda m: UnitRMS(), shape=PICTURE, linear=False)],
}

INITIALIZERS: dict[type, list[Made]] = {
    GivenImage: [_made(lambda m: GivenImage(path=m.picture), shape=PICTURE)],
    MidGrey: [_made(lambda m: MidGrey(), shape=PICTURE), _made(lambda m: MidGrey(), shape=(CODE,))],
    NaturalNoise: [_made(lambda m: NaturalNoise(), shape=(3, 8, 11), random=True)],
    Noise: [
        _made(lambda m: Noise(distribution="normal", std=0.01), shape=PICTURE, random=True),
        _made(lambda m: Noise(distribution="laplace", std=0.01), shape=PICTURE, random=True),
        _made(lambda m: Noise(distribution="uniform", std=0.01), shape=(CODE,), random=True),
    ],
    PublicMean: [_made(lambda m: PublicMean(count=40, weights=m.generator, cache=m.cache), shape=PICTURE)],
    PublicSpeech: [_made(lambda m: PublicSpeech(references=m.speech()), shape=(1, CHUNK), sound=True, random=True)],
    SpeechNoise: [_made(lambda m: SpeechNoise(std=0.3), shape=(1, CHUNK), sound=True, random=True)],
    Zeros: [_made(lambda m: Zeros(), shape=PICTURE)],
}

SPACES: dict[type, list[Made]] = {
    DisguisedSpeech: [
        _made(
            lambda m: DisguisedSpeech(
                duration=0.05, bands=6, step=0.02, initializer=PublicSpeech(references=m.speech())
            ),
            classifier=listener,
        )
    ],
    LatentSpace: [
        _made(lambda m: LatentSpace(initializer=Noise(mean=0.0, std=0.3)), classifier=dae),
        _made(lambda m: LatentSpace(look_at="image", initializer=Noise(mean=0.0, std=0.3)), classifier=dae),
        _made(
            lambda m: LatentSpace(decoder=Decoder(), code_size=CODE, look_at="image", code_range=(-2.0, 2.0)),
            classifier=softmax,
        ),
    ],
    PixelSpace: [_made(lambda m: PixelSpace(), classifier=softmax)],
    SlidingWindows: [_made(lambda m: SlidingWindows(duration=0.05, stride=150), classifier=listener)],
    WaveformSpace: [
        _made(lambda m: WaveformSpace(), classifier=listener),
        _made(lambda m: WaveformSpace(duration=0.05, frame_shift=0.005), classifier=listener),
        # taking away frequencies and clamping do not commute: one of them at a time
        _made(lambda m: WaveformSpace(band=(500.0, 4000.0), clamp=False), classifier=listener, clamped=False),
    ],
}


def by_hand(target: WhiteBox, x: Tensor, label: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of log p_label and of the logit of a softmax regression, each like ``x``, and p_label."""
    weight = target.classifier.head.weight.detach().double()
    confidence = (x.double().flatten(1) @ weight.T + target.classifier.head.bias.detach().double()).softmax(1)
    slope, own = weight[label] - confidence @ weight, confidence.gather(1, label[:, None])
    return slope.view_as(x), weight[label].view_as(x), own.view(-1, *(1,) * (x.ndim - 1))


COSTS: dict[type, list[Made]] = {
    DVectorDistance: [
        _made(lambda m: DVectorDistance(references=m.speech()), classifier=ToneEar, of_features=True),
        _made(
            lambda m: DVectorDistance(references=m.speech(), distance="euclidean"),
            classifier=ToneEar,
            of_features=True,
        ),
    ],
    NegativeLogConfidence: [_made(lambda m: NegativeLogConfidence(), gradient=lambda log, logit, p: -log)],
    NegativeLogit: [_made(lambda m: NegativeLogit(), gradient=lambda log, logit, p: -logit)],
    NegativeLogOdds: [_made(lambda m: NegativeLogOdds(), gradient=lambda log, logit, p: -log / (1 - p))],
    OneMinusConfidence: [_made(lambda m: OneMinusConfidence(), gradient=lambda log, logit, p: -log * p)],
}

PRIORS: dict[type, list[Made]] = {
    CodeNorm: [_made(lambda m: CodeNorm(weight=0.7), sees="candidate", again=lambda w: CodeNorm(weight=w))],
    L2: [_made(lambda m: L2(weight=0.7, center=0.2), sees="input", again=lambda w: L2(weight=w, center=0.2))],
    TotalVariation: [
        _made(lambda m: TotalVariation(weight=0.7), sees="input", again=lambda w: TotalVariation(weight=w))
    ],
}

TRANSFORMS: dict[type, list[Made]] = {
    HorizontalFlip: [_made(lambda m: HorizontalFlip(), nothing=lambda: HorizontalFlip(probability=0.0))],
    RandomResizedCrop: [_made(lambda m: RandomResizedCrop(scale=0.5), nothing=lambda: RandomResizedCrop(scale=1.0))],
    RandomShift: [_made(lambda m: RandomShift(pixels=3), nothing=lambda: RandomShift(pixels=0))],
}

PROJECTIONS: dict[type, list[Made]] = {
    GriffinLim: [
        _made(lambda m: GriffinLim(every=2, scale="mel", n_fft=128, hop=32, mels=20), space=WaveformSpace),
        _made(lambda m: GriffinLim(every=2, scale="linear", n_fft=128, hop=32), space=WaveformSpace),
    ],
    NeuralVocoder: [_made(lambda m: NeuralVocoder(every=2, weights=m.vocos()), space=WaveformSpace, settles=False)],
    ProcessDAE: [
        _made(lambda m: ProcessDAE(every=2, template=3, search=5, sharpen_sigma=1.0), space=LatentSpace, classifier=dae)
    ],
    Vocoder: [_made(lambda m: Vocoder(Halve(), 2), space=WaveformSpace, settles=False)],
}

ROLES: dict[str, dict[type, list[Made]]] = {
    "costs": COSTS,
    "filters": FILTERS,
    "initializers": INITIALIZERS,
    "priors": PRIORS,
    "projections": PROJECTIONS,
    "spaces": SPACES,
    "transforms": TRANSFORMS,
}


def exported(role: str) -> list[type]:
    """Return the parts of a role that can be made: what its folder exports, but for what is abstract."""
    module = importlib.import_module(f"mi_lightning.attacks.{role}")
    return [part for name in module.__all__ if inspect.isclass(part := getattr(module, name)) and not _abstract(part)]


def _abstract(part: type) -> bool:
    return inspect.isabstract(part)


def every(role: str) -> pytest.MarkDecorator:
    """Run a test on all examples of a role: arguments ``make`` and ``facts``."""
    cases = [
        pytest.param(make, facts, id=part.__name__ + (f"-{place}" if len(examples) > 1 else ""))
        for part, examples in ROLES[role].items()
        for place, (make, facts) in enumerate(examples)
    ]
    return pytest.mark.parametrize(("make", "facts"), cases)


def bound_cost(cost: Cost, facts: dict[str, Any]) -> tuple[Cost, WhiteBox]:
    """Bind a cost to the target of its example."""
    target = WhiteBox(facts.get("classifier", softmax)().eval())
    cost.bind(target)
    return cost, target
