"""Files of an audit beside its page and its runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mi_lightning.io import write_atomically
from mi_lightning.report.audit.document import audit_json
from mi_lightning.report.audit.junit import junit_xml
from mi_lightning.report.audit.model_card import model_card
from mi_lightning.report.audit.outcomes import Outcome
from mi_lightning.report.audit.sarif import sarif


def audit_files(document: Mapping[str, Any], outcomes: Sequence[Outcome] = ()) -> dict[str, str]:
    """Text of each file, by its name; ``audit.json`` keeps what came of the gates, so that all can be made anew.

    Args:
        document: What :func:`~mi_lightning.report.audit.document.audit_document` gave.
        outcomes: What came of the gates.
    """
    return {
        "junit.xml": junit_xml(document, outcomes),
        "audit.sarif": sarif(document, outcomes),
        "model_card.md": model_card(document, outcomes),
        "audit.json": audit_json({**document, "gates": [asdict(outcome) for outcome in outcomes]}),
    }


def write_audit(folder: str | Path, document: Mapping[str, Any], outcomes: Sequence[Outcome] = ()) -> None:
    """Write the files of an audit, each whole or not at all; ``audit.json`` last.

    Args:
        folder: Folder of the audit.
        document: What :func:`~mi_lightning.report.audit.document.audit_document` gave.
        outcomes: What came of the gates.

    Raises:
        MIError: If a file cannot be written.
    """
    for name, text in audit_files(document, outcomes).items():
        write_atomically(Path(folder) / name, text)
