"""What an attack promises beyond Algorithm 1: best iterates, freezing, errors, Ctrl-C, devices of Lightning."""

from __future__ import annotations

import os
import signal

import pytest
import torch

from mi_lightning.attacks.filters.chain import FilterChain
from mi_lightning.attacks.filters.gaussian_blur import GaussianBlur
from mi_lightning.attacks.filters.unit_rms import UnitRMS
from mi_lightning.attacks.initializers.constant import Zeros
from mi_lightning.attacks.initializers.noise import Noise
from mi_lightning.attacks.priors.l2 import L2
from mi_lightning.attacks.projections import Projection
from mi_lightning.attacks.spaces.pixel import PixelSpace
from mi_lightning.attacks.stopping import StopRule
from mi_lightning.errors import InputError, MIError
from mi_lightning.lightning.callbacks import StagnationStop, TargetCostStop
from mi_lightning.lightning.callbacks.base import InversionCallback
from mi_lightning.lightning.module import Inversion
from mi_lightning.lightning.trainer import InversionTrainer, stop_on_interrupt
from mi_lightning.targets import Target, WhiteBox


class Watch(InversionCallback, StopRule):
    """Keeps what it is shown, and stops nobody."""

    reason = "interrupted"

    def __init__(self):
        self.hooks, self.rows, self.costs = [], [], []

    def on_inversion_start(self, trainer, inversion):
        self.hooks.append("inversion_start")

    def start(self, cost):
        self.hooks.append("start")

    def __call__(self, cost):
        self.hooks.append("end")
        self.rows.append(len(cost))
        self.costs.append(cost.clone())
        return torch.zeros_like(cost, dtype=torch.bool)

    def on_report(self, trainer, inversion, report):
        self.hooks.append(("report", report.iteration, report.part, report.parts))

    def on_inversion_end(self, trainer, inversion, result):
        self.hooks.append("inversion_end")


def test_hooks_in_order(invert):
    watch = Watch()
    invert(callbacks=[watch], labels=[0], max_iterations=3, report_every=2)
    assert watch.hooks == [
        *["inversion_start", "start", "end", "end", ("report", 2, 0, 1)],
        *["end", ("report", 3, 0, 1), "inversion_end"],
    ]


def test_the_best_iterate_is_returned_not_the_last(invert):
    watch = Watch()
    result = invert(
        callbacks=[watch],
        space=PixelSpace(initializer=Noise(std=0.3), clamp=False),
        priors=[L2(weight=0.2, center=0.0)],
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=4.0),  # steps that overshoot the prior
        max_iterations=60,
    )
    costs = torch.stack(watch.costs)
    assert bool((costs[-1] > result.cost + 1e-3).any())  # the last one would have been wrong
    start = invert(space=PixelSpace(initializer=Noise(std=0.3)), max_iterations=1, priors=[L2(weight=0.2, center=0.0)])
    assert bool((costs.amin(0) >= result.cost).all())
    assert bool(((costs.amin(0) == result.cost) | (start.cost >= result.cost)).all())


def test_cost_and_confidence_belong_to_the_reconstruction(invert, classifier):
    result = invert(space=PixelSpace(initializer=Zeros(), clamp=False), max_iterations=40)
    confidence = torch.softmax(classifier(result.reconstruction), -1)[torch.arange(7), result.label]
    torch.testing.assert_close(result.confidence, confidence.detach(), atol=1e-6, rtol=0)
    torch.testing.assert_close(result.cost, 1 - confidence.detach(), atol=1e-6, rtol=0)


