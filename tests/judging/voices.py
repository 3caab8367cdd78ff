"""Speakers that are tones, for tests: no file, no synthesiser, and everything about them is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mi_lightning.classifiers.speech import SpeechClassifier
from mi_lightning.data.speech import Recording, Sex, SpeakerDataModule

RATE = 16000


def tone(hertz: float, seconds: float, phase: float = 0.0) -> Tensor:
    return 0.5 * torch.sin(2 * math.pi * hertz * torch.arange(round(seconds * RATE)) / RATE + phase)


class ToneSpeakers(SpeakerDataModule):
    """Each speaker hums one tone, some utterances of half a second; those of low pitch are men."""

    def __init__(
        self, hertz: Sequence[float] = (200.0, 300.0, 2000.0, 3000.0), utterances: int = 4, **given: Any
    ) -> None:
        super().__init__(trim_db=None, normalise=False, **given)
        self.hertz, self.each = tuple(hertz), utterances

    def settings(self) -> dict[str, Any]:
        return super().settings() | {"hertz": self.hertz}

    def find(self) -> list[Recording]:
        return [
            Recording(f"{hertz:04.0f} Hz", f"{hertz:g}/{index}") for hertz in self.hertz for index in range(self.each)
        ]

    def read(self, recording: Recording) -> tuple[NDArray[np.float64], int]:
        hertz, index = recording.name.split("/")
        return tone(float(hertz), 0.5, phase=float(index)).double().numpy()[:, None], RATE

    def sex_of(self, speaker: str) -> Sex:
        return "M" if float(speaker.split()[0]) < 1000 else "F"


class ToneEar(SpeechClassifier):
    """Names the speaker whose tone a chunk holds most of: logits are a multiple of the amplitudes at the tones.

    Features are these amplitudes and, for the sex, the sum of those below and above 1 kHz.
    """

    def __init__(
        self,
        input_shape: Sequence[int] = (1, 3200),
        num_classes: int = 4,
        class_names: Sequence[str] | None = None,
        input_range: Sequence[float] = (-1.0, 1.0),
        hertz: Sequence[float] = (200.0, 300.0, 2000.0, 3000.0),
        sharpness: float = 20.0,
    ) -> None:
        names = [f"{value:04.0f} Hz" for value in hertz] if class_names is None else class_names
        super().__init__(
            input_shape=input_shape,
            num_classes=num_classes,
            class_names=names,
            input_range=input_range,
            sample_rate=RATE,
            shift_seconds=0.01,
        )
        self.hertz, self.sharpness = tuple(hertz), sharpness
        self.head = torch.nn.Linear(num_classes + 2, num_classes)
        with torch.no_grad():
            self.head.weight.copy_(sharpness * torch.eye(num_classes, num_classes + 2))
            self.head.bias.zero_()
        time = torch.arange(self.chunk_samples) / RATE
        angle = 2 * math.pi * torch.tensor(self.hertz)[:, None] * time
        self.register_buffer(
            "waves", torch.stack((angle.cos(), angle.sin())) * 2 / self.chunk_samples, persistent=False
        )
        self.remember()

    def chunk_features(self, x: Tensor) -> Tensor:
        parts = torch.einsum("kct,nt->kcn", self.waves, x[:, 0])
        amplitude = (parts.square().sum(0) + 1e-9).sqrt().T
        low = torch.tensor(self.hertz) < 1000
        return torch.cat((amplitude, amplitude @ torch.stack((low, ~low), 1).float()), 1)
