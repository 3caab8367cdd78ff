"""The loggers that people have, behind one face: curves, pictures, sounds, and what a run was made of and came to.

Parts of this package show what they do through :func:`logged`, and never ask what logger it is. Packages of loggers
that are not there are not imported.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Generic, TypeVar
from weakref import WeakSet

import numpy as np
from lightning.fabric.loggers.logger import Logger as FabricLogger
from lightning.pytorch.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from mi_lightning.audio.files import wav
from mi_lightning.io import nothing_is_written, write_atomically

_log = logging.getLogger(__name__)

_TOLD: WeakSet[Logger] = WeakSet()  # loggers of which it was said that they show no pictures
_TO_COME = "ID_OF_THE_RUN"  # stands for what only a client knows that has begun a run

#: What a setting may be.
Plain = str | int | float | bool
LoggerT = TypeVar("LoggerT", bound=Logger)


class Logged(Generic[LoggerT]):
    """A logger as parts of this package see it.

    This one serves any logger, by what all of Lightning's have in common: it gets the numbers and the settings. What it
    cannot show is said once.

    Args:
        logger: The logger.

    Attributes:
        pictures: Whether it shows pictures and plays sounds; making them for nobody is left out.
    """

    pictures = False

    def __init__(self, logger: LoggerT) -> None:
        """Keep the logger; nothing is asked of it yet."""
        self.logger = logger

    def folder(self, root: Path) -> Path | None:
        """The folder that is this run's own; None if the logger does not tell its runs apart by a version.

        To be asked for on the process that logs.

        Args:
            root: Where folders lie of loggers that have none on this machine.
        """
        name, version = str(self.logger.name or "lightning_logs"), self.logger.version
        if version is None:
            return None
        numbered = f"version_{version}" if isinstance(version, int) else version
        return Path(self.logger.save_dir or root, _plain(name), _plain(numbered))

    def layout(self, charts: Mapping[str, list[str]]) -> None:
        """Say which curves belong together, by the title of each chart, where a logger can be told."""

    def curves(self, numbers: Mapping[str, float], step: int) -> None:
        """Add one point to each of some curves."""
        self.logger.log_metrics(dict(numbers), step=step)

    def picture(self, name: str, pixels: NDArray[np.uint8], step: int) -> None:
        """Show a picture.

        Args:
            name: What it shows; parts of it are joined by slashes.
            pixels: Shape (H, W) or (H, W, 3).
            step: When.
        """
        self.note()

    def sound(self, name: str, wave: Tensor, rate: int, step: int) -> None:
        """Offer a sound to be played.

        Args:
            name: What it is; parts of it are joined by slashes.
            wave: Shape (1, samples), full scale at 1.
            rate: Samples in a second.
            step: When.
        """
        self.note()

    def histogram(self, name: str, values: Tensor, step: int) -> None:
        """Show how values are spread, where a logger can; shape (N,), N >= 1, all finite."""

    def outcome(
        self, settings: Mapping[str, Plain], figures: Mapping[str, float], more: Mapping[str, float], step: int
    ) -> None:
        """Say what a run was made of and what it came to.

        Args:
            settings: Hyperparameters, on one level.
            figures: Numbers that runs are compared by.
            more: Other numbers that have one value a run: they stand in the table of the runs and are no curves.
            step: When.
        """
        self.logger.log_hyperparams({**settings, **more})
        self.curves(figures, step)

    def note(self) -> None:
        """Say once for each logger that it shows no pictures and plays no sounds."""
        if self.logger not in _TOLD:
            _TOLD.add(self.logger)
            kind = type(self.logger).__name__
            _log.warning("%s gets curves and settings; pictures and sounds are in the files of the run", kind)


class OnTensorBoard(Logged[TensorBoardLogger]):
    """Event files: curves, a slider over pictures, players, histograms, the table of hyperparameters."""

    pictures = True

    def folder(self, root: Path) -> Path:
        """The logger's own."""
        return Path(self.logger.log_dir)

    def layout(self, charts: Mapping[str, list[str]]) -> None:
        """As custom scalars: one chart for each title."""
        lines = {title: ["Multiline", tags] for title, tags in charts.items()}
        self.logger.experiment.add_custom_scalars({"attack": lines})

    def picture(self, name: str, pixels: NDArray[np.uint8], step: int) -> None:
        """On the slider of that name."""
        self.logger.experiment.add_image(name, pixels, step, dataformats="HWC" if pixels.ndim == 3 else "HW")

    def sound(self, name: str, wave: Tensor, rate: int, step: int) -> None:
        """As a player."""
        self.logger.experiment.add_audio(name, wave, step, rate)

    def histogram(self, name: str, values: Tensor, step: int) -> None:
        """As a histogram."""
        self.logger.experiment.add_histogram(name, values, step)

    def outcome(
        self, settings: Mapping[str, Plain], figures: Mapping[str, float], more: Mapping[str, float], step: int
    ) -> None:
        """In the table of hyperparameters, of which ``figures`` are the metrics.

        A metric there is a curve as well, of one point. So ``more`` are columns beside the settings, which are not.
        They go into the run's own folder: ``SummaryWriter.add_hparams`` would make a second run of them.
        """
        self.logger.log_hyperparams({**settings, **more}, dict(figures), step)


