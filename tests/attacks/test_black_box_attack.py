"""Whole attacks by queries: access, defenses, budgets that hold to the query, targets that fail."""

from __future__ import annotations

import json

import pytest
import torch

from mi_lightning.attacks.costs.negative_log_confidence import NegativeLogConfidence
from mi_lightning.attacks.estimators.finite_difference import FiniteDifference
from mi_lightning.attacks.estimators.nes import NES
from mi_lightning.attacks.estimators.spsa import SPSA
from mi_lightning.attacks.initializers.noise import Noise
from mi_lightning.attacks.spaces.pixel import PixelSpace
from mi_lightning.attacks.steps import CMAESStep, GradientStep
from mi_lightning.classifiers.loading import save_classifier
from mi_lightning.errors import InputError, MIError
from mi_lightning.lightning.callbacks.results import ResultsWriter
from mi_lightning.lightning.module import Inversion
from mi_lightning.lightning.trainer import InversionTrainer
from mi_lightning.targets import BlackBox, QueryBudgetError, TargetError, WhiteBox
from mi_lightning.targets.defenses import GaussianNoise, Rounding, TopK


def trainer(callbacks=None):
    return InversionTrainer(
        accelerator="cpu",
        logger=False,
        callbacks=callbacks,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


class Counting:
    """The classifier as a function that counts, and fails at a query if told to."""

    def __init__(self, classifier, fail_at=None):
        self.classifier, self.fail_at, self.count = classifier, fail_at, 0

    def __call__(self, x):
        self.count += len(x)
        if self.fail_at is not None and self.count >= self.fail_at:
            raise TimeoutError("no answer")
        return self.classifier(x).softmax(1)

    @property
    def target(self):
        return BlackBox(self, input_shape=self.classifier.input_shape, num_classes=self.classifier.num_classes)


def attack(target, **settings):
    given = {
        "estimator": SPSA(pairs=8),
        "cost": NegativeLogConfidence(),
        "max_iterations": 40,
        "report_every": 9,
        **settings,
    }
    return Inversion(target=target, **given)


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.03)


@pytest.mark.parametrize(
    "step",
    [
        *[GradientStep(each, None, sgd) for each in (SPSA(pairs=8), NES(pairs=8), FiniteDifference())],
        GradientStep(FiniteDifference(coordinates=6), None, sgd),
        CMAESStep(sigma=0.1),
    ],
    ids=["spsa", "nes", "all", "subset", "cmaes"],
)
def test_queries_are_those_of_the_stub(classifier, step):
    if isinstance(step, CMAESStep):
        pytest.importorskip("cma")
    stub = Counting(classifier)
    result = trainer().invert(attack(stub.target, gamma=0.7, restarts=2, rows_at_once=5, step=step, estimator=None))
    assert int(result.queries.sum()) == stub.count
    each = step.queries_per_iteration(30)
    assert result.queries.tolist() == [1 + each * i for i in result.iterations.tolist()]
    assert "target_cost" in result.stop_reason  # rows stopped at different times, and asked nothing after
    assert len(set(result.iterations.tolist())) > 3


@pytest.mark.parametrize(("budget", "iterations"), [(1, 0), (17, 0), (18, 1), (34, 1), (35, 2), (692, 40), (681, 40)])
def test_a_budget_holds_to_the_query(classifier, budget, iterations):
    stub = Counting(classifier)
    result = trainer().invert(attack(stub.target, query_budget=budget, restarts=2))
    assert result.queries.tolist() == [1 + 17 * iterations] * 14
    assert stub.count == 14 * (1 + 17 * iterations)
    assert set(result.iterations.tolist()) == {iterations}
    assert set(result.stop_reason) == {"query_budget" if iterations < 40 else "max_iterations"}
    assert torch.isfinite(result.cost).all()


def test_a_budget_returns_the_best(classifier):
    short = trainer().invert(attack(Counting(classifier).target, query_budget=200))
    long = trainer().invert(attack(Counting(classifier).target, max_iterations=11))
    assert torch.equal(short.reconstruction, long.reconstruction)
    assert torch.equal(short.cost, long.cost)


def test_a_budget_holds_in_a_white_box_and_for_each_chunk(classifier):
    result = trainer().invert(Inversion(target=WhiteBox(classifier), query_budget=12, rows_at_once=3, report_every=5))
    assert result.queries.tolist() == [12] * 7
    assert set(result.stop_reason) == {"query_budget"}


