"""Any module is a target: what it may return, in which type and mode, and that it is never changed."""

from __future__ import annotations

import copy
import dataclasses
from collections import OrderedDict, namedtuple

import pytest
import torch
from torch import nn
from torch.nn import functional

from mi_lightning.checkpoint import weights_digest
from mi_lightning.errors import InputError
from mi_lightning.targets import BlackBox, WhiteBox

SHAPE, CLASSES = (3, 4, 4), 5


class BasicBlock(nn.Module):
    """Two convolutions with batch norm and a short cut, as in torchvision."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.downsample = nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(y)) + self.downsample(x))


def resnet(classes=CLASSES):
    torch.manual_seed(0)
    net = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, 8, 7, 2, 3, bias=False),
            bn1=nn.BatchNorm2d(8),
            relu=nn.ReLU(inplace=True),
            maxpool=nn.MaxPool2d(3, 2, 1),
            layer1=BasicBlock(8, 8, 1),
            layer2=BasicBlock(8, 16, 2),
            avgpool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            dropout=nn.Dropout(0.5),
            fc=nn.Linear(16, classes),
        )
    )
    with torch.no_grad():
        net(torch.rand(16, 3, 64, 64))  # in training mode: the statistics are no longer those of the start
    return net


class Normalise(nn.Module):
    """A mean and a deviation for each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1))

    def forward(self, x):
        return (x - self.mean) / self.std


def linear(width=CLASSES, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(48, width))


def inputs(n=7, shape=SHAPE):
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(1))


class Returning(nn.Module):
    """A linear model that returns what a function makes of its logits."""

    def __init__(self, wrap, width=CLASSES) -> None:
        super().__init__()
        self.inner, self.wrap = linear(width), wrap

    def forward(self, x):
        return self.wrap(self.inner(x))


# ------------------------------------------------------------------------------------------------ never changed


def snapshot(module):
    """Everything of a module that a target could change."""
    return {
        "state": {name: value.clone() for name, value in module.state_dict().items()},
        "requires_grad": [parameter.requires_grad for parameter in module.parameters()],
        "grad": [parameter.grad for parameter in module.parameters()],
        "modes": [part.training for part in module.modules()],
        "attributes": [set(vars(part)) for part in module.modules()],
        "versions": [tensor._version for tensor in module.state_dict(keep_vars=True).values()],
    }


def same(before, after):
    states = before.pop("state"), after.pop("state")
    return before == after and all(torch.equal(states[0][name], states[1][name]) for name in states[0] | states[1])


def test_a_resnet_with_normalisation_stays_bit_for_bit():
    net, normalise = resnet(), Normalise()
    net.layer1.requires_grad_(False)
    net.layer2.eval()
    before, other = snapshot(net), snapshot(normalise)
    target = WhiteBox(net, input_shape=(3, 64, 64), preprocessing=normalise)
    assert (target.num_classes, target.output, target.class_names[-1]) == (CLASSES, "logits", "4")
    target.train()  # as Lightning does
    x = inputs(3, (3, 64, 64)).requires_grad_()
    (gradient,) = torch.autograd.grad(target.log_confidences(x)[:, 2].sum(), x)
    assert float(gradient.abs().amax((1, 2, 3)).min()) > 0
    target.confidences(x)
    BlackBox.of(net, input_shape=(3, 64, 64), preprocessing=normalise).confidences(x)
    assert same(before, snapshot(net))
    assert same(other, snapshot(normalise))
    expected = copy.deepcopy(net).eval()(normalise(x)).softmax(1)
    torch.testing.assert_close(target.confidences(x), expected)
    assert target.fingerprint() == weights_digest(net)


