"""How much memory is left for an attack, and whether an error says that it was not enough."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

_RESOURCE: Any = import_module("resource") if find_spec("resource") else None  # not on every system

#: Limits of a process, and the line of ``/proc/self/status`` that says how much of each is used.
_LIMITS = {"RLIMIT_AS": "VmSize", "RLIMIT_DATA": "VmData", "RLIMIT_RSS": "VmRSS"}

#: What torch, oneDNN and C++ say when memory is short.
_SAID = ("can't allocate memory", "not enough memory", "out of memory", "bad_alloc", "could not create a memory object")


def free_memory(device: torch.device | str = "cpu", *, root: str | Path = "/") -> int | None:
    """Return how many bytes this process may still take, None where nobody says.

    On a CPU it is the least of what the system has, what each limit on the group of processes leaves (cgroups, version
    1 and 2: containers and batch systems set them), and what the limits of the process leave (``ulimit``). A Linux
    kernel kills a process that goes beyond the first two.

    Args:
        device: Where the memory is wanted.
        root: Folder that holds ``proc`` and ``sys``.
    """
    device = torch.device(device)
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + kept
    root = Path(root)
    known = [_table(root / "proc/meminfo").get("MemAvailable"), *_groups(root), *_process(root)]
    left = [value for value in known if value is not None]
    return max(0, min(left)) if left else None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or what it came from, says that memory was short."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    if isinstance(error, RuntimeError) and any(words in text for words in _SAID):
        return True
    return error.__cause__ is not None and is_out_of_memory(error.__cause__)


def bytes_as_text(count: float) -> str:
    """Render a number of bytes.

    Example:
        >>> bytes_as_text(2_400_000_000), bytes_as_text(350e6), bytes_as_text(12)
        ('2.4 GB', '350 MB', '1 kB')
    """
    if count >= 1e9:
        return f"{count / 1e9:.1f} GB"
    return f"{count / 1e6:.0f} MB" if count >= 1e6 else f"{max(1, round(count / 1e3))} kB"


def _table(file: Path) -> dict[str, int]:
    """Values of lines ``name: 12 kB`` in bytes; nothing where there is no such file."""
    found = {}
    for line in _text(file).splitlines():
        name, _, value = line.partition(":")
        number = value.split()[:1]
        if number and number[0].isdecimal():
            found[name] = int(number[0]) * 1024
    return found


def _process(root: Path) -> list[int | None]:
    """What the limits of the process leave."""
    if _RESOURCE is None:
        return []
    used, left = _table(root / "proc/self/status"), []
    for limit, name in _LIMITS.items():
        number = getattr(_RESOURCE, limit, None)
        if number is not None and name in used:
            most = _RESOURCE.getrlimit(number)[0]
            left.append(None if most == _RESOURCE.RLIM_INFINITY else most - used[name])
    return left


def _groups(root: Path) -> list[int | None]:
    """What the limits on the groups of processes leave, on those above, too."""
    left = []
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, names, place = line.split(":", 2)
        if number == "0":
            home, files = root / "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in names.split(","):
            home = root / "sys/fs/cgroup/memory"
            files = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        folder = home / place.strip("/")
        # in a container the group may be mounted at the top: then the folder is not there, and the top is asked
        for each in (folder, *folder.parents):
            left.append(_left_in(each, *files))
            if each == home:
                break
    return left


def _left_in(folder: Path, most: str, used: str, cache: str) -> int | None:
    """What one group leaves; files that the kernel can drop from its cache do not count as used."""
    limit, now = _text(folder / most).strip(), _text(folder / used).strip()
    if not limit.isdecimal() or not now.isdecimal():
        return None
    lines = (line.split() for line in _text(folder / "memory.stat").splitlines())
    dropped = sum(int(words[1]) for words in lines if len(words) == 2 and words[0] == cache)
    return int(limit) - int(now) + dropped


def _text(file: Path) -> str:
    """Content of a file of the system; empty where it cannot be read."""
    try:
        return file.read_text()
    except OSError:
        return ""
