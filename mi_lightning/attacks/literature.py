"""Attacks by the names that the literature gives them, each a configured :class:`~mi_lightning.attacks.attack.Attack`.

``configs/attack/<function>.yaml`` is the function as it stands, ``<function>_<variant>.yaml`` the function with other
arguments. Beside the arguments that are listed, every function takes those of `Attack` (``max_iterations``, ``beta``,
``gamma``, ``restarts``, ``seed``, ``space``, ...), in place of its own. Letters of [F15]: alpha is ``max_iterations``,
lambda ``lr``, mu ``momentum``.

Each docstring says what the attacker must have of the target: the *whole model*, or its *confidences* only; and what an
iteration asks of it for each row, where that is more than one query.

Sources: [F15] Fredrikson, Jha, Ristenpart, CCS 2015. [A] a student reproduction of it (Columbia, 2025). [P23] Pizzi,
Boenisch, Sahin, Boettinger, arXiv 2301.03206. [S92] Spall, SPSA, IEEE TAC 1992.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import torch

from mi_lightning.attacks.attack import Attack
from mi_lightning.attacks.costs import DVectorDistance, NegativeLogConfidence, NegativeLogOdds, OneMinusConfidence
from mi_lightning.attacks.estimators import NES, SPSA, AugmentedAutograd, FiniteDifference, SmoothedAutograd
from mi_lightning.attacks.filters import (
    FilterChain,
    GaussianBlur,
    GradientFilter,
    PowerLaw,
    PublicFaces,
    SpectralEnvelope,
    UnitRMS,
)
from mi_lightning.attacks.initializers import MidGrey, NaturalNoise, Noise, PublicSpeech, Zeros
from mi_lightning.attacks.priors import L2, CodeNorm
from mi_lightning.attacks.projections import ProcessDAE
from mi_lightning.attacks.spaces import DisguisedSpeech, LatentSpace, PixelSpace, SlidingWindows, WaveformSpace
from mi_lightning.attacks.steps.gradient import OptimizerFactory
from mi_lightning.data.base import PersonDataModule
from mi_lightning.public_models import FaceDecoder

# ------------------------------------------------------------------------------------------------ pictures, whole model


def mi_face(*, lr: float = 0.1, momentum: float = 0.0, **settings: Any) -> Attack:
    """MI-FACE to the letter [F15, Algorithm 1]; the whole model.

    1 - p from a black picture, no prior, no clamp. The paper prints gamma 0.99, which would stop at once.
    """
    return _attack(
        settings,
        space=PixelSpace(initializer=Zeros(), clamp=False),
        cost=OneMinusConfidence(),
        optimizer=_sgd(lr, momentum),
        max_iterations=5000,
        beta=100,
        gamma=0.01,
    )


def momentum(*, lr: float = 0.05, momentum: float = 0.95, **settings: Any) -> Attack:
    """MI-FACE with momentum [F15, Algorithm 1; parameters of A]; the whole model."""
    return mi_face(lr=lr, momentum=momentum, **{"max_iterations": 50000, "beta": 1000, "gamma": 1e-4} | settings)


def latent(*, lr: float = 0.1, momentum: float = 0.9, every: int = 512, **settings: Any) -> Attack:
    """MI-FACE on the code of a stacked autoencoder [F15, Algorithms 1 and 2; parameters of A]; the whole model.

    Process-DAE acts after ``every`` so many iterations.
    """
    return _attack(
        settings,
        space=LatentSpace(look_at="code", initializer=Zeros()),
        cost=OneMinusConfidence(),
        optimizer=_sgd(lr, momentum),
        projections=[ProcessDAE(every=every)],
        max_iterations=5000,
        beta=100,
        gamma=1e-3,
    )


def process_dae(*, lr: float = 0.1, momentum: float = 0.0, every: int = 1, **settings: Any) -> Attack:
    """MI-FACE on the code of a stacked autoencoder, to the letter [F15, Algorithms 1 and 2]; the whole model."""
    return latent(lr=lr, momentum=momentum, every=every, **{"gamma": 0.01} | settings)


def latent_descent(*, lr: float = 0.002, momentum: float = 0.9, every: int = 8, **settings: Any) -> Attack:
    """The best known on a stacked autoencoder (ours), with Process-DAE [F15, Algorithm 2]; the whole model.

    -log p on the code, by few steps of one size.
    """
    ours = {"cost": NegativeLogConfidence(), "gradient_filter": UnitRMS(), "max_iterations": 32}
    return latent(lr=lr, momentum=momentum, every=every, **ours | {"beta": None, "gamma": None} | settings)


def gradient_descent(*, blur: float = 1.5, lr: float = 3e-4, momentum: float = 0.9, **settings: Any) -> Attack:
    """The best known on shallow classifiers of pictures (ours); the whole model.

    -log p from mid-grey along gradients blurred by ``blur`` pixels, by few steps of one size.
    """
    return _from_grey(
        settings,
        gradient_filter=FilterChain(filters=[GaussianBlur(sigma=blur), UnitRMS()]),
        optimizer=_sgd(lr, momentum),
        max_iterations=60,
    )


def smoothgrad(
    *,
    noise: float = 0.1,
    samples: int = 4,
    gradient_filter: GradientFilter | None = None,
    lr: float = 6e-4,
    momentum: float = 0.9,
    **settings: Any,
) -> Attack:
    """The best known on convolutional networks without public faces (SmoothGrad, Smilkov et al. 2017); the whole model.

    The odds from mid-grey along gradients that are averaged over ``samples`` copies with ``noise`` grey levels and
    weighed by frequency, or by ``gradient_filter``, by few steps of one size. ``samples`` + 1 queries.
    """
    weighed = gradient_filter or PowerLaw(exponent=2.0, corner=2.0)
    return _from_grey(
        settings,
        cost=NegativeLogOdds(),
        estimator=SmoothedAutograd(noise=noise, samples=samples),
        gradient_filter=FilterChain(filters=[weighed, UnitRMS()]),
        optimizer=_sgd(lr, momentum),
        max_iterations=60,
    )


def public_faces(
    *,
    components: int = 300,
    power: float = 0.5,
    rest: float = 0.5,
    noise: float = 0.2,
    weights: str | None = None,
    **settings: Any,
) -> Attack:
    """The best known on convolutional networks: :func:`smoothgrad` with faces of other people (ours); the whole model.

    Pictures change in the directions in which public faces differ, and by ``rest`` as much in other low frequencies.
    Needs the extra ``priors``, or the ``weights`` of a generator. Five queries.
    """
    law = PowerLaw(exponent=2.0, corner=2.0)
    faces = PublicFaces(components=components, power=power, rest=rest, rest_filter=law, weights=weights)
    return smoothgrad(noise=noise, gradient_filter=faces, **settings)


def gan(
    *, weight: float = 0.02, noise: float = 0.2, lr: float = 0.1, weights: str | None = None, **settings: Any
) -> Attack:
    """The code of a public generator of faces, kept normal by a prior of ``weight`` (ours); the whole model.

    The odds, by Adam, from the best of 12 codes; two queries. Needs the extra ``priors`` or ``weights`` of a generator.
    """
    return _attack(
        settings,
        space=LatentSpace(
            look_at="image",
            decoder=FaceDecoder(weights=weights),
            code_size=100,
            initializer=Noise(mean=0.0, std=1.0),
            clamp=False,
        ),
        cost=NegativeLogOdds(),
        priors=[CodeNorm(weight=weight)],
        estimator=SmoothedAutograd(noise=noise, samples=1),
        optimizer=_adam(lr),
        initial_candidates=12,
        max_iterations=40,
    )


# ------------------------------------------------------------------------------------------------ pictures, confidences


def spsa(*, pairs: int = 128, delta: float = 0.01, lr: float = 0.01, **settings: Any) -> Attack:
    """SPSA on 1 - p [S92, section III; parameters of A]; confidences, 2 ``pairs`` + 1 queries."""
    return _attack(
        settings,
        space=PixelSpace(initializer=Noise(mean=0.5, std=0.01)),
        cost=OneMinusConfidence(),
        estimator=SPSA(pairs=pairs, delta=delta),
        optimizer=_sgd(lr),
        max_iterations=1000,
        gamma=0.01,
        report_every=10,
    )


def blurred_spsa(
    *, pairs: int = 64, delta: float = 0.01, blur: float = 3.0, lr: float = 0.05, momentum: float = 0.9, **settings: Any
) -> Attack:
    """The best known by queries (ours): blurred SPSA [S92] on -log p; confidences, 2 ``pairs`` + 1 queries."""
    return _from_grey(
        settings,
        estimator=SPSA(pairs=pairs, delta=delta),
        gradient_filter=GaussianBlur(sigma=blur),
        optimizer=_sgd(lr, momentum),
        max_iterations=200,
    )


def nes(*, pairs: int = 64, sigma: float = 0.01, **settings: Any) -> Attack:
    """:func:`blurred_spsa` by natural evolution strategies (Wierstra et al. 2014), as dear; confidences."""
    return blurred_spsa(**{"estimator": NES(pairs=pairs, sigma=sigma)} | settings)


def finite_differences(
    *, delta: float = 1e-4, blur: float = 1.5, lr: float = 9e-4, momentum: float = 0.9, **settings: Any
) -> Attack:
    """:func:`gradient_descent` by a numeric gradient [F15, section 5]; confidences, two queries a pixel and one."""
    numeric = {"estimator": FiniteDifference(delta=delta), "max_iterations": 20, "report_every": 1}
    return gradient_descent(blur=blur, lr=lr, momentum=momentum, **numeric | settings)


def adaptive(
    *,
    floor: float,
    repeats: int = 1,
    pairs: int = 64,
    delta: float = 0.3,
    blur: float = 4.0,
    lr: float = 0.1,
    momentum: float = 0.9,
    **settings: Any,
) -> Attack:
    """SPSA [S92] by somebody who knows how confidences are rounded or noised (ours); confidences.

    -log p ends at ``floor``: half a rounding step, or twice the noise. Every iterate is judged by the mean of
    ``repeats`` answers. 2 ``pairs`` + ``repeats`` queries.
    """
    return _attack(
        settings,
        space=PixelSpace(initializer=NaturalNoise(exponent=2.0, mean=0.5, std=0.2)),
        cost=NegativeLogConfidence(floor=floor),
        priors=[L2(weight=0.01, center=0.5)],
        estimator=SPSA(pairs=pairs, delta=delta, repeats=repeats),
        gradient_filter=GaussianBlur(sigma=blur),
        optimizer=_sgd(lr, momentum),
        initial_candidates=1000,
        max_iterations=300,
    )


# ------------------------------------------------------------------------------------------------ speech


def waveform(*, std: float = 1.0, lr: float = 0.01, **settings: Any) -> Attack:
    """-log p of one chunk by Adam from normal noise [parameters of A]; the whole model."""
    return _attack(
        settings,
        space=WaveformSpace(initializer=Noise(mean=0.0, std=std)),
        cost=NegativeLogConfidence(),
        optimizer=_adam(lr),
        max_iterations=1000,
    )


def standard(*, lr: float = 0.002, **settings: Any) -> Attack:
    """Standard inversion [P23]: Algorithm 1 of [F15] on one chunk from Laplace noise; the whole model.

    Steps are of one size: 1 - p is flat nearly everywhere.
    """
    return _attack(
        settings,
        space=WaveformSpace(initializer=_laplace()),
        cost=OneMinusConfidence(),
        gradient_filter=UnitRMS(),
        optimizer=_sgd(lr),
        max_iterations=1000,
        gamma=0.01,
    )


def sliding(*, duration: float = 1.0, stride: int = 500, lr: float = 0.005, **settings: Any) -> Attack:
    """Sliding inversion [P23]: ``duration`` seconds window after window, ``stride`` samples apart; the whole model."""
    inside = {"max_iterations": 50, "report_every": 20}  # each window
    space = SlidingWindows(duration=duration, stride=stride, initializer=_laplace())
    return standard(lr=lr, **inside | {"space": space} | settings)


def dvector(
    references: PersonDataModule,
    *,
    distance: Literal["cosine", "euclidean"] = "cosine",
    duration: float = 1.0,
    lr: float = 0.003,
    **settings: Any,
) -> Attack:
    """D-vector inversion [P23]: ``duration`` seconds as near as can be to a stolen d-vector; the whole model.

    The d-vectors are made of ``references``, recordings of the target's speakers. A query for each tenth of a second.
    """
    return _attack(
        settings,
        space=WaveformSpace(duration=duration, initializer=_laplace()),
        cost=DVectorDistance(references=references, distance=distance),
        optimizer=_adam(lr),
        max_iterations=300,
    )


def public_speech(
    *,
    references: PersonDataModule | None = None,
    duration: float = 1.0,
    shift: int = 1600,
    gain: float = 0.2,
    lr: float = 4e-4,
    momentum: float = 0.9,
    **settings: Any,
) -> Attack:
    """The best known on speakers (ours): the odds, from the best of sixty pieces of public speech; the whole model.

    Gradients are coloured as speech is and taken at waveforms that are shifted (samples) and made louder or softer;
    steps are of one size. ``references``: other people's speech, synthetic voices if None. Two queries for each tenth
    of a second.
    """
    return _attack(
        settings,
        space=WaveformSpace(duration=duration, initializer=PublicSpeech(references=references, speed=1.2, std=0.1)),
        cost=NegativeLogOdds(),
        estimator=AugmentedAutograd(shift=shift, gain=gain),
        gradient_filter=FilterChain(filters=[SpectralEnvelope(power=1.0), UnitRMS()]),
        optimizer=_sgd(lr, momentum),
        initial_candidates=60,
        max_iterations=100,
    )


def disguise(
    *, references: PersonDataModule | None = None, duration: float = 1.0, lr: float = 0.05, **settings: Any
) -> Attack:
    """Public speech, the best of sixty pieces, made louder and softer band by band (ours); the whole model.

    The odds, by Adam. ``references``: other people's speech, synthetic voices if None. A query for each tenth of a
    second.
    """
    speech = PublicSpeech(references=references, speed=1.2, std=0.1)
    return _attack(
        settings,
        space=DisguisedSpeech(duration=duration, bands=32, step=0.1, initializer=speech),
        cost=NegativeLogOdds(),
        optimizer=_adam(lr),
        initial_candidates=60,
        max_iterations=60,
    )


def spsa_speech(*, pairs: int = 32, delta: float = 0.02, lr: float = 0.01, **settings: Any) -> Attack:
    """SPSA [S92] on -log p of one chunk, the best of twenty of noise (ours); confidences, 2 ``pairs`` + 1 queries."""
    return _attack(
        settings,
        space=WaveformSpace(initializer=_laplace()),
        cost=NegativeLogConfidence(),
        estimator=SPSA(pairs=pairs, delta=delta),
        optimizer=_adam(lr),
        initial_candidates=20,
        max_iterations=150,
    )


def nes_speech(*, pairs: int = 32, sigma: float = 0.02, **settings: Any) -> Attack:
    """:func:`spsa_speech` by natural evolution strategies (Wierstra et al. 2014), as dear; confidences."""
    return spsa_speech(**{"estimator": NES(pairs=pairs, sigma=sigma)} | settings)


# ------------------------------------------------------------------------------------------------ small parts


def _attack(settings: dict[str, Any], **own: Any) -> Attack:
    """An attack of a function's own parts and numbers, and in their place what the caller sets."""
    return Attack(**own | settings)


def _from_grey(settings: dict[str, Any], **own: Any) -> Attack:
    """-log p from a mid-grey picture, unless the function says otherwise."""
    return _attack(settings, **{"space": PixelSpace(initializer=MidGrey()), "cost": NegativeLogConfidence()} | own)


def _sgd(lr: float, momentum: float = 0.0) -> OptimizerFactory:
    """Steps along the gradient."""
    return partial(torch.optim.SGD, lr=lr, momentum=momentum)


def _adam(lr: float) -> OptimizerFactory:
    """Steps of Adam."""
    return partial(torch.optim.Adam, lr=lr)


def _laplace() -> Noise:
    """Laplace noise, the best start of [P23]; its scale is 0.07 / sqrt(2)."""
    return Noise(distribution="laplace", mean=0.0, std=0.07)
