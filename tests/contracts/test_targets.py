"""What every exported target and defense must do, whatever else it does."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from torch import nn

from mi_lightning import targets
from mi_lightning.errors import InputError
from mi_lightning.targets import (
    BlackBox,
    HttpModel,
    HuggingFaceModel,
    LabelOnly,
    NumpyFunction,
    OnnxModel,
    Preprocessing,
    QueryBudgetError,
    QueryLedger,
    SklearnModel,
    Target,
    TargetError,
    TimmModel,
    TorchModule,
    TorchvisionModel,
    WhiteBox,
    defenses,
)
from mi_lightning.targets.defenses import Defense, GaussianNoise, HardLabel, Rounding, Temperature, TopK, defend
from tests.contracts.parts import example, exported, named, plain
from tests.targets.endpoint import predictions, serving
from tests.targets.graphs import Estimator, write_onnx

SHAPE, CLASSES = (2, 3), 4


def module(dtype=torch.float32):
    """A small model with a bend, so that gradients differ from place to place."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, CLASSES)).to(dtype)


FACTS = {"input_shape": SHAPE, "num_classes": CLASSES}

#: Servers that the targets of a test ask, and folders of their files.
RUNNING = ExitStack()


@pytest.fixture(autouse=True)
def _end_servers():
    with RUNNING:
        yield


def served(net, **settings):
    endpoint = RUNNING.enter_context(serving(predictions(lambda x: net(x.to(net[1].weight.dtype)).softmax(1))))
    return HttpModel(endpoint.url, **FACTS, **settings)


def onnx_model(net, **settings):
    folder = RUNNING.enter_context(TemporaryDirectory())
    return OnnxModel(write_onnx(Path(folder) / "net.onnx", net, SHAPE), **settings)


#: How to make each exported target over ``module(dtype)``.
EXAMPLES = {
    WhiteBox: lambda net, **settings: WhiteBox(net, input_shape=SHAPE, **settings),
    TorchModule: lambda net, **settings: TorchModule(net, None, input_shape=SHAPE, **settings),
    BlackBox: lambda net, **settings: BlackBox(lambda x: net(x).softmax(1), **FACTS, **settings),
    LabelOnly: lambda net, **settings: LabelOnly(lambda x: net(x).argmax(1), **FACTS, **settings),
    HttpModel: served,
    OnnxModel: onnx_model,
    SklearnModel: lambda net, **settings: SklearnModel(Estimator(net), input_shape=SHAPE, **settings),
    # defenses, in front of a white box
    Rounding: lambda **settings: Rounding(r=0.1, **settings),
    GaussianNoise: lambda **settings: GaussianNoise(sigma=0.05, **settings),
    TopK: lambda **settings: TopK(k=2, **settings),
    HardLabel: lambda **settings: HardLabel(**settings),
    Temperature: lambda **settings: Temperature(temperature=3.0, **settings),
}
#: Settings at which a defense changes nothing; None where there are none.
NEUTRAL = {
    Rounding: {"r": 0.0},
    GaussianNoise: {"sigma": 0.0},
    TopK: {"k": CLASSES},
    Temperature: {"temperature": 1.0},
    HardLabel: None,
}
#: What is exported beside targets and defenses.
OTHERS = {QueryLedger, NumpyFunction, Preprocessing, TargetError, QueryBudgetError}

#: Models that are chosen by name or folder: tests/targets/test_named_models.py asks them what is asked here.
NAMED = {TorchvisionModel, TimmModel, HuggingFaceModel}

PLAIN = [part for part in exported(targets, Target) if part not in NAMED]
DEFENSES = exported(defenses, Defense)
HERE = "tests/contracts/test_targets.py"
EVERY = pytest.mark.parametrize("part", named([*PLAIN, *DEFENSES]))
EVERY_DEFENSE = pytest.mark.parametrize("part", named(DEFENSES))


def make(part, dtype=torch.float32, **settings):
    """A target of a kind, or a white box behind a defense of a kind."""
    how = example(part, EXAMPLES, HERE)
    if issubclass(part, Defense):
        return how(**settings).wrap(WhiteBox(module(dtype), input_shape=SHAPE))
    return how(module(dtype), **settings)


