"""A whole model in one file, by torch.export: mi-lightning invert --config exported_program.yaml."""

from __future__ import annotations

import torch
from torch import nn

import mi_lightning as mi


def make() -> None:
    """Write the file; the number of inputs stays open."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.LazyLinear(6)).eval()
    x = torch.rand(2, 1, 28, 23)
    net(x)
    exported = torch.export.export(net, (x,), dynamic_shapes=({0: torch.export.Dim("n", min=1, max=4096)},))
    torch.export.save(exported, "exported_program.pt2")


def main() -> None:
    """Attack two of the people. Such a file can run any code when it is opened: trust_file says that it may."""
    target = mi.TorchModule(None, "exported_program.pt2", trust_file=True, input_shape=(1, 28, 23))
    result = mi.attacks.gradient_descent(max_iterations=20).run(target, labels=[0, 5])
    print(result.reconstruction.shape, result.confidence)


if __name__ == "__main__":
    make()
    main()
