"""Packages that only some parts need: imported on first use, with an error that says how to get them."""

from __future__ import annotations

import importlib
import os
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from mi_lightning.errors import MIError

_MODELS = 'pip install "mi-lightning[models]"'


class MissingPackageError(MIError):
    """A package that a part needs, and that is not installed or cannot be imported."""


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


def load_safetensors() -> ModuleType:
    """Import safetensors.torch, which reads files of weights that hold nothing else.

    Raises:
        MIError: If it cannot be imported.
    """
    _load("safetensors", "a file of safetensors is read by the package safetensors", _MODELS)
    return _load("safetensors.torch", "a file of safetensors is read by the package safetensors", _MODELS)


def load_torchvision() -> ModuleType:
    """Import torchvision.models, architectures by name.

    Raises:
        MIError: If it cannot be imported.
    """
    _load("torchvision", "the architecture is one of the package torchvision", _MODELS)
    return _load("torchvision.models", "the architecture is one of the package torchvision", _MODELS)


def load_timm() -> ModuleType:
    """Import timm, more architectures by name.

    Raises:
        MIError: If it cannot be imported.
    """
    return _load("timm", "the architecture is one of the package timm", _MODELS)


def load_transformers() -> ModuleType:
    """Import transformers, which opens folders of Hugging Face, and keep it from the network.

    Raises:
        MIError: If it cannot be imported.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when its parts are first imported
    return _load("transformers", "folders of Hugging Face are opened by the package transformers", _MODELS)


def load_skops() -> ModuleType:
    """Import skops, which reads estimators of scikit-learn without running code that comes with the file.

    Raises:
        MIError: If it cannot be imported.
    """
    reason = "an estimator of scikit-learn is read from a file by the package skops"
    return _load("skops.io", reason, 'pip install "mi-lightning[skops]"')


def load_httpx() -> ModuleType:
    """Import httpx, which asks servers.

    Raises:
        MIError: If it cannot be imported.
    """
    return _load("httpx", "a server is asked by the package httpx", 'pip install "mi-lightning[http]"')


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
        raise MissingPackageError(f"{reason}, which {' '.join(why.split())}; {remedy}") from error
