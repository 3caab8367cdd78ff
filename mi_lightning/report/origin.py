"""What made a run: the command, the machine, and the versions of the packages."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

#: Packages that decide what an attack finds, beside Python and torch.
PACKAGES = ("mi-lightning", "lightning", "torchmetrics", "numpy")


def package_versions(packages: Sequence[str] = PACKAGES) -> dict[str, str | None]:
    """Versions of Python, torch and the packages; None for one that is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version(), "torch": str(torch.__version__)}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # run from a source tree that was not installed
            found[name] = None
    return found


def run_info() -> dict[str, Any]:
    """How this process was started, and on what: no names of hosts or users."""
    path = Path(sys.argv[0])
    program = ["python", "-m", path.parent.name] if path.name == "__main__.py" else [path.name]
    return {
        "command": shlex.join([*program, *sys.argv[1:]]),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "accelerator": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
    }
