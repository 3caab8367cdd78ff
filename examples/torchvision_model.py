"""An architecture of torchvision and the file of its weights: mi-lightning invert --config torchvision_model.yaml."""

from __future__ import annotations

import torch
from torchvision.models import resnet18

import mi_lightning as mi
from mi_lightning.targets import TorchvisionModel


def make() -> None:
    """Write the file that a training would have left."""
    torch.manual_seed(0)
    torch.save(resnet18(num_classes=6).state_dict(), "torchvision_model.pt")


def main() -> None:
    """Attack two of the people, in grey; the network sees RGB."""
    target = TorchvisionModel(
        "resnet18",
        "torchvision_model.pt",
        input_shape=(1, 56, 46),
        preprocessing=mi.Preprocessing(channels=3, mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
    )
    result = mi.attacks.gradient_descent(max_iterations=5).run(target, labels=[0, 5])
    print(result.reconstruction.shape, result.confidence)


if __name__ == "__main__":
    make()
    main()
