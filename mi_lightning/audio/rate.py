"""Parts that work at the sample rate of the target: one place says it, and who says another is refused."""

from __future__ import annotations

from mi_lightning.errors import InputError

SPEECH_RATE = 16000  # Hz, of speech corpora and of what recognises speakers, where nothing says another rate


class Rated:
    """A part with a sample rate: the one that it was given, or the target's.

    Attributes:
        sample_rate: Samples in a second (Hz): as given; 16000 where neither an argument nor a target says it.
    """

    sample_rate: int
    _given_rate: int | None = None

    def start_rate(self, given: int | None) -> None:
        """Keep the argument ``sample_rate``.

        Raises:
            InputError: If it is below 1.
        """
        if given is not None and given < 1:
            raise InputError("sample_rate >= 1", given, "sample_rate")
        self._given_rate = given
        self.sample_rate = SPEECH_RATE if given is None else given

    @property
    def said_rate(self) -> int | None:
        """The rate that the part was given; None if it takes the target's."""
        return self._given_rate

    def take_rate(self, rate: int | None, whose: str = "the target's") -> None:
        """Work at a rate.

        Args:
            rate: Samples in a second; nothing changes if None.
            whose: Whose it is, for the error.

        Raises:
            InputError: If the part was given another.
        """
        if rate is None:
            return
        if self._given_rate not in (None, rate):
            expected = f"sample_rate {rate} of {type(self).__name__}, which is {whose}, or none"
            raise InputError(expected, self._given_rate, "sample_rate")
        if rate != self.sample_rate:
            self.sample_rate = rate
            self.rate_changed()

    def rate_changed(self) -> None:
        """Forget what was worked out for another rate."""


def tell_rate(part: object, rate: int | None, whose: str = "the target's") -> None:
    """Let a part work at a rate, if it has one.

    Raises:
        InputError: If it was given another.
    """
    if isinstance(part, Rated):
        part.take_rate(rate, whose)
