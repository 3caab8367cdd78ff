"""What is asked of data of speakers, beside what every data module has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor

from mi_lightning.errors import InputError


@runtime_checkable
class Speakers(Protocol):
    """What is asked of data of speakers, beside what every data module has."""

    sample_rate: int
    class_names: Sequence[str]
    sexes: Sequence[str]

    def utterances(self, part: str) -> Sequence[tuple[int, Tensor]]:
        """Return label and waveform, shape (1, samples), of each utterance of ``"train"`` or ``"test"``."""


def speech_of(data: object, field: str = "data") -> Speakers:
    """Return data as speakers.

    Args:
        data: Data of whatever kind.
        field: Argument that was given them, for the error.

    Raises:
        InputError: If they are of something else.
    """
    if not isinstance(data, Speakers):
        raise InputError("data of speakers (utterances, sexes, sample_rate)", type(data).__name__, field)
    return data
