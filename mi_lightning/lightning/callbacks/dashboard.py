"""Shows an attack in the trainer's loggers: what is found while it runs, and how it was judged."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Trainer
from torch import Tensor

from mi_lightning.attacks.findings import Report
from mi_lightning.attacks.result import InversionResult
from mi_lightning.data.base import Modality, modality_of
from mi_lightning.errors import InputError
from mi_lightning.judging.judge import Judge
from mi_lightning.judging.judgement import Judgement, best_rows
from mi_lightning.lightning.callbacks.base import Attacking, InversionCallback, callbacks_of
from mi_lightning.loggers import Logged, logged
from mi_lightning.report.media import media
from mi_lightning.report.sound import sample_rate

#: Curves of an attack that one looks at together, by the title of their chart.
CHARTS = {
    "cost (mean over rows)": ["invert/cost"],
    "confidence of the target in the label (mean over rows)": ["invert/confidence"],
    "rows that still run": ["invert/active_rows"],
}

#: What runs are compared by. Every one of these is a curve of one point in TensorBoard, so they are few.
FIGURES = (
    *("judge/recognised", "judge/accepted_at_1_percent", "judge/evaluator_top1"),
    *("result/cost_mean", "result/confidence_mean", "result/queries_total", "result/seconds"),
)


class Dashboard(InversionCallback):
    """Adds to the curves that every attack logs (``invert/cost``, ``invert/confidence``, ``invert/active_rows``).

    While it runs: the grid of the best candidates so far (``invert/candidates``, one slider over the iterations).
    Voices are shown as spectrograms, and at the end as players (``audio/...``), real speech among them.
    At the end: histograms over rows of iterations, cost and confidence (``result/...``), and in the table of the runs
    the settings, what runs are compared by (:data:`FIGURES`), the judge's other numbers (``judge/...``) and its
    controls (``controls/...``). Each logger of the trainer shows what it can (:mod:`mi_lightning.loggers`).

    Args:
        every: Reports between two grids, at least 1.
        max_pictures: Pictures in a grid at most.
        pictures: Whether pictures and sounds of people are shown; the loggers get numbers alone if not.

    Raises:
        InputError: If a number is below 1.
    """

    def __init__(self, every: int = 10, max_pictures: int = 64, pictures: bool = True) -> None:
        """Check the numbers."""
        if every < 1:
            raise InputError("every >= 1", every, "every")
        if max_pictures < 1:
            raise InputError("max_pictures >= 1", max_pictures, "max_pictures")
        self.every, self.max_pictures, self.pictures = every, max_pictures, pictures
        self._reports = self._iterations = 0

    def on_inversion_start(self, trainer: Trainer, inversion: Attacking) -> None:
        """Show where the attack starts."""
        self._reports = self._iterations = 0
        for logger in _loggers(trainer):
            logger.layout(CHARTS)
            if self.pictures and not logger.pictures:
                logger.note()
        self._show(trainer, inversion)

    def on_report(self, trainer: Trainer, inversion: Attacking, report: Report) -> None:
        """Show the best candidates so far, every few reports."""
        self._reports += 1
        self._iterations = report.part * inversion.attack.max_iterations + report.iteration
        if self._reports % self.every == 0:
            self._show(trainer, inversion)

    def on_inversion_end(self, trainer: Trainer, inversion: Attacking, result: InversionResult) -> None:
        """Show the results and what the judge says of them."""
        loggers = _loggers(trainer)
        if not loggers:
            return
        judge = getattr(trainer, "judge", None)
        judgement = judge.judge(result) if isinstance(judge, Judge) else None
        step = self._iterations
        numbers = {
            "result/cost_mean": float(result.cost.mean()),
            "result/confidence_mean": float(result.confidence.mean()),
            "result/iterations_mean": float(result.iterations.float().mean()),
            "result/queries_total": float(result.queries.sum()),
            "result/seconds": float(result.seconds.sum()),
        }
        if judgement is not None:
            numbers |= {f"judge/{name}": value for name, value in judgement.summary.items()}
            for control, values in judgement.controls.items():
                numbers |= {f"controls/{control}/{name}": value for name, value in values.items()}
        numbers = {name: value for name, value in numbers.items() if math.isfinite(value)}
        figures = {name: numbers.pop(name) for name in FIGURES if name in numbers}
        self._show_pictures(trainer, inversion, result.reconstruction, step)
        self._play(trainer, inversion, result, judgement, step)
        settings = _flat({"attack": inversion.describe(callbacks_of(trainer)), "target": inversion.target.describe()})
        for logger in loggers:
            for name in ("iterations", "cost", "confidence"):
                value = getattr(result, name).float()
                if bool(value.isfinite().any()):  # of rows that all diverged there is nothing to draw
                    logger.histogram(f"result/{name}", value[value.isfinite()], step)
            logger.outcome(settings, figures, numbers, step)

    def _show(self, trainer: Trainer, inversion: Attacking) -> None:
        if self._showing(trainer):
            self._show_pictures(trainer, inversion, inversion.progress().reconstruction, self._iterations)

    def _show_pictures(self, trainer: Trainer, inversion: Attacking, images: Tensor, step: int) -> None:
        shown, loggers = images[: self.max_pictures], self._showing(trainer)
        if not len(shown) or not loggers:
            return
        modality = _modality(inversion, images)
        sheet = media(modality.kind).grid(shown, modality)
        if sheet is None:
            return
        for logger in loggers:
            logger.picture("invert/candidates", sheet, step)

    def _play(
        self, trainer: Trainer, inversion: Attacking, result: InversionResult, judgement: Judgement | None, step: int
    ) -> None:
        """Add players of the best restart of each voice: as found, after the vocoder, and real speech."""
        loggers = self._showing(trainer)
        if not loggers:
            return
        modality = _modality(inversion, result.reconstruction)
        waves = media(modality.kind).players(result, judgement)
        for logger in loggers:
            for row in best_rows(result)[: self.max_pictures].tolist():
                for kind, wave in waves.items():
                    logger.sound(f"audio/{result.name[row]}/{kind}", wave[row], modality.sample_rate or 0, step)

    def _showing(self, trainer: Trainer) -> list[Logged[Any]]:
        """The loggers that show pictures, if they are to."""
        return [logger for logger in _loggers(trainer) if logger.pictures] if self.pictures else []


def _modality(inversion: Attacking, samples: Tensor) -> Modality:
    """What was found: by its shape, and the rate of the space where it is sound."""
    rate = sample_rate(inversion.describe(), None)
    return modality_of(samples.shape[1:], inversion.target.input_range, rate)


def _loggers(trainer: Trainer) -> list[Logged[Any]]:
    """The loggers of the process that logs."""
    return logged(trainer.loggers) if trainer.is_global_zero else []


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
