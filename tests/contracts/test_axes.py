"""Every part of an attack works on inputs of any axes, each row for itself, or refuses them in one line."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor

from mi_lightning.attacks.attack import Attack
from mi_lightning.attacks.costs import NegativeLogConfidence
from mi_lightning.attacks.filters import BandPass, FilterChain, GaussianBlur, PowerLaw, UnitRMS
from mi_lightning.attacks.initializers import NaturalNoise, SpeechNoise
from mi_lightning.attacks.priors import L2, CodeNorm, TotalVariation
from mi_lightning.attacks.projections import GriffinLim, ProcessDAE
from mi_lightning.attacks.rows import Rows
from mi_lightning.attacks.spaces import LatentSpace, PixelSpace
from mi_lightning.attacks.transforms import RandomShift
from mi_lightning.classifiers import SoftmaxRegression
from mi_lightning.errors import InputError
from mi_lightning.lightning.module import Inversion
from mi_lightning.targets import BlackBox, WhiteBox
from tests.contracts.attack_examples import CODE, Decoder, dae, every, filled, softmax

SHAPES = {"codes": (5,), "sound": (1, 400), "channels last": (9, 7, 3), "pictures": (3, 8, 11), "video": (2, 3, 8, 8)}
shapes = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


def drawn(shape: tuple[int, ...]) -> Tensor:
    return torch.rand(4, *shape, generator=torch.Generator().manual_seed(0))


def check_alone_or_refused(function, x):
    """Row 2 alone is as it is among others, or there is an error of one line."""
    refused, together = None, None
    try:
        together = function(x, slice(0, 4))
    except InputError as error:
        refused = str(error)
    if together is None:
        assert re.fullmatch(r"expected (an image of shape|.* for) .*, got .*", refused)
    else:
        torch.testing.assert_close(function(x[2:3], slice(2, 3))[0], together[2], rtol=1e-4, atol=1e-5)


@shapes
@every("filters")
def test_filters(materials, make, facts, shape):
    check_alone_or_refused(lambda x, _: make(materials)(x), drawn(shape))


@shapes
@every("priors")
def test_priors(materials, make, facts, shape):
    check_alone_or_refused(lambda x, _: make(materials)(x), drawn(shape))


@shapes
@every("transforms")
def test_transforms(materials, make, facts, shape):
    def change(x, rows):
        return make(materials)(x, [torch.Generator().manual_seed(row) for row in range(4)[rows]])

    check_alone_or_refused(change, drawn(shape))


@shapes
@every("initializers")
def test_initializers(materials, make, facts, shape):
    def start(_, rows):
        return make(materials)(Rows.grid(range(4), 1, seed=0).select(rows), shape, (0.0, 1.0))

    check_alone_or_refused(start, drawn(shape))


PICTURES = {
    "blur": {"gradient_filter": GaussianBlur(sigma=1.5)},
    "power law": {"gradient_filter": PowerLaw()},
    "chain": {"gradient_filter": FilterChain(filters=[UnitRMS(), GaussianBlur()])},
    "total variation": {"priors": [L2(), TotalVariation()]},
    "shift": {"transforms": [RandomShift()]},
    "natural noise": {"space": PixelSpace(initializer=NaturalNoise())},
    "band": {"gradient_filter": BandPass()},
    "speech noise": {"space": PixelSpace(initializer=SpeechNoise())},
    "vocoder": {"projections": [GriffinLim(every=1)]},
}


@pytest.mark.parametrize("name", PICTURES)
def test_what_makes_no_sense_on_codes_is_told_before_anything_is_asked(name):
    target = WhiteBox(softmax((5,)))
    kind = "sounds" if name in ("band", "speech noise", "vocoder") else "pictures"
    for refused in (
        lambda: Attack(**PICTURES[name]).engine(target).start(Rows.grid([0], 1, seed=0)),
        lambda: Inversion(target=target, **PICTURES[name]).preflight(),
    ):
        with pytest.raises(InputError, match=rf"expected {kind} \(.*\) for \w+, got shape \(5,\) \(\w+\)"):
            refused()
    assert target.queries == 0


def test_a_person_alone_and_among_forty_are_the_same_on_codes():
    """A blur of codes went across the rows: person 3 alone and among 40 differed by 0.0266 of 0.027."""
    target = WhiteBox(filled(SoftmaxRegression(input_shape=(5,), num_classes=40)))
    plain = {"max_iterations": 20, "cost": NegativeLogConfidence()}
    with pytest.raises(InputError, match=r"pictures \(channels, height, width\) for GaussianBlur, got shape \(5,\)"):
        Attack(gradient_filter=GaussianBlur(sigma=1.5), **plain).run(target)
    attack = Attack(gradient_filter=UnitRMS(), priors=[CodeNorm(weight=0.01)], **plain)
    alone, among = attack.run(target, labels=[3]), attack.run(target)
    assert float((alone.reconstruction[0] - 0.5).abs().max()) > 0.02
    torch.testing.assert_close(alone.reconstruction[0], among.reconstruction[3], rtol=0, atol=1e-6)


def test_a_filter_sees_codes_and_a_prior_the_pictures_that_they_decode_to():
    space = LatentSpace(decoder=Decoder(), code_size=CODE, look_at="image")
    target = WhiteBox(softmax())
    Attack(space=space, priors=[TotalVariation()]).engine(target)
    with pytest.raises(InputError, match=r"pictures .* for GaussianBlur, got shape \(3,\) \(gradient_filter\)"):
        Attack(space=space, gradient_filter=GaussianBlur()).engine(target)
    with pytest.raises(InputError, match=r"pictures .* for ProcessDAE, got shape \(63,\) \(projections\)"):
        Attack(space=LatentSpace(), projections=[ProcessDAE()]).engine(WhiteBox(dae((63,))))


@pytest.mark.parametrize("shape", [(64, 64, 3), (28, 28, 1)])
def test_inputs_with_channels_last_are_refused_where_they_enter(shape):
    expected = r"input_shape \(channels, height, width\); other models by Preprocessing\(channels_last=True\), got \("
    for make in (
        lambda: SoftmaxRegression(input_shape=shape, num_classes=4),
        lambda: WhiteBox(torch.nn.Flatten(), input_shape=shape),
        lambda: BlackBox(lambda x: x, input_shape=shape, num_classes=4),
    ):
        with pytest.raises(InputError, match=expected):
            make()
    with pytest.raises(InputError, match=r"for GaussianBlur, got shape .*, whose channels are last"):
        GaussianBlur()(torch.zeros(2, *shape))
