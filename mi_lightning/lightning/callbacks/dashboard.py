"""Shows an attack in TensorBoard: what is found while it runs, and how it was judged."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

from mi_lightning.attacks.findings import Report
from mi_lightning.attacks.result import InversionResult
from mi_lightning.data.base import Modality, modality_of
from mi_lightning.errors import InputError
from mi_lightning.judging.judge import Judge
from mi_lightning.judging.judgement import Judgement, best_rows
from mi_lightning.lightning.callbacks.base import Attacking, InversionCallback, callbacks_of
from mi_lightning.report.media import media
from mi_lightning.report.sound import sample_rate


class Dashboard(InversionCallback):
    """Adds to the curves that every attack logs (``invert/cost``, ``invert/confidence``, ``invert/active_rows``).

    While it runs: the grid of the best candidates so far (``invert/candidates``, one slider over the iterations).
    Voices are shown as spectrograms, and at the end as players (``audio/...``), real speech among them.
    At the end: histograms over rows of iterations, cost and confidence (``result/...``), the judge's numbers
    (``judge/...``) and its controls (``controls/...``), and the hyperparameters with the final metrics. Does nothing
    where the trainer has no TensorBoard logger.

    Args:
        every: Reports between two grids, at least 1.
        max_pictures: Pictures in a grid at most.

    Raises:
        InputError: If a number is below 1.
    """

    def __init__(self, every: int = 10, max_pictures: int = 64) -> None:
        """Check the numbers."""
        if every < 1:
            raise InputError("every >= 1", every, "every")
        if max_pictures < 1:
            raise InputError("max_pictures >= 1", max_pictures, "max_pictures")
        self.every, self.max_pictures = every, max_pictures
        self._reports = self._iterations = 0

    def on_inversion_start(self, trainer: Trainer, inversion: Attacking) -> None:
        """Show where the attack starts."""
        self._reports = self._iterations = 0
        self._show(trainer, inversion)

    def on_report(self, trainer: Trainer, inversion: Attacking, report: Report) -> None:
        """Show the best candidates so far, every few reports."""
        self._reports += 1
        self._iterations = report.part * inversion.attack.max_iterations + report.iteration
        if self._reports % self.every == 0:
            self._show(trainer, inversion)

    def on_inversion_end(self, trainer: Trainer, inversion: Attacking, result: InversionResult) -> None:
        """Show the results and what the judge says of them."""
        loggers = _tensorboards(trainer)
        if not loggers:
            return
        judge = getattr(trainer, "judge", None)
        judgement = judge.judge(result) if isinstance(judge, Judge) else None
        step = self._iterations
        final = {
            "result/cost_mean": float(result.cost.mean()),
            "result/confidence_mean": float(result.confidence.mean()),
            "result/iterations_mean": float(result.iterations.float().mean()),
            "result/queries_total": float(result.queries.sum()),
            "result/seconds": float(result.seconds.sum()),
        }
        scalars: dict[str, float] = {}
        if judgement is not None:
            final |= {f"judge/{name}": value for name, value in judgement.summary.items()}
            for control, numbers in judgement.controls.items():
                scalars |= {f"controls/{control}/{name}": value for name, value in numbers.items()}
        self._show_pictures(trainer, inversion, result.reconstruction, step)
        self._play(trainer, inversion, result, judgement, step)
        parameters = _flat({"attack": inversion.describe(callbacks_of(trainer)), "target": inversion.target.describe()})
        for logger in loggers:
            writer = logger.experiment
            for name in ("iterations", "cost", "confidence"):
                value = getattr(result, name).float()
                if bool(value.isfinite().any()):  # of rows that all diverged there is nothing to draw
                    writer.add_histogram(f"result/{name}", value[value.isfinite()], step)
            for name, number in scalars.items():
                writer.add_scalar(name, number, step)
            # the judge's numbers and the hyperparameters into the run's own folder: SummaryWriter.add_hparams would
            # make a second run of them
            logger.log_hyperparams(parameters, {k: v for k, v in final.items() if math.isfinite(v)}, step)

    def _show(self, trainer: Trainer, inversion: Attacking) -> None:
        if _tensorboards(trainer):
            self._show_pictures(trainer, inversion, inversion.progress().reconstruction, self._iterations)

    def _show_pictures(self, trainer: Trainer, inversion: Attacking, images: Tensor, step: int) -> None:
        shown = images[: self.max_pictures]
        if not len(shown):
            return
        modality = _modality(inversion, images)
        sheet = media(modality.kind).grid(shown, modality)
        if sheet is None:
            return
        for logger in _tensorboards(trainer):
            logger.experiment.add_image(
                "invert/candidates", sheet, step, dataformats="HWC" if sheet.ndim == 3 else "HW"
            )

    def _play(
        self, trainer: Trainer, inversion: Attacking, result: InversionResult, judgement: Judgement | None, step: int
    ) -> None:
        """Add players of the best restart of each voice: as found, after the vocoder, and real speech."""
        modality = _modality(inversion, result.reconstruction)
        waves = media(modality.kind).players(result, judgement)
        for logger in _tensorboards(trainer):
            for row in best_rows(result)[: self.max_pictures].tolist():
                for kind, wave in waves.items():
                    logger.experiment.add_audio(
                        f"audio/{result.name[row]}/{kind}", wave[row], step, modality.sample_rate or 0
                    )


def _modality(inversion: Attacking, samples: Tensor) -> Modality:
    """What was found: by its shape, and the rate of the space where it is sound."""
    rate = sample_rate(inversion.describe(), None)
    return modality_of(samples.shape[1:], inversion.target.input_range, rate)


def _tensorboards(trainer: Trainer) -> list[TensorBoardLogger]:
    """The TensorBoard loggers of the process that logs."""
    if not trainer.is_global_zero:
        return []
    return [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str | int | float | bool]:
    """Nested settings as one level of plain values, names joined by a slash.

    Example:
        >>> _flat({"attack": {"alpha": 10, "beta": None}})
        {'attack/alpha': 10, 'attack/beta': 'None'}
    """
    flat: dict[str, str | int | float | bool] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}/")
        else:
            flat[f"{prefix}{name}"] = value if isinstance(value, str | int | float | bool) else str(value)
    return flat
