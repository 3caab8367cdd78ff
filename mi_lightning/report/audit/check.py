"""``audit.json`` and the page of an audit computed anew from its runs, and what does not agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mi_lightning.errors import MIError
from mi_lightning.io import one_line, read_json
from mi_lightning.report.audit.files import audit_files
from mi_lightning.report.audit.outcomes import Outcome
from mi_lightning.report.audit.whole import DOCUMENT, PAGE, Audit, assemble
from mi_lightning.report.page import generator
from mi_lightning.report.recomputation import NO_FIGURES, Recomputation
from mi_lightning.report.results import read_runs
from mi_lightning.report.schema.audit import AUDIT_SCHEMA
from mi_lightning.report.schema.check import problem


def check_audit(folder: Path) -> Recomputation:
    """Compute ``audit.json`` anew from the runs that it names, and ``report.html`` from both.

    Args:
        folder: Folder of the audit.

    Returns:
        What came of it; nothing where the folder has no ``audit.json``.
    """
    done = Recomputation()
    if not (folder / DOCUMENT).is_file():
        return done
    try:
        written = read_json(folder / DOCUMENT)
        if wrong := problem(written, AUDIT_SCHEMA):
            raise MIError(f"{DOCUMENT} does not fit its schema: {wrong}")
        runs = _runs(folder, written)
        if "erased" in written:
            _check_erased(folder, runs, written, done)
            return done
        found = assemble(
            folder,
            runs,
            title=written["title"],
            release_context=written["release_context"],
            withheld=written.get("withheld", ()),
        )
        # when it was made, and the bounds that it was held against, are the only things that no run knows
        document = {**found.document, "created": written["created"], "gates": written["gates"]}
        _compare(DOCUMENT, written, document, done)
        _check_texts(replace(found, document=document), done)
    except MIError as error:
        done.problems.append(str(error).replace(f"{folder}/", ""))
    except NO_FIGURES as error:
        done.problems.append(f"{DOCUMENT}: cannot be computed from its runs ({one_line(error)})")
    return done


def _check_erased(folder: Path, runs: Mapping[str, Path], written: Mapping[str, Any], done: Recomputation) -> None:
    """Check what can be where people were erased: the page, and what follows from ``audit.json`` alone."""
    names, found = read_runs(list(runs.values()), list(runs))
    done.notes.append(
        f"people were erased after this audit ({written['erased'].get('people')}): the figures of {DOCUMENT} were "
        "measured with them and cannot be computed anew"
    )
    _check_texts(Audit(folder, names, found, written), done)


def _runs(folder: Path, written: Mapping[str, Any]) -> dict[str, Path]:
    """Folder of each run of an audit, by its name.

    Raises:
        MIError: If one lies elsewhere.
    """
    runs = {entry["name"]: folder / entry["folder"] for entry in written["runs"]}
    for name, path in runs.items():
        if not path.resolve().is_relative_to(folder.resolve()):
            raise MIError(f"{DOCUMENT}: run {name} lies outside the folder ({path.relative_to(folder)})")
    return runs


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


def _check_texts(anew: Audit, done: Recomputation) -> None:
    """Write the page once more, and what follows from ``audit.json`` alone: they are functions of it and the runs."""
    page = anew.folder / PAGE
    if page.is_file() and f'<meta name="generator" content="{generator()}">'.encode() not in page.read_bytes():
        done.notes.append(f"{PAGE} and what follows from {DOCUMENT} were written by another version of this program or")
        done.notes[-1] += " of its packages, so that they cannot be made anew: their SHA-256 alone vouches for them"
        return
    outcomes = [Outcome(**gate) for gate in anew.document["gates"]]
    texts = {PAGE: anew.page(), **audit_files(anew.document, outcomes)}
    for name, text in texts.items():
        if name != DOCUMENT and (anew.folder / name).is_file():
            done.figures += 1
            if (anew.folder / name).read_bytes() != text.encode():
                done.problems.append(f"{name} is not what {DOCUMENT} and its runs give")
