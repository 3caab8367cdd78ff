"""Weights of somebody else's model: read without running the file, and all of them or none."""

from __future__ import annotations

import copy
import fnmatch
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from mi_lightning.checkpoint import file_digest, plain_content
from mi_lightning.errors import InputError
from mi_lightning.extras import load_safetensors
from mi_lightning.io import one_line
from mi_lightning.nn.frozen import frozen_copy

Kind = Literal["state dict", "Lightning checkpoint", "safetensors", "TorchScript", "torch.export"]

#: Where training scripts keep the state dict within what they save.
NESTED = ("state_dict", "model_state_dict", "model")
#: What wrappers put before every name: DataParallel and DDP, torch.compile, and modules that hold the model.
PREFIXES = ("module.", "_orig_mod.", "model.", "net.")

_SHOWN = 3  # names in an error; the others are counted


class Weights(NamedTuple):
    """What a file holds.

    Attributes:
        file: Its path, as given.
        sha256: Its digest.
        kind: What it was.
        state: Tensors by name; empty for a program.
    """

    file: str
    sha256: str
    kind: Kind
    state: dict[str, Tensor]

    def describe(self) -> dict[str, Any]:
        """Return what a report says of it."""
        return {"file": self.file, "sha256": self.sha256, "kind": self.kind}


class Program(nn.Module):
    """A whole model that its file brings along, TorchScript or ``torch.export``, in evaluation mode.

    Neither kind does all that a module does: one refuses ``requires_grad_``, the other ``eval``.
    """

    def __init__(self, program: nn.Module) -> None:
        """Keep it, frozen: what is no leaf, as the weights of a copied one, cannot be frozen any more."""
        super().__init__()
        for parameter in program.parameters():
            parameter.requires_grad_(False)
        self.program = program
        self.training = False

    def forward(self, x: Tensor) -> Any:
        """Return what the program says."""
        return self.program(x)

    def train(self, mode: bool = True) -> Self:
        """Stay as it is."""
        return self


def read_weights_file(file: str | Path, *, field: str = "weights") -> Weights:
    """Read a state dict, bare or as training scripts nest it, a Lightning checkpoint, or safetensors.

    Nothing in the file is executed, and nothing is taken that the file announces but does not hold.

    Args:
        file: The file; what it is is told by its content.
        field: Argument that named it, for the errors.

    Raises:
        InputError: If it is missing or damaged, would run code when loaded, or holds no weights.
        MIError: If it is one of safetensors, and that package is missing.
    """
    path = _existing(file, field)
    kind = kind_of(path)
    if kind in ("TorchScript", "torch.export"):
        got = f"{path}, a program ({kind}), which can run any code when loaded"
        raise InputError(
            "a file of weights alone, or module: null and trust_file: true for a program that you trust", got, field
        )
    if kind == "safetensors":
        return Weights(str(file), file_digest(path), kind, _safetensors(path, field))
    _check_sizes(path, field)
    try:
        content = plain_content(path)
    except pickle.UnpicklingError as error:
        raise _no_plain_weights(path, error, field) from None
    except (OSError, RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError, MemoryError) as error:
        raise InputError("a file of weights", f"{path}, which is damaged: {_short(error)}", field) from None
    if isinstance(content, Mapping) and "pytorch-lightning_version" in content:
        kind = "Lightning checkpoint"
    state = _find_state(content, path, field)
    held = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in state.values()}
    if any(tensor.is_meta for tensor in state.values()) or sum(held.values()) > path.stat().st_size:
        raise InputError("a file of weights", f"{path}, which announces more than it holds", field)
    return Weights(str(file), file_digest(path), kind, state)


def with_weights(
    module: nn.Module, weights: Weights, *, ignore: Sequence[str] = (), field: str = "weights"
) -> nn.Module:
    """Return a copy of a module with the weights of a file. All weights, or an error.

    Args:
        module: The architecture; it stays as it is.
        weights: What was read. Prefixes that wrappers put before every name are taken off.
        ignore: Patterns such as ``loss.*`` of names in the file that are not the model's.
        field: Argument that named the file, for the errors.

    Raises:
        InputError: If names are missing, unexpected or of another shape.
    """
    state = {name: tensor for name, tensor in weights.state.items() if not _matches(name, ignore)}
    own = module.state_dict()
    state = _named_as(state, own)
    _compare(state, own, weights.file, type(module).__name__, field)
    # lazy layers take their shape while they load, and have no memory to share
    lazy = any(is_lazy(tensor) for tensor in own.values())
    loaded = copy.deepcopy(module) if lazy else frozen_copy(module, pack=False)
    # assigned, not copied over: the copy shares its memory with the module, which stays as it is
    typed = {
        name: tensor.detach().to(own[name].dtype) if isinstance(tensor, Tensor) and not lazy else tensor
        for name, tensor in state.items()
    }
    try:
        loaded.load_state_dict(typed, strict=False, assign=not lazy)  # compared above, with what may be missing
    except RuntimeError as error:
        raise InputError(f"weights that {type(module).__name__} takes", one_line(error), field) from error
    return loaded