def test_stopped_rows_leave_the_batch(invert):
    watch = Watch()
    result = invert(callbacks=[watch], space=PixelSpace(initializer=Zeros(), clamp=False), gamma=0.01, report_every=10)
    assert watch.rows[0] == 7
    assert watch.rows[-1] < 7
    iterations = result.iterations.sort().values
    # a row is in the batch until the end of the block in which it stopped, no longer
    for row in iterations.tolist():
        block_end = -(-row // 10) * 10
        if block_end < len(watch.rows):
            assert watch.rows[block_end] < watch.rows[row - 1]


def test_queries_and_seconds(invert, classifier):
    target = WhiteBox(classifier)
    attack = Inversion(target=target, max_iterations=25, report_every=10, labels=[0, 1, 2])
    trainer = InversionTrainer(
        logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False
    )
    result = trainer.invert(attack)
    assert result.queries.tolist() == [26, 26, 26]  # x_0 and 25 iterates
    assert target.queries == 3 * 26
    assert float(result.seconds.sum()) > 0
    assert result.seconds.tolist() == pytest.approx([float(result.seconds[0])] * 3)


def test_a_row_that_diverges_keeps_its_best(invert):
    class Explode(InversionCallback, Projection):
        def __call__(self, z, state):
            if state.iteration == 5:
                z[1] = torch.nan
            return z

        def apply(self, z):
            return z

    result = invert(callbacks=[Explode()], labels=[0, 1, 2], max_iterations=40, report_every=10, gamma=1e-6)
    assert result.stop_reason == ("max_iterations", "diverged", "max_iterations")
    assert torch.isfinite(result.reconstruction).all()
    assert result.iterations.tolist() == [40, 5, 40]


def test_a_start_that_is_no_number_is_told(invert):
    class Nothing(Zeros):
        def __call__(self, rows, shape, value_range):
            return super().__call__(rows, shape, value_range) * torch.nan

    result = invert(
        space=PixelSpace(initializer=Nothing(), clamp=False), labels=[0, 1], max_iterations=20, report_every=20
    )
    assert result.stop_reason == ("diverged", "diverged")
    assert result.confidence.tolist() == [0.0, 0.0]


def test_a_limit_of_the_trainer_keeps_what_was_found(classifier):
    attack = Inversion(target=WhiteBox(classifier), max_iterations=500, report_every=10)
    trainer = InversionTrainer(
        limit_train_batches=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    result = trainer.invert(attack)
    assert set(result.stop_reason) == {"interrupted"}
    assert set(result.iterations.tolist()) == {20}


def test_a_projection_is_part_of_the_iterate(invert):
    class Halve(InversionCallback, Projection):
        def apply(self, z):
            return z * 0.5

    plain = invert(labels=[3], max_iterations=1, space=PixelSpace(initializer=Zeros(), clamp=False))
    halved = invert(
        callbacks=[Halve()], labels=[3], max_iterations=1, space=PixelSpace(initializer=Zeros(), clamp=False)
    )
    torch.testing.assert_close(halved.candidate, plain.candidate / 2)
    assert float(halved.cost) > float(plain.cost)  # it was evaluated after the projection


def test_ctrl_c_keeps_what_was_found(invert):
    class Press(InversionCallback, Projection):
        def __call__(self, z, state):
            if state.iteration == 17:
                os.kill(os.getpid(), signal.SIGINT)
            return z

        def apply(self, z):
            return z

    before = signal.getsignal(signal.SIGINT)
    result = invert(callbacks=[Press()], max_iterations=1000)
    assert set(result.stop_reason) == {"interrupted"}
    assert set(result.iterations.tolist()) == {17}
    assert float(result.cost.mean()) < 0.9
    assert signal.getsignal(signal.SIGINT) is before


def test_the_second_ctrl_c_aborts(classifier):
    attack = Inversion(target=WhiteBox(classifier), max_iterations=10)
    with stop_on_interrupt(attack):
        os.kill(os.getpid(), signal.SIGINT)
        assert attack.stop_requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_callbacks_given_by_hand_are_the_same_as_beta_and_gamma(invert):
    space = PixelSpace(initializer=Zeros(), clamp=False)
    short = invert(space=space, beta=50, gamma=0.05)
    long = invert(space=space, callbacks=[StagnationStop(50), TargetCostStop(0.05)])
    assert torch.equal(short.iterations, long.iterations)
    assert short.stop_reason == long.stop_reason


def test_several_callbacks_of_a_class_take_part(invert):
    rules = [StagnationStop(beta=2), StagnationStop(beta=30, rule="patience")]
    result = invert(callbacks=rules, max_iterations=40)
    assert torch.equal(result.iterations, invert(callbacks=rules[:1], max_iterations=40).iterations)


def test_the_classifier_stays_as_it_is(invert, classifier):
    classifier.train()
    before = {name: value.clone() for name, value in classifier.state_dict().items()}
    invert(max_iterations=5)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in classifier.parameters())
    assert classifier.training
    for name, value in classifier.state_dict().items():
        assert torch.equal(value, before[name])


def test_describe_holds_the_parameters(classifier):
    attack = Inversion(
        target=WhiteBox(classifier),
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.05, momentum=0.95),
        beta=7,
        gamma=0.25,
        max_iterations=9,
    )
    described = attack.describe()
    assert described["optimizer"]["class"] == "SGD"
    assert described["optimizer"]["lr"] == 0.05
    assert described["optimizer"]["momentum"] == 0.95
    assert (described["max_iterations"], described["beta"], described["gamma"]) == (9, 7, 0.25)
    assert described["space"]["initializer"] == {"class": "MidGrey"}
    assert described["space"]["clamp"] is True


