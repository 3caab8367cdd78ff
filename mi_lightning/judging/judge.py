"""How recognisable is what an attack found? Every measure, for every row, beside controls that should fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from mi_lightning.attacks.result import InversionResult
from mi_lightning.checkpoint import class_path, weights_digest
from mi_lightning.classifiers.base import Classifier
from mi_lightning.data.base import PersonDataModule
from mi_lightning.errors import InputError
from mi_lightning.judging import likeness
from mi_lightning.judging.inside import features_and_logits, nearest_person, person_means, takes, top_k_hits
from mi_lightning.judging.judgement import Judgement, best_rows, select_rows, summarise
from mi_lightning.judging.outside import OutsideJudge, UnfitRecogniserError
from mi_lightning.judging.verdicts import verdicts_of
from mi_lightning.nn.pictures import is_picture
from mi_lightning.recognisers import Recogniser

_NOBODY = "no recogniser was asked"

_PAIRS = 128  # pairs of images compared at once, ...
_VALUES = 2**21  # ... fewer of larger ones: the intermediate images of SSIM stay within some 100 MB


@dataclass(frozen=True)
class _Scores:
    """Numbers of a batch of images, and what they were measured against."""

    per_row: dict[str, Tensor]
    guess: Tensor | None
    best_match: Tensor | None


class Judge:
    """Judges attacks by a recogniser that never met these people, by an inside evaluator, and by photographs.

    Training features and means are computed on first use and kept, and so is the last judgement, so that several
    callbacks can ask for it.

    Args:
        evaluator: Inside evaluator, a classifier of the same people; only image metrics without it.
        references: Data that the target was trained on; only the evaluator's verdict without it.
        recogniser: Outside judge, trained on other people; asked where there are references.
        recogniser_missing: Why there is none.
        input_shape: Shape of what is judged; that of the references if None, of the evaluator's inputs without them.
            Pictures are brought to the evaluator's size, channels and range.
        input_range: Its least and greatest value, likewise.
        seed: Seed of the noise images and of the shuffled labels.

    Raises:
        InputError: If neither is given, or the two do not know the same people or have another input shape.
    """

    #: Whether the mean of several inputs is an input of the same kind, which can be a control.
    averages: ClassVar[bool] = True
    #: Measures of likeness (`mi_lightning.judging.likeness.MEASURES`), taken where they are defined.
    likeness: ClassVar[tuple[str, ...]] = ("mse", "nrmse", "psnr", "ssim")

    def __init__(
        self,
        evaluator: Classifier | None = None,
        references: PersonDataModule | None = None,
        *,
        recogniser: Recogniser | None = None,
        recogniser_missing: str | None = None,
        input_shape: tuple[int, ...] | None = None,
        input_range: tuple[float, float] | None = None,
        seed: int = 0,
    ) -> None:
        known = evaluator if references is None else references
        if known is None:
            raise InputError("an evaluator or reference data to judge by", None, "references")
        if evaluator is not None and references is not None:
            if not takes(evaluator, references.input_shape):
                expected = f"an evaluator of inputs {references.input_shape}"
                raise InputError(expected, evaluator.input_shape, "evaluator")
            if evaluator.class_names != references.class_names:
                raise InputError(
                    f"an evaluator trained on the people of the data ({_some(references.class_names)})",
                    _some(evaluator.class_names),
                    "evaluator",
                )
        self.evaluator = evaluator
        self.references = references
        self.seed = seed
        self.input_shape: tuple[int, ...] = tuple(input_shape or known.input_shape)
        self.input_range: tuple[float, float] = input_range or known.input_range
        self.class_names: tuple[str, ...] = tuple(known.class_names)
        self.num_classes: int = known.num_classes
        self.measures = likeness.defined_for(self.likeness, self.input_shape)
        self.outside = None if recogniser is None or references is None else OutsideJudge(recogniser, references)
        self.missing = None if self.outside is not None else recogniser_missing or _NOBODY
        self._last: tuple[InversionResult, Judgement] | None = None

    @cached_property
    def _photographs(self) -> tuple[Tensor, Tensor]:
        """Training images (N, *input_shape) and who is on them (N,)."""
        if self.references is None:  # callers ask only where there are data
            raise InputError("reference data", None, "references")
        self.references.setup()
        return self.references.train_x, self.references.train_y

    @cached_property
    def _image_means(self) -> Tensor:
        """Mean training image of each person (C, *input_shape); NaN for a person who has none."""
        x, y = self._photographs
        total = x.new_zeros(self.num_classes, *self.input_shape).index_add_(0, y, x)
        count = y.bincount(minlength=self.num_classes)
        return total.div_(count.reshape(-1, *[1] * len(self.input_shape)))

    @cached_property
    def _albums(self) -> Tensor:
        """Indices of each person's training images (C, M), -1 where a person has fewer than M."""
        _, y = self._photographs
        order = y.argsort(stable=True)
        count = y.bincount(minlength=self.num_classes)
        position = torch.arange(len(y)) - (count.cumsum(0) - count)[y[order]]
        albums = torch.full((self.num_classes, int(count.max())), -1)
        albums[y[order], position] = order
        return albums

    @cached_property
    def _feature_means(self) -> Tensor:
        """Direction of each person in the evaluator's feature space (C, F)."""
        if self.evaluator is None:  # callers ask only where there is one
            raise InputError("an evaluator", None, "evaluator")
        x, y = self._photographs
        return person_means(self._seen_by(self.evaluator, x)[0], y, self.num_classes)

    def _seen_by(self, evaluator: Classifier, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features and logits of samples in the input range."""
        return features_and_logits(evaluator, x, value_range=self.input_range)

    @cached_property
    def _description(self) -> dict[str, Any]:
        evaluator = None
        if self.evaluator is not None:
            evaluator = {
                "class": class_path(type(self.evaluator)),
                "weights_sha256": weights_digest(self.evaluator),
                "test_accuracy": self.evaluator.training_info.get("test_accuracy"),
            }
            own = {"shape": list(self.evaluator.input_shape), "range": list(self.evaluator.input_range)}
            given = {"shape": list(self.input_shape), "range": list(self.input_range)}
            if own != given and is_picture(self.input_shape):
                evaluator["fed"] = {"from": given, "to": own}
        return {"evaluator": evaluator, "data": None if self.references is None else self.references.describe()}

    def describe(self) -> dict[str, Any]:
        """Say who judges: ``evaluator`` (class, SHA-256 of the weights, test accuracy) and ``data``, or null."""
        return dict(self._description)

    def _completed(
        self,
        judgement: Judgement,
        result: InversionResult,
        seen: Tensor,
        controls: Sequence[tuple[str, Tensor, Tensor]],
    ) -> Judgement:
        """Add what the recogniser says of the controls and of the rows that are ranked first, and the verdicts.

        Args:
            judgement: What everybody else says.
            result: What was found.
            seen: It in the input range, shape (R, *input_shape).
            controls: Name, samples and labels of each.
        """
        chosen = best_rows(result)
        # nobody is recognised in what holds no numbers, also where it was made silence of to be heard
        broken = ~result.reconstruction.flatten(1).isfinite().all(1)
        if bool(broken.any()):
            seen = seen.masked_fill(broken.reshape(-1, *[1] * (seen.ndim - 1)), torch.nan)
        told: dict[str, Any] = {"recogniser": None, "recogniser_missing": self.missing}
        added: dict[str, Any] = {}
        per_row = dict(judgement.per_row)
        if self.outside is not None:
            try:
                opinion = self.outside.ask(select_rows(seen, chosen), result.label[chosen])
                length = seen.shape[-1]
                guess = torch.full((len(result),), -1)
                guess[chosen] = opinion.guess
                for name, value in opinion.scores.items():
                    per_row[name] = torch.full((len(result),), torch.nan)
                    per_row[name][chosen] = value
                ceiling = self.outside.ceiling(length, result.label[chosen], averages=self.averages)
                added = {
                    "recogniser_guess": guess,
                    "summary": {**judgement.summary, **summarise(opinion.scores)},
                    "controls": {
                        name: {**judgement.controls[name], **summarise(self.outside.ask(samples, label).scores)}
                        for name, samples, label in controls
                    },
                    "ceiling": {name: summarise(scores) for name, scores in ceiling.items()},
                    "chance": {**judgement.chance, **self.outside.chance},
                }
                told["recogniser"] = self.outside.describe(length)
            except UnfitRecogniserError as unfit:  # it would be believed where it says that nobody is recognised
                told["recogniser_missing"] = str(unfit)
        verdicts = verdicts_of(result, per_row, told["recogniser_missing"])
        description = {**judgement.description, **told}
        return replace(judgement, per_row=per_row, verdicts=verdicts, description=description, **added)

    def judge(self, result: InversionResult) -> Judgement:
        """Judge an attack.

        Reconstructions that leave the input range are stretched into it first
        (:func:`~mi_lightning.judging.likeness.into_range`), as one does to look at them.

        Args:
            result: What it found.

        Returns:
            Numbers for each row, for the whole attack, and for the controls.

        Raises:
            InputError: If the attack was on other people, or on inputs of another shape.
        """
        if self._last is not None and self._last[0] is result:
            return self._last[1]
        self._check(result)
        chosen = best_rows(result)
        label = result.label[chosen]
        seen = likeness.into_range(result.reconstruction.float(), self.input_range)
        controls = self._controls(select_rows(seen, chosen), label)
        scores = self._score(seen, result.label)
        # one after the other: all of them together would be several times what was found
        parts = {name: self._score(image, of).per_row for name, image, of in controls}
        controls = [] if self.outside is None else controls  # they are large, and nobody else asks about them
        per_row = {"confidence": result.confidence.float()} | scores.per_row
        best_match = scores.best_match
        judgement = Judgement(
            per_row=per_row,
            summary=summarise({name: value[chosen] for name, value in per_row.items()}),
            controls={name: summarise(part) for name, part in parts.items()},
            chance=self._chance(),
            evaluator_guess=scores.guess,
            best_match=best_match,
            reference_mean=None if self.references is None else select_rows(self._image_means, result.label),
            reference_best=None if best_match is None else self._photographs[0][best_match],
            class_names=self.class_names,
            description=self.describe(),
        )
        judgement = self._completed(judgement, result, seen, controls)
        self._last = (result, judgement)
        return judgement

    def _check(self, result: InversionResult) -> None:
        self._check_shape(tuple(result.reconstruction.shape[1:]))
        known = [self.class_names[k] if 0 <= k < self.num_classes else "?" for k in result.label.tolist()]
        wrong = next((pair for pair in zip(known, result.name, strict=True) if pair[0] != pair[1]), None)
        if wrong is not None:
            raise InputError(
                f"an attack on the people that the judge knows ({_some(self.class_names)})",
                f"{wrong[1]!r} where it knows {wrong[0]!r}",
                self._known_by,
            )

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        if shape != self.input_shape:
            raise InputError(f"reconstructions of shape {self.input_shape} to judge", shape, self._known_by)

    @property
    def _known_by(self) -> str:
        """Argument that tells whom and what the judge knows, for errors."""
        return "evaluator" if self.references is None else "references"

    def _controls(self, reconstruction: Tensor, label: Tensor) -> list[tuple[str, Tensor, Tensor]]:
        """Name, images and labels of each control: as many images as people were attacked."""
        generator = torch.Generator().manual_seed(self.seed)
        low, high = self.input_range
        noise = torch.rand(reconstruction.shape, generator=generator).mul_(high - low).add_(low)
        controls = [("noise", noise, label)]
        if self.references is not None and self.averages:
            mean_face = self._photographs[0].mean(0)
            controls.append(("mean_face", mean_face.expand_as(reconstruction), label))
        if self.num_classes > 1:
            # one cycle through all people in random order: nobody keeps the label, whoever was attacked
            cycle = torch.randperm(self.num_classes, generator=generator)
            successor = torch.empty_like(cycle)
            successor[cycle] = cycle.roll(-1)
            controls.append(("shuffled", reconstruction, successor[label]))
        return controls

    def _chance(self) -> dict[str, float]:
        if self.evaluator is None:
            return {}
        chance = {"evaluator_top1": 1 / self.num_classes, "evaluator_top5": min(5, self.num_classes) / self.num_classes}
        if self.references is not None:
            chance["identification_top1"] = 1 / len(self._photographs[1].unique())
        return chance

    def _score(self, images: Tensor, label: Tensor) -> _Scores:
        """Every metric that can be had, for all images at once."""
        per_row: dict[str, Tensor] = {}
        guess = best_match = None
        if self.evaluator is not None:
            features, logits = self._seen_by(self.evaluator, images)
            guess = logits.argmax(1).masked_fill(~logits.isfinite().all(1), -1)
            per_row["evaluator_top1"] = top_k_hits(logits, label, 1)
            per_row["evaluator_top5"] = top_k_hits(logits, label, 5)
            per_row["evaluator_confidence"] = logits.softmax(1).gather(1, label[:, None])[:, 0]
            if self.references is not None:
                per_row["identification_top1"] = (nearest_person(features, self._feature_means) == label).float()
        if self.references is not None:
            per_row |= self._likeness(images, self._image_means, label)
            best_match = self._most_alike(images, label)
            per_row |= {
                f"{name}_best": value.masked_fill(best_match < 0, torch.nan)
                for name, value in self._likeness(images, self._photographs[0], best_match.clamp_min(0)).items()
            }
        return _Scores(per_row, guess, best_match)

    def _likeness(self, images: Tensor, originals: Tensor, which: Tensor) -> dict[str, Tensor]:
        """Every measure of likeness of each image to the original ``originals[which]``."""
        data_range = self.input_range[1] - self.input_range[0]
        parts: dict[str, list[Tensor]] = {name: [] for name in self.measures}
        pairs = _pairs(images)
        for x, index in zip(images.split(pairs), which.split(pairs), strict=True):
            y = originals[index]
            for name, part in parts.items():
                part.append(likeness.MEASURES[name](x, y, data_range))
        return {name: torch.cat(part) for name, part in parts.items()}

    def _most_alike(self, images: Tensor, label: Tensor) -> Tensor:
        """Index of the training image of the person ``label`` that is most like each image; -1 if there is none."""
        photographs, _ = self._photographs
        data_range = self.input_range[1] - self.input_range[0]
        album = self._albums[label]
        row, column = (album >= 0).nonzero(as_tuple=True)
        alike = torch.full(album.shape, -torch.inf)
        pairs = _pairs(images)
        for i, j in zip(row.split(pairs), column.split(pairs), strict=True):
            x, y = images[i], photographs[album[i, j]]
            value = likeness.ssim(x, y, data_range=data_range) if "ssim" in self.measures else -likeness.mse(x, y)
            alike[i, j] = value.nan_to_num(nan=-torch.inf)
        return album.gather(1, alike.argmax(1, keepdim=True))[:, 0]


def _pairs(images: Tensor) -> int:
    """Pairs of images, shape (R, *input_shape), that are compared at once."""
    return max(1, min(_PAIRS, _VALUES // max(1, images.shape[1:].numel())))


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names) if len(names) < 4 else f"{names[0]}..{names[-1]}, {len(names)} people"
