"""Speech of other people, as an attacker finds it: where a descent starts that should end as speech."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mi_lightning.data.base import PersonDataModule
from mi_lightning.data.speakers import Recording, Sex, SpeakerDataModule
from mi_lightning.data.voices import SENTENCES, speak
from mi_lightning.errors import InputError
from mi_lightning.inversion.initial import Initial
from mi_lightning.inversion.rows import Rows
from mi_lightning.metrics.audio import speech_of

_FLAG = "--model.space.init_args.initial.init_args"

#: Voices of espeak-ng whose variants are not among the embedded speakers (:data:`mi_lightning.data.voices.VOICES`).
PUBLIC_VOICES: dict[str, Sex] = {
    "en-us+Alicia": "F",
    "en-us+Andy": "M",
    "en-us+Andrea": "F",
    "en-us+Michael": "M",
    "en-us+grandma": "F",
    "en-us+grandpa": "M",
    "en-us+shelby": "F",
    "en-us+Denis": "M",
    "en-us+aunty": "F",
    "en-us+ed": "M",
    "en-us+klatt": "M",
    "en-us+Mr serious": "M",
    "en-us+sandro": "M",
    "en-us+quincy": "M",
    "en-us+rob": "M",
    "en-us+robert": "M",
    "en-us+antonio": "M",
    "en-us+victor": "M",
    "en-us+zac": "M",
    "en-us+max": "M",
}


_PLACES = 3  # places that are drawn for a piece
_FRAME = 320  # samples over which loudness is measured to find pauses


class PublicVoices(SpeakerDataModule):
    """Synthetic voices that no embedded classifier was trained on: public speech without any download.

    Raises:
        MIError: On first use, if espeak-ng is not installed.
    """

    flag = "references"

    def __init__(self, *, sentences: int = 8, sample_rate: int = 16000, cache_dir: str | None = None) -> None:
        """Check the number of sentences.

        Args:
            sentences: How many sentences each of them reads, 2 to 24.
            sample_rate: Rate, Hz.
            cache_dir: Folder for the decoded audio.
        """
        super().__init__(split="first", sample_rate=sample_rate, cache_dir=cache_dir)
        if not 2 <= sentences <= len(SENTENCES):
            raise InputError(f"2 <= sentences <= {len(SENTENCES)}", sentences, "sentences of PublicVoices")
        self.sentences = sentences

    def settings(self) -> dict[str, Any]:
        """Plain values that change what is spoken."""
        return super().settings() | {"text": SENTENCES[: self.sentences]}

    def find(self) -> list[Recording]:
        """List every voice with every sentence."""
        return [Recording(name, f"{name}/{index}") for name in PUBLIC_VOICES for index in range(self.sentences)]

    def read(self, recording: Recording) -> tuple[NDArray[np.float64], int]:
        """Speak the sentence."""
        samples, rate = speak(SENTENCES[int(recording.name.rpartition("/")[2])], recording.speaker)
        return samples[:, None] / 32768, rate

    def sex_of(self, speaker: str) -> Sex:
        """Sex of the voice."""
        return PUBLIC_VOICES[speaker]


def _fullness(piece: Tensor) -> float:
    """Mean level of short frames, in nats, no less than 40 dB below the loudest: high where there are no pauses."""
    power = piece[: len(piece) // _FRAME * _FRAME].view(-1, _FRAME).square().mean(1)
    if len(power) == 0 or not power.any():
        return -math.inf
    return float((power / power.max()).clamp_min(1e-4).log().mean())


class PublicSpeech(Initial):
    """Speech of other people, a random piece for each row, played a little faster or slower.

    With ``starts`` of the attack each row tries many pieces and goes on from the one that the target likes best: the
    voices most like the speaker's. Playing speed moves pitch and formants together, as the size of a speaker does.

    Args:
        references: Speech of *other* speakers; synthetic voices (:class:`PublicVoices`) if None.
        part: Which of its utterances.
        speed: Greatest change of the playing speed, as a factor, at least 1: 1.2 draws it between 1/1.2 and 1.2.
        std: Standard deviation that every piece is brought to before it is clamped, above 0.
        sample_rate: Samples in a second.

    Raises:
        InputError: If an argument is outside its range, or the references cannot be used.
    """

    def __init__(
        self,
        *,
        references: PersonDataModule | None = None,
        part: str = "train",
        speed: float = 1.2,
        std: float = 0.1,
        sample_rate: int = 16000,
    ) -> None:
        """Check the arguments; nothing is read yet."""
        if not 1 <= speed < math.inf:
            raise InputError("a finite speed >= 1", speed, f"{_FLAG}.speed")
        if not 0 < std < math.inf:
            raise InputError("a finite std > 0", std, f"{_FLAG}.std")
        if part not in ("train", "test"):
            raise InputError("part train or test", part, f"{_FLAG}.part")
        self.references, self.part, self.speed, self.std, self.sample_rate = references, part, speed, std, sample_rate

    @cached_property
    def _speech(self) -> Tensor:
        """All utterances end to end, shape (samples,)."""
        data = PublicVoices(sample_rate=self.sample_rate) if self.references is None else self.references
        data.prepare_data()
        data.setup("fit")
        speech = speech_of(data, f"{_FLAG}.references")
        if speech.sample_rate != self.sample_rate:
            raise InputError(f"references at {self.sample_rate} Hz", speech.sample_rate, f"{_FLAG}.references")
        return torch.cat([wave[0] for _, wave in speech.utterances(self.part)])

    def __call__(self, rows: Rows, shape: tuple[int, ...], value_range: tuple[float, float]) -> Tensor:
        """Return the pieces, shape (R, 1, samples)."""
        pieces = rows.draw(lambda generator: self._piece(shape[-1], generator))
        size = pieces.square().mean(-1, keepdim=True).sqrt().clamp_min(torch.finfo(pieces.dtype).tiny)
        start: Tensor = (pieces / size * self.std).clamp_(*value_range)
        return start

    def _piece(self, samples: int, generator: torch.Generator) -> Tensor:
        """Cut one piece and change its speed by interpolation, shape (1, samples)."""
        *places, change = torch.rand(_PLACES + 1, generator=generator, dtype=torch.float64).tolist()
        factor = self.speed ** (2 * change - 1)
        length = math.ceil(samples * factor) + 2
        if length > len(self._speech):
            got = f"{len(self._speech) / self.sample_rate:.1f} s"
            raise InputError(f"{length / self.sample_rate:.1f} s of speech", got, f"{_FLAG}.references")
        firsts = [int(place * (len(self._speech) - length)) for place in places]
        # of some places the one with the fewest pauses: silence resembles somebody, too, but says nothing
        piece = max((self._speech[first : first + length] for first in firsts), key=_fullness)
        if factor > 1:  # what would be above half the rate is taken out first
            spectrum = torch.fft.rfft(piece)
            spectrum[int(len(spectrum) / factor) :] = 0
            piece = torch.fft.irfft(spectrum, n=length)
        where = torch.arange(samples) * factor
        left = where.floor().long()
        share = where - left
        played: Tensor = piece[left] * (1 - share) + piece[left + 1] * share
        return played[None]