# ------------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_iterations": 0}, r"expected max_iterations >= 1, got 0 \(max_iterations\)"),
        ({"beta": 0}, r"expected beta >= 1, got 0 \(beta\)"),
        ({"gamma": 1.0}, r"expected gamma in \[0, 1\), got 1.0 \(gamma\)"),
        ({"gamma": -0.1}, r"expected gamma in \[0, 1\), got -0.1 \(gamma\)"),
        ({"restarts": 0}, r"expected restarts >= 1, got 0 \(restarts\)"),
        ({"report_every": 0}, r"expected report_every >= 1, got 0 \(report_every\)"),
        ({"rows_at_once": 0}, r"expected rows_at_once >= 1, got 0 \(rows_at_once\)"),
        ({"seed": -1}, r"expected seed >= 0, got -1 \(seed\)"),
        (
            {"beta": 3, "stagnation_rule": "x"},
            r"expected stagnation_rule algorithm or patience, got x \(stagnation_rule\)",
        ),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(InputError, match=message):
        Inversion("somewhere.ckpt", **settings)


def test_unknown_label_before_anything_runs(invert):
    with pytest.raises(InputError, match=r"expected labels among 0-6, .* got 7 \(labels\)"):
        invert(labels=[7])


def test_no_target():
    with pytest.raises(InputError, match=r"expected a checkpoint or a target .* got neither \(classifier_ckpt\)"):
        _ = Inversion().target


def test_missing_checkpoint(tmp_path):
    with pytest.raises(MIError, match=r"no checkpoint at .*absent.ckpt"):
        _ = Inversion(str(tmp_path / "absent.ckpt")).target


def test_gradients_of_a_target_that_gives_none(classifier):
    class Shut(WhiteBox):
        differentiable = False

    target: Target = Shut(classifier)
    with pytest.raises(InputError, match=r"expected a target that gives gradients.* got Shut with Autograd"):
        Inversion(target=target).preflight()


def test_result_before_the_attack():
    with pytest.raises(RuntimeError, match="no result yet"):
        _ = Inversion().result


def test_input_of_another_shape(classifier):
    with pytest.raises(InputError, match=r"expected input of shape \(N, 1, 6, 5\), got \(2, 1, 5, 6\)"):
        WhiteBox(classifier).confidences(torch.zeros(2, 1, 5, 6))


def test_an_attack_can_be_run_again(classifier):
    attack = Inversion(target=WhiteBox(classifier), max_iterations=5, labels=[1])
    trainers = [
        InversionTrainer(
            logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False
        )
        for _ in range(2)
    ]
    first, second = (trainer.invert(attack) for trainer in trainers)
    assert torch.equal(first.reconstruction, second.reconstruction)


def test_defaults_do_not_share_parts():
    first, second = Inversion().attack, Inversion().attack
    for part in ("space", "cost", "step", "selection", "projections", "priors"):
        assert getattr(first, part) is not getattr(second, part)


def test_the_description_names_parts_of_parts(classifier):
    chain = FilterChain(filters=[GaussianBlur(sigma=2.0), UnitRMS()])
    attack = Inversion(target=WhiteBox(classifier), gradient_filter=chain)
    blur, rms = attack.describe()["gradient_filter"]["filters"]
    assert (blur["class"], blur["sigma"], rms["class"]) == ("GaussianBlur", 2.0, "UnitRMS")
