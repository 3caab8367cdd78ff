"""People made of numbers, and a model that knows them: what one thing gone wrong makes of it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mi_lightning.data.base import Batch, PersonDataModule

SHAPE, PEOPLE = (1, 6, 6), 12
NAMES = tuple(f"s{k}" for k in range(1, PEOPLE + 1))  # s10 comes before s2 where names are sorted


class MadePeople(PersonDataModule):
    """People who look like one prototype each, drawn, and a little noise.

    Args:
        names: Names of the people, in the order of the labels.
        train: Training samples of each person.
        test: Test samples of each.
        noise: Deviation of the noise.
    """

    input_shape = SHAPE
    input_range = (0.0, 1.0)
    class_names: tuple[str, ...] = ()

    def __init__(
        self, names: Sequence[str] = NAMES, *, train: int | Sequence[int] = 4, test: int = 3, noise: float = 0.03
    ) -> None:
        super().__init__()
        self.class_names = tuple(names)
        self.counts = [train] * len(names) if isinstance(train, int) else list(train)
        self.test, self.noise = test, noise
        self.setup()

    def load(self) -> tuple[Batch, Batch]:
        generator = torch.Generator().manual_seed(1)
        faces = prototypes(len(self.class_names))

        def draw(counts: Sequence[int]) -> Batch:
            y = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
            x = faces[y] + self.noise * torch.randn(len(y), *SHAPE, generator=generator)
            return x.clamp(0, 1), y

        return draw(self.counts), draw([self.test] * len(self.class_names))


def prototypes(people: int = PEOPLE) -> Tensor:
    """What the people look like, shape (people, *SHAPE)."""
    return torch.rand(people, *SHAPE, generator=torch.Generator().manual_seed(0))


class Knower(nn.Module):
    """Knows the people: the logit of each is the scaled distance to the prototype.

    Args:
        order: Whose each output is.
        sharpness: Factor of the distances; the greater, the surer.
    """

    def __init__(self, order: Sequence[int] = range(PEOPLE), sharpness: float = 20.0) -> None:
        super().__init__()
        self.faces = nn.Parameter(prototypes()[list(order)].flatten(1))
        self.sharpness = sharpness

    def forward(self, x: Tensor) -> Tensor:
        return -self.sharpness * torch.cdist(x.flatten(1), self.faces).square()


class Then(nn.Module):
    """A model whose answers pass through a function, and whose inputs pass through another one before."""

    def __init__(self, model: nn.Module, after=lambda y: y, before=lambda x: x) -> None:
        super().__init__()
        self.model, self.after, self.before = model, after, before

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.model(self.before(x)))
