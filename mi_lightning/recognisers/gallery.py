"""Who is enrolled with a recogniser, how far a sample is from each of them, and how near is near enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mi_lightning.errors import InputError
from mi_lightning.recognisers.base import METRICS, Metric
from mi_lightning.stats import bootstrap_interval


def distances(vectors: Tensor, centres: Tensor, metric: Metric) -> Tensor:
    """Distances between vectors, without rounding by matrix products.

    Args:
        vectors: Shape (R, E).
        centres: Shape (P, E).
        metric: ``"euclidean"``, or ``"cosine"``: 1 minus the cosine of the angle between two vectors, in [0, 2].

    Returns:
        Shape (R, P); infinite where a vector is not finite, or has no direction.

    Raises:
        InputError: If the metric or the sizes are none that fit.

    Example:
        >>> distances(torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 4.0], [1.0, 0.0]]), "euclidean")
        tensor([[5., 2.]])
    """
    if metric not in METRICS:
        raise InputError(f"a metric of {', '.join(METRICS)}", metric, "metric")
    if vectors.ndim != 2 or centres.ndim != 2 or vectors.shape[1] != centres.shape[1]:
        raise InputError("vectors (R, E) and centres (P, E)", (tuple(vectors.shape), tuple(centres.shape)), "vectors")
    if metric == "euclidean":
        found = torch.cdist(vectors, centres, compute_mode="donot_use_mm_for_euclid_dist")
    else:
        # half the squared distance of unit vectors is 1 - cosine, and exact where they are the same
        one, other = _of_unit_length(vectors), _of_unit_length(centres)
        found = torch.cdist(one, other, compute_mode="donot_use_mm_for_euclid_dist").square() / 2
    usable: Tensor = found.nan_to_num(nan=torch.inf, posinf=torch.inf)
    return usable


def _of_unit_length(vectors: Tensor) -> Tensor:
    """Vectors of the same direction; not finite where there is none."""
    directions: Tensor = vectors / vectors.norm(dim=1, keepdim=True)
    return directions


@dataclass(frozen=True)
class Gallery:
    """People as a recogniser knows them: one centre each, the mean of the vectors of the person's real samples.

    Attributes:
        centres: Shape (P, E); not finite for people who are not enrolled.
        counts: Shape (P,), samples that each was enrolled with.
        metric: Distance between two vectors.
    """

    centres: Tensor
    counts: Tensor
    metric: Metric

    @classmethod
    def enrol(cls, vectors: Tensor, label: Tensor, num_people: int, metric: Metric) -> Self:
        """Enrol people with real samples.

        Args:
            vectors: Shape (N, E). Those that are not finite are left out.
            label: Shape (N,), the person of each, in [0, num_people).
            num_people: Number of people, P. Who has no sample is not enrolled.
            metric: Distance between two vectors; for ``"cosine"`` the mean is that of vectors of unit length.

        Raises:
            InputError: If an argument is out of its range, or nobody can be enrolled.
        """
        if metric not in METRICS:
            raise InputError(f"a metric of {', '.join(METRICS)}", metric, "metric")
        if vectors.ndim != 2 or label.shape != vectors.shape[:1]:
            raise InputError("vectors (N, E) and a label for each", (tuple(vectors.shape), tuple(label.shape)), "label")
        if len(label) and (int(label.min()) < 0 or int(label.max()) >= num_people):
            raise InputError(f"labels from 0 to {num_people - 1}", f"{label.min()} to {label.max()}", "label")
        if metric == "cosine":
            vectors = _of_unit_length(vectors)
        usable = vectors.isfinite().all(1)
        if not usable.any():
            raise InputError("a sample that the recogniser makes a vector of", f"none of {len(vectors)}", "vectors")
        vectors, label = vectors[usable].double(), label[usable]
        counts = label.bincount(minlength=num_people)
        total = torch.zeros(num_people, vectors.shape[1], dtype=torch.float64).index_add_(0, label, vectors)
        return cls((total / counts[:, None]).float(), counts, metric)

    @property
    def enrolled(self) -> Tensor:
        """Whether each person is enrolled, shape (P,)."""
        return self.counts > 0

    def distances(self, vectors: Tensor) -> Tensor:
        """Distance of vectors (R, E) to each person, shape (R, P); infinite to people who are not enrolled."""
        return distances(vectors, self.centres, self.metric)

    def rank(self, vectors: Tensor, label: Tensor) -> Tensor:
        """Place of the label among all enrolled people, by distance.

        Args:
            vectors: Shape (R, E).
            label: Shape (R,).

        Returns:
            Shape (R,), int64: 1 if the person is nearer than everybody else, since ties count against; one more than
            there are people if the vector is not finite or the person not enrolled.
        """
        found = self.distances(vectors)
        own = found.gather(1, label[:, None])
        others = self.enrolled.expand_as(found).scatter(1, label[:, None], value=False)
        place = 1 + ((found <= own) & others).sum(1)
        return place.where(own[:, 0].isfinite(), int(self.enrolled.sum()) + 1)

    def guess(self, vectors: Tensor) -> Tensor:
        """Return the nearest person of vectors (R, E), shape (R,), int64; -1 where a vector is not finite."""
        least, person = self.distances(vectors).min(1)
        return person.where(least.isfinite(), -1)


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
