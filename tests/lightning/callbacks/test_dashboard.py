from __future__ import annotations

import csv
import io

import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import plugin_data_pb2

from mi_lightning.attacks.initializers import Zeros
from mi_lightning.attacks.spaces import PixelSpace
from mi_lightning.errors import InputError
from mi_lightning.lightning.callbacks.dashboard import CHARTS, FIGURES, Dashboard
from mi_lightning.report import pictures


def events(trainer) -> EventAccumulator:
    found = EventAccumulator(trainer.log_dir, size_guidance={"images": 0, "scalars": 0})
    found.Reload()
    return found


def hparams(found: EventAccumulator, tag: str) -> plugin_data_pb2.HParamsPluginData:
    content = found.SummaryMetadata(tag).plugin_data.content
    return plugin_data_pb2.HParamsPluginData.FromString(content)


def test_the_grid_is_shown_over_time_and_at_the_end(attack):
    trainer = attack(Dashboard(every=2), max_iterations=25)
    images = events(trainer).Images("invert/candidates")
    assert [image.step for image in images] == [0, 10, 20, 25]
    shown = [np.asarray(Image.open(io.BytesIO(image.encoded_image_string)).convert("L")) for image in images]
    final = pictures.to_pixels(trainer.lightning_module.result.reconstruction, (0.0, 1.0))
    np.testing.assert_array_equal(shown[-1], pictures.grid(final))
    start = shown[0][shown[0] != 255]
    assert (start == 128).all()  # mid-grey
    assert (shown[1] != shown[0]).any()


def test_only_so_many_pictures_are_shown(attack):
    trainer = attack(Dashboard(max_pictures=1))
    image = events(trainer).Images("invert/candidates")[-1]
    assert (image.height, image.width) == (8, 6)


def test_parts_go_on_counting(attack):
    images = events(attack(Dashboard(every=2), rows_at_once=2)).Images("invert/candidates")
    assert [image.step for image in images] == [0, 10, 20, 30, 40, 40]


def test_curves_histograms_and_what_runs_are_compared_by_are_there(attack):
    trainer = attack(Dashboard())
    found = events(trainer)
    tags = found.Tags()
    assert {"result/iterations", "result/cost", "result/confidence"} == set(tags["histograms"])
    assert {"invert/cost", "invert/confidence", "invert/active_rows"} <= set(tags["scalars"])
    said = trainer.judge.judge(trainer.lightning_module.result)
    event = found.Scalars("judge/evaluator_top1")[-1]
    assert (event.step, event.value) == (20, pytest.approx(said.summary["evaluator_top1"]))
    assert found.Histograms("result/iterations")[0].histogram_value.num == 4


def test_it_opens_on_curves_and_candidates_and_not_on_cards_of_one_point(attack):
    found = events(attack(Dashboard()))
    tags = [*found.Tags()["scalars"], *found.Tags()["images"]]
    assert min(tags).startswith("invert/")  # its first page is in the order of the alphabet
    single = {tag for tag in found.Tags()["scalars"] if len(found.Scalars(tag)) == 1}
    assert single == {tag for tag in tags if not tag.startswith("invert/")} <= set(FIGURES)


def test_charts_are_laid_out_over_curves_that_exist(attack):
    found = events(attack(Dashboard()))
    content = found.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0]
    (category,) = layout_pb2.Layout.FromString(content).category
    assert [chart.title for chart in category.chart] == list(CHARTS)
    shown = {tag for chart in category.chart for tag in chart.multiline.tag}
    assert shown == {"invert/cost", "invert/confidence", "invert/active_rows"} <= set(found.Tags()["scalars"])


def test_settings_controls_and_the_final_metrics_stand_in_one_table(attack, tmp_path):
    trainer = attack(Dashboard())
    found = events(trainer)
    start = hparams(found, "_hparams_/session_start_info").session_start_info.hparams
    assert start["attack/max_iterations"].number_value == 20
    assert start["attack/optimizer/class"].string_value == "SGD"
    assert start["target/access"].string_value == "white_box"
    said = trainer.judge.judge(trainer.lightning_module.result)
    assert start["judge/ssim_mean"].number_value == pytest.approx(said.summary["ssim_mean"])
    for control in ("noise", "mean_face", "shuffled"):
        value = start[f"controls/{control}/ssim_mean"].number_value
        assert value == pytest.approx(said.controls[control]["ssim_mean"])
    metrics = hparams(found, "_hparams_/experiment").experiment.metric_infos
    names = {metric.name.tag for metric in metrics}
    assert {"judge/evaluator_top1", "result/cost_mean", "result/seconds"} <= names
    assert names <= set(found.Tags()["scalars"])
    assert len(list((tmp_path / "logs").iterdir())) == 1  # no second run was made


