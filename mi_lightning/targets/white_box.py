"""White box: the attacker has the classifier itself."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from mi_lightning.checkpoint import weights_digest
from mi_lightning.classifiers.base import Classifier
from mi_lightning.nn.frozen import pack_linear_layers
from mi_lightning.targets.base import Target, describe_classifier


class WhiteBox(Target):
    """A classifier whose weights are known: confidences and their gradients.

    The classifier is put into evaluation mode and its weights are frozen, which saves the gradients towards them
    (about a third of the work of an iteration).

    Args:
        classifier: The classifier to attack. It is used as it is, not copied.
        checkpoint: File that it was loaded from, for the report.
        checkpoint_sha256: Digest of that file, for the report.
    """

    differentiable = True

    def __init__(self, classifier: Classifier, *, checkpoint: str = "", checkpoint_sha256: str = "") -> None:
        """Freeze the classifier."""
        super().__init__()
        self.classifier = classifier.requires_grad_(False).eval()
        pack_linear_layers(classifier)
        self.checkpoint, self.checkpoint_sha256 = checkpoint, checkpoint_sha256
        self.input_shape, self.input_range = tuple(classifier.input_shape), classifier.input_range
        self.num_classes, self.class_names = classifier.num_classes, tuple(classifier.class_names)

    def train(self, mode: bool = True) -> WhiteBox:
        """Stay in evaluation mode: Lightning puts every module into training mode when it fits."""
        return super().train(False)

    def release(self, x: Tensor) -> Tensor:
        """Return the softmax of the classifier's logits, shape (N, C)."""
        confidences: Tensor = self.classifier(x).softmax(-1)
        return confidences

    def release_log(self, x: Tensor) -> Tensor:
        """Return the log-softmax of the classifier's logits, shape (N, C), in nats."""
        confidences: Tensor = self.classifier(x).log_softmax(-1)
        return confidences

    def fingerprint(self) -> str:
        """Return the SHA-256 of the classifier's weights."""
        return weights_digest(self.classifier)

    def describe(self) -> dict[str, Any]:
        """Return the classifier's class, its checkpoint and what is known of its training."""
        return {
            "access": "white_box",
            **describe_classifier(self.classifier, self.checkpoint, self.checkpoint_sha256),
        }
