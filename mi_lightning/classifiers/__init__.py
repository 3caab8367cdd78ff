"""Classifiers that can be trained, attacked, and used to judge attacks."""

from __future__ import annotations

from mi_lightning.classifiers.base import Classifier
from mi_lightning.classifiers.cnn import CNN
from mi_lightning.classifiers.dae import StackedDAE
from mi_lightning.classifiers.face_cnn import FaceCNN
from mi_lightning.classifiers.logistic import LogisticRegression
from mi_lightning.classifiers.mel_speaker_net import MelSpeakerNet
from mi_lightning.classifiers.mlp import MLP
from mi_lightning.classifiers.sincnet import SINC_SMALL, SincNet
from mi_lightning.classifiers.softmax import SoftmaxRegression

__all__ = [
    "CNN",
    "MLP",
    "SINC_SMALL",
    "Classifier",
    "FaceCNN",
    "LogisticRegression",
    "MelSpeakerNet",
    "SincNet",
    "SoftmaxRegression",
    "StackedDAE",
]
