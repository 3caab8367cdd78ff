from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from mi_lightning.attacks.result import InversionResult
from mi_lightning.errors import InputError
from mi_lightning.judging.speech_judge import SpeechJudge
from mi_lightning.nn.vocoder import GriffinLimVocoder
from mi_lightning.targets import BlackBox, WhiteBox
from mi_lightning.targets.defenses import Rounding
from tests.judging.voices import RATE, ToneEar, ToneSpeakers, tone

HERTZ = (200.0, 300.0, 2000.0, 3000.0)
NAMES = tuple(f"{value:04.0f} Hz" for value in HERTZ)


class Mute(torch.nn.Module):
    """A vocoder that plays the first speaker's tone, whatever it is given."""

    def forward(self, x: Tensor) -> Tensor:
        return tone(HERTZ[0], x.shape[-1] / RATE).expand_as(x)


def judge(**settings: object) -> SpeechJudge:
    plain = {
        "evaluator": ToneEar(sharpness=15.0).eval(),
        "references": ToneSpeakers(),
        "target": WhiteBox(ToneEar()),
        "vocoder": Mute(),
    } | settings
    return SpeechJudge(plain.pop("evaluator"), plain.pop("references"), **plain)


@pytest.fixture
def found(result_of) -> Callable[..., InversionResult]:
    def make(hertz: tuple[float, ...] = HERTZ, seconds: float = 0.5) -> InversionResult:
        waves = torch.stack([tone(value, seconds, phase=0.3)[None] for value in hertz])
        return result_of(waves, range(len(hertz)), names=NAMES)

    return make


def test_right_voices_are_named_by_everybody(found):
    verdict = judge().judge(found())
    for name in ("evaluator_top1", "identification_top1", "target_top1", "sex_right"):
        assert verdict.per_row[name].tolist() == [1.0] * 4, name
        assert verdict.summary[name] == 1.0
    assert verdict.summary["dvector_cosine_mean"] == pytest.approx(1, abs=1e-3)
    assert verdict.summary["dvector_euclidean_mean"] < 0.05
    assert verdict.evaluator_guess.tolist() == [0, 1, 2, 3]


def test_after_the_vocoder_everybody_is_the_first(found):
    verdict = judge().judge(found())
    assert verdict.per_row["vocoder_evaluator_top1"].tolist() == [1, 0, 0, 0]
    assert verdict.per_row["vocoder_target_top1"].tolist() == [1, 0, 0, 0]
    assert verdict.summary["vocoder_evaluator_top1"] == 0.25
    # as loud as before
    torch.testing.assert_close(verdict.vocoded.square().mean(), torch.tensor(0.125), atol=1e-3, rtol=0)


def test_wrong_voices_are_told(found):
    verdict = judge().judge(found((300.0, 200.0, 200.0, 300.0)))
    assert verdict.per_row["evaluator_top1"].tolist() == [0] * 4
    assert verdict.per_row["target_top1"].tolist() == [0] * 4
    assert verdict.per_row["sex_right"].tolist() == [1, 1, 0, 0]  # 200 and 300 Hz are men
    assert verdict.summary["dvector_cosine_mean"] < 0.5


def test_real_speech_is_the_ceiling_and_noise_and_shuffled_are_not(found):
    controls = judge().judge(found()).controls
    assert set(controls) == {"real_speech", "noise", "shuffled"}
    assert controls["real_speech"]["evaluator_top1"] == 1.0
    assert controls["real_speech"]["dvector_cosine_mean"] == pytest.approx(1, abs=1e-3)
    assert controls["noise"]["dvector_cosine_mean"] < 0.9
    assert controls["shuffled"]["evaluator_top1"] == 0.0


def test_chance(found):
    chance = judge().judge(found()).chance
    assert chance["evaluator_top1"] == chance["vocoder_evaluator_top1"] == chance["target_top1"] == 0.25
    assert chance["sex_right"] == 0.5
    assert chance["evaluator_top5"] == 1.0


def test_real_speech_is_the_loudest_part_of_a_test_utterance(found):
    voices = ToneSpeakers()
    real = judge(references=voices).judge(found(seconds=0.2)).real
    assert real.shape == (4, 1, 3200)
    for label in range(4):
        waves = [wave for of, wave in voices.utterances("test") if of == label]
        assert any(torch.equal(part, real[label]) for wave in waves for part in wave.unfold(1, 3200, 1).unbind(1))
    assert judge(references=voices).real_speech(torch.tensor([0]), 3 * RATE).shape == (1, 1, 3 * RATE)  # repeated


def test_a_single_chunk_is_judged_repeated_too(found):
    verdict = judge().judge(found(seconds=0.2))
    assert verdict.summary["repeated_target_top1"] == 1.0
    assert verdict.summary["repeated_dvector_euclidean_mean"] < 0.1
    assert not any(name.startswith("repeated") for name in judge().judge(found(seconds=0.5)).summary)


def test_griffin_lim_is_the_vocoder_if_none_is_given(found):
    verdict = judge(vocoder=None)
    assert isinstance(verdict.vocoder, GriffinLimVocoder)
    judged = verdict.judge(found())
    assert judged.summary["vocoder_evaluator_top1"] == 1.0  # a tone survives
    assert judged.description["vocoder"] == "GriffinLimVocoder"


def test_a_black_box_tells_no_dvectors(found):
    verdict = judge(target=BlackBox.of(ToneEar().eval())).judge(found())
    assert "evaluator_top1" in verdict.summary
    assert not any("dvector" in name or "sex" in name for name in verdict.summary)


def test_the_classifier_of_a_black_box_and_one_behind_a_defense_may_be_heard_by_the_judge(found):
    for target in (ToneEar().eval(), Rounding(r=0.5).wrap(WhiteBox(ToneEar()))):
        assert judge(target=target).judge(found()).summary["target_top1"] == 1.0


def test_without_evaluator_or_without_references(found):
    alone = judge(evaluator=None).judge(found())
    assert "evaluator_top1" not in alone.summary
    assert alone.summary["dvector_cosine_mean"] > 0.99
    bare = judge(references=None).judge(found())
    assert bare.summary["evaluator_top1"] == 1.0
    assert bare.real is None
    assert "spectral_distance_mean" not in bare.summary


def test_waveforms_that_are_no_numbers_are_nobody(found, result_of):
    waves = torch.full((4, 1, 8000), torch.nan)
    verdict = judge().judge(result_of(waves, range(4), names=NAMES))
    assert verdict.summary["dvector_cosine_mean"] < 0.9
    assert verdict.vocoded.isfinite().all()


def test_what_is_no_waveform_is_refused(result_of):
    with pytest.raises(InputError, match=r"expected waveforms \(1, samples\) of 3200 samples or more to judge, got"):
        judge().judge(result_of(torch.zeros(4, 1, 1600), range(4), names=NAMES))


def test_rates_must_agree():
    ear = ToneEar()
    ear.sample_rate = 8000
    with pytest.raises(InputError, match=r"expected an evaluator and data of one sample rate, got \[8000, 16000\]"):
        judge(evaluator=ear)
