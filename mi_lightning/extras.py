"""Packages that only some parts need: imported on first use, with an error that says how to get them."""

from __future__ import annotations

import importlib
from types import ModuleType

from mi_lightning.errors import MIError


def load_soundfile() -> ModuleType:
    """Import soundfile, which reads and writes WAV, FLAC and NIST SPHERE.

    Raises:
        MIError: If it cannot be imported.
    """
    return _load("soundfile", "audio files are read by the package soundfile", 'pip install "mi-lightning[speech]"')


def load_espeakng() -> ModuleType:
    """Import espeakng-loader, which brings the library espeak-ng and its voices.

    Raises:
        MIError: If it cannot be imported.
    """
    reason = "synthetic voices are spoken by the package espeakng-loader"
    return _load("espeakng_loader", reason, 'pip install "mi-lightning[speech]", or use recordings')


def load_torchaudio() -> ModuleType:
    """Import torchaudio.

    Raises:
        MIError: If it cannot be imported; the message names the versions that go together.
    """
    import torch

    remedy = (
        f"torchaudio 2.11, its last release, goes with torch 2.11 to 2.14 from PyPI (here: torch {torch.__version__}), "
        'not with 2.15 and not with a build for the CPU only: pip install "torch>=2.11,<2.15" "torchaudio>=2.11,<2.12"'
    )
    return _load("torchaudio", "this part works by the package torchaudio", remedy)


def _load(name: str, reason: str, remedy: str) -> ModuleType:
    """Import a module, or say in one line what needs it and how to get it."""
    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:  # OSError: a shared library that it needs is missing
        why = "is not installed" if isinstance(error, ModuleNotFoundError) and error.name == name else f"fails: {error}"
        raise MIError(f"{reason}, which {' '.join(why.split())}; {remedy}") from error
