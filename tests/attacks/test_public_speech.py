from __future__ import annotations

import pytest
import torch

from mi_lightning.attacks.initializers.public_speech import PublicSpeech
from mi_lightning.attacks.rows import Rows
from mi_lightning.attacks.spaces.disguised_speech import DisguisedSpeech
from mi_lightning.classifiers import SoftmaxRegression
from mi_lightning.data.speech.public_voices import PUBLIC_VOICES, PublicVoices
from mi_lightning.data.speech.voices import VOICES
from mi_lightning.errors import InputError
from mi_lightning.lightning.module import Inversion
from mi_lightning.targets import WhiteBox
from tests.attacks.conftest import quiet_trainer
from tests.judging.voices import RATE, ToneEar, ToneSpeakers


def rows(restarts: int = 1) -> Rows:
    return Rows.grid([0, 1], restarts, seed=0)


def loudest(x: torch.Tensor) -> torch.Tensor:
    """Loudest frequency of each waveform of one second, Hz."""
    return torch.fft.rfft(x[:, 0] * torch.hann_window(x.shape[-1])).abs().argmax(-1)


def test_no_public_voice_shares_its_timbre_with_one_that_is_attacked():
    attacked = {name.partition("+")[2] for name in VOICES}
    assert not attacked & {name.partition("+")[2] for name in PUBLIC_VOICES}
    assert set(PUBLIC_VOICES.values()) == {"F", "M"}


def test_public_voices_speak(tmp_path):
    pytest.importorskip("espeakng_loader")
    data = PublicVoices(sentences=2, cache_dir=str(tmp_path))
    data.setup()
    assert data.num_classes == len(PUBLIC_VOICES)
    assert {label for label, _ in data.utterances("train")} == set(range(len(PUBLIC_VOICES)))


def test_pieces_are_of_the_references_and_as_loud_as_asked_for():
    start = PublicSpeech(references=ToneSpeakers(hertz=(1000.0, 2000.0)), speed=1.0, std=0.05)(
        rows(), (1, 4000), (-1, 1)
    )
    torch.testing.assert_close(start.square().mean(-1).sqrt(), torch.full((2, 1), 0.05), atol=1e-4, rtol=0)
    spectrum = torch.fft.rfft(start[:, 0]).abs()
    assert set((spectrum.argmax(-1) * 4).tolist()) <= {1000, 2000}


def test_pieces_without_pauses_are_preferred():
    silent = ToneSpeakers(hertz=(1000.0, 2000.0), utterances=6)
    silent.read = lambda recording: (  # type: ignore[method-assign]
        ToneSpeakers(hertz=(1000.0, 2000.0)).read(recording)[0] * (1e-6 if recording.name.startswith("1000") else 1),
        RATE,
    )
    silent.settings = lambda: {"half silent": True}  # type: ignore[method-assign]
    start = PublicSpeech(references=silent, speed=1.0)(Rows.grid([0], 40, seed=0), (1, 4000), (-1, 1))
    heard = torch.fft.rfft(start[:, 0]).abs().argmax(-1) * 4 == 2000
    assert float(heard.float().mean()) > 0.7  # 1/2 of the places, 7/8 of the best of three


def test_speed_moves_the_pitch_within_bounds():
    speech = PublicSpeech(references=ToneSpeakers(hertz=(1000.0, 1001.0), utterances=8), speed=1.25)
    pitch = loudest(speech(Rows.grid([0, 1], 10, seed=0), (1, RATE), (-1, 1))).float()
    assert float(pitch.min()) >= 1000 / 1.25 - 3
    assert float(pitch.max()) <= 1001 * 1.25 + 3
    assert float(pitch.max() - pitch.min()) > 150


