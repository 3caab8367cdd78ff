"""Attacks on models that are not ours: in ten lines, and without a trace in them."""

from __future__ import annotations

import torch

import mi_lightning as mi
from mi_lightning.attacks.costs import NegativeLogit
from tests.targets.test_any_model import Normalise, resnet, same, snapshot


def test_a_resnet_of_ones_own_is_attacked_and_left_as_it_was():
    network = resnet()
    before = snapshot(network)

    target = mi.WhiteBox(network, input_shape=(3, 64, 64), preprocessing=Normalise())
    attack = mi.attacks.gradient_descent(max_iterations=25, report_every=10)
    result = attack.run(target)

    start = mi.attacks.gradient_descent(lr=1e-9, max_iterations=1).run(target)
    assert result.reconstruction.shape == (target.num_classes, 3, 64, 64)
    assert float(result.reconstruction.min()) >= 0
    assert float(result.reconstruction.max()) <= 1
    assert bool((result.cost < start.cost).all())  # every class was approached
    same(before, snapshot(network))  # weights, buffers, modes, hooks: bit for bit


def test_logits_of_ones_own_model_can_be_the_cost():
    network = resnet()
    target = mi.WhiteBox(network, input_shape=(3, 64, 64), preprocessing=Normalise(), output="logits")
    result = mi.Attack(cost=NegativeLogit(), max_iterations=5, optimizer=plain).run(target, labels=[2])
    with torch.no_grad():
        logits = network.eval()(Normalise()(result.reconstruction))
    torch.testing.assert_close(result.cost[0], -logits[0, 2], atol=1e-3, rtol=1e-3)
    assert abs(float(result.confidence[0]) - float(logits.softmax(1)[0, 2])) < 1e-4  # it was asked for at last
    assert result.queries.tolist() == [7]


def plain(parameters):
    return torch.optim.SGD(parameters, lr=0.5)


def test_a_result_shows_itself_in_one_line():
    target = mi.WhiteBox(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3)), input_shape=(1, 4, 4))
    shown = repr(mi.attacks.gradient_descent(max_iterations=1).run(target))
    assert shown.startswith("InversionResult(3 rows of shape (1, 4, 4), mean confidence 0.")
    assert "\n" not in shown
