"""What a target that only answers says: whether it can be an answer at all, and what is released of it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from mi_lightning.errors import InputError
from mi_lightning.targets.base import TargetError, renormalise
from mi_lightning.targets.outputs import what_is_wrong

_EXACT = 1e-5  # sums that are this close to 1 differ by floating point alone
_MOST_DECIMALS = 5  # beyond, float32 cannot tell a number of few decimals from any other


def confidences_of(said: Tensor, x: Tensor, num_classes: int, tolerance: float) -> Tensor:
    """Return what a target said about ``x``, checked, in the precision of ``x``, shape (N, C).

    Answers that were rounded to a few decimals, d of them for all inputs of a batch, sum to 1 as well as rounding lets
    them: each number may be up to 0.5 * 10^-d off. Rows that are off by more than floating point explains are divided
    by their sum.

    Args:
        said: What the target said, on the device of ``x``.
        x: What it was asked about, shape (N, ...).
        num_classes: Number of classes, C.
        tolerance: How far the sum of a row that is not rounded may be from 1.

    Raises:
        TargetError: If it is no confidence.
    """
    if tuple(said.shape) != (len(x), num_classes):
        raise TargetError(f"expected confidences of shape ({len(x)}, {num_classes}), got {tuple(said.shape)}")
    precise = said if said.dtype in (torch.float32, torch.float64) else said.float()
    # NaN spreads through least and greatest and fails every comparison; one look at the device at all three
    total = precise.sum(1)
    least, low, high = torch.stack((precise.amin(), *total.aminmax())).tolist()
    if not (least >= 0 and low >= 1 - tolerance and high <= 1 + tolerance):
        good = good_rows(precise.double(), tolerance)
        if not bool(good.all()):
            row = int((~good).nonzero()[0, 0])
            raise TargetError(f"expected {what_is_wrong(precise[row])} in row {row} of {len(x)}")
    if low < 1 - _EXACT or high > 1 + _EXACT:
        off = ((total - 1).abs() > _EXACT)[:, None]  # the others stay as they are, to the bit
        precise = torch.where(off, renormalise(precise), precise)
    return precise.to(x.dtype)


def certainties_of(said: Tensor, x: Tensor, num_classes: int) -> Tensor:
    """Return confidence 1 in each label that a target said and 0 in all others, in the precision of ``x``, (N, C).

    Args:
        said: Class indices, shape (N,), of any integer type, on the device of ``x``.
        x: What the target was asked about, shape (N, ...).
        num_classes: Number of classes, C.

    Raises:
        TargetError: If these are no labels.
    """
    if tuple(said.shape) != (len(x),) or said.is_floating_point() or said.is_complex():
        raise TargetError(f"expected {len(x)} class indices, got {said.dtype} of shape {tuple(said.shape)}")
    wrong = (said < 0) | (said >= num_classes)
    if bool(wrong.any()):
        row = int(wrong.nonzero()[0, 0])
        raise TargetError(
            f"expected class indices among 0-{num_classes - 1}, got {int(said[row])} in row {row} of {len(x)}"
        )
    return functional.one_hot(said.long(), num_classes).to(x.dtype)


def checked_tolerance(tolerance: float) -> float:
    """Return a tolerance, which is at least 0."""
    if not tolerance >= 0:
        raise InputError("tolerance >= 0", tolerance, "tolerance")
    return tolerance


def good_rows(said: Tensor, tolerance: float) -> Tensor:
    """Which rows, shape (N, C), are confidences but for what tolerance and rounding allow, shape (N,)."""
    slack = _rounding_error(said)
    # the true confidences lie within the rounding error of what is seen, and are not negative
    low, high = (said - slack).clamp_min(0).sum(1), said.sum(1) + slack * said.shape[1]
    close = (said.sum(1) - 1).abs() <= tolerance
    # NaN and infinity fail both comparisons
    return (said >= 0).all(1) & (close | ((low <= 1) & (high >= 1)))


def _rounding_error(said: Tensor) -> float:
    """Return half a unit of the last decimal of answers that all have few of them, 0 if they have not.

    Answers of zeros and ones alone have no decimals that could be seen: those of labels, or of nothing.
    """
    if not bool(said.isfinite().all()):
        return 0.0
    for decimals in range(_MOST_DECIMALS + 1):
        scaled = said * 10**decimals
        if bool(((scaled - scaled.round()).abs() < 0.01).all()):  # float32 is off by 6e-8 * 10^5 at most
            return 0.5 * 10.0**-decimals if decimals else 0.0
    return 0.0
