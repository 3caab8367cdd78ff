"""Small recordings that tests write."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

soundfile = pytest.importorskip("soundfile", reason="recordings are read by soundfile, of the extra speech")

RATE = 8000
SMALL = {"sample_rate": RATE, "chunk_seconds": 0.05, "batch_size": 4}


def tone(seconds: float = 0.5, hz: float = 440.0, rate: int = RATE, amplitude: float = 0.5) -> np.ndarray:
    return amplitude * np.sin(2 * math.pi * hz * np.arange(round(seconds * rate)) / rate)


def write(path: Path, samples: np.ndarray, rate: int = RATE, **form: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, **form)
    return path


def frequency(x: torch.Tensor) -> float:
    spectrum = torch.fft.rfft(x.flatten() * torch.hann_window(x.numel()), n=8000)
    return float(spectrum.abs().argmax())
