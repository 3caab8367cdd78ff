"""Synthetic voices: speakers made on the spot, so that the speech side runs without any recording."""

from __future__ import annotations

import ctypes
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mi_lightning.data.speech.base import Sex, SpeakerDataModule
from mi_lightning.data.speech.cache import Decoded, Recording
from mi_lightning.errors import InputError, MIError
from mi_lightning.extras import load_espeakng

#: Voices of espeak-ng, language and variant, and their sex; women and men take turns.
VOICES: dict[str, Sex] = {
    "en-us+f1": "F",
    "en-us+m1": "M",
    "en-gb-scotland+f2": "F",
    "en-gb-scotland+m2": "M",
    "en-us+f3": "F",
    "en-us+m3": "M",
    "en-029+f4": "F",
    "en-029+m4": "M",
    "en-us+f5": "F",
    "en-us+m5": "M",
    "en-us+Annie": "F",
    "en-us+m7": "M",
    "en-us+belinda": "F",
    "en-us+m8": "M",
    "en-us+linda": "F",
    "en-us+Gene": "M",
    "en-us+steph": "F",
    "en-us+adam": "M",
    "en-us+anika": "F",
    "en-us+m6": "M",
}


#: Sentences with every sound of English, some four seconds long.
SENTENCES = (
    "The quick yellow boat drifts past the old stone bridge at noon.",
    "My younger cousin measures the garage with a thin blue rope.",
    "Five judges chose the right treasure after a long, noisy vote.",
    "She would rather have fresh orange juice than weak black tea.",
    "Both of these kittens usually hide beneath the kitchen shelf.",
    "A cheerful voice on the radio said that the weather would change.",
    "We walked through thick fog and heard a dog growl nearby.",
    "The doctor asked whether your ankle hurts when you jump.",
    "Nothing pleases Hugh more than a warm bath and a good book.",
    "An old farmer poured water over the dusty path to his house.",
    "Put eight small eggs into the bowl and beat them with sugar.",
    "Their vision of the future was vague, but the young crew agreed.",
    "Please bring the purple jacket that hangs behind the door.",
    "Thirty loud geese flew over the church and turned south.",
    "If you push the switch twice, the engine starts without a sound.",
    "Every autumn the village boys gather wood by the frozen lake.",
    "Could you show Martha which of the two roads leads to the zoo?",
    "The choir sang a joyful song while the children threw white rice.",
    "He owes the baker twelve coins and a sincere apology.",
    "On Thursday our usual teacher spoke about the shape of clouds.",
    "Large waves crashed against the harbour wall throughout the night.",
    "Few people noticed the tiny bird that was singing in the hedge.",
    "Joan caught a huge fish, then let it slip back into the river.",
    "You ought to choose a path, however rough the ground may be.",
)


_SYNCHRONOUS = 2  # espeak_Synth returns when the speech is done


_DO_NOT_EXIT = 0x8000  # a missing voice must not end the process


_UTF8 = 1


_RATE, _PITCH = 1, 3  # parameters: words a minute; 0 to 100


_USUAL_RATE, _USUAL_PITCH = 175, 50


_REINSTALL = "pip install --force-reinstall espeakng-loader"


