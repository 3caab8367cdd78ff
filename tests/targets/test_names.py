"""Names of classes: those of the data where nobody gave any, and their order where they were given."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mi_lightning.classifiers import SoftmaxRegression
from mi_lightning.targets import BlackBox, LabelOnly, WhiteBox
from mi_lightning.targets.defenses import Rounding, TopK
from mi_lightning.targets.defenses.base import defend

SHAPE, NAMES = (1, 2, 3), ("ann", "bob", "cleo")


def net(classes=3):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(6, classes))


def function(x):
    return net()(x).softmax(1)


def targets(class_names=None):
    facts = {"input_shape": SHAPE, "num_classes": 3, "class_names": class_names}
    return [
        WhiteBox(net(), **facts),
        BlackBox(function, **facts),
        BlackBox.of(net(), **facts),
        LabelOnly(lambda x: function(x).argmax(1), **facts),
        defend(WhiteBox(net(), **facts), [Rounding(r=0.001), TopK(k=3)]),
    ]


@pytest.mark.parametrize("place", range(5))
def test_classes_without_names_take_those_of_the_data(place):
    target = targets()[place]
    x = torch.rand(4, *SHAPE)
    before = target.confidences(x)
    assert (target.class_names, target.names_given, target.names_from) == (("0", "1", "2"), False, "target")
    target.adopt_names(NAMES)
    assert (target.class_names, target.names_from) == (NAMES, "data")
    assert torch.equal(target.confidences(x), before)
    target.adopt_names(NAMES)
    assert target.names_from == "data"


@pytest.mark.parametrize("place", range(5))
def test_the_same_names_in_another_order_move_the_columns(place):
    target = targets(["cleo", "ann", "bob"])[place]
    x = torch.rand(4, *SHAPE)
    before = target.confidences(x)
    target.adopt_names(NAMES)
    assert (target.class_names, target.names_from) == (NAMES, "reordered")
    assert torch.equal(target.confidences(x), before[:, [1, 2, 0]])
    assert torch.equal(target.log_confidences(x).exp().argmax(1), before[:, [1, 2, 0]].argmax(1))
    assert target.columns.tolist() == [1, 2, 0]
    target.adopt_names(("bob", "cleo", "ann"))  # and once more
    assert torch.equal(target.confidences(x), before[:, [2, 0, 1]])


def test_gradients_are_those_of_the_person():
    target = WhiteBox(net(), input_shape=SHAPE, class_names=["cleo", "ann", "bob"])
    target.adopt_names(NAMES)
    x = torch.rand(2, *SHAPE, requires_grad=True)
    (got,) = torch.autograd.grad(target.logits(x)[:, 0].sum(), x)
    (expected,) = torch.autograd.grad(net()(x)[:, 1].sum(), x)
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("names", [("ann", "bob"), ("ann", "bob", "dora"), ("ann", "ann", "bob")])
def test_other_people_are_left_for_the_judge_to_refuse(names):
    for target in targets(["cleo", "ann", "bob"]):
        target.adopt_names(names)
        assert (target.class_names, target.names_from) == (("cleo", "ann", "bob"), "target")
    few = WhiteBox(net(), input_shape=SHAPE)
    few.adopt_names(("ann", "bob"))
    assert few.class_names == ("0", "1", "2")


def test_numbers_that_were_given_are_names():
    target = WhiteBox(net(), input_shape=SHAPE, class_names=["0", "1", "2"])
    assert target.names_given
    target.adopt_names(("1", "0", "2"))
    assert (target.class_names, target.names_from) == (("1", "0", "2"), "reordered")


def test_a_classifier_of_ours_without_names_has_none():
    plain = SoftmaxRegression(input_shape=SHAPE, num_classes=3)
    assert not WhiteBox(plain).names_given
    assert WhiteBox(SoftmaxRegression(input_shape=SHAPE, num_classes=3, class_names=NAMES)).names_given
    assert WhiteBox(plain, class_names=NAMES).class_names == NAMES
