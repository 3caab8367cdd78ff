"""Files of weights, read without running them; digests of weights and files; the path by which a class is imported."""

from __future__ import annotations

import hashlib
import json
import pickle
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mi_lightning.errors import InputError, MIError

_WRAPPERS = ("module.", "_orig_mod.", "model.")  # what DataParallel, torch.compile and Lightning put before names


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
        warnings.filterwarnings("ignore", "'torch.load' received a zip file that looks like a TorchScript", UserWarning)
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


def check_weights(module: nn.Module, path: str | Path, sha256: str = "") -> str:
    """Refuse a module whose weights are not those of the file that it is said to be loaded from.

    Args:
        module: The module.
        path: A file of tensors that torch wrote: a state dict, or one within a checkpoint; prefixes that wrappers put
            before the names (``module.``, ``_orig_mod.``, ``model.``) do not matter.
        sha256: Digest of the file, from whoever loaded it: a file that is not there, or of another layout, is then
            believed.

    Returns:
        SHA-256 of the file.

    Raises:
        InputError: If the weights differ, or the file is another one than the digest says.
        MIError: If the file cannot be read, or holds no such weights.
    """
    path, field = Path(path), "checkpoint"
    if sha256 and not path.is_file():
        return sha256
    found = file_digest(path)
    if sha256 and sha256 != found:
        raise InputError(f"the file of SHA-256 {sha256[:12]}...", f"{path}, whose is {found[:12]}...", field)
    try:
        written = read_weights(path)
    except MIError:
        if sha256:
            return found
        raise
    own = {name: value for name, value in module.state_dict().items() if isinstance(value, torch.Tensor)}
    for held in _state_dicts(written):
        if held.keys() >= own.keys():
            wrong = next((name for name, value in own.items() if not _same_weight(value, held[name])), None)
            if wrong is None:
                return found
            got = f"{type(module).__name__} with other weights, such as {wrong}: load them before it is attacked"
            raise InputError(f"a module with the weights of {path}", got, field)
    if sha256:
        return found
    names = ", ".join(list(own)[:2])
    raise InputError(f"the weights of a {type(module).__name__} ({names}, ...) in {path}", "others or none", field)


def _state_dicts(tree: object) -> Iterator[dict[str, torch.Tensor]]:
    """All mappings of names to tensors in what a file holds, without the prefixes of wrappers."""
    if not isinstance(tree, Mapping):
        return
    tensors = {str(name): value for name, value in tree.items() if isinstance(value, torch.Tensor)}
    while tensors:
        yield tensors
        prefix = next((each for each in _WRAPPERS if all(name.startswith(each) for name in tensors)), None)
        if prefix is None:
            break
        tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    for value in tree.values():
        yield from _state_dicts(value)


def _same_weight(own: torch.Tensor, held: torch.Tensor) -> bool:
    """Whether two weights are the same, the module's perhaps in another type."""
    return own.shape == held.shape and torch.equal(own.cpu(), held.to(own.dtype))
