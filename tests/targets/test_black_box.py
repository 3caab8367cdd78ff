"""Targets that only answer: what they accept, what they refuse, and that nothing else is seen of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from mi_lightning.checkpoint import weights_digest
from mi_lightning.errors import InputError
from mi_lightning.targets import BlackBox, LabelOnly, NumpyFunction, TargetError, WhiteBox
from mi_lightning.targets.defenses import HardLabel, Rounding

SHAPE, CLASSES = (1, 2, 3), 4


def box(answer, **settings):
    return BlackBox(answer, input_shape=SHAPE, num_classes=CLASSES, **settings)


def inputs(n=5):
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(0))


# ------------------------------------------------------------------------------------------------ answers


def test_of_a_classifier_it_gives_the_softmax_and_no_gradient(tiny_softmax):
    target = BlackBox.of(tiny_softmax, checkpoint="a.ckpt", checkpoint_sha256="ab")
    x = torch.rand(5, 1, 8, 6, requires_grad=True)
    confidences = target.confidences(x)
    assert torch.equal(confidences, tiny_softmax(x).softmax(-1))
    assert not confidences.requires_grad
    assert not target.differentiable
    assert target.log_confidences(x).exp().allclose(confidences)
    assert (target.input_shape, target.num_classes) == ((1, 8, 6), 4)
    assert target.class_names == tiny_softmax.class_names
    assert target.fingerprint() == weights_digest(tiny_softmax) == WhiteBox(tiny_softmax).fingerprint()
    said = target.describe()
    assert said["access"] == "black_box"
    assert said["class"].endswith("SoftmaxRegression")
    assert (said["checkpoint"], said["checkpoint_sha256"]) == ("a.ckpt", "ab")


def test_it_stays_in_evaluation_mode():
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(0.5), torch.nn.Softmax(1))
    target = BlackBox(module, input_shape=SHAPE, num_classes=6).train()
    x = inputs()
    assert torch.equal(target.confidences(x), target.confidences(x))


def test_of_scikit_learn():
    generator = np.random.default_rng(0)
    features, person = generator.random((40, 6)), np.arange(40) % CLASSES
    estimator = LogisticRegression().fit(features, person)
    target = box(NumpyFunction(estimator.predict_proba))
    x = inputs()
    confidences = target.confidences(x)
    assert confidences.dtype == torch.float32
    np.testing.assert_allclose(confidences, estimator.predict_proba(x.flatten(1).numpy()), atol=1e-6)
    assert target.describe()["class"].endswith("LogisticRegression.predict_proba")


def test_a_function_of_arrays_that_are_not_flat():
    seen = []

    def answer(array):
        seen.append((array.shape, array.dtype))
        return np.full((len(array), CLASSES), 0.25)

    box(NumpyFunction(answer, flatten=False)).confidences(inputs().double())
    assert seen == [((5, *SHAPE), np.float32)]


def test_the_function_runs_without_gradients():
    weight = torch.rand(6, CLASSES, requires_grad=True)
    modes = []

    def answer(x):
        modes.append(torch.is_grad_enabled())
        return (x.flatten(1) @ weight).softmax(1)

    assert not box(answer).confidences(inputs()).requires_grad
    assert modes == [False]


def test_answers_of_few_decimals_pass():
    target = box(lambda x: torch.tensor([[0.333, 0.333, 0.333, 0.0]]).expand(len(x), -1))
    assert target.confidences(inputs()).shape == (5, CLASSES)


@pytest.mark.parametrize("decimals", [1, 2, 3, 4])
@pytest.mark.parametrize("classes", [2, 40, 500])
@pytest.mark.parametrize("rounded", ["nearest", "json"])
def test_rounded_answers_pass_and_sum_to_one(decimals, classes, rounded):
    p = torch.randn(200, classes, generator=torch.Generator().manual_seed(2)).mul(2).softmax(1).double()
    shown = p.mul(10**decimals).round().div(10**decimals)
    if rounded == "json":
        shown = torch.tensor([[round(value, decimals) for value in row] for row in p.tolist()])  # float32
    if classes > 2 and decimals < 4:
        assert float((shown.sum(1) - 1).abs().max()) > 1e-3  # beyond the tolerance
    target = BlackBox(lambda x: shown[: len(x)], input_shape=SHAPE, num_classes=classes)
    seen = target.confidences(torch.zeros(200, *SHAPE))
    assert seen.dtype == torch.float32
    torch.testing.assert_close(seen.sum(1), torch.ones(200))
    nothing = shown.sum(1) == 0
    torch.testing.assert_close(seen[~nothing], (shown / shown.sum(1, keepdim=True))[~nothing].float())
    torch.testing.assert_close(seen[nothing], torch.full((int(nothing.sum()), classes), 1 / classes))


@pytest.mark.parametrize(
    ("row", "got"),
    [
        ([0.7, 0.7] + [0.0] * 38, "1.4"),  # rounding could take 0.1 off, not 0.4
        ([0.25] + [0.0] * 39, "0.25"),  # nor hide 0.75 in two decimals of 40 classes
        ([1.0, 1.0] + [0.0] * 38, "2"),
        ([0.0] * 40, "0"),  # nothing at all is no rounded answer
        ([0.1234567, 0.9] + [0.0] * 38, "1.023"),  # not rounded: the tolerance holds
    ],
)
def test_what_rounding_does_not_explain(row, got):
    target = BlackBox(lambda x: torch.tensor([row]), input_shape=SHAPE, num_classes=40)
    with pytest.raises(TargetError, match=rf"expected confidences that sum to 1, got {got} in row 0 of 1$"):
        target.confidences(inputs(1))


def test_rows_within_floating_point_stay_to_the_bit():
    exact = torch.rand(3, CLASSES).softmax(1)
    rough = torch.tensor([[0.5, 0.5004, 0.0, 0.0]])
    seen = box(lambda x: torch.cat((exact, rough))).confidences(inputs(4))
    assert torch.equal(seen[:3], exact)
    torch.testing.assert_close(seen[3:], rough / 1.0004)


def test_a_function_may_change_and_keep_its_input():
    kept = []

    def answer(x):
        p = x.flatten(1)[:, :CLASSES].softmax(1)
        kept.append(x.zero_())
        return p

    x = inputs()
    before = x.clone()
    target = box(answer)
    first = target.confidences(x)
    assert torch.equal(x, before)
    assert torch.equal(target.confidences(x), first)
    assert kept[0].data_ptr() != kept[1].data_ptr()


def test_a_module_as_a_function_stays_as_it_is():
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(6, CLASSES), torch.nn.Softmax(1)).train()
    target = box(module)
    target.confidences(inputs())
    assert all(part.training for part in module.modules())
    assert all(parameter.requires_grad for parameter in module.parameters())


@pytest.mark.parametrize("kind", ["BlackBox", "LabelOnly", "of", "WhiteBox"])
def test_questions_are_split_at_the_batch_limit(kind):
    sizes = []

    class Linear(torch.nn.Linear):
        def forward(self, x):
            sizes.append(len(x))
            return super().forward(x.flatten(1))

    linear = Linear(6, CLASSES)
    shape = {"input_shape": SHAPE, "max_batch": 2}
    target = {
        "BlackBox": lambda: BlackBox(lambda x: linear(x).softmax(1), num_classes=CLASSES, **shape),
        "LabelOnly": lambda: LabelOnly(lambda x: linear(x).argmax(1), num_classes=CLASSES, **shape),
        "of": lambda: BlackBox.of(linear, **shape),
        "WhiteBox": lambda: WhiteBox(linear, **shape),
    }[kind]()
    sizes.clear()
    defended = Rounding(r=0.01).wrap(target)
    with defended.asking([8, 9, 4, 5, 6]):
        p = defended.confidences(inputs())
    assert sizes == [2, 2, 1]
    assert (defended.max_batch, defended.ledger.asked([4, 9]), defended.queries) == (2, [1, 1], 5)
    torch.testing.assert_close(p, torch.cat([defended.confidences(x[None]) for x in inputs()]))
    assert target.log_confidences(inputs()).shape == (5, CLASSES)
    with pytest.raises(InputError, match=r"expected max_batch >= 1, got 0 \(max_batch\)"):
        type(target)(linear, num_classes=CLASSES, **shape | {"max_batch": 0})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p: p[:, :3], r"expected confidences of shape \(5, 4\), got \(5, 3\)"),
        (lambda p: p[:4], r"expected confidences of shape \(5, 4\), got \(4, 4\)"),
        (lambda p: p.index_fill(0, torch.tensor(3), torch.nan), r"expected confidences, got NaN in row 3 of 5"),
        (lambda p: p.index_fill(0, torch.tensor(2), 0.5), r"that sum to 1, got 2 in row 2 of 5"),
        (lambda p: p.index_fill(0, torch.tensor(4), 0.1), r"that sum to 1, got 0.4 in row 4 of 5"),
        (lambda p: p.index_fill(0, torch.tensor(1), torch.inf), r"that sum to 1, got inf in row 1 of 5"),
        (lambda p: p + torch.tensor([0.5, -0.5, 0, 0]), r"expected confidences >= 0, got -0.25 in row 0 of 5"),
        (lambda p: p.tolist(), r"expected a tensor from the target, got list"),
    ],
)
def test_answers_that_are_no_confidences(spoil, message):
    target = box(lambda x: spoil(torch.full((len(x), CLASSES), 0.25)))
    with pytest.raises(TargetError, match=message) as caught:
        target.confidences(inputs())
    assert "\n" not in str(caught.value)


def test_a_function_that_raises():
    def answer(x):
        raise ConnectionError("the server\nis gone")

    target = box(answer)
    target.ledger.count(2)
    message = r"^the target failed at query 7: ConnectionError: the server is gone$"
    with pytest.raises(TargetError, match=message) as caught:
        target.confidences(inputs())
    assert isinstance(caught.value.__cause__, ConnectionError)


def test_inputs_of_another_shape():
    with pytest.raises(InputError, match=r"expected input of shape \(N, 1, 2, 3\), got \(5, 1, 3, 2\)"):
        box(lambda x: x).confidences(inputs().transpose(2, 3))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"function": 3}, r"expected a function of a batch, got 3 \(function\)"),
        ({"num_classes": 1}, "expected num_classes >= 2, got 1"),
        ({"input_shape": ()}, r"expected input_shape of positive sizes, got \(\)"),
        ({"input_shape": (3, 0)}, r"expected input_shape of positive sizes, got \(3, 0\)"),
        ({"input_range": (1.0, 1.0)}, "expected input_range .low, high. with low < high"),
        ({"class_names": ["ann"]}, "expected 4 class_names, got 1"),
        ({"tolerance": -1.0}, "expected tolerance >= 0, got -1.0"),
    ],
)
def test_wrong_settings(settings, message):
    given = {"function": torch.zeros_like, "input_shape": SHAPE, "num_classes": CLASSES, **settings}
    with pytest.raises(InputError, match=message):
        BlackBox(**given)


# ------------------------------------------------------------------------------------------------ labels


def test_labels_become_certainties(tiny_softmax):
    x = torch.rand(6, 1, 8, 6)
    target = LabelOnly(lambda x: tiny_softmax(x).argmax(1), input_shape=(1, 8, 6), num_classes=4)
    confidences = target.confidences(x)
    assert torch.equal(confidences, HardLabel().wrap(WhiteBox(tiny_softmax)).confidences(x))
    assert confidences.sum(1).tolist() == [1] * 6
    assert float(target.log_confidences(x).min()) == pytest.approx(-87.3, abs=0.1)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([0, 1, 4, 0, 0]), r"expected class indices among 0-3, got 4 in row 2 of 5"),
        (torch.tensor([0, -1, 0, 0, 0]), r"expected class indices among 0-3, got -1 in row 1 of 5"),
        (torch.zeros(5), r"expected 5 class indices, got torch.float32 of shape \(5,\)"),
        (torch.zeros(5, 1, dtype=torch.int64), r"expected 5 class indices, got torch.int64 of shape \(5, 1\)"),
    ],
)
def test_answers_that_are_no_labels(labels, message):
    with pytest.raises(TargetError, match=message):
        LabelOnly(lambda x: labels, input_shape=SHAPE, num_classes=CLASSES).confidences(inputs())


def test_a_defense_in_front_of_a_function():
    target = Rounding(r=0.3).wrap(box(lambda x: torch.tensor([[0.4, 0.35, 0.25, 0.0]]).expand(len(x), -1)))
    assert target.confidences(inputs(2)).tolist() == [[0.5, 0.5, 0.0, 0.0]] * 2
    assert target.fingerprint() is None
    assert [defense["class"] for defense in target.describe()["defenses"]] == ["Rounding"]
