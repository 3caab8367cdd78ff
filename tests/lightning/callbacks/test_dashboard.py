from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from mi_lightning.attacks.initializers import Zeros
from mi_lightning.attacks.spaces import PixelSpace
from mi_lightning.errors import InputError
from mi_lightning.lightning.callbacks.dashboard import Dashboard
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


def test_curves_histograms_verdicts_and_controls_are_there(attack):
    trainer = attack(Dashboard())
    found = events(trainer)
    tags = found.Tags()
    assert {"result/iterations", "result/cost", "result/confidence"} == set(tags["histograms"])
    assert {"invert/cost", "invert/confidence", "invert/active_rows"} <= set(tags["scalars"])
    assert {"judge/evaluator_top1", "judge/ssim_mean", "controls/noise/ssim_mean"} <= set(tags["scalars"])
    said = trainer.judge.judge(trainer.lightning_module.result)
    event = found.Scalars("judge/ssim_mean")[-1]
    assert (event.step, event.value) == (20, pytest.approx(said.summary["ssim_mean"]))
    event = found.Scalars("controls/mean_face/ssim_mean")[-1]
    assert event.value == pytest.approx(said.controls["mean_face"]["ssim_mean"])
    assert found.Histograms("result/iterations")[0].histogram_value.num == 4


def test_hyperparameters_stand_beside_the_final_metrics_in_the_same_run(attack, tmp_path):
    trainer = attack(Dashboard())
    found = events(trainer)
    start = hparams(found, "_hparams_/session_start_info").session_start_info.hparams
    assert start["attack/max_iterations"].number_value == 20
    assert start["attack/optimizer/class"].string_value == "SGD"
    assert start["target/access"].string_value == "white_box"
    metrics = hparams(found, "_hparams_/experiment").experiment.metric_infos
    names = {metric.name.tag for metric in metrics}
    assert {"judge/evaluator_top1", "judge/identification_top1", "result/cost_mean", "result/seconds"} <= names
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


@pytest.mark.parametrize("kind", ["none", "csv"])
def test_without_tensorboard_nothing_is_done(attack, tmp_path, kind, monkeypatch):
    def never(*arguments: object) -> None:
        raise AssertionError("no picture should be made")

    monkeypatch.setattr("mi_lightning.report.pictures.grid", never)
    trainer = attack(Dashboard(every=1), logger=CSVLogger(tmp_path, name="csv") if kind == "csv" else False)
    assert trainer.lightning_module.result is not None
    assert not list(tmp_path.rglob("*tfevents*"))


@pytest.mark.parametrize("name", ["every", "max_pictures"])
def test_numbers_below_one_are_refused(name):
    with pytest.raises(InputError, match=f"{name} >= 1, got 0"):
        Dashboard(**{name: 0})
