"""The convolutional network against loops over pixels, and what its augmentation may and may not do."""

from __future__ import annotations

import math

import pytest
import torch
from lightning.pytorch import Trainer, seed_everything

from mi_lightning.classifiers import CNN
from mi_lightning.classifiers.loading import load_classifier, save_classifier
from mi_lightning.data import AttFaces
from mi_lightning.errors import InputError


def tiny(**arguments) -> CNN:
    torch.manual_seed(0)
    return CNN(**({"input_shape": (1, 8, 6), "num_classes": 4, "channels": (3, 5), "hidden": 7} | arguments))


def block(image: torch.Tensor, layer: torch.nn.Conv2d) -> torch.Tensor:
    """3 x 3 convolution with a border of zeros, ReLU, 2 x 2 maximum of one image, pixel by pixel."""
    depth, height, width = image.shape
    framed = torch.zeros(depth, height + 2, width + 2)
    framed[:, 1:-1, 1:-1] = image
    out = torch.zeros(layer.out_channels, height, width)
    for row in range(height):
        for column in range(width):
            patch = framed[:, row : row + 3, column : column + 3]
            out[:, row, column] = (layer.weight * patch).sum((1, 2, 3)) + layer.bias
    out = out.clamp_min(0)[:, : height // 2 * 2, : width // 2 * 2]
    return torch.stack([out[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]).amax(0)


@torch.no_grad()
def test_logits_are_those_of_the_layers() -> None:
    cnn = tiny(input_mean=0.5, input_std=0.25).eval()
    x = torch.rand(3, 1, 8, 6)
    first, second = (layer for layer in cnn.body if isinstance(layer, torch.nn.Conv2d))
    (linear,) = (layer for layer in cnn.body if isinstance(layer, torch.nn.Linear))
    maps = torch.stack([block(block((image - 0.5) / 0.25, first), second) for image in x])
    assert maps.shape == (3, 5, 2, 1)
    hidden = (maps.reshape(3, -1) @ linear.weight.T + linear.bias).clamp_min(0)
    torch.testing.assert_close(cnn.features(x), hidden, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(cnn(x), hidden @ cnn.head.weight.T + cnn.head.bias, atol=1e-5, rtol=1e-4)


def test_sizes_of_the_faces() -> None:
    with torch.device("meta"):
        cnn = CNN(input_shape=(1, 112, 92), num_classes=40, channels=(16, 32))
    assert [tuple(p.shape) for p in cnn.parameters() if p.ndim > 1] == [
        (16, 1, 3, 3),
        (32, 16, 3, 3),
        (512, 32 * 28 * 23),
        (40, 512),
    ]


def test_dropout_is_there_in_training_only() -> None:
    cnn = tiny(dropout=0.5, hidden=50, channels=(8, 8), init="he")
    x = torch.rand(2, 1, 8, 6)
    assert not torch.equal(cnn(x), cnn(x))
    cnn.eval()
    assert torch.equal(cnn(x), cnn(x))


@pytest.mark.parametrize("init", ["default", "he"])
def test_initial_weights(init: str) -> None:
    cnn = tiny(input_shape=(3, 40, 40), channels=(32, 64), hidden=300, init=init)
    layers = [layer for layer in cnn.modules() if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear)]
    assert len(layers) == 4
    for layer in map(torch.nn.Module.requires_grad_, layers, [False] * 4):
        inputs = layer.weight[0].numel()
        deviation = math.sqrt(2 / inputs) if init == "he" else 1 / math.sqrt(3 * inputs)
        assert float(layer.weight.std()) == pytest.approx(deviation, rel=0.1)  # the first layer has 864 weights
        assert bool(layer.bias.any()) == (init == "default")


# ------------------------------------------------------------------------------------------------ augmentation


def test_nothing_is_changed_unless_asked_for() -> None:
    x = torch.rand(4, 1, 8, 6)
    assert tiny().augment(x) is x


def test_shift_moves_each_image_by_whole_pixels_and_repeats_the_edge() -> None:
    cnn = tiny(shift=2)
    image = torch.arange(48.0).reshape(1, 8, 6)
    moved = cnn.augment(image.expand(200, 1, 8, 6))
    assert moved.shape == (200, 1, 8, 6)
    seen = set()
    for each in moved:
        down, across = divmod(int(each[0, 4, 3]) - int(image[0, 4, 3]) + 2 * 6 + 2, 6)
        down, across = down - 2, across - 2
        rows = (torch.arange(8) + down).clamp(0, 7)
        columns = (torch.arange(6) + across).clamp(0, 5)
        assert torch.equal(each[0], image[0][rows][:, columns])
        seen.add((down, across))
    assert len(seen) == 25  # every shift from -2 to 2 either way


def test_flip_mirrors_left_and_right() -> None:
    x = torch.rand(400, 1, 8, 6)
    changed = tiny(flip=0.25).augment(x)
    mirrored = (changed == x.flip(3)).flatten(1).all(1)
    assert torch.equal(changed[~mirrored], x[~mirrored])
    assert 60 < int(mirrored.sum()) < 140
    assert torch.equal(tiny(flip=1.0).augment(x), x.flip(3))


def test_noise_is_a_part_of_the_range() -> None:
    x = torch.full((50, 1, 8, 6), 3.0)
    changed = tiny(noise=0.1, input_range=(-10.0, 10.0)).augment(x) - x
    assert float(changed.std()) == pytest.approx(2.0, rel=0.05)
    assert abs(float(changed.mean())) < 0.2


def test_the_test_sees_the_images_as_they_are(faces: AttFaces) -> None:
    cnn = tiny(input_shape=faces.input_shape, noise=1.0, shift=3, flip=1.0).eval()
    trainer = quiet(0)
    trainer.test(cnn, datamodule=faces, verbose=False)
    accuracy = (cnn(faces.test_x).argmax(1) == faces.test_y).float().mean().item()
    assert cnn.training_info["test_accuracy"] == pytest.approx(accuracy)


# ------------------------------------------------------------------------------------------------ training


def quiet(epochs: int) -> Trainer:
    return Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def test_fit_learns_the_people(faces: AttFaces) -> None:
    seed_everything(0, verbose=False)
    cnn = tiny(
        input_shape=faces.input_shape,
        num_classes=faces.num_classes,
        hidden=32,
        dropout=0.0,
        init="he",
        input_mean=0.5,
        input_std=0.25,
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.05, momentum=0.9, fused=True),
    )
    trainer = quiet(40)
    trainer.fit(cnn, datamodule=faces)
    trainer.test(cnn, datamodule=faces, verbose=False)
    assert cnn.training_info["train_loss"] < 0.1
    assert cnn.training_info["test_accuracy"] == 1.0


def test_checkpoint_keeps_every_setting(tmp_path) -> None:
    settings = {
        "channels": (2, 3),
        "hidden": 9,
        "dropout": 0.3,
        "shift": 1,
        "flip": 0.5,
        "noise": 0.1,
        "init": "he",
        "input_mean": 0.4,
        "input_std": 0.3,
    }
    cnn = tiny(**settings).eval()
    save_classifier(cnn, tmp_path / "cnn.ckpt")
    loaded = load_classifier(tmp_path / "cnn.ckpt")
    assert isinstance(loaded, CNN)
    assert {name: getattr(loaded, name) for name in settings} == settings
    x = torch.rand(2, 1, 8, 6)
    torch.testing.assert_close(loaded(x), cnn(x))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"input_shape": (8, 6)}, r"height >= 4, width >= 4\), got \(8, 6\) \(input_shape\)$"),
        ({"input_shape": (1, 8, 3)}, r"height >= 4, width >= 4\), got \(1, 8, 3\) \(input_shape\)$"),
        ({"channels": (3, 0)}, r"^expected two channels >= 1, got \(3, 0\) \(channels\)$"),
        ({"channels": (3,)}, r"^expected two channels >= 1, got \(3,\) \(channels\)$"),
        ({"hidden": 0}, r"^expected hidden >= 1, got 0 \(hidden\)$"),
        ({"dropout": 1.0}, r"^expected 0 <= dropout < 1, got 1\.0 \(dropout\)$"),
        ({"init": "zeros"}, r"^expected init default or he, got zeros \(init\)$"),
        ({"shift": 6}, r"^expected 0 <= shift < 6 pixels, got 6 \(shift\)$"),
        ({"shift": -1}, r"^expected 0 <= shift < 6 pixels, got -1 \(shift\)$"),
        ({"flip": 1.1}, r"^expected 0 <= flip <= 1, got 1\.1 \(flip\)$"),
        ({"noise": -0.1}, r"^expected 0 <= noise <= 1, got -0\.1 \(noise\)$"),
        ({"input_std": 0.0}, r"^expected a finite input_std > 0, got 0\.0 \(input_std\)$"),
        ({"input_std": math.nan}, r"^expected a finite input_std > 0, got nan \(input_std\)$"),
        ({"input_mean": math.inf}, r"^expected a finite input_mean, got inf \(input_mean\)$"),
    ],
)
def test_bad_arguments(arguments: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        tiny(**arguments)
