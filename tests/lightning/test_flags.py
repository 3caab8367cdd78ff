"""Flags of the trainer work, or are refused before the attack with the reason."""

from __future__ import annotations

import pytest
import torch
from lightning.pytorch.strategies import ModelParallelStrategy

from mi_lightning.attacks.initializers import Noise
from mi_lightning.attacks.spaces import PixelSpace
from mi_lightning.classifiers import CNN
from mi_lightning.errors import InputError
from mi_lightning.lightning.module import Inversion
from mi_lightning.lightning.trainer import InversionTrainer
from mi_lightning.targets import WhiteBox


def trainer_of(**flags):
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    return InversionTrainer(accelerator="cpu", **quiet, **flags)


def inversion():
    torch.manual_seed(0)
    classifier = CNN(input_shape=(1, 16, 18), num_classes=4, channels=(3, 4))
    return Inversion(target=WhiteBox(classifier), max_iterations=6, space=PixelSpace(initializer=Noise(std=0.1)))


SHORT = r"precision 32-true or 64-true .* 16 bits cannot tell apart, got bf16-{} \(precision\)"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"precision": "bf16-mixed"}, SHORT.format("mixed")),
        ({"precision": "bf16-true"}, SHORT.format("true")),
        ({"gradient_clip_val": 0.5}, r"no gradient_clip_val .* gradient_filter .* got 0\.5 \(gradient_clip_val\)"),
        ({"accumulate_grad_batches": 4}, r"accumulate_grad_batches 1 for an attack, got 4 \(accumulate_grad_batches\)"),
        (
            {"strategy": ModelParallelStrategy()},
            r"strategy auto or row_shard .* got ModelParallelStrategy \(strategy\)",
        ),
    ],
)
def test_what_would_spoil_an_attack_is_refused_before_anything_is_asked(flags, words, tmp_path):
    attack = inversion()
    with pytest.raises(InputError, match=words):
        trainer_of(default_root_dir=tmp_path, **flags).invert(attack)
    assert attack.target.queries == 0
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("precision", ["64-true", 64, "64"])
def test_double_precision_finds_what_single_precision_finds(precision):
    single, attack = trainer_of().invert(inversion()), inversion()
    double = trainer_of(precision=precision).invert(attack)
    assert next(attack.target.module.parameters()).dtype == torch.float64
    assert torch.get_default_dtype() == torch.float32
    torch.testing.assert_close(double.reconstruction, single.reconstruction, rtol=0, atol=2e-2)
    assert double.stop_reason == single.stop_reason
