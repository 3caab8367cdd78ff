"""Command line: ``mi-lightning fit | test | invert | audit | sweep | report``, all from YAML."""

from __future__ import annotations
