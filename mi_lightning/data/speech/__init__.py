"""Speech: people who are heard."""

from __future__ import annotations

from mi_lightning.data.base import Part
from mi_lightning.data.speech.base import Sex, SpeakerDataModule
from mi_lightning.data.speech.cache import Recording
from mi_lightning.data.speech.chunks import ChunkSet, Segment, UtteranceSet
from mi_lightning.data.speech.folder import FolderOfSpeakers, SpeakerFolder
from mi_lightning.data.speech.librispeech import LibriSpeech
from mi_lightning.data.speech.protocol import Speakers, speech_of
from mi_lightning.data.speech.public_voices import PublicVoices
from mi_lightning.data.speech.spectrum import SpeechSpectrum
from mi_lightning.data.speech.timit import Timit
from mi_lightning.data.speech.voices import SyntheticVoices

__all__ = [
    "ChunkSet",
    "FolderOfSpeakers",
    "LibriSpeech",
    "Part",
    "PublicVoices",
    "Recording",
    "Segment",
    "Sex",
    "SpeakerDataModule",
    "SpeakerFolder",
    "Speakers",
    "SpeechSpectrum",
    "SyntheticVoices",
    "Timit",
    "UtteranceSet",
    "speech_of",
]
