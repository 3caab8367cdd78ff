"""Saving classifiers, and loading them safely into the class they were saved from."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import torch
from torch import nn

from mi_lightning.errors import MIError


def class_path(cls: type) -> str:
    """Give the shortest dotted path by which ``cls`` can be imported."""
    module, name = cls.__module__, cls.__qualname__
    while getattr(sys.modules.get(module.rpartition(".")[0]), name, None) is cls:
        module = module.rpartition(".")[0]
    return f"{module}.{name}"


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
