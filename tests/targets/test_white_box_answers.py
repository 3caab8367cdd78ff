"""Answers of a white box are checked as those of a black box are, and its weights are those of the file it names."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from mi_lightning.attacks import Attack
from mi_lightning.attacks.costs import NegativeLogConfidence
from mi_lightning.attacks.estimators import SPSA
from mi_lightning.checkpoint import file_digest
from mi_lightning.classifiers import SoftmaxRegression
from mi_lightning.classifiers.loading import save_classifier
from mi_lightning.errors import InputError, MIError
from mi_lightning.targets import BlackBox, TargetError, WhiteBox

SHAPE = (1, 4, 4)


def linear(seed=0, classes=3):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, classes))


class Answer(nn.Module):
    """A linear model whose answer passes through a function."""

    def __init__(self, function, classes=3) -> None:
        super().__init__()
        self.inner, self.function = linear(classes=classes), function

    def forward(self, x):
        return self.function(self.inner(x), x)


# ------------------------------------------------------------------------------------------------ probabilities


def test_rows_that_sum_to_one_are_no_logits():
    net = Answer(lambda y, x: y.softmax(1))
    assert WhiteBox(net, input_shape=SHAPE).output == "probabilities"
    with pytest.raises(InputError, match=r'^expected logits, got rows that sum to 1: say output "prob.*\(output\)$'):
        WhiteBox(net, input_shape=SHAPE, output="logits")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda p: p * 2, r"expected probabilities, at least 0 .* got some that are off by 1$"),
        (lambda p: p * torch.nan, r"expected probabilities, at least 0 .* got NaN$"),
        (lambda p: torch.stack((p[:, 0] - 1.25, p[:, 1] + 1.25, p[:, 2]), 1), r"got some that are off by 1\.\d+$"),
    ],
)
def test_what_goes_wrong_within_an_attack_is_told_at_the_next_report(wrong, message):
    """The module gives probabilities on the first look, and something else in the corner where the attack goes."""

    def answer(y, x):
        p = y.softmax(1)
        return torch.where(x.flatten(1).std(1, keepdim=True) > 0.02, wrong(p), p) if len(x) == 2 else p

    target = WhiteBox(Answer(answer), input_shape=SHAPE)
    attack = Attack(cost=NegativeLogConfidence(), max_iterations=40, report_every=5, beta=None, gamma=None)
    with pytest.raises(TargetError, match=message) as caught:
        attack.run(target, labels=[0, 1])
    assert caught.value.found is not None


def test_a_single_sigmoid_is_checked_too():
    target = WhiteBox(Answer(lambda y, x: y.sigmoid(), classes=1), input_shape=SHAPE)
    target.confidences(torch.rand(3, *SHAPE))
    assert target.check_answers() is None
    target.module.function = lambda y, x: y.sigmoid() + 0.9
    target.confidences(torch.rand(3, *SHAPE))
    with pytest.raises(TargetError, match=r"off by 0\.\d+"):
        target.check_answers()
    assert target.check_answers() is None  # since then nothing was asked


def test_logits_are_not_looked_at_in_the_loop():
    target = WhiteBox(linear(), input_shape=SHAPE)
    target.confidences(torch.rand(3, *SHAPE))
    assert target._off is None


# ------------------------------------------------------------------------------------------------ no gradient


class Numpy(nn.Module):
    """A model that leaves torch."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = linear()

    def forward(self, x):
        return torch.from_numpy(self.inner(x).numpy())


@pytest.mark.parametrize("module", [Answer(lambda y, x: y.detach()), Numpy(), Answer(lambda y, x: y.data + 0)])
def test_a_detached_answer_is_told_before_the_attack(module):
    target = WhiteBox(module, input_shape=SHAPE)
    assert not target.differentiable
    with pytest.raises(InputError) as caught:
        Attack(max_iterations=2).run(target, labels=[0])
    assert str(caught.value) == (
        "expected a target that gives gradients, or an estimator that only queries, got WhiteBox, whose module lets no "
        "gradient through to its input (detach, no_grad, numpy or argmax in it) with Autograd (estimator)"
    )
    assert target.queries == 0
    found = Attack(max_iterations=2, estimator=SPSA()).run(target, labels=[0])  # it can be queried all the same
    assert found.reconstruction.isfinite().all()
    assert not BlackBox.of(module, input_shape=SHAPE).differentiable


