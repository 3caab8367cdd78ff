"""Voices as the speaker encoder of GE2E knows them, which was trained on thousands of other speakers."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mi_lightning.audio.files import DamagedAudioError
from mi_lightning.audio.prepare import prepare_audio
from mi_lightning.checkpoint import class_path
from mi_lightning.nn.ge2e import (
    EMBEDDING_SIZE,
    SAMPLE_RATE,
    WINDOW_SAMPLES,
    SpeakerEncoder,
    load_speaker_encoder,
    made_loud,
    windows,
)
from mi_lightning.recognisers.base import Embeddings, Recogniser
from mi_lightning.recognisers.weights import PackagedWeights

WEIGHTS = PackagedWeights(
    package="resemblyzer",
    parts=("pretrained.pt",),
    sha256="39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
    brings="voices are recognised by the file",
    install='pip install --no-deps "Resemblyzer==0.1.4" (only its weights are read, none of its dependencies)',
)
_WINDOWS_AT_ONCE = 64

_MEMORY: dict[bytes, tuple[Tensor, bool]] = {}  # one for all, since all are the same


class GE2EVoices(Recogniser):
    """The speaker encoder of GE2E [W18]: how like each other two voices are, whatever they say.

    Sounds are brought to 16 kHz, raised to -30 dB below full scale and cut into windows of 1.6 s that overlap by half;
    the unit vectors of the windows are averaged. A sound shorter than a window is repeated until it fills one, which
    tells voices apart better than silence behind it does (98 against 91% of pieces of one second). Silence has no
    vector.
    """

    kind = "sound"
    metric = "cosine"

    def __init__(self) -> None:
        """Load nothing yet."""
        super().__init__()
        self.memory = _MEMORY

    def check(self) -> None:
        """See that the weights are there, and are those that were tried."""
        WEIGHTS.checked()

    def describe(self) -> dict[str, Any]:
        """Return what it is."""
        self.check()
        return {
            "class": class_path(type(self)),
            "weights": {WEIGHTS.name: WEIGHTS.sha256},
            "trained_on": "LibriSpeech train-other-500, VoxCeleb 1 and 2: about 8,400 speakers",
            "metric": self.metric,
            "embedding_size": EMBEDDING_SIZE,
            "settings": {"window_seconds": 1.6, "overlap": 0.5, "shorter_sounds": "repeated"},
        }

    @torch.no_grad()
    def embed_new(
        self, samples: list[Tensor], *, value_range: tuple[float, float], sample_rate: int | None
    ) -> Embeddings:
        """Embed sounds (1, samples)."""
        low, high = value_range
        heard = [_heard((2 * sample[0] - low - high) / (high - low), int(sample_rate or 0)) for sample in samples]
        pieces = [windows(made_loud(_filled(wave))) for wave in heard]
        encoder = _encoder(WEIGHTS.checked())
        rows = torch.cat([encoder(part) for part in torch.cat(pieces).split(_WINDOWS_AT_ONCE)])
        vectors = torch.stack([part.mean(0) for part in rows.split([len(piece) for piece in pieces])])
        vectors /= vectors.norm(dim=1, keepdim=True)
        vectors[[not wave.any() for wave in heard]] = torch.nan
        return Embeddings(vectors, torch.ones(len(samples), dtype=torch.bool))


def _filled(wave: Tensor) -> Tensor:
    """Repeat a sound (samples,) that is shorter than a window until it fills one."""
    times = -(-WINDOW_SAMPLES // len(wave))
    return wave if len(wave) >= WINDOW_SAMPLES else wave.repeat(times)[:WINDOW_SAMPLES]


@cache
def _encoder(path: Path) -> SpeakerEncoder:
    """Load the encoder, once."""
    return load_speaker_encoder(path)


def _heard(wave: Tensor, sample_rate: int) -> Tensor:
    """Bring a sound (samples,) with full scale at 1 to 16 kHz."""
    if sample_rate == SAMPLE_RATE:
        return wave
    try:
        samples = prepare_audio(
            wave.double().numpy()[:, None], sample_rate, sample_rate=SAMPLE_RATE, trim_db=None, normalise=False
        )
    except DamagedAudioError:  # silence
        return wave
    return torch.from_numpy(samples.astype(np.float32))