def test_large_layers_are_packed_on_the_copy_alone():
    net = nn.Sequential(nn.Flatten(), nn.Linear(2048, 70))
    before = snapshot(net)
    target = WhiteBox(net, input_shape=(2048,))
    assert same(before, snapshot(net))
    assert "forward" not in vars(net[1])
    assert target.classifier[1].weight.data_ptr() == net[1].weight.data_ptr()  # shared, not doubled
    x = torch.rand(8, 2048)
    torch.testing.assert_close(target.logits(x), net(x), atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        net[1].weight.mul_(2)
    torch.testing.assert_close(target.logits(x), net(x), atol=1e-5, rtol=1e-5)  # nothing stale is used


def test_what_a_forward_pass_left_in_a_module_does_not_hinder_copying():
    net = linear()
    net.remembered = net(inputs())  # has a graph behind it: copy.deepcopy refuses it
    WhiteBox(net, input_shape=SHAPE).confidences(inputs())
    assert net.remembered.requires_grad


def test_a_module_that_cannot_be_copied():
    net = linear()
    net.lock = open(__file__)  # noqa: PTH123, SIM115  # what cannot be copied
    with net.lock, pytest.raises(InputError, match=r"expected a module that copy.deepcopy can copy, .*\(module\)$"):
        WhiteBox(net, input_shape=SHAPE)


def test_inputs_are_not_changed_by_layers_that_work_in_place():
    net = nn.Sequential(nn.ReLU(inplace=True), *linear())
    target = WhiteBox(net, input_shape=SHAPE, input_range=(-1.0, 1.0))
    x = inputs() * 2 - 1
    before = x.clone()
    target.confidences(x)
    assert torch.equal(x, before)
    (gradient,) = torch.autograd.grad(target.log_confidences(x.requires_grad_())[:, 0].sum(), x)
    assert not gradient[before < 0].any()
    assert gradient[before > 0].all()


def test_evaluation_mode_holds_when_a_parent_trains():
    net = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(48), nn.Dropout(0.5), nn.Linear(48, CLASSES))
    target = WhiteBox(net, input_shape=SHAPE)
    parent = nn.ModuleList([target]).train()
    assert parent.training
    x = inputs()
    torch.testing.assert_close(target.logits(x)[:1], target.logits(x[:1]))
    assert int(net[1].num_batches_tracked) == 0


def test_the_global_random_state_is_left_alone():
    net = Returning(lambda logits: functional.dropout(logits, training=True))
    before = torch.get_rng_state()
    WhiteBox(net, input_shape=SHAPE)
    assert torch.equal(before, torch.get_rng_state())


# ------------------------------------------------------------------------------------------------ outputs

Named = namedtuple("Named", "logits features")


@dataclasses.dataclass
class Holder:
    logits: torch.Tensor
    loss: object = None


@pytest.mark.parametrize(
    ("wrap", "select"),
    [
        (lambda y: (y * 0, y), 1),
        (lambda y: [y * 0, y], -1),
        (lambda y: (y,), None),
        (lambda y: {"features": y * 0, "scores": y}, "scores"),
        (lambda y: {"features": y * 0, "logits": y}, None),
        (lambda y: Named(y, y * 0), None),
        (lambda y: Named(y * 0, y), "features"),
        (lambda y: Named(y * 0, y), 1),
        (Holder, None),
        (lambda y: Holder(y * 0, y), "loss"),
    ],
)
def test_outputs_of_many_parts(wrap, select):
    net = Returning(wrap)
    target = WhiteBox(net, input_shape=SHAPE, select=select)
    assert torch.equal(target.logits(inputs()), net.inner(inputs()))
    assert target.describe()["select"] == select


