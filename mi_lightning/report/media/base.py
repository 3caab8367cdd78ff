"""How samples are shown, whatever they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from torch import Tensor

from mi_lightning.attacks.result import InversionResult
from mi_lightning.data.base import Kind, Modality
from mi_lightning.judging.judgement import Judgement
from mi_lightning.report import pictures


@dataclass(frozen=True)
class Found:
    """What a run found, and what was said of it.

    Attributes:
        result: What the attack found.
        judgement: What the judge said of it, if there was one.
        chosen: Row of the best restart of each label, shape (L,), int64.
        modality: What was found.
    """

    result: InversionResult
    judgement: Judgement | None
    chosen: Tensor
    modality: Modality


class Media:
    """How samples of one kind are shown: on the page, in the files of a run, in the terminal and in TensorBoard.

    This one serves samples that can neither be looked at nor listened to, and is the base of the others. Where a method
    takes a :class:`~mi_lightning.data.base.Modality`, it is that of the samples, of this kind.

    Attributes:
        kind: Kind of the samples.
        unseen: What the evaluator was tested on.
        measures: Numbers of a summary that samples of other kinds do not have.
        terminal: Numbers in the terminal's table.
        caption: What they mean, below it.
        controls: Name of each control; of those that are not here the key itself.
        controls_short: The same for the terminal.
    """

    kind: Kind = "other"
    unseen = "photographs"
    measures: tuple[str, ...] = ("ssim_mean", "ssim_best_mean", "nrmse_mean", "psnr_mean")
    terminal: tuple[str, ...] = (
        *("recognised_interval", "ceiling", "chance", "accepted_at_1_percent", "fools_model_only"),
        *("evaluator_top1", "seconds"),
    )
    caption = (
        "recognised: named first by a recogniser that never met these people (95% interval);\n"
        "ceiling: the mean of the person's photographs; let in: where 1% of impostors get in;\n"
        "fools: only the target or an inside evaluator (inside) name the person"
    )
    controls: Mapping[str, str] = {
        "noise": "noise images",
        "mean_face": "mean of all faces",
        "shuffled": "shuffled labels",
        "untrained": "untrained target",
        "without_person": "target trained without the person",
        "prior_alone": "prior alone",
    }
    controls_short: Mapping[str, str] = {"mean_face": "mean face", "without_person": "without"}

    def control(self, key: str, *, short: bool = False) -> str:
        """Name of a control."""
        return (self.controls_short if short else self.controls).get(key, key)

    def pixels(self, samples: Tensor, modality: Modality) -> pictures.Pixels | None:
        """How samples look, shape (N, H, W) or (N, H, W, 3); None if that cannot be shown.

        Args:
            samples: Shape (N, *input_shape), N >= 1; values that are not finite may be among them.
            modality: What they are.
        """
        return None

    def grid(self, samples: Tensor, modality: Modality) -> pictures.Pixels | None:
        """Samples side by side as one picture, shape (H, W) or (H, W, 3); None if there is nothing to show.

        Args:
            samples: Shape (N, *input_shape).
            modality: What they are.
        """
        shown = self.pixels(samples, modality) if len(samples) else None
        return None if shown is None else pictures.grid(shown)

    def thumbnails(self, samples: Tensor, modality: Modality) -> pictures.Pixels | None:
        """How samples look in a figure of hundreds, as :meth:`pixels`; None if such a figure says it in words."""
        return None

    def faint(self, samples: Tensor, modality: Modality) -> bool:
        """Whether samples, shape (N, *input_shape), show little unless their contrast is stretched."""
        return False

    def players(self, result: InversionResult, judgement: Judgement | None) -> dict[str, Tensor]:
        """What can be listened to of each row, by name, shape (R, 1, samples), all values within full scale."""
        return {}

    def arrays(self, judgement: Judgement, modality: Modality) -> dict[str, NDArray[Any]]:
        """What is kept of a judgement for reports, so that they need no data again: one line a row."""
        found = {name: getattr(judgement, name) for name in ("reference_mean", "reference_best")}
        return {name: self.kept(value, modality) for name, value in found.items() if value is not None}

    def kept(self, references: Tensor, modality: Modality) -> NDArray[Any]:
        """Real samples of each row's person as they are kept."""
        array: NDArray[Any] = references.numpy()
        return array

    def files(self, found: Found) -> dict[str, bytes]:
        """Files of a run to look at or listen to, by their path in its folder.

        Args:
            found: What is shown.
        """
        return {}

    def sheet(self, found: Found, references: Tensor | None = None) -> bytes | None:
        """The contact sheet, a PNG file: what was found of each person beside what is known; None if none can be drawn.

        Args:
            found: What is shown.
            references: What each of these people is like, shape (L, *input_shape); as the judge says if None.
        """
        return None

    def introduce(
        self, card: dict[str, Any], arrays: Mapping[str, NDArray[Any]], index: int, modality: Modality
    ) -> None:
        """Put what the person is really like onto the person's card.

        Args:
            card: ``mean`` (a picture) and ``voice`` (a player); None where there is none yet.
            arrays: Content of ``reconstructions.npz``.
            index: Row in it.
            modality: What the run reconstructs.
        """

    def cell(self, arrays: Mapping[str, NDArray[Any]], index: int, modality: Modality) -> dict[str, Any]:
        """What a cell of the page shows: ``picture``, ``closest``, ``stretch``, or ``sounds``; and ``film``."""
        return {}