def open_program(file: str | Path, *, trust_file: bool, field: str = "weights") -> tuple[nn.Module, Weights]:
    """Open a whole model, TorchScript or one of ``torch.export``, which can run code of its file.

    Args:
        file: The file.
        trust_file: Whether the user trusts it.
        field: Argument that named it, for the errors.

    Raises:
        InputError: If it is none or damaged, or is not trusted.
    """
    path = _existing(file, field)
    kind = kind_of(path)
    if kind not in ("TorchScript", "torch.export"):
        read_weights_file(file, field=field)  # which says what else is wrong with it
        raise InputError("module, the architecture that the weights belong to", "none", "module")
    if not trust_file:
        got = f"{path}, a program ({kind}), which can run any code when loaded"
        raise InputError("trust_file: true, if you made the file or trust who did, or a file of weights", got, field)
    digest = file_digest(path)
    try:
        with warnings.catch_warnings():  # it is on its way out of torch, and files of it are not
            warnings.filterwarnings("ignore", category=FutureWarning)
            if kind == "TorchScript":
                program = torch.jit.load(str(path), map_location="cpu").eval()
            else:
                program = torch.export.load(str(path)).module()
    except Exception as error:  # what such a file may raise nobody lists
        raise InputError(f"a program of {kind}", f"{path}, which fails: {_short(error)}", field) from error
    return Program(program), Weights(str(file), digest, kind, {})


def kind_of(path: Path) -> Kind:
    """Tell by its content what a file is; "state dict" for everything that torch.load might read."""
    with path.open("rb") as file:
        start = file.read(9)
    headed = len(start) == 9 and start[8:] == b"{" and int.from_bytes(start[:8], "little") < path.stat().st_size
    if headed or path.suffix == ".safetensors":
        return "safetensors"
    names = [entry.filename for entry in _entries(path)]
    inside = {name.partition("/")[2] for name in names}
    if "archive_format" in inside or "serialized_exported_program.json" in {*names, *inside}:
        return "torch.export"
    if "constants.pkl" in inside or any(name.startswith("code/") for name in inside):
        return "TorchScript"
    return "state dict"


def _existing(file: str | Path, field: str) -> Path:
    """Refuse what is no file."""
    path = Path(file)
    if path.is_dir():
        raise InputError("a file of weights", f"{file}, a folder (HuggingFaceModel opens those)", field)
    if not path.is_file():
        raise InputError("a file of weights that exists", file, field)
    try:
        path.open("rb").close()
    except OSError as error:
        raise InputError("a file of weights that can be read", f"{file}: {error.strerror}", field) from error
    return path


