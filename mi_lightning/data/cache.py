"""Where decoded recordings and photographs are kept, and how many files a message names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

_NAMED = 3  # files that a message names before it counts the rest


def cache_folder(given: str | None = None) -> Path:
    """Folder for what was decoded: ``given``, or ``mi_lightning`` in the user's cache folder."""
    if given is not None:
        return Path(given)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "mi_lightning"


def some(names: Sequence[str]) -> str:
    """Name the first few and count the others."""
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
