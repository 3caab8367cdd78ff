from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mi_lightning.errors import InputError
from mi_lightning.lightning.callbacks import TargetCostStop
from mi_lightning.lightning.callbacks.base import InversionCallback
from mi_lightning.lightning.callbacks.results import ResultsWriter
from mi_lightning.report import read_results

FILES = {"results.json", "per_label.csv", "reconstructions.npz", "reconstructions.png"}


class StopAt(InversionCallback):
    """Ctrl-C after some reports."""

    def __init__(self, iteration: int) -> None:
        self.iteration = iteration

    def on_report(self, trainer, inversion, report):
        if report.iteration == self.iteration:
            inversion.stop_requested = True


def test_a_judged_attack_leaves_its_files_in_the_run_folder(attack):
    trainer = attack(ResultsWriter(), restarts=2)
    folder = Path(trainer.log_dir)
    assert {path.name for path in folder.iterdir()} >= FILES
    run = read_results(folder)
    result = trainer.lightning_module.result
    said = trainer.judge.judge(result)
    assert run.summary["evaluator_top1"] == said.summary["evaluator_top1"]
    assert run.data["controls"].keys() == {"noise", "mean_face", "shuffled"}
    assert [row["ssim"] for row in run.data["per_label"]] == pytest.approx(said.per_row["ssim"].tolist())
    assert run.data["evaluator"]["test_accuracy"] == 0.75
    assert run.data["data"]["class_path"] == "mi_lightning.data.AttFaces"
    assert run.data["target"]["class"].endswith("SoftmaxRegression")
    assert (run.data["attack"]["max_iterations"], run.data["attack"]["optimizer"]["lr"]) == (20, 1.0)
    assert run.data["input_range"] == [0.0, 1.0]
    np.testing.assert_array_equal(run.arrays["reconstruction"], result.reconstruction.numpy())


def test_an_attack_that_nobody_judges(attack):
    run = read_results(attack(ResultsWriter(), judged=False).log_dir)
    assert run.summary["rows"] == 4
    assert run.summary["evaluator_top1"] is None


def test_the_folder_can_be_given_and_no_logger_is_needed(attack, tmp_path):
    attack(ResultsWriter(str(tmp_path / "own" / "folder")), logger=False)
    assert {path.name for path in (tmp_path / "own" / "folder").iterdir()} == FILES


def test_without_logger_the_default_folder_is_used(attack, tmp_path):
    attack(ResultsWriter(), logger=False)
    assert read_results(tmp_path / "root").summary["rows"] == 4


def test_an_interrupted_attack_is_written_as_well(attack):
    trainer = attack(StopAt(5), ResultsWriter(), max_iterations=500)
    run = read_results(trainer.log_dir)
    assert run.summary["stop_reasons"] == {"interrupted": 4}
    assert 5 <= run.summary["iterations_mean"] < 500


def test_what_takes_part_as_a_callback_is_in_the_results(attack):
    run = read_results(attack(ResultsWriter(), TargetCostStop(0.125)).log_dir)
    assert run.data["attack"]["callbacks"] == [{"class": "TargetCostStop", "gamma": 0.125}]


def test_only_the_first_process_writes(attack, tmp_path, monkeypatch):
    trainer = attack(logger=False)
    monkeypatch.setattr(type(trainer), "is_global_zero", False)
    writer = ResultsWriter(str(tmp_path / "second"))
    writer.setup(trainer, trainer.lightning_module, "fit")
    writer.on_inversion_end(trainer, trainer.lightning_module, trainer.lightning_module.result)
    assert not (tmp_path / "second").exists()


@pytest.mark.parametrize("below", [False, True])
def test_a_folder_that_cannot_be_written_stops_the_attack_before_it_starts(attack, tmp_path, below):
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "below" if below else tmp_path / "file"
    started = []

    class Started(InversionCallback):
        def on_inversion_start(self, trainer, inversion):
            started.append(True)

    reason = "below: Not a directory" if below else "file, which is a file"
    with pytest.raises(InputError, match=rf"a folder that can be written, got .*{reason} \(folder\)"):
        attack(Started(), ResultsWriter(str(path)), logger=False)
    assert not started