class InCSV(Logged[CSVLogger]):
    """``metrics.csv`` and ``hparams.yaml``; pictures (PNG) and sounds (WAV) in folders beside them."""

    pictures = True

    def folder(self, root: Path) -> Path:
        """The logger's own."""
        return Path(self.logger.log_dir)

    def picture(self, name: str, pixels: NDArray[np.uint8], step: int) -> None:
        """``pictures/<name>_<step>.png``."""
        picture, path = Image.fromarray(pixels), self._file("pictures", name, step, "png")
        write_atomically(path, lambda file: picture.save(file, "PNG", optimize=True))

    def sound(self, name: str, wave: Tensor, rate: int, step: int) -> None:
        """``sounds/<name>_<step>.wav``."""
        write_atomically(self._file("sounds", name, step, "wav"), wav(wave, rate))

    def _file(self, kind: str, name: str, step: int, ending: str) -> Path:
        *folders, last = map(_plain, name.split("/"))
        return Path(self.logger.log_dir, kind, *folders, f"{last}_{step:06d}.{ending}")


class OnWandb(Logged[WandbLogger]):
    """Weights & Biases, on its servers or offline: media, histograms, configuration and summary of the run."""

    pictures = True

    def folder(self, root: Path) -> Path | None:
        """``<save_dir>/<project>/<id of the run>``: beside its own ``wandb``, which only its client writes."""
        if nothing_is_written():  # to ask for the run is to begin it, on the servers, too
            identity = self.logger.version or _TO_COME
            return Path(self.logger.save_dir or root, _plain(str(self.logger.name or "lightning_logs")), identity)
        self.logger.experiment  # noqa: B018  # the run has no id before
        return super().folder(root)

    def picture(self, name: str, pixels: NDArray[np.uint8], step: int) -> None:
        """As an image."""
        self.logger.log_image(name, [Image.fromarray(pixels)], step)

    def sound(self, name: str, wave: Tensor, rate: int, step: int) -> None:
        """As a WAV file: an array would need soundfile."""
        with _sound_file(name, wave, rate) as path:
            self.logger.log_audio(name, [str(path)], step)

    def histogram(self, name: str, values: Tensor, step: int) -> None:
        """As a histogram of 32 bins."""
        client = import_module("wandb")  # it is there, or the logger would not be
        self.logger.log_metrics({name: client.Histogram(np_histogram=np.histogram(values.numpy(), bins=32))}, step)

    def outcome(
        self, settings: Mapping[str, Plain], figures: Mapping[str, float], more: Mapping[str, float], step: int
    ) -> None:
        """Configuration and summary, which are the columns of its table of runs."""
        self.logger.log_hyperparams(dict(settings))
        self.curves(figures, step)
        self.logger.experiment.summary.update(dict(more))


