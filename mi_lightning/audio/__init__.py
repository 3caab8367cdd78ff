"""Sound: spectra, in plain torch."""

from __future__ import annotations
