from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from mi_lightning.nn.frozen import pack_linear_layers


@pytest.fixture
def pair() -> tuple[nn.Linear, nn.Linear]:
    """A frozen layer that is packed, and one that is not, with the same weights."""
    torch.manual_seed(0)
    plain = nn.Linear(2048, 70).requires_grad_(False)
    packed = copy.deepcopy(plain)
    if pack_linear_layers(packed) == 0:
        pytest.skip("oneDNN's operators are missing in this build of PyTorch")
    return packed, plain


@pytest.mark.parametrize("rows", [1, 2, 40, 300])
def test_same_product_and_gradient(pair, rows):
    packed, plain = pair
    x = torch.rand(rows, 2048, requires_grad=True)
    weights = torch.rand(rows, 70)
    results = []
    for layer in (packed, plain):
        y = layer(x)
        results.append((y.detach(), *torch.autograd.grad((y * weights).sum(), x)))
    for ours, reference in zip(*results, strict=True):
        torch.testing.assert_close(ours, reference, rtol=1e-5, atol=1e-5)


def test_rows_do_not_depend_on_the_batch(pair):
    x = torch.rand(40, 2048)
    torch.testing.assert_close(pair[0](x)[3:5], pair[0](x[3:5]), rtol=0, atol=1e-6)


def test_state_and_parameters_stay(pair):
    packed, plain = pair
    assert packed.state_dict().keys() == plain.state_dict().keys()
    assert torch.equal(packed.weight, plain.weight)


def test_changed_weights_are_seen(pair):
    packed, plain = pair
    x = torch.rand(4, 2048)
    for layer in pair:
        with torch.no_grad():
            layer.weight.mul_(2)
    torch.testing.assert_close(packed(x), plain(x))
    for layer in pair:
        layer.weight = nn.Parameter(torch.zeros_like(layer.weight), requires_grad=False)
    torch.testing.assert_close(packed(x), plain(x))


def test_thawed_weights_get_gradients(pair):
    packed, _ = pair
    packed.requires_grad_(True)
    packed(torch.rand(4, 2048)).sum().backward()
    assert packed.weight.grad is not None


def test_other_types_and_shapes_work(pair):
    packed, plain = pair
    x = torch.rand(2, 3, 2048)
    torch.testing.assert_close(packed(x), plain(x))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert packed(x[0]).dtype is torch.bfloat16
    torch.testing.assert_close(packed.double()(x.double()), plain.double()(x.double()))


def test_copies_are_plain(pair):
    again = copy.deepcopy(pair[0])
    assert again.forward.layer is again
    x = torch.rand(3, 2048)
    torch.testing.assert_close(again(x), pair[1](x))


def test_what_is_not_packed():
    assert pack_linear_layers(nn.Linear(2048, 70)) == 0  # not frozen
    assert pack_linear_layers(nn.Linear(10, 7).requires_grad_(False)) == 0  # too small to gain
    assert pack_linear_layers(nn.Linear(2048, 70).double().requires_grad_(False)) == 0


def test_packing_twice_is_packing_once(pair):
    assert pack_linear_layers(pair[0]) == 0
