"""Recordings of speakers: decoded once, cut into chunks to train on and handed out whole to test with."""

from __future__ import annotations

import copy
import itertools
import math
import warnings
from abc import abstractmethod
from collections.abc import Iterator
from functools import cached_property
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mi_lightning.audio.files import DamagedAudioError, read_audio
from mi_lightning.data.base import Batch, Modality, Part, PersonDataModule, Split, as_it_is
from mi_lightning.data.cache import cache_folder, some
from mi_lightning.data.speech.cache import (
    Decoded,
    Recording,
    cache_key,
    decode_recordings,
    open_decoded,
)
from mi_lightning.data.speech.chunks import ChunkSet, Segment, UtteranceSet, cut, whole
from mi_lightning.errors import InputError

Sex = Literal["F", "M", "?"]


class SpeakerDataModule(PersonDataModule):
    """Utterances of speakers: one class per speaker; a sample is a chunk of the waveform, (1, samples) in [-1, 1].

    Recordings are decoded once, to one channel at `sample_rate`, trimmed and made equally loud, and kept as 16-bit
    numbers in a file that later runs map into memory. Training draws random chunks with a random gain; the test
    set holds whole utterances, which classifiers of speech take as they are and judge by all their frames.

    A speaker's utterances are divided into training and test; where there is only one, its last part is for testing.

    Args:
        split: ``"random"``: which utterances are for testing is drawn per speaker from ``split_seed``; ``"first"``: the
            first train, the last test.
        split_seed: Seed of the random split.
        test_fraction: Part of each speaker's utterances (of the time, where there is one) that is for testing; at
            least one.
        batch_size: Chunks in a training batch.
        order_seed: Seed of the chunks drawn to train; ``split_seed`` if not given.
        batches_per_epoch: Training batches in an epoch; if not given, so many that they are as long as the recordings.
        sample_rate: Rate, Hz; recordings of another rate are resampled.
        chunk_seconds: Length of a sample.
        train_seconds: Length of the chunks to train on; ``chunk_seconds`` if not given. Longer ones are for
            classifiers that take any length.
        gain: Greatest change of the gain of a training chunk: 0.2 draws it between 0.8 and 1.2.
        trim_db: Silence at the ends of a recording that is cut, in decibels below its loudest 20 ms; None cuts nothing.
        normalise: Whether the greatest amplitude of each recording becomes 1.
        cache_dir: Folder for the decoded audio; ``mi_lightning`` in the user's cache folder if not given.

    Raises:
        InputError: On first use, if there are no recordings, only one speaker, or damaged files; it names them.
    """

    #: Argument that names the recordings, for errors; empty where none does.
    field: ClassVar[str] = ""

    def __init__(
        self,
        *,
        split: Split = "random",
        split_seed: int = 0,
        test_fraction: float = 0.2,
        batch_size: int = 128,
        order_seed: int | None = None,
        batches_per_epoch: int | None = None,
        sample_rate: int = 16000,
        chunk_seconds: float = 0.2,
        train_seconds: float | None = None,
        gain: float = 0.2,
        trim_db: float | None = 40.0,
        normalise: bool = True,
        cache_dir: str | None = None,
    ) -> None:
        super().__init__(split=split, split_seed=split_seed, batch_size=batch_size, order_seed=order_seed)
        if not 0 < test_fraction < 1:
            raise InputError("0 < test_fraction < 1", test_fraction, "test_fraction")
        if batches_per_epoch is not None and batches_per_epoch < 1:
            raise InputError("batches_per_epoch >= 1", batches_per_epoch, "batches_per_epoch")
        if sample_rate < 1000:
            raise InputError("sample_rate >= 1000 (Hz)", sample_rate, "sample_rate")
        if not chunk_seconds * sample_rate >= 1:
            raise InputError("chunk_seconds of at least one sample", chunk_seconds, "chunk_seconds")
        if train_seconds is not None and not train_seconds >= chunk_seconds:
            raise InputError(f"train_seconds >= chunk_seconds ({chunk_seconds})", train_seconds, "train_seconds")
        if not 0 <= gain < 1:
            raise InputError("0 <= gain < 1", gain, "gain")
        if trim_db is not None and not trim_db > 0:
            raise InputError("trim_db > 0 (decibels)", trim_db, "trim_db")
        self.test_fraction, self.batches_per_epoch = test_fraction, batches_per_epoch
        self.sample_rate, self.chunk_seconds, self.train_seconds = sample_rate, chunk_seconds, train_seconds
        self.gain, self.trim_db, self.normalise, self.cache_dir = gain, trim_db, normalise, cache_dir

    # ------------------------------------------------------------------------------------------ what a corpus says

    @abstractmethod
    def find(self) -> list[Recording]:
        """List the recordings, each speaker's in order; nothing is decoded."""

    def read(self, recording: Recording) -> tuple[NDArray[np.float64], int]:
        """Decode a recording: samples (samples, channels) and rate in Hz."""
        if recording.path is None:
            raise DamagedAudioError("no file")
        return read_audio(recording.path)

    def sex_of(self, speaker: str) -> Sex:
        """Sex of a speaker, ``"F"`` or ``"M"``; ``"?"`` where it is not known."""
        return "?"

    def settings(self) -> dict[str, Any]:
        """Plain values, beside the recordings, that change the decoded audio: part of the key of the cache."""
        return {"sample_rate": self.sample_rate, "trim_db": self.trim_db, "normalise": self.normalise}

    # ------------------------------------------------------------------------------------------ known before setup

    @property
    def chunk_samples(self) -> int:
        """Samples in a chunk."""
        return round(self.chunk_seconds * self.sample_rate)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(1, samples of a chunk)."""
        return (1, self.chunk_samples)

    @property
    def input_range(self) -> tuple[float, float]:
        """Full scale on both sides of zero."""
        return (-1.0, 1.0)

    @property
    def modality(self) -> Modality:
        """Sound at `sample_rate`."""
        return Modality("sound", self.input_shape, self.input_range, self.sample_rate)

    @cached_property
    def recordings(self) -> tuple[Recording, ...]:
        """The recordings of the corpus.

        Raises:
            InputError: If there are none, or all are of one speaker.
        """
        found = tuple(self.find())
        speakers = {recording.speaker for recording in found}
        if len(speakers) < 2:
            one = "one speaker only, " + next(iter(speakers)) if speakers else "no recording"
            raise InputError("recordings of two speakers or more", f"{one}{self._where()}", self.field)
        return found

    def _where(self) -> str:
        """Name the place of the recordings, for errors."""
        root = getattr(self, "root", None)
        return f" in {root}" if root is not None else ""

    @cached_property
    def _names(self) -> tuple[str, ...]:
        names = {recording.speaker for recording in self.recordings}
        return tuple(sorted(names, key=lambda name: (int(name) if name.isdecimal() else math.inf, name)))

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the speakers, numbers in their order."""
        return self._names

    @property
    def sexes(self) -> tuple[Sex, ...]:
        """Sex of each speaker, in the order of the labels: ``"F"``, ``"M"`` or ``"?"``."""
        return tuple(self.sex_of(name) for name in self.class_names)

    # ------------------------------------------------------------------------------------------ decoding

    def load(self) -> tuple[Batch, Batch]:
        """Give all samples: chunks side by side, (N, 1, samples), to train and to test."""
        return self.chunks("train", self.chunk_seconds), self.chunks("test", self.chunk_seconds)

    def prepare_data(self) -> None:
        """Decode the recordings, in one process of a machine, before the others map them."""
        self.setup()

    def setup(self, stage: str | None = None) -> None:
        """Decode the recordings, or map what an earlier run decoded, and divide them; the first time only."""
        if self._ready:
            return
        self._audio, self._table = self._open()
        for words in self._table.get("told", ()):  # in each run, not only in the one that decodes
            warnings.warn(words, stacklevel=2)
        self._segments: dict[Part, list[Segment]] = {"train": [], "test": []}
        label = {name: index for index, name in enumerate(self.class_names)}
        rows = sorted(self._table["recordings"], key=lambda row: label[row["speaker"]])
        lengths = {row["name"]: row["stop"] - row["start"] for row in rows}
        short = [f"{name} ({n / self.sample_rate:.2f} s)" for name, n in lengths.items() if n < self.chunk_samples]
        if short:
            expected = f"recordings{self._where()} of {self.chunk_seconds:g} s (a chunk) or more without silent ends"
            raise InputError(expected, some(short), self.field)
        generator = torch.Generator().manual_seed(self.split_seed)
        for speaker, group in itertools.groupby(rows, key=lambda row: str(row["speaker"])):
            for part, segment in self._divide(label[speaker], list(group), generator):
                self._segments[part].append(segment)
        self._ready = True

    def _open(self) -> Decoded:
        """Map the decoded audio into memory, decoding it first if no earlier run has."""
        key = cache_key(self.recordings, type(self).__name__, self.settings())
        return open_decoded(cache_folder(self.cache_dir) / key, self.decode)

    def decode(self) -> Decoded:
        """Read and prepare every recording: all samples one after the other, and whose are where."""
        return decode_recordings(
            self.recordings,
            self.read,
            sample_rate=self.sample_rate,
            trim_db=self.trim_db,
            normalise=self.normalise,
            place=self._where(),
            field=self.field,
        )

    def _divide(
        self, label: int, rows: list[dict[str, Any]], generator: torch.Generator
    ) -> Iterator[tuple[Part, Segment]]:
        """Divide the utterances of one speaker, or the one utterance by time."""
        name = self.class_names[label]
        undecided = [row for row in rows if row["part"] is None]
        if undecided and len(undecided) < len(rows):
            raise RuntimeError(f"a corpus decides on all utterances of {name} or on none")
        if not undecided:
            for row in rows:
                yield row["part"], Segment(label, row["name"], row["start"], row["stop"])
            missing = {"train", "test"} - {row["part"] for row in rows}
            if missing:
                raise InputError(f"utterances of {name} to train and to test", f"none to {missing.pop()}", self.field)
        elif len(rows) == 1:
            (row,) = rows
            middle = row["stop"] - round(self.test_fraction * (row["stop"] - row["start"]))
            if min(middle - row["start"], row["stop"] - middle) < self.chunk_samples:
                seconds = (row["stop"] - row["start"]) / self.sample_rate
                raise InputError(
                    f"the only utterance of {name} to be long enough to be divided into {1 - self.test_fraction:g} to "
                    f"train and {self.test_fraction:g} to test of {self.chunk_seconds:g} s or more",
                    f"{seconds:.2f} s",
                    self.field,
                )
            yield "train", Segment(label, row["name"], row["start"], middle)
            yield "test", Segment(label, row["name"], middle, row["stop"])
        else:
            count = min(len(rows) - 1, max(1, round(self.test_fraction * len(rows))))
            order = torch.arange(len(rows))
            if self.split == "random":
                order = torch.randperm(len(rows), generator=generator)
            test = set(order[-count:].tolist())
            for index, row in enumerate(rows):
                yield "test" if index in test else "train", Segment(label, row["name"], row["start"], row["stop"])

    # ------------------------------------------------------------------------------------------ samples

    def segments(self, part: Part) -> list[Segment]:
        """Places of the utterances to train or to test in the decoded audio, speaker by speaker."""
        self.setup()
        return self._segments[part]

    @property
    def audio(self) -> NDArray[np.int16]:
        """The decoded audio that `segments` are places in, (samples,)."""
        self.setup()
        return self._audio

    def with_segments(self, segments: dict[Part, list[Segment]], audio: NDArray[np.int16]) -> Self:
        """Copy the data with other utterances: places in ``audio``, sorted by their labels."""
        self.setup()
        other = copy.copy(self)
        other._segments, other._audio = segments, audio
        return other

    def utterances(self, part: Part) -> list[tuple[int, Tensor]]:
        """Utterances to train or to test: label and waveform (1, samples) float32 in [-1, 1]."""
        return [(segment.label, whole(self._audio, segment)) for segment in self.segments(part)]

    def chunks(self, part: Part, shift_seconds: float = 0.01) -> Batch:
        """All chunks of the utterances to train or to test, ``shift_seconds`` apart.

        Args:
            part: ``"train"`` or ``"test"``.
            shift_seconds: Time from the start of one chunk to the next.

        Returns:
            Chunks (N, 1, samples) float32, N times ``4 * samples`` bytes, and their labels (N,) int64.
        """
        start, labels = self._grid(part, shift_seconds)
        return cut(self._audio, start, self.chunk_samples), labels

    def _grid(self, part: Part, shift_seconds: float) -> Batch:
        """First samples and labels of all chunks."""
        shift = round(shift_seconds * self.sample_rate)
        if shift < 1:
            raise InputError("shift_seconds of at least one sample", shift_seconds, "shift_seconds")
        starts, labels = [], []
        for segment in self.segments(part):
            starts.append(torch.arange(segment.start, segment.stop - self.chunk_samples + 1, shift))
            labels.append(torch.full((len(starts[-1]),), segment.label))
        return torch.cat(starts), torch.cat(labels)

    # made on demand: the whole corpus as numbers of 32 bits need not fit into memory
    @property
    def train_x(self) -> Tensor:  # type: ignore[override]
        """Chunks of the training utterances, side by side: (N, 1, samples)."""
        return self.chunks("train", self.chunk_seconds)[0]

    @property
    def train_y(self) -> Tensor:  # type: ignore[override]
        """Labels of ``train_x``, (N,)."""
        return self._grid("train", self.chunk_seconds)[1]

    @property
    def test_x(self) -> Tensor:  # type: ignore[override]
        """Chunks of the test utterances, side by side: (N, 1, samples)."""
        return self.chunks("test", self.chunk_seconds)[0]

    @property
    def test_y(self) -> Tensor:  # type: ignore[override]
        """Labels of ``test_x``, (N,)."""
        return self._grid("test", self.chunk_seconds)[1]

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches of random chunks, from a generator of their own (of each process, where there are several)."""
        length = round((self.train_seconds or self.chunk_seconds) * self.sample_rate)
        segments = [segment for segment in self.segments("train") if segment.stop - segment.start >= length]
        missing = set(range(self.num_classes)) - {segment.label for segment in segments}
        if missing:
            name = self.class_names[min(missing)]
            raise InputError(
                f"an utterance of {name} of train_seconds", f"{length / self.sample_rate:g} s", "train_seconds"
            )
        batches = self.batches_per_epoch
        if batches is None:
            total = sum(segment.stop - segment.start for segment in segments)
            batches = max(1, round(total / (length * self.batch_size)))
        rank = 0 if self.trainer is None else self.trainer.global_rank
        chunks = ChunkSet(
            self._audio,
            segments,
            length=length,
            count=batches * self.batch_size,
            gain=self.gain,
            seed=self.order_seed + 1_000_003 * rank,  # every process draws chunks of its own
        )
        return self._loader(chunks, self.batch_size)

    def test_dataloader(self) -> DataLoader[Batch]:
        """Whole test utterances, one a batch: (1, 1, samples) and the label (1,)."""
        return self._loader(UtteranceSet(self._audio, self.segments("test")), 1)

    def _loader(self, data: Dataset[Batch], batch_size: int) -> DataLoader[Batch]:
        """Batches in their order; a generator of its own keeps the loader from drawing a number that it never uses."""
        return DataLoader(data, batch_size=batch_size, collate_fn=as_it_is, generator=torch.Generator())

    def describe(self) -> dict[str, Any]:
        """Say which data these are, in plain values; the digest is over the decoded audio and its labels."""
        self.setup()
        seconds = {
            part: sum(segment.stop - segment.start for segment in self.segments(part)) / self.sample_rate
            for part in ("train", "test")
        }
        return super().describe() | {
            "test_fraction": self.test_fraction,
            "sample_rate": self.sample_rate,
            "chunk_seconds": self.chunk_seconds,
            "train_seconds": self.train_seconds or self.chunk_seconds,
            "train_utterances": len(self.segments("train")),
            "test_utterances": len(self.segments("test")),
            "train_duration": round(seconds["train"], 2),
            "test_duration": round(seconds["test"], 2),
            "sha256": self._table["sha256"],
        }
