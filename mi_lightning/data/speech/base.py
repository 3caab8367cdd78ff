"""Recordings of speakers: decoded once, cut into chunks to train on and handed out whole to test with."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import math
import os
import re
import shutil
import tempfile
import warnings
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mi_lightning.data.base import Batch, Modality, PersonDataModule, Split, as_it_is
from mi_lightning.errors import InputError, MIError
from mi_lightning.extras import load_soundfile

Part = Literal["train", "test"]


Sex = Literal["F", "M", "?"]


_SUFFIXES = frozenset({".wav", ".flac", ".sph", ".nist", ".ogg", ".aif", ".aiff"})


_FULL = 32767  # sample of amplitude 1 in the cache, which holds 16 bits as the recordings do


_FRAME = 0.02  # seconds over which loudness is measured to find silence


_NAMED = 3  # damaged files that an error names before it counts the rest


_CACHE_VERSION = 1


@dataclass(frozen=True)
class Recording:
    """One recording of a corpus, not yet read.

    Attributes:
        speaker: Name of the speaker.
        name: Name of the recording, the same on every machine.
        path: File; None if it has none.
        part: Where the corpus puts it; None if the split decides.
    """

    speaker: str
    name: str
    path: Path | None = None
    part: Part | None = None


@dataclass(frozen=True)
class Segment:
    """Part of the decoded audio that belongs to one utterance of one speaker: samples ``start`` to ``stop``."""

    label: int
    name: str
    start: int
    stop: int


class _DamagedError(Exception):
    """A recording that cannot be used; the message says why in a few words."""


def read_audio(path: Path) -> tuple[NDArray[np.float64], int]:
    """Read a WAV, FLAC or NIST SPHERE file.

    Returns:
        Samples (samples, channels) with full scale at 1, and the rate in Hz.

    Raises:
        _DamagedError: If it cannot be read to its end, or holds nothing, or something that is no number.
    """
    soundfile = load_soundfile()
    try:
        with soundfile.SoundFile(str(path)) as file:
            announced, rate = int(file.frames), int(file.samplerate)
            samples: NDArray[np.float64] = file.read(dtype="float64", always_2d=True)
    except FileNotFoundError:
        raise _DamagedError("missing") from None
    except (soundfile.SoundFileError, OSError, RuntimeError) as error:
        raise _DamagedError(_reason(error)) from None
    if announced <= 0:
        raise _DamagedError("no samples")
    if len(samples) < announced:
        raise _DamagedError(f"truncated: {len(samples)} of {announced} samples")
    if not np.isfinite(samples).all():
        raise _DamagedError("samples that are no numbers")
    return samples, rate


def _reason(error: Exception) -> str:
    """Say what went wrong without the path, which is named anyway."""
    return " ".join(str(getattr(error, "error_string", error)).split()).rstrip(".") or type(error).__name__


def prepare_audio(
    samples: NDArray[np.float64], rate: int, *, sample_rate: int, trim_db: float | None, normalise: bool
) -> NDArray[np.float64]:
    """Make one channel of a recording at the wanted rate, without silence at its ends, as loud as it can be.

    Args:
        samples: (samples, channels), full scale at 1.
        rate: Their rate, Hz.
        sample_rate: Wanted rate, Hz; polyphase filtering of `scipy.signal.resample_poly`.
        trim_db: Ends that are quieter than this many decibels below the loudest 20 ms are cut; None keeps them.
        normalise: Whether the greatest amplitude becomes 1.

    Returns:
        (samples,) in [-1, 1].

    Raises:
        _DamagedError: If there is no sound in it.
    """
    mono = samples.mean(1)
    if rate != sample_rate:
        from scipy.signal import resample_poly  # a third of a second that pictures need not wait for

        common = math.gcd(rate, sample_rate)
        mono = resample_poly(mono, sample_rate // common, rate // common)
    peak = float(np.abs(mono).max(initial=0))
    if not peak:
        raise _DamagedError("nothing but silence")
    if trim_db is not None:
        size = max(1, round(_FRAME * sample_rate))
        power = np.add.reduceat(mono**2, np.arange(0, len(mono), size))
        loud = np.flatnonzero(power > power.max() * 10 ** (-trim_db / 10))
        mono = mono[loud[0] * size : (loud[-1] + 1) * size]
    if normalise:
        mono = mono / peak
    clipped: NDArray[np.float64] = mono.clip(-1, 1)
    return clipped


class ChunkSet(Dataset[Batch]):
    """Chunks at random places of the utterances, each with a random gain; a whole batch is cut by one index.

    Every speaker is drawn equally often, and every place of a speaker's utterances is as likely as any other.

    Args:
        audio: Decoded audio, (samples,) int16.
        segments: Utterances to cut from, each at least ``length`` long.
        length: Samples in a chunk.
        count: Chunks in an epoch.
        gain: Greatest change of the gain: 0.2 draws it between 0.8 and 1.2.
        seed: Seed of the draws.
    """

    def __init__(
        self, audio: NDArray[np.int16], segments: Sequence[Segment], *, length: int, count: int, gain: float, seed: int
    ) -> None:
        self.audio, self.length, self.count, self.gain = audio, length, count, gain
        ordered = sorted(segments, key=lambda segment: segment.label)
        self.start = torch.tensor([segment.start for segment in ordered])
        places = torch.tensor([segment.stop - segment.start - length + 1 for segment in ordered])
        self.before = places.cumsum(0) - places  # places in the segments before each
        labels = torch.tensor([segment.label for segment in ordered])
        self.labels, of_speaker = labels.unique_consecutive(return_counts=True)
        last = of_speaker.cumsum(0) - 1
        self.low = self.before[last - of_speaker + 1]
        self.high = self.before[last] + places[last]
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Batch:
        x, y = self.__getitems__([index])
        return x[0], y[0]

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Draw as many chunks as there are indices: (N, 1, length) and their labels (N,)."""
        count = len(indices)
        speaker = torch.randint(len(self.labels), (count,), generator=self.generator)
        low, high = self.low[speaker], self.high[speaker]
        share = torch.rand(count, dtype=torch.float64, generator=self.generator)
        place = torch.minimum(low + (share * (high - low)).long(), high - 1)
        segment = torch.searchsorted(self.before, place, right=True) - 1
        start = self.start[segment] + place - self.before[segment]
        gain = 1 + self.gain * (2 * torch.rand(count, 1, 1, generator=self.generator) - 1)
        return cut(self.audio, start, self.length).mul_(gain), self.labels[speaker]


