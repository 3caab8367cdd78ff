"""The engine in plain torch: it goes on after it was saved, keeps what was found, and says how it stands."""

from __future__ import annotations

import copy
import io
import math

import pytest
import torch

from mi_lightning.attacks.attack import Attack
from mi_lightning.attacks.costs import NegativeLogConfidence, NegativeLogit, OneMinusConfidence
from mi_lightning.attacks.estimators import SPSA, SmoothedAutograd
from mi_lightning.attacks.filters import UnitRMS
from mi_lightning.attacks.initializers import Noise
from mi_lightning.attacks.priors import L2, CodeNorm
from mi_lightning.attacks.problem import Problem
from mi_lightning.attacks.rows import Rows, row_seed
from mi_lightning.attacks.selection import RobustConfidence
from mi_lightning.attacks.spaces import PixelSpace, SlidingWindows
from mi_lightning.attacks.steps import CMAESStep
from mi_lightning.attacks.stopping import Stagnation
from mi_lightning.attacks.transforms import RandomShift
from mi_lightning.classifiers import SoftmaxRegression
from mi_lightning.errors import InputError
from mi_lightning.targets import BlackBox, TargetError, WhiteBox
from mi_lightning.targets.defenses import GaussianNoise

CHUNK = 8


def adam(parameters):
    return torch.optim.Adam(parameters, lr=0.03)


def noisy():
    return PixelSpace(initializer=Noise(mean=0.5, std=0.2))


@pytest.fixture
def speakers():
    """Four people who are told apart by chunks of eight samples."""
    model = SoftmaxRegression(input_shape=(1, CHUNK), num_classes=4, input_range=(-1.0, 1.0))
    with torch.no_grad():
        model.head.weight.copy_(torch.randn(4, CHUNK, generator=torch.Generator().manual_seed(1)) * 2)
    return model


ATTACKS = {
    "gradients": lambda: Attack(space=noisy(), optimizer=adam, beta=20, gamma=0.05, restarts=2, max_iterations=60),
    "patience": lambda: Attack(
        space=noisy(), beta=5, stagnation_rule="patience", gamma=0.05, max_iterations=60, priors=[L2(weight=0.2)]
    ),
    "random gradients": lambda: Attack(space=noisy(), estimator=SmoothedAutograd(noise=0.2), max_iterations=12),
    "queries": lambda: Attack(space=noisy(), estimator=SPSA(pairs=4), optimizer=adam, gamma=0.6, max_iterations=40),
    "initial candidates": lambda: Attack(space=noisy(), initial_candidates=5, optimizer=adam, max_iterations=20),
    "parts": lambda: Attack(space=noisy(), optimizer=adam, gamma=0.3, rows_at_once=3, max_iterations=30),
    "robust": lambda: Attack(
        space=noisy(), selection=RobustConfidence(transforms=[RandomShift(pixels=1)], samples=2), max_iterations=10
    ),
    "transformed": lambda: Attack(space=noisy(), transforms=[RandomShift(pixels=1)], optimizer=adam, max_iterations=15),
    "cmaes": lambda: Attack(space=noisy(), step=CMAESStep(sigma=0.2, population=6), max_iterations=8),
}


def target_of(name, classifier):
    if name in ("queries", "cmaes"):
        return GaussianNoise(sigma=0.01).wrap(BlackBox.of(classifier))
    return WhiteBox(classifier)


