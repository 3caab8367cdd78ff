"""What judges see or hear of a run: each person's reconstruction, and one real photograph or recording."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from mi_lightning.audio.files import from_int16, full_scale
from mi_lightning.audio.rate import SPEECH_RATE
from mi_lightning.data.base import Kind
from mi_lightning.errors import MIError
from mi_lightning.report import pictures
from mi_lightning.report.inline import wav_uri
from mi_lightning.report.results import RunResults


@dataclass(frozen=True)
class Exhibits:
    """What can be shown of a run, by person.

    Attributes:
        index: Place of each person's best row in ``per_label``.
        label: Label of each person.
        name: Name of each person.
        found: Reconstructions, as data URIs.
        real: A real sample of each person, as data URIs.
        stretched: Whether the contrast of the reconstructions was stretched.
        left_out: Names of the people without a finite reconstruction.
    """

    index: list[int]
    label: list[int]
    name: list[str]
    found: list[str]
    real: list[str]
    stretched: bool
    left_out: list[str]


def exhibits(run: RunResults, name: str) -> Exhibits:
    """Collect what judges are shown of a run.

    Args:
        run: The run.
        name: What it is called.

    Raises:
        MIError: If its samples can neither be seen nor heard, or it has no real ones.
    """
    kind = run.modality.kind
    if kind not in _SHOWN:
        raise MIError(f"{name} has nothing that people can see or hear: a study asks about pictures or voices")
    array = _REAL[kind]
    if array not in run.arrays or not np.issubdtype(run.arrays[array].dtype, np.integer):
        raise MIError(f"{name} has no real samples of the people ({array}): run the attack again with its data")
    # of what is not finite the judge found no photograph that is most like it
    whole = np.isfinite(run.arrays["reconstruction"].reshape(len(run.data["per_label"]), -1)).all(1)
    index = [place for place in run.best_index if whole[place]]
    rows = run.data["per_label"]
    found, real, stretched = _SHOWN[kind](run, index) if index else ([], [], False)
    return Exhibits(
        index=index,
        label=[int(rows[place]["label"]) for place in index],
        name=[str(rows[place]["name"]) for place in index],
        found=found,
        real=real,
        stretched=stretched,
        left_out=[str(rows[place]["name"]) for place in run.best_index if not whole[place]],
    )


def _pictures(run: RunResults, index: list[int]) -> tuple[list[str], list[str], bool]:
    """Reconstructions, stretched where they are faint (as any attacker would), and the photographs most like them."""
    found = pictures.to_pixels(torch.from_numpy(run.arrays["reconstruction"][index]), run.modality.value_range)
    faint = pictures.faint(found)
    shown = pictures.stretched(found) if faint else found
    real = run.arrays["reference_best"][index]
    return [pictures.data_uri(each) for each in shown], [pictures.data_uri(each) for each in real], faint


def _voices(run: RunResults, index: list[int]) -> tuple[list[str], list[str], bool]:
    """Reconstructions and real speech of the same length, all equally loud at their loudest."""
    rate = run.modality.sample_rate or SPEECH_RATE
    waves = torch.from_numpy(run.arrays["reconstruction"][index]), from_int16(run.arrays["real"][index])
    found, real = ([wav_uri(_loud(wave), rate) for wave in full_scale(each)] for each in waves)
    return found, real, False


def _loud(wave: torch.Tensor) -> torch.Tensor:
    """A waveform whose greatest sample is 0.9 of full scale; silence stays silence."""
    return wave * (0.9 / wave.abs().amax().clamp_min(1e-4))


#: How each kind is shown, and the array of its real samples.
_SHOWN: Mapping[Kind, Callable[[RunResults, list[int]], tuple[list[str], list[str], bool]]] = {
    "picture": _pictures,
    "sound": _voices,
}
_REAL: Mapping[Kind, str] = {"picture": "reference_best", "sound": "real"}