class UtteranceSet(Dataset[Batch]):
    """Whole utterances, one a batch: (1, 1, samples) and the label (1,).

    Args:
        audio: Decoded audio, (samples,) int16.
        segments: The utterances.
    """

    def __init__(self, audio: NDArray[np.int16], segments: Sequence[Segment]) -> None:
        self.audio, self.segments = audio, segments

    def __len__(self) -> int:
        return len(self.segments)

    def __getitem__(self, index: int) -> Batch:
        segment = self.segments[index]
        return whole(self.audio, segment)[None], torch.tensor([segment.label])

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        """Give the one utterance that is asked for."""
        (index,) = indices
        return self[index]


def cut(audio: NDArray[np.int16], start: Tensor, length: int) -> Tensor:
    """Cut chunks (N, 1, length) float32 that begin at the samples ``start`` (N,)."""
    index = start.numpy()[:, None, None] + np.arange(length)
    return torch.from_numpy(audio[index]).float().div_(_FULL)


def whole(audio: NDArray[np.int16], segment: Segment) -> Tensor:
    """Give the whole utterance, (1, samples) float32."""
    return torch.from_numpy(np.array(audio[None, segment.start : segment.stop])).float().div_(_FULL)


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

    #: Flag that names the recordings.
    flag = "--data.root"

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
            raise InputError("0 < test_fraction < 1", test_fraction, "--data.test_fraction")
        if batches_per_epoch is not None and batches_per_epoch < 1:
            raise InputError("batches_per_epoch >= 1", batches_per_epoch, "--data.batches_per_epoch")
        if sample_rate < 1000:
            raise InputError("sample_rate >= 1000 (Hz)", sample_rate, "--data.sample_rate")
        if not chunk_seconds * sample_rate >= 1:
            raise InputError("chunk_seconds of at least one sample", chunk_seconds, "--data.chunk_seconds")
        if train_seconds is not None and not train_seconds >= chunk_seconds:
            raise InputError(f"train_seconds >= chunk_seconds ({chunk_seconds})", train_seconds, "--data.train_seconds")
        if not 0 <= gain < 1:
            raise InputError("0 <= gain < 1", gain, "--data.gain")
        if trim_db is not None and not trim_db > 0:
            raise InputError("trim_db > 0 (decibels)", trim_db, "--data.trim_db")
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
            raise _DamagedError("no file")
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
            raise InputError("recordings of two speakers or more", f"{one}{self._where()}", self.flag)
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
        self._segments: dict[Part, list[Segment]] = {"train": [], "test": []}
        label = {name: index for index, name in enumerate(self.class_names)}
        rows = sorted(self._table["recordings"], key=lambda row: label[row["speaker"]])
        lengths = {row["name"]: row["stop"] - row["start"] for row in rows}
        short = [f"{name} ({n / self.sample_rate:.2f} s)" for name, n in lengths.items() if n < self.chunk_samples]
        if short:
            expected = f"recordings{self._where()} of {self.chunk_seconds:g} s (a chunk) or more without silent ends"
            raise InputError(expected, _some(short), self.flag)
        generator = torch.Generator().manual_seed(self.split_seed)
        for speaker, group in itertools.groupby(rows, key=lambda row: str(row["speaker"])):
            for part, segment in self._divide(label[speaker], list(group), generator):
                self._segments[part].append(segment)
        self._ready = True

    @cached_property
    def _key(self) -> str:
        """Name of the decoded audio in the cache: changes with the files and the settings."""
        files = []
        for recording in self.recordings:
            state = None if recording.path is None else recording.path.stat()
            stamp = None if state is None else (str(recording.path), state.st_size, state.st_mtime_ns)
            files.append((recording.speaker, recording.name, recording.part, stamp))
        content = json.dumps([_CACHE_VERSION, type(self).__name__, self.settings(), files])
        return hashlib.sha256(content.encode()).hexdigest()[:24]

    def _open(self) -> tuple[NDArray[np.int16], dict[str, Any]]:
        """Map the decoded audio into memory, decoding it first if no earlier run has."""
        folder = cache_folder(self.cache_dir) / self._key
        with contextlib.suppress(OSError, ValueError):  # not there yet, or damaged: it is made anew
            table = json.loads((folder / "table.json").read_text(encoding="utf-8"))
            return np.load(folder / "audio.npy", mmap_mode="r"), table
        audio, table = self.decode()
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder.parent))
            try:
                np.save(partial / "audio.npy", audio)
                (partial / "table.json").write_text(json.dumps(table), encoding="utf-8")
                shutil.rmtree(folder, ignore_errors=True)  # damaged, if it is there
                with contextlib.suppress(OSError):  # another process was quicker: its copy is as good
                    partial.rename(folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
            return np.load(folder / "audio.npy", mmap_mode="r"), table
        except OSError as error:
            warnings.warn(
                f"decoded audio is not kept, it will be decoded again next time: {folder.parent}: {error.strerror} "
                "(--data.cache_dir)",
                stacklevel=2,
            )
            return audio, table

    def decode(self) -> tuple[NDArray[np.int16], dict[str, Any]]:
        """Read and prepare every recording: all samples one after the other, and whose are where."""
        pieces: list[NDArray[np.int16]] = []
        rows: list[dict[str, Any]] = []
        damaged: list[str] = []
        rates: set[int] = set()
        stereo = position = 0
        for recording in self.recordings:
            try:
                samples, rate = self.read(recording)
                audio = prepare_audio(
                    samples, rate, sample_rate=self.sample_rate, trim_db=self.trim_db, normalise=self.normalise
                )
            except _DamagedError as error:
                damaged.append(f"{recording.name} ({error})")
                continue
            if rate < self.sample_rate:
                rates.add(rate)
            stereo += samples.shape[1] > 1
            pieces.append(np.round(audio * _FULL).astype(np.int16))
            stop = position + len(audio)
            rows.append({"speaker": recording.speaker, "name": recording.name, "part": recording.part})
            rows[-1] |= {"start": position, "stop": stop}
            position = stop
        if damaged:
            expected = f"{len(self.recordings)} recordings{self._where()} that can be used"
            raise InputError(expected, f"damaged: {_some(damaged)}", self.flag)
        if rates:
            warnings.warn(
                f"some recordings have a rate of {', '.join(map(str, sorted(rates)))} Hz and are resampled to "
                f"{self.sample_rate} Hz: what their upper band lacks may give speakers away (--data.sample_rate)",
                stacklevel=2,
            )
        if stereo:
            warnings.warn(f"{stereo} recordings have several channels, which are averaged", stacklevel=2)
        flat = np.concatenate(pieces)
        digest = hashlib.sha256(json.dumps(rows).encode())
        digest.update(flat.tobytes())
        return flat, {"sha256": digest.hexdigest(), "recordings": rows}

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
                raise InputError(f"utterances of {name} to train and to test", f"none to {missing.pop()}", self.flag)
        elif len(rows) == 1:
            (row,) = rows
            middle = row["stop"] - round(self.test_fraction * (row["stop"] - row["start"]))
            if min(middle - row["start"], row["stop"] - middle) < self.chunk_samples:
                seconds = (row["stop"] - row["start"]) / self.sample_rate
                raise InputError(
                    f"the only utterance of {name} to be long enough to be divided into {1 - self.test_fraction:g} to "
                    f"train and {self.test_fraction:g} to test of {self.chunk_seconds:g} s or more",
                    f"{seconds:.2f} s",
                    self.flag,
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
            raise InputError("shift_seconds of at least one sample", shift_seconds)
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
            raise InputError(f"an utterance of {name} of train_seconds", f"{length / self.sample_rate:g} s", "--data")
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


def _some(names: Sequence[str]) -> str:
    """Name the first few and count the others."""
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def cache_folder(given: str | None = None) -> Path:
    """Folder for decoded audio: ``given``, or ``mi_lightning`` in the user's cache folder."""
    if given is not None:
        return Path(given)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "mi_lightning"


class _FolderOfSpeakers(SpeakerDataModule):
    """Speakers in a tree of files below one folder."""

    #: Environment variable that names the folder if no argument does.
    variable = ""
    #: What the folder should look like, for errors.
    layout = ""

    def __init__(
        self,
        root: str | None = None,
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
        super().__init__(
            split=split,
            split_seed=split_seed,
            test_fraction=test_fraction,
            batch_size=batch_size,
            order_seed=order_seed,
            batches_per_epoch=batches_per_epoch,
            sample_rate=sample_rate,
            chunk_seconds=chunk_seconds,
            train_seconds=train_seconds,
            gain=gain,
            trim_db=trim_db,
            normalise=normalise,
            cache_dir=cache_dir,
        )
        root = root if root is not None else os.environ.get(self.variable)
        if root is None:
            raise MIError(
                f"expected the folder of {type(self).__name__} ({self.layout}): --data.root"
                + (f", or the environment variable {self.variable}" if self.variable else "")
            )
        self.root = root

    @property
    def folder(self) -> Path:
        """The folder.

        Raises:
            InputError: If there is none.
        """
        folder = Path(self.root)
        if not folder.is_dir():
            raise InputError(f"a folder {self.layout}", f"{folder}, no folder", self.flag)
        return folder

    def describe(self) -> dict[str, Any]:
        """Say which data these are, in plain values."""
        return super().describe() | {"root": self.root}


def _natural(path: Path) -> tuple[tuple[int, int | str], ...]:
    """Key that sorts ``2.wav`` before ``10.wav``, folder by folder."""
    parts = (part for name in path.parts for part in (*re.split(r"(\d+)", name.lower()), "/"))
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in parts)


def _audio_below(folder: Path) -> list[Path]:
    """Audio files at any depth, in natural order; hidden ones (and what other systems leave) are passed over."""
    files = (
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
    return sorted(files, key=_natural)


class SpeakerFolder(_FolderOfSpeakers):
    """Any folder with one folder per speaker, which holds WAV, FLAC or NIST SPHERE files at any depth.

    Args:
        root: The folder; the environment variable ``MI_SPEAKERS`` if not given.
        split: See `SpeakerDataModule` for this and the other arguments.
        split_seed: Seed of the random split.
        test_fraction: Part of each speaker's utterances that is for testing.
        batch_size: Chunks in a training batch.
        order_seed: Seed of the chunks drawn to train.
        batches_per_epoch: Training batches in an epoch.
        sample_rate: Rate, Hz.
        chunk_seconds: Length of a sample.
        train_seconds: Length of the chunks to train on.
        gain: Greatest change of the gain of a training chunk.
        trim_db: Silence to cut at the ends, in decibels below the loudest 20 ms.
        normalise: Whether the greatest amplitude of each recording becomes 1.
        cache_dir: Folder for the decoded audio.

    Raises:
        MIError: If no folder is given.
        InputError: On first use, if the folder or files in it cannot be used.
    """

    variable = "MI_SPEAKERS"
    layout = "with one folder of recordings per speaker"

    def find(self) -> list[Recording]:
        """List the files below each speaker's folder."""
        folder = self.folder
        speakers = sorted((path for path in folder.iterdir() if path.is_dir()), key=_natural)
        return [
            Recording(speaker.name, path.relative_to(folder).as_posix(), path)
            for speaker in speakers
            if not speaker.name.startswith(".")
            for path in _audio_below(speaker)
        ]


class LibriSpeech(_FolderOfSpeakers):
    """LibriSpeech [Panayotov et al., ICASSP 2015]: ``SUBSET/SPEAKER/CHAPTER/*.flac`` beside ``SPEAKERS.TXT``.

    Args:
        root: Folder that holds ``SPEAKERS.TXT`` and the subsets; the environment variable ``LIBRISPEECH`` if not given.
        subset: Folder of the subset, as ``"train-clean-100"``.
        split: See `SpeakerDataModule` for this and the other arguments.
        split_seed: Seed of the random split.
        test_fraction: Part of each speaker's utterances that is for testing.
        batch_size: Chunks in a training batch.
        order_seed: Seed of the chunks drawn to train.
        batches_per_epoch: Training batches in an epoch.
        sample_rate: Rate, Hz.
        chunk_seconds: Length of a sample.
        train_seconds: Length of the chunks to train on.
        gain: Greatest change of the gain of a training chunk.
        trim_db: Silence to cut at the ends, in decibels below the loudest 20 ms.
        normalise: Whether the greatest amplitude of each recording becomes 1.
        cache_dir: Folder for the decoded audio.

    Raises:
        MIError: If no folder is given.
        InputError: On first use, if the folder or files in it cannot be used.
    """

    variable = "LIBRISPEECH"
    layout = "that holds SPEAKERS.TXT and the subsets of LibriSpeech"

    def __init__(
        self,
        root: str | None = None,
        subset: str = "train-clean-100",
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
        super().__init__(
            root,
            split=split,
            split_seed=split_seed,
            test_fraction=test_fraction,
            batch_size=batch_size,
            order_seed=order_seed,
            batches_per_epoch=batches_per_epoch,
            sample_rate=sample_rate,
            chunk_seconds=chunk_seconds,
            train_seconds=train_seconds,
            gain=gain,
            trim_db=trim_db,
            normalise=normalise,
            cache_dir=cache_dir,
        )
        self.subset = subset

    def find(self) -> list[Recording]:
        """List the utterances of the subset."""
        subset = self.folder / self.subset
        if not subset.is_dir():
            there = ", ".join(sorted(path.name for path in self.folder.iterdir() if path.is_dir())) or "none"
            raise InputError(f"a subset of LibriSpeech in {self.root} ({there})", self.subset, "--data.subset")
        speakers = sorted((path for path in subset.iterdir() if path.is_dir()), key=_natural)
        return [
            Recording(speaker.name, path.relative_to(subset).as_posix(), path)
            for speaker in speakers
            for path in _audio_below(speaker)
        ]

    @cached_property
    def _sexes(self) -> dict[str, Sex]:
        """Sex of each speaker that ``SPEAKERS.TXT`` names."""
        try:
            text = (self.folder / "SPEAKERS.TXT").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return {}  # the recordings are enough to train on
        sexes: dict[str, Sex] = {}
        for line in text.splitlines():
            fields = [field.strip() for field in line.split("|")]
            if not line.startswith(";") and len(fields) > 1:
                sexes[fields[0]] = "F" if fields[1].upper() == "F" else "M" if fields[1].upper() == "M" else "?"
        return sexes

    def sex_of(self, speaker: str) -> Sex:
        """Sex that ``SPEAKERS.TXT`` gives."""
        return self._sexes.get(speaker, "?")

    def describe(self) -> dict[str, Any]:
        """Say which data these are, in plain values."""
        return super().describe() | {"subset": self.subset}


_SENTENCE = re.compile(r"(s[axi]\d+)\.(?:wav|flac|sph)(?:\.wav)?", re.IGNORECASE)


_TIMIT_SPEAKER = re.compile(r"[fm]\w{3}\d", re.IGNORECASE)


class Timit(_FolderOfSpeakers):
    """TIMIT [Garofolo et al., LDC93S1]: ``TRAIN/DR1/FCJF0/SX37.WAV``, in upper or lower case.

    The split is SincNet's [Ravanelli, Bengio, SLT 2018]: the five SX sentences of each speaker train, the three SI
    sentences test, and the two SA sentences, which everybody reads, are left out.

    Args:
        root: Folder that holds ``TRAIN`` and ``TEST`` (or one that holds such a folder ``TIMIT``); the environment
            variable ``TIMIT`` if not given.
        speakers: The corpus's own parts: ``"train"`` (462 speakers, as in the literature), ``"test"`` (168), ``"all"``.
        batch_size: Chunks in a training batch.
        order_seed: Seed of the chunks drawn to train.
        batches_per_epoch: Training batches in an epoch; see `SpeakerDataModule` for this and the other arguments.
        sample_rate: Rate, Hz.
        chunk_seconds: Length of a sample.
        train_seconds: Length of the chunks to train on.
        gain: Greatest change of the gain of a training chunk.
        trim_db: Silence to cut at the ends, in decibels below the loudest 20 ms.
        normalise: Whether the greatest amplitude of each recording becomes 1.
        cache_dir: Folder for the decoded audio.

    Raises:
        MIError: If no folder is given.
        InputError: On first use, if the folder or files in it cannot be used.
    """

    variable = "TIMIT"
    layout = "that holds TRAIN and TEST of TIMIT"

    def __init__(
        self,
        root: str | None = None,
        speakers: Literal["train", "test", "all"] = "train",
        *,
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
        super().__init__(
            root,
            split="first",
            batch_size=batch_size,
            order_seed=order_seed,
            batches_per_epoch=batches_per_epoch,
            sample_rate=sample_rate,
            chunk_seconds=chunk_seconds,
            train_seconds=train_seconds,
            gain=gain,
            trim_db=trim_db,
            normalise=normalise,
            cache_dir=cache_dir,
        )
        if speakers not in ("train", "test", "all"):
            raise InputError("speakers train, test or all", speakers, "--data.speakers")
        self.speakers = speakers

    @cached_property
    def _found(self) -> dict[str, tuple[str, list[Recording]]]:
        """Dialect and recordings of each speaker."""
        parts = ("train", "test") if self.speakers == "all" else (self.speakers,)
        tops = {path.name.lower(): path for path in self.folder.iterdir() if path.is_dir()}
        if "timit" in tops and not tops.keys() & {"train", "test"}:
            tops = {path.name.lower(): path for path in tops["timit"].iterdir() if path.is_dir()}
        found: dict[str, tuple[str, list[Recording]]] = {}
        for part in parts:
            if part not in tops:
                raise InputError(f"a folder {part.upper()} of TIMIT", f"none in {self.root}", self.flag)
            for dialect in sorted(tops[part].iterdir(), key=_natural):
                if not (dialect.is_dir() and re.fullmatch(r"dr[1-8]", dialect.name, re.IGNORECASE)):
                    continue
                for speaker in sorted(dialect.iterdir(), key=_natural):
                    if speaker.is_dir() and _TIMIT_SPEAKER.fullmatch(speaker.name):
                        found[speaker.name.lower()] = (dialect.name.lower(), self._sentences(speaker))
        return found

    @staticmethod
    def _sentences(speaker: Path) -> list[Recording]:
        """List the SX and SI sentences of a speaker; one file of each, though a converted copy may lie beside it."""
        name = speaker.name.lower()
        files: dict[str, Path] = {}
        for path in sorted(speaker.iterdir()):
            if (match := _SENTENCE.fullmatch(path.name)) is not None:
                files.setdefault(match[1].lower(), path)
        return [
            Recording(name, f"{name}/{sentence}", path, "train" if sentence.startswith("sx") else "test")
            for sentence, path in sorted(files.items(), key=lambda item: _natural(Path(item[0])))
            if not sentence.startswith("sa")
        ]

    def find(self) -> list[Recording]:
        """List the SX and SI sentences."""
        return [recording for _, recordings in self._found.values() for recording in recordings]

    def sex_of(self, speaker: str) -> Sex:
        """Sex that the first letter of the speaker's folder gives."""
        return "F" if speaker.startswith("f") else "M"

    @property
    def dialects(self) -> tuple[str, ...]:
        """Dialect region of each speaker, ``"dr1"`` to ``"dr8"``, in the order of the labels."""
        return tuple(self._found[name][0] for name in self.class_names)

    def describe(self) -> dict[str, Any]:
        """Say which data these are, in plain values."""
        return super().describe() | {"speakers": self.speakers, "split": "sx_si"}