def _entries(path: Path) -> list[zipfile.ZipInfo]:
    """Return the entries of a zip file; none of any other file, and of a damaged one."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return []


def _check_sizes(path: Path, field: str) -> None:
    """Refuse a zip file whose entries are larger than itself: torch never compresses what it saves."""
    size, announced = path.stat().st_size, sum(entry.file_size for entry in _entries(path))
    if announced > size:
        raise InputError("a file of weights", f"{path}, {size} bytes that announce {announced}", field)


def _safetensors(path: Path, field: str) -> dict[str, Tensor]:
    package = load_safetensors()
    try:
        state: dict[str, Tensor] = package.load_file(str(path))
    except Exception as error:  # a class of its own, beside those of the system
        raise InputError("a file of safetensors", f"{path}, which is damaged: {_short(error)}", field) from error
    if not state:
        raise InputError("a file of weights", f"{path}, which holds none", field)
    return state


def _find_state(content: Any, path: Path, field: str) -> dict[str, Tensor]:
    """Find the state dict in what a training script saved."""
    if _is_state(content):
        return dict(content)
    entries = content if isinstance(content, Mapping) else {}
    found = [name for name in NESTED if _is_state(entries.get(name))]
    if len(found) != 1:
        held = f" ({', '.join(map(str, list(entries)[:6]))})" if entries else ""
        several = f"several: {', '.join(found)}" if found else f"{type(content).__name__}{held}"
        wanted = f"a state dict, by itself or as one of {', '.join(NESTED)}"
        raise InputError(wanted, f"{path}, which holds a {several}" if not found else f"{path} with {several}", field)
    return dict(entries[found[0]])


def _is_state(value: object) -> bool:
    """Whether it is a mapping from names to tensors; the extra state of a module may be anything."""
    return (
        isinstance(value, Mapping)
        and any(isinstance(entry, Tensor) for entry in value.values())
        and all(
            isinstance(name, str) and (isinstance(entry, Tensor) or name.endswith("_extra_state"))
            for name, entry in value.items()
        )
    )


def _no_plain_weights(path: Path, error: Exception, field: str) -> InputError:
    """Say of a pickle which class it holds, and how to make weights of it."""
    named = re.search(r"GLOBAL (\S+)", str(error))
    what = f"a pickled {named[1]}" if named else "pickled objects"
    wanted = (
        "weights alone; where you trust the file, convert it: "
        "torch.save(torch.load(FILE, weights_only=False).state_dict(), NEW), of a checkpoint its entry 'state_dict'"
    )
    return InputError(wanted, f"{path}, {what} or a damaged file, which runs code when loaded", field)


def _variants(state: dict[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """Give the state under its own names, and under those without what wrappers put before every one."""
    yield state
    compiled = {name.replace("._orig_mod.", "."): tensor for name, tensor in state.items()}  # of a part of the model
    if len(compiled) == len(state):
        state = compiled
        yield state
    while prefix := next((each for each in PREFIXES if all(name.startswith(each) for name in state)), None):
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
        if not state or "" in state:
            return
        yield state


def _named_as(state: dict[str, Tensor], own: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the variant that shares most names with the module."""
    return max(_variants(state), key=lambda variant: len(variant.keys() & own.keys())) if state else state


def _compare(state: Mapping[str, Any], own: Mapping[str, Any], file: str, name: str, field: str) -> None:
    """Refuse anything but the same names and shapes.

    Raises:
        InputError: It names the first few of each kind and counts the rest.
    """
    # files of torch before 0.4.1 lack this count, which no model in evaluation mode looks at
    missing = [key for key in own if key not in state and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in state if key not in own]
    shapes = {
        key: (tuple(tensor.shape), tuple(own[key].shape))
        for key, tensor in state.items()
        if key in own and isinstance(own[key], Tensor) and isinstance(tensor, Tensor) and not is_lazy(own[key])
    }
    other = [f"{key} {theirs}, not {ours}" for key, (theirs, ours) in shapes.items() if theirs != ours]
    said = [
        f"{len(keys)} {what} ({', '.join(keys[:_SHOWN])}{f' and {len(keys) - _SHOWN} more' * (len(keys) > _SHOWN)})"
        for what, keys in (("missing", missing), ("unexpected", unexpected), ("of another shape", other))
        if keys
    ]
    if said:
        if missing or other:
            said.append("another architecture, or other arguments of it, made this file")
        hint = " (name what is not the model's in ignore)" * (unexpected != [] and not missing and not other)
        raise InputError(f"all {len(own)} weights of {name} and no others{hint}", f"{file}: {'; '.join(said)}", field)


def find_num_classes(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> int | None:
    """Tell the number of classes by which weights differ from those of the same architecture with others.

    Args:
        state: The weights, as in their file.
        own: Weights of the architecture with its usual number of classes.

    Returns:
        The first size of the tensors that differ in nothing else, if all agree on it; None if there are none.
    """
    named = _named_as(dict(state), own)
    theirs = {key: (tuple(tensor.shape), tuple(own[key].shape)) for key, tensor in named.items() if key in own}
    heads = {(a[0], b[0]) for a, b in theirs.values() if a != b and a[1:] == b[1:] and a}
    return heads.pop()[0] if len(heads) == 1 and all(a == b or a[1:] == b[1:] for a, b in theirs.values()) else None


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _short(error: BaseException) -> str:
    """The first sentence of an error."""
    return one_line(error).split(". ")[0][:200]
