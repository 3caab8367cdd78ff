"""What is installed here and what it can do: one page for a report of a fault. It needs no torch."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from packaging.requirements import InvalidRequirement, Requirement

from mi_lightning import __version__, extras, imports
from mi_lightning.errors import GateError, InputError, MIError
from mi_lightning.io import ensure_writable, one_line, writing_nothing
from mi_lightning.workers import cores

#: What each extra of the package is for; `dev`, `docs` and `test` are for those who work on the package itself.
EXTRAS = {
    "blackbox": "attacks by CMA-ES",
    "priors": "a generator of faces of nobody, as public knowledge of an attack",
    "speech": "reading and writing sound, voices made on the spot; needs torch's CUDA build, by way of torchaudio",
    "judges": "the outside judge of faces (that of voices: pip install --no-deps Resemblyzer==0.1.4)",
    "onnx": "networks in ONNX files, as targets and judges",
    "http": "targets behind HTTP",
    "skops": "files of scikit-learn models as targets",
    "models": "networks of torchvision, timm and Hugging Face by name",
    "wandb": "runs in Weights & Biases",
    "mlflow": "runs in MLflow",
    "vocoder": "a neural vocoder for voices that were reconstructed",
}
_FOR_DEVELOPERS = {"dev", "docs", "test"}

#: Variables that decide how many threads work and how they wait.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_WAIT_POLICY")
_OTHERS = (imports.VARIABLE, "CUDA_VISIBLE_DEVICES", "XDG_CACHE_HOME", "PYTHONPATH")

#: Weights of judges: module and name of a `PackagedWeights`.
_WEIGHTS = (
    ("mi_lightning.recognisers.dlib_faces", "NETWORK"),
    ("mi_lightning.recognisers.dlib_faces", "LANDMARKS"),
    ("mi_lightning.recognisers.ge2e_voices", "WEIGHTS"),
)

_GIB = 2**30
_LEAST_DISK = 1 * _GIB
_LEAST_PYTHON = (3, 11)


class _Parser(argparse.ArgumentParser):
    """Parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        raise MIError(f"{message} (mi-lightning doctor --help)")


def doctor(arguments: Sequence[str]) -> None:
    """Print what is installed and what it can do.

    Args:
        arguments: Flags.

    Raises:
        MIError: If there is no such flag.
        GateError: If something is broken that every user needs; the report is printed all the same.
    """
    parser = _Parser(
        prog="mi-lightning doctor",
        description="Print what is installed here and what it can do: one page to paste into a report of a fault. It "
        "names no user and no machine. Exit status 3 if something is broken that every user needs, else 0.",
    )
    parser.add_argument("--json", action="store_true", help="the same as JSON")
    own = parser.add_argument("--import", dest="modules", metavar="MODULE", action="append", default=[])
    own.help = "a module of yours to try, too; may be given several times"
    parser.add_argument(
        "--dry-run", "--dry_run", action="store_true", help="do not try to write into the folder, either"
    )
    given = parser.parse_args(list(arguments))
    with writing_nothing() if given.dry_run else nullcontext():
        found = examine([*imports.active(), *given.modules])
    sys.stdout.write(json.dumps(found, indent=2) + "\n" if given.json else _page(found))
    if found["problems"]:
        raise GateError("\n".join(found["problems"]))


def examine(modules: Sequence[str] = ()) -> dict[str, Any]:
    """Look at everything, and at modules of the user's; a part that cannot be looked at says why.

    Returns:
        Plain values, without the names of user and machine: ``problems`` (what is broken, in words), and one entry for
        each section of the page.
    """
    problems: list[str] = []
    sections: dict[str, Callable[[], Any]] = {
        "system": lambda: _system(problems),
        "packages": lambda: _packages(problems),
        "torch": lambda: _torch(problems),
        "extras": _extras,
        "optional packages": _optional,
        "weights of judges": lambda: _weights(problems),
        "modules of yours": lambda: {name: _tried(partial(_imported, name)) for name in modules},
        "memory": _memory,
        "threads": _threads,
        "disk": lambda: _disk(problems),
        "environment": lambda: {name: os.environ[name] for name in _OTHERS if name in os.environ},
    }
    found = {title: _tried(section) for title, section in sections.items()}
    found = {title: content for title, content in found.items() if content}
    whole: dict[str, Any] = _without_names({"problems": problems, **found})
    return whole


