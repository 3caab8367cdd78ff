"""Rows in parts: as many at a time as memory allows, fewer where it runs short, and the same results."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch
from torch import nn

from mi_lightning.attacks.attack import Attack
from mi_lightning.attacks.estimators import SPSA
from mi_lightning.attacks.initializers import Noise
from mi_lightning.attacks.measure import PeakMemory, bound, measure
from mi_lightning.attacks.spaces import PixelSpace
from mi_lightning.errors import MIError
from mi_lightning.judging.judge import Judge
from mi_lightning.lightning.callbacks import ResultsWriter
from mi_lightning.lightning.callbacks.base import InversionCallback
from mi_lightning.lightning.module import Inversion
from mi_lightning.targets import BlackBox, WhiteBox
from mi_lightning.targets.defenses import GaussianNoise
from tests.attacks.conftest import quiet_trainer
from tests.contracts.attack_examples import softmax
from tests.test_memory import limited

SIZE, PEOPLE = 12, 9


class Network(nn.Module):
    """A convolutional classifier; takes as many inputs at a time as memory allows, here ``most``."""

    def __init__(self, most=1000, width=3):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.head, self.most = nn.Conv2d(1, width, 3, padding=1), nn.Linear(width, PEOPLE), most
        self.batches = []

    def forward(self, x):
        self.batches.append(len(x))
        if len(x) > self.most:
            raise torch.OutOfMemoryError(f"CUDA out of memory: {len(x)} inputs")
        return self.head(self.conv(x).relu().mean((2, 3)) * 20)


def target_of(network, size=SIZE):
    target = WhiteBox(network, input_shape=(1, size, size), max_batch=None)
    target.module.batches = []
    return target


def attack(**settings):
    space = PixelSpace(initializer=Noise(std=0.2))
    return Attack(**{"space": space, "max_iterations": 6, "report_every": 2, "restarts": 2} | settings)


def roomy(most):
    """A target that is looked at with room, and then has less."""
    target = target_of(Network())
    target.module.most = most
    return target


@pytest.mark.parametrize(("rows_at_once", "most"), [(None, 7), (12, 4), (2, 1)])
def test_where_memory_runs_short_half_the_rows_find_the_same(most, rows_at_once):
    whole = attack().run(target_of(Network()))
    target = roomy(most)
    found = attack(rows_at_once=rows_at_once).run(target)
    fitted = {None: 5, 12: 3, 2: 1}[rows_at_once]  # 18 rows are 9, then 5; 12 are 6, then 3
    assert max(batch for batch in target.module.batches if batch <= most) == fitted
    torch.testing.assert_close(found.reconstruction, whole.reconstruction, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.candidate, whole.candidate, rtol=0, atol=1e-5)
    assert torch.equal(found.queries, whole.queries)
    assert found.stop_reason == whole.stop_reason
    assert target.queries > whole.queries.sum()  # what was asked in vain has been asked


def test_memory_may_run_short_in_a_black_box_and_random_defenses_begin_anew():
    def run(most):
        target = BlackBox.of(Network(), input_shape=(1, SIZE, SIZE))
        target._hidden.module.most = most
        return attack(estimator=SPSA(pairs=3), restarts=1).run(GaussianNoise(sigma=0.01).wrap(target))

    torch.testing.assert_close(run(40).reconstruction, run(1000).reconstruction, rtol=0, atol=1e-5)


def test_one_row_that_does_not_fit_is_told():
    with pytest.raises(MIError, match=r"one row alone does not fit in the memory of which .* are free: CUDA out of m"):
        attack(restarts=1).run(roomy(0), labels=[0, 1])


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    target = target_of(Network())
    target.module.head = nn.Linear(2, PEOPLE)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        attack().run(target)


def test_a_limit_on_the_memory_divides_the_rows_unasked():
    target = target_of(Network(width=24), size=200)  # about 10 MB a row
    rows = attack().rows("all", target.class_names)
    free = attack().engine(target)
    free.start(rows)
    with limited(150 * 2**20):
        engine = attack().engine(target)
        engine.start(rows)
        assert len(rows) == 18 > engine.largest >= 2
        for _ in zip(range(1), engine.run(None, 1), strict=False):
            pass  # it fits
    assert (free.largest, free.parts) == (18, 1)
    assert engine.measured.row_bytes > 3 * 4 * 24 * 200 * 200


def test_a_small_attack_is_not_measured(classifier):
    target = WhiteBox(classifier)
    engine = attack().engine(target)
    engine.start(attack().rows("all", target.class_names))
    assert engine.measured is None
    assert engine.parts == 1
    assert bound(engine.core) > 30 * 4


def test_what_is_measured_is_what_torch_holds_and_leaves_no_trace():
    target = GaussianNoise(sigma=0.01).wrap(target_of(Network(width=8), size=64))
    core = attack().engine(target).core
    rows = attack().rows("all", target.class_names)
    before, numbers = target.run_state(), torch.get_rng_state()
    measured = measure(core, rows)
    assert target.run_state() == before
    assert torch.equal(torch.get_rng_state(), numbers)
    assert rows.generators[0].initial_seed() == rows.keys[0]
    assert torch.equal(rows.generators[0].get_state(), torch.Generator().manual_seed(rows.keys[0]).get_state())
    image, features = 4 * 64 * 64, 4 * 8 * 64 * 64
    assert 2 * features + 5 * image < measured.row_bytes < 6 * features + 12 * image
    assert measured.row_seconds > 0
    assert measured.fixed_seconds >= 0


def test_the_peak_is_that_of_storages_that_live_at_a_time():
    with PeakMemory() as memory:
        a = torch.zeros(1000)
        b = a + 1
        view = b[10:].view(-1, 10)
        del a
        gc.collect()
        held = memory.now
        c = b * 2
        del b, view
    assert held == 4000
    assert memory.peak == 8000
    assert memory.now == c.untyped_storage().nbytes()


class Killed(BaseException):
    """What ends a process."""


class KilledAfter(InversionCallback):
    """Ends the process when so many parts are over."""

    def __init__(self, parts):
        self.parts = parts

    def on_part_end(self, trainer, inversion, number, result):
        if number + 1 == self.parts:
            raise Killed


def test_parts_that_are_over_are_on_disk_when_the_process_is_killed(tmp_path):
    settings = {"max_iterations": 4, "rows_at_once": 4, "space": PixelSpace(initializer=Noise(std=0.2))}

    def run(*more):
        inversion = Inversion(target=target_of(Network()), **settings)
        return quiet_trainer([ResultsWriter(str(tmp_path)), *more]).invert(inversion)

    with pytest.raises(Killed):
        run(KilledAfter(2))
    assert not (tmp_path / "results.json").exists()
    files = sorted((tmp_path / "partial").iterdir())
    assert [file.name for file in files] == ["process_0_part_0000.npz", "process_0_part_0001.npz"]
    kept = [dict(np.load(file, allow_pickle=False)) for file in files]
    whole = run()
    assert np.concatenate([part["label"] for part in kept]).tolist() == list(range(8))
    np.testing.assert_array_equal(
        np.concatenate([part["reconstruction"] for part in kept]), whole.reconstruction[:8].numpy()
    )
    assert kept[0]["name"].tolist() == ["0", "1", "2", "3"]
    assert (tmp_path / "results.json").exists()
    assert not (tmp_path / "partial").exists()


class Greedy(Judge):
    """Takes more memory to judge than there is."""

    def judge(self, result):
        with limited(50 * 2**20):
            torch.zeros(2**26)


def test_what_was_found_is_written_when_judging_takes_more_memory_than_there_is(tmp_path):
    trainer = quiet_trainer([ResultsWriter(str(tmp_path))])
    inversion = Inversion(target=target_of(Network()), max_iterations=2)
    trainer._make_judge = lambda *_: Greedy(softmax((1, SIZE, SIZE)))
    with pytest.raises(MIError, match=r"judging takes more memory than there is: what was found is in .*, not judged"):
        trainer.invert(inversion)
    assert (tmp_path / "results.json").exists()
    assert len(inversion.result) == PEOPLE
