"""Saving classifiers, and loading them safely into the class they were saved from."""

from __future__ import annotations

import importlib
import inspect
import pickle
import sys
from pathlib import Path
from typing import Any

import lightning
import torch

from mi_lightning.checkpoint import plain_content
from mi_lightning.classifiers.base import FORMAT_VERSION, Classifier
from mi_lightning.errors import MIError
from mi_lightning.imports import REMEDY, is_named
from mi_lightning.io import write_atomically


def save_classifier(classifier: Classifier, path: str | Path) -> None:
    """Write a classifier so that `load_classifier` finds everything in the file.

    The file appears whole or not at all. Its folder is made if needed.

    Args:
        classifier: What to save; weights are copied to the CPU.
        path: File to write; one that is there is replaced.

    Raises:
        MIError: If the file cannot be written.
    """
    checkpoint: dict[str, Any] = {
        "pytorch-lightning_version": lightning.__version__,  # so that Lightning's load_from_checkpoint takes it, too
        "state_dict": {name: value.detach().cpu().contiguous() for name, value in classifier.state_dict().items()},
        "hyper_parameters": classifier.init_args,
    }
    classifier.on_save_checkpoint(checkpoint)
    write_atomically(path, lambda file: torch.save(checkpoint, file), what="the checkpoint")


def load_classifier(path: str | Path, field: str = "") -> Classifier:
    """Make the classifier that a checkpoint holds, on the CPU and in eval mode.

    Nothing in the file is executed: it is read with ``weights_only=True``, and the class that it names must be a
    `Classifier` of mi_lightning, of a module that is already imported, or of one that was asked for (`imports`).
    The global random state is left as it was.

    Args:
        path: Checkpoint of `save_classifier`, or of Lightning's ``ModelCheckpoint``.
        field: Argument that named the file, for the error.

    Returns:
        The classifier, with its ``training_info``.

    Raises:
        MIError: If the file is missing, damaged, or holds no such classifier.
    """
    try:
        return _load(Path(path))
    except MIError as error:
        if not field:
            raise
        raise MIError(f"{error} ({field})") from error


def _load(path: Path) -> Classifier:
    """Read, check and make."""
    if not path.is_file():
        raise MIError(f"no checkpoint at {path}: train the classifier first (mi-lightning fit), or correct the path")
    try:
        checkpoint = plain_content(path)
    except pickle.UnpicklingError:
        raise MIError(
            f"{path} is no checkpoint of plain tensors and values: it is damaged, or would run code when loaded"
        ) from None
    except PermissionError as error:
        raise MIError(f"cannot read the checkpoint {path}: {error.strerror}") from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise MIError(f"the checkpoint {path} is truncated or damaged: train the classifier again") from None
    entry = checkpoint.get("mi_lightning") if isinstance(checkpoint, dict) else None
    if not isinstance(entry, dict) or not {"state_dict", "hyper_parameters"} <= checkpoint.keys():
        raise MIError(f"{path} is no classifier checkpoint of mi_lightning")
    if entry.get("format_version") != FORMAT_VERSION:
        raise MIError(
            f"expected checkpoint format {FORMAT_VERSION}, got {entry.get('format_version')} in {path}: "
            "train the classifier again with this version"
        )
    cls = _find_class(str(entry.get("class_path")), path)
    try:
        with torch.random.fork_rng(devices=[]):  # the weights drawn here are overwritten
            classifier = cls(**checkpoint["hyper_parameters"])
        classifier.load_state_dict(checkpoint["state_dict"])
        classifier.on_load_checkpoint(checkpoint)
    except (TypeError, ValueError, KeyError, AttributeError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        # not `from error`: it may be one of ours, and the command line shows the first of those, which knows no path
        raise MIError(f"the checkpoint {path} does not fit {cls.__name__}: {reason}") from None
    return classifier.eval()


def _find_class(class_path: str, path: Path) -> type[Classifier]:
    """Give the classifier of that dotted path, importing nothing but mi_lightning and packages that were asked for."""
    module_name, _, name = class_path.rpartition(".")
    module = module_name
    if module_name.split(".")[0] == "mi_lightning" or is_named(module_name):
        try:
            importlib.import_module(module_name)
        except ImportError:
            module_name = ""  # reported below
    cls = getattr(sys.modules.get(module_name), name, None)
    if cls is None:
        raise MIError(f"{path} holds a {class_path}, which is unknown: {REMEDY} {module}")
    if not (isinstance(cls, type) and issubclass(cls, Classifier)) or inspect.isabstract(cls):
        raise MIError(f"{path} holds a {class_path}, which is no classifier")
    return cls
