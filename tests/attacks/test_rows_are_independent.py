"""What a row finds does not depend on which other rows, chunks or processes it ran with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mi_lightning.attacks.initializers.constant import MidGrey, Zeros
from mi_lightning.attacks.initializers.noise import Noise
from mi_lightning.attacks.rows import Rows
from mi_lightning.attacks.spaces.pixel import PixelSpace
from mi_lightning.lightning.module import Inversion
from mi_lightning.lightning.trainer import InversionTrainer
from mi_lightning.targets import WhiteBox

SETTINGS = {"gamma": 0.02, "beta": 200, "max_iterations": 150, "report_every": 13, "restarts": 2, "seed": 5}


def noisy() -> PixelSpace:
    return PixelSpace(initializer=Noise(mean=0.5, std=0.2))


def adam(parameters):
    return torch.optim.Adam(parameters, lr=0.03)


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.05, momentum=0.8)


def assert_same(result, reference):
    assert torch.equal(result.label, reference.label)
    assert torch.equal(result.restart, reference.restart)
    assert result.iterations.tolist() == reference.iterations.tolist()
    assert result.stop_reason == reference.stop_reason
    assert torch.equal(result.queries, reference.queries)
    torch.testing.assert_close(result.reconstruction, reference.reconstruction, rtol=0, atol=1e-5)
    torch.testing.assert_close(result.cost, reference.cost, rtol=0, atol=1e-5)


@pytest.mark.parametrize("optimizer", [adam, sgd])
def test_alone_and_in_the_batch(invert, optimizer):
    batch = invert(space=noisy(), optimizer=optimizer, **SETTINGS)
    assert len(set(batch.iterations.tolist())) > 3  # rows leave at different times, or nothing is shown
    for label in range(7):
        alone = invert(space=noisy(), optimizer=optimizer, labels=label, **SETTINGS)
        assert_same(alone, batch.select((batch.label == label).nonzero()[:, 0]))


@pytest.mark.parametrize("rows_at_once", [1, 4, 14, 100])
def test_in_parts(invert, rows_at_once):
    whole = invert(space=noisy(), optimizer=adam, **SETTINGS)
    assert_same(invert(space=noisy(), optimizer=adam, rows_at_once=rows_at_once, **SETTINGS), whole)


@pytest.mark.parametrize("report_every", [1, 50, 100_000])
def test_how_often_it_reports_changes_nothing(invert, report_every):
    reference = invert(space=noisy(), optimizer=adam, **SETTINGS)
    assert_same(invert(space=noisy(), optimizer=adam, **{**SETTINGS, "report_every": report_every}), reference)


def test_order_of_the_labels(invert):
    forward = invert(space=noisy(), optimizer=sgd, labels=[1, 4, 6], **SETTINGS)
    backward = invert(space=noisy(), optimizer=sgd, labels="6,4,1", **SETTINGS)
    assert backward.label.tolist() == [6, 6, 4, 4, 1, 1]
    assert_same(backward.select(torch.tensor([4, 5, 2, 3, 0, 1])), forward)


def test_random_numbers_are_the_rows_own():
    rows = Rows.grid([3, 1, 2], 2, seed=9)
    draws = rows.draw(lambda generator: torch.rand(4, generator=generator))
    assert len({tuple(row) for row in draws.tolist()}) == 6
    alone = Rows.grid([1], 2, seed=9)
    assert torch.equal(alone.draw(lambda generator: torch.rand(4, generator=generator)), draws[2:4])
    # a selection goes on where the row was, it does not start again
    again = rows.select(torch.tensor([2])).draw(lambda generator: torch.rand(4, generator=generator))
    assert not torch.equal(again[0], draws[2])
    other = Rows.grid([1], 2, seed=10).draw(lambda generator: torch.rand(4, generator=generator))
    assert not torch.equal(other, draws[2:4])


def test_restarts_differ_and_best_takes_the_least_cost(invert):
    result = invert(space=noisy(), labels=[2], restarts=4, max_iterations=30)
    assert len(set(result.cost.tolist())) == 4
    best = result.best()
    assert len(best) == 1
    assert float(best.cost) == float(result.cost.min())


def test_a_restart_that_is_no_number_is_never_the_best(invert):
    result = invert(space=noisy(), labels=[2], restarts=3, max_iterations=5)
    result.score[0] = torch.nan
    assert int(result.best().restart) == int(result.score[1:].argmin()) + 1


@pytest.mark.parametrize("rows_at_once", [None, 1])
def test_candidate_and_reconstruction_share_no_memory(invert, rows_at_once):
    # pixels decode to themselves: without a copy the two would be one
    result = invert(
        space=PixelSpace(initializer=MidGrey()), max_iterations=20, labels=[0, 1], rows_at_once=rows_at_once
    )
    before = result.candidate.clone()
    assert torch.equal(result.reconstruction, before)
    result.reconstruction.add_(1)
    assert torch.equal(result.candidate, before)


PROGRAM = """
import sys, torch
sys.path.insert(0, {tests!r})
from test_rows_are_independent import noisy, adam, SETTINGS
from mi_lightning.classifiers import SoftmaxRegression
from mi_lightning.lightning.module import Inversion
from mi_lightning.targets import WhiteBox
from mi_lightning.lightning.trainer import InversionTrainer
model = SoftmaxRegression(input_shape=(1, 6, 5), num_classes=7)
model.load_state_dict(torch.load({weights!r}, weights_only=True))
attack = Inversion(target=WhiteBox(model), space=noisy(), optimizer=adam, **SETTINGS)
trainer = InversionTrainer(accelerator="cpu", devices=2, strategy="row_shard", logger=False,
    enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
result = trainer.invert(attack)
assert len(attack.progress()) == 7, "each process has half of the rows"
torch.save(vars(result), {out!r} + str(trainer.global_rank))
"""


def test_two_processes_give_what_one_gives(invert, classifier, tmp_path):
    weights, out = tmp_path / "weights.pt", tmp_path / "result"
    torch.save(classifier.state_dict(), weights)
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(tests=str(Path(__file__).parent), weights=str(weights), out=str(out)))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, ""]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(program)], env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    one = invert(space=noisy(), optimizer=adam, **SETTINGS)
    for rank in "01":  # every process has all rows in the end
        both = type(one)(**torch.load(f"{out}{rank}", weights_only=True))
        assert_same(both, one)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"strategy": "row_shard", "devices": 2},
            r"at most 1 devices for 1 rows, got 2 \(devices\)",
        ),
        ({"devices": 2}, r"expected row_shard for an .* devices, got DDPStrategy \(strategy\)"),
    ],
)
def test_devices_are_checked_before_a_process_is_started(classifier, settings, message):
    attack = Inversion(target=WhiteBox(classifier), space=PixelSpace(initializer=Zeros()), labels=[1])
    trainer = InversionTrainer(accelerator="cpu", logger=False, enable_checkpointing=False, **settings)
    with pytest.raises(ValueError, match=message):
        trainer.invert(attack)
