"""Recognisers: judges that were trained on thousands of other people and never met the target.

They enrol people with real photographs or recordings, and are asked whom a reconstruction shows.
"""

from __future__ import annotations

from mi_lightning.recognisers.base import Embeddings, MissingRecogniserError, Recogniser
from mi_lightning.recognisers.dlib_faces import DlibFaces
from mi_lightning.recognisers.embedder import Embedder
from mi_lightning.recognisers.gallery import Gallery, distances, left_out_distances, rank
from mi_lightning.recognisers.ge2e_voices import GE2EVoices
from mi_lightning.recognisers.thresholds import Threshold, Thresholds, accepted_as_others

__all__ = [
    "DlibFaces",
    "Embedder",
    "Embeddings",
    "GE2EVoices",
    "Gallery",
    "MissingRecogniserError",
    "Recogniser",
    "Threshold",
    "Thresholds",
    "accepted_as_others",
    "default_recogniser",
    "distances",
    "left_out_distances",
    "rank",
]


def default_recogniser(kind: str) -> Recogniser | None:
    """Return the recogniser for a kind of samples: faces for pictures, voices for sounds, None for anything else.

    Whether its package is installed is not looked at: ask its `check`.
    """
    if kind == "picture":
        return DlibFaces()
    return GE2EVoices() if kind == "sound" else None
