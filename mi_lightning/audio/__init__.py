"""Sound in plain torch and NumPy: the mel scale, spectra, reading and preparing recordings."""

from __future__ import annotations

from mi_lightning.audio.files import DamagedAudioError, read_audio
from mi_lightning.audio.mel import hz_to_mel, mel_edges, mel_filters, mel_to_hz, triangles
from mi_lightning.audio.prepare import prepare_audio
from mi_lightning.audio.spectra import band_matrix, long_term_spectrum, modulation, power_spectra, spectral_distance

__all__ = [
    "DamagedAudioError",
    "band_matrix",
    "hz_to_mel",
    "long_term_spectrum",
    "mel_edges",
    "mel_filters",
    "mel_to_hz",
    "modulation",
    "power_spectra",
    "prepare_audio",
    "read_audio",
    "spectral_distance",
    "triangles",
]
