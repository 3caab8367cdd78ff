"""Pictures: shown as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mi_lightning.data.base import Kind, Modality
from mi_lightning.judging.judgement import select_rows
from mi_lightning.report import pictures
from mi_lightning.report.media.base import Found, Media
from mi_lightning.report.media.sheet import contact_sheet
from mi_lightning.report.media.timeline import film


class Pictures(Media):
    """Pictures of one or three channels, (C, H, W)."""

    kind: Kind = "picture"

    def pixels(self, samples: Tensor, modality: Modality) -> pictures.Pixels:
        """Input range as black to white."""
        return pictures.to_pixels(samples, modality.value_range)

    def thumbnails(self, samples: Tensor, modality: Modality) -> pictures.Pixels:
        """The same."""
        return self.pixels(samples, modality)

    def faint(self, samples: Tensor, modality: Modality) -> bool:
        """Whether half of the pictures use less than half of the grey levels."""
        return pictures.faint(self.pixels(samples, modality))

    def kept(self, references: Tensor, modality: Modality) -> NDArray[Any]:
        """As 8 bits, from which photographs come: they are only looked at, and a quarter of the size."""
        return self.pixels(references, modality)

    def files(self, found: Found) -> dict[str, bytes]:
        """The contact sheet."""
        return {"reconstructions.png": self.sheet(found)}

    def sheet(self, found: Found, references: Tensor | None = None) -> bytes:
        """The mean of the training images, the reconstruction, and if need be the same with its contrast stretched."""
        judgement, modality, chosen = found.judgement, found.modality, found.chosen
        if references is None and judgement is not None and judgement.reference_mean is not None:
            references = select_rows(judgement.reference_mean, chosen)
        samples = select_rows(found.result.reconstruction, chosen)
        shown = self.pixels(samples, modality)
        beside, legend = [shown], "What the classifier gave away."
        if references is not None:
            beside.insert(0, self.pixels(references, modality))
            legend = "From the left: mean of the person's training images; what the classifier gave away."
        if pictures.faint(shown):
            beside.append(pictures.stretched(shown))
            legend = f"{legend[:-1]}; the same with its contrast stretched."
        low, high = modality.value_range
        outside = pictures.outside_range(samples, modality.value_range)
        scale = f"Shown from {low:g} (black) to {high:g} (white)"
        scale += f"; {outside:.1%} of the values lie outside: such pictures are stretched into it." if outside else "."
        return contact_sheet(beside, found.result, judgement, chosen, noun="reconstructions", lines=[legend, scale])

    def introduce(
        self, card: dict[str, Any], arrays: Mapping[str, NDArray[Any]], index: int, modality: Modality
    ) -> None:
        """Mean photograph of the person, of the first run that has one."""
        if card["mean"] is None:
            card["mean"] = photograph(arrays, "reference_mean", index)

    def cell(self, arrays: Mapping[str, NDArray[Any]], index: int, modality: Modality) -> dict[str, Any]:
        """The reconstruction, the photograph of the person that is most like it, and how it came about."""
        pixels = self.pixels(torch.from_numpy(arrays["reconstruction"][index : index + 1]), modality)[0]
        return {
            "picture": pictures.data_uri(pixels),
            "closest": photograph(arrays, "reference_best", index),
            "stretch": pictures.stretch_style(pixels),
            "film": film(arrays, index),
        }


def photograph(arrays: Mapping[str, NDArray[Any]], name: str, index: int) -> str | None:
    """A photograph of the row's person as a picture, if the run's files hold one."""
    stored = arrays.get(name)
    return pictures.data_uri(stored[index]) if stored is not None and stored.dtype == np.uint8 else None
