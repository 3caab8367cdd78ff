"""People who do not exist, for the tutorials: drawn faces, and a recogniser that was trained on other drawn faces."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import Tensor

from mi_lightning.data.base import Batch, PersonDataModule
from mi_lightning.recognisers import Embedder

SIDE = 32  # pixels
_Y, _X = (axis / SIDE for axis in np.mgrid[0:SIDE, 0:SIDE] + 0.5)

Picture = NDArray[np.float64]


def _spot(y: float, x: float, height: float, width: float, soft: float = 0.15) -> Picture:
    """An ellipse: 1 inside, 0 outside, with a soft edge."""
    far = np.sqrt(((_Y - y) / height) ** 2 + ((_X - x) / width) ** 2)
    inside: Picture = 1 / (1 + np.exp((far - 1) / soft))
    return inside


def draw(person: int, photograph: int) -> Picture:
    """One photograph of a made person, (32, 32) in [0, 1]: always the same face, in another light and position."""
    who, when = np.random.default_rng([7, person]), np.random.default_rng([8, person, photograph])
    between = who.uniform
    width, height, middle = between(0.24, 0.36), between(0.34, 0.44), 0.52 + when.normal(0, 0.012)
    x, skin, hair = 0.5 + when.normal(0, 0.012), between(0.45, 0.85), between(0.02, 0.95)
    eyes, apart, size = middle - between(0.04, 0.14), between(0.09, 0.16), between(0.025, 0.05)
    mouth, wide, nose = middle + between(0.13, 0.24), between(0.06, 0.15), between(0.04, 0.13)
    brow, line = between(0.05, 0.1), between(0.14, 0.32)
    picture = np.full((SIDE, SIDE), 0.3 + when.normal(0, 0.03))
    for ink, part in (
        (hair, _spot(middle - 0.08, x, height + 0.06, width + between(0.02, 0.1))),
        (skin, _spot(middle, x, height, width) * (middle - height + line * 0.7 < _Y)),
        (0.05, _spot(eyes, x - apart, size, size * 1.4) + _spot(eyes, x + apart, size, size * 1.4)),
        (hair * 0.5, _spot(eyes - brow, x - apart, 0.016, 0.07) + _spot(eyes - brow, x + apart, 0.016, 0.07)),
        (skin * 0.6, _spot(eyes + nose, x, nose, 0.02)),
        (0.2, _spot(mouth + when.normal(0, 0.008), x, 0.02 + abs(when.normal(0, 0.008)), wide)),
    ):
        share = np.clip(part, 0, 1)
        picture = picture * (1 - share) + ink * share
    lit = picture * (1 + when.normal(0, 0.06)) + when.normal(0, 0.02) + when.normal(0, 0.02, picture.shape)
    return np.clip(lit, 0, 1)


def photographs(people: range, each: int) -> Batch:
    """Several photographs of each of some people: (N, 1, 32, 32) and whose they are."""
    drawn = np.stack([draw(person, photograph) for person in people for photograph in range(each)])
    return torch.from_numpy(drawn)[:, None].float(), torch.arange(len(people)).repeat_interleave(each)


class MadeFaces(PersonDataModule):
    """Made people: eight photographs each to train with, four to test with.

    Args:
        people: How many.
    """

    input_shape = (1, SIDE, SIDE)
    input_range = (0.0, 1.0)

    def __init__(self, people: int = 20) -> None:
        """Draw nobody yet."""
        super().__init__()
        self.people = people

    @property
    def class_names(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(f"person {number:02d}" for number in range(self.people))

    def load(self) -> tuple[Batch, Batch]:
        """Draw them."""
        x, y = photographs(range(self.people), 12)
        test = torch.arange(len(x)) % 12 >= 8
        return (x[~test], y[~test]), (x[test], y[test])


def recogniser(others: int = 200) -> Embedder:
    """A recogniser of drawn faces that never met the people of :class:`MadeFaces`: it learned to tell others apart.

    Linear discriminants of other drawn faces, at half the resolution. For photographs of real people there is
    ``mi_lightning.recognisers.DlibFaces``.
    """
    x, y = photographs(range(10_000, 10_000 + others), 4)
    learned = LinearDiscriminantAnalysis(solver="eigen", shrinkage=0.05, n_components=24).fit(_halved(x), y)

    def vectors(x: Tensor) -> Tensor:
        return torch.from_numpy(learned.transform(_halved(x))).float()

    return Embedder(vectors, kind="picture", name="discriminants", trained_on=f"{others} other drawn people")


def _halved(x: Tensor) -> Picture:
    halved: Picture = torch.nn.functional.avg_pool2d(x, 2).flatten(1).numpy()
    return halved
