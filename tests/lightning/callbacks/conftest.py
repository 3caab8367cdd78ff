from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lightning.pytorch.loggers import Logger, TensorBoardLogger

from mi_lightning.classifiers import SoftmaxRegression
from mi_lightning.classifiers.loading import save_classifier
from mi_lightning.data import AttFaces
from mi_lightning.lightning.module import Inversion
from mi_lightning.lightning.trainer import InversionTrainer
from mi_lightning.targets import WhiteBox

Attack = Callable[..., InversionTrainer]


@pytest.fixture
def evaluator_ckpt(tiny_softmax: SoftmaxRegression, tmp_path: Path) -> str:
    """An evaluator that is not the target: the same weights, halved."""
    path = tmp_path / "evaluator.ckpt"
    other = SoftmaxRegression(
        input_shape=tiny_softmax.input_shape,
        num_classes=tiny_softmax.num_classes,
        class_names=tiny_softmax.class_names,
    )
    with torch.no_grad():
        for weight, half in zip(tiny_softmax.parameters(), other.parameters(), strict=True):
            half.copy_(weight / 2)
    other.training_info = {"test_accuracy": 0.75}
    save_classifier(other, path)
    return str(path)


@pytest.fixture
def attack(tiny_softmax: SoftmaxRegression, faces: AttFaces, evaluator_ckpt: str, tmp_path: Path) -> Attack:
    """Attack the tiny softmax with the callbacks given; keywords are those of `Inversion`."""

    def run(
        *callbacks: object, logger: Logger | bool | None = None, judged: bool = True, **settings: object
    ) -> InversionTrainer:
        trainer = InversionTrainer(
            accelerator="cpu",
            logger=TensorBoardLogger(tmp_path, name="logs", default_hp_metric=False) if logger is None else logger,
            default_root_dir=tmp_path / "root",
            callbacks=list(callbacks),
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            log_every_n_steps=1,
        )
        plain = {
            "max_iterations": 20,
            "report_every": 5,
            "optimizer": lambda parameters: torch.optim.SGD(parameters, lr=1.0),
        }
        trainer.invert(
            Inversion(target=WhiteBox(tiny_softmax), **(plain | settings)),
            faces if judged else None,
            evaluator_ckpt if judged else None,
            unverified=True,  # its weights are drawn: it knows nobody
        )
        return trainer

    return run
