"""What every exported classifier must do, whatever else it does."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from mi_lightning import classifiers
from mi_lightning.checkpoint import class_path, weights_digest
from mi_lightning.classifiers import (
    CNN,
    MLP,
    SINC_SMALL,
    Classifier,
    FaceCNN,
    LogisticRegression,
    MelSpeakerNet,
    SincNet,
    SoftmaxRegression,
    StackedDAE,
)
from mi_lightning.classifiers.loading import load_classifier, save_classifier
from mi_lightning.errors import InputError
from mi_lightning.targets import WhiteBox
from tests.contracts.parts import example, exported, named, plain

CLASSES = 3
FACE = {"input_shape": (1, 16, 16), "num_classes": CLASSES}
CHUNK = {"input_shape": (1, 3200), "num_classes": CLASSES}

#: Small ones, with the shape of their input.
EXAMPLES = {
    CNN: lambda **facts: CNN(**FACE, channels=(2, 3), hidden=5, **facts),
    MLP: lambda **facts: MLP(**FACE, hidden=6, **facts),
    FaceCNN: lambda **facts: FaceCNN(**FACE, width=2, hidden=4, **facts),
    LogisticRegression: lambda **facts: LogisticRegression(**FACE, **facts),
    SoftmaxRegression: lambda **facts: SoftmaxRegression(**FACE, **facts),
    StackedDAE: lambda **facts: StackedDAE(**FACE, hidden=(7, 5), **facts),
    SincNet: lambda **facts: SincNet(**CHUNK, **SINC_SMALL | {"hidden": (8,)}, **facts),
    MelSpeakerNet: lambda **facts: MelSpeakerNet(**CHUNK, **facts),
}
HERE = "tests/contracts/test_classifiers.py"
ALL = exported(classifiers, Classifier)
EVERY = pytest.mark.parametrize("part", named(ALL))


def make(part, **facts):
    torch.manual_seed(0)
    classifier = example(part, EXAMPLES, HERE)(**facts)
    with torch.no_grad():  # some start at zero
        for parameter in classifier.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.01)
    return classifier.eval()


def inputs(classifier, n=4):
    low, high = classifier.input_range
    x = torch.rand(n, *classifier.input_shape, generator=torch.Generator().manual_seed(1))
    return x * (high - low) + low


def test_everything_exported_is_known():
    assert set(ALL) == EXAMPLES.keys()


@EVERY
def test_logits_are_the_head_of_the_features(part):
    classifier = make(part)
    x = inputs(classifier)
    logits, features = classifier(x), classifier.features(x)
    assert logits.shape == (4, CLASSES)
    assert (features.ndim, len(features)) == (2, 4)
    assert torch.equal(logits, classifier.head(features))
    assert isinstance(classifier.head, nn.Module)
    assert not torch.allclose(logits[0], logits[1])  # it looks at its input
    torch.testing.assert_close(classifier(x[1:2]), logits[1:2], atol=1e-5, rtol=1e-4)


@EVERY
def test_facts_are_those_given(part):
    classifier = make(part, class_names=["ann", "ben", "cy"], input_range=(-2.0, 3.0))
    assert classifier.input_shape in (FACE["input_shape"], CHUNK["input_shape"])
    assert (classifier.num_classes, classifier.class_names) == (CLASSES, ("ann", "ben", "cy"))
    assert classifier.input_range == (-2.0, 3.0)
    assert make(part).class_names == ("0", "1", "2")
    assert plain(classifier.init_args)
    again = part(**classifier.init_args)
    assert again.init_args == classifier.init_args


@EVERY
def test_it_comes_back_from_its_file(part, tmp_path):
    classifier = make(part, class_names=["ann", "ben", "cy"])
    classifier.training_info = {"test_accuracy": 0.5}
    save_classifier(classifier, tmp_path / "a.ckpt")
    loaded = load_classifier(tmp_path / "a.ckpt")
    assert type(loaded) is part
    assert weights_digest(loaded) == weights_digest(classifier)
    assert torch.equal(loaded(inputs(classifier)), classifier(inputs(classifier)))
    assert loaded.training_info == {"test_accuracy": 0.5}
    entry = torch.load(tmp_path / "a.ckpt", weights_only=True)["mi_lightning"]
    assert entry["class_path"] == class_path(part) == f"mi_lightning.classifiers.{part.__name__}"


@EVERY
def test_inputs_of_another_shape_are_refused(part):
    classifier = make(part)
    for shape in (classifier.input_shape[:-1], (2, *classifier.input_shape[1:]), (*classifier.input_shape[:-1], 5)):
        with pytest.raises(InputError, match=r"^expected .*input.* of shape|^expected .*\(N, 1"):
            classifier(torch.zeros(2, *shape))


@EVERY
@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"input_range": (1.0, 1.0)}, r"low < high, got \(1.0, 1.0\) \(input_range\)$"),
        ({"class_names": ["a"]}, r"expected 3 class_names, got 1 \(class_names\)$"),
    ],
)
def test_facts_that_do_not_fit(part, facts, message):
    with pytest.raises(InputError, match=message):
        make(part, **facts)


@EVERY
def test_a_white_box_of_it_answers_with_its_softmax_and_leaves_it_alone(part):
    classifier = make(part).train()
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    target = WhiteBox(classifier)
    x = inputs(classifier).requires_grad_()
    p = target.confidences(x)
    (gradient,) = torch.autograd.grad(p[:, 0].sum(), x)
    assert gradient.any()
    torch.testing.assert_close(p, make(part)(x).softmax(1))
    assert classifier.training
    assert all(parameter.requires_grad for parameter in classifier.parameters() if parameter.is_floating_point())
    for name, value in classifier.state_dict().items():
        assert torch.equal(value, before[name])
