"""The benchmarks run, and what they race does the same work."""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
import torch

from mi_lightning.attacks.result import InversionResult
from mi_lightning.classifiers import StackedDAE
from mi_lightning.classifiers.loading import save_classifier
from mi_lightning.data import AttFaces
from mi_lightning.data.eyes import cut_face, eye_places
from mi_lightning.errors import InputError
from mi_lightning.judging.make import judge
from mi_lightning.lightning.callbacks import ProcessDAE
from mi_lightning.recognisers import Embeddings, Recogniser
from mi_lightning.report import write_results
from tests.report.conftest import ATTACK, TARGET
from tests.study import write, write_faces

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


def script(name: str) -> ModuleType:
    """Import a benchmark."""
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def race() -> ModuleType:
    return script("race_white_box")


@pytest.fixture
def lightning_log_level():
    """Put the level of Lightning's log back, which a race lowers."""
    logger = logging.getLogger("lightning.pytorch")
    before = logger.level
    yield
    logger.setLevel(before)


@pytest.mark.parametrize("clamp", [False, True])
@pytest.mark.parametrize(
    ("alpha", "beta", "gamma", "rate"),
    [(30, 100, None, 0.5), (200, 3, 0.2, 0.5), (60, 2, None, 40.0), (40, None, 0.3, 0.5)],
)
def test_bare_loop_and_invert_do_the_same(race, tiny_softmax, alpha, beta, gamma, rate, clamp):
    parameters = race.Parameters(alpha, beta, gamma, rate, report_every=7, clamp=clamp)
    bare = torch.nn.Sequential(torch.nn.Flatten(), tiny_softmax.head)
    images, iterations = race.bare_loop(bare, tiny_softmax.input_shape, tiny_softmax.num_classes, parameters)
    found, taken = race.project(tiny_softmax, parameters, None)
    assert iterations == taken
    torch.testing.assert_close(images, found, rtol=0, atol=1e-5)
    assert images.abs().max() > 0  # something moved


def test_race_prints_a_table_and_appends_it(race, tiny_softmax, tmp_path, monkeypatch, capsys, lightning_log_level):
    save_classifier(tiny_softmax, tmp_path / "tiny.ckpt")
    results = tmp_path / "RESULTS.md"
    results.write_text("# Results\n", encoding="utf-8")
    monkeypatch.setattr(sys.modules["common"], "RESULTS", results)
    flags = "--skip-art --alpha 20 --beta 5 --iterations 5 --repeats 1 --threads 1 --write --checkpoint"
    monkeypatch.setattr(sys, "argv", ["race_white_box.py", *flags.split(), str(tmp_path / "tiny.ckpt")])
    race.main()
    assert "invert / bare loop" in capsys.readouterr().out
    written = results.read_text(encoding="utf-8")
    assert written.count("| bare PyTorch loop |") == 2
    assert "largest difference, to the end" in written


def test_race_says_how_to_get_the_toolbox(race, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["race_white_box.py"])
    with pytest.raises(SystemExit, match="pip install adversarial-robustness-toolbox"):
        race.main()


def test_race_refuses_another_class(race, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["common"], "load_classifier", lambda path: torch.nn.Identity())
    (tmp_path / "other.ckpt").touch()
    with pytest.raises(SystemExit, match=r"expected a checkpoint of SoftmaxRegression, got Identity: .*other\.ckpt"):
        race.trained_softmax(tmp_path / "other.ckpt")


def test_process_dae_is_timed(tmp_path, monkeypatch, capsys, lightning_log_level):
    """Only the runs that say so project, as often as they say."""
    benchmark = script("process_dae")
    classifier = StackedDAE(input_shape=(1, 28, 24), num_classes=3, hidden=(8, 5)).eval()
    projections = []
    project = ProcessDAE.apply
    monkeypatch.setattr(ProcessDAE, "apply", lambda self, *args: projections.append(self.every) or project(self, *args))
    benchmark.compare(classifier, every=2, projections=3, repeats=2)
    assert projections == [2] * 6
    save_classifier(classifier, tmp_path / "tiny.ckpt")
    monkeypatch.setattr(sys, "argv", ["process_dae.py", "--repeats", "1", "--checkpoint", str(tmp_path / "tiny.ckpt")])
    benchmark.main()
    shown = capsys.readouterr().out
    assert "every 512" in shown
    assert "every 1: ms a row" in shown


# ------------------------------------------------------------------------------------------------ Yale faces


@pytest.fixture(scope="module")
def yale() -> ModuleType:
    return script("yale")


