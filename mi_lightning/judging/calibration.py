"""What is left of a classifier's use behind its defenses: accuracy and calibration of the released confidences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mi_lightning.errors import InputError
from mi_lightning.stats import bootstrap_interval, share_interval
from mi_lightning.targets.base import Target

BINS = 15


_BATCH = 256  # samples in a query, ...
_VALUES = 2**22  # ... fewer of larger ones: values in all of them


def calibration_error(
    confidence: NDArray[np.float64], correct: NDArray[np.float64], *, bins: int = BINS
) -> NDArray[np.float64]:
    """Expected calibration error: the mean gap between confidence and accuracy over bins of equal width.

    sum over the bins of (samples in the bin / samples) * |accuracy in the bin - mean confidence in the bin|, the l1
    form of Guo, Pleiss, Sun, Weinberger (ICML 2017), equation 3. Bins are closed below, and 1 belongs to the last one.

    Args:
        confidence: Greatest released confidence of each sample, shape (..., N), in [0, 1].
        correct: 1 where its class is right, else 0, same shape.
        bins: Bins of [0, 1].

    Returns:
        Shape (...): one number for each line of samples.

    Example:
        >>> float(calibration_error(np.array([0.75, 0.75]), np.array([1.0, 0.0])))
        0.25
    """
    if bins < 1:
        raise InputError("bins >= 1", bins, "bins")
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gap = (correct - confidence).astype(np.float64)
    lines = gap.reshape(-1, gap.shape[-1])
    # one histogram over (line, bin): a bin's share times its gap is the sum of its samples' gaps over all samples
    where = place.reshape(lines.shape) + bins * np.arange(len(lines))[:, None]
    sums = np.bincount(where.ravel(), lines.ravel(), minlength=bins * len(lines)).reshape(len(lines), bins)
    error: NDArray[np.float64] = (np.abs(sums).sum(1) / gap.shape[-1]).reshape(gap.shape[:-1])
    return error


@dataclass(frozen=True)
class Utility:
    """What a target released for photographs whose person is known.

    Attributes:
        confidence: Greatest released confidence, shape (P, N): P passes over N photographs.
        correct: 1 where its class is right, else 0, shape (P, N). Of equal confidences the first class counts.
    """

    confidence: NDArray[np.float64]
    correct: NDArray[np.float64]

    @property
    def per_photograph(self) -> NDArray[np.float64]:
        """Share of the passes in which a photograph is classified right, shape (N,)."""
        share: NDArray[np.float64] = self.correct.mean(0)
        return share

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return float(self.correct.mean())

    @property
    def calibration_error(self) -> float:
        """Expected calibration error over all answers of all passes."""
        return float(calibration_error(self.confidence.ravel(), self.correct.ravel()))

    def accuracy_interval(self, *, seed: int = 0) -> tuple[float, float]:
        """95% bootstrap interval of the accuracy over photographs."""
        return share_interval(self.per_photograph, seed=seed)

    def calibration_interval(self, *, seed: int = 0) -> tuple[float, float]:
        """95% bootstrap interval of the calibration error over photographs, with all their passes."""

        def statistic(index: NDArray[np.int64]) -> NDArray[np.float64]:
            drawn = (values[:, line].reshape(-1) for line in index for values in (self.confidence, self.correct))
            return np.array([calibration_error(c, y) for c, y in zip(drawn, drawn, strict=True)])

        return bootstrap_interval(statistic, self.confidence.shape[1], draws=500, seed=seed)


@torch.no_grad()
def measure_utility(target: Target, x: Tensor, y: Tensor, *, passes: int = 20) -> Utility:
    """Ask a target for photographs whose person is known.

    A target that answers the same question twice in the same way is asked once; one that does not, because of a random
    defense, ``passes`` times. Random defenses draw from the start again, so that the outcome does not depend on what
    was asked before.

    Args:
        target: Target behind its defenses.
        x: Photographs, shape (N, *input_shape), N >= 1.
        y: Who is on them, shape (N,), int64.
        passes: Passes over the photographs where the answers are random.

    Raises:
        InputError: If there is no photograph, or no pass.
    """
    if not len(x):
        raise InputError("one or more photographs", 0, "x")
    if passes < 1:
        raise InputError("passes >= 1", passes, "passes")
    target.restart()
    answers = [_ask(target, x)]
    while len(answers) < passes:
        answers.append(_ask(target, x))
        if len(answers) == 2 and torch.equal(*answers):
            answers.pop()
            break
    released = torch.stack(answers)
    right = released.argmax(2) == y.cpu()  # of equals the first, as `max` does not promise
    return Utility(released.amax(2).double().numpy(), right.double().numpy())


def _ask(target: Target, x: Tensor) -> Tensor:
    """Released confidences, shape (N, C), on the CPU."""
    size = max(1, min(_BATCH, _VALUES // max(1, x[:1].numel())))
    return torch.cat([target.confidences(part).float().cpu() for part in x.split(size)])
