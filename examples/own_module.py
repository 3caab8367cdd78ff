"""Any module and the file of its weights: mi-lightning invert --config own_module.yaml --import own_module."""

from __future__ import annotations

import torch
from torch import nn

import mi_lightning as mi


class Net(nn.Module):
    """A network for RGB pictures of 32 x 32, as yours might be."""

    def __init__(self, people: int = 6, width: int = 8) -> None:
        """Make the layers."""
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(3, width, 3, 2), nn.BatchNorm2d(width), nn.ReLU(), nn.Flatten())
        self.head = nn.Linear(width * 15 * 15, people)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits, shape (N, people)."""
        return self.head(self.trunk(x))  # type: ignore[no-any-return]


def make() -> None:
    """Write the file that a training would have left."""
    torch.manual_seed(0)
    torch.save({"epoch": 9, "state_dict": nn.DataParallel(Net()).state_dict()}, "own_module.pt")


def main() -> None:
    """Attack two of the people."""
    target = mi.TorchModule(
        Net(),
        "own_module.pt",
        input_shape=(3, 32, 32),
        preprocessing=mi.Preprocessing(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
    )
    result = mi.attacks.gradient_descent(max_iterations=20).run(target, labels=[0, 5])
    print(result.reconstruction.shape, result.confidence)


if __name__ == "__main__":
    make()
    main()
