"""The speaker encoder of GE2E [W18]: what a voice is like, whatever it says, as a vector of unit length."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, pad

from mi_lightning.audio.mel import triangles
from mi_lightning.checkpoint import read_weights
from mi_lightning.errors import MIError

SAMPLE_RATE = 16000  # Hz
EMBEDDING_SIZE = 256
BANDS = 40
WINDOW, HOP = 400, 160  # samples of a short-time spectrum: 25 ms every 10 ms
FRAMES = 160  # of a window that the encoder listens to: 1.6 s
WINDOW_SAMPLES = FRAMES * HOP
STEP = 77  # frames from one window to the next: 1.3 windows a second
_LEAST_COVERAGE = 0.75  # of the last window, unless it is the only one; it is filled up with silence
_LOUDNESS = -30.0  # dB below full scale, of the root mean square; louder sounds stay as they are
_LINEAR_UP_TO, _HZ_PER_MEL, _STEP_OF_LOG = 1000.0, 200 / 3, math.log(6.4) / 27


class SpeakerEncoder(nn.Module):
    """Three layers of LSTM over mel energies; the last hidden state, a linear layer, rectified, of unit length."""

    def __init__(self, hidden: int = EMBEDDING_SIZE, layers: int = 3) -> None:
        """Make the layers; `load_speaker_encoder` fills them."""
        super().__init__()
        self.lstm = nn.LSTM(BANDS, hidden, layers, batch_first=True)
        self.linear = nn.Linear(hidden, hidden)

    def forward(self, energies: Tensor) -> Tensor:
        """Return unit vectors (N, 256) of mel energies (N, frames, 40), see `mel_energies`."""
        _, (hidden, _) = self.lstm(energies)
        return normalize(self.linear(hidden[-1]).relu())


def load_speaker_encoder(path: Path) -> SpeakerEncoder:
    """Read the encoder from the file ``pretrained.pt`` of the package Resemblyzer; nothing in it is executed.

    Raises:
        MIError: If the file cannot be read or does not hold this network.
    """
    content = read_weights(path)
    state = content.get("model_state") if isinstance(content, dict) else None
    with torch.random.fork_rng(devices=[]):  # its first weights are drawn, and nobody else's numbers shall change
        encoder = SpeakerEncoder()
    try:
        # beside these it holds two numbers of the loss, which only training needs
        encoder.load_state_dict({name: state[name] for name in encoder.state_dict()})  # type: ignore[index]
    except (KeyError, TypeError, RuntimeError):
        raise MIError(f"{path} does not hold the speaker encoder: it is damaged, or another file") from None
    return encoder.eval().requires_grad_(False)


def windows(wave: Tensor) -> Tensor:
    """Cut a sound into what the encoder listens to.

    Args:
        wave: Shape (samples,), at 16 kHz.

    Returns:
        Mel energies (windows, 160, 40) of windows of 1.6 s, 0.77 s apart; the sound is filled up with silence.
    """
    starts = window_starts(len(wave))
    end = (starts[-1] + FRAMES) * HOP
    energies = mel_energies(pad(wave, (0, max(0, end - len(wave)))))
    return torch.stack([energies[start : start + FRAMES] for start in starts])


def window_starts(samples: int) -> list[int]:
    """First frame of each window of a sound of so many samples.

    Example:
        >>> window_starts(16000), window_starts(48000)
        ([0], [0, 77, 154])
    """
    frames = math.ceil((samples + 1) / HOP)
    starts = list(range(0, max(1, frames - FRAMES + STEP + 1), STEP))
    covered = (samples - starts[-1] * HOP) / WINDOW_SAMPLES
    return starts[:-1] if covered < _LEAST_COVERAGE and len(starts) > 1 else starts


def made_loud(wave: Tensor) -> Tensor:
    """Raise a sound to -30 dB below full scale, shape (samples,); louder ones, and silence, stay as they are."""
    rms = wave.square().mean().sqrt().clamp_min(torch.finfo(wave.dtype).tiny)
    return wave * (10 ** (_LOUDNESS / 20) / rms).clamp_min(1) if wave.any() else wave


def mel_energies(wave: Tensor) -> Tensor:
    """Power in 40 bands between 0 Hz and 8 kHz, not logarithmic.

    Args:
        wave: Shape (samples,), at 16 kHz.

    Returns:
        Shape (1 + samples // 160, 40); frame k lies around sample 160 k, with silence outside the sound.
    """
    window = torch.hann_window(WINDOW, dtype=wave.dtype)
    spectrum = torch.stft(wave, WINDOW, HOP, window=window, center=True, pad_mode="constant", return_complex=True).abs()
    return spectrum.square().T @ slaney_filters().to(wave)


@cache
def slaney_filters() -> Tensor:
    """Triangles of equal area, evenly spaced on the scale of the Auditory Toolbox [Sl98], shape (201, 40).

    The scale rises by 1 every 66.7 Hz up to 1 kHz, and above by 1 for each factor of 6.4 ** (1 / 27).
    """
    top = _LINEAR_UP_TO / _HZ_PER_MEL + math.log(SAMPLE_RATE / 2 / _LINEAR_UP_TO) / _STEP_OF_LOG
    place = torch.linspace(0, top, BANDS + 2, dtype=torch.float64)
    above = place - _LINEAR_UP_TO / _HZ_PER_MEL
    edges = torch.where(above < 0, place * _HZ_PER_MEL, _LINEAR_UP_TO * (above * _STEP_OF_LOG).exp())
    return triangles(edges, WINDOW // 2 + 1, sample_rate=SAMPLE_RATE) * (2 / (edges[2:] - edges[:-2]))
