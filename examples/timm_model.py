"""An architecture of timm and the file of its weights: mi-lightning invert --config timm_model.yaml."""

from __future__ import annotations

import timm
import torch
from safetensors.torch import save_file

import mi_lightning as mi
from mi_lightning.targets import TimmModel


def make() -> None:
    """Write the file that a training would have left."""
    torch.manual_seed(0)
    save_file(timm.create_model("resnet10t", num_classes=6).state_dict(), "timm_model.safetensors")


def main() -> None:
    """Attack two of the people; size, crop, mean and deviation are those of timm's own evaluation."""
    target = TimmModel("resnet10t", "timm_model.safetensors", input_shape=(3, 64, 64))
    result = mi.attacks.gradient_descent(max_iterations=5).run(target, labels=[0, 5])
    print(result.reconstruction.shape, result.confidence)


if __name__ == "__main__":
    make()
    main()
