"""Files of weights, read without running them; digests of weights and files; the path by which a class is imported."""

from __future__ import annotations

import hashlib
import json
import pickle
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mi_lightning.errors import MIError


def class_path(cls: type) -> str:
    """Give the shortest dotted path by which ``cls`` can be imported: that of the uppermost package which exports it.

    The root of a package is left out, for a root may load its names late: ``mi_lightning.data.AttFaces`` and not
    ``mi_lightning.AttFaces``. A class that no package exports, or whose name there belongs to something else, keeps the
    path of the module that it is defined in. A class made inside a function is named, although it cannot be imported.

    Example:
        >>> from fractions import Fraction
        >>> class_path(Fraction), class_path(nn.Linear)
        ('fractions.Fraction', 'torch.nn.Linear')
    """
    name = cls.__qualname__
    parents = cls.__module__.split(".")
    for depth in range(2, len(parents)):
        package = ".".join(parents[:depth])
        # vars, not getattr: asking a package that loads its names late would load them
        if vars(sys.modules.get(package, type)).get(name) is cls:
            return f"{package}.{name}"
    return f"{cls.__module__}.{name}"


def weights_digest(module: nn.Module) -> str:
    """SHA-256 over the names, types, shapes and values of a module's state: equal only for the same weights."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        value = value.detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file.

    Raises:
        MIError: If it cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MIError(f"cannot read {path}: {error.strerror}") from error


def plain_digest(tree: object) -> str:
    """SHA-256 of plain values, whatever the order of the keys, hexadecimal."""
    return hashlib.sha256(json.dumps(tree, sort_keys=True, default=str).encode()).hexdigest()


def plain_content(path: Path) -> Any:
    """Read a file that torch wrote, onto the CPU: tensors and plain values only, nothing in it is executed.

    Raises:
        pickle.UnpicklingError: If it holds anything else. `torch.load` raises many others where a file is damaged.
    """
    with warnings.catch_warnings():  # of pickles that torch did not write; what callers say of them is better
        warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
        return torch.load(path, map_location="cpu", weights_only=True)


def read_weights(path: Path) -> Any:
    """Read a file of weights, see `plain_content`.

    Raises:
        MIError: If it cannot be read, or holds anything but plain values.
    """
    try:
        return plain_content(path)
    except (OSError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, IndexError, TypeError):
        raise MIError(f"{path} holds no plain weights: it is damaged, or would run code when loaded") from None