def picture_of(seed: int, shape: tuple[int, int] = (243, 320)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 200, shape, dtype=np.uint8)


@pytest.mark.parametrize("eyes", [[(150, 110), (206, 110)], [(150, 110), (205, 125)], [(60, 50), (100, 30)]])
def test_the_eyes_come_to_their_place(eyes):
    """Two bright spots where the eyes are end where AT&T's are."""
    y, x = np.mgrid[:243, :320]
    for eye in (0, 1):
        spot = 255 * np.exp(-((x - eyes[eye][0]) ** 2 + (y - eyes[eye][1]) ** 2) / (2 * 3.0**2))
        face = cut_face(spot.astype(np.uint8), np.array(eyes, dtype=np.float64), (112, 92)).astype(np.float64)
        assert face.shape == (112, 92)
        rows, columns = np.mgrid[:112, :92]
        place = (columns * face).sum() / face.sum(), (rows * face).sum() / face.sum()
        assert place == pytest.approx(eye_places((112, 92))[eye], abs=0.3)


def test_one_of_two_equal_photographs_is_left_out(yale):
    photographs = {name: picture_of(seed) for seed, name in enumerate("abcdefghij")}
    with_pair = photographs | {"normal": photographs["c"]}
    assert list(yale.chosen(with_pair)) == list("abcdefghij")
    assert list(yale.chosen(photographs | {"noglasses": picture_of(99)})) == list("abcdefghij")
    with pytest.raises(InputError, match="expected 10 different photographs of a person, got 11"):
        yale.chosen(photographs | {"k": picture_of(98)})
    with pytest.raises(InputError, match="expected 10 different photographs of a person, got 9"):
        yale.chosen({name: picture_of(seed % 9) for seed, name in enumerate("abcdefghij")})


def yale_folder(folder: Path) -> Path:
    for person in range(2):
        (folder / f"subject{person}").mkdir(parents=True)
        for place in range(10):
            cv2.imwrite(str(folder / f"subject{person}" / f"{place}.png"), picture_of(10 * person + place))
    return folder


def test_the_folder_is_one_that_is_read(yale, tmp_path):
    source, found = yale_folder(tmp_path / "source"), np.array([(150.0, 110.0), (206.0, 112.0)])
    calls = iter([None] * 4 + [found] * 16)  # of some no face is found: they are cut like the person's others
    album = yale.prepare(source, tmp_path / "faces", lambda picture: next(calls))
    data = AttFaces(str(tmp_path / "faces"), test_per_person=3)
    data.setup("fit")
    assert (data.input_shape, data.class_names) == ((1, 112, 92), ("s1", "s2"))
    assert (len(data.train_x), len(data.test_x)) == (14, 6)
    np.testing.assert_array_equal(album[0][0], cut_face(picture_of(0), found, (112, 92)))
    with pytest.raises(InputError, match="expected a face in most photographs of a person, got 0 in"):
        yale.prepare(source, tmp_path / "none", lambda picture: None)


# ------------------------------------------------------------------------------------------------ judged anew


@pytest.fixture(scope="module")
def rejudge() -> ModuleType:
    return script("rejudge")


@pytest.fixture
def splits(tmp_path) -> Path:
    """Runs of two splits: one gives everybody's mean photograph, one that of somebody else."""
    write_faces(tmp_path / "faces")
    arguments = {"root": str(tmp_path / "faces"), "split": "random", "test_per_person": 2}
    write(tmp_path / "faces.yaml", {"class_path": "mi_lightning.data.AttFaces", "init_args": arguments})
    for split in (2, 3):
        data = AttFaces(split_seed=split, **arguments)
        data.setup("fit")
        means = torch.stack([data.train_x[data.train_y == person].mean(0) for person in range(4)])
        for name, images in (("att_soft_mi_face", means), ("att_soft_best", means.roll(1, 0))):
            result = result_of(images, data.class_names)
            write_results(
                tmp_path / f"runs/split_{split}/{name}", result, judge(result, data), target=TARGET, attack=ATTACK
            )
    return tmp_path


def result_of(images: torch.Tensor, names: tuple[str, ...]) -> InversionResult:
    people = len(images)
    return InversionResult(
        label=torch.arange(people),
        name=names,
        restart=torch.zeros(people, dtype=torch.int64),
        candidate=images,
        reconstruction=images,
        cost=torch.zeros(people),
        confidence=torch.tensor([0.95, 0.95, 0.5, 0.5]),
        iterations=torch.ones(people, dtype=torch.int64),
        stop_reason=("max_iterations",) * people,
        queries=torch.ones(people, dtype=torch.int64),
        seconds=torch.zeros(people, dtype=torch.float64),
    )


