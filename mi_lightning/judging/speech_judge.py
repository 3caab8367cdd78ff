"""Would a voice that an attack made pass for the speaker, in the ears of an inside evaluator too?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from mi_lightning.attacks.result import InversionResult
from mi_lightning.audio.spectra import long_term_spectrum, modulation, spectral_distance
from mi_lightning.classifiers.base import Classifier
from mi_lightning.classifiers.dvectors import dvectors
from mi_lightning.classifiers.speech import SpeechClassifier
from mi_lightning.data.base import SPEECH_RATE, PersonDataModule
from mi_lightning.data.speech import SpeakerDataModule
from mi_lightning.errors import InputError
from mi_lightning.judging import likeness
from mi_lightning.judging.inside import nearest_person, person_means, top_k_hits
from mi_lightning.judging.judge import Judge
from mi_lightning.judging.judgement import Judgement, best_rows, summarise
from mi_lightning.judging.sex import infer_sex
from mi_lightning.nn.frozen import evaluation_mode
from mi_lightning.nn.vocoder import GriffinLimVocoder, same_loudness
from mi_lightning.recognisers import Recogniser
from mi_lightning.targets.base import Target
from mi_lightning.targets.defenses.base import Defense

_SHIFT = 1600  # samples between the frames by which d-vectors are measured: 100 ms at 16 kHz


_UTTERANCE_SECONDS = 3.0  # of each real utterance, for the regression of sex


_REPEATED_SECONDS = 1.0  # a single chunk is also judged repeated end to end up to this length


class SpeechJudge(Judge):
    """Judges voices by an inside evaluator, by the target itself, and by real speech.

    Every number is taken for what the attack found, and (those named ``vocoder_...``) once more after a vocoder, which
    leaves only what a spectrogram can say. Per row, beside ``confidence`` (of the cost):

    - ``evaluator_top1``, ``evaluator_top5``, ``evaluator_confidence``, ``identification_top1``: the evaluator's
      verdict on the whole waveform, as :class:`Judge` says it of pictures;
    - ``target_top1``, ``target_confidence``: the target's own (the sentence label: summed log-probabilities of frames);
    - ``dvector_cosine``, ``dvector_euclidean``: of the target's d-vector of the waveform and the speaker's real one;
    - ``sex_right``: whether the speaker's sex is inferred right from the d-vector
      (:func:`~mi_lightning.judging.sex.infer_sex`);
    - ``spectral_distance`` (dB) and ``modulation`` (0 to 1): how much it is like speech, whoever speaks;
    - ``repeated_...`` of a single chunk: the same of the chunk repeated end to end for a second.

    Controls: ``real_speech`` (test utterances of the same speakers, cut to the same length: what is to be had at best),
    ``noise`` (uniform), ``shuffled`` (the reconstructions, each taken for somebody else).

    Args:
        evaluator: Inside evaluator, a speaker model of the same people.
        references: Speech of these.
        recogniser: Outside judge, trained on other people.
        recogniser_missing: Why there is none.
        target: What was attacked, or its classifier, whose verdict is then that without defenses; where neither can be
            seen, its verdict and numbers about d-vectors are left out.
        vocoder: What voices pass through, (N, 1, samples) to the same shape; Griffin-Lim on the mel scale if None.
        seed: Seed of the noise and of the shuffled labels.
    """

    averages: ClassVar[bool] = False
    likeness: ClassVar[tuple[str, ...]] = ()  # no recording of a voice is the one to be found

    def __init__(
        self,
        evaluator: Classifier | None = None,
        references: PersonDataModule | None = None,
        *,
        recogniser: Recogniser | None = None,
        recogniser_missing: str | None = None,
        target: Target | Classifier | None = None,
        vocoder: nn.Module | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(evaluator, references, recogniser=recogniser, recogniser_missing=recogniser_missing, seed=seed)
        self.target = target
        rates = {
            int(part.sample_rate)
            for part in (evaluator, references)
            if isinstance(part, SpeechClassifier | SpeakerDataModule)
        }
        if len(rates) > 1:
            raise InputError("an evaluator and data of one sample rate", sorted(rates), "evaluator")
        self.sample_rate = next(iter(rates), SPEECH_RATE)
        self.vocoder = GriffinLimVocoder(sample_rate=self.sample_rate) if vocoder is None else vocoder

    # ------------------------------------------------------------------------------------------------ real speech

    @cached_property
    def _speech(self) -> SpeakerDataModule | None:
        """The references, set up."""
        if not isinstance(self.references, SpeakerDataModule):
            return None
        self.references.setup()
        return self.references

    @cached_property
    def _box(self) -> Classifier | None:
        """The classifier behind the target, None where it cannot be seen."""
        target = self.target
        while isinstance(target, Defense):
            target = target.inner
        seen = target if isinstance(target, Classifier) else getattr(target, "classifier", None)
        return seen if isinstance(seen, Classifier) else None

    @cached_property
    def _dvectors(self) -> tuple[Tensor, Tensor, Tensor]:
        """Target's d-vectors of the speakers (C, F), of each training utterance (N, F), and whose they are (N,)."""
        if self._speech is None or self._box is None:  # callers ask only where there are both
            raise InputError("speech and a target whose features can be seen", None, "references")
        heard = self._speech.utterances("train")
        most = round(_UTTERANCE_SECONDS * self.sample_rate)
        each = dvectors(self._box, [wave[..., :most] for _, wave in heard], shift=_SHIFT)
        speaker = torch.tensor([label for label, _ in heard])
        total = torch.zeros(self.num_classes, each.shape[1]).index_add_(0, speaker, each)
        return normalize(total), each, speaker

    @cached_property
    def _evaluator_means(self) -> Tensor:
        """Direction of each speaker in the evaluator's feature space (C, F), by training utterances."""
        if self._speech is None or self.evaluator is None:  # callers ask only where there are both
            raise InputError("speech and an evaluator", None, "evaluator")
        heard, most = self._speech.utterances("train"), round(_UTTERANCE_SECONDS * self.sample_rate)
        features = _whole(self.evaluator, self.evaluator.features, [wave[..., :most] for _, wave in heard])
        return person_means(features, torch.tensor([label for label, _ in heard]), self.num_classes)

    @cached_property
    def _spectrum(self) -> Tensor | None:
        """Long-term spectrum of the real speech, all speakers together, in decibels."""
        if self._speech is None:
            return None
        spectra = [long_term_spectrum(wave, self.sample_rate)[0] for _, wave in self._speech.utterances("test")]
        return torch.stack(spectra).mean(0)

    def real_speech(self, label: Tensor, samples: int) -> Tensor:
        """Return test speech of speakers, their loudest ``samples`` in a row of one utterance, shape (R, 1, samples).

        Utterances that are too short are repeated. Zeros for a speaker without test utterances.
        """
        if self._speech is None:
            raise InputError("speech", None, "references")
        longest: dict[int, Tensor] = {}
        for speaker, wave in self._speech.utterances("test"):
            if speaker not in longest or wave.shape[-1] > longest[speaker].shape[-1]:
                longest[speaker] = wave
        found = torch.zeros(len(label), 1, samples)
        for row, speaker in enumerate(label.tolist()):
            if speaker not in longest:
                continue
            wave = longest[speaker]
            wave = wave.repeat(1, -(-samples // wave.shape[-1]))
            energy = torch.nn.functional.pad(wave.double().square().cumsum(-1), (1, 0))
            start = int((energy[0, samples:] - energy[0, :-samples]).argmax())
            found[row] = wave[:, start : start + samples]
        return found

    # ------------------------------------------------------------------------------------------------ judging

    def describe(self) -> dict[str, Any]:
        """Say who judges, and by which vocoder."""
        return super().describe() | {"vocoder": type(self.vocoder).__name__}

    @torch.no_grad()
    def vocode(self, waves: Tensor) -> Tensor:
        """Pass waveforms (N, 1, samples) through the vocoder, as loud as they were."""
        return same_loudness(self.vocoder(waves), waves, self.input_range)

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        if len(shape) != 2 or shape[0] != 1 or shape[1] < self.input_shape[-1]:
            expected = f"waveforms (1, samples) of {self.input_shape[-1]} samples or more to judge"
            raise InputError(expected, shape, self._known_by)

    def judge(self, result: InversionResult) -> Judgement:
        """Judge an attack on voices.

        Args:
            result: What it found.

        Returns:
            Numbers for each row, for the whole attack, and for the controls.

        Raises:
            InputError: If the attack was on other people, or its inputs are no waveforms.
            MIError: If the vocoder's package is missing.
        """
        if self._last is not None and self._last[0] is result:
            return self._last[1]
        self._check(result)
        chosen, label = best_rows(result), result.label
        waves = likeness.into_range(result.reconstruction.float().nan_to_num(0.0), self.input_range)
        per_row, guess = self._voices(waves, label)
        vocoded = self.vocode(waves)
        after, _ = self._voices(vocoded, label)
        per_row |= {f"vocoder_{name}": value for name, value in after.items()}
        if waves.shape[-1] == self.input_shape[-1]:
            times = -(-round(_REPEATED_SECONDS * self.sample_rate) // waves.shape[-1])
            repeated, _ = self._voices(waves.repeat(1, 1, times), label)
            per_row |= {f"repeated_{name}": value for name, value in repeated.items()}
        per_row = {"confidence": result.confidence.float()} | per_row
        controls = self._controls(waves[chosen], label[chosen])
        real = None if self._speech is None else self.real_speech(label, waves.shape[-1])
        judgement = Judgement(
            per_row=per_row,
            summary=summarise({name: value[chosen] for name, value in per_row.items()}),
            controls={name: summarise(self._voices(control, of)[0]) for name, control, of in controls},
            chance=self._chance(),
            evaluator_guess=guess,
            real=real,
            vocoded=vocoded,
            class_names=self.class_names,
            description=self.describe(),
        )
        judgement = self._completed(judgement, result, waves, controls)
        self._last = (result, judgement)
        return judgement

    def _controls(self, reconstruction: Tensor, label: Tensor) -> list[tuple[str, Tensor, Tensor]]:
        controls = super()._controls(reconstruction, label)
        if self._speech is not None:
            controls.insert(0, ("real_speech", self.real_speech(label, reconstruction.shape[-1]), label))
        return controls

    def _chance(self) -> dict[str, float]:
        guess, chance = 1 / self.num_classes, {"target_top1": 1 / self.num_classes}
        if self.evaluator is not None:
            chance |= {"evaluator_top1": guess, "evaluator_top5": min(5, self.num_classes) / self.num_classes}
            if self.references is not None:
                chance["identification_top1"] = guess
        if self._speech is not None:
            chance["sex_right"] = 0.5
        for name in ("evaluator_top1", "target_top1"):
            if name in chance:
                chance[f"vocoder_{name}"] = guess
        return chance

    @torch.no_grad()
    def _voices(self, waves: Tensor, label: Tensor) -> tuple[dict[str, Tensor], Tensor | None]:
        """Every number that can be had of waveforms (R, 1, samples), and whom the evaluator names."""
        found: dict[str, Tensor] = {}
        guess = None
        if self.evaluator is not None:
            logits = _whole(self.evaluator, self.evaluator, list(waves))
            guess = logits.argmax(1).masked_fill(~logits.isfinite().all(1), -1)
            found["evaluator_top1"] = top_k_hits(logits, label, 1)
            found["evaluator_top5"] = top_k_hits(logits, label, 5)
            found["evaluator_confidence"] = logits.softmax(1).gather(1, label[:, None])[:, 0]
            if self._speech is not None:
                features = _whole(self.evaluator, self.evaluator.features, list(waves))
                found["identification_top1"] = (nearest_person(features, self._evaluator_means) == label).float()
        if self._box is not None:
            logits = _whole(self._box, self._box, list(waves))
            if isinstance(self.target, Target):
                logits = self.target.in_order(logits)
            found["target_top1"] = top_k_hits(logits, label, 1)
            found["target_confidence"] = logits.softmax(1).gather(1, label[:, None])[:, 0]
            if self._speech is not None:
                means, each, speaker = self._dvectors
                vectors, own = dvectors(self._box, list(waves), shift=_SHIFT), means[label]
                found["dvector_cosine"] = (vectors * own).sum(-1)
                found["dvector_euclidean"] = (vectors - own).square().sum(-1).sqrt()
                sexes = self._speech.sexes
                said = infer_sex(each, speaker, sexes, vectors, label)
                pairs = zip(said, label.tolist(), strict=True)
                right = [float(answer == sexes[k]) if answer and sexes[k] in "FM" else torch.nan for answer, k in pairs]
                found["sex_right"] = torch.tensor(right)
        if self._spectrum is not None:
            found["spectral_distance"] = spectral_distance(waves[:, 0], self._spectrum, self.sample_rate)
        found["modulation"] = modulation(waves[:, 0], self.sample_rate)
        return found, guess


@torch.no_grad()
def _whole(classifier: Classifier, function: Callable[[Tensor], Tensor], waves: Sequence[Tensor]) -> Tensor:
    """Apply a function of a classifier to whole waveforms (1, samples), one after the other, in evaluation mode."""
    weight = next(classifier.parameters())
    with evaluation_mode(classifier):
        return torch.cat([function(wave[None].to(weight)).float().cpu() for wave in waves])