def _tried(look: Callable[[], Any]) -> Any:
    """What a look gives, or in one line why it fails: nothing here may end in a traceback."""
    try:
        return look()
    except Exception as error:  # noqa: BLE001  # whatever is broken is what is told
        return f"fails: {type(error).__name__}: {one_line(error)}"


def _system(problems: list[str]) -> dict[str, Any]:
    if sys.version_info[:2] < _LEAST_PYTHON:
        problems.append(f"expected Python 3.11 or later, got {platform.python_version()}")
    return {
        "mi-lightning": __version__,
        "python": f"{platform.python_version()} ({platform.python_implementation()}, {sys.prefix})",
        "platform": platform.platform(),
        "machine": platform.machine(),
    }


def _requirements() -> list[Requirement]:
    """What the package says that it needs, extras included; nothing where it is not installed."""
    found = []
    for line in importlib.metadata.requires("mi-lightning") or []:
        try:
            found.append(Requirement(line))
        except InvalidRequirement:  # of a newer installer
            continue
    return found


def _of_extra(requirement: Requirement, extra: str) -> bool:
    """Whether an extra (none: the package itself) asks for this here; a marker may leave a version of Python out."""
    return (
        requirement.marker is None
        if not extra
        else bool(
            requirement.marker is not None
            and not requirement.marker.evaluate({"extra": ""})
            and requirement.marker.evaluate({"extra": extra})
        )
    )


def _state(requirement: Requirement) -> tuple[str, bool]:
    """Version of a package that is needed, and whether it will do."""
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed", False
    if requirement.specifier.contains(version, prereleases=True):
        return version, True
    return f"{version}, but {requirement.specifier} is needed", False


def _packages(problems: list[str]) -> dict[str, Any]:
    found = {}
    for requirement in _requirements():
        if _of_extra(requirement, ""):
            found[requirement.name], fits = _state(requirement)
            if not fits:
                problems.append(f"{requirement.name}: {found[requirement.name]} (pip install -U mi-lightning)")
    return found


def _torch(problems: list[str]) -> dict[str, Any] | str:
    try:
        torch = import_module("torch")
        lightning = import_module("lightning")
    except Exception as error:  # noqa: BLE001  # a shared library that is missing, for one
        problems.append(f"torch and lightning cannot be imported: {type(error).__name__}: {one_line(error)}")
        return "cannot be imported"
    cuda = torch.cuda.is_available()
    devices = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())] if cuda else []
    return {
        "torch": torch.__version__,
        "lightning": lightning.__version__,
        "build": f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU only: the extra speech cannot be used",
        "GPU": ", ".join(f"{device.name} ({_bytes(device.total_memory)})" for device in devices) or "none",
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
    }


def _extras() -> dict[str, Any]:
    names = importlib.metadata.metadata("mi-lightning").get_all("Provides-Extra") or []
    found = {}
    for extra in sorted(set(names) - _FOR_DEVELOPERS):
        states = [(each.name, *_state(each)) for each in _requirements() if _of_extra(each, extra)]
        missing = [f"{name} {version}" for name, version, fits in states if not fits]
        told = f"missing ({', '.join(missing)})" if missing else "installed"
        found[extra] = told + (f": {EXTRAS[extra]}" if extra in EXTRAS else "")
    return found


def _optional() -> dict[str, Any]:
    """Whether each package that some parts import on first use can be imported."""
    loads = {name.removeprefix("load_"): load for name, load in vars(extras).items() if name.startswith("load_")}
    found = {}
    for name, load in sorted(loads.items()):
        try:
            module = load()
            found[name] = str(getattr(module, "__version__", "ok"))
        except MIError as error:
            found[name] = str(error)
    return found


def _weights(problems: list[str]) -> dict[str, Any]:
    found = {}
    for module, name in _WEIGHTS:
        weights = getattr(import_module(module), name)
        try:
            weights.checked()
            found[weights.name] = f"ok, SHA-256 {weights.sha256}"
        except MIError as error:
            found[weights.name] = str(error)
            if "not installed" not in str(error):
                problems.append(str(error))
    return found


def _imported(name: str) -> str:
    imports.import_named(name, "--import")
    return f"ok, SHA-256 of its code {imports.code_digest(name)}"


