"""Denoising autoencoders alone: the noise, the maps, and that they learn."""

from __future__ import annotations

import re

import pytest
import torch
from torch.nn.functional import mse_loss

from mi_lightning.errors import InputError
from mi_lightning.nn.autoencoder import DenoisingAutoencoder, StackedDenoisingAutoencoder


def randomised(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return module


@pytest.mark.parametrize("corruption", [-0.1, 1.0, 1.5, float("nan")])
def test_corruption_outside_zero_to_one(corruption):
    with pytest.raises(InputError, match=re.escape(f"expected corruption in [0, 1), got {corruption} (corr")):
        DenoisingAutoencoder(3, 2, corruption=corruption)


@pytest.mark.parametrize(("offset", "rescale"), [(0.0, True), (0.5, True), (0.5, False)])
def test_corruption_erases_its_part_and_keeps_the_mean(offset, rescale):
    autoencoder = DenoisingAutoencoder(1000, 2, corruption=0.3, offset=offset, rescale=rescale)
    x = torch.full((200, 1000), 0.8)
    corrupted = autoencoder.corrupt(x, torch.Generator().manual_seed(0))
    erased = corrupted == offset
    assert float(erased.float().mean()) == pytest.approx(0.3, abs=0.005)
    stays = offset + (0.8 - offset) / (0.7 if rescale else 1.0)
    torch.testing.assert_close(corrupted[~erased], torch.full_like(corrupted[~erased], stays))
    if rescale:
        assert float(corrupted.mean()) == pytest.approx(0.8, abs=0.005)


def test_no_corruption_is_no_change():
    x = torch.rand(3, 4)
    assert DenoisingAutoencoder(4, 2, corruption=0).corrupt(x) is x


def test_corruption_comes_from_the_generator():
    autoencoder, x = DenoisingAutoencoder(50, 2), torch.rand(4, 50)
    first, again, other = (autoencoder.corrupt(x, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_maps_are_those_of_the_formula():
    autoencoder = randomised(DenoisingAutoencoder(5, 3, offset=0.4)).eval()
    x = torch.rand(4, 5)
    encoder, decoder = autoencoder.encoder, autoencoder.decoder
    code = torch.tanh((x - 0.4) @ encoder.weight.T + encoder.bias)
    torch.testing.assert_close(autoencoder.encode(x), code)
    torch.testing.assert_close(autoencoder.decode(code), code @ decoder.weight.T + decoder.bias + 0.4)
    torch.testing.assert_close(autoencoder(x), autoencoder.decode(code))
    assert not torch.equal(autoencoder.train()(x), autoencoder.eval()(x))


def test_loss_is_the_error_against_the_clean_input():
    autoencoder, x = randomised(DenoisingAutoencoder(6, 3)), torch.rand(4, 6)
    corrupted = autoencoder.corrupt(x, torch.Generator().manual_seed(3))
    expected = ((autoencoder.decode(autoencoder.encode(corrupted)) - x) ** 2).mean()
    torch.testing.assert_close(autoencoder.loss(x, torch.Generator().manual_seed(3)), expected)


def test_stack_is_one_layer_after_the_other():
    stack = randomised(StackedDenoisingAutoencoder((6, 4, 3, 2), offset=0.5))
    first, second, third = stack.layers
    x = torch.rand(5, 6)
    code = third.encode(second.encode(first.encode(x)))
    torch.testing.assert_close(stack.encode(x), code)
    torch.testing.assert_close(stack.encode(x, depth=2), second.encode(first.encode(x)))
    torch.testing.assert_close(stack.decode(code), first.decode(second.decode(third.decode(code))))
    torch.testing.assert_close(stack(x), stack.decode(code))
    assert [layer.offset for layer in stack.layers] == [0.5, 0.0, 0.0]
    assert (stack.inputs, stack.code_size, stack.depth) == (6, 2, 3)


def test_each_layer_has_its_corruption():
    assert [layer.corruption for layer in StackedDenoisingAutoencoder((6, 4, 3), corruption=(0.1, 0.4)).layers] == [
        0.1,
        0.4,
    ]
    with pytest.raises(InputError, match=r"expected one corruption for each of 2 layers, got 1 \(corruption\)"):
        StackedDenoisingAutoencoder((6, 4, 3), corruption=(0.1,))


@pytest.mark.parametrize(
    ("sizes", "words"),
    [((6,), "at least one layer, got"), ((6, 0), "hidden >= 1, got 0"), ((0, 3), "inputs >= 1, got 0")],
)
def test_bad_sizes(sizes, words):
    with pytest.raises(InputError, match=words):
        StackedDenoisingAutoencoder(sizes)


def test_layers_learn_what_the_data_have_in_common():
    """Samples of three directions in 20: after training, new ones come back far better than as the mean."""
    torch.manual_seed(0)
    directions = torch.randn(3, 20)
    train, test = 0.5 + 0.2 * torch.rand(64, 3) @ directions, 0.5 + 0.2 * torch.rand(32, 3) @ directions
    stack = StackedDenoisingAutoencoder((20, 12, 6), corruption=0.1, offset=0.5)
    below = train
    for layer in stack.layers:
        optimizer = torch.optim.Adam(layer.parameters(), lr=0.01)
        for _ in range(400):
            optimizer.zero_grad()
            layer.loss(below).backward()
            optimizer.step()
        below = layer.encode(below).detach()
    assert mse_loss(stack(test), test) < 0.15 * mse_loss(train.mean(0).expand_as(test), test)
