"""Does a folder still hold what was found? Its files by their SHA-256, its figures by computing them anew."""

from __future__ import annotations

from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from mi_lightning.commands.base import console
from mi_lightning.errors import GateError, InputError, MIError
from mi_lightning.report.audit.check import check_audit
from mi_lightning.report.manifest import MANIFEST, check_manifest, manifest_sha256, read_manifest
from mi_lightning.report.recomputation import Recomputation, check_run

_NO_SIGNATURE = (
    "This is no signature. It shows accidents and careless edits, not forgery: who can change the files can make the\n"
    "manifest anew. Against that, publish its SHA-256 where they cannot change it (in the report to a reviewer, in\n"
    "version control, with a time stamp), and check with --sha256."
)


def verify(run: str, sha256: str | None = None) -> None:
    """Check that every file of a run or an audit is as it was written, and compute its figures anew.

    Every file is compared with its SHA-256 in manifest.json: a changed byte, a missing and an added file are found.
    Then every figure that the files can give is computed anew: the summary of each run from its rows and arrays, and
    what an audit says of its runs. This is no signature: it shows accidents and careless edits, not forgery.

    Args:
        run: Folder of a run or an audit, with its manifest.json.
        sha256: What the SHA-256 of manifest.json should be, as it was published.

    Raises:
        InputError: If ``sha256`` is none.
        MIError: If there is no manifest, or a file cannot be read.
        GateError: If something was changed, is missing or was added, or a figure does not follow.
    """
    folder = Path(run)
    if sha256 is not None and (len(sha256) != 64 or set(sha256.lower()) - set("0123456789abcdef")):
        raise InputError("64 hexadecimal digits", sha256, "sha256")
    _refuse_without_manifest(folder)
    problems = _check_files(folder)
    own = manifest_sha256(folder)
    if sha256 is not None and own != sha256.lower():
        problems.insert(0, f"changed: {MANIFEST} has SHA-256 {own}, not {sha256.lower()}")
    figures = Recomputation()
    for path in sorted(folder.rglob("results.json")):
        prefix = "" if path.parent == folder else f"{path.parent.relative_to(folder).as_posix()}/"
        figures.add(check_run(path.parent), prefix)
    figures.add(check_audit(folder), "")
    problems += figures.problems
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise GateError("\n".join([*problems, f"{folder} does not hold what was found: {count}"]))
    _tell(folder, own, figures, published=sha256 is not None)


def _refuse_without_manifest(folder: Path) -> None:
    """Say what to do where there is nothing to check.

    Raises:
        MIError: If the folder has no manifest.
    """
    if (folder / MANIFEST).is_file():
        return
    if not folder.is_dir():
        raise MIError(f"no folder {folder}: name the folder of a run (mi-lightning invert) or of an audit")
    if any((folder / name).is_file() for name in ("results.json", "audit.json", "report.html")):
        raise MIError(
            f"no {MANIFEST} in {folder}: the run was stopped before its end or is of an earlier version, and nothing"
            " says what its files were like; run it again"
        )
    inner = sorted(path.parent.relative_to(folder).as_posix() for path in folder.glob(f"*/**/{MANIFEST}"))
    near = f", such as {folder / inner[0]}" if inner else ""
    raise MIError(f"no {MANIFEST} in {folder}: name the folder of a run (mi-lightning invert) or of an audit{near}")


def _check_files(folder: Path) -> list[str]:
    """Compare all files with the manifest, with a bar on a terminal: an audit can be gigabytes."""
    screen = console()
    columns = (TextColumn("SHA-256"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("SHA-256", total=None)
        return check_manifest(folder, lambda done, total: bar.update(task, advance=done, total=total))


def _tell(folder: Path, sha256: str, figures: Recomputation, *, published: bool) -> None:
    """Say what was checked, and what that proves."""
    screen = console()
    manifest = read_manifest(folder)
    size = sum(entry["bytes"] for entry in manifest["files"].values())
    screen.print(
        f"verified: {len(manifest['files'])} files ({size / 1e6:.1f} MB) are as {MANIFEST} of {manifest['created']}"
        f" says; {figures.figures} figures computed anew from them agree"
    )
    if figures.resting:
        screen.print(
            f"{figures.resting} figures (controls, ceiling, chance, verification) cannot be computed from what the"
            " folder keeps: their SHA-256 alone vouches for them"
        )
    for note in figures.notes:
        screen.print(note)
    screen.print(f"SHA-256 of {MANIFEST}: {sha256}{' (as published)' if published else ''}")
    screen.print(_NO_SIGNATURE)
