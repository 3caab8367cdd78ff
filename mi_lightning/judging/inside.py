"""Whom does an inside evaluator see in a reconstruction?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize
from torchmetrics import Metric

from mi_lightning.classifiers.base import Classifier
from mi_lightning.errors import InputError
from mi_lightning.nn.frozen import evaluation_mode
from mi_lightning.nn.pictures import fit_pictures, is_picture

_BATCH = 128  # images in a forward pass: a convolutional evaluator holds some 100 kB of activations for each, ...
_VALUES = 2**21  # ... and more for larger ones: values in all images of a pass


@torch.no_grad()
def features_and_logits(
    evaluator: Classifier,
    x: Tensor,
    *,
    value_range: tuple[float, float] | None = None,
    batch_size: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Features and logits of all samples by one pass through the evaluator, in evaluation mode and without gradients.

    Pictures of another size, number of channels or range than the evaluator's are brought to it
    (:func:`~mi_lightning.nn.pictures.fit_pictures`).

    Args:
        evaluator: Classifier on any device; the mode of each of its parts is left as it was.
        x: Samples ``(N, *input_shape)``, N >= 1, on any device.
        value_range: Least and greatest value of a sample; the evaluator's if None.
        batch_size: Samples in a forward pass; chosen by their size if None.

    Returns:
        Features ``(N, F)`` and logits ``(N, C)``, float32, on the CPU.

    Raises:
        InputError: If the samples have another shape than the evaluator's input and are no pictures, or there are none.
    """
    if not takes(evaluator, x.shape[1:]) or not len(x):
        raise InputError(f"one or more samples of shape {evaluator.input_shape} for the evaluator", tuple(x.shape))
    weight = next(evaluator.parameters())
    parts = []
    largest = max(x[0].numel(), math.prod(evaluator.input_shape))
    size = batch_size or max(1, min(_BATCH, _VALUES // largest))
    with evaluation_mode(evaluator):
        for chunk in x.split(size):
            given = fit_pictures(
                chunk.to(device=weight.device, dtype=weight.dtype),
                evaluator.input_shape,
                value_range=value_range,
                wanted_range=evaluator.input_range,
            )
            features = evaluator.features(given)
            parts.append((features.flatten(1).float().cpu(), evaluator.head(features).float().cpu()))
    return torch.cat([features for features, _ in parts]), torch.cat([logits for _, logits in parts])


def takes(evaluator: Classifier, shape: Sequence[int]) -> bool:
    """Whether an evaluator can be asked about samples of a shape: its own, or that of any pictures if it takes some.

    Args:
        evaluator: The evaluator.
        shape: Shape of a sample, without the batch.
    """
    return tuple(shape) == evaluator.input_shape or (is_picture(shape) and is_picture(evaluator.input_shape))


def top_k_hits(logits: Tensor, label: Tensor, k: int) -> Tensor:
    """Whether the label is among the k classes of greatest logit.

    Args:
        logits: Shape (R, C). A row that is not finite names nobody.
        label: Shape (R,), int64.
        k: Names that the classifier may give; all of them if C is less.

    Returns:
        1 or 0 per row, shape (R,), float32.

    Example:
        >>> top_k_hits(torch.tensor([[0.1, 0.9], [0.1, 0.9]]), torch.tensor([0, 1]), 1)
        tensor([0., 1.])
    """
    top = logits.topk(min(k, logits.shape[1])).indices
    return ((top == label[:, None]).any(1) & logits.isfinite().all(1)).float()


def person_means(features: Tensor, label: Tensor, num_people: int) -> Tensor:
    """Direction of each person in feature space: the mean of the person's unit features, scaled to unit length.

    Args:
        features: Features of photographs, shape (N, F).
        label: Who is on them, shape (N,), int64.
        num_people: Number of people, P.

    Returns:
        Shape (P, F); zeros for a person without photographs.
    """
    total = features.new_zeros(num_people, features.shape[1])
    return normalize(total.index_add(0, label, normalize(features)))


def nearest_person(features: Tensor, means: Tensor) -> Tensor:
    """The person whose direction is closest, by cosine.

    Unit length on both sides, because the length of a feature says how sure a classifier is rather than of whom.

    Args:
        features: Shape (R, F).
        means: From :func:`person_means`, shape (P, F); persons of zeros are passed over.

    Returns:
        Shape (R,), int64; -1 for features that are not finite.
    """
    cosine = normalize(features) @ means.T
    found = cosine.masked_fill(~means.any(1), -torch.inf).argmax(1)
    return found.masked_fill(~features.isfinite().all(1), -1)


class EvaluatorAccuracy(Metric):
    """Share of reconstructions whose person is among the ``top_k`` names that an inside evaluator gives.

    Args:
        evaluator: The inside evaluator.
        top_k: Names that it may give.

    Raises:
        InputError: If ``top_k`` is less than 1.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    hits: Tensor
    total: Tensor

    def __init__(self, evaluator: Classifier, *, top_k: int = 1) -> None:
        """Keep the evaluator, uncopied."""
        super().__init__()
        if top_k < 1:
            raise InputError("top_k >= 1", top_k, "top_k")
        self.evaluator = evaluator
        self.top_k = top_k
        self.add_state("hits", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, reconstruction: Tensor, label: Tensor) -> None:
        """Count reconstructions ``(R, *input_shape)`` of the people ``label``, shape (R,)."""
        _, logits = features_and_logits(self.evaluator, reconstruction)
        self.hits += top_k_hits(logits, label.cpu(), self.top_k).sum().to(self.hits.device)
        self.total += len(label)

    def compute(self) -> Tensor:
        """Share in [0, 1]."""
        return self.hits / self.total


class Identification(Metric):
    """Share of reconstructions whose person is the nearest one in an inside evaluator's feature space.

    A person is where the mean of the features of the person's photographs points (:func:`person_means`); nearest is
    the greatest cosine. Unlike the evaluator's own verdict this does not lean on its last layer.

    Args:
        evaluator: The inside evaluator.
        gallery: Photographs of everybody, shape (N, *input_shape): the training images.
        gallery_label: Who is on them, shape (N,), int64.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    hits: Tensor
    total: Tensor
    means: Tensor

    def __init__(self, evaluator: Classifier, gallery: Tensor, gallery_label: Tensor) -> None:
        """Pass the gallery through the evaluator, once."""
        super().__init__()
        self.evaluator = evaluator
        features, _ = features_and_logits(evaluator, gallery)
        self.register_buffer("means", person_means(features, gallery_label.cpu(), evaluator.num_classes))
        self.add_state("hits", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, reconstruction: Tensor, label: Tensor) -> None:
        """Count reconstructions ``(R, *input_shape)`` of the people ``label``, shape (R,)."""
        features, _ = features_and_logits(self.evaluator, reconstruction)
        found = nearest_person(features.to(self.means.device), self.means)
        self.hits += (found == label.to(found.device)).sum()
        self.total += len(label)

    def compute(self) -> Tensor:
        """Share in [0, 1]."""
        return self.hits / self.total
