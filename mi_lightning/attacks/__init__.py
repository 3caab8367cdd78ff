"""Attacks by the names of the literature, and the parts that they are made of.

>>> import mi_lightning as mi
>>> mi.attacks.mi_face(gamma=0.1).max_iterations
5000
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = [
    "Attack",
    "adaptive",
    "blurred_spsa",
    "disguise",
    "dvector",
    "finite_differences",
    "gan",
    "gradient_descent",
    "latent",
    "latent_descent",
    "mi_face",
    "momentum",
    "nes",
    "nes_speech",
    "process_dae",
    "public_faces",
    "public_speech",
    "sliding",
    "smoothgrad",
    "spsa",
    "spsa_speech",
    "standard",
    "waveform",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is asked for: the parts in the folders below import this package first."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{'attack' if name == 'Attack' else 'literature'}"), name)


def __dir__() -> list[str]:
    """Name what there is."""
    return sorted({*globals(), *__all__})
