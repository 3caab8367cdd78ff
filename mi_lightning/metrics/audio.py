"""Voices: d-vectors and what they tell, and how much a waveform is like speech."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn.functional import normalize, pad

from mi_lightning.classifiers.base import Classifier
from mi_lightning.classifiers.speech import SpeechClassifier
from mi_lightning.errors import InputError

_FRAMES = 64  # frames in a forward pass
_WINDOW, _HOP = 512, 160  # samples of a short-time spectrum: 32 ms every 10 ms at 16 kHz
_FLOOR = 1e-3  # of the power in all bands: what is 30 dB below is not told apart, as by ear beside the rest


@runtime_checkable
class Speakers(Protocol):
    """What is asked of data of speakers, beside what every data module has."""

    sample_rate: int
    class_names: Sequence[str]
    sexes: Sequence[str]

    def utterances(self, part: str) -> Sequence[tuple[int, Tensor]]:
        """Return label and waveform, shape (1, samples), of each utterance of ``"train"`` or ``"test"``."""


def frame_features(classifier: Classifier, x: Tensor, shift: int) -> Tensor:
    """Return the features of all frames, shape (N, frames, F), of waveforms (N, 1, samples); differentiable.

    Args:
        classifier: Takes chunks of shape (1, chunk).
        x: Waveforms of a chunk or longer.
        shift: Samples between the starts of two frames.
    """
    if isinstance(classifier, SpeechClassifier):  # frames share work
        return classifier.part_features(x, shift)
    frames = x.unfold(-1, classifier.input_shape[-1], shift).transpose(1, 2)
    features: Tensor = classifier.features(frames.flatten(0, 1))
    return features.reshape(len(x), -1, features[0].numel())


@torch.no_grad()
def dvectors(classifier: Classifier, waves: Sequence[Tensor], *, shift: int = 1600) -> Tensor:
    """Return the d-vector of each waveform: the mean over frames of the features, divided by its length [R18].

    Args:
        classifier: In evaluation mode.
        waves: Waveforms of shape (1, samples), of any lengths; shorter ones than a chunk are filled up with zeros.
        shift: Samples between the starts of two frames.

    Returns:
        Shape (len(waves), F), float32, on the CPU.
    """
    chunk, weight = classifier.input_shape[-1], next(classifier.parameters())
    reach = chunk + (_FRAMES - 1) * shift  # samples of so many frames
    found = []
    for wave in waves:
        padded = pad(wave, (0, max(0, chunk - wave.shape[-1])))
        frames = (padded.shape[-1] - chunk) // shift + 1
        parts = [padded[None, :, first * shift :][..., :reach] for first in range(0, frames, _FRAMES)]
        each = [frame_features(classifier, part.to(weight), shift)[0].float() for part in parts]
        found.append(normalize(torch.cat(each).mean(0), dim=0).cpu())
    return torch.stack(found)


def speech_of(data: object, flag: str = "--data") -> Speakers:
    """Return data as speakers.

    Raises:
        InputError: If they are of something else.
    """
    if not isinstance(data, Speakers):
        raise InputError("data of speakers (utterances, sexes, sample_rate)", type(data).__name__, flag)
    return data


def person_dvectors(
    classifier: Classifier, data: object, part: Literal["train", "test"], *, shift: int = 1600, seconds: float = 20.0
) -> Tensor:
    """Return the d-vector of each speaker: the mean over utterances, of unit length.

    Args:
        classifier: Its features are used.
        data: Speech, set up.
        part: Which utterances.
        shift: Samples between the starts of two frames.
        seconds: Speech of each speaker that is used, at most.

    Returns:
        Shape (speakers, F); zeros for a speaker without utterances.
    """
    speakers = speech_of(data)
    each: list[list[Tensor]] = [[] for _ in speakers.class_names]
    used = [0.0] * len(each)
    for who, wave in speakers.utterances(part):
        if used[who] < seconds:
            room = round((seconds - used[who]) * speakers.sample_rate)
            each[who].append(wave[..., : max(room, classifier.input_shape[-1])])
            used[who] += wave.shape[-1] / speakers.sample_rate
    waves = [wave for of_one in each for wave in of_one]
    vectors = dvectors(classifier, waves, shift=shift)
    label = torch.repeat_interleave(torch.arange(len(each)), torch.tensor([len(of_one) for of_one in each]))
    return normalize(vectors.new_zeros(len(each), vectors.shape[1]).index_add(0, label, vectors), dim=-1)


def infer_sex(vectors: Tensor, speaker: Tensor, sexes: Sequence[str], queries: Tensor, of: Tensor) -> list[str]:
    """Infer the sex of the speaker behind each of some d-vectors from real d-vectors of *other* speakers.

    Logistic regression, one for each speaker that is asked about, fitted without that speaker [P23].

    Args:
        vectors: Real d-vectors, shape (N, F).
        speaker: Whose they are, shape (N,), int64.
        sexes: "F" or "M" for each speaker; anything else is unknown and left out.
        queries: D-vectors to judge, shape (R, F).
        of: Speaker of each, shape (R,), int64.

    Returns:
        "F" or "M" for each; "" where the others are not of both sexes, or the d-vector is not finite.
    """
    known = np.array([sexes[k] in ("F", "M") for k in speaker.tolist()])
    sex = np.array([sexes[k] for k in speaker.tolist()])
    x, who = vectors.numpy(), speaker.numpy()
    said = [""] * len(of)
    for label in of.unique().tolist():
        rows = [row for row in (of == label).nonzero()[:, 0].tolist() if bool(queries[row].isfinite().all())]
        others = known & (who != label)
        if not rows or len(set(sex[others].tolist())) < 2:
            continue
        # weighted, since there may be more of one sex; strong enough to separate unit vectors
        model = LogisticRegression(C=100.0, class_weight="balanced", max_iter=1000).fit(x[others], sex[others])
        for row, answer in zip(rows, model.predict(queries[rows].numpy()).tolist(), strict=True):
            said[row] = str(answer)
    return said


def power_spectra(x: Tensor) -> Tensor:
    """Short-time power spectra of waveforms (N, samples), 32 ms at 16 kHz, shape (N, 257, frames)."""
    window = torch.hann_window(_WINDOW, dtype=x.dtype, device=x.device)
    padded = pad(x, (0, max(0, _WINDOW - x.shape[-1])))
    return torch.stft(padded, _WINDOW, _HOP, window=window, center=False, return_complex=True).abs().square()


def band_matrix(bands: int, sample_rate: int) -> Tensor:
    """Triangular bands evenly spaced on the mel scale between 60 Hz and half the rate, shape (bands, 257).

    Mel scale of O'Shaughnessy, *Speech Communication* (1987): 2595 log10(1 + f / 700 Hz).
    """
    top = 2595 * math.log10(1 + sample_rate / 2 / 700)
    edges = torch.linspace(2595 * math.log10(1 + 60 / 700), top, bands + 2, dtype=torch.float64)
    hertz = 700 * (10 ** (edges / 2595) - 1)
    frequency = torch.linspace(0, sample_rate / 2, _WINDOW // 2 + 1, dtype=torch.float64)
    low, centre, high = hertz[:-2, None], hertz[1:-1, None], hertz[2:, None]
    rise, fall = (frequency - low) / (centre - low), (high - frequency) / (high - centre)
    return torch.minimum(rise, fall).clamp_min(0).float()


def long_term_spectrum(x: Tensor, sample_rate: int = 16000, bands: int = 40) -> Tensor:
    """Return the mean power in each mel band relative to the whole, in decibels, of waveforms (N, samples): (N, bands).

    The long-term average spectrum of speech is much the same for all languages and speakers (Byrne et al., *An
    international comparison of long-term average speech spectra*, J. Acoust. Soc. Am. 96, 1994).
    """
    power = band_matrix(bands, sample_rate).to(x) @ power_spectra(x).mean(-1).unsqueeze(-1)
    share = power[..., 0] / power.sum((1, 2), keepdim=True)[..., 0].clamp_min(torch.finfo(x.dtype).tiny)
    return 10 * share.clamp_min(_FLOOR).log10()


def spectral_distance(x: Tensor, reference: Tensor, sample_rate: int = 16000) -> Tensor:
    """Return the log-spectral distance of long-term spectra: root mean square difference over mel bands, in decibels.

    Args:
        x: Waveforms, shape (N, samples).
        reference: Long-term spectrum of real speech (:func:`long_term_spectrum`), shape (bands,) or (N, bands).
        sample_rate: Samples in a second.

    Returns:
        Shape (N,); 0 for the same spectrum.
    """
    return (long_term_spectrum(x, sample_rate, reference.shape[-1]) - reference).square().mean(-1).sqrt()


def modulation(x: Tensor, sample_rate: int = 16000) -> Tensor:
    """Return how much the loudness of waveforms (N, samples) varies as that of speech does, shape (N,), in [0, 1].

    The share of the variance of the envelopes of 40 mel bands (in decibels) that lies between 2 and 16 Hz, the rate of
    syllables (Houtgast, Steeneken, *A review of the MTF concept in room acoustics*, J. Acoust. Soc. Am. 77, 1985),
    times min(1, standard deviation / 10 dB): stationary noise varies fast and little, speech slowly and much.
    """
    power = band_matrix(40, sample_rate).to(x) @ power_spectra(x)
    loudest = power.amax((1, 2), keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)
    envelope = 10 * (power / loudest).clamp_min(1e-6).log10()
    envelope = envelope - envelope.mean(-1, keepdim=True)
    spectrum = torch.fft.rfft(envelope).abs().square()[..., 1:].mean(1)
    rate = torch.fft.rfftfreq(envelope.shape[-1], _HOP / sample_rate, device=x.device)[1:]
    if len(rate) == 0:
        return x.new_zeros(len(x))
    share = spectrum[:, (rate >= 2) & (rate <= 16)].sum(-1) / spectrum.sum(-1).clamp_min(torch.finfo(x.dtype).tiny)
    depth = envelope.square().mean((1, 2)).sqrt() / 10
    likeness: Tensor = share * depth.clamp_max(1)
    return likeness
