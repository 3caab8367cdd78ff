"""Who is enrolled with a recogniser, and how far a sample is from each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from mi_lightning.errors import InputError
from mi_lightning.recognisers.base import METRICS, Metric


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


def rank(found: Tensor, label: Tensor, enrolled: Tensor) -> Tensor:
    """Place of the label among all enrolled people, by distance.

    Args:
        found: Distances, shape (R, P).
        label: Shape (R,).
        enrolled: Whether each person is enrolled, shape (P,).

    Returns:
        Shape (R,), int64: 1 if the person is nearer than everybody else, since ties count against; one more than there
        are people if the distance is infinite: there is no vector, or the person is not enrolled.
    """
    own = found.gather(1, label[:, None])
    others = enrolled.expand_as(found).scatter(1, label[:, None], value=False)
    place = 1 + ((found <= own) & others).sum(1)
    return place.where(own[:, 0].isfinite(), int(enrolled.sum()) + 1)


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
        """Return the place of the label (R,) by the distance of vectors (R, E) to all people: see `rank`."""
        return rank(self.distances(vectors), label, self.enrolled)

    def guess(self, vectors: Tensor) -> Tensor:
        """Return the nearest person of vectors (R, E), shape (R,), int64; -1 where a vector is not finite."""
        least, person = self.distances(vectors).min(1)
        return person.where(least.isfinite(), -1)


def left_out_distances(vectors: Tensor, label: Tensor, num_people: int, metric: Metric) -> Tensor:
    """Distances of enrolled samples to the people, each to its own person as enrolled without it.

    So a sample is not recognised by itself: what one real photograph is worth.

    Args:
        vectors: Shape (N, E), of the samples that people are enrolled with.
        label: Shape (N,).
        num_people: Number of people, P.
        metric: Distance between two vectors.

    Returns:
        Shape (N, P); infinite to a person who has no other sample.

    Raises:
        InputError: As `Gallery.enrol`.
    """
    gallery = Gallery.enrol(vectors, label, num_people, metric)
    usable = _of_unit_length(vectors) if metric == "cosine" else vectors
    count = gallery.counts[label][:, None]
    # of one sample nothing is left: 0 / 0, which is infinitely far
    others = (gallery.centres[label].double() * count - usable.double()) / (count - 1)
    own = torch.cat(
        [distances(one[None], centre[None].float(), metric)[0] for one, centre in zip(vectors, others, strict=True)]
    )
    return gallery.distances(vectors).scatter(1, label[:, None], own[:, None])
