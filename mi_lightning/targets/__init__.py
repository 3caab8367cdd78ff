"""Targets: what an attacker may touch."""

from __future__ import annotations

from mi_lightning.targets.base import Target, TargetError
from mi_lightning.targets.black_box import BlackBox, NumpyFunction
from mi_lightning.targets.http import HttpModel
from mi_lightning.targets.hugging_face_model import HuggingFaceModel
from mi_lightning.targets.label_only import LabelOnly
from mi_lightning.targets.ledger import QueryBudgetError, QueryLedger
from mi_lightning.targets.onnx import OnnxModel
from mi_lightning.targets.preprocessing import Preprocessing
from mi_lightning.targets.sklearn import SklearnModel
from mi_lightning.targets.timm_model import TimmModel
from mi_lightning.targets.torch_module import TorchModule
from mi_lightning.targets.torchvision_model import TorchvisionModel
from mi_lightning.targets.white_box import WhiteBox

__all__ = [
    "BlackBox",
    "HttpModel",
    "HuggingFaceModel",
    "LabelOnly",
    "NumpyFunction",
    "OnnxModel",
    "Preprocessing",
    "QueryBudgetError",
    "QueryLedger",
    "SklearnModel",
    "Target",
    "TargetError",
    "TimmModel",
    "TorchModule",
    "TorchvisionModel",
    "WhiteBox",
]
