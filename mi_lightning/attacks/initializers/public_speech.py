"""Speech of other people, as an attacker finds it: where a descent starts that should end as speech."""

from __future__ import annotations

import math
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from mi_lightning.attacks.initializers.base import Initializer
from mi_lightning.attacks.rows import Rows
from mi_lightning.audio.rate import Rated
from mi_lightning.data.base import PersonDataModule
from mi_lightning.data.speech.protocol import speech_of
from mi_lightning.data.speech.public_voices import PublicVoices
from mi_lightning.errors import InputError

_PLACES = 3  # places that are drawn for a piece


_FRAME = 320  # samples over which loudness is measured to find pauses


def _fullness(piece: Tensor) -> float:
    """Mean level of short frames, in nats, no less than 40 dB below the loudest: high where there are no pauses."""
    power = piece[: len(piece) // _FRAME * _FRAME].view(-1, _FRAME).square().mean(1)
    if len(power) == 0 or not power.any():
        return -math.inf
    return float((power / power.max()).clamp_min(1e-4).log().mean())


class PublicSpeech(Rated, Initializer):
    """Speech of other people, a random piece for each row, played a little faster or slower.

    With ``initial_candidates`` of the attack each row tries many pieces and goes on from the one that the target likes
    best: the voices most like the speaker's. Playing speed moves pitch and formants together, as the size of a speaker
    does.

    Args:
        references: Speech of *other* speakers; synthetic voices (:class:`PublicVoices`) if None.
        part: Which of its utterances.
        speed: Greatest change of the playing speed, as a factor, at least 1: 1.2 draws it between 1/1.2 and 1.2.
        std: Standard deviation that every piece is brought to before it is clamped, above 0.
        sample_rate: Samples in a second; the target's if not given.

    Raises:
        InputError: If an argument is outside its range, or the references cannot be used.
    """

    #: Knowledge of other people, which an attacker has without the target (the control *prior alone*).
    public: ClassVar[bool] = True
    axes = "sound"

    def __init__(
        self,
        *,
        references: PersonDataModule | None = None,
        part: str = "train",
        speed: float = 1.2,
        std: float = 0.1,
        sample_rate: int | None = None,
    ) -> None:
        """Check the arguments; nothing is read yet."""
        if not 1 <= speed < math.inf:
            raise InputError("a finite speed >= 1", speed, field="speed")
        if not 0 < std < math.inf:
            raise InputError("a finite std > 0", std, field="std")
        if part not in ("train", "test"):
            raise InputError("part train or test", part, field="part")
        self.references, self.part, self.speed, self.std = references, part, speed, std
        self.start_rate(sample_rate)

    def rate_changed(self) -> None:
        """Forget the speech of another rate."""
        self.__dict__.pop("_speech", None)

    @cached_property
    def _speech(self) -> Tensor:
        """All utterances end to end, shape (samples,)."""
        data = PublicVoices(sample_rate=self.sample_rate) if self.references is None else self.references
        data.prepare_data()
        data.setup("fit")
        speech = speech_of(data, "references")
        if speech.sample_rate != self.sample_rate:
            raise InputError(f"references at {self.sample_rate} Hz", speech.sample_rate, field="references")
        return torch.cat([wave[0] for _, wave in speech.utterances(self.part)])

    def __call__(self, rows: Rows, shape: tuple[int, ...], value_range: tuple[float, float]) -> Tensor:
        """Return the pieces, shape (R, 1, samples)."""
        self.check(shape)
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
            raise InputError(f"{length / self.sample_rate:.1f} s of speech", got, field="references")
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
