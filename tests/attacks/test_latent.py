"""Attacks on codes: what the cost looks at, whose decoder, and what does not fit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mi_lightning.attacks.costs.negative_log_confidence import NegativeLogConfidence
from mi_lightning.attacks.costs.one_minus_confidence import OneMinusConfidence
from mi_lightning.attacks.estimators.autograd import Autograd
from mi_lightning.attacks.estimators.finite_difference import FiniteDifference
from mi_lightning.attacks.initializers.noise import Noise
from mi_lightning.attacks.priors.total_variation import TotalVariation
from mi_lightning.attacks.problem import Problem
from mi_lightning.attacks.rows import Rows, RowState
from mi_lightning.attacks.spaces.latent import LatentSpace
from mi_lightning.attacks.spaces.pixel import PixelSpace
from mi_lightning.classifiers import StackedDAE
from mi_lightning.errors import InputError, MIError
from mi_lightning.lightning.module import Inversion
from mi_lightning.lightning.trainer import InversionTrainer
from mi_lightning.targets import BlackBox, WhiteBox
from mi_lightning.targets.defenses import Rounding

SHAPE, PEOPLE, CODE = (1, 6, 5), 7, 4


class Decoder(nn.Module):
    """Somebody else's decoder: codes of 3 numbers to pictures of 6 x 5."""

    def __init__(self, size: int = 3, height: int = 6) -> None:
        super().__init__()
        self.linear, self.shape = nn.Linear(size, height * 5), (1, height, 5)

    def forward(self, z: Tensor) -> Tensor:
        return torch.sigmoid(self.linear(z)).unflatten(1, self.shape)


@pytest.fixture
def dae() -> StackedDAE:
    """Weights that are drawn, not trained: 30 pixels -> 8 -> 4 -> 7 people."""
    model = StackedDAE(input_shape=SHAPE, num_classes=PEOPLE, hidden=(8, CODE))
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return model


@pytest.fixture
def target(dae: StackedDAE) -> WhiteBox:
    return WhiteBox(dae)


def bound(space: LatentSpace, target) -> LatentSpace:
    space.bind(target)
    return space


