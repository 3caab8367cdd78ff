"""``audit.json`` and the page of an audit computed anew from its runs, and what does not agree."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mi_lightning.errors import MIError
from mi_lightning.io import read_json
from mi_lightning.report.audit.document import audit_document
from mi_lightning.report.control_runs import read_controls
from mi_lightning.report.page import build_report
from mi_lightning.report.recomputation import Recomputation
from mi_lightning.report.results import RunResults, read_results
from mi_lightning.report.schema.audit import AUDIT_SCHEMA
from mi_lightning.report.schema.check import problem

AUDIT, PAGE = "audit.json", "report.html"


def check_audit(folder: Path) -> Recomputation:
    """Compute ``audit.json`` anew from the runs that it names, and ``report.html`` from both.

    Args:
        folder: Folder of the audit.

    Returns:
        What came of it; nothing where the folder has no ``audit.json``.
    """
    done = Recomputation()
    if not (folder / AUDIT).is_file():
        return done
    try:
        written = read_json(folder / AUDIT)
        if wrong := problem(written, AUDIT_SCHEMA):
            raise MIError(f"{AUDIT} does not fit its schema: {wrong}")
        names, runs = _runs(folder, written)
        controls = {run: {each.name: each.rows() for each in listed} for run, listed in read_controls(folder).items()}
        found = audit_document(
            written["title"],
            names,
            runs,
            controls=controls,
            folder=folder,
            release_context=written["release_context"],
        )
        _compare(AUDIT, written, found | {"created": written["created"]}, done)
        _check_page(folder, written, names, runs, done)
    except MIError as error:
        done.problems.append(str(error).replace(f"{folder}/", ""))
    return done


def _runs(folder: Path, written: Mapping[str, Any]) -> tuple[list[str], list[RunResults]]:
    """Name and results of each run of an audit.

    Raises:
        MIError: If one lies elsewhere or cannot be read.
    """
    names, runs = [], []
    for entry in written["runs"]:
        path = folder / entry["folder"]
        if not path.resolve().is_relative_to(folder.resolve()):
            raise MIError(f"{AUDIT}: run {entry['name']} lies outside the folder ({entry['folder']})")
        names.append(entry["name"])
        runs.append(read_results(path))
    return names, runs


def _compare(where: str, written: object, found: object, done: Recomputation) -> None:
    """Compare two trees leaf by leaf."""
    if isinstance(written, Mapping) and isinstance(found, Mapping):
        for key in dict.fromkeys((*written, *found)):
            if key not in found:
                done.problems.append(f"{where}: {key} is nothing that the runs give")
            else:
                _compare(f"{where}.{key}" if ":" in where else f"{where}: {key}", written.get(key), found[key], done)
    elif isinstance(written, list) and isinstance(found, list) and len(written) == len(found):
        for place, (one, other) in enumerate(zip(written, found, strict=True)):
            _compare(f"{where}[{place}]", one, other, done)
    else:
        done.compare(where, written, found, "what its runs hold")


def _check_page(
    folder: Path, audit: Mapping[str, Any], names: list[str], runs: list[RunResults], done: Recomputation
) -> None:
    """Render the page once more: it is a function of ``audit.json`` and the runs."""
    if not (folder / PAGE).is_file():
        return
    done.figures += 1
    with tempfile.TemporaryDirectory() as place:
        page = build_report(
            [run.folder for run in runs],
            Path(place) / PAGE,
            title=audit["title"],
            names=names,
            audit=audit,
            made=audit["created"],
        )
        if page.read_bytes() != (folder / PAGE).read_bytes():
            done.problems.append(f"{PAGE} is not the page of {AUDIT} and its runs")
