"""What an audit found, for programs: ``audit.json``, JUnit XML, SARIF and a section of a model card."""

from __future__ import annotations

from mi_lightning.report.audit.document import audit_document
from mi_lightning.report.audit.files import audit_files, write_audit
from mi_lightning.report.audit.outcomes import Outcome

__all__ = ["Outcome", "audit_document", "audit_files", "write_audit"]
