"""Modules of the user's own whose classes configurations and checkpoints may name: imported because somebody said so.

Nothing else is ever imported from the working folder.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

from mi_lightning.errors import InputError, MIError

#: Environment variable with the names, separated by commas: what is set here holds in the processes started from here.
VARIABLE = "MI_LIGHTNING_IMPORT"

#: Whose classes and functions may be named unasked: parts, not tools that run or read what they are given.
PACKAGES = (
    "mi_lightning",
    "torch.optim",
    "torch.nn",
    "lightning.pytorch.accelerators",
    "lightning.pytorch.callbacks",
    "lightning.pytorch.loggers",
    "lightning.pytorch.plugins",
    "lightning.pytorch.profilers",
    "lightning.pytorch.strategies",
    "lightning.fabric.plugins",
    "torchvision.models",
    "torchvision.transforms",
    "timm.models",
)

#: What a name that nobody imported can be told.
REMEDY = "import its module first: on the command line --import"


def active() -> tuple[str, ...]:
    """Names of the modules that were asked for, by the environment variable and by what runs now (`using`)."""
    return tuple(name.strip() for name in os.environ.get(VARIABLE, "").split(",") if name.strip())


def is_named(module: str) -> bool:
    """Whether a module lies in a package that was asked for, or is one."""
    return _top(module) in {_top(name) for name in active()}


def check_path(path: str, field: str = "") -> None:
    """Refuse the dotted path of what nobody asked for: what data name is code.

    Raises:
        InputError: If it is not of `PACKAGES` and not of a module that was asked for.
    """
    if not is_named(path) and not any(f"{path}.".startswith(f"{package}.") for package in PACKAGES):
        raise refused(path, field)


def refused(path: str, field: str = "") -> InputError:
    """What is said of a dotted path of what nobody asked for."""
    own = f" (--import {_top(path)})" if _top(path) not in sys.stdlib_module_names else ""
    known = "mi_lightning, torch.optim, torch.nn, torchvision.models, timm.models, Lightning's parts"
    return InputError(f"a class or function of {known}, or of a module that was asked for{own}", path, field)


@contextmanager
def using(names: Iterable[str], field: str = "imports") -> Iterator[None]:
    """Import modules, and let their names hold while the context lasts, in processes that are started meanwhile, too.

    Args:
        names: Names of modules.
        field: What named them, for errors.

    Raises:
        InputError: If there is no such module, or its name belongs to another.
        MIError: If it fails when it is imported.
    """
    names = list(names)
    for name in names:
        import_named(name, field)
    before = os.environ.get(VARIABLE)
    if names:
        os.environ[VARIABLE] = ",".join(dict.fromkeys([*active(), *names]))
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = before


def import_named(name: str, field: str = "imports") -> ModuleType:
    """Import a module that was asked for: one that is installed, or one of the working folder.

    The working folder is looked at last, and only until the module and what it imports at its top are there.

    Args:
        name: Its dotted name.
        field: What named it, for errors.

    Raises:
        InputError: If there is no such module, or it has the name of a module of Python or of an installed package.
        MIError: If it fails when it is imported.
    """
    found = _find(name, field)
    loaded = sys.modules.get(_top(name))
    if loaded is not None and _place(loaded.__spec__) not in (None, _place(found)):
        raise InputError(
            "one module of a name in a process", f"{name} of {_place(found)}, after {_place(loaded.__spec__)}", field
        )
    try:
        with _working_folder():
            return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever the user's module does
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and f"{name}.".startswith(f"{missing}."):
            raise InputError("a module that exists", f"{name}: {missing} is not in {_place(found)}", field) from None
        # not `from error`: it may be one of ours, and the command line shows the innermost of those
        raise MIError(f"cannot import {name}: {_cause(error)} ({field})") from None


def code_digest(name: str) -> str:
    """SHA-256 over the source files of a module that is imported: of a package, all that lie below it."""
    module = sys.modules[name]
    folders = [Path(folder) for folder in getattr(module, "__path__", [])]
    files = {path.relative_to(folder).as_posix(): path for folder in folders for path in folder.rglob("*.py")}
    if not folders and module.__file__ is not None:
        files = {Path(module.__file__).name: Path(module.__file__)}
    digest = hashlib.sha256()  # not those of `checkpoint`, which imports torch
    for key, path in sorted(files.items()):
        digest.update(f"{key}\n".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _top(name: str) -> str:
    """The package that a module lies in, or the module itself."""
    return name.partition(".")[0]


def _find(name: str, field: str) -> ModuleSpec:
    """Find the top package of a module.

    Raises:
        InputError: If it is not to be had by that name.
    """
    if name.endswith(".py") or not all(part.isidentifier() for part in name.split(".")):
        plain = name.removesuffix(".py").strip("./").replace("/", ".")
        hint = f"; a file is named without its ending: {plain}" if name.endswith(".py") else ""
        raise InputError("the dotted name of a module, such as mynet", f"{name}{hint}", field)
    top, folder = _top(name), Path.cwd()
    importlib.invalidate_caches()  # it may have been written a moment ago
    here, there = PathFinder.find_spec(top, [str(folder)]), _elsewhere(top, folder)
    if top in sys.stdlib_module_names:
        mend = f"; rename {_place(here)}" if here is not None else ""
        raise InputError("a module that is no part of Python", f"{name}{mend}", field)
    if here is not None and here.origin is not None and there is not None and _place(here) != _place(there):
        both = f"{name}: {_place(here)} would hide {_place(there)}; rename it"
        raise InputError("a name that no installed package has", both, field)
    found = there or here  # a folder without __init__.py hides nothing
    if found is None:
        raise InputError(
            "a module that exists", f"{name}: there is no {top}.py or {top}/ in {folder}, nor such a package", field
        )
    return found


def _elsewhere(top: str, folder: Path) -> ModuleSpec | None:
    """Find a package where Python looks, but for the working folder."""
    paths = [path for path in sys.path if Path(path).resolve() != folder.resolve()]
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        spec: ModuleSpec | None = find and find(top, paths if finder is PathFinder else None)
        if spec is not None:
            return spec
    return None


def _place(spec: ModuleSpec | None) -> str | None:
    """File or folder of a module; None if it has none."""
    if spec is None:
        return None
    return spec.origin or next(iter(spec.submodule_search_locations or ()), None)


@contextmanager
def _working_folder() -> Iterator[None]:
    """Let Python look into the working folder, after everywhere else."""
    folder = str(Path.cwd())
    added = folder not in sys.path
    if added:
        sys.path.append(folder)
    try:
        yield
    finally:
        if added and folder in sys.path:
            sys.path.remove(folder)


def _cause(error: BaseException) -> str:
    """What went wrong in a module, and in which line of the working folder, in one line."""
    said = " ".join(str(error).split())
    folder = str(Path.cwd())
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(folder)]
    where = f", {Path(lines[-1].filename).relative_to(folder)} line {lines[-1].lineno}" if lines else ""
    return f"{type(error).__name__}: {said}{where}" if said else f"{type(error).__name__}{where}"
