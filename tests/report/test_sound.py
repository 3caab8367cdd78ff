from __future__ import annotations

import io
import json
import wave
from pathlib import Path

import pytest
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mi_lightning.attacks.initializers.speech_noise import SpeechNoise
from mi_lightning.attacks.spaces.waveform import WaveformSpace
from mi_lightning.classifiers.loading import save_classifier
from mi_lightning.data.base import modality_of
from mi_lightning.lightning.callbacks import GriffinLim
from mi_lightning.lightning.callbacks.dashboard import Dashboard
from mi_lightning.lightning.callbacks.results import ResultsWriter
from mi_lightning.lightning.module import Inversion
from mi_lightning.lightning.trainer import InversionTrainer
from mi_lightning.report import build_report, read_results, sound, summary_table
from mi_lightning.report.media import media
from mi_lightning.targets import WhiteBox
from tests.judging.voices import RATE, ToneEar, ToneSpeakers, tone


def test_spectrogram_shows_a_tone_where_it_is():
    pixels = sound.spectrograms(tone(2000, 0.5)[None, None], RATE)
    brightness = pixels[0].astype(int).sum(2).mean(1)
    height = len(brightness)
    assert abs(int(brightness.argmax()) - height * (1 - 2000 / 8000)) <= 2  # low frequencies below
    assert sound.spectrograms(torch.zeros(2, 1, 100), RATE).shape[0] == 2  # silence, shorter than a window


def test_spectrogram_of_a_wave_out_of_all_bounds_is_that_of_the_wave():
    wave_ = tone(2000, 0.5)[None, None]
    loud, plain = (sound.spectrograms(scale * wave_, RATE).astype(int) for scale in (1e38, 1.0))
    assert abs(loud - plain).max() <= 1


def test_rate_of_a_run():
    assert sound.sample_rate({"space": {"sample_rate": 8000}}, None) == 8000
    assert sound.sample_rate({"space": "x"}, {"sample_rate": 44100}) == 44100
    assert sound.sample_rate({}, None) == 16000


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An attack on tones with everything that is written about it."""
    folder = tmp_path_factory.mktemp("run")
    save_classifier(ToneEar(sharpness=15.0), folder / "evaluator.ckpt")
    logger = TensorBoardLogger(folder, name="voices", default_hp_metric=False)
    attack = Inversion(
        target=WhiteBox(ToneEar()),
        space=WaveformSpace(duration=0.3, initializer=SpeechNoise(std=0.02)),
        optimizer=lambda parameters: torch.optim.Adam(parameters, lr=0.02),
        max_iterations=20,
        report_every=10,
    )
    InversionTrainer(
        accelerator="cpu",
        logger=logger,
        callbacks=[ResultsWriter(), Dashboard(every=1), GriffinLim(iterations=4)],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
    ).invert(attack, ToneSpeakers(), str(folder / "evaluator.ckpt"))
    return Path(logger.log_dir)


def test_files_of_a_run(run):
    names = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    for speaker in ("000_0200_Hz", "003_3000_Hz"):
        for kind in ("", "_vocoder", "_real"):
            assert f"audio/{speaker}{kind}.wav" in names
    assert "spectrograms.png" in names
    assert "reconstructions.png" not in names
    with wave.open(str(run / "audio/000_0200_Hz.wav")) as file:
        assert file.getnframes() == round(0.3 * RATE)
    results = read_results(run)
    assert results.data["per_label"][0]["dvector_cosine"] is not None
    assert 0 <= results.summary["vocoder_evaluator_top1"] <= 1
    assert results.summary["sex_right"] is not None
    assert set(results.data["controls"]) == {"real_speech", "noise", "shuffled"}
    assert json.loads((run / "results.json").read_text())["evaluator"]["class"].endswith("ToneEar")
    assert set(results.arrays) >= {"real", "vocoded"}


def test_page_has_players_and_numbers(run, tmp_path):
    page = build_report([run], tmp_path / "report.html").read_text()
    assert page.count('data-sound="data:audio/mpeg;base64,') == 4 * 3  # speakers: real, as found, after the vocoder
    assert "<audio" not in page  # a player comes when it is asked for
    assert "d-vector cosine" in page
    assert "real speech" in page
    assert ">SSIM</th>" not in page
    assert "After a vocoder" in page


def test_a_player_with_its_spectrogram_takes_a_share_of_five_megabytes():
    # twenty voices in seven attacks, as found and after the vocoder, and a recording of each; noise is the worst
    modality = modality_of((1, RATE), (-1.0, 1.0), RATE)
    noise = torch.rand(1, 1, RATE, generator=torch.Generator().manual_seed(0)).numpy() - 0.5
    (player,) = media("sound").cell({"reconstruction": noise}, 0, modality)["sounds"]
    assert len(player["sound"]) + len(player["picture"]) < 5e6 / (20 * 7 * 2 + 20)


def test_table_for_the_terminal(run):
    from rich.console import Console

    console = Console(width=100, record=True, file=io.StringIO())
    console.print(summary_table([run]))
    text = console.export_text()
    for word in ("recognised", "ceil.", "fools", "inside", "mod.", "real", "guessing"):
        assert word in text
    assert "SSIM" not in text


def test_real_speech_is_no_warning(run, tmp_path):
    page = build_report([run], tmp_path / "report.html").read_text()
    assert "The control “real speech”" not in page


def test_tensorboard_has_players_and_spectrograms(run):
    events = EventAccumulator(str(run), size_guidance={"audio": 0, "images": 0}).Reload()
    assert "audio/0200 Hz/found" in events.Tags()["audio"]
    assert "audio/0200 Hz/real" in events.Tags()["audio"]
    assert "audio/0200 Hz/vocoder" in events.Tags()["audio"]
    assert "invert/candidates" in events.Tags()["images"]
