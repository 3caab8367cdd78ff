"""The evaluator: its shapes, its augmentation, and that it learns."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mi_lightning.classifiers import FaceCNN
from mi_lightning.errors import InputError

STILL = {"shift": 0, "scale": 0, "rotation": 0, "flip": 0, "blur": 0, "contrast": 0, "brightness": 0, "noise": 0}


def make(**arguments) -> FaceCNN:
    torch.manual_seed(0)
    return FaceCNN(**({"input_shape": (1, 32, 24), "num_classes": 3, "width": 4, "hidden": 8} | arguments))


@pytest.fixture
def images() -> Tensor:
    return torch.rand(5, 1, 32, 24, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("shape", [(1, 112, 92), (3, 64, 64), (1, 16, 16), (1, 37, 51)])
def test_shapes(shape: tuple[int, int, int]) -> None:
    classifier = make(input_shape=shape, hidden=7).eval()
    x = torch.rand(2, *shape)
    assert classifier.features(x).shape == (2, 7)
    assert classifier(x).shape == (2, 3)
    torch.testing.assert_close(classifier(x), classifier.head(classifier.features(x)))
    assert classifier.train().augment(x).shape == x.shape


def test_overall_brightness_and_contrast_are_taken_out_first(images: Tensor) -> None:
    standardise = make().body[0]
    torch.testing.assert_close(standardise(0.4 + 0.5 * images), standardise(images), atol=0.05, rtol=0)
    assert standardise(images).std().item() == pytest.approx(1, abs=0.05)


def test_range_is_only_a_unit(images: Tensor) -> None:
    plain, wide = make().eval(), make(input_range=(-2.0, 6.0)).eval()
    torch.testing.assert_close(wide(images * 8 - 2), plain(images))


def test_even_image_gives_finite_logits_and_gradient() -> None:
    x = torch.full((2, 1, 32, 24), 0.5, requires_grad=True)
    logits = make().eval()(x)
    logits.sum().backward()
    assert logits.isfinite().all()
    assert x.grad.isfinite().all()


def test_no_augmentation_outside_training_steps(images: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = make()
    calls = []
    monkeypatch.setattr(classifier, "augment", lambda x: calls.append(len(x)) or x)
    y = torch.tensor([0, 1, 2, 0, 1])
    classifier.training_step((images, y), 0)
    assert calls == [5]
    classifier.eval()
    first = classifier(images)
    classifier.test_step((images, y), 0)
    assert calls == [5]
    assert torch.equal(first, classifier(images))


def test_augmentation_draws_for_each_image_alone() -> None:
    one = torch.rand(1, 1, 32, 24).expand(6, 1, 32, 24)
    changed = make().augment(one)
    assert all(not torch.allclose(changed[i], changed[j], atol=1e-3) for i in range(6) for j in range(i))


def test_augmentation_comes_from_the_seed(images: Tensor) -> None:
    classifier = make()
    torch.manual_seed(3)
    first = classifier.augment(images)
    torch.manual_seed(3)
    assert torch.equal(first, classifier.augment(images))
    assert not torch.equal(first, classifier.augment(images))


def test_nothing_asked_for_changes_nothing(images: Tensor) -> None:
    torch.testing.assert_close(make(**STILL).augment(images), images, atol=1e-5, rtol=0)
    wide = make(**STILL, input_range=(-1.0, 1.0))
    torch.testing.assert_close(wide.augment(images * 2 - 1), images * 2 - 1, atol=1e-5, rtol=0)


def test_flip_is_the_mirror_image(images: Tensor) -> None:
    mirrored = make(**STILL | {"flip": 1}).augment(images)
    torch.testing.assert_close(mirrored, images.flip(-1), atol=1e-5, rtol=0)


def test_shift_keeps_to_its_limit() -> None:
    """A bright dot in the middle stays within a tenth of the sides, and moves."""
    dot = torch.zeros(200, 1, 40, 20)
    dot[:, :, 20, 10] = 1
    moved = make(input_shape=(1, 40, 20), **STILL | {"shift": 0.1}).augment(dot)
    total = moved.sum((1, 2, 3))
    row = (moved.sum(3)[:, 0] * torch.arange(40)).sum(1) / total
    column = (moved.sum(2)[:, 0] * torch.arange(20)).sum(1) / total
    assert 3 < (row - 20).abs().max() <= 4.01
    assert 1.5 < (column - 10).abs().max() <= 2.01


def test_turn_keeps_distances_on_an_oblong_image() -> None:
    """A soft dot 16 pixels from the middle stays 16 pixels from it: no shear, though the sides differ."""
    rows, columns = torch.meshgrid(torch.arange(101), torch.arange(61), indexing="ij")
    dot = (-((rows - 50) ** 2 + (columns - 46) ** 2) / 8).exp()
    turned = make(input_shape=(1, 101, 61), **STILL | {"rotation": 60}).augment(dot.expand(100, 1, 101, 61))[:, 0]
    total = turned.sum((1, 2))
    row, column = (turned * rows).sum((1, 2)) / total - 50, (turned * columns).sum((1, 2)) / total - 30
    assert row.abs().max() > 11  # 16 sin 45 degrees
    torch.testing.assert_close((row**2 + column**2).sqrt(), torch.full((100,), 16.0), atol=0.1, rtol=0)


def test_blur_keeps_the_mean_and_takes_the_detail(images: Tensor) -> None:
    even = torch.full((4, 1, 32, 24), 0.3)
    classifier = make(**STILL | {"blur": 4})
    torch.testing.assert_close(classifier.augment(even), even)
    torch.manual_seed(0)
    left = classifier.augment(images).std((1, 2, 3)) / images.std((1, 2, 3))
    assert left.min() < 0.3 < left.max() <= 1.0001


def test_noise_and_brightness_keep_to_their_limits() -> None:
    grey = torch.full((300, 1, 32, 24), 0.5)
    noisy = make(**STILL | {"noise": 0.2}).augment(grey)
    assert 0.17 < noisy.std((1, 2, 3)).max() < 0.22
    assert noisy.std((1, 2, 3)).min() < 0.02
    bright = make(**STILL | {"brightness": 0.1}).augment(grey)
    assert 0.08 < (bright.mean((1, 2, 3)) - 0.5).abs().max() <= 0.1001
    assert (bright - 0.5).abs().max() <= 0.3001


def test_training_reduces_the_loss() -> None:
    people = torch.rand(3, 1, 32, 24)
    y = torch.arange(3).repeat(8)
    classifier = make(width=8, hidden=16, dropout=0.1, blur=0.5, shift=0.03).train()
    optimizer = torch.optim.Adam(classifier.parameters(), lr=0.01)
    losses = []
    for _ in range(30):
        loss = classifier.training_step((people[y], y), 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])
    assert classifier.eval()(people).argmax(1).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"input_shape": (1, 8, 6)}, r"height >= 16, width >= 16\), got \(1, 8, 6\)"),
        ({"input_shape": (400,)}, r"height >= 16.*got \(400,\)"),
        ({"flip": 1.5}, r"0 <= flip <= 1, got 1\.5 \(flip\)"),
        ({"blur": 5}, r"0 <= blur <= 4, got 5 \(blur\)"),
        ({"noise": -0.1}, r"0 <= noise <= 1, got -0\.1"),
        ({"width": 0}, r"width >= 1, got 0 \(width\)"),
    ],
)
def test_bad_arguments(arguments: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        make(**arguments)
