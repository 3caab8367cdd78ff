"""Packages that only some parts need: imported on first use, with an error that says how to get them."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from mi_lightning.errors import MIError


def load_soundfile() -> ModuleType:
    """Import soundfile, which reads and writes WAV, FLAC, MP3, Ogg, Opus and NIST SPHERE.

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


def load_dlib() -> ModuleType:
    """Import dlib, which finds faces.

    Raises:
        MIError: If it cannot be imported.
    """
    reason = "faces are found by the package dlib-bin (CPython 3.11 and later)"
    return _load("dlib", reason, 'pip install "mi-lightning[judges]"')


def load_onnxruntime() -> ModuleType:
    """Import onnxruntime, which runs networks that were saved as ONNX.

    Raises:
        MIError: If it cannot be imported.
    """
    return _load("onnxruntime", "an ONNX file is run by the package onnxruntime", 'pip install "mi-lightning[onnx]"')


def package_file(package: str, *parts: str) -> Path | None:
    """Find a file that a package carries, without importing the package, which may need others that nothing here uses.

    Returns:
        The file; None if the package, or the file in it, is not there.
    """
    spec = find_spec(package)
    folders = spec.submodule_search_locations if spec is not None else None
    return next((path for folder in folders or () if (path := Path(folder, *parts)).is_file()), None)


def _load(name: str, reason: str, remedy: str) -> ModuleType:
    """Import a module, or say in one line what needs it and how to get it."""
    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:  # OSError: a shared library that it needs is missing
        why = "is not installed" if isinstance(error, ModuleNotFoundError) and error.name == name else f"fails: {error}"
        raise MIError(f"{reason}, which {' '.join(why.split())}; {remedy}") from error