def test_what_works_in_place_on_its_input_still_has_gradients():
    net = nn.Sequential(nn.ReLU(inplace=True), *linear())
    assert WhiteBox(net, input_shape=SHAPE).differentiable


# ------------------------------------------------------------------------------------------------ weights of a file


def test_the_weights_are_those_of_the_file(tmp_path):
    net, file = linear(), tmp_path / "net.pt"
    torch.save(net.state_dict(), file)
    target = WhiteBox(net, input_shape=SHAPE, checkpoint=str(file))
    assert target.describe()["checkpoint_sha256"] == file_digest(file)
    half = WhiteBox(linear().half(), input_shape=SHAPE, checkpoint=str(file))
    assert half.describe()["checkpoint_sha256"] == file_digest(file)


@pytest.mark.parametrize("of", [WhiteBox, BlackBox.of])
@pytest.mark.parametrize("told", [True, False])
def test_random_weights_under_the_name_of_a_file_are_refused(tmp_path, of, told):
    file = tmp_path / "net.pt"
    torch.save(linear().state_dict(), file)
    more = {"checkpoint_sha256": file_digest(file)} if told else {}
    message = (
        rf"expected a module with the weights of {re.escape(str(file))}, got Sequential with other weights, such as "
        r"1.weight: load them before it is attacked \(checkpoint\)"
    )
    with pytest.raises(InputError, match=message):
        of(linear(seed=1), input_shape=SHAPE, checkpoint=str(file), **more)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {f"module.{name}": value for name, value in state.items()},
        lambda state: {f"_orig_mod.module.{name}": value for name, value in state.items()},
        lambda state: {"epoch": 3, "state_dict": {f"model.{name}": value for name, value in state.items()}},
        lambda state: {"state_dict": dict(state) | {"loss.weight": torch.ones(3)}},
    ],
)
def test_wrappers_around_the_weights_do_not_matter(tmp_path, wrap):
    file = tmp_path / "net.pt"
    torch.save(wrap(linear().state_dict()), file)
    assert WhiteBox(linear(), input_shape=SHAPE, checkpoint=str(file)).checkpoint_sha256 == file_digest(file)
    with pytest.raises(InputError, match="with other weights"):
        WhiteBox(linear(seed=1), input_shape=SHAPE, checkpoint=str(file))


def test_files_of_something_else(tmp_path):
    with pytest.raises(MIError, match=r"cannot read .*gone.pt: No such file"):
        WhiteBox(linear(), input_shape=SHAPE, checkpoint=str(tmp_path / "gone.pt"))
    other = tmp_path / "other.pt"
    torch.save(nn.Linear(2, 2).state_dict(), other)
    with pytest.raises(InputError, match=r"the weights of a Sequential \(1.weight, 1.bias, ...\) in .*other.pt, got"):
        WhiteBox(linear(), input_shape=SHAPE, checkpoint=str(other))
    text = tmp_path / "text.pt"
    text.write_text("no weights")
    with pytest.raises(MIError, match="holds no plain weights"):
        WhiteBox(linear(), input_shape=SHAPE, checkpoint=str(text))
    # whoever loaded it knows the layout, and says so by the digest; a digest of another file is none
    assert WhiteBox(linear(), input_shape=SHAPE, checkpoint=str(text), checkpoint_sha256=file_digest(text))
    with pytest.raises(InputError, match=r"expected the file of SHA-256 abababababab..., got .*\(checkpoint\)"):
        WhiteBox(linear(), input_shape=SHAPE, checkpoint=str(text), checkpoint_sha256="ab" * 32)


def test_a_checkpoint_of_ours(tmp_path):
    model = SoftmaxRegression(input_shape=SHAPE, num_classes=3)
    save_classifier(model, tmp_path / "a.ckpt")
    assert WhiteBox(model, checkpoint=str(tmp_path / "a.ckpt")).checkpoint_sha256 == file_digest(tmp_path / "a.ckpt")
