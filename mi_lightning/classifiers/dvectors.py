"""Return the features of all frames, shape (N, frames, F), of waveforms (N, 1, samples); differentiable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize, pad

from mi_lightning.classifiers.base import Classifier
from mi_lightning.classifiers.speech import SpeechClassifier
from mi_lightning.data.speech.protocol import speech_of

_FRAMES = 64  # frames in a forward pass


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
