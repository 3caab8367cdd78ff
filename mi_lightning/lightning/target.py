"""The target of an attack: the one that was given, or one of a checkpoint."""

from __future__ import annotations

from typing import Literal

from mi_lightning.checkpoint import file_digest
from mi_lightning.classifiers.loading import load_classifier
from mi_lightning.errors import InputError
from mi_lightning.targets.base import Target
from mi_lightning.targets.black_box import BlackBox
from mi_lightning.targets.white_box import WhiteBox

Access = Literal["white_box", "black_box"]


def open_target(classifier_ckpt: str | None, target: Target | None, access: Access) -> Target:
    """Return the target, without defenses.

    Args:
        classifier_ckpt: Checkpoint of a classifier. Give this or a target.
        target: The target itself.
        access: What the attacker may touch of the classifier: itself, or its confidences. A white box that was given
            becomes a black box where only confidences may be touched.

    Raises:
        InputError: If neither or both were given, or the target gives more than may be touched.
        MIError: If the checkpoint cannot be used.
    """
    if target is not None:
        if classifier_ckpt is not None:
            raise InputError("either a checkpoint or a target", "both", field="classifier_ckpt")
        if access == "black_box" and isinstance(target, WhiteBox):
            return BlackBox.of(target)
        if access == "black_box" and target.differentiable:
            got = f"{type(target).__name__}, which gives gradients"
            raise InputError("a target that only answers, or a checkpoint", got, field="access")
        return target
    if classifier_ckpt is None:
        raise InputError("a checkpoint or a target to attack", "neither", field="classifier_ckpt")
    classifier, digest = load_classifier(classifier_ckpt), file_digest(classifier_ckpt)
    make = WhiteBox if access == "white_box" else BlackBox.of
    return make(classifier, checkpoint=str(classifier_ckpt), checkpoint_sha256=digest)
