from __future__ import annotations

import io
import wave

import numpy as np
import torch

from mi_lightning.audio.files import from_int16, to_int16, wav
from tests.judging.voices import tone


def test_wav_holds_the_waveform():
    content = wav(torch.tensor([0.0, 0.5, -1.0, 2.0, float("nan")]), 8000)
    with wave.open(io.BytesIO(content)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
        assert np.frombuffer(file.readframes(9), "<i2").tolist() == [0, 16384, -32767, 32767, 0]


def test_sixteen_bits_and_back():
    wave_ = tone(100, 0.1)
    torch.testing.assert_close(from_int16(to_int16(wave_)), wave_, atol=2e-5, rtol=0)