def test_without_judge_only_the_result_is_shown(attack):
    scalars = events(attack(Dashboard(), judged=False)).Tags()["scalars"]
    assert "result/cost_mean" in scalars
    assert not [tag for tag in scalars if tag.startswith(("judge/", "controls/"))]


def test_rows_that_all_diverged_are_shown_as_far_as_they_can_be(attack):
    class Nothing(Zeros):
        def __call__(self, rows, shape, value_range):
            return super().__call__(rows, shape, value_range) * torch.nan

    found = events(attack(Dashboard(), space=PixelSpace(initializer=Nothing(), clamp=False)))
    assert "result/iterations" in found.Tags()["histograms"]
    assert "result/cost" not in found.Tags()["histograms"]


class Numbers(Logger):
    """A logger of somebody's own: what every logger of Lightning has."""

    def __init__(self) -> None:
        super().__init__()
        self.points: dict[str, list[tuple[int, float]]] = {}
        self.settings: dict[str, object] = {}

    name, version = "mine", "first"

    def log_metrics(self, metrics, step=None):
        for name, value in metrics.items():
            self.points.setdefault(name, []).append((step, value))

    def log_hyperparams(self, params):
        self.settings |= params


@pytest.mark.parametrize("kind", ["none", "own"])
def test_no_picture_is_made_that_nobody_shows(attack, kind, monkeypatch):
    def never(*arguments: object) -> None:
        raise AssertionError("no picture should be made")

    monkeypatch.setattr("mi_lightning.report.pictures.grid", never)
    trainer = attack(Dashboard(every=1), logger=Numbers() if kind == "own" else False)
    assert len(trainer.lightning_module.result) == 4


def test_a_logger_that_nobody_knows_gets_curves_settings_and_one_note(attack, caplog):
    logger = Numbers()
    trainer = attack(Dashboard(every=1), logger=logger)
    assert [step for step, _ in logger.points["invert/cost"]] == [5, 10, 15, 20]
    said = trainer.judge.judge(trainer.lightning_module.result)
    assert logger.points["judge/evaluator_top1"] == [(20, said.summary["evaluator_top1"])]
    assert logger.settings["attack/max_iterations"] == 20
    assert logger.settings["controls/noise/ssim_mean"] == pytest.approx(said.controls["noise"]["ssim_mean"])
    notes = [record.message for record in caplog.records if record.name == "mi_lightning.loggers"]
    assert notes == ["Numbers gets curves and settings; pictures and sounds are in the files of the run"]


def test_with_csv_the_grids_are_files_and_the_curves_a_table(attack, tmp_path):
    trainer = attack(Dashboard(every=2), max_iterations=25, logger=CSVLogger(tmp_path, name="csv"))
    folder = tmp_path / "csv" / "version_0"
    grids = sorted((folder / "pictures" / "invert").iterdir())
    assert [path.name for path in grids] == [f"candidates_{step:06d}.png" for step in (0, 10, 20, 25)]
    final = pictures.to_pixels(trainer.lightning_module.result.reconstruction, (0.0, 1.0))
    np.testing.assert_array_equal(np.asarray(Image.open(grids[-1])), pictures.grid(final))
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows if row["invert/cost"]] == ["5", "10", "15", "20", "25"]
    assert yaml.safe_load((folder / "hparams.yaml").read_text())["attack/max_iterations"] == 25


@pytest.mark.parametrize("kind", [CSVLogger, TensorBoardLogger])
def test_without_pictures_the_loggers_get_numbers_alone(attack, tmp_path, kind):
    attack(Dashboard(every=1, pictures=False), logger=kind(tmp_path, name="log"))
    folder = tmp_path / "log" / "version_0"
    assert not (folder / "pictures").exists()
    if kind is TensorBoardLogger:
        found = EventAccumulator(str(folder), size_guidance={"images": 0})
        found.Reload()
        assert found.Tags()["images"] == found.Tags()["audio"] == []
        assert "invert/cost" in found.Tags()["scalars"]


@pytest.mark.parametrize("name", ["every", "max_pictures"])
def test_numbers_below_one_are_refused(name):
    with pytest.raises(InputError, match=f"{name} >= 1, got 0"):
        Dashboard(**{name: 0})
