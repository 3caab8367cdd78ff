"""Data sets of people: who is in a picture (or a recording), split into training and test samples."""

from __future__ import annotations

from mi_lightning.data.att import AttFaces
from mi_lightning.data.base import Modality, PersonDataModule, SampleSet, modality_of, split_per_person
from mi_lightning.data.olivetti import Olivetti
from mi_lightning.data.speech.base import LibriSpeech, SpeakerDataModule, SpeakerFolder, Timit
from mi_lightning.data.speech.voices import SyntheticVoices

__all__ = [
    "AttFaces",
    "LibriSpeech",
    "Modality",
    "Olivetti",
    "PersonDataModule",
    "SampleSet",
    "SpeakerDataModule",
    "SpeakerFolder",
    "SyntheticVoices",
    "Timit",
    "modality_of",
    "split_per_person",
]
