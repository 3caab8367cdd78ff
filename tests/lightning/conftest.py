from __future__ import annotations

from tests.attacks.conftest import classifier, invert

__all__ = ["classifier", "invert"]
