"""Would somebody who never met these people recognise them? Asked of a recogniser that was trained on others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from mi_lightning.data.base import PersonDataModule
from mi_lightning.data.speech import SpeakerDataModule
from mi_lightning.errors import MIError
from mi_lightning.recognisers import (
    Gallery,
    Recogniser,
    Threshold,
    Thresholds,
    accepted_as_others,
    left_out_distances,
    rank,
)

RATES: Mapping[str, float] = {"1_percent": 0.01, "0_1_percent": 0.001}  # of impostors who would be let in

_PIECES = 5  # of each real recording, cut to the length of what is judged

_VALUES = 2**25  # values in the samples that a recogniser is shown at a time

_LEAST_RIGHT = 0.5  # of the real test samples that a recogniser has to name right to be believed

Samples = Tensor | Sequence[Tensor]


class UnfitRecogniserError(MIError):
    """A recogniser that does not know these people from their real samples: what it says of others means nothing."""


@dataclass(frozen=True)
class Opinion:
    """What a recogniser says of samples.

    Attributes:
        scores: ``recognised``, ``recognised_top5`` (1 or 0), ``recogniser_rank`` (from 1), ``recogniser_distance``,
            ``accepted_at_1_percent``, ``accepted_at_0_1_percent`` (1 or 0), ``wrongly_accepted_at_1_percent`` (share of
            the other people whom it would let the sample in as), ``detected`` (1 or 0), each of shape (N,), float32;
            NaN where it cannot say: a person who is not enrolled, a threshold for which there are too few impostors.
        guess: Whom it names, shape (N,), int64; -1 for nobody.
    """

    scores: dict[str, Tensor]
    guess: Tensor


@dataclass(frozen=True)
class _Tested:
    """Real test samples: vectors (N, E), detected (N,), whose they are (N,), and what lets how many impostors in."""

    vectors: Tensor
    detected: Tensor
    label: Tensor
    limits: Mapping[str, Threshold]


class OutsideJudge:
    """Enrols people by their real training samples, and asks a recogniser about reconstructions.

    Real test samples tell how often it errs, and how close impostors come: at which distance 1% and 0.1% of them would
    be let in. Embeddings of real samples are made once.

    Args:
        recogniser: Trained on thousands of other people.
        references: Real samples of these people, those that the target was trained on among them.
    """

    def __init__(self, recogniser: Recogniser, references: PersonDataModule) -> None:
        """Keep both; nothing is embedded yet."""
        self.recogniser, self.references = recogniser, references
        self._tested: dict[int, _Tested] = {}
        self._ceilings: dict[int, dict[str, tuple[dict[str, Tensor], Tensor]]] = {}

    # ------------------------------------------------------------------------------------------------ real samples

    @property
    def _speech(self) -> SpeakerDataModule | None:
        return self.references if isinstance(self.references, SpeakerDataModule) else None

    def _embed(self, samples: Samples) -> tuple[Tensor, Tensor]:
        """Vectors (N, E), and in which something was detected (N,)."""
        modality = self.references.modality
        facts: dict[str, Any] = {"value_range": modality.value_range, "sample_rate": modality.sample_rate}
        # a recogniser makes copies: of some at a time
        at_once = max(1, _VALUES // max(1, samples[0].numel())) if len(samples) else 1
        parts = [samples[first : first + at_once] for first in range(0, max(1, len(samples)), at_once)]
        found = [self.recogniser.embed(part, **facts) for part in parts]
        return torch.cat([part.vectors for part in found]), torch.cat([part.detected for part in found])

    @cached_property
    def _enrolled(self) -> tuple[Tensor, Tensor, Tensor]:
        """Vectors of the training samples (N, E), detected (N,), and whose they are (N,)."""
        self.references.setup()
        if self._speech is not None:
            heard = self._speech.utterances("train")
            label = torch.tensor([speaker for speaker, _ in heard])
            return *self._embed([wave for _, wave in heard]), label
        return *self._embed(self.references.train_x), self.references.train_y

    @cached_property
    def gallery(self) -> Gallery:
        """Everybody, by the training samples."""
        vectors, _, label = self._enrolled
        if not vectors.isfinite().all(1).any():
            raise UnfitRecogniserError(f"{type(self.recogniser).__name__} gives no numbers for real samples")
        return Gallery.enrol(vectors, label, self.references.num_classes, self.recogniser.metric)

    def _test_samples(self, length: int) -> tuple[Samples, Tensor]:
        """Real test samples, recordings cut into pieces of ``length`` samples, and whose they are."""
        self.references.setup()
        if self._speech is None:
            return self.references.test_x, self.references.test_y
        pieces, label = [], []
        for speaker, wave in self._speech.utterances("test"):
            wave = wave if wave.shape[-1] >= length else wave.repeat(1, -(-length // wave.shape[-1]))
            cut = wave.unfold(1, length, length)[0]
            energy = cut.double().square().sum(1)
            loudest = energy.argsort(descending=True)[:_PIECES].sort().values
            loudest = loudest[energy[loudest] > 0]  # pauses are nobody's voice
            pieces += [piece[None] for piece in cut[loudest]]
            label += [speaker] * len(loudest)
        return torch.stack(pieces), torch.tensor(label)

    def on_test(self, length: int) -> _Tested:
        """Real test samples, recordings cut into pieces of that many samples, once for each length.

        Raises:
            UnfitRecogniserError: If the recogniser cannot tell these people apart.
        """
        if length not in self._tested:
            samples, label = self._test_samples(length)
            vectors, found = self._embed(samples)
            self._check(vectors, found, label)
            thresholds = Thresholds(self.gallery.distances(vectors), label)
            limits = {name: thresholds.at(rate) for name, rate in RATES.items()}
            self._tested[length] = _Tested(vectors, found, label, limits)
        return self._tested[length]

    def _check(self, vectors: Tensor, found: Tensor, label: Tensor) -> None:
        """Refuse a recogniser that cannot tell these people apart by their real samples.

        Raises:
            UnfitRecogniserError: If it gives no numbers, finds nothing, or names fewer than half of them right.
        """
        who = type(self.recogniser).__name__
        numbers = float(vectors.isfinite().all(1).float().mean())
        if numbers < 1:
            raise UnfitRecogniserError(f"{who} gives no numbers for {1 - numbers:.1%} of the real test samples")
        if self.recogniser.looks_for is not None and float(found.float().mean()) < _LEAST_RIGHT:
            share = f"{float(found.float().mean()):.1%}"
            said = f"{who} finds {self.recogniser.looks_for} in {share} of the real test samples"
            raise UnfitRecogniserError(f"{said}: {self.recogniser.advice}" if self.recogniser.advice else said)
        right = float((self.gallery.guess(vectors) == label).float().mean())
        if right < _LEAST_RIGHT:
            raise UnfitRecogniserError(
                f"{who} names {right:.1%} of the real test samples right: it cannot judge others"
            )

    # ------------------------------------------------------------------------------------------------ asking

    def ask(self, samples: Tensor, label: Tensor) -> Opinion:
        """Ask about samples.

        Args:
            samples: Shape (N, *input_shape), in the range of the inputs.
            label: Whose they should be, shape (N,), int64.

        Raises:
            UnfitRecogniserError: If the recogniser cannot judge these people.
        """
        limits = self.on_test(samples.shape[-1]).limits
        opinion = self._opinion(*(embedded := self._embed(samples)), label, limits)
        # of a sample that holds no numbers nobody is recognised; where the recogniser fails, nobody knows
        silent = ~embedded[0].isfinite().all(1) & samples.flatten(1).isfinite().all(1)
        scores = {name: value.masked_fill(silent, torch.nan) for name, value in opinion.scores.items()}
        return Opinion(scores, opinion.guess)

    def _opinion(self, vectors: Tensor, found: Tensor, label: Tensor, limits: Mapping[str, Threshold]) -> Opinion:
        gallery = self.gallery
        distance = gallery.distances(vectors)
        place = rank(distance, label, gallery.enrolled)
        own = distance.gather(1, label[:, None])[:, 0]
        scores = {
            "recognised": (place == 1).float(),
            "recognised_top5": (place <= 5).float(),
            "recogniser_rank": place.float(),
            "recogniser_distance": own,
        }
        for name, limit in limits.items():
            unsaid = torch.full_like(own, torch.nan)
            scores[f"accepted_at_{name}"] = unsaid if limit.distance is None else limit.accepts(own).float()
        limit = limits["1_percent"]
        known = limit.distance is not None
        scores["wrongly_accepted_at_1_percent"] = (
            accepted_as_others(limit, distance, label, gallery.enrolled) if known else torch.full_like(own, torch.nan)
        )
        if self.recogniser.looks_for is not None:
            scores["detected"] = found.float()
        unknown = ~gallery.enrolled[label]
        for name in scores.keys() - {"detected"}:
            scores[name] = scores[name].masked_fill(unknown, torch.nan)
        scores["recogniser_distance"] = own.masked_fill(~own.isfinite(), torch.nan)
        return Opinion(scores, gallery.guess(vectors))

    def ceiling(self, length: int, people: Tensor, *, averages: bool) -> dict[str, dict[str, Tensor]]:
        """Ask about real samples of the people who were attacked: what is to be had at best.

        Args:
            length: Samples of a recording that is cut to the length of what is judged.
            people: Who was attacked, shape (L,), int64.
            averages: Whether the mean of several inputs is an input of the same kind.

        Returns:
            Scores of ``class_mean`` (the mean of the training samples of each person: the most that a class
            representative can be), ``best_photograph`` (of each person the training sample that is recognised best,
            each left out of its own enrolment) and ``real_test`` (test samples, pieces of that length).
        """
        if length not in self._ceilings:
            self._ceilings[length] = self._of_everybody(length, averages=averages)
        told = self._ceilings[length].items()
        return {
            name: {key: value[torch.isin(whose, people)] for key, value in scores.items()}
            for name, (scores, whose) in told
            if torch.isin(whose, people).any()
        }

    def _of_everybody(self, length: int, *, averages: bool) -> dict[str, tuple[dict[str, Tensor], Tensor]]:
        """Scores of real samples of all people, and whose they are."""
        real = self.on_test(length)
        found = {"real_test": (self._opinion(real.vectors, real.detected, real.label, real.limits).scores, real.label)}
        if averages:
            everybody = self.gallery.enrolled.nonzero()[:, 0]
            x, y = self.references.train_x, self.references.train_y
            means = torch.stack([x[y == person].mean(0) for person in everybody])
            found["class_mean"] = (self.ask(means, everybody).scores, everybody)
        if self._speech is None:
            found["best_photograph"] = self._best_of_each()
        return found

    def _best_of_each(self) -> tuple[dict[str, Tensor], Tensor]:
        """Scores of each person's training sample that is recognised best when it is left out of the enrolment."""
        vectors, _, label = self._enrolled
        distance = left_out_distances(vectors, label, self.references.num_classes, self.recogniser.metric)
        ranks = rank(distance, label, self.gallery.enrolled)
        people = torch.stack([person for person in label.unique() if int((label == person).sum()) > 1])
        best = torch.stack([ranks[label == person].min() for person in people]).float()
        scores = {
            "recognised": (best == 1).float(),
            "recognised_top5": (best <= 5).float(),
            "recogniser_rank": best,
        }
        return scores, people

    def describe(self, length: int) -> dict[str, Any]:
        """Say who judges, and how well by real samples: plain values."""
        real, (enrolled, found, _) = self.on_test(length), self._enrolled
        told: dict[str, Any] = {
            **self.recogniser.describe(),
            "enrolled": len(enrolled),
            "people": int(self.gallery.enrolled.sum()),
            "tested": len(real.label),
            "test_error": float((self.gallery.guess(real.vectors) != real.label).double().mean()),
            "detected_on_real": float(found.float().mean()) if self.recogniser.looks_for is not None else None,
            "thresholds": {},
        }
        for name, at in real.limits.items():
            told["thresholds"][f"{RATES[name]:g}"] = {
                "distance": at.distance,
                "impostor_pairs": at.impostor_pairs,
                "low": at.low,
                "high": at.high,
                "genuine_accepted": at.genuine_accepted,
                "reason": at.reason,
            }
        return told

    @property
    def chance(self) -> dict[str, float]:
        """What guessing among the enrolled people gives."""
        people = int(self.gallery.enrolled.sum())
        return {"recognised": 1 / people, "recognised_top5": min(5, people) / people, "accepted_at_1_percent": 0.01}