@pytest.mark.parametrize(
    ("wrap", "select", "message"),
    [
        (lambda y: (y, y), None, r"the index, key or attribute of the output that counts, of a tuple of 2, got none"),
        (lambda y: {"a": y, "b": y}, None, r"of a dict with 'a', 'b', got none \(select\)"),
        (lambda y: {"a": y, "b": y}, "c", r"one that is a tensor, of a dict with 'a', 'b', got 'c' \(select\)"),
        (lambda y: {"a": y, "b": y}, 0, r"of a dict with 'a', 'b', got 0 \(select\)"),
        (lambda y: (y, y), 2, r"of a tuple of 2, got 2 \(select\)"),
        (lambda y: Named(1, y), None, r"of a Named with logits, features, got none"),
        (lambda y: Holder(1), None, r"of a Holder with logits, loss, got none"),
        (lambda y: object(), None, r"of a object, got none"),
        (lambda y: y, "logits", r"of a tensor, got 'logits'"),
        (
            lambda y: (y, y),
            len,
            r"the index, key or attribute of the output that counts, got <built-in function len> \(select\)",
        ),
        (lambda y: y.argmax(1), None, r"one row of numbers for each of 6 inputs, \(N, C\), got torch.int64 of shape"),
        (lambda y: y[..., None], None, r"one row of numbers .* got torch.float32 of shape \(6, 5, 1\)"),
        (lambda y: y.mean(), None, r"one row of numbers .* of shape \(\)"),
    ],
)
def test_outputs_that_do_not_say_what_counts(wrap, select, message):
    with pytest.raises(InputError, match=message) as caught:
        WhiteBox(Returning(wrap), input_shape=SHAPE, select=select)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", ["column", "flat"])
@pytest.mark.parametrize("batch", [1, 4])
def test_a_single_sigmoid_is_two_classes(shape, batch):
    net = Returning(lambda y: y.sigmoid() if shape == "column" else y.sigmoid().squeeze(), width=1)
    target = WhiteBox(net, input_shape=SHAPE)
    assert (target.num_classes, target.output, target.has_logits) == (2, "probabilities", False)
    p = net.inner(inputs(batch)).sigmoid()
    torch.testing.assert_close(target.confidences(inputs(batch)), torch.cat((1 - p, p), 1))
    torch.testing.assert_close(target.log_confidences(inputs(batch)), torch.cat((1 - p, p), 1).log())


def test_a_single_logit_is_two_classes():
    net = Returning(lambda y: y[:, 0] / 10 + 0.5, width=1)  # in [0, 1] for every input within the range
    target = WhiteBox(net, input_shape=SHAPE)
    assert (target.num_classes, target.output) == (2, "logits")
    logit = net(inputs())
    torch.testing.assert_close(target.logits(inputs()), torch.stack((torch.zeros_like(logit), logit), 1))
    torch.testing.assert_close(target.confidences(inputs())[:, 1], logit.sigmoid())


@pytest.mark.parametrize(
    ("wrap", "found"),
    [
        (lambda y: y, "logits"),
        (lambda y: y.log_softmax(1), "logits"),
        (lambda y: y.relu() * 10, "logits"),
        (lambda y: y.softmax(1), "probabilities"),
        (lambda y: functional.one_hot(y.argmax(1), CLASSES).float(), "probabilities"),
    ],
)
def test_logits_and_probabilities_are_told_apart(wrap, found):
    net = Returning(wrap)
    target = WhiteBox(net, input_shape=SHAPE)
    assert (target.output, target.output_detected) == (found, True)
    assert (target.describe()["output"], target.describe()["output_detected"]) == (found, True)
    expected = net(inputs()) if found == "probabilities" else net(inputs()).softmax(1)
    torch.testing.assert_close(target.confidences(inputs()), expected)
    told = WhiteBox(net, input_shape=SHAPE, output=found)
    assert (told.output, told.describe()["output_detected"]) == (found, False)
    assert target.queries == CLASSES + 2  # looking at it was no query


def test_a_classifier_of_ours_needs_nothing(tiny_softmax):
    target = WhiteBox(tiny_softmax)
    assert (target.output, target.output_detected, target.has_logits) == ("logits", False, True)
    assert target.class_names == ("s1", "s2", "s3", "s4")
    flipped = WhiteBox(tiny_softmax, preprocessing=lambda x: x.flip(-1))
    x = torch.rand(3, 1, 8, 6)
    assert torch.equal(target.logits(x), tiny_softmax(x))
    assert torch.equal(flipped.logits(x), target.logits(x.flip(-1)))