def test_a_budget_below_one_evaluation(classifier):
    target = Counting(classifier).target
    with pytest.raises(QueryBudgetError, match="expected at most 4 queries per row, got 5"):
        trainer().invert(attack(target, estimator=SPSA(repeats=5), query_budget=4))
    with pytest.raises(InputError, match=r"expected query_budget >= 1, got 0 \(query_budget\)"):
        attack(target, query_budget=0)


def test_a_target_that_fails_in_the_middle(classifier, tmp_path):
    stub = Counting(classifier, fail_at=7 + 7 * 17 * 6 + 3)  # in the seventh iteration
    inversion = attack(stub.target)
    with pytest.raises(TargetError, match=r"the target failed at query \d+: TimeoutError: no answer"):
        trainer([ResultsWriter(str(tmp_path))]).invert(inversion)
    kept = inversion.result
    assert set(kept.stop_reason) == {"target_error"}
    assert set(kept.iterations.tolist()) == {6}
    whole = trainer().invert(attack(Counting(classifier).target, max_iterations=6))
    assert torch.equal(kept.reconstruction, whole.reconstruction)
    assert json.loads((tmp_path / "results.json").read_text())["summary"]["stop_reasons"] == {"target_error": 7}


def test_a_target_that_fails_at_the_start_of_a_chunk(classifier):
    stub = Counting(classifier, fail_at=3 + 3 * 17 * 40 + 1)
    inversion = attack(stub.target, rows_at_once=3)
    with pytest.raises(TargetError, match="no answer"):
        trainer().invert(inversion)
    assert inversion.result.label.tolist() == [0, 1, 2]
    assert set(inversion.result.stop_reason) == {"max_iterations"}


def test_a_target_that_fails_at_once(classifier):
    inversion = attack(Counting(classifier, fail_at=1).target)
    with pytest.raises(TargetError, match="no answer"):
        trainer().invert(inversion)
    with pytest.raises(RuntimeError, match="no result yet"):
        _ = inversion.result


def test_an_answer_that_is_wrong_in_the_middle(classifier):
    class Wrong(Counting):
        def __call__(self, x):
            p = super().__call__(x)
            return p * 2 if self.count > 500 else p

    inversion = attack(Wrong(classifier).target)
    with pytest.raises(TargetError, match=r"expected confidences that sum to 1, got 2 in row 0"):
        trainer().invert(inversion)
    assert len(inversion.result) == 7


def test_noise_does_not_make_rows_depend_on_each_other(classifier):
    def run(**settings):
        target = BlackBox.of(classifier)
        space = PixelSpace(initializer=Noise(std=0.05))
        return trainer().invert(
            attack(target, defenses=[GaussianNoise(sigma=0.02)], space=space, restarts=2, **settings)
        )

    whole, chunked, alone = run(), run(rows_at_once=3), run(labels=[4])
    torch.testing.assert_close(chunked.reconstruction, whole.reconstruction, atol=1e-4, rtol=0)
    torch.testing.assert_close(alone.reconstruction, whole.reconstruction[8:10], atol=1e-4, rtol=0)
    small = run(estimator=SPSA(pairs=8, max_batch=6))
    torch.testing.assert_close(small.reconstruction, whole.reconstruction, atol=1e-3, rtol=0)


def test_an_attack_on_noise_can_be_run_again(classifier):
    inversion = attack(BlackBox.of(classifier), defenses=[GaussianNoise(sigma=0.05)])
    first, second = trainer().invert(inversion), trainer().invert(inversion)
    assert torch.equal(first.reconstruction, second.reconstruction)
    assert torch.equal(first.queries, second.queries)


def test_a_row_goes_on_from_the_best_of_its_starts(classifier):
    starts = []

    class Recording(Noise):
        def __call__(self, rows, shape, value_range):
            drawn = super().__call__(rows, shape, value_range).clamp(*value_range)
            if len(rows) == 7:
                starts.append(drawn)
            return drawn

    def run(**settings):
        starts.clear()
        stub = Counting(classifier)
        space = PixelSpace(initializer=Recording(std=0.3))
        result = trainer().invert(attack(stub.target, initial_candidates=9, space=space, max_iterations=1, **settings))
        assert int(result.queries.sum()) == stub.count
        return result

    result = run(optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.0))
    assert result.queries.tolist() == [9 + 1 + 16 + 1] * 7
    drawn = torch.stack(starts)
    cost = torch.stack([-classifier(x).log_softmax(1)[torch.arange(7), torch.arange(7)] for x in drawn]).detach()
    torch.testing.assert_close(result.cost, cost.amin(0))
    assert torch.equal(result.reconstruction, drawn[cost.argmin(0), torch.arange(7)])
    assert run(query_budget=26).iterations.tolist() == [0] * 7  # starts count
    assert run(query_budget=27).iterations.tolist() == [1] * 7
    with pytest.raises(InputError, match=r"expected initial_candidates >= 1, got 0 \(initial_candidates\)"):
        attack(Counting(classifier).target, initial_candidates=0)


