"""The generator: against a plain computation of its layers, and what a file of weights may be."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from mi_lightning.errors import InputError, MIError
from mi_lightning.nn.dcgan import STATE_KEY, FaceGenerator, load_generator


def drawn(seed=0, **sizes):
    """A generator with drawn weights and statistics."""
    generator = torch.Generator().manual_seed(seed)
    model = FaceGenerator(**{"code_size": 5, "widths": (6, 4, 3, 2), **sizes})
    state = {
        name: value if value.dtype == torch.int64 else torch.rand(value.shape, generator=generator) - 0.4
        for name, value in model.state_dict().items()
    }
    for name in state:
        if name.endswith("running_var"):
            state[name] = state[name].abs() + 0.5
    model.load_state_dict(state)
    return model.eval()


def test_against_its_layers_one_by_one():
    model, code = drawn(), torch.randn(3, 5)
    state = model.state_dict()
    x = code.reshape(3, 5, 1, 1)
    for layer in (0, 3, 6, 9):
        stride, padding = (1, 0) if layer == 0 else (2, 1)
        x = F.conv_transpose2d(x, state[f"main.{layer}.weight"], stride=stride, padding=padding)
        mean, variance = state[f"main.{layer + 1}.running_mean"], state[f"main.{layer + 1}.running_var"]
        scale, shift = state[f"main.{layer + 1}.weight"], state[f"main.{layer + 1}.bias"]
        x = (x - mean.view(-1, 1, 1)) / (variance.view(-1, 1, 1) + 1e-5).sqrt() * scale.view(-1, 1, 1)
        x = (x + shift.view(-1, 1, 1)).clamp_min(0)
    x = torch.tanh(F.conv_transpose2d(x, state["main.12.weight"], stride=2, padding=1))
    assert x.shape == (3, 3, 64, 64)
    torch.testing.assert_close(model(code), x, atol=1e-6, rtol=1e-5)
    red, green, blue = x.unbind(1)
    expected = (0.299 * red + 0.587 * green + 0.114 * blue + 1) / 2
    torch.testing.assert_close(model.grey(code)[:, 0], expected, atol=1e-6, rtol=1e-5)


def test_grey_pictures_of_a_generator_of_grey_pictures():
    model, code = drawn(colours=1), torch.randn(2, 5)
    torch.testing.assert_close(model.grey(code), (model(code) + 1) / 2)


@pytest.mark.parametrize("sizes", [{}, {"code_size": 9, "widths": (3, 2)}, {"colours": 1}])
def test_a_file_says_how_large_its_generator_is(tmp_path, sizes):
    model = drawn(**sizes)
    torch.save({STATE_KEY: model.state_dict()}, tmp_path / "weights.tar")
    before = torch.random.get_rng_state()
    loaded = load_generator(tmp_path / "weights.tar")
    assert torch.equal(torch.random.get_rng_state(), before)
    code = torch.randn(2, model.code_size)
    assert (loaded.code_size, loaded.side) == (model.code_size, model.side)
    assert torch.equal(loaded(code), model(code))
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


class Mischief:
    """Would make a file if it were unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_nothing_in_a_file_is_executed(tmp_path):
    (tmp_path / "weights.tar").write_bytes(pickle.dumps(Mischief(tmp_path / "made")))
    with pytest.raises(MIError, match=r"^\S*weights\.tar holds no plain weights: it is damaged, or would run code"):
        load_generator(tmp_path / "weights.tar")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, r"^expected a file of weights of a face generator, got none at .*w\.tar \(weights\)$"),
        (b"", r"w\.tar holds no plain weights"),
        (b"P5 no pickle", r"w\.tar holds no plain weights"),
        ({"netD": {}}, r"^expected an entry netG_state_dict in .*w\.tar, got netD \(weights\)$"),
        ({}, r"^expected an entry netG_state_dict in .*w\.tar, got an empty file \(weights\)$"),
        ([1], r"^expected an entry netG_state_dict in .*w\.tar, got list \(weights\)$"),
        ({STATE_KEY: {}}, r"^expected weights of a DCGAN generator, got .*w\.tar: .* \(weights\)$"),
        ({STATE_KEY: {"a": 1}}, r"^expected weights of a DCGAN generator, got .*w\.tar: .* \(weights\)$"),
        ({STATE_KEY: {"a": torch.ones(3, 2, 4, 4)}}, r"^expected weights of a DCGAN generator, got .*w\.tar: "),
        ({STATE_KEY: {"a": torch.ones(5, 4, 4, 4), "b": torch.ones(4, 7, 4, 4)}}, r"got .*w\.tar: .*1 or 3 colours"),
    ],
)
def test_files_that_are_none(tmp_path, content, words):
    path = tmp_path / "w.tar"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(MIError, match=words) as caught:
        load_generator(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"code_size": 0}, r"^expected code_size >= 1, got 0$"),
        ({"widths": ()}, r"^expected widths >= 1, got \(\)$"),
        ({"widths": (4, 0)}, r"^expected widths >= 1, got \(4, 0\)$"),
        ({"colours": 2}, r"^expected 1 or 3 colours, got 2$"),
    ],
)
def test_bad_sizes(sizes, words):
    with pytest.raises(InputError, match=words):
        FaceGenerator(**sizes)
