"""An audit as a folder: its runs, their controls, what they say together, and the page."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mi_lightning.io import write_atomically
from mi_lightning.report.audit.document import audit_document
from mi_lightning.report.audit.files import write_audit
from mi_lightning.report.audit.outcomes import Outcome
from mi_lightning.report.control_runs import control_results, read_controls
from mi_lightning.report.manifest import write_manifest
from mi_lightning.report.page import render_report
from mi_lightning.report.results import RunResults, read_runs
from mi_lightning.report.withholding import nameless, refuse_names, tree_with, withhold

PAGE, DOCUMENT = "report.html", "audit.json"


@dataclass(frozen=True, repr=False)
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

    def __repr__(self) -> str:
        """Say in one line where it lies, and of which runs."""
        return f"Audit({str(self.folder)!r}, runs: {', '.join(self.names)})"

    def page(self) -> str:
        """The page: a function of ``audit.json`` and the runs."""
        shown = withhold(self.runs, self.document.get("withheld", ()))
        return render_report(self.names, shown, title=self.document["title"], audit=self.document)

    def write(self, outcomes: Sequence[Outcome] = ()) -> None:
        """Write the page, ``audit.json`` and what follows from it, and the manifest of the folder last.

        Args:
            outcomes: What came of the gates.

        Raises:
            MIError: If a file cannot be written.
        """
        write_atomically(self.folder / PAGE, self.page())
        write_audit(self.folder, self.document, outcomes)
        write_manifest(self.folder)


def assemble(
    folder: str | Path,
    runs: Mapping[str, str | Path],
    *,
    title: str,
    release_context: str | None = None,
    withheld: Collection[str] = (),
) -> Audit:
    """Put together what runs say; the controls are those that the folder lists.

    Args:
        folder: Folder of the audit.
        runs: Folder of each run, by its name.
        title: Title of the audit.
        release_context: How the model is to be released, as the user states it.
        withheld: What neither the page nor any file for programs shows: ``"pictures"``, ``"names"``.

    Raises:
        InputError: If there is no run, or one is called after somebody whose name is to be withheld.
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
    if "names" in withheld:
        refuse_names(names, found, "pseudonyms")
        document = tree_with(document, withhold(found, withheld)[0].said)
        document["runs"] = [nameless(run) for run in document["runs"]]
    if withheld:
        document["withheld"] = list(withheld)
    return Audit(Path(folder), names, found, document)
