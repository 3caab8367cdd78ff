"""The schema of ``audit.json``, as it is published beside this module for other programs: ``audit.schema.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

#: JSON Schema, draft 2020-12, with a description of every key.
AUDIT_SCHEMA: dict[str, Any] = json.loads(Path(__file__).with_name("audit.schema.json").read_text(encoding="utf-8"))

AUDIT_SCHEMA_VERSION: int = AUDIT_SCHEMA["properties"]["schema_version"]["const"]
