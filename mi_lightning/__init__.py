"""Measures how much of a person a trained classifier gives away."""

from __future__ import annotations

__version__ = "0.1.0"
