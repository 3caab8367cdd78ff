"""Voices: players, each with a spectrogram."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from mi_lightning.attacks.result import InversionResult
from mi_lightning.audio.files import from_int16, full_scale, to_int16, wav
from mi_lightning.data.base import Kind, Modality
from mi_lightning.judging.judgement import Judgement
from mi_lightning.report import pictures, sound
from mi_lightning.report.inline import sound_uri, webp_uri
from mi_lightning.report.media.base import Found, Media
from mi_lightning.report.media.sheet import contact_sheet
from mi_lightning.report.media.timeline import film


class Voices(Media):
    """Waveforms of one channel, (1, samples)."""

    kind: Kind = "sound"
    unseen = "recordings"
    measures = (
        *("target_top1", "dvector_cosine_mean", "dvector_euclidean_mean", "sex_right", "spectral_distance_mean"),
        *("modulation_mean", "vocoder_evaluator_top1", "vocoder_target_top1"),
    )
    terminal = (
        *("recognised_interval", "ceiling", "chance", "accepted_at_1_percent", "fools_model_only"),
        *("evaluator_top1", "modulation_mean", "seconds"),
    )
    caption = (
        "recognised: named first by a recogniser that never met these speakers (95% interval);\n"
        "ceiling: real pieces as long; let in: where 1% of impostors get in; fools: only target or\n"
        "inside evaluator (inside) name the speaker; mod.: loudness varies like speech's (0 to 1)"
    )
    controls: Mapping[str, str] = {**Media.controls, "noise": "noise", "real_speech": "real speech"}
    controls_short: Mapping[str, str] = {**Media.controls_short, "real_speech": "real"}

    def pixels(self, samples: Tensor, modality: Modality) -> pictures.Pixels:
        """Spectrograms."""
        return sound.spectrograms(samples, _rate(modality))

    def players(self, result: InversionResult, judgement: Judgement | None) -> dict[str, Tensor]:
        """As found, after the vocoder, and real speech of the same speakers."""
        waves = {"found": result.reconstruction}
        if judgement is not None:
            waves |= {"vocoder": judgement.vocoded} if judgement.vocoded is not None else {}
            waves |= {"real": judgement.real} if judgement.real is not None else {}
        return {name: full_scale(wave) for name, wave in waves.items()}

    def arrays(self, judgement: Judgement, modality: Modality) -> dict[str, NDArray[Any]]:
        """What the voices were compared with, real speech of each row's speaker, and what passed the vocoder."""
        waves = {name: getattr(judgement, name) for name in ("real", "vocoded")}
        kept = {name: to_int16(wave) for name, wave in waves.items() if wave is not None}
        return super().arrays(judgement, modality) | kept

    def files(self, found: Found) -> dict[str, bytes]:
        """WAV files of the best restart of each label, and a sheet of their spectrograms."""
        result, rate = found.result, _rate(found.modality)
        waves, files = self.players(result, found.judgement), {}
        for row in found.chosen.tolist():
            stem = f"audio/{result.label[row]:03d}_{re.sub(r'[^A-Za-z0-9-]+', '_', result.name[row])}"
            for name, wave in waves.items():
                files[f"{stem}.wav" if name == "found" else f"{stem}_{name}.wav"] = wav(wave[row], rate)
        return files | {"spectrograms.png": self.sheet(found)}

    def sheet(self, found: Found, references: Tensor | None = None) -> bytes:
        """Spectrograms: real speech, what was found, and the same after the vocoder."""
        result, chosen, modality = found.result, found.chosen, found.modality
        rate, waves = _rate(modality), self.players(result, found.judgement)
        if references is None and "real" in waves:
            references = waves["real"][chosen]
        beside, legend = [self.pixels(result.reconstruction[chosen], modality)], "What the classifier gave away."
        if references is not None:
            beside.insert(0, self.pixels(references, modality))
            legend = "From the left: real speech of the person; what the classifier gave away"
            if "vocoder" in waves:
                beside.append(self.pixels(waves["vocoder"][chosen], modality))
                legend += "; the same after a vocoder"
            legend += "."
        seconds = result.reconstruction.shape[-1] / rate
        scale = f"{seconds:g} s to the right, 0 to {rate / 2000:g} kHz upwards."
        return contact_sheet(beside, result, found.judgement, chosen, noun="voices", lines=[legend, scale])

    def introduce(
        self, card: dict[str, Any], arrays: Mapping[str, NDArray[Any]], index: int, modality: Modality
    ) -> None:
        """Real speech of the speaker; of several runs' excerpts the longest."""
        if "real" not in arrays:
            return
        samples = arrays["real"][index : index + 1]
        if card["voice"] is None or samples.shape[-1] > card["voice"]["samples"]:
            voice = self._player("real speech", from_int16(samples), modality)
            card["voice"] = voice | {"samples": samples.shape[-1]}

    def cell(self, arrays: Mapping[str, NDArray[Any]], index: int, modality: Modality) -> dict[str, Any]:
        """Players of what was found and of the same after the vocoder, and how it came about."""
        waves = {"as found": torch.from_numpy(arrays["reconstruction"][index : index + 1])}
        if "vocoded" in arrays:
            waves["after the vocoder"] = from_int16(arrays["vocoded"][index : index + 1])
        sounds = [self._player(caption, wave, modality) for caption, wave in waves.items()]
        return {"sounds": sounds, "film": film(arrays, index)}

    def _player(self, caption: str, wave: Tensor, modality: Modality) -> dict[str, Any]:
        """A waveform, shape (1, 1, samples), to listen to and to look at."""
        picture = webp_uri(self.pixels(wave, modality)[0])
        return {"caption": caption, "sound": sound_uri(wave, _rate(modality)), "picture": picture}


def _rate(modality: Modality) -> int:
    """Samples in a second."""
    if modality.sample_rate is None:  # a sound without one is refused where it is described
        raise TypeError("a modality of sounds has a sample rate")
    return modality.sample_rate
