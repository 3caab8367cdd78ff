"""How near is near enough: verification thresholds from real samples, and how sure they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mi_lightning.errors import InputError
from mi_lightning.stats import bootstrap_interval


@dataclass(frozen=True)
class Threshold:
    """The greatest distance at which a recogniser accepts somebody as a person.

    Attributes:
        rate: Share of real impostor pairs that may be accepted, at most.
        distance: Accepted is whoever is at most as far; None if there are too few pairs to say.
        impostor_pairs: Pairs of a real sample and another person that it rests on.
        low: Lower end of the 95% interval of the true share of impostors accepted, had other people been drawn; None
            without a distance.
        high: Its upper end.
        genuine_accepted: Share of real samples that are accepted as the person that they show; None without a distance.
        reason: Why there is no distance; None if there is one.
    """

    rate: float
    distance: float | None
    impostor_pairs: int
    low: float | None
    high: float | None
    genuine_accepted: float | None
    reason: str | None = None

    def accepts(self, found: Tensor) -> Tensor:
        """Return which distances are near enough, same shape.

        Raises:
            InputError: If there is no distance to compare with.
        """
        if self.distance is None:
            raise InputError("a threshold that could be measured", self.reason, "rate")
        return found <= self.distance


class Thresholds:
    """Verification thresholds from real samples that nobody was enrolled with.

    Args:
        found: Distances of N real samples to P people, shape (N, P), as of `Gallery.distances`. People who are not
            enrolled, and samples without a vector, make no impostor pairs; such a sample is never accepted.
        label: Person of each sample, shape (N,).
        level: Level of the intervals, in (0, 1).
        draws: Resamples of people for the intervals.
        seed: Their seed.

    Raises:
        InputError: If the shapes do not fit, or there is no sample.
    """

    def __init__(self, found: Tensor, label: Tensor, *, level: float = 0.95, draws: int = 2000, seed: int = 0) -> None:
        """Sort the pairs."""
        if found.ndim != 2 or not len(found) or label.shape != found.shape[:1]:
            raise InputError("distances (N, P) of real samples and a label for each", tuple(found.shape), "found")
        self.level, self.draws, self.seed = level, draws, seed
        self._found, self._label = found, label
        own = torch.zeros_like(found, dtype=torch.bool).scatter_(1, label[:, None], value=True)
        self._pairs = found.isfinite() & ~own
        self._impostors = found[self._pairs].sort().values
        self._genuine = found[own]

    def at(self, rate: float) -> Threshold:
        """Return the threshold that lets at most a share of the impostor pairs in.

        Fewer pairs than one in ``rate`` say nothing about it: then there is no distance, but the reason why.

        Raises:
            InputError: If the rate is not in (0, 1).
        """
        if not 0 < rate < 1:
            raise InputError("a rate in (0, 1)", rate, "rate")
        count = len(self._impostors)
        allowed = int(rate * count + 1e-9)  # 0.01 x 100 is a hair more or less than 1
        if allowed < 1:
            reason = f"{count} pairs of a real sample and another person are too few to let {rate:.1%} of them in"
            return Threshold(rate, None, count, None, None, None, reason)
        inside = self._impostors[self._impostors < self._impostors[allowed]][-1:]
        if not len(inside):
            reason = f"more than {rate:.1%} of the pairs of a real sample and another person are equally near"
            return Threshold(rate, None, count, None, None, None, reason)
        distance = float(inside)
        low, high = self._interval(distance)
        return Threshold(rate, distance, count, low, high, float((self._genuine <= distance).double().mean()))

    def _interval(self, distance: float) -> tuple[float, float]:
        """Interval of the true share of impostors accepted, by resampling people.

        A person drawn twice is there twice, as the one who is shown and as the one who is claimed: pairs that share a
        person are not independent [S99].
        """
        accepted, pairs = (self._by_person(mask) for mask in (self._pairs & (self._found <= distance), self._pairs))
        people = len(pairs)

        def share(index: NDArray[np.int64]) -> NDArray[np.float64]:
            place = index + people * np.arange(len(index))[:, None]
            times = np.bincount(place.ravel(), minlength=people * len(index)).reshape(-1, people).astype(np.float64)
            total = ((times @ pairs) * times).sum(1)
            let_in = ((times @ accepted) * times).sum(1)
            # one person alone makes no pair
            shares: NDArray[np.float64] = np.divide(let_in, total, out=np.zeros_like(let_in), where=total > 0)
            return shares

        return bootstrap_interval(share, people, level=self.level, draws=self.draws, seed=self.seed)

    def _by_person(self, mask: Tensor) -> NDArray[np.float64]:
        """Count pairs by the person who is shown and the one who is claimed, shape (P, P)."""
        people = mask.shape[1]
        summed = torch.zeros(people, people, dtype=torch.float64).index_add_(0, self._label, mask.double())
        counts: NDArray[np.float64] = summed.numpy()
        return counts


def accepted_as_others(threshold: Threshold, found: Tensor, label: Tensor, enrolled: Tensor) -> Tensor:
    """Share of the other enrolled people as whom each sample is accepted.

    Args:
        threshold: See `Thresholds.at`.
        found: Distances, shape (R, P).
        label: The person whom each sample should show, shape (R,).
        enrolled: Whether each person is enrolled, shape (P,).

    Returns:
        Shape (R,), in [0, 1]; 0 where there is nobody else.

    Raises:
        InputError: If the threshold could not be measured.
    """
    others = enrolled.expand_as(found).scatter(1, label[:, None], value=False)
    return (threshold.accepts(found) & others).sum(1) / others.sum(1).clamp_min(1)
