"""Data sets of people: who is in a picture (or a recording), split into training and test samples."""

from __future__ import annotations

from mi_lightning.data.att import AttFaces
from mi_lightning.data.base import Modality, PersonDataModule, SampleSet, modality_of, split_per_person
from mi_lightning.data.folder import FaceFolder
from mi_lightning.data.olivetti import Olivetti
from mi_lightning.data.speech import (
    LibriSpeech,
    PublicVoices,
    SpeakerDataModule,
    SpeakerFolder,
    SyntheticVoices,
    Timit,
)
from mi_lightning.data.without import WithoutPeople

__all__ = [
    "AttFaces",
    "FaceFolder",
    "LibriSpeech",
    "Modality",
    "Olivetti",
    "PersonDataModule",
    "PublicVoices",
    "SampleSet",
    "SpeakerDataModule",
    "SpeakerFolder",
    "SyntheticVoices",
    "Timit",
    "WithoutPeople",
    "modality_of",
    "split_per_person",
]