def test_a_noisy_start_is_not_believed(classifier):
    """The least of many noisy costs is too good to be true; what is told is a fresh look at the start chosen."""
    constant = BlackBox(lambda x: torch.full((len(x), 7), 1 / 7), input_shape=(1, 6, 5), num_classes=7)
    settings = {
        "defenses": [GaussianNoise(sigma=0.05)],
        "initial_candidates": 200,
        "max_iterations": 1,
        "query_budget": 201,
    }
    result = trainer().invert(attack(constant, **settings, restarts=8))
    assert float(result.confidence.mean()) == pytest.approx(1 / 7, abs=0.03)


# ------------------------------------------------------------------------------------------------ access


@pytest.fixture
def checkpoint(classifier, tmp_path):
    save_classifier(classifier, tmp_path / "target.ckpt")
    return str(tmp_path / "target.ckpt")


def test_access_and_defenses_of_a_checkpoint(checkpoint):
    inversion = Inversion(
        checkpoint, access="black_box", defenses=[TopK(k=3), Rounding(r=0.1)], estimator=SPSA(pairs=2), max_iterations=2
    )
    said = inversion.target.describe()
    assert said["access"] == "black_box"
    assert said["checkpoint"] == checkpoint
    assert [defense["class"] for defense in said["defenses"]] == ["TopK", "Rounding"]
    assert inversion.target is inversion.target
    assert len(trainer().invert(inversion)) == 7
    assert inversion.describe()["estimator"]["pairs"] == 2
    assert isinstance(Inversion(checkpoint).target, WhiteBox)


def test_a_white_box_attack_on_a_black_box_is_refused_with_the_reason(checkpoint):
    message = r"expected a target that gives gradients, or an estimator that only queries, got BlackBox with Autograd"
    with pytest.raises(InputError, match=message):
        Inversion(checkpoint, access="black_box").preflight()
    with pytest.raises(InputError, match=r"got Rounding with Autograd \(estimator\)"):
        Inversion(checkpoint, access="black_box", defenses=[Rounding(r=0.1)]).preflight()


def test_a_target_says_itself_what_it_is(classifier, checkpoint):
    defended = Rounding(r=0.1).wrap(WhiteBox(classifier))
    with pytest.raises(InputError, match=r"expected a target that only answers.* got Rounding, which gives gradients"):
        _ = Inversion(target=defended, access="black_box").target
    with pytest.raises(InputError, match="expected either a checkpoint or a target, got both"):
        _ = Inversion(checkpoint, target=WhiteBox(classifier)).target


def test_the_answers_alone_of_a_white_box_that_was_given(classifier):
    given = WhiteBox(classifier, max_batch=3, preprocessing=lambda x: 1 - x)
    target = Inversion(target=given, access="black_box").target
    assert (target.differentiable, target.has_logits, target.classifier, target.max_batch) == (False, False, None, 3)
    x = torch.rand(5, *given.input_shape)
    torch.testing.assert_close(target.confidences(x), given.release(x))
    assert target.queries == given.queries == 5
    assert target.describe() == given.describe() | {"access": "black_box"}
    assert target.fingerprint() == given.fingerprint()


def test_a_defense_that_masks_the_gradient_stops_a_white_box_attack_that_believes_it(classifier):
    def found(gradient):
        target, space = WhiteBox(classifier), PixelSpace(initializer=Noise(std=0.05))
        defenses = [Rounding(r=0.05, gradient=gradient)]
        cost = NegativeLogConfidence()
        return trainer().invert(Inversion(target=target, defenses=defenses, cost=cost, space=space, max_iterations=60))

    masked, through = found("true"), found("straight_through")
    assert torch.equal(found("zero").reconstruction, masked.reconstruction)
    assert float(through.confidence.mean()) > 0.9 > float(masked.confidence.mean())


def test_the_evaluator_must_not_be_the_target_behind_a_defense_either(checkpoint):
    inversion = Inversion(checkpoint, access="black_box", defenses=[Rounding(r=0.1)], estimator=SPSA(pairs=2))
    with pytest.raises(MIError, match="expected an evaluator that is independent of the target"):
        trainer().invert(inversion, evaluator_ckpt=checkpoint)