def attack(target, callbacks: list | None = None, **settings):
    trainer = InversionTrainer(
        accelerator="cpu",
        logger=False,
        callbacks=callbacks,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    return trainer.invert(Inversion(target=target, **settings))


# ------------------------------------------------------------------------------------------------ what the cost sees


def test_the_cost_looks_at_the_code_or_at_the_decoded_picture(dae, target):
    z, label = torch.rand(3, CODE) * 2 - 1, torch.tensor([0, 4, 6])
    picture = dae.decode(z).clamp(0, 1)
    expected = {"code": dae.head(z), "image": dae(picture)}
    assert not torch.allclose(expected["code"], expected["image"], atol=0.01)
    for look_at, logits in expected.items():
        space = bound(LatentSpace(look_at=look_at), target)
        for cost, value in (
            (NegativeLogConfidence(), -logits.log_softmax(1)),
            (OneMinusConfidence(), 1 - logits.softmax(1)),
        ):
            total, loss = Problem(target, space, cost)(z, label, Rows.grid(label.tolist(), 1, seed=0))
            torch.testing.assert_close(loss, value[torch.arange(3), label])
            assert torch.equal(total, loss)
        torch.testing.assert_close(space.decode(z), picture)


def test_priors_look_at_the_decoded_picture_either_way(dae, target):
    z, label, prior = torch.rand(3, CODE), torch.tensor([0, 4, 6]), TotalVariation(weight=0.5)
    for look_at in ("code", "image"):
        space = bound(LatentSpace(look_at=look_at), target)
        problem = Problem(target, space, NegativeLogConfidence(), [prior])
        total, loss = problem(z, label, Rows.grid(label.tolist(), 1, seed=0))
        torch.testing.assert_close(total - loss, prior(dae.decode(z).clamp(0, 1)))


@pytest.mark.parametrize("look_at", ["code", "image"])
def test_a_code_is_one_query_of_the_target(target, look_at):
    space = bound(LatentSpace(look_at=look_at), target)
    problem = Problem(target, space, NegativeLogConfidence(), [TotalVariation()])
    problem(torch.zeros(5, CODE), torch.zeros(5, dtype=torch.int64), Rows.grid([0], 5, seed=0))
    assert target.queries == 5
    result = attack(target, space=LatentSpace(look_at=look_at), max_iterations=3)
    assert result.queries.tolist() == [4] * PEOPLE
    assert target.queries == 5 + 4 * PEOPLE


def test_gradient_on_the_code_is_that_of_the_last_layer(dae, target):
    """d(-log p_k)/dz = W^T (p - e_k)."""
    z, label = torch.rand(3, CODE), torch.tensor([1, 2, 3])
    problem = Problem(target, LatentSpace(), NegativeLogConfidence())
    evaluation = Autograd().evaluate(problem, z, RowState(Rows.grid([1, 2, 3], 1, seed=0), z))
    expected = (dae.head(z).softmax(1) - torch.eye(PEOPLE)[label]) @ dae.head.weight
    torch.testing.assert_close(evaluation.gradient, expected)


def test_pixels_ask_the_target_itself(target):
    assert PixelSpace().view(target) is target


# ------------------------------------------------------------------------------------------------ attacks


@pytest.mark.parametrize("look_at", ["code", "image"])
def test_an_attack_finds_codes(dae, target, look_at):
    settings = {"cost": NegativeLogConfidence(), "max_iterations": 60}
    result = attack(target, space=LatentSpace(look_at=look_at), **settings)
    assert result.candidate.shape == (PEOPLE, CODE)
    assert result.reconstruction.shape == (PEOPLE, *SHAPE)
    start = dae.head(torch.zeros(1, CODE)) if look_at == "code" else dae(dae.decode(torch.zeros(1, CODE)).clamp(0, 1))
    assert (result.cost < -start.log_softmax(1)[0]).all()
    torch.testing.assert_close(result.reconstruction, dae.decode(result.candidate).clamp(0, 1))
    asked = dae.head(result.candidate) if look_at == "code" else dae(result.reconstruction)
    torch.testing.assert_close(result.confidence, asked.softmax(1).diagonal(), rtol=1e-4, atol=1e-6)


def test_codes_stay_in_their_range_only_if_asked(target):
    cost = NegativeLogConfidence()
    inside = attack(target, space=LatentSpace(), cost=cost, max_iterations=100).candidate
    outside = attack(target, space=LatentSpace(clamp=False), cost=cost, max_iterations=100).candidate
    narrow = attack(target, space=LatentSpace(code_range=(-0.25, 0.5)), cost=cost, max_iterations=100).candidate
    assert inside.abs().max() == 1 < outside.abs().max()
    assert (narrow.min(), narrow.max()) == (-0.25, 0.5)
    assert LatentSpace().bounds() == (-1, 1)
    assert LatentSpace(clamp=False).bounds() is None


def test_start_is_the_middle_of_the_range_or_what_is_given(target):
    rows = Rows.grid([0, 1], 2, seed=0)
    assert torch.equal(bound(LatentSpace(), target).initial(rows), torch.zeros(4, CODE))
    noise = bound(LatentSpace(initializer=Noise(mean=0.0, std=0.3)), target).initial(rows)
    assert noise.shape == (4, CODE)
    assert len(noise.unique(dim=0)) == 4


def test_the_report_tells_space_and_decoder(target):
    inversion = Inversion(target=target, space=LatentSpace(look_at="image"))
    space = inversion.describe()["space"]
    assert (space["class"], space["look_at"], space["clamp"]) == ("LatentSpace", "image", True)


# ------------------------------------------------------------------------------------------------ other decoders


@pytest.fixture
def weights(tmp_path: Path) -> tuple[Path, Decoder]:
    torch.manual_seed(5)
    decoder = Decoder()
    torch.save(decoder.state_dict(), tmp_path / "decoder.pt")
    return tmp_path / "decoder.pt", decoder


def test_decoder_from_a_class_and_a_file(classifier, weights):
    path, decoder = weights
    target = WhiteBox(classifier)
    settings = {"decoder": Decoder(), "weights": str(path), "code_size": 3, "look_at": "image"}
    result = attack(target, space=LatentSpace(**settings), cost=NegativeLogConfidence(), max_iterations=30)
    assert result.candidate.shape == (PEOPLE, 3)
    torch.testing.assert_close(result.reconstruction, decoder(result.candidate))
    torch.testing.assert_close(result.confidence, classifier(result.reconstruction).softmax(1).diagonal())
    space = bound(LatentSpace(**settings), target)
    assert len(space.weights_sha256) == 64
    assert not space.can_encode


def test_weights_may_stand_under_a_key(classifier, weights, tmp_path):
    _, decoder = weights
    torch.save({"generator": decoder.state_dict(), "epoch": 3}, tmp_path / "both.pt")
    settings = {"decoder": Decoder(), "weights": str(tmp_path / "both.pt"), "code_size": 3, "look_at": "image"}
    space = bound(LatentSpace(weights_key="generator", **settings), WhiteBox(classifier))
    torch.testing.assert_close(space.decode(torch.ones(2, 3)), decoder(torch.ones(2, 3)))
    with pytest.raises(InputError, match=r"expected an entry other in .*both.pt, got generator, epoch"):
        bound(LatentSpace(weights_key="other", **settings), WhiteBox(classifier))


def test_a_black_box_is_asked_about_pictures_of_a_decoder(classifier):
    target = BlackBox.of(classifier)
    space = LatentSpace(decoder=Decoder(), code_size=3, look_at="image")
    result = attack(
        target, space=space, cost=NegativeLogConfidence(), estimator=FiniteDifference(delta=1e-2), max_iterations=10
    )
    assert (result.confidence > classifier(space.decode(torch.zeros(1, 3))).softmax(1)[0]).all()


def test_own_decoders_behind_a_defense_serve_pictures_but_not_codes(dae):
    defended = Rounding(r=0.01).wrap(WhiteBox(dae))
    assert bound(LatentSpace(look_at="image"), defended).decode(torch.zeros(2, CODE)).shape == (2, *SHAPE)
    with pytest.raises(InputError, match=r"or look_at image, got a Rounding of a StackedDAE .*look_at"):
        bound(LatentSpace(look_at="code"), defended)


def test_the_decoder_is_frozen_and_stays_in_evaluation_mode(classifier):
    decoder = nn.Sequential(nn.Dropout(0.5), Decoder())
    space = LatentSpace(decoder=decoder, code_size=3, look_at="image")
    attack(WhiteBox(classifier), space=space, max_iterations=2)
    space.train()  # as Lightning does with all modules
    assert not any(module.training for module in space.decoder.modules())
    assert not any(parameter.requires_grad for parameter in space.decoder.parameters())
    assert all(module.training for module in decoder.modules())  # the one that was given is left as it was
    assert all(parameter.requires_grad for parameter in decoder.parameters())


# ------------------------------------------------------------------------------------------------ what does not fit


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"look_at": "pixels"}, "look_at code or image, got pixels (look_at)"),
        ({"code_size": 0}, "code_size >= 1, got 0 (code_size)"),
        ({"code_range": (1.0, 1.0)}, "low < high, got (1.0, 1.0) (code_range)"),
        ({"weights": "x.pt"}, "a decoder for the weights, got none (decoder)"),
    ],
)
def test_bad_arguments(settings, words):
    with pytest.raises(InputError, match=re.escape(words)):
        LatentSpace(**settings)