class Pixels(Recogniser):
    """Compares pixels, and writes down how many samples it was given, call by call."""

    def __init__(self, given: list[int]) -> None:
        super().__init__()
        self.given = given

    def embed_new(self, samples, *, value_range, sample_rate):
        self.given.append(len(samples))
        return Embeddings(torch.stack(samples).flatten(1), torch.ones(len(samples), dtype=torch.bool))

    def describe(self):
        return {"class": "Pixels", "embedding_size": 48}

    def check(self):
        pass


@pytest.fixture
def pixels(rejudge, monkeypatch) -> list[int]:
    given: list[int] = []
    monkeypatch.setattr(rejudge, "default_recogniser", lambda kind: Pixels(given))
    return given


def judged_by(rejudge: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable:
    def run(folder: Path, *flags: str) -> str:
        where = [str(folder / "runs"), "--data", str(folder / "faces.yaml"), *flags]
        monkeypatch.setattr(sys, "argv", ["rejudge.py", *where])
        rejudge.main()
        return capsys.readouterr().out

    return run


def test_runs_are_judged_anew(rejudge, splits, pixels, monkeypatch, capsys):
    out = judged_by(rejudge, monkeypatch, capsys)(splits, "--splits", "2", "3", "9")
    head, _, letter, other = (line.split(" | ") for line in out.splitlines()[:4])
    assert head[2:6] == ["recognised", "ceiling", "chance", "accepted at 1%"]
    assert letter[0].strip("| ") == "`att_soft_mi_face`"
    assert letter[1] == other[1] == "2, 3"
    assert letter[2].startswith("**100.0%** (")
    assert other[2].startswith("**0.0%** (0% to ")
    assert letter[3:5] == other[3:5] == ["100.0%", "25.0%"]
    assert head[6:9] == ["fools the model only", "attack failed", "inside top-1"]
    assert (letter[6], other[6]) == ("0.0%", "50.0%")  # of four who are not recognised the target is sure of two
    assert letter[10].strip("| ") == "the letter"
    assert other[10].startswith("-100.0 points, p = 0.12")  # four people differ, all one way round
    assert "Pixels: 0.0% of the real test samples are named wrong" in out


def test_what_was_embedded_is_kept(rejudge, splits, pixels, monkeypatch, capsys):
    run = judged_by(rejudge, monkeypatch, capsys)
    memory = ["--splits", "2", "--memory", str(splits / "memory.npz")]
    first = run(splits, *memory)
    assert pixels
    pixels.clear()
    assert run(splits, *memory) == first
    assert pixels == []


def test_no_runs_are_told(rejudge, splits, monkeypatch, capsys):
    with pytest.raises(SystemExit, match=r"no runs of splits \[7\] in"):
        judged_by(rejudge, monkeypatch, capsys)(splits, "--splits", "7")


def test_runs_on_other_people_are_refused(rejudge, splits, pixels, monkeypatch, capsys):
    results = next(splits.glob("runs/split_2/*/results.json"))
    results.write_text(results.read_text(encoding="utf-8").replace('"s2"', '"ann"'), encoding="utf-8")
    with pytest.raises(InputError, match="expected a run on the people of the data"):
        judged_by(rejudge, monkeypatch, capsys)(splits, "--splits", "2")


def test_five_splits_are_as_many_people_as_one():
    """The interval is that of people, each with all splits; what was not judged is no zero."""
    five = script("five_splits")
    people = [{"best": [{"recognised": float(k < 10), "verdict": "recognised"} for k in range(40)]}] * 5
    assert five.by_person(people, "recognised").startswith("25.0% (12% to ")
    assert five.by_person(people, "fools_model_only").startswith("0.0% (0% to 9%)")
    assert five.by_person(people, "detected") == "–"


def test_big_model_attacks_judges_and_says_what_it_took(monkeypatch, tmp_path, capsys):
    big = script("big_model")
    assert sum(p.numel() for p in big.resnet18(1000).parameters()) == 11_689_512  # as torchvision's has
    arguments = ["--people", "3", "--side", "32", "--width", "4", "--iterations", "1", "--gigabytes", "0"]
    monkeypatch.setattr(sys, "argv", ["big_model.py", *arguments, "--folder", str(tmp_path)])
    big.main()
    said = capsys.readouterr().out
    assert "3 rows x 1 iterations: about 1 s, at most 6 queries" in said
    assert "3 people in results.json" in said
    assert [file.name for file in (tmp_path / "resnet18" / "version_0").glob("*.json")] == ["results.json"]
