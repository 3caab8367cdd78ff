"""Every configuration that we ship parses, and runs a short version of itself on stand-in faces and voices.

The short versions are a copy of ``configs/`` in a folder of the tests: same names, same references between files, small
numbers. Configurations are looked up in the working folder first, so commands, audits and sweeps find these.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from mi_lightning.cli.main import main
from mi_lightning.cli.renamed import OLD_CONFIGS
from mi_lightning.cli.runner import CommandLine
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
    "batch_size": 7,
    "restarts": 2,
    "initial_candidates": 3,
    "num_coordinates": 4,
    "count": 20,
    "components": 5,
}

#: What a short version gives to parts that read something, by the last word of the class path.
STAND_INS = {
    "AttFaces": {"root": "faces", "test_per_person": 1},
    "FaceFolder": {"size": [HEIGHT, WIDTH], "crop": None, "test_per_person": 1},  # its root is MI_FACES
    "Olivetti": {"test_per_person": 2},
    "SyntheticVoices": {"voices": PEOPLE, "sentences": 2},
    "PublicFaces": {"weights": "generator.tar"},
    "FaceDecoder": {"weights": "generator.tar"},
    "SincNet": {"shift_seconds": 0.1, "hidden": [64, 32]},
    "MelSpeakerNet": {"shift_seconds": 0.1},
    "SlidingWindows": {"stride": 1600},
}

#: Corpora of speech, and the package that each of them needs.
SPEECH = {"voices": "espeakng_loader", "librispeech": "soundfile", "librispeech100": "soundfile", "timit": "soundfile"}

#: Experiments of the reproduction tables: configurations of ``mi-lightning invert``, by the name of the run.
EXPERIMENTS = {
    "_".join(Path(word).stem for word in words): words
    for words in ([word for word in shlex.split(new) if word != "--config"] for new in OLD_CONFIGS.values())
    if len(words) > 1
} | {
    "_".join(Path(word).stem for word in words): words
    for words in (
        ["target/yale_softmax.yaml", "attack/gradient_descent.yaml"],
        ["target/yale_softmax.yaml", "attack/mi_face.yaml"],
        ["target/yale_mlp.yaml", "attack/mi_face.yaml"],
        ["target/yale_cnn.yaml", "attack/smoothgrad.yaml"],
    )
}


#: The first experiment of each target: the judge sees the target's people and no attack, and takes its time.
JUDGED = {words[0]: name for name, words in reversed(EXPERIMENTS.items())}.values()


def files(*kinds: str) -> list[Any]:
    """Configurations of some kinds as test parameters; there must be some of each."""
    paths = {kind: sorted((CONFIGS / kind).glob("*.yaml")) for kind in kinds}
    if not all(paths.values()):
        raise FileNotFoundError(f"no configurations: {paths}")
    return [
        pytest.param(path, id=f"{kind}/{path.stem}" if len(kinds) > 1 else path.stem, marks=runs_here(path.stem))
        for kind in kinds
        for path in paths[kind]
    ]


def can_run(name: str) -> bool:
    """Whether the package of the extra speech that a corpus needs is installed."""
    package = SPEECH.get(name.split("_")[0])
    return package is None or find_spec(package) is not None


def runs_here(name: str) -> pytest.MarkDecorator:
    """Skip what cannot run."""
    return pytest.mark.skipif(not can_run(name), reason="a package of the extra speech is not installed")


def stand_in_faces(folder: Path, rng: np.random.Generator) -> None:
    """Write pictures of people, scikit-learn's cache of such, and a generator of faces."""
    for person in range(1, PEOPLE + 1):
        face = rng.integers(30, 220, (HEIGHT // 4, WIDTH // 4)).repeat(4, 0).repeat(4, 1)
        (folder / "faces" / f"s{person}").mkdir(parents=True)
        for image in range(1, IMAGES + 1):
            pixels = (face + rng.integers(-20, 21, face.shape)).astype(np.uint8)
            Image.fromarray(pixels).save(folder / "faces" / f"s{person}" / f"{image}.pgm")
            (folder / "people" / f"subject{person}").mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / "people" / f"subject{person}" / f"{image}.png")
    olivetti = rng.integers(30, 220, (OLIVETTI, 1, 16, 16)) + rng.integers(-20, 21, (OLIVETTI, 10, 16, 16))
    small = olivetti.astype(np.uint8).repeat(4, 2).repeat(4, 3)
    (folder / "scikit_learn_data").mkdir()
    joblib.dump(small.reshape(400, 4096), folder / "scikit_learn_data" / "olivetti_py3.pkz")
    with torch.random.fork_rng(devices=[]):
        torch.save({STATE_KEY: FaceGenerator(widths=(4, 3)).state_dict()}, folder / "generator.tar")


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
    """Put the short numbers and the stand-ins in, at any depth."""
    if isinstance(node, list):
        return [shorten(item) for item in node]
    if not isinstance(node, dict):
        return node
    short = {
        key: min(SHORT[key], value) if key in SHORT and isinstance(value, int) and value > 0 else shorten(value)
        for key, value in node.items()
    }
    if short.get("train_seconds"):
        short["train_seconds"] = 0.4
    if isinstance(part := short.get("class_path"), str) and part.rpartition(".")[2] in STAND_INS:
        short["init_args"] = short.get("init_args", {}) | STAND_INS[part.rpartition(".")[2]]
    return short


def write_short_versions(folder: Path) -> None:
    """Copy all configurations, shortened; of a grid one strength, above zero, is left."""
    for path in CONFIGS.rglob("*.yaml"):
        config = shorten(yaml.safe_load(path.read_text()))
        for axis in config.get("grid", {}).values():
            axis["values"] = axis["values"][-2:-1]
        if path.stem.startswith("olivetti") and path.parent.name == "target":
            config["model"]["labels"] = f"0-{PEOPLE - 1}"
        short = folder / path.relative_to(CONFIGS)
        short.parent.mkdir(exist_ok=True)
        short.write_text(yaml.safe_dump(config, sort_keys=False))


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the short versions, stand-in faces and voices, and a checkpoint of every classifier."""
    folder = tmp_path_factory.mktemp("configs")
    rng = np.random.default_rng(0)
    stand_in_faces(folder, rng)
    write_short_versions(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MI_FACES", str(folder / "people"))
        patch.setenv("SCIKIT_LEARN_DATA", str(folder / "scikit_learn_data"))
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        if find_spec("soundfile") is not None:
            stand_in_speech(folder, rng)
            patch.setenv("LIBRISPEECH", str(folder / "librispeech"))
            patch.setenv("TIMIT", str(folder / "timit"))
        for path in sorted((CONFIGS / "classifier").glob("*.yaml")):
            if can_run(path.stem):
                main(["fit", "--config", f"classifier/{path.name}", "--trainer.logger", "false"])
        yield folder


@pytest.fixture(scope="module")
def reader() -> CommandLine:
    """Completes configurations."""
    return CommandLine()


# ------------------------------------------------------------------------------------------------ data and classifiers


@pytest.mark.parametrize("path", files("data"))
def test_data(workplace, reader, path):
    config = reader.complete("invert", {"data": yaml.safe_load(path.read_text())}, check=True)
    assert config["data"]["class_path"].startswith("mi_lightning.data.")


@pytest.mark.parametrize("path", files("classifier"))
def test_fit(workplace, path):
    checkpoint = yaml.safe_load(path.read_text())["checkpoint"]
    assert checkpoint == f"checkpoints/{path.stem}.ckpt"
    assert (workplace / checkpoint).is_file()


@pytest.mark.parametrize("path", files("target"))
def test_target_is_what_the_attacker_may_touch(path):
    config = yaml.safe_load(path.read_text())
    assert config.keys() == {"evaluator_ckpt", "data", "model"}
    assert config["model"].keys() <= {"classifier_ckpt", "access", "defenses", "rows_at_once"}
    queries = path.stem.rpartition("_")[2] in ("queries", "noise", "rounding")
    assert config["model"].get("access", "white_box") == ("black_box" if queries else "white_box")
    for checkpoint in (config["evaluator_ckpt"], config["model"]["classifier_ckpt"]):
        assert (CONFIGS / "classifier" / f"{Path(checkpoint).stem}.yaml").is_file()


# ------------------------------------------------------------------------------------------------ attacks


def test_every_target_attack_and_prior_has_an_experiment():
    used = {word for words in EXPERIMENTS.values() for word in words}
    there = {f"{kind}/{path.name}" for kind in ("target", "attack", "prior") for path in (CONFIGS / kind).iterdir()}
    assert used == there


@pytest.mark.parametrize("name", [pytest.param(name, marks=runs_here(name)) for name in EXPERIMENTS])
def test_invert(workplace, name):
    flags = [part for word in EXPERIMENTS[name] for part in ("--config", word)]
    # two epochs teach a classifier next to nothing of these people: that is not what is tried here
    more = ["--unverified", "true"] if name in JUDGED else ["--evaluator_ckpt", "null", "--data", "null"]
    main(["invert", *flags, *more])
    results = json.loads((workplace / f"lightning_logs/invert/{name}/version_0/results.json").read_text())
    assert results["summary"]["labels"] == PEOPLE
    assert (results["summary"].get("evaluator_top1") is not None) == (name in JUDGED)
    windows = 31 if "sliding_3s" in name else 11 if "sliding" in name else 1
    assert results["summary"]["iterations_mean"] <= 3 * windows


# ------------------------------------------------------------------------------------------------ audits and sweeps


@pytest.mark.parametrize("path", files("logger"))
def test_a_logger_takes_the_place_of_the_one_that_a_run_has_anyway(reader, path):
    own = yaml.safe_load(path.read_text())["trainer"]["logger"]
    completed = reader.complete("invert", [*EXPERIMENTS["att_softmax_mi_face"], f"logger/{path.name}"])
    logger = completed["trainer"]["logger"]
    assert logger["class_path"] == own["class_path"]
    assert own["init_args"].items() <= logger["init_args"].items()
    # of the one that it replaces nothing is left, which would be handed on to the client of W&B
    assert ("default_hp_metric" in logger["init_args"]) == (path.stem == "tensorboard")


@pytest.mark.parametrize("name", ["csv", "tensorboard"])
def test_a_run_with_another_logger_is_whole(workplace, name):
    flags = [
        part for word in (*EXPERIMENTS["att_softmax_mi_face"], f"logger/{name}.yaml") for part in ("--config", word)
    ]
    main(["invert", *flags, "--evaluator_ckpt", "null", "--data", "null"])
    main(["verify", f"lightning_logs/invert/{name}/version_0"])
    listed = json.loads((workplace / f"lightning_logs/invert/{name}/version_0/manifest.json").read_text())["files"]
    assert {"results.json", "config.yaml", "hparams.yaml"} <= listed.keys()
    assert ("metrics.csv" in listed) == (name == "csv")


def runs_of(config: dict[str, Any]) -> list[list[str]]:
    """The configurations of each run of an audit or a sweep."""
    if "grid" in config:
        return [[attack["target"], attack["attack"]] for attack in config["attacks"].values()]
    crossed = [[target, attack] for target in config.get("targets", []) for attack in config.get("attacks", [])]
    return crossed + config.get("pairs", [])


@pytest.mark.parametrize("path", files("audit", "sweep"))
def test_what_is_named_exists_and_is_fitted(path):
    config = yaml.safe_load(path.read_text())
    fitted = {yaml.safe_load((CONFIGS / name).read_text())["checkpoint"] for name in config["classifiers"]}
    for run in runs_of(config):
        kinds = [Path(name).parent.name for name in run]
        assert kinds in (["target", "attack"], ["target", "attack", "prior"])
        assert all((CONFIGS / name).is_file() for name in run)
        target = yaml.safe_load((CONFIGS / run[0]).read_text())
        assert {target["model"]["classifier_ckpt"], target["evaluator_ckpt"]} <= fitted


@pytest.mark.parametrize("path", files("audit"))
def test_runs_of_an_audit_are_experiments(path):
    names = ["_".join(Path(name).stem for name in run) for run in runs_of(yaml.safe_load(path.read_text()))]
    assert len(set(names)) == len(names)
    assert set(names) <= EXPERIMENTS.keys()


def test_audit(workplace):
    main(["audit", "--config", "audit/att_softmax.yaml", "--unverified", "true"])
    output = workplace / yaml.safe_load((CONFIGS / "audit/att_softmax.yaml").read_text())["output"]
    assert (output / "report.html").is_file()
    runs = sorted(path.parent.parent.name for path in output.glob("*/version_0/results.json"))
    assert runs == ["att_softmax_gradient_descent", "att_softmax_mi_face"]
    controls = sorted(path.parent.parent.name for path in output.glob("controls/*/version_0/results.json"))
    assert controls == [f"{run}_untrained" for run in runs]
    assert [run["name"] for run in json.loads((output / "audit.json").read_text())["runs"]] == runs


@pytest.mark.parametrize("path", files("sweep"))
def test_sweep(workplace, path, jobs_here):
    sweep = yaml.safe_load(path.read_text())
    main(["sweep", "--config", f"sweep/{path.name}", "--unverified"])  # short trainings know next to nothing
    assert len(jobs_here.done) == len(sweep["attacks"])
    found = json.loads((workplace / sweep["output"] / "sweep.json").read_text())
    assert [line["name"] for line in found["series"]] == list(sweep["attacks"])
    assert (workplace / sweep["output"] / "sweep.html").is_file()


# ----------------------------------------------------------------------------------------- what is written in them

COMMANDS = {"classifier": "fit"} | dict.fromkeys(("target", "attack", "prior", "logger"), "invert")


@pytest.mark.parametrize("path", files("classifier", "target", "attack", "prior", "logger", "audit", "sweep"))
def test_says_what_it_is_and_how_to_run_it(path):
    lines = path.read_text().splitlines()
    comment = " ".join(line.lstrip("# ").rstrip("\\ ") for line in lines if line.startswith("#"))
    kind = path.parent.name
    command = comment[comment.index(f"mi-lightning {COMMANDS.get(kind, kind)} ") :]
    assert f"--config {kind}/{path.name}" in command
    words = shlex.split(command.partition("  (")[0])
    named = [after for word, after in pairwise(words) if word == "--config"]
    assert all((CONFIGS / name).is_file() for name in named)
    if kind in ("target", "attack", "prior"):
        assert "_".join(Path(name).stem for name in named) in EXPERIMENTS
    assert max(map(len, lines)) <= 120