class OnMLflow(Logged[MLFlowLogger]):
    """MLflow, a server or a file of its own: images by step, sounds as artifacts, parameters and metrics."""

    pictures = True

    def folder(self, root: Path) -> Path | None:
        """``<root>/<name of the experiment>/<id of the run>``: what lies in its own store only its client writes."""
        if nothing_is_written():  # to ask for the run or its experiment is to begin it, on the server, too
            return Path(root, _plain(str(vars(self.logger).get("_experiment_name"))), _TO_COME)
        client, identity = self.logger.experiment, self.logger.experiment_id
        name = client.get_experiment(identity).name
        return Path(root, _plain(str(name)), _plain(str(self.logger.run_id)))

    def picture(self, name: str, pixels: NDArray[np.uint8], step: int) -> None:
        """As an image of that key and step."""
        self.logger.experiment.log_image(self.logger.run_id, Image.fromarray(pixels), key=_key(name), step=step)

    def sound(self, name: str, wave: Tensor, rate: int, step: int) -> None:
        """As an artifact."""
        with _sound_file(name, wave, rate) as path:
            self.logger.experiment.log_artifact(self.logger.run_id, str(path), _key(name).rpartition("/")[0] or None)

    def outcome(
        self, settings: Mapping[str, Plain], figures: Mapping[str, float], more: Mapping[str, float], step: int
    ) -> None:
        """Parameters, and metrics, all of which are columns of its table of runs."""
        self.logger.log_hyperparams({_key(name): value for name, value in settings.items()})
        self.curves({**figures, **more}, step)

    def curves(self, numbers: Mapping[str, float], step: int) -> None:
        """Under names that it allows."""
        self.logger.log_metrics({_key(name): value for name, value in numbers.items()}, step=step)


class MLflowToCome(MLFlowLogger):
    """MLflow's logger of a run that is not begun: its client makes a database, or asks a server, when it is made."""

    def __init__(self, experiment_name: str = "lightning_logs", **settings: Any) -> None:
        """Keep the name of the experiment."""
        Logger.__init__(self)
        self._experiment_name, self._tracking_uri = experiment_name, str(settings.get("tracking_uri"))


def to_make(kind: type) -> type:
    """The class of which a part is made: where nothing is written, no logger that writes when it is made."""
    return MLflowToCome if nothing_is_written() and issubclass(kind, MLFlowLogger) else kind


#: What serves which logger; the first that fits.
_ADAPTERS: tuple[tuple[type[Logger], type[Logged[Any]]], ...] = (
    (TensorBoardLogger, OnTensorBoard),
    (CSVLogger, InCSV),
    (WandbLogger, OnWandb),
    (MLFlowLogger, OnMLflow),
    (Logger, Logged),
)


def logged(loggers: Iterable[FabricLogger]) -> list[Logged[Any]]:
    """Return each logger behind the one face.

    Args:
        loggers: Those of a trainer, on the process that logs. Those of Fabric alone are left out.
    """
    trainers = [logger for logger in loggers if isinstance(logger, Logger)]
    return [next(make for kind, make in _ADAPTERS if isinstance(logger, kind))(logger) for logger in trainers]


def _plain(name: str) -> str:
    """A name as one part of a path.

    Example:
        >>> _plain("../a b"), _plain(".."), _plain("s1")
        ('_a_b', '_', 's1')
    """
    return re.sub(r"[^\w.-]+", "_", name).lstrip(".") or "_"


def _key(name: str) -> str:
    """A name as MLflow allows it.

    Example:
        >>> _key("audio/Zoë (1)/found")
        'audio/Zo_ _1_/found'
    """
    return "/".join(re.sub(r"[^A-Za-z0-9_. -]", "_", part).strip(".") or "_" for part in name.split("/"))


@contextmanager
def _sound_file(name: str, wave: Tensor, rate: int) -> Iterator[Path]:
    """A sound as a file for as long as a client copies it."""
    with TemporaryDirectory() as folder:
        path = Path(folder, f"{_plain(name.rpartition('/')[2])}.wav")
        path.write_bytes(wav(wave, rate))
        yield path
