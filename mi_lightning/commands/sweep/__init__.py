"""Sweeps: an attack repeated over a grid."""

from __future__ import annotations
