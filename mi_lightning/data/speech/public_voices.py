"""Synthetic voices that no embedded classifier was trained on: public speech without any download."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mi_lightning.data.speech.base import Sex, SpeakerDataModule
from mi_lightning.data.speech.cache import Recording
from mi_lightning.data.speech.voices import SENTENCES, speak
from mi_lightning.errors import InputError

#: Voices of espeak-ng whose variants are not among the embedded speakers (:data:`mi_lightning.data.speech.VOICES`).
PUBLIC_VOICES: dict[str, Sex] = {
    "en-us+Alicia": "F",
    "en-us+Andy": "M",
    "en-us+Andrea": "F",
    "en-us+Michael": "M",
    "en-us+grandma": "F",
    "en-us+grandpa": "M",
    "en-us+shelby": "F",
    "en-us+Denis": "M",
    "en-us+aunty": "F",
    "en-us+ed": "M",
    "en-us+klatt": "M",
    "en-us+Mr serious": "M",
    "en-us+sandro": "M",
    "en-us+quincy": "M",
    "en-us+rob": "M",
    "en-us+robert": "M",
    "en-us+antonio": "M",
    "en-us+victor": "M",
    "en-us+zac": "M",
    "en-us+max": "M",
}


class PublicVoices(SpeakerDataModule):
    """Synthetic voices that no embedded classifier was trained on: public speech without any download.

    Raises:
        MIError: On first use, if espeak-ng is not installed.
    """

    def __init__(self, *, sentences: int = 8, sample_rate: int = 16000, cache_dir: str | None = None) -> None:
        """Check the number of sentences.

        Args:
            sentences: How many sentences each of them reads, 2 to 24.
            sample_rate: Rate, Hz.
            cache_dir: Folder for the decoded audio.
        """
        super().__init__(split="first", sample_rate=sample_rate, cache_dir=cache_dir)
        if not 2 <= sentences <= len(SENTENCES):
            raise InputError(f"2 <= sentences <= {len(SENTENCES)}", sentences, "sentences")
        self.sentences = sentences

    def settings(self) -> dict[str, Any]:
        """Plain values that change what is spoken."""
        return super().settings() | {"text": SENTENCES[: self.sentences]}

    def find(self) -> list[Recording]:
        """List every voice with every sentence."""
        return [Recording(name, f"{name}/{index}") for name in PUBLIC_VOICES for index in range(self.sentences)]

    def read(self, recording: Recording) -> tuple[NDArray[np.float64], int]:
        """Speak the sentence."""
        samples, rate = speak(SENTENCES[int(recording.name.rpartition("/")[2])], recording.speaker)
        return samples[:, None] / 32768, rate

    def sex_of(self, speaker: str) -> Sex:
        """Sex of the voice."""
        return PUBLIC_VOICES[speaker]
