"""Whom does an inside evaluator see in a reconstruction?"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize
from torchmetrics import Metric

from mi_lightning.classifiers.base import Classifier
from mi_lightning.errors import InputError

_BATCH = 128  # images in a forward pass: a convolutional evaluator holds some 100 kB of activations for each


@torch.no_grad()
def features_and_logits(evaluator: Classifier, x: Tensor, *, batch_size: int = _BATCH) -> tuple[Tensor, Tensor]:
    """Features and logits of all samples by one pass through the evaluator, in evaluation mode and without gradients.

    Args:
        evaluator: Classifier on any device; its mode is left as it was.
        x: Samples ``(N, *input_shape)``, N >= 1, on any device.
        batch_size: Samples in a forward pass.

    Returns:
        Features ``(N, F)`` and logits ``(N, C)``, float32, on the CPU.

    Raises:
        InputError: If the samples have another shape than the evaluator's input, or there are none.
    """
    if x.shape[1:] != evaluator.input_shape or not len(x):
        raise InputError(f"one or more samples of shape {evaluator.input_shape} for the evaluator", tuple(x.shape))
    weight = next(evaluator.parameters())
    training = evaluator.training
    evaluator.eval()
    try:
        parts = []
        for chunk in x.split(batch_size):
            features = evaluator.features(chunk.to(device=weight.device, dtype=weight.dtype))
            parts.append((features.flatten(1).float().cpu(), evaluator.head(features).float().cpu()))
    finally:
        evaluator.train(training)
    return torch.cat([features for features, _ in parts]), torch.cat([logits for _, logits in parts])


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
