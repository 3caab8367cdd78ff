"""Every configuration that we ship parses, and runs a short version of itself on stand-in faces and voices."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from mi_lightning.cli.main import main
from mi_lightning.nn.dcgan import STATE_KEY, FaceGenerator

CONFIGS = Path(__file__).parent.parent / "configs"
PEOPLE, IMAGES, HEIGHT, WIDTH = 7, 4, 28, 24  # more people than five, so that top-5 says something
OLIVETTI = 40  # people in the stand-in for scikit-learn's cache, whose size is fixed

#: Numbers that make a run long, and what a short version has in their place, wherever they stand.
SHORT = {
    "epochs": 1,
    "max_epochs": 2,
    "batches_per_epoch": 2,
    "max_iterations": 3,
    "pairs": 2,
    "T_max": 2,
    "total_steps": 1000,
    "test_per_person": 2,
    "batch_size": 7,
    "restarts": 2,
    "starts": 3,
    "num_coordinates": 4,
    "count": 20,
    "components": 5,
}

#: Corpora of speech, and the package that each of them needs.
SPEECH = {"voices": "espeakng_loader", "librispeech": "soundfile", "librispeech100": "soundfile", "timit": "soundfile"}

#: Parts that read the generator of public faces; a tiny one stands in for it.
NEED_GENERATOR = ("PublicFaces", "PublicMean", "FaceDecoder")


def named(kind: str) -> list[Any]:
    """Configurations of one kind as test parameters; there must be some."""
    paths = sorted((CONFIGS / kind).glob("*.yaml"))
    if not paths:
        raise FileNotFoundError(f"no configuration in {CONFIGS / kind}")
    return [pytest.param(path, id=path.stem, marks=_runs_here(path)) for path in paths]


def _runs_here(path: Path) -> pytest.MarkDecorator:
    """Skip what needs a package of the extra speech that is not installed."""
    package = SPEECH.get(path.stem.split("_")[0])
    return pytest.mark.skipif(
        package is not None and find_spec(package) is None, reason=f"{package}, of the extra speech, is not installed"
    )


def stand_in_speech(folder: Path, rng: np.random.Generator) -> None:
    """Write the trees of LibriSpeech and TIMIT with half a second of a buzz of its own for each speaker."""
    from soundfile import write

    for person in range(PEOPLE):
        buzz = np.sin(np.arange(8000) * (0.05 + 0.1 * person))
        names = [f"librispeech/test-other/{person}/1/{person}-1-{number}.flac" for number in range(3)]
        names += [f"timit/TRAIN/DR1/FABC{person}/{sentence}.WAV" for sentence in ("SX1", "SX2", "SI3", "SA1")]
        names += [f"librispeech/train-clean-100/{person}/1/{person}-1-0.flac"]
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            repeats = 4 if "train-clean" in name else 1  # one utterance, which is divided by time
            samples = np.tile(buzz, repeats) * 0.5 + 0.05 * rng.standard_normal(8000 * repeats)
            write(folder / name, samples, 16000, format="FLAC" if name.endswith("flac") else "NIST")
    sexes = "".join(f"{person} | {'FM'[person % 2]} | - | 1 | -\n" for person in range(PEOPLE))
    (folder / "librispeech" / "SPEAKERS.TXT").write_text(sexes)


def shorten(node: Any) -> Any:
    """Put the short numbers in, at any depth."""
    if isinstance(node, dict):
        return {
            key: min(SHORT[key], value) if key in SHORT and isinstance(value, int) and value > 0 else shorten(value)
            for key, value in node.items()
        }
    return [shorten(item) for item in node] if isinstance(node, list) else node


def with_generator(node: Any, weights: str) -> Any:
    """Let every part that reads a generator read this one."""
    if isinstance(node, dict):
        node = {key: with_generator(value, weights) for key, value in node.items()}
        if str(node.get("class_path")).endswith(NEED_GENERATOR):
            node["init_args"] = node.get("init_args", {}) | {"weights": weights}
        return node
    return [with_generator(item, weights) for item in node] if isinstance(node, list) else node


def with_fewer_voices(node: Any) -> Any:
    """Let voices be as few as the stand-ins of other corpora, wherever they are read."""
    if isinstance(node, dict):
        node = {key: with_fewer_voices(value) for key, value in node.items()}
        if str(node.get("class_path")).endswith("SyntheticVoices"):
            node["init_args"] = node.get("init_args", {}) | {"voices": PEOPLE, "sentences": 2}
        return node
    return [with_fewer_voices(item) for item in node] if isinstance(node, list) else node


def short_version(path: Path, faces: Path) -> Path:
    """Write the short version of a configuration into the working folder."""
    config = shorten(yaml.safe_load(path.read_text()))
    if config["data"]["class_path"].endswith("AttFaces"):
        config["data"].setdefault("init_args", {}).update(root=str(faces), test_per_person=1)
    config = with_fewer_voices(config)
    if config["data"].get("init_args", {}).get("train_seconds"):
        config["data"]["init_args"]["train_seconds"] = 0.4
    if str(config["model"].get("class_path")).endswith(("SincNet", "MelSpeakerNet")):
        config["model"].setdefault("init_args", {})["shift_seconds"] = 0.1
    config = with_generator(config, str(faces.parent / "generator.tar"))
    short = Path(f"{path.parent.name}_{path.name}")
    short.write_text(yaml.safe_dump(config))
    return short


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with stand-in faces and a checkpoint of every classifier that a configuration fits."""
    folder = tmp_path_factory.mktemp("configs")
    rng = np.random.default_rng(0)
    for person in range(1, PEOPLE + 1):
        face = rng.integers(30, 220, (HEIGHT // 4, WIDTH // 4)).repeat(4, 0).repeat(4, 1)
        (folder / "faces" / f"s{person}").mkdir(parents=True)
        for image in range(1, IMAGES + 1):
            pixels = (face + rng.integers(-20, 21, face.shape)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "faces" / f"s{person}" / f"{image}.pgm")
    with torch.random.fork_rng(devices=[]):
        torch.save({STATE_KEY: FaceGenerator(widths=(4, 3)).state_dict()}, folder / "generator.tar")
    olivetti = rng.integers(30, 220, (OLIVETTI, 1, 16, 16)) + rng.integers(-20, 21, (OLIVETTI, 10, 16, 16))
    (folder / "scikit_learn_data").mkdir()
    small = olivetti.astype(np.uint8).repeat(4, 2).repeat(4, 3)
    joblib.dump(small.reshape(400, 4096), folder / "scikit_learn_data" / "olivetti_py3.pkz")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("SCIKIT_LEARN_DATA", str(folder / "scikit_learn_data"))
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        if find_spec("soundfile") is not None:
            stand_in_speech(folder, rng)
            patch.setenv("LIBRISPEECH", str(folder / "librispeech"))
            patch.setenv("TIMIT", str(folder / "timit"))
        for parameter in named("fit"):
            package = SPEECH.get(str(parameter.id).split("_")[0])
            if package is not None and find_spec(package) is None:
                continue  # whose tests are skipped
            main(["fit", "--config", str(short_version(parameter.values[0], folder / "faces"))])
        yield folder


@pytest.mark.parametrize("path", named("fit"))
def test_fit(workplace, path):
    assert (workplace / yaml.safe_load(path.read_text())["checkpoint"]).is_file()


@pytest.mark.parametrize("path", named("invert"))
def test_invert(workplace, path):
    main(["invert", "--config", str(short_version(path, workplace / "faces"))])
    results = json.loads((workplace / f"lightning_logs/invert/{path.stem}/version_0/results.json").read_text())
    olivetti = path.stem.startswith("olivetti")
    assert results["summary"]["labels"] == (OLIVETTI if olivetti else PEOPLE)
    assert results["summary"]["evaluator_top1"] is not None
    windows = 97 if "sliding_3s" in path.stem else 33 if "sliding" in path.stem else 1
    assert results["summary"]["iterations_mean"] <= 3 * windows


@pytest.mark.parametrize("path", named("audit"))
def test_audit(path):
    config = yaml.safe_load(path.read_text())
    root = CONFIGS.parent
    checkpoints = {yaml.safe_load((root / fit).read_text())["checkpoint"] for fit in config["fit"]}
    for attack in config["invert"]:
        content = yaml.safe_load((root / attack).read_text())
        # the audit fits whatever its attacks read
        assert {content["model"]["classifier_ckpt"], content["evaluator_ckpt"]} <= checkpoints


@pytest.mark.parametrize("path", named("sweep"))
def test_sweep(workplace, path, jobs_here):
    sweep = yaml.safe_load(path.read_text())
    for name, attack in sweep["attacks"].items():
        attack = {"config": attack} if isinstance(attack, str) else attack
        attack["config"] = str(short_version(CONFIGS.parent / attack["config"], workplace / "faces"))
        sweep["attacks"][name] = attack
    for axis in sweep["grid"].values():
        axis["values"] = axis["values"][-2:-1]  # one strength, above zero
    sweep["fit"] = [f"fit_{Path(config).name}" for config in sweep["fit"]]  # the short versions, which are trained
    short = Path(f"sweep_{path.name}")
    short.write_text(yaml.safe_dump(sweep, sort_keys=False))
    main(["sweep", "--config", str(short)])
    assert len(jobs_here.done) == len(sweep["attacks"])
    found = json.loads((workplace / sweep["output"] / "sweep.json").read_text())
    assert [line["name"] for line in found["series"]] == list(sweep["attacks"])
    assert (workplace / sweep["output"] / "sweep.html").is_file()


@pytest.mark.parametrize("path", [*named("fit"), *named("invert"), *named("audit"), *named("sweep")])
def test_says_what_it_is_and_how_to_run_it(path):
    comment = [line for line in path.read_text().splitlines() if line.startswith("#")]
    kind = path.parent.name
    assert any(f"mi-lightning {kind} --config configs/{kind}/{path.name}" in line for line in comment)
