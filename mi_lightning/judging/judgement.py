"""What is said of an attack: numbers of each row, of all people, of controls and of what is to be had at best."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from mi_lightning.attacks.result import InversionResult
from mi_lightning.judging.verdicts import Verdict

#: What the names of shares end with; every other number is a mean.
_HITS = ("_top1", "_top5", "_right", "recognised", "_1_percent", "detected")


@dataclass(frozen=True, repr=False)
class Judgement:
    """What a :class:`~mi_lightning.judging.judge.Judge` says of an attack; what could not be judged is left out.

    Attributes:
        per_row: Numbers of each row of the attack, each of shape (R,): ``confidence`` (the target's, in the label);
            ``evaluator_top1``, ``evaluator_top5`` (1 if the evaluator names the person), ``evaluator_confidence`` (in
            the person), ``identification_top1`` (1 if the person is nearest in the evaluator's feature space);
            ``mse``, ``nrmse``, ``psnr``, ``ssim`` against the mean of the person's training images, and the same with
            ``_best`` against the one training image of the person that is most like the reconstruction. Of the rows
            that the selection ranks first also what the recogniser says
            (:class:`~mi_lightning.judging.outside.Opinion`); NaN in the others.
        summary: Over the best restart of each label: the shares of hits under their own names, and the mean of every
            other number under ``<name>_mean``.
        controls: The same numbers for ``noise`` (uniform over the input range), ``mean_face`` (the mean of all
            training images, the same for everybody) and ``shuffled`` (the reconstructions, each taken for somebody
            else). The evaluator must not do much better than chance on them.
        ceiling: The recogniser's numbers for real samples: what is to be had at best
            (:meth:`~mi_lightning.judging.outside.OutsideJudge.ceiling`).
        chance: What guessing would give for the shares.
        verdicts: What is said of each row (:mod:`mi_lightning.judging.verdicts`).
        recogniser_guess: Whom the recogniser names, shape (R,), int64; -1 for nobody, and in rows that it did not see.
        evaluator_guess: Class that the evaluator names, shape (R,), int64; -1 for a reconstruction that is not finite.
        best_match: Which training image is most like the reconstruction, shape (R,), int64, an index into ``train_x``;
            by SSIM (by MSE where the inputs are no images), -1 if the person has none.
        reference_mean: Mean of the training images of the row's person, shape (R, *input_shape).
        reference_best: The training image ``best_match``, shape (R, *input_shape).
        real: Real speech of the row's speaker, shape (R, 1, samples); None for pictures.
        vocoded: Reconstructions after the vocoder, shape (R, 1, samples); None for pictures.
        class_names: Name of each class, for the guesses.
        description: Who judged: ``evaluator``, ``recogniser``, ``recogniser_missing`` and ``data``, plain values.
    """

    per_row: Mapping[str, Tensor]
    summary: Mapping[str, float]
    controls: Mapping[str, Mapping[str, float]]
    chance: Mapping[str, float]
    ceiling: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    verdicts: tuple[Verdict, ...] = ()
    evaluator_guess: Tensor | None = None
    recogniser_guess: Tensor | None = None
    best_match: Tensor | None = None
    reference_mean: Tensor | None = None
    reference_best: Tensor | None = None
    real: Tensor | None = None
    vocoded: Tensor | None = None
    class_names: tuple[str, ...] = ()
    description: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Give the summary in one line; rows, controls and references are many numbers."""
        return f"Judgement({', '.join(f'{name}={value:.3f}' for name, value in self.summary.items())})"


def best_rows(result: InversionResult) -> Tensor:
    """Indices of the rows that ``result.best()`` keeps, one per label, shape (L,), int64."""
    return result.best_index()  # of big pictures no copy is made


def select_rows(x: Tensor, index: Tensor) -> Tensor:
    """Return ``x[index]``, and ``x`` itself, not a copy, where these are all rows in their order."""
    return x if torch.equal(index, torch.arange(len(x))) else x[index]


def summarise(per_row: Mapping[str, Tensor]) -> dict[str, float]:
    """Means over rows: shares of hits keep their name, other numbers get ``_mean``."""
    titles = {name: name if name.endswith(_HITS) else f"{name}_mean" for name in per_row}
    return {titles[name]: float(value.double().mean()) for name, value in per_row.items()}
