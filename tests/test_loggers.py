"""Every logger behind one face: what it is given, and which folder is a run's own."""

from __future__ import annotations

import json
import logging
import wave
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mi_lightning.io import writing_nothing
from mi_lightning.lightning import Inversion, InversionTrainer
from mi_lightning.loggers import InCSV, Logged, OnMLflow, OnTensorBoard, OnWandb, logged, to_make
from mi_lightning.targets import WhiteBox

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4)
COLOUR = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
TONE = torch.linspace(-1, 1, 80)[None]
SETTINGS = {"attack/lr": 0.5, "target/class": "WhiteBox"}
FIGURES, MORE = {"judge/recognised": 0.25}, {"controls/a": 0.5}


class Numbers(Logger):
    """What every logger of Lightning has, written down."""

    def __init__(self, version: int | str | None = 3, save_dir: str | None = None) -> None:
        super().__init__()
        self._version, self._save_dir = version, save_dir
        self.said: list[tuple[object, ...]] = []

    name = "my project"

    @property
    def version(self):
        return self._version

    @property
    def save_dir(self):
        return self._save_dir

    def log_metrics(self, metrics, step=None):
        self.said.append(("metrics", metrics, step))

    def log_hyperparams(self, params):
        self.said.append(("hyperparameters", params))


class Summary(dict):
    """The summary of a run of W&B."""


class Run:
    """What a run of W&B is asked for."""

    def __init__(self) -> None:
        self.id, self.summary = "abc123", Summary()


class Wandb(WandbLogger):
    """The logger without its package: what it would hand to the client is written down."""

    def __init__(self, save_dir: Path) -> None:
        self._save_dir, self._project, self._id, self._run = str(save_dir), "faces", None, None
        self.said: list[tuple[object, ...]] = []

    @property
    def experiment(self):
        self._run = self._run or Run()
        return self._run

    @property
    def version(self):  # as the logger does: no run is made by asking
        return self._run and self._run.id

    def log_metrics(self, metrics, step=None):
        self.said.append(("metrics", metrics, step))

    def log_hyperparams(self, params):
        self.said.append(("hyperparameters", params))

    def log_image(self, key, images, step=None, **kwargs):
        self.said.append(("image", key, [np.asarray(image) for image in images], step))

    def log_audio(self, key, audios, step=None, **kwargs):
        self.said.append(("audio", key, [Path(audio).read_bytes() for audio in audios], step))


class Client:
    """What MLflow's client is asked for: the name of the experiment, and to take pictures and files."""

    def __init__(self, said: list[tuple[object, ...]]) -> None:
        self.said = said

    def get_experiment(self, identity):
        return SimpleNamespace(name=f"faces of experiment {identity}")

    def log_image(self, run, image, key, step):
        self.said.append(("image", run, np.asarray(image), key, step))

    def log_artifact(self, run, path, folder):
        self.said.append(("artifact", run, Path(path).name, Path(path).read_bytes(), folder))


class MLflow(MLFlowLogger):
    """The logger without its package, in the same way."""

    experiment_id, run_id = "7", "r1"

    def __init__(self) -> None:
        self.said: list[tuple[object, ...]] = []

    @property
    def experiment(self):
        return Client(self.said)

    def log_metrics(self, metrics, step=None):
        self.said.append(("metrics", metrics, step))

    def log_hyperparams(self, params):
        self.said.append(("hyperparameters", params))


def samples(content: bytes, path: Path) -> np.ndarray:
    path.write_bytes(content)
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels()) == (8000, 1)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767


def test_each_logger_has_its_adapter_and_any_other_the_plain_one(tmp_path):
    kinds = [TensorBoardLogger(tmp_path), CSVLogger(tmp_path), Wandb(tmp_path), MLflow(), Numbers()]
    assert [type(each) for each in logged(kinds)] == [OnTensorBoard, InCSV, OnWandb, OnMLflow, Logged]
    assert [each.pictures for each in logged(kinds)] == [True, True, True, True, False]


def test_any_logger_gets_numbers_and_settings_and_is_told_of_once(caplog):
    logger = Numbers()
    (plain,) = logged([logger])
    plain.layout({"cost": ["invert/cost"]})
    plain.curves({"invert/cost": 1.0}, 5)
    plain.histogram("result/cost", torch.ones(2), 5)
    plain.outcome(SETTINGS, FIGURES, MORE, 7)
    assert logger.said == [
        ("metrics", {"invert/cost": 1.0}, 5),
        ("hyperparameters", SETTINGS | MORE),
        ("metrics", FIGURES, 7),
    ]
    with caplog.at_level(logging.WARNING):
        for again in (plain, *logged([logger])):
            again.picture("a", GREY, 1)
            again.sound("b", TONE, 8000, 1)
    assert [record.message.split(" gets ")[0] for record in caplog.records] == ["Numbers"]


