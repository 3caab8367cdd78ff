"""An audit as a folder: its runs, their controls, what they say together, the page; and all of it computed anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mi_lightning.errors import MIError
from mi_lightning.io import read_json
from mi_lightning.report.audit.document import audit_document
from mi_lightning.report.audit.files import audit_files, write_audit
from mi_lightning.report.audit.outcomes import Outcome
from mi_lightning.report.control_runs import control_results, read_controls
from mi_lightning.report.manifest import write_manifest
from mi_lightning.report.page import build_report, render_report
from mi_lightning.report.recomputation import Recomputation
from mi_lightning.report.results import RunResults, read_runs
from mi_lightning.report.schema.audit import AUDIT_SCHEMA
from mi_lightning.report.schema.check import problem

PAGE, DOCUMENT = "report.html", "audit.json"


@dataclass(frozen=True)
class Audit:
    """What runs say together.

    Attributes:
        folder: Where it lies.
        names: Name of each run.
        runs: The runs, in the same order.
        document: Content of ``audit.json``.
    """

    folder: Path
    names: Sequence[str]
    runs: Sequence[RunResults]
    document: Mapping[str, Any]

    def page(self) -> dict[str, Any]:
        """What the page is made of, beside the runs: arguments of :func:`~mi_lightning.report.page.render_report`."""
        return {
            "title": self.document["title"],
            "names": list(self.names),
            "audit": self.document,
            "made": self.document["created"],
        }

    def write(self, outcomes: Sequence[Outcome] = ()) -> None:
        """Write the page, ``audit.json`` and what follows from it, and the manifest of the folder last.

        Args:
            outcomes: What came of the gates.

        Raises:
            MIError: If a file cannot be written.
        """
        build_report([run.folder for run in self.runs], self.folder / PAGE, **self.page())
        write_audit(self.folder, self.document, outcomes)
        write_manifest(self.folder)


def assemble(
    folder: str | Path, runs: Mapping[str, str | Path], *, title: str, release_context: str | None = None
) -> Audit:
    """Put together what runs say; the controls are those that the folder lists.

    Args:
        folder: Folder of the audit.
        runs: Folder of each run, by its name.
        title: Title of the audit.
        release_context: How the model is to be released, as the user states it.

    Raises:
        InputError: If there is no run.
        MIError: If a run or the list of the controls cannot be read.
    """
    names, found = read_runs(list(runs.values()), list(runs))
    listed = {name: controls for name, controls in read_controls(Path(folder)).items() if name in runs}
    document = audit_document(
        title,
        names,
        found,
        controls=control_results(listed),
        not_run={name: {each.name: each.reason for each in of if each.reason} for name, of in listed.items()},
        folder=folder,
        release_context=release_context,
    )
    return Audit(Path(folder), names, found, document)


def check_audit(folder: Path) -> Recomputation:
    """Compute an audit's figures and its page anew from the runs that it names.

    Args:
        folder: Folder that may hold an audit.

    Returns:
        What came of it; nothing where the folder holds none.
    """
    done = Recomputation()
    if not (folder / DOCUMENT).is_file():
        return done
    try:
        written = read_json(folder / DOCUMENT)
        if wrong := problem(written, AUDIT_SCHEMA):
            done.problems.append(f"{DOCUMENT} does not fit its schema: {wrong}")
            return done
        runs = {run["name"]: folder / run["folder"] for run in written["runs"]}
        found = assemble(folder, runs, title=written["title"], release_context=written["release_context"])
    except MIError as error:
        done.problems.append(f"{DOCUMENT}: {error}")
        return done
    document = {**found.document, "created": written["created"]}
    _compare(done, DOCUMENT, written, document)
    anew = Audit(found.folder, found.names, found.runs, document)
    page = render_report(anew.names, anew.runs, **{key: value for key, value in anew.page().items() if key != "names"})
    _same_text(done, folder / PAGE, page)
    # what came of the gates is kept nowhere but in these files; without gates they follow from the figures
    if "gate" not in (folder / "junit.xml").read_text(encoding="utf-8"):
        for name, text in audit_files(document).items():
            if name != DOCUMENT:
                _same_text(done, folder / name, text)
    return done


def _compare(done: Recomputation, where: str, written: Any, found: Any) -> None:
    """Compare two trees of plain values, figure by figure."""
    if isinstance(written, dict) and isinstance(found, dict):
        for key in dict.fromkeys((*written, *found)):
            _compare(done, f"{where} {key}", written.get(key), found.get(key))
    elif isinstance(written, list) and isinstance(found, list) and len(written) == len(found):
        for place, (one, other) in enumerate(zip(written, found, strict=True)):
            _compare(done, f"{where} {place}", one, other)
    else:
        done.compare(where, written, found, "the runs")


def _same_text(done: Recomputation, path: Path, text: str) -> None:
    """Compare a file with what it should be."""
    done.figures += 1
    try:
        same = path.read_text(encoding="utf-8") == text
    except (OSError, UnicodeDecodeError):
        same = False
    if not same:
        done.problems.append(f"{path.name} is not what audit.json and the runs give")
