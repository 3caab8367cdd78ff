"""The files of runs and audits without some of their people; what is left is as it was."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from mi_lightning.errors import MIError
from mi_lightning.io import read_json
from mi_lightning.report.audit.document import audit_json
from mi_lightning.report.audit.files import audit_files
from mi_lightning.report.audit.outcomes import Outcome
from mi_lightning.report.audit.whole import DOCUMENT, PAGE, Audit
from mi_lightning.report.results import read_results, read_runs
from mi_lightning.report.schema.audit import AUDIT_SCHEMA
from mi_lightning.report.schema.check import problem
from mi_lightning.report.withholding import replacing, tree_with


def rows_of(run: Path) -> list[Mapping[str, Any]]:
    """The rows of a run.

    Raises:
        MIError: If it cannot be read.
    """
    rows: list[Mapping[str, Any]] = read_results(run).data["per_label"]
    return rows


def results_without(path: Path, names: Sequence[str], instead: str) -> str:
    """``results.json`` without the rows of some people, and with a note; the summary stays as it was measured.

    Args:
        path: The file.
        names: The people.
        instead: What stands in the place of their names, as where a judge took another reconstruction for theirs.
    """
    data = read_json(path)
    rows = data["per_label"]
    kept = [row for row in rows if str(row["name"]) not in names]
    gone = len({row["name"] for row in rows}) - len({row["name"] for row in kept})
    before = data.get("erased") or {}
    if gone:
        of = before.get("of", (data.get("summary") or {}).get("labels"))
        data["erased"] = {"people": before.get("people", 0) + gone, "of": of, "when": _today()}
    data = tree_with({**data, "per_label": kept}, replacing(dict.fromkeys(names, instead)))
    return json.dumps(data, indent=2, allow_nan=False) + "\n"


def arrays_without(path: Path, labels: Collection[int]) -> bytes:
    """``reconstructions.npz`` without the rows of some labels, and without their snapshots.

    Raises:
        MIError: If it cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
    except (OSError, ValueError, EOFError) as error:
        raise MIError(f"cannot read {path}: {error}") from error
    label = arrays["label"]
    kept = ~np.isin(label, list(labels))
    people = ~np.isin(np.unique(label), list(labels))
    for name, array in arrays.items():
        if name == "timeline" and array.ndim > 1 and array.shape[1] == len(people):
            arrays[name] = array[:, people]
        elif name != "timeline_iteration" and array.ndim and len(array) == len(label):
            arrays[name] = array[kept]
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def audit_without(folder: Path, said: Callable[[str], str]) -> str:
    """``audit.json`` with a note; its figures are not computed anew, or what is missing could be told from them.

    Args:
        folder: Folder of the audit, from whose runs people were erased.
        said: Takes names out of a text.
    """
    document = _document(folder)
    gone = max(read_results(folder / run["folder"]).erased for run in document["runs"])
    return audit_json({**tree_with(document, said), "erased": {"people": gone, "when": _today()}})


def page_without(folder: Path, name: str) -> str:
    """The page of an audit, or another of its files, made anew of ``audit.json`` and its runs as they are now."""
    document = _document(folder)
    if name != PAGE:
        return audit_files(document, [Outcome(**gate) for gate in document["gates"]])[name]
    names, runs = read_runs([folder / run["folder"] for run in document["runs"]], [r["name"] for r in document["runs"]])
    return Audit(folder, names, runs, document).page()


def _document(folder: Path) -> dict[str, Any]:
    document = read_json(folder / DOCUMENT)
    if wrong := problem(document, AUDIT_SCHEMA):
        raise MIError(f"{folder / DOCUMENT} does not fit its schema: {wrong}")
    return dict(document)


def _today() -> str:
    return datetime.now(UTC).date().isoformat()
