"""Data sets of people: who is in a picture (or a recording), split into training and test samples."""

from __future__ import annotations

from mi_lightning.data.att import AttFaces
from mi_lightning.data.base import PersonDataModule, SampleSet, split_per_person

__all__ = ["AttFaces", "PersonDataModule", "SampleSet", "split_per_person"]