def inputs(n=6, dtype=torch.float32):
    return torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)


def test_everything_exported_is_known():
    for package, bases in ((targets, Target), (defenses, Defense)):
        parts = {getattr(package, name) for name in package.__all__}
        unknown = {part for part in parts if isinstance(part, type) and not issubclass(part, bases)} - OTHERS
        assert not unknown, f"no contract is tested for {unknown}"
    assert {*PLAIN, *DEFENSES} == EXAMPLES.keys()
    assert set(DEFENSES) == NEUTRAL.keys(), f"say in NEUTRAL of {HERE} at which settings it changes nothing, or None"


def test_a_part_without_an_example_fails():
    class New(Target):
        pass

    with pytest.raises(
        pytest.fail.Exception, match=r"New is exported but has no example: add one to EXAMPLES in tests"
    ):
        example(New, EXAMPLES, HERE)


@EVERY
def test_answers_are_confidences_and_their_logarithms(part):
    target = make(part)
    p = target.confidences(inputs(40))
    assert (p.shape, p.dtype) == ((40, CLASSES), torch.float32)
    assert float(p.min()) >= 0
    torch.testing.assert_close(p.sum(1), torch.ones(40))
    target.restart()  # random defenses say the same again
    p = target.confidences(inputs(40))
    target.restart()
    log_p = target.log_confidences(inputs(40))
    torch.testing.assert_close(log_p, p.clamp_min(torch.finfo(torch.float32).tiny).log(), atol=1e-4, rtol=1e-4)


@EVERY
def test_every_input_is_counted_once_for_the_row_that_asks(part):
    target = make(part)
    assert target.queries == 0
    target.restart(query_budget=7)
    with target.asking([11, 5]):
        target.confidences(inputs(6))
        target.log_confidences(inputs(4))
        if target.has_logits:
            target.logits(inputs(2))
        spent = 5 + target.has_logits
        with pytest.raises(QueryBudgetError, match="expected at most 7 queries per row"):
            target.confidences(inputs(2 * (8 - spent)))
        target.confidences(inputs(2 * (7 - spent)))  # to the query
    target.confidences(inputs(3))
    assert target.ledger.asked([5, 11, 6]) == [7, 7, 0]
    assert target.queries == 14 + 3


@EVERY
def test_a_run_goes_on_from_its_state(part, tmp_path):
    target = make(part)
    with target.asking([2, 3]):
        target.confidences(inputs())
        torch.save(target.run_state(), tmp_path / "state.pt")
        heard = target.confidences(inputs())
        counts, total = target.ledger.asked([2, 3]), target.queries
        fresh = make(part)
        for later in (target, fresh):
            later.load_run_state(torch.load(tmp_path / "state.pt", weights_only=True))
            assert later.ledger.asked([2, 3]) == [3, 3]
            with later.asking([2, 3]):
                assert torch.equal(later.confidences(inputs()), heard)
            assert (later.ledger.asked([2, 3]), later.queries) == (counts, total)
    with pytest.raises(InputError, match=r"the run state of a .*, got nothing \(state\)"):
        target.load_run_state({})


@EVERY
def test_what_is_said_of_it_is_plain(part):
    said = make(part).describe()
    assert plain(said), said
    assert {
        "access",
        "class",
        "checkpoint",
        "checkpoint_sha256",
        "defenses",
        "test_accuracy",
        "training",
    } <= said.keys()
    assert [entry["class"] for entry in said["defenses"]] == [part.__name__] * issubclass(part, Defense)


@EVERY
def test_the_gradient_is_that_of_finite_differences(part):
    target, x = make(part, torch.float64), inputs(3, torch.float64).requires_grad_()
    if not target.differentiable:
        assert not target.confidences(x).requires_grad
        assert not target.log_confidences(x).requires_grad
        return

    def fresh(method):
        def ask(x):
            target.restart()
            return method(x)

        return ask

    methods = [target.confidences, *([target.logits] if target.has_logits else [])]
    if float(target.confidences(x).detach().min()) > 0:  # a released 0 has no logarithm to differentiate
        methods.append(target.log_confidences)
    for method in methods:
        assert torch.autograd.gradcheck(fresh(method), (x,), atol=1e-6)