@pytest.mark.parametrize(("name", "pixels"), [("grey", GREY), ("colour", COLOUR)])
def test_csv_keeps_pictures_and_sounds_beside_the_table(tmp_path, name, pixels):
    (adapter,) = logged([CSVLogger(tmp_path, name="runs", version=2)])
    adapter.picture(f"invert/{name}", pixels, 10)
    adapter.sound("audio/s1/found", TONE, 8000, 10)
    folder = tmp_path / "runs" / "version_2"
    assert adapter.folder(tmp_path / "elsewhere") == folder
    np.testing.assert_array_equal(np.asarray(Image.open(folder / f"pictures/invert/{name}_000010.png")), pixels)
    heard = samples((folder / "sounds/audio/s1/found_000010.wav").read_bytes(), tmp_path / "x.wav")
    np.testing.assert_allclose(heard, TONE[0], atol=1 / 32767)


@pytest.mark.parametrize("person", ["../../../out", "..", "a/../../b", "<b>", ""])
def test_no_name_of_a_person_leads_out_of_the_folder(tmp_path, person):
    (adapter,) = logged([CSVLogger(tmp_path / "in", name="", version="run")])
    adapter.sound(f"audio/{person}/found", TONE, 8000, 0)
    (file,) = tmp_path.rglob("*.wav")
    assert file.is_relative_to(tmp_path / "in" / "run" / "sounds" / "audio")


def test_tensorboard_gets_pictures_of_both_kinds_and_sounds(tmp_path):
    logger = TensorBoardLogger(tmp_path, name="", version="run", default_hp_metric=False)
    (adapter,) = logged([logger])
    adapter.picture("grey", GREY, 1)
    adapter.picture("colour", COLOUR, 2)
    adapter.sound("audio/s1", TONE, 8000, 3)
    adapter.outcome(SETTINGS, FIGURES, MORE, 4)
    logger.finalize("success")
    found = EventAccumulator(str(tmp_path / "run"))
    found.Reload()
    assert (found.Images("grey")[0].height, found.Images("colour")[0].step) == (3, 2)
    assert found.Audio("audio/s1")[0].sample_rate == 8000
    assert found.Tags()["scalars"] == ["judge/recognised"]  # controls are no curves


def test_wandb_gets_media_configuration_and_summary(tmp_path):
    logger = Wandb(tmp_path)
    (adapter,) = logged([logger])
    adapter.picture("invert/candidates", COLOUR, 10)
    adapter.sound("audio/s1/found", TONE, 8000, 20)
    adapter.outcome(SETTINGS, FIGURES, MORE, 20)
    (_, key, (image,), step), (_, sound, (heard,), _), *rest = logger.said
    assert (key, step, sound) == ("invert/candidates", 10, "audio/s1/found")
    np.testing.assert_array_equal(image, COLOUR)
    np.testing.assert_allclose(samples(heard, tmp_path / "x.wav"), TONE[0], atol=1 / 32767)
    assert rest == [("hyperparameters", SETTINGS), ("metrics", FIGURES, 20)]
    assert logger.experiment.summary == MORE


def test_mlflow_gets_images_artifacts_parameters_and_metrics_under_names_that_it_allows(tmp_path):
    logger = MLflow()
    (adapter,) = logged([logger])
    adapter.picture("invert/candidates", GREY, 10)
    adapter.sound("audio/Zoë <1>/found", TONE, 8000, 20)
    adapter.outcome(SETTINGS | {"attack/λ": 1}, FIGURES, {"controls/Zoë/ssim": 0.5}, 20)
    (_, _, image, *where), (_, _, file, heard, folder), *rest = logger.said
    assert (where, file, folder) == (["invert/candidates", 10], "found.wav", "audio/Zo_ _1_")
    np.testing.assert_array_equal(image, GREY)
    np.testing.assert_allclose(samples(heard, tmp_path / "x.wav"), TONE[0], atol=1 / 32767)
    assert rest == [
        ("hyperparameters", SETTINGS | {"attack/_": 1}),
        ("metrics", FIGURES | {"controls/Zo_/ssim": 0.5}, 20),
    ]
    assert adapter.folder(tmp_path) == tmp_path / "faces_of_experiment_7" / "r1"


def test_the_folder_of_a_run_is_its_own(tmp_path):
    folders = [each.folder(tmp_path) for each in logged([Numbers(), Numbers("v/1"), Numbers(None), Wandb(tmp_path)])]
    mine = tmp_path / "my_project"
    assert folders == [mine / "version_3", mine / "v_1", None, tmp_path / "faces" / "abc123"]
    assert logged([Numbers(save_dir=str(tmp_path / "x"))])[0].folder(tmp_path) == tmp_path / "x/my_project/version_3"


