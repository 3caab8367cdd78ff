"""ResNet-18 on 224 x 224 pixels and 500 people in 4 GB: attacked and judged, with nothing said about memory.

The weights are drawn, and so are the people: it is about memory and time, not about what is found. The process is given
a limit on its memory, as a container or a batch system would (``RLIMIT_DATA``: what a process allocates for itself).

    nice -n 10 python benchmarks/big_model.py --people 500 --iterations 2 --gigabytes 4 --folder runs/big
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import sys
import time
from pathlib import Path

import torch
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn
from torch.nn import functional

from mi_lightning.attacks.costs import NegativeLogConfidence
from mi_lightning.attacks.filters import UnitRMS
from mi_lightning.data.base import Batch, PersonDataModule
from mi_lightning.lightning.callbacks import ResultsWriter, WholeProgress
from mi_lightning.lightning.module import Inversion
from mi_lightning.lightning.trainer import InversionTrainer
from mi_lightning.targets import WhiteBox


class Block(nn.Module):
    """Two convolutions beside a short cut [He et al., CVPR 2016], as torchvision's ``BasicBlock`` has them."""

    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inside != outside:
            self.downsample = nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))

    def forward(self, x: Tensor) -> Tensor:
        """Return what two convolutions add to the input."""
        added = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(added + self.downsample(x))


def resnet18(num_classes: int, width: int = 64) -> nn.Module:
    """ResNet-18, layer by layer that of torchvision, so that this needs nothing but torch."""
    layers: list[nn.Module] = [nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    layers.append(nn.MaxPool2d(3, 2, 1))
    inside = width
    for outside, stride in ((width, 1), (2 * width, 2), (4 * width, 2), (8 * width, 2)):
        layers += [Block(inside, outside, stride), Block(outside, outside, 1)]
        inside = outside
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inside, num_classes))


class DrawnPeople(PersonDataModule):
    """People whose pictures are soft patches with a little noise: two to learn from, one to test with."""

    def __init__(self, people: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.people, self.shape = people, shape

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one picture."""
        return self.shape

    @property
    def input_range(self) -> tuple[float, float]:
        """Black and white."""
        return 0.0, 1.0

    @property
    def class_names(self) -> tuple[str, ...]:
        """Numbers with a letter."""
        return tuple(f"p{k}" for k in range(self.people))

    def load(self) -> tuple[Batch, Batch]:
        """Draw everybody from one generator, picture by picture."""
        generator, count = torch.Generator().manual_seed(0), self.people
        train, test = torch.empty(2 * count, *self.shape), torch.empty(count, *self.shape)
        for person in range(count):
            coarse = torch.rand(1, self.shape[0], 7, 7, generator=generator)
            face = functional.interpolate(coarse, self.shape[1:], mode="bilinear")[0]
            for into, place in ((train, 2 * person), (train, 2 * person + 1), (test, person)):
                noise = 0.05 * torch.randn(self.shape, generator=generator)
                torch.add(face, noise, out=into[place]).clamp_(0, 1)
        label = torch.arange(count)
        return (train, label.repeat_interleave(2)), (test, label)


def main() -> None:
    """Attack, judge, write, and say what it took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--people", type=int, default=500, help="people, each one a class")
    parser.add_argument("--side", type=int, default=224, help="pixels of a side")
    parser.add_argument("--width", type=int, default=64, help="channels of the first layer; 64 is ResNet-18")
    parser.add_argument("--iterations", type=int, default=2, help="iterations of the attack")
    parser.add_argument("--gigabytes", type=float, default=4.0, help="limit on the memory of the process; 0 for none")
    parser.add_argument("--folder", type=Path, default=Path("runs/big"), help="where results go")
    parser.add_argument("--verbose", action="store_true", help="let Lightning say what it does")
    given = parser.parse_args()
    if not given.verbose:
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    if given.gigabytes:
        limit = int(given.gigabytes * 2**30)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    torch.manual_seed(0)
    shape = (3, given.side, given.side)
    data = DrawnPeople(given.people, shape)
    target = WhiteBox(resnet18(given.people, given.width), input_shape=shape, class_names=data.class_names)
    inversion = Inversion(
        target=target,
        max_iterations=given.iterations,
        report_every=1,
        cost=NegativeLogConfidence(),  # this and the next move also where a net is unsure
        gradient_filter=UnitRMS(),
    )
    trainer = InversionTrainer(
        accelerator="cpu",
        logger=CSVLogger(given.folder, name="resnet18"),
        callbacks=[ResultsWriter(), WholeProgress()],
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    began = time.perf_counter()
    # its weights are drawn: it knows nobody
    result = trainer.invert(inversion, datamodule=data, recogniser=None, unverified=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    folder = Path(str(trainer.log_dir))
    written = json.loads((folder / "results.json").read_text())
    files = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6
    sys.stdout.write(
        f"{len(result)} rows x {given.iterations} iterations, {inversion.engine.largest} rows at once in "
        f"{inversion.engine.parts} parts: {time.perf_counter() - began:.0f} s, most memory {peak:.2f} GiB of "
        f"{given.gigabytes:g}; {len(written['per_label'])} people in results.json, {files:.0f} MB of files\n"
    )


if __name__ == "__main__":
    main()