@EVERY
def test_who_has_logits_and_who_has_not(part):
    target = make(part)
    if target.has_logits:
        torch.testing.assert_close(target.logits(inputs()).softmax(1), target.confidences(inputs()))
    else:
        with pytest.raises(InputError, match=r"expected a target that releases logits, got \w+, which does not"):
            target.logits(inputs())
        assert target.queries == 0


@EVERY
def test_rows_do_not_depend_on_the_batch_and_inputs_stay(part):
    target, x = make(part), inputs()
    before = x.clone()
    with target.asking(range(6)):
        together = target.confidences(x)
    assert torch.equal(x, before)
    for row in range(6):
        target.restart()
        with target.asking([row]):
            torch.testing.assert_close(target.confidences(x[row : row + 1])[0], together[row])


@EVERY
def test_it_stays_in_evaluation_mode(part):
    target = make(part)
    nn.ModuleList([target]).train()
    assert not any(inner.training for inner in target.modules())


@pytest.mark.parametrize("part", named(PLAIN))
def test_the_batch_limit_holds(part):
    limited, free = make(part, max_batch=4), make(part)
    torch.testing.assert_close(limited.confidences(inputs(9)), free.confidences(inputs(9)))
    assert (limited.queries, limited.max_batch, free.max_batch) == (9, 4, None)


# ------------------------------------------------------------------------------------------------ defenses


@EVERY_DEFENSE
def test_neutral_settings_change_nothing(part):
    if NEUTRAL[part] is None:
        return
    bare, target = make(WhiteBox), part(**NEUTRAL[part]).wrap(make(WhiteBox))
    torch.testing.assert_close(target.confidences(inputs()), bare.confidences(inputs()))
    torch.testing.assert_close(target.log_confidences(inputs()), bare.log_confidences(inputs()))


@EVERY_DEFENSE
@pytest.mark.parametrize("other", named(DEFENSES))
def test_a_chain_is_the_composition(part, other):
    first, second = example(part, EXAMPLES, HERE), example(other, EXAMPLES, HERE)
    chain = defend(make(WhiteBox), [first(), second()])
    # what stands behind a wrapped defense is a black box that answers as the first does
    inner = first().wrap(make(WhiteBox))
    outer = second().wrap(BlackBox(inner.release, **FACTS))
    torch.testing.assert_close(chain.confidences(inputs()), outer.confidences(inputs()), atol=1e-5, rtol=1e-5)
    assert [entry["class"] for entry in chain.describe()["defenses"]] == [part.__name__, other.__name__]
    assert isinstance(chain.classifier, nn.Module)


@EVERY_DEFENSE
@pytest.mark.parametrize("gradient", ["true", "zero", "straight_through"])
def test_gradients_are_those_chosen(part, gradient):
    target, bare, x = make(part, gradient=gradient), make(WhiteBox), inputs().requires_grad_()
    weights = torch.rand(6, CLASSES, generator=torch.Generator().manual_seed(2))
    shown = target.confidences(x)
    (found,) = torch.autograd.grad((shown * weights).sum(), x)
    torch.testing.assert_close(shown, make(part).confidences(inputs()))  # the choice changes no answer
    if gradient == "zero":
        assert not found.any()
    elif gradient == "straight_through":
        (behind,) = torch.autograd.grad((bare.confidences(x) * weights).sum(), x)
        torch.testing.assert_close(found, behind)
    else:
        assert found.isfinite().all()


@EVERY_DEFENSE
def test_a_row_of_the_same_confidences_stays_finite(part):
    defense = example(part, EXAMPLES, HERE)().wrap(make(WhiteBox))
    shown = defense.defend(torch.full((2, CLASSES), 1 / CLASSES))
    assert np.isfinite(shown.numpy()).all()
    torch.testing.assert_close(shown.sum(1), torch.ones(2))