class Espeak:
    """A copy of the library espeak-ng with a state of its own, in a ``with`` block.

    What it speaks depends on what it spoke before, even after its own reset, and on the process's random numbers. A
    library that is loaded from another file has other variables, so a fresh copy speaks the same each time.

    Attributes:
        rate: Samples a second of what it speaks.

    Raises:
        MIError: If espeak-ng is not installed, or does not load.
    """

    def __init__(self) -> None:
        package = load_espeakng()
        self._folder = tempfile.TemporaryDirectory(prefix="mi-lightning-", ignore_cleanup_errors=True)
        try:
            original = Path(str(package.get_library_path()))
            self._library = ctypes.CDLL(str(shutil.copy(original, self._folder.name)))
        except OSError as error:
            self._folder.cleanup()
            raise MIError(f"espeak-ng cannot be loaded: {error}; {_REINSTALL}") from error
        self._pieces: list[NDArray[np.int16]] = []
        pointer = ctypes.POINTER(ctypes.c_short)
        self._callback = ctypes.CFUNCTYPE(ctypes.c_int, pointer, ctypes.c_int, ctypes.c_void_p)(self._collect)
        data = str(package.get_data_path()).encode()
        self.rate = int(self._library.espeak_Initialize(_SYNCHRONOUS, 0, data, _DO_NOT_EXIT))
        if self.rate <= 0:
            self.close()
            raise MIError(f"espeak-ng finds no voices; {_REINSTALL}")
        self._library.espeak_SetSynthCallback(self._callback)
        # its own random numbers, which it would seed by the clock, and those of the process's C library
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(1))
        if sys.platform != "win32":
            ctypes.CDLL(None).srand(1)

    def __enter__(self) -> Espeak:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give its memory back. The few hundred kilobytes of code stay until the process ends."""
        self._library.espeak_Terminate()
        self._folder.cleanup()

    def _collect(self, samples: Any, count: int, _events: int | None) -> int:
        """Take what was spoken; 0 asks for more."""
        if samples and count > 0:
            self._pieces.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def speak(self, text: str, voice: str, *, rate: int, pitch: int) -> NDArray[np.int16]:
        """Speak a sentence; the arguments are those of `speak`."""
        library = self._library
        # the default first: a voice that leaves something open takes it over from the one before
        if library.espeak_SetVoiceByName(b"en") or library.espeak_SetVoiceByName(voice.encode()):
            raise MIError(f"espeak-ng has no voice {voice}; {_REINSTALL}")
        library.espeak_SetParameter(_RATE, rate, 0)
        library.espeak_SetParameter(_PITCH, pitch, 0)
        self._pieces.clear()
        content = text.encode() + b"\0"
        failed = library.espeak_Synth(content, ctypes.c_size_t(len(content)), 0, 1, 0, _UTF8, None, None)
        library.espeak_Synchronize()
        if failed or not self._pieces:
            raise MIError(f"espeak-ng did not speak as {voice} (status {failed})")
        return np.concatenate(self._pieces)


def speak(
    text: str, voice: str, *, rate: int = _USUAL_RATE, pitch: int = _USUAL_PITCH
) -> tuple[NDArray[np.int16], int]:
    """Speak a sentence by espeak-ng.

    Args:
        text: The sentence.
        voice: Language and variant, as ``"en-us+f2"``.
        rate: Words a minute.
        pitch: 0 to 100; 50 is the voice's own.

    Returns:
        Samples (samples,) and their rate in Hz.

    Raises:
        MIError: If the library is missing or has no such voice.
    """
    with Espeak() as engine:
        return engine.speak(text, voice, rate=rate, pitch=pitch), engine.rate


class SyntheticVoices(SpeakerDataModule):
    """Voices of espeak-ng, women and men, that read phonetically rich sentences: speech without any download.

    Each sentence is read a little faster or slower, higher or lower, so that no voice is known by its pitch alone.

    Args:
        voices: How many voices, 2 to 20.
        sentences: How many sentences each of them reads, 2 to 24.
        variation: Greatest change of speed and of pitch, as a part of what is usual for the voice.
        **speech: The arguments of `SpeakerDataModule`; espeak-ng speaks at 22050 Hz.

    Raises:
        InputError: If there are not so many voices or sentences.
        MIError: On first use, if espeak-ng is not installed.
    """

    def __init__(self, voices: int = 20, sentences: int = 24, variation: float = 0.1, **speech: Any) -> None:
        super().__init__(**speech)
        for name, value, most in (("voices", voices, len(VOICES)), ("sentences", sentences, len(SENTENCES))):
            if not 2 <= value <= most:
                raise InputError(f"2 <= {name} <= {most}", value, name)
        if not 0 <= variation <= 0.5:
            raise InputError("0 <= variation <= 0.5", variation, "variation")
        self.voices, self.sentences, self.variation = voices, sentences, variation
        self._engine: tuple[str, Espeak] | None = None

    def settings(self) -> dict[str, Any]:
        """Plain values that change what is spoken."""
        return super().settings() | {"variation": self.variation, "text": SENTENCES[: self.sentences]}

    def find(self) -> list[Recording]:
        """List every voice with every sentence."""
        names = list(VOICES)[: self.voices]
        return [Recording(name, f"{name}/{index}") for name in names for index in range(self.sentences)]

    def read(self, recording: Recording) -> tuple[NDArray[np.float64], int]:
        """Speak the sentence."""
        voice, index = recording.speaker, int(recording.name.rpartition("/")[2])
        if self._engine is None or self._engine[0] != voice:  # a voice is the same whoever speaks beside it
            self._close()
            self._engine = (voice, Espeak())
        generator = torch.Generator().manual_seed(1000 * list(VOICES).index(voice) + index)
        rate, pitch = (1 + self.variation * (2 * torch.rand(2, generator=generator) - 1)).tolist()
        engine = self._engine[1]
        samples = engine.speak(
            SENTENCES[index], voice, rate=round(_USUAL_RATE * rate), pitch=round(_USUAL_PITCH * pitch)
        )
        return samples[:, None] / 32768, engine.rate

    def decode(self) -> Decoded:
        """Speak every sentence."""
        try:
            return super().decode()
        finally:
            self._close()

    def _close(self) -> None:
        """Let go of the engine: it cannot be pickled, and is not needed any more."""
        if self._engine is not None:
            self._engine[1].close()
            self._engine = None

    def sex_of(self, speaker: str) -> Sex:
        """Sex of the voice."""
        return VOICES[speaker]

    def describe(self) -> dict[str, Any]:
        """Say which data these are, in plain values."""
        return super().describe() | {"voices": self.voices, "sentences": self.sentences, "variation": self.variation}