def saved_and_loaded(state):
    """What a file would hold: written and read as plain tensors and values."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def check_it_goes_on(make, target, report_every):
    """Stop after every report, begin again in a new engine, and compare with an attack that was never stopped."""
    attack = make()
    attack.report_every = report_every  # rows leave at the same time, or other batches would round otherwise
    whole = attack.run(target)
    attack = make()
    engine = attack.engine(target)
    target.restart(None)
    engine.start(attack.rows("all", target.class_names))
    stops = 0
    while next(iter(engine.run(report_every=report_every)), None) is not None:
        state = saved_and_loaded(engine.state_dict())
        engine = make().engine(target)
        target.restart(None)
        engine.load_state_dict(state)
        stops += 1
    found = engine.result
    assert stops > 2
    assert found.iterations.tolist() == whole.iterations.tolist()
    assert found.stop_reason == whole.stop_reason
    assert torch.equal(found.queries, whole.queries)
    assert torch.equal(found.reconstruction, whole.reconstruction)
    assert torch.equal(found.cost, whole.cost)
    return found


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_that_is_stopped_after_every_report_ends_with_the_same_bits(classifier, name):
    if name == "cmaes":
        pytest.importorskip("cma")
    check_it_goes_on(ATTACKS[name], target_of(name, classifier), report_every=3)


@pytest.mark.parametrize("rows_at_once", [None, 3])
def test_windows_that_are_stopped_after_every_report_end_with_the_same_bits(speakers, rows_at_once):
    def make():
        space = SlidingWindows(duration=0.005, sample_rate=4000, stride=3, initializer=Noise(mean=0.0, std=0.3))
        return Attack(space=space, max_iterations=7, rows_at_once=rows_at_once, gradient_filter=UnitRMS())

    found = check_it_goes_on(make, WhiteBox(speakers), report_every=3)
    assert found.reconstruction.shape == (4, 1, 20)


def test_an_attack_without_lightning(classifier):
    reports = []
    result = Attack(gamma=0.05, report_every=10).run(WhiteBox(classifier), labels="0-2", progress=reports.append)
    assert set(result.stop_reason) == {"target_cost"}
    assert [report.iteration for report in reports] == [10 * (i + 1) for i in range(len(reports))]
    assert reports[-1].active_rows == 0
    assert reports[0].cost > reports[-1].cost
    assert reports[0].confidence < reports[-1].confidence


def test_what_was_found_is_with_the_error(classifier):
    def answer(x):
        answer.count += len(x)
        if answer.count > 7 * 9 * 6:
            raise TimeoutError("no answer")
        return classifier(x).softmax(1)

    answer.count = 0
    target = BlackBox(answer, input_shape=(1, 6, 5), num_classes=7)
    with pytest.raises(TargetError, match="no answer") as caught:
        Attack(estimator=SPSA(pairs=4), max_iterations=40).run(target)
    assert len(caught.value.found) == 7
    assert set(caught.value.found.stop_reason) == {"target_error"}


def test_nothing_is_found_of_a_target_that_never_answers():
    def answer(x):
        raise TimeoutError("no answer")

    with pytest.raises(TargetError, match="no answer") as caught:
        Attack(estimator=SPSA(pairs=4)).run(BlackBox(answer, input_shape=(1, 6, 5), num_classes=7))
    assert caught.value.found is None


@pytest.mark.parametrize("answered", [1, 2, 3, 4])
def test_the_best_initial_candidates_are_kept_when_the_target_fails(classifier, answered):
    """Three candidates are tried, and the best is asked about again: whenever the target fails, there is a best one."""

    def answer(x):
        answer.calls += 1
        if answer.calls > answered:
            raise TimeoutError("no answer")
        return classifier(x).softmax(1)

    answer.calls = 0
    attack = Attack(space=noisy(), initial_candidates=3, estimator=SPSA(pairs=2), max_iterations=4)
    with pytest.raises(TargetError, match="no answer") as caught:
        attack.run(BlackBox(answer, input_shape=(1, 6, 5), num_classes=7), [0, 1])
    found = caught.value.found
    assert found.stop_reason == ("target_error",) * 2
    assert bool(found.cost.isfinite().all())
    shown = 1 - classifier(found.reconstruction).softmax(1)[torch.arange(2), torch.arange(2)]
    torch.testing.assert_close(found.cost, shown)


@pytest.mark.parametrize("rows_at_once", [None, 1])
def test_a_target_that_fails_at_the_last_question_is_told(classifier, rows_at_once):
    class Shy(WhiteBox):
        def release(self, x):
            if not self.failed:
                self.failed = True
                raise TargetError("no answer")
            return super().release(x)

    target = Shy(classifier)
    target.failed = False  # logits are what the cost asks for; confidences are asked for at the end of each part
    with pytest.raises(TargetError, match="no answer") as caught:
        Attack(space=noisy(), cost=NegativeLogit(), max_iterations=3, rows_at_once=rows_at_once).run(target, [0, 1])
    assert len(caught.value.found) == (rows_at_once or 2)


def running(classifier, **settings):
    """An engine that has given its first report, and its reports."""
    attack, target = Attack(space=noisy(), optimizer=adam, max_iterations=6, **settings), WhiteBox(classifier)
    engine = attack.engine(target)
    reports = engine.run(attack.rows([0, 1], target.class_names), 3)
    next(reports)
    return engine, reports


def test_what_was_saved_is_not_changed_by_who_goes_on_from_it(classifier):
    saved = copy.deepcopy(running(classifier)[0].state_dict())
    before = saved_and_loaded(saved)
    engine = running(classifier)[0]
    engine.load_state_dict(saved)
    list(engine.run(None, 3))
    for name, value in saved["engine"]["step"]["optimizer"][0].items():
        assert torch.equal(value, before["engine"]["step"]["optimizer"][0][name]), name


def test_the_last_question_is_not_asked_again_by_who_check_it_goes_on(classifier):
    engine, reports = running(classifier, cost=NegativeLogit())
    list(reports)
    result, saved = engine.result, saved_and_loaded(engine.state_dict())
    again = running(classifier, cost=NegativeLogit())[0]
    again.load_state_dict(saved)
    list(again.run(None, 3))
    assert torch.equal(again.result.queries, result.queries)
    assert torch.equal(again.result.confidence, result.confidence)


@pytest.mark.parametrize("rule", ["algorithm", "patience"])
def test_a_window_that_was_saved_goes_on_on_another_device(rule):
    stop = Stagnation(3, rule)
    stop.start(torch.zeros(4))
    again = Stagnation(3, rule)
    again.load_state_dict(stop.state_dict())
    assert again(torch.zeros(4, device="meta")).device.type == "meta"


def test_priors_see_what_they_declare_with_every_estimator(classifier):
    """A space that halves: the norm of the candidate and that of the input have different gradients."""

    class Half(PixelSpace):
        def decode(self, z):
            return z / 2

    with torch.no_grad():
        for parameter in classifier.parameters():
            parameter.zero_()  # only the priors are left
    z = torch.rand(2, 1, 6, 5)
    for priors, expected in (([CodeNorm(weight=1.0)], z), ([L2(weight=1.0, center=0.0)], z / 2)):
        problem = Problem(WhiteBox(classifier), Half(), OneMinusConfidence(), priors)
        torch.testing.assert_close(problem.prior_gradient(z), expected)
        leaf = z.clone().requires_grad_()
        rows = Rows.grid([0, 1], 1, seed=0)
        total, identity_loss = problem(leaf, rows.label, rows)
        (gradient,) = torch.autograd.grad(total.sum(), leaf)
        torch.testing.assert_close(gradient, expected, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(total - identity_loss, problem.penalty(z))


def test_a_robust_selection_counts_its_queries_and_ranks_by_confidence(classifier):
    selection = RobustConfidence(transforms=[RandomShift(pixels=0)], samples=3)
    target = WhiteBox(classifier)
    result = Attack(selection=selection, max_iterations=5).run(target)
    assert result.queries.tolist() == [6 * 4] * 7
    assert target.queries == 7 * 6 * 4
    torch.testing.assert_close(-result.score, result.confidence, atol=1e-5, rtol=1e-5)  # nothing was moved


@pytest.mark.parametrize(
    "settings",
    [
        {"transforms": [RandomShift(pixels=1)]},
        {"selection": RobustConfidence(transforms=[RandomShift(pixels=1)])},
    ],
)
def test_transforms_that_do_not_fit_are_told_before_anything_is_asked(speakers, settings):
    target = BlackBox.of(speakers)
    with pytest.raises(InputError, match=r"expected pictures \(.*\) for RandomShift, got shape \(1, 8\)"):
        Attack(estimator=SPSA(pairs=2), **settings).engine(target)
    assert target.queries == 0


def test_a_step_or_what_it_replaces():
    with pytest.raises(InputError, match=r"expected either a step, or .* got a CMAESStep and one of them \(step\)"):
        Attack(step=CMAESStep(), estimator=SPSA())


def test_random_numbers_of_transforms_belong_to_row_and_iteration(classifier):
    problem = Problem(WhiteBox(classifier), PixelSpace(), OneMinusConfidence(), (), [RandomShift(pixels=2)])
    rows = Rows.grid([0, 1], 1, seed=0)
    z = torch.rand(2, 1, 6, 5)
    problem.iteration = 3
    first = problem(z, rows.label, rows)[0]
    assert torch.equal(problem(z, rows.label, rows)[0], first)  # whatever a row asks in an iteration
    torch.testing.assert_close(problem(z[1:], rows.label[1:], rows.part(slice(1, 2)))[0], first[1:])
    seen = []
    for iteration in range(8):
        problem.iteration = iteration
        seen.append(problem(z, rows.label, rows)[0])
    assert len({tuple(cost.tolist()) for cost in seen}) > 2
    assert row_seed(0, 1, 0) != row_seed(0, 0, 1)
    assert math.isfinite(float(first.sum()))


def test_the_cost_of_log_confidence_needs_no_lightning(classifier):
    result = Attack(cost=NegativeLogConfidence(), max_iterations=30).run(WhiteBox(classifier), labels=[3])
    assert result.name == ("3",)
    assert float(result.confidence) > 0.5


class Steady(torch.nn.Module):
    """Answers alike whatever it is asked: rounding until nothing is left does that."""

    def forward(self, x):
        return x.flatten(1).sum(1, keepdim=True) * torch.zeros(1, 3)


def test_an_iterate_that_nothing_improved_on_is_where_the_row_began():
    target = WhiteBox(Steady(), input_shape=(1, 4, 4), num_classes=3, output="logits")
    result = Attack(space=noisy(), beta=5, max_iterations=30).run(target)
    assert result.best_iteration.tolist() == [0, 0, 0]
    assert result.target_sha256 == target.fingerprint()


def test_the_iteration_of_the_best_iterate_does_not_depend_on_parts_and_reports(classifier):
    settings = {"optimizer": adam, "beta": None, "gamma": None, "max_iterations": 25}
    whole = Attack(space=noisy(), report_every=25, **settings).run(WhiteBox(classifier))
    parts = Attack(space=noisy(), report_every=4, rows_at_once=2, **settings).run(WhiteBox(classifier))
    assert (whole.best_iteration > 0).all()
    assert torch.equal(whole.best_iteration, parts.best_iteration)
    # the same attack that ends there has found the same
    at = int(whole.best_iteration[0])
    short = Attack(space=noisy(), **{**settings, "max_iterations": at}).run(WhiteBox(classifier), labels=[0])
    assert int(short.best_iteration) == at
    torch.testing.assert_close(short.reconstruction[0], whole.reconstruction[0])


def test_windows_add_up_where_their_best_iterates_came_from(speakers):
    space = SlidingWindows(duration=3 * CHUNK / 16000, stride=CHUNK)
    result = Attack(space=space, beta=None, gamma=None, max_iterations=6, optimizer=adam).run(WhiteBox(speakers))
    assert (result.best_iteration > 0).all()
    assert (result.best_iteration <= result.iterations).all()
