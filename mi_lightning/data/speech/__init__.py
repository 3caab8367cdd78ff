"""Speech: people who are heard."""

from __future__ import annotations
