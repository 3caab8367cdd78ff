"""Writes what an attack found into its run folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from lightning.pytorch import Trainer

from mi_lightning.attacks.findings import Report
from mi_lightning.attacks.result import InversionResult
from mi_lightning.data.base import modality_of
from mi_lightning.errors import MIError
from mi_lightning.io import ensure_writable
from mi_lightning.judging.judge import Judge
from mi_lightning.judging.judgement import Judgement, best_rows
from mi_lightning.judging.sanity import Sanity
from mi_lightning.lightning.callbacks.base import Attacking, InversionCallback, callbacks_of
from mi_lightning.memory import is_out_of_memory
from mi_lightning.report import write_part, write_results
from mi_lightning.report.media import media
from mi_lightning.report.pictures import Pixels

FRAMES = 16  # snapshots of what has been found so far, of which a report shows some

#: Folder of what the parts of an attack that are over have found, until all of it is written.
PARTIAL = "partial"


class ResultsWriter(InversionCallback):
    """Write ``results.json``, ``per_label.csv``, ``reconstructions.npz`` and ``.png`` when an attack ends.

    Also when it was interrupted: what was found until then is written. Of an attack that runs in parts (all rows do not
    fit in memory) each part that is over is kept in ``partial/``, arrays as in ``reconstructions.npz``, until all is
    written: also who is killed keeps it. If the trainer has a judge
    (``InversionTrainer.invert`` with references or an evaluator), the files hold its metrics and controls.

    Args:
        folder: Where to; the run folder of the trainer's logger if None.
    """

    def __init__(self, folder: str | None = None) -> None:
        """Keep the folder; nothing is touched yet."""
        self.folder = folder
        self._frames: list[tuple[int, list[int], Pixels]] = []
        self._stride = self._seen = 1

    def setup(self, trainer: Trainer, pl_module: object, stage: str) -> None:
        """See that the folder can be written, before any work is done.

        Raises:
            InputError: If it cannot.
        """
        folder = self._folder(trainer)
        if trainer.is_global_zero:
            ensure_writable(folder, "default_root_dir" if self.folder is None else "folder")

    def on_inversion_start(self, trainer: Trainer, inversion: Attacking) -> None:
        """Begin a new timeline."""
        self._frames, self._stride, self._seen = [], 1, 0
        self._home = self._folder(trainer)  # asked for by all processes together, which end their parts one by one
        self._keep(trainer, inversion, 0)

    def on_report(self, trainer: Trainer, inversion: Attacking, report: Report) -> None:
        """Keep what has been found so far, as it looks: at most :data:`FRAMES` times, evenly over the iterations.

        Of an attack that runs in parts or on several devices nothing is kept: nowhere is everybody there at once.
        """
        self._seen += 1
        if self._seen % self._stride == 0:
            self._keep(trainer, inversion, report.iteration)

    def on_part_end(self, trainer: Trainer, inversion: Attacking, number: int, result: InversionResult) -> None:
        """Keep what a part has found, on its process."""
        write_part(self._home / PARTIAL / f"process_{trainer.global_rank}_part_{number:04d}.npz", result)

    def _keep(self, trainer: Trainer, inversion: Attacking, iteration: int) -> None:
        if trainer.world_size > 1 or inversion.engine.parts > 1:
            return
        found, target = inversion.progress(), inversion.target
        modality = modality_of(target.input_shape, target.input_range)
        if modality.kind != "picture" or tuple(found.reconstruction.shape[1:]) != modality.shape:
            return
        shown = media(modality.kind).pixels(found.reconstruction[best_rows(found)], modality)
        if shown is None:
            return
        self._frames.append((iteration, found.label[best_rows(found)].tolist(), shown))
        if len(self._frames) > FRAMES:
            self._frames, self._stride = self._frames[::2], self._stride * 2

    def _timeline(self) -> tuple[list[int], list[Pixels]] | None:
        """Iterations and pictures of the frames, people in rising order of labels; None if there are fewer than two."""
        frames = [(iteration, shown[np.argsort(labels, kind="stable")]) for iteration, labels, shown in self._frames]
        frames = [frame for frame in frames if len(frame[1]) == len(frames[-1][1])]
        return None if len(frames) < 2 else ([at for at, _ in frames], [shown for _, shown in frames])

    def on_inversion_end(self, trainer: Trainer, inversion: Attacking, result: InversionResult) -> None:
        """Judge and write, on one process.

        Raises:
            MIError: If judging takes more memory than there is; what was found is written all the same, not judged.
        """
        folder = self._folder(trainer)
        if not trainer.is_global_zero:
            return
        judge, verification = getattr(trainer, "judge", None), getattr(trainer, "verification", None)
        target, short = inversion.target, False
        judgement: Judgement | None = None
        try:
            judgement = judge.judge(result) if isinstance(judge, Judge) else None
        except (RuntimeError, MemoryError) as error:
            short = is_out_of_memory(error)
            if not short:
                raise
        write_results(
            folder,
            result,
            judgement,
            target=target.describe(),
            attack=inversion.describe(callbacks_of(trainer)),
            input_range=target.input_range,
            timeline=self._timeline(),
            verification=verification.describe() if isinstance(verification, Sanity) else None,
        )
        shutil.rmtree(folder / PARTIAL, ignore_errors=True)
        if short:
            raise MIError(f"judging takes more memory than there is: what was found is in {folder}, not judged")

    def _folder(self, trainer: Trainer) -> Path:
        """The folder. To be asked for on every process: the trainer broadcasts its own."""
        folder = trainer.log_dir
        return Path(self.folder if self.folder is not None else folder or trainer.default_root_dir)
