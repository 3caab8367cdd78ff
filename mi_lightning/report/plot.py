"""One picture of what an attack found."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from mi_lightning.attacks.result import InversionResult
from mi_lightning.data.base import PersonDataModule, modality_of
from mi_lightning.errors import InputError
from mi_lightning.io import write_atomically
from mi_lightning.judging.judgement import Judgement
from mi_lightning.report.pictures import contact_sheet, to_pixels


def plot(
    result: InversionResult,
    references: PersonDataModule | Tensor | None = None,
    judgement: Judgement | None = None,
    path: str | Path | None = None,
    *,
    input_range: tuple[float, float] = (0.0, 1.0),
) -> Image.Image:
    """Draw the best reconstruction of each person on one sheet, beside what the person looks like if that is known.

    Args:
        result: What an attack found.
        references: The people, of whom the mean of the training images is shown, or one picture for each class,
            shape (K, *input_shape).
        judgement: What a judge says of it: captions tell whom the evaluator names, green if it is the person.
        path: PNG file to write; none if None.
        input_range: Lowest (black) and highest (white) value of an input; that of the people if they are given.

    Returns:
        The sheet. Notebooks show it.

    Raises:
        InputError: If the reconstructions are no pictures, or ``references`` are of another shape.
        MIError: If the file cannot be written.
    """
    best = result.best()
    shape = tuple(best.reconstruction.shape[1:])
    if modality_of(shape, input_range).kind != "picture":
        raise InputError("reconstructions of shape (1 or 3, height, width)", shape, field="result")
    beside = []
    if references is not None:
        if isinstance(references, PersonDataModule):
            input_range = references.input_range
        shown = _faces(references, best.label)
        if tuple(shown.shape[1:]) != shape:
            raise InputError(f"references of shape {shape}", tuple(shown.shape[1:]), field="references")
        beside.append(to_pixels(shown, input_range))
    captions = [f"target {confidence:.0%} sure" for confidence in best.confidence.tolist()]
    right: list[bool | None] = [None] * len(best)
    if judgement is not None and judgement.evaluator_guess is not None:
        place = {row: index for index, row in enumerate(_rows(result))}
        guess = [int(judgement.evaluator_guess[place[row]]) for row in _rows(best)]
        right = [named == label for named, label in zip(guess, best.label.tolist(), strict=True)]
        names = dict(enumerate(judgement.class_names))
        captions = [f"named {names.get(named, 'nobody')}" for named in guess]
    sheet = contact_sheet(
        [*beside, to_pixels(best.reconstruction, input_range)],
        names=best.name,
        captions=captions,
        right=right,
        heading=[f"{len(best)} people"],
    )
    if path is not None:
        write_atomically(path, sheet)
    return Image.open(io.BytesIO(sheet))


def _rows(result: InversionResult) -> list[tuple[int, int]]:
    """Label and restart of each row."""
    return list(zip(result.label.tolist(), result.restart.tolist(), strict=True))


def _faces(references: PersonDataModule | Tensor, label: Tensor) -> Tensor:
    """What the people of these labels look like, shape (R, *input_shape)."""
    if isinstance(references, Tensor):
        return references[label]
    references.prepare_data()
    references.setup("fit")
    return torch.stack([references.train_x[references.train_y == person].mean(0) for person in label.tolist()])
