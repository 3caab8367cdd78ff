"""Costs in the space of a speaker model's features, the d-vectors."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from mi_lightning.attacks.costs.base import Cost
from mi_lightning.classifiers.base import Classifier
from mi_lightning.classifiers.dvectors import person_dvectors
from mi_lightning.data.base import PersonDataModule
from mi_lightning.errors import InputError
from mi_lightning.targets.base import Target
from mi_lightning.targets.frames import FrameView, open_classifier


class DVectorDistance(Cost):
    """Distance of a waveform's d-vector to the d-vector of the speaker, as enrolled [P23].

    The attacker has the model and a stolen d-vector, not the model's answer about a speaker: works as well on speakers
    that the model was not trained on. Both d-vectors are of unit length.

    Args:
        references: Speech of the speakers, from which their d-vectors are made.
        part: Which utterances: the ones that the model was trained on, or the others.
        distance: ``"cosine"``: 1 - cosine, in [0, 2]; ``"euclidean"``: length of the difference, in [0, 2].
        frame_shift: Samples between the frames of the speakers' utterances.

    Raises:
        InputError: If an argument is outside its range.
    """

    tells_confidence = False

    def __init__(
        self,
        *,
        references: PersonDataModule,
        part: Literal["train", "test"] = "train",
        distance: Literal["cosine", "euclidean"] = "cosine",
        frame_shift: int = 1600,
    ) -> None:
        """Check the arguments; nothing is read yet."""
        super().__init__()
        if distance not in ("cosine", "euclidean"):
            raise InputError("distance cosine or euclidean", distance, field="distance")
        if part not in ("train", "test"):
            raise InputError("part train or test", part, field="part")
        if frame_shift < 1:
            raise InputError("frame_shift >= 1", frame_shift, field="frame_shift")
        self.references, self.part, self.distance, self.frame_shift = references, part, distance, frame_shift
        self._goal: Tensor | None = None
        self._bound: Classifier | None = None

    def bind(self, target: Target) -> None:
        """Make the speakers' d-vectors.

        Raises:
            InputError: If the target's features cannot be seen, or the references are of other speakers.
        """
        classifier = open_classifier(target)
        self.references.prepare_data()
        self.references.setup("fit")
        if tuple(self.references.class_names) != tuple(target.class_names):
            raise InputError(
                f"references of the target's {target.num_classes} speakers",
                f"{self.references.num_classes}: {', '.join(self.references.class_names[:3])}, ...",
                field="references",
            )
        if self._bound is not classifier:
            self._goal = person_dvectors(classifier, self.references, self.part, shift=self.frame_shift)
            self._bound = classifier

    def forward(self, target: Target, x: Tensor, label: Tensor) -> Tensor:
        """Return the distance of each waveform's d-vector to the speaker's, shape (N,); one query for each frame."""
        if self._goal is None:
            raise RuntimeError("the cost is not bound to a target: call bind first")
        view = target if isinstance(target, FrameView) else FrameView(target, shift=x.shape[-1])
        target.ledger.count(len(x) * view.frames(x.shape[-1]))
        cosine = (view.features(x) * self._goal.to(x)[label]).sum(-1)
        if self.distance == "cosine":
            return 1 - cosine
        # of unit vectors; the floor keeps the slope of the square root finite where they meet
        return (2 - 2 * cosine).clamp_min(1e-12).sqrt()

    def confidence(self, cost: Tensor) -> Tensor:
        """Return NaN: a distance does not say how sure the target is."""
        return torch.full_like(cost, torch.nan)
