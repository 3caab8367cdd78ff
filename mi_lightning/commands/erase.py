"""Erasing a person from the files of runs."""

from __future__ import annotations

import re

from mi_lightning.commands.base import console
from mi_lightning.data.cache import cache_folder
from mi_lightning.errors import InputError
from mi_lightning.io import read_text
from mi_lightning.report.erasure import Erasure, plan_erasure

#: Loggers in the configuration of a run, and those that write into its folder alone.
_LOGGER = re.compile(r"class_path:\s*[\w.]*?(\w+Logger)\b")
_IN_THE_FOLDER = {"TensorBoardLogger", "CSVLogger"}


def erase(person: str, run: str, yes: bool = False, dry_run: bool = False) -> None:
    """Erase a person from every file of a run, an audit or a sweep: rows, arrays, pictures, sounds, pages.

    Args:
        person: Name or index; several with commas between. ``name:7`` and ``index:7`` say which a number is.
        run: Folder of a run, an audit or a sweep.
        yes: Do it; it cannot be undone.
        dry_run: Say what would be done, and do nothing.

    Raises:
        InputError: If the person is unknown, or ``yes`` is not given.
        MIError: If a file cannot be read, written or deleted.
    """
    if not person.strip(" ,"):
        raise InputError("a person by name or index", person, "person")
    found = plan_erasure(run, [person])
    _tell(found, would=dry_run or not yes)
    if dry_run:
        return
    if not yes:
        raise InputError("--yes, since this cannot be undone", "none", "yes")
    found.do()
    console().print(f"erased: {', '.join(found.people)}")


def _tell(found: Erasure, *, would: bool) -> None:
    """Say what is done to which file, and what is left."""
    screen = console()
    for kind, deleted in (("written without", False), ("deleted", True)):
        steps = [step for step in found.steps if (step.make is None) == deleted]
        screen.print(f"{'would be ' if would else ''}{kind}: {len(steps)} files")
        for step in steps:
            screen.print(f"  {step.path.relative_to(found.folder)}   ({step.why})")
    if found.unread:
        names = ", ".join(str(path.relative_to(found.folder)) for path in found.unread)
        screen.print(f"left alone, since nothing can be told of what they hold: {names}")
    if named := _paths_that_name(found):
        screen.print(f"left alone, though the path names the person: {', '.join(named)}")
    knowing = ", ".join(str(path.relative_to(found.folder)) for path in found.checkpoints)
    screen.print(
        "The figures over all people stay as they were measured. Not erased: the classifier, which still knows the"
        f" person (train it without){f', checkpoints in this folder among it: {knowing}' if knowing else ''}; copies"
        " elsewhere, such as pages that were handed on, studies and back-ups; decoded photographs and recordings of the"
        f" data (cache_dir, or {cache_folder()}).",
    )
    for name, runs in _stores_elsewhere(found).items():
        screen.print(
            f"Not reached: what {name} keeps of its own, here or on a server (pictures, sounds, names). Delete there: "
            f"{', '.join(runs)}",
            style="bold",
        )


def _stores_elsewhere(found: Erasure) -> dict[str, list[str]]:
    """Loggers of the runs that keep what they show in a place of their own, and the folders of their runs."""
    stores: dict[str, list[str]] = {}
    for path in sorted(found.folder.rglob("config.yaml")):
        for name in sorted(set(_LOGGER.findall(read_text(path))) - _IN_THE_FOLDER):
            stores.setdefault(name, []).append(path.parent.name)
    return stores


def _paths_that_name(found: Erasure) -> list[str]:
    """Files that stay, whose path names somebody who is erased."""
    gone = {step.path for step in found.steps if step.make is None}
    paths = [path.relative_to(found.folder) for path in found.folder.rglob("*") if path.is_file() and path not in gone]
    words = {name.casefold() for name in found.people}
    return [str(path) for path in paths if words & {part.casefold() for part in (*path.parts, path.stem)}]
