"""Classifiers that can be trained, attacked, and used to judge attacks."""

from __future__ import annotations

from mi_lightning.classifiers.base import Classifier
from mi_lightning.classifiers.cnn import CNN
from mi_lightning.classifiers.dae import StackedDAE
from mi_lightning.classifiers.face_cnn import FaceCNN
from mi_lightning.classifiers.mlp import MLP
from mi_lightning.classifiers.softmax import SoftmaxRegression

__all__ = ["CNN", "MLP", "Classifier", "FaceCNN", "SoftmaxRegression", "StackedDAE"]