def test_a_row_draws_for_itself():
    speech = PublicSpeech(references=ToneSpeakers(hertz=(1000.0, 2000.0)))
    both = speech(Rows.grid([0, 1], 1, seed=0), (1, 3000), (-1, 1))
    alone = speech(Rows.grid([1], 1, seed=0), (1, 3000), (-1, 1))
    torch.testing.assert_close(both[1], alone[0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PublicSpeech(speed=0.5), "expected a finite speed >= 1, got 0.5"),
        (lambda: PublicSpeech(std=0.0), "expected a finite std > 0, got 0.0"),
        (lambda: PublicSpeech(part="all"), "expected part train or test, got all"),
        (lambda: PublicVoices(sentences=1), "expected 2 <= sentences <= 24, got 1"),
        (
            lambda: PublicSpeech(references=ToneSpeakers())(rows(), (1, 60 * RATE), (-1, 1)),
            r"expected [0-9.]+ s of speech, got 6.0 s",
        ),
        (
            lambda: PublicSpeech(references=ToneSpeakers(), sample_rate=8000)(rows(), (1, 100), (-1, 1)),
            "expected references at 8000 Hz, got 16000",
        ),
        (lambda: DisguisedSpeech(bands=1), "expected bands >= 2, got 1"),
        (lambda: DisguisedSpeech(step=0.0), "expected a finite step > 0, got 0.0"),
        (lambda: DisguisedSpeech(most=0.0), "expected a finite most > 0, got 0.0"),
    ],
)
def test_bad_input_is_told_in_one_line(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.fixture
def space() -> DisguisedSpeech:
    speech = PublicSpeech(references=ToneSpeakers(hertz=(1000.0, 3000.0)), speed=1.0)
    space = DisguisedSpeech(duration=0.5, initializer=speech, step=0.1)
    space.bind(WhiteBox(ToneEar()))
    return space


def test_no_disguise_is_the_speech_itself(space):
    z = space.initial(rows())
    torch.testing.assert_close(space.decode(z), z[..., :8000], atol=1e-4, rtol=0)


def test_a_gain_for_all_is_a_gain(space):
    z = space.initial(rows())
    z[..., 8000:] = 0.5
    torch.testing.assert_close(space.decode(z), z[..., :8000] * torch.e**0.5, atol=1e-3, rtol=1e-3)


def test_only_the_gains_move_and_they_keep_within_bounds(space):
    z = space.initial(rows()).requires_grad_()
    (gradient,) = torch.autograd.grad(space.decode(z).square().sum(), z)
    assert not gradient[..., :8000].any()
    assert gradient[..., 8000:].abs().sum() > 0
    z = z.detach() + 100
    space.constrain_(z)
    assert float(z[..., 8000:].max()) == pytest.approx(30 / 20 * 2.302585, rel=1e-4)


def test_a_disguise_finds_its_speaker():
    """Speech that holds all tones: the right one is made louder."""
    ear = ToneEar(sharpness=60.0).eval()
    mixed = ToneSpeakers(hertz=(200.0, 201.0), utterances=4)
    mixed.read = lambda recording: (  # type: ignore[method-assign]
        sum(ToneSpeakers().read(r)[0] for r in ToneSpeakers(utterances=1).recordings) / 4,
        RATE,
    )
    mixed.settings = lambda: {"mixed": True}  # type: ignore[method-assign]
    attack = Inversion(
        target=WhiteBox(ear),
        space=DisguisedSpeech(duration=0.4, initializer=PublicSpeech(references=mixed, speed=1.0, std=0.2)),
        optimizer=lambda parameters: torch.optim.Adam(parameters, lr=0.1),
        max_iterations=25,
    )
    quiet_trainer().invert(attack)
    assert (attack.result.confidence > 0.9).all()
    assert attack.result.reconstruction.shape == (4, 1, 6400)
    assert attack.result.candidate.shape[-1] > 6400


def test_pictures_are_refused():
    with pytest.raises(InputError, match="expected a target of waveforms"):
        DisguisedSpeech().bind(WhiteBox(SoftmaxRegression(input_shape=(1, 4, 4), num_classes=3)))
