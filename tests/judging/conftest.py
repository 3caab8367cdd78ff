from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from mi_lightning.attacks.result import InversionResult
from mi_lightning.classifiers import SoftmaxRegression
from mi_lightning.data import PersonDataModule

NAMES = ("ann", "bob", "cleo", "dan", "eve")


class StandIns(PersonDataModule):
    """Five people; each has a picture of random blocks, and photographs of it with noise; not equally many."""

    def __init__(self, shape: tuple[int, ...] = (1, 12, 10), photographs: Sequence[int] = (4, 3, 4, 2, 4)) -> None:
        super().__init__()
        self.shape, self.photographs = shape, photographs

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def input_range(self) -> tuple[float, float]:
        return (0.0, 1.0)

    @property
    def class_names(self) -> tuple[str, ...]:
        return NAMES

    def load(self):
        generator = torch.Generator().manual_seed(5)
        faces = torch.rand(len(NAMES), *self.shape, generator=generator)
        y = torch.repeat_interleave(torch.arange(len(NAMES)), torch.tensor(self.photographs))
        y = y[torch.randperm(len(y), generator=generator)]  # a person's photographs need not stand together
        x = (faces[y] + 0.1 * torch.randn(len(y), *self.shape, generator=generator)).clamp(0, 1)
        return (x, y), (faces, torch.arange(len(NAMES)))


@pytest.fixture
def people() -> StandIns:
    data = StandIns()
    data.setup()
    return data


def person_mean(data: PersonDataModule, label: int) -> Tensor:
    return data.train_x[data.train_y == label].mean(0)


@pytest.fixture
def evaluator(people: StandIns) -> SoftmaxRegression:
    return template_matcher(people)


def template_matcher(data: PersonDataModule) -> SoftmaxRegression:
    """Logits are scalar products with the centred mean photographs: it names every photograph right."""
    model = SoftmaxRegression(input_shape=data.input_shape, num_classes=len(NAMES), class_names=NAMES)
    means = torch.stack([person_mean(data, k) for k in range(len(NAMES))]).flatten(1)
    centre = means.mean(0)
    with torch.no_grad():
        model.head.weight.copy_(means - centre)
        model.head.bias.copy_(-(means - centre) @ centre - 0.5 * (means - centre).square().sum(1))
    return model.eval()


@pytest.fixture
def result_of() -> Callable[..., InversionResult]:
    """Make a result from reconstructions and labels."""

    def make(
        reconstruction: Tensor,
        label: Sequence[int],
        *,
        restart: Sequence[int] | None = None,
        cost: Sequence[float] | None = None,
        names: Sequence[str] = NAMES,
    ) -> InversionResult:
        rows = len(label)
        return InversionResult(
            label=torch.tensor(label),
            name=tuple(names[k] for k in label),
            restart=torch.zeros(rows, dtype=torch.int64) if restart is None else torch.tensor(restart),
            candidate=reconstruction.clone(),
            reconstruction=reconstruction,
            cost=torch.linspace(0.01, 0.1, rows) if cost is None else torch.tensor(cost),
            confidence=torch.linspace(0.9, 0.99, rows),
            iterations=torch.arange(rows) + 10,
            stop_reason=("target_cost",) * rows,
            queries=torch.arange(rows) + 11,
            seconds=torch.full((rows,), 0.25),
        )

    return make