@pytest.mark.parametrize(
    ("module", "settings", "message"),
    [
        (linear(), {}, r"expected the shape of one input, .* got none \(input_shape\)"),
        (linear(), {"input_shape": (3, 5, 5)}, r"takes inputs of shape \(N, 3, 5, 5\), got RuntimeError.*input_shape"),
        (linear(), {"num_classes": 4}, r"expected num_classes 5, as the module answers, got 4 \(num_classes\)"),
        (linear(), {"num_classes": 1}, r"expected num_classes >= 2, got 1 \(num_classes\)"),
        (linear(), {"class_names": ["a"]}, r"expected 5 class_names, got 1 \(class_names\)"),
        (linear(), {"input_range": (1.0, 0.0)}, r"low < high, got \(1.0, 0.0\) \(input_range\)"),
        (linear(), {"output": "odds"}, r"expected output auto, logits or probabilities, got odds \(output\)"),
        (linear(), {"output": "probabilities"}, r"expected probabilities, at least 0 .* got answers in .*\(output\)"),
        (linear(), {"max_batch": 0}, r"expected max_batch >= 1, got 0 \(max_batch\)"),
        (Returning(torch.sigmoid), {}, r'expected output "logits" or "probabilities" to be told: .*\(output\)'),
        (Returning(lambda y: y * torch.nan), {}, r"expected finite answers to grey and noise, got NaN .*\(module\)"),
        (len, {}, r"expected a torch.nn.Module, got builtin_function_or_method \(module\)"),
    ],
)
def test_what_does_not_fit(module, settings, message):
    given = settings if settings == {} and isinstance(module, nn.Sequential) else {"input_shape": SHAPE, **settings}
    with pytest.raises(InputError, match=message) as caught:
        WhiteBox(module, **given)
    assert "\n" not in str(caught.value)


def test_inputs_and_answers_of_another_shape():
    target = WhiteBox(linear(), input_shape=SHAPE)
    with pytest.raises(InputError, match=r"expected input of shape \(N, 3, 4, 4\), got \(2, 3, 4, 5\)"):
        target.confidences(torch.rand(2, 3, 4, 5))

    class Odd(nn.Module):
        def forward(self, x):
            return x.flatten(1)[:, : 2 + (len(x) == 3)]

    with pytest.raises(InputError, match=r"expected answers of shape \(3, 2\), got \(3, 3\) \(module\)"):
        WhiteBox(Odd(), input_shape=SHAPE).confidences(inputs(3))


# ------------------------------------------------------------------------------------------------ types of numbers


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("ends", ["logits", "softmax"])
def test_weights_of_another_type(dtype, ends):
    net = nn.Sequential(*linear(), *([nn.Softmax(1)] if ends == "softmax" else [])).to(dtype)
    target = WhiteBox(net, input_shape=SHAPE)
    assert target.output == ("logits" if ends == "logits" else "probabilities")
    x = inputs().requires_grad_()
    p = target.confidences(x)
    assert p.dtype == target.log_confidences(x).dtype == torch.float32
    torch.testing.assert_close(p.sum(1), torch.ones(7))
    expected = net.float()(inputs())
    torch.testing.assert_close(p, expected if ends == "softmax" else expected.softmax(1), atol=1e-2, rtol=1e-2)
    (gradient,) = torch.autograd.grad(p[:, 0].sum(), x)
    assert gradient.dtype == torch.float32
    assert gradient.any()
    assert target.confidences(inputs().double()).dtype == torch.float64


# ------------------------------------------------------------------------------------------------ behind a black box


def test_a_black_box_of_any_module():
    net = Returning(lambda y: (y.softmax(1), y))
    box = BlackBox.of(net, input_shape=SHAPE, select=0, class_names=list("abcde"), max_batch=3)
    x = inputs().requires_grad_()
    assert torch.allclose(box.confidences(x), net.inner(x).softmax(1), atol=1e-6)
    assert not box.confidences(x).requires_grad
    assert (box.classifier, box.differentiable, box.has_logits) == (None, False, False)
    assert (box.class_names, box.max_batch) == (tuple("abcde"), 3)
    assert box.fingerprint() == weights_digest(net)
    said = box.describe()
    assert (said["access"], said["output"], said["output_detected"]) == ("black_box", "probabilities", True)
    assert said["class"].endswith("Returning")
    with pytest.raises(InputError, match=r"expected a target that releases logits, got BlackBox"):
        box.logits(x)
