from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize

from mi_lightning.audio import spectra as audio
from mi_lightning.classifiers.dvectors import dvectors, person_dvectors
from mi_lightning.data.speech import speech_of
from mi_lightning.errors import InputError
from mi_lightning.judging.sex import infer_sex
from tests.judging.conftest import StandIns
from tests.judging.voices import RATE, ToneEar, ToneSpeakers, tone


@pytest.fixture
def speakers() -> ToneSpeakers:
    return ToneSpeakers()


def test_dvector_is_the_unit_mean_of_frames_features():
    ear, wave = ToneEar().eval(), torch.cat((tone(200, 0.3), tone(2000, 0.3)))[None]
    frames = wave.unfold(-1, 3200, 800).transpose(0, 1)
    expected = normalize(ear.chunk_features(frames).mean(0), dim=0)
    torch.testing.assert_close(dvectors(ear, [wave], shift=800)[0], expected, atol=1e-5, rtol=1e-4)


def test_long_and_short_waveforms_have_dvectors(monkeypatch):
    ear, wave = ToneEar().eval(), tone(300, 2.0)[None]
    whole = dvectors(ear, [wave], shift=800)
    monkeypatch.setattr("mi_lightning.classifiers.dvectors._FRAMES", 4)  # the same in parts
    torch.testing.assert_close(dvectors(ear, [wave], shift=800), whole)
    short = dvectors(ear, [tone(300, 0.1)[None]])
    assert int(short[0, :4].argmax()) == 1


def test_person_dvectors_point_to_each_tone(speakers):
    speakers.setup()
    vectors = person_dvectors(ToneEar().eval(), speakers, "train")
    assert vectors[:, :4].argmax(1).tolist() == [0, 1, 2, 3]
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(4))


def test_only_speakers_have_speech():
    with pytest.raises(InputError, match=r"expected data of speakers .*, got StandIns \(data\)"):
        speech_of(StandIns())


def test_sex_is_inferred_from_others_only():
    generator = torch.Generator().manual_seed(0)
    speaker = torch.arange(6).repeat_interleave(5)
    sexes = ["F", "M", "F", "M", "F", "M"]
    side = torch.tensor([1.0 if sex == "F" else -1.0 for sex in sexes])[speaker]
    vectors = normalize(torch.stack((side, torch.randn(30, generator=generator) / 3), 1))
    own = torch.stack((side[::5], torch.zeros(6)), 1)
    said = infer_sex(vectors, speaker, sexes, own, torch.arange(6))
    assert said == sexes
    # a speaker's own recordings do not count: mark speaker 0 falsely, and the others still say what she is
    aside = normalize(torch.tensor([[0.3, 1.0]]))
    vectors[:5] = aside
    assert infer_sex(vectors, speaker, ["M", *sexes[1:]], aside, torch.tensor([0])) == ["F"]
    # one sex among the others, unknown sexes, or no number: no answer
    assert infer_sex(vectors, speaker, ["F"] * 6, own, torch.arange(6)) == [""] * 6
    assert infer_sex(vectors, speaker, ["?"] * 6, own, torch.arange(6)) == [""] * 6
    assert infer_sex(vectors, speaker, sexes, own[:1] * torch.nan, torch.tensor([0])) == [""]


def test_long_term_spectrum_finds_the_band_of_a_tone():
    spectrum = audio.long_term_spectrum(tone(1000, 1.0)[None])[0]
    matrix = audio.band_matrix(40, RATE)
    assert int(spectrum.argmax()) == int(matrix[:, 32].argmax())  # bin 32 of 512 at 16 kHz is 1000 Hz
    assert float(spectrum.max()) > -3
    assert float(spectrum.min()) == pytest.approx(-30)


def test_spectral_distance_of_a_louder_copy_is_zero_and_of_noise_is_not():
    wave = tone(1000, 1.0)[None] + tone(300, 1.0)[None]
    reference = audio.long_term_spectrum(wave)[0]
    assert float(audio.spectral_distance(wave / 3, reference)) == pytest.approx(0, abs=0.05)
    assert float(audio.spectral_distance(torch.randn(1, RATE), reference)) > 5


def test_modulation_tells_syllables_from_noise():
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 2 * RATE, generator=generator)
    time = torch.arange(2 * RATE) / RATE
    syllables = noise * (0.5 + 0.5 * torch.sin(2 * torch.pi * 4 * time)).square()  # four a second
    slow = noise * (0.5 + 0.5 * torch.sin(2 * torch.pi * 0.5 * time)).square()
    assert float(audio.modulation(syllables)) > 0.6
    assert float(audio.modulation(noise)) < 0.2
    assert float(audio.modulation(slow)) < 0.5 * float(audio.modulation(syllables))
    assert float(audio.modulation(torch.zeros(1, 400))) == 0  # too short to vary