def test_where_nothing_is_written_no_run_is_begun(tmp_path):
    logger = Wandb(tmp_path)
    with writing_nothing():
        assert logged([logger])[0].folder(tmp_path) == tmp_path / "faces" / "ID_OF_THE_RUN"
        assert logger.version is None
        planned = to_make(MLFlowLogger)("faces of ours", tracking_uri=f"sqlite:///{tmp_path}/runs.db")
        assert logged([planned])[0].folder(tmp_path) == tmp_path / "faces_of_ours" / "ID_OF_THE_RUN"
        assert to_make(CSVLogger) is CSVLogger
    assert to_make(MLFlowLogger) is MLFlowLogger
    assert list(tmp_path.iterdir()) == []


def trainer(folder: Path, logger: Logger | bool) -> InversionTrainer:
    return InversionTrainer(
        accelerator="cpu",
        logger=logger,
        default_root_dir=folder,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def test_the_trainer_writes_where_the_first_logger_says(tmp_path):
    run = trainer(tmp_path, Numbers())
    assert run.run_folder == tmp_path / "my_project" / "version_3"
    assert run.log_dir == str(run.run_folder)
    shared = trainer(tmp_path, Numbers(None, str(tmp_path / "all")))  # runs cannot be told apart: as Lightning says
    assert (shared.run_folder, shared.log_dir) == (None, str(tmp_path / "all"))
    assert (trainer(tmp_path, False).run_folder, trainer(tmp_path, False).log_dir) == (None, str(tmp_path))


# -------------------------------------------------------------------------------- with the packages themselves


def attacked(classifier, run: InversionTrainer) -> Inversion:
    """A short attack with all that the command line adds."""
    from mi_lightning.lightning.callbacks import Dashboard, ResultsWriter

    run.callbacks += [ResultsWriter(), Dashboard(every=1)]
    optimizer = {"optimizer": lambda parameters: torch.optim.SGD(parameters, lr=1.0)}
    model = Inversion(target=WhiteBox(classifier), max_iterations=10, report_every=5, **optimizer)
    run.invert(model)
    return model


@pytest.mark.slow  # the import alone takes seconds
@pytest.mark.filterwarnings("ignore")  # of what mlflow imports
def test_mlflow_has_the_run_and_its_folder_has_the_results(tmp_path, tiny_softmax):
    pytest.importorskip("mlflow", reason="mlflow-skinny is not installed (extra: mlflow)")
    pytest.importorskip("sqlalchemy", reason="sqlalchemy is not installed (extra: mlflow)")
    logger = MLFlowLogger(
        "faces of ours", tracking_uri=f"sqlite:///{tmp_path}/runs.db", artifact_location=str(tmp_path / "artifacts")
    )
    run = trainer(tmp_path / "root", logger)
    attacked(tiny_softmax, run)
    client, key = logger.experiment, logger.run_id
    assert run.run_folder == tmp_path / "root" / "faces_of_ours" / key
    assert len(json.loads((run.run_folder / "results.json").read_text())["per_label"]) == 4
    assert [point.step for point in client.get_metric_history(key, "invert/cost")] == [5, 10]
    found = client.get_run(key).data
    assert found.params["attack/max_iterations"] == "10"
    assert "result/cost_mean" in found.metrics
    images = [path for path in (tmp_path / "artifacts").rglob("*.png") if "candidates" in path.name]
    assert len(images) == 4  # start, two reports, end
    (adapter,) = logged([logger])
    assert isinstance(adapter, OnMLflow)
    adapter.sound("audio/Zoë <1>/found", TONE, 8000, 10)
    assert [path.parent.name for path in (tmp_path / "artifacts").rglob("*.wav")] == ["Zo_ _1_"]
    adapter.curves({"controls/Zoë/ssim": 0.5}, 10)
    assert client.get_run(key).data.metrics["controls/Zo_/ssim"] == 0.5


@pytest.mark.slow  # the import alone takes seconds
@pytest.mark.filterwarnings("ignore")  # of what wandb imports
def test_wandb_offline_has_the_pictures_and_its_folder_has_the_results(tmp_path, tiny_softmax, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="wandb is not installed (extra: wandb)")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_MODE", "offline")
    logger = WandbLogger(project="faces", offline=True, save_dir=tmp_path)
    run = trainer(tmp_path / "root", logger)
    try:
        attacked(tiny_softmax, run)
        assert run.run_folder == tmp_path / "faces" / logger.version
        assert (run.run_folder / "reconstructions.png").is_file()
        (adapter,) = logged([logger])
        adapter.sound("audio/s1/found", TONE, 8000, 10)
        assert logger.experiment.config["attack/max_iterations"] == 10
        assert dict(logger.experiment.summary)["result/iterations_mean"] == 10.0
    finally:
        wandb.finish()
    (media,) = (tmp_path / "wandb").glob("offline-run-*/files/media")
    assert len(list(media.rglob("candidates_*.png"))) == 4
    assert len(list(media.rglob("found_*.wav"))) == 1
