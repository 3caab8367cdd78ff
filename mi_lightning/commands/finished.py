"""Finished runs: a file that is written last says so, and by what configuration, so that none is repeated."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mi_lightning.commands.base import Runner
from mi_lightning.commands.sweep.grid import run_digest
from mi_lightning.errors import MIError
from mi_lightning.io import read_json, write_atomically
from mi_lightning.report.manifest import complete_manifest
from mi_lightning.report.origin import package_versions
from mi_lightning.report.results import read_results

#: Written last into the folder of a run.
FINISHED = "run.json"

_SCHEMA = 2  # of that file; 1 said `identity` for the digest


def mark_finished(folder: Path, run_digest: str, seconds: float, more: Mapping[str, Any] | None = None) -> None:
    """Say that a run is finished.

    Args:
        folder: Folder of the run.
        run_digest: Digest of its configuration (:func:`mi_lightning.commands.sweep.grid.run_digest`).
        seconds: Time that it took.
        more: Further plain values to keep.

    Raises:
        MIError: If it cannot be written.
    """
    content = {
        "schema_version": _SCHEMA,
        "run_digest": run_digest,
        "version": package_versions()["mi-lightning"],
        "seconds": seconds,
        **(more or {}),
    }
    write_atomically(folder / FINISHED, json.dumps(content, indent=2) + "\n")
    complete_manifest(folder, FINISHED)


def finished_runs(folder: Path, read: Callable[[Path], object]) -> dict[str, Path]:
    """Return the finished runs below a folder.

    Args:
        folder: The folder above those of the runs.
        read: Reads a run's folder, and raises an error if something in it is missing or damaged: such a run is not
            finished.

    Returns:
        Their folders, by run digest.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.glob(f"*/{FINISHED}")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            read(path.parent)
        except (OSError, ValueError, MIError):  # damaged: it is run again
            continue
        if isinstance(content, dict) and content.get("schema_version") == _SCHEMA:
            found[str(content.get("run_digest"))] = path.parent
    return found


def invert_once(
    runner: Runner,
    configs: Sequence[str],
    *,
    save_dir: Path,
    name: str,
    changes: Mapping[str, Any] | None = None,
    quick: bool = False,
) -> tuple[Path, bool]:
    """Run an attack, unless it is finished already, by the same configuration, files and version of the program.

    Args:
        runner: Runs it.
        configs: Names of its configurations.
        save_dir: Folder above that of the attack.
        name: Name of the folder of the attack; what is run with another configuration gets another number in it.
        changes: Dotted keys of the complete configuration, and what they are set to.
        quick: Whether it is of a quick audit: its results say so, and no other audit uses it again.

    Returns:
        Folder of the run, and whether it was there already.
    """
    start = time.perf_counter()
    digest = digest_of_run(runner, configs, changes=changes, quick=quick)
    done = finished_runs(save_dir / name, read_results).get(digest)
    if done is not None:
        return done, True
    folder = runner.invert(configs, save_dir=save_dir, name=name, changes=changes).folder
    if quick:
        _mark_quick(folder)
    mark_finished(folder, digest, time.perf_counter() - start)
    return folder, False


def digest_of_run(
    runner: Runner, configs: Sequence[str], *, changes: Mapping[str, Any] | None = None, quick: bool = False
) -> str:
    """Digest by which a run is known again; arguments as those of :func:`invert_once`."""
    version = str(package_versions()["mi-lightning"]) + (", quick" if quick else "")
    return run_digest(runner.complete("invert", configs, changes=changes), version)


def _mark_quick(folder: Path) -> None:
    """Let the results of a run say that they are no evidence."""
    path = folder / "results.json"
    write_atomically(path, json.dumps({**read_json(path), "quick": True}, indent=2, allow_nan=False) + "\n")
    complete_manifest(folder, path.name)