def _memory() -> dict[str, Any]:
    found = {}
    for line in _lines("/proc/meminfo"):
        key, _, value = line.partition(":")
        if key in ("MemTotal", "MemAvailable", "SwapFree"):
            found[{"MemTotal": "all", "MemAvailable": "free", "SwapFree": "swap free"}[key]] = _bytes(
                int(value.split()[0]) * 1024
            )
    for title, path in (("limit of the cgroup", _cgroup("memory.max")), ("used of it", _cgroup("memory.current"))):
        if path is not None and (value := "".join(_lines(path)).strip()).isdecimal():
            found[title] = _bytes(int(value))
    if importlib.util.find_spec("resource") is not None:  # not on every system
        resource = import_module("resource")
        for title, name in (
            ("ulimit -v", "RLIMIT_AS"),
            ("ulimit -d", "RLIMIT_DATA"),
        ):
            soft = resource.getrlimit(getattr(resource, name))[0]
            if soft != resource.RLIM_INFINITY:
                found[title] = _bytes(soft)
    return found


def _threads() -> dict[str, Any]:
    limit = "".join(_lines(_cgroup("cpu.max") or "")).split()
    limited = len(limit) == 2 and limit[0].isdecimal()
    shares = {"limit of the cgroup": f"{int(limit[0]) / int(limit[1]):.2f} cores"} if limited else {}
    told = {name: os.environ.get(name, "not set") for name in _THREADS}
    if "OMP_WAIT_POLICY" not in os.environ:
        told["OMP_WAIT_POLICY"] = "not set (the other commands set it to passive)"
    return {"cores": cores(), **shares, **told}


def _disk(problems: list[str]) -> dict[str, Any]:
    folder = Path.cwd()
    free = shutil.disk_usage(folder).free
    if free < _LEAST_DISK:
        problems.append(f"{_bytes(free)} are free where the working folder is: results may not be written")
    try:
        ensure_writable(folder)
        writable = "yes"
    except InputError as error:
        writable = str(error)
        problems.append(f"the working folder cannot be written: {error.got}")
    return {"working folder": str(folder), "free": _bytes(free), "writable": writable}


def _cgroup(name: str) -> str | None:
    """File of the group of processes that this one belongs to (version 2), or of the whole container."""
    for line in _lines("/proc/self/cgroup"):
        _, _, inner = line.partition("::")
        for path in (f"/sys/fs/cgroup{inner.strip()}/{name}", f"/sys/fs/cgroup/{name}"):
            if Path(path).is_file():
                return path
    old = Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")
    return str(old) if name == "memory.max" and old.is_file() else None


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8").splitlines() if path else []
    except OSError:
        return []


def _bytes(number: int) -> str:
    return f"{number / _GIB:.1f} GiB" if number < 2**60 else "none"


def _without_names(tree: Any) -> Any:
    """Plain values in which neither the home folder nor the name of the user stands."""
    if isinstance(tree, Mapping):
        return {key: _without_names(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_without_names(value) for value in tree]
    if not isinstance(tree, str):
        return tree
    try:
        home = str(Path.home())
    except RuntimeError:  # nobody's
        home = ""
    text = re.sub(rf"{re.escape(home)}(?=/|\\|:|$|\s|[),;'\"])", "~", tree) if len(home) > 1 else tree
    users = {os.environ.get("USER", ""), os.environ.get("LOGNAME", ""), os.environ.get("USERNAME", ""), Path(home).name}
    for user in users - {"", "root"}:
        text = re.sub(rf"(?<=[/\\]){re.escape(user)}(?=[/\\]|$|[\s:),;])", "USER", text)
    return text


def _page(found: Mapping[str, Any]) -> str:
    """The page for people."""
    problems = found["problems"]
    lines = ["mi-lightning doctor", "", f"problems: {'none' if not problems else ''}".rstrip()]
    lines += [f"  {problem}" for problem in problems]
    for title, content in found.items():
        if title == "problems":
            continue
        lines += ["", title if isinstance(content, Mapping) else f"{title}: {content}"]
        if isinstance(content, Mapping):
            width = min(34, max(map(len, content)))
            lines += [f"  {key:<{width}}  {value}" for key, value in content.items()]
    return "\n".join(lines) + "\n"