def image(**settings) -> LatentSpace:
    return LatentSpace(look_at="image", **settings)


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (lambda: image(decoder=Decoder(5), code_size=3), r"a decoder of codes of size 3, got Decoder: .* \(decoder\)$"),
        (
            lambda: image(decoder=Decoder(3, height=4), code_size=3),
            r"inputs of shape \(1, 1, 6, 5\), got Decoder to \(1",
        ),
        (lambda: image(decoder=Decoder()), r"a decoder of codes of size 4, got Decoder: .* \(decoder\)$"),
        (lambda: LatentSpace(decoder=Decoder(), code_size=3), r"the code_size of the target, 4, got 3 .*code_size\)$"),
        (lambda: LatentSpace(code_size=3), r"the code_size of the target, 4, got 3"),
        (
            lambda: image(decoder=Decoder(), weights="no.pt", code_size=3),
            r"a file of weights, got none at no.pt \(weights\)",
        ),
    ],
)
def test_a_decoder_that_does_not_fit(target, space, words):
    with pytest.raises(InputError, match=words) as caught:
        space().bind(target)
    assert "\n" not in str(caught.value)


def test_a_target_without_decoders(classifier):
    target = WhiteBox(classifier)
    with pytest.raises(InputError, match=r"got a WhiteBox of a SoftmaxRegression \(look_at\)"):
        LatentSpace().bind(target)
    with pytest.raises(InputError, match=r"\(StackedDAE\), got none and a SoftmaxRegression \(decoder\)"):
        image().bind(target)
    with pytest.raises(InputError, match=r"the code_size of the decoder, got none \(code_size\)"):
        image(decoder=Decoder()).bind(target)


def test_a_black_box_has_no_decoders_and_no_code(dae):
    target = BlackBox.of(dae)
    with pytest.raises(InputError, match=r"got none and a BlackBox \(decoder\)"):
        image().bind(target)
    with pytest.raises(InputError, match=r"got a BlackBox \(look_at\)"):
        LatentSpace().bind(target)


def test_weights_of_another_decoder_or_no_weights(classifier, tmp_path):
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "other.pt")
    (tmp_path / "damaged.pt").write_bytes(b"not a checkpoint")
    target = WhiteBox(classifier)
    for name, error, words in (
        ("other.pt", InputError, r"weights that fit Decoder, got .*other.pt: .* \(weights\)$"),
        ("damaged.pt", MIError, r"damaged.pt holds no plain weights"),
    ):
        with pytest.raises(error, match=words) as caught:
            image(decoder=Decoder(), weights=str(tmp_path / name), code_size=3).bind(target)
        assert "\n" not in str(caught.value)


def test_encoding_needs_encoders(target):
    space = bound(image(decoder=Decoder(), code_size=3), target)
    with pytest.raises(InputError, match="the decoders of the target"):
        space.encode(torch.zeros(1, *SHAPE))
    assert bound(LatentSpace(), target).encode(torch.zeros(2, *SHAPE)).shape == (2, CODE)
