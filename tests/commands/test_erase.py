"""Erasing a person: afterwards no file of the folder knows the person, and the others are as they were."""

from __future__ import annotations

import html
import io
import json
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml

from mi_lightning.cli.main import main
from mi_lightning.errors import InputError, MIError
from mi_lightning.report import read_results, write_results
from mi_lightning.report.erasure import JOURNAL, Erasure, plan_erasure
from mi_lightning.report.manifest import read_manifest, write_manifest
from mi_lightning.report.pictures import data_uri, to_pixels
from tests.report.conftest import ATTACK, TARGET, make_result
from tests.study import change, write

GONE = "s2"


@pytest.fixture(scope="module")
def finished(trained_study, tmp_path_factory):
    """The folder of an audit with a control, and of a study of it, as the command line left it."""
    folder = tmp_path_factory.mktemp("erase")
    shutil.copytree(trained_study, folder, dirs_exist_ok=True)
    content = {"title": f"An audit of {GONE} and others", "output": "out", "targets": ["target/soft.yaml"]}
    content |= {"classifiers": ["classifier/victim.yaml"], "attacks": ["attack/steps.yaml"]}
    write(folder / "audit.yaml", content)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        change("attack/steps.yaml", model__labels=["s1", "s2", "s3", "s4"], model__report_every=1)
        main(["audit", "--config", "audit.yaml", "--controls", "[untrained]"])
        main(["study", "out/soft_steps/version_0", "--line_up", "2", "--output", "out/study.html"])
    (folder / "out/notes.txt").write_text(f"{GONE} was seen; s20 was not\n")
    write_manifest(folder / "out")
    return folder / "out"


@pytest.fixture
def out(finished, tmp_path):
    """A copy of it."""
    shutil.copytree(finished, tmp_path / "out")
    return tmp_path / "out"


def command(capsys, *arguments):
    """Exit status, output and errors of a command."""
    capsys.readouterr()
    status = 0
    try:
        main([str(argument) for argument in arguments])
    except SystemExit as stop:
        status = int(stop.code or 0)
    out, err = capsys.readouterr()
    return status, out, err


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, those within archives, too."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            found[name] = path.read_bytes()
            if path.suffix == ".npz":
                with zipfile.ZipFile(io.BytesIO(found[name])) as archive:
                    found |= {f"{name}/{inner}": archive.read(inner) for inner in archive.namelist()}
    return found


def traces(run: Path) -> list[bytes]:
    """What the files of a run hold of the person: the bytes of arrays, and pictures as pages hold them."""
    results = read_results(run)
    row = next(place for place, row in enumerate(results.data["per_label"]) if row["name"] == GONE)
    arrays = results.arrays
    found = [arrays[name][row].tobytes() for name in ("reconstruction", "candidate", "reference_mean")]
    pixels = to_pixels(results.reconstructions[results.best_index.index(row)][None], (0.0, 1.0))[0]
    return [*found, data_uri(pixels).encode(), data_uri(arrays["reference_mean"][row]).encode()]


def holding(folder: Path, wanted: list[bytes]) -> set[str]:
    """Files that hold any of these bytes."""
    return {name for name, content in contents(folder).items() if any(trace in content for trace in wanted)}


def naming(folder: Path) -> set[str]:
    """Files that name the person, pictures and archives aside, whose bytes may be anything."""
    said = {name: re.sub(rb"base64,[\w+/=]*", b"", content) for name, content in contents(folder).items()}
    return {
        name for name, content in said.items() if ".npz" not in name and re.search(rb"\b%s\b" % GONE.encode(), content)
    }


def test_no_file_knows_the_person_any_more(out, capsys):
    run, control = out / "soft_steps/version_0", out / "controls/soft_steps_untrained/version_0"
    wanted = [*traces(run), *traces(control)]
    before = holding(out, wanted)
    assert {"report.html", "soft_steps/version_0/reconstructions.npz/reconstruction.npy"} <= before
    assert any("controls/" in name for name in before)
    assert {"report.html", "audit.json", "soft_steps/version_0/results.json", "notes.txt"} <= naming(out)
    others = {row["name"]: row for row in read_results(run).data["per_label"] if row["name"] != GONE}
    summary = read_results(run).summary
    figures = json.loads((out / "audit.json").read_text())["runs"]

    status, told, _ = command(capsys, "erase", GONE, out, "--yes")
    assert status == 0
    assert f"erased: {GONE}" in told
    assert "still knows the person" in told
    assert "untrained.ckpt" in told
    assert holding(out, wanted) == set()
    assert {name for name in naming(out) if not name.endswith(".ckpt")} == set()
    assert not list(out.rglob("*tfevents*"))  # they hold a picture of everybody
    assert not list(out.rglob("reconstructions.png"))
    assert not (out / "study.html").exists()
    assert (out / "notes.txt").read_text() == "erased was seen; s20 was not\n"

    after = read_results(run)
    assert {row["name"]: row for row in after.data["per_label"]} == {
        name: row | {"evaluator_guess": row["evaluator_guess"]} for name, row in others.items()
    }
    assert after.summary == summary  # as it was measured
    assert json.loads((out / "audit.json").read_text())["runs"] == figures
    assert after.data["erased"]["people"] == 1
    assert after.data["erased"]["of"] == 4
    assert len(after.arrays["reconstruction"]) == 3
    assert "1 person was erased" in (out / "report.html").read_text()
    assert any("erased" in note for note in read_manifest(out)["notes"])
    assert any("erased" in note for note in read_manifest(run)["notes"])


def test_verify_understands_it_and_still_finds_a_change(out, capsys):
    command(capsys, "erase", GONE, out, "--yes")
    status, told, err = command(capsys, "verify", out)
    assert (status, err) == (0, "")
    assert "people were erased from these files on" in told
    assert "before that" not in told
    assert "1 of 4 people were erased from this run" in told
    assert "cannot be computed anew" in told
    page = out / "report.html"
    page.write_text(page.read_text() + " ")
    assert "changed: report.html" in command(capsys, "verify", out)[2]


def test_a_change_from_before_is_not_hidden(out, capsys):
    config = out / "soft_steps/version_0/config.yaml"
    config.write_text(config.read_text() + "# later\n")
    command(capsys, "erase", GONE, out, "--yes")
    told = command(capsys, "verify", out)[1]
    assert "before that: changed: soft_steps/version_0/config.yaml is not what" in told


def test_without_yes_nothing_is_done(out, capsys):
    before = contents(out)
    status, told, err = command(capsys, "erase", GONE, out)
    assert status == 2
    assert "expected --yes, since this cannot be undone" in err
    assert "would be deleted" in told
    assert command(capsys, "erase", GONE, out, "--dry-run")[0] == 0
    assert contents(out) == before


@pytest.mark.parametrize("stopped_after", [0, 1, 4, 9])
def test_what_was_stopped_is_finished_by_the_same_command(out, capsys, stopped_after):
    wanted = [*traces(out / "soft_steps/version_0"), *traces(out / "controls/soft_steps_untrained/version_0")]
    plan = plan_erasure(out, [GONE])
    stopping = Erasure(plan.folder, plan.people, [*plan.steps[:stopped_after], Stop(out / "report.html")])
    with pytest.raises(KeyboardInterrupt):
        stopping.do()
    assert (out / JOURNAL).is_file()
    assert command(capsys, "erase", GONE, out, "--yes")[0] == 0
    assert not (out / JOURNAL).exists()
    assert holding(out, wanted) == set()
    assert read_results(out / "soft_steps/version_0").data["erased"]["people"] == 1
    assert command(capsys, "verify", out)[0] == 0


class Stop:
    """A step at which Ctrl-C is pressed."""

    def __init__(self, path):
        self.path = path

    @property
    def make(self):
        raise KeyboardInterrupt


def test_several_and_by_index(out, capsys):
    assert command(capsys, "erase", "index:0, s3", out, "--yes")[0] == 0
    run = read_results(out / "soft_steps/version_0")
    assert [row["name"] for row in run.data["per_label"]] == ["s2", "s4"]
    assert command(capsys, "erase", "s2", out, "--yes")[0] == 0
    assert read_results(out / "soft_steps/version_0").data["erased"] | {"when": ""} == {
        "people": 3,
        "of": 4,
        "when": "",
    }
    assert command(capsys, "verify", out)[0] == 0


def test_a_sweep_that_is_run_again_does_not_attack_the_person_again(study, jobs_here, capsys):
    attacks = {"steps": {"target": "target/soft.yaml", "attack": "attack/steps.yaml"}}
    write(study / "sweep.yaml", {"attacks": attacks, "grid": {"model.max_iterations": [3]}, "output": "swept"})
    assert command(capsys, "sweep", "--config", "sweep.yaml")[0] == 0
    assert len(jobs_here.done) == 1
    assert command(capsys, "erase", GONE, "swept", "--yes")[0] == 0
    assert naming(study / "swept") == set()
    assert command(capsys, "sweep", "--config", "sweep.yaml")[0] == 0
    assert len(jobs_here.done) == 1
    assert naming(study / "swept") == set()


@pytest.mark.parametrize("name", ["Zoë B.", 'Jo "J" O\'Neil', "Müller & Söhne"])
def test_names_as_files_spell_them(alone, name):
    path = alone / "results.json"
    data = json.loads(path.read_text())
    for row in data["per_label"]:
        row["name"] = name if row["name"] == GONE else row["name"]
    path.write_text(json.dumps(data))
    (alone / "config.yaml").write_text(yaml.safe_dump({"labels": [name, "s1"]}))
    (alone / "notes.json").write_text(json.dumps([f"of {name} and s1"]))
    (alone / "notes.md").write_text(html.escape(f"of {name} and s1"))
    plan_erasure(alone, [name]).do()
    assert yaml.safe_load((alone / "config.yaml").read_text())["labels"][1] == "s1"
    assert json.loads((alone / "notes.json").read_text())[0].startswith("of erased")
    for file in ("config.yaml", "notes.json", "notes.md", "results.json"):
        text = (alone / file).read_text()
        assert "s1" in text
        assert not re.search("Zo|B\\.|Neil|ller|hne", text.replace("WhiteBox", "")), text[:300]


@pytest.fixture
def alone(finished, tmp_path):
    """A copy of one run, which is no part of an audit."""
    return shutil.copytree(finished / "soft_steps/version_0", tmp_path / "alone")


def test_a_name_with_a_comma_in_it_is_one_person(alone):
    path = alone / "results.json"
    path.write_text(path.read_text().replace('"s2"', '"Doe, Ann"'))
    assert list(plan_erasure(alone, ["Doe, Ann"]).people) == ["Doe, Ann"]
    assert list(plan_erasure(alone, ["name:Doe, Ann"]).people) == ["Doe, Ann"]
    with pytest.raises(InputError, match="got Doe "):
        plan_erasure(alone, ["Doe, s1"])


@pytest.mark.parametrize("logger", ["WandbLogger", "MLFlowLogger", "pytorch.loggers.CometLogger"])
def test_stores_of_loggers_are_named(alone, capsys, logger):
    (alone / "config.yaml").write_text(f"trainer:\n  logger:\n  - class_path: lightning.pytorch.loggers.{logger}\n")
    status, told, _ = command(capsys, "erase", "s2", alone, "--dry-run")
    told = " ".join(told.split())
    assert status == 0
    assert f"Not reached: what {logger.rpartition('.')[2]} keeps of its own" in told
    assert f"Delete there: {alone.name}" in told
    (alone / "config.yaml").write_text("class_path: lightning.pytorch.loggers.TensorBoardLogger\n")
    told = " ".join(command(capsys, "erase", "s2", alone, "--dry-run")[1].split())
    assert "Not reached" not in told
    assert "mi_lightning" in told.partition("decoded photographs and recordings of the data (cache_dir, or")[2]


@pytest.mark.parametrize(
    ("person", "where", "words"),
    [
        ("nobody", "out", r"one of the 4 people of this folder, by name or index, got nobody \(person\)"),
        ("9", "out", "by name or index, got 9"),
        ("name:0", "out", "got name:0"),
        ("s1,s2,s3,s4", "out", "somebody left in .*got everybody"),
        ("s1", "out/soft_steps/version_0", "the whole folder .*, whose pages show the same people"),
    ],
)
def test_who_cannot_be_erased(out, person, where, words):
    before = contents(out)
    with pytest.raises(InputError, match=words):
        plan_erasure(out.parent / where, person.split(","))
    assert contents(out) == before


def test_a_number_that_is_a_name_and_an_index_is_asked_about(out):
    for path in out.rglob("results.json"):
        path.write_text(path.read_text().replace('"name": "s1"', '"name": "3"'))
    with pytest.raises(InputError, match="3, which could be 3, s4; name:3 and index:3 say which is meant"):
        plan_erasure(out, ["3"])
    assert plan_erasure(out, ["name:3"]).people == {"3": [0]}
    assert plan_erasure(out, ["index:3"]).people == {"s4": [3]}


def test_a_folder_without_runs(tmp_path):
    with pytest.raises(MIError, match="no run in"):
        plan_erasure(tmp_path, ["s1"])


def test_the_snapshots_of_the_person_are_gone(out, capsys):
    with np.load(out / "soft_steps/version_0/reconstructions.npz") as arrays:
        before = arrays["timeline"]
    command(capsys, "erase", GONE, out, "--yes")
    with np.load(out / "soft_steps/version_0/reconstructions.npz") as arrays:
        assert (arrays["timeline"] == before[:, [0, 2, 3]]).all()
        assert (arrays["label"] == [0, 2, 3]).all()


def test_voices(capsys, run_of_voices):
    files = sorted(path.name for path in (run_of_voices / "audio").iterdir())
    assert any("_ann" in name for name in files)
    assert command(capsys, "erase", "ann", run_of_voices, "--yes")[0] == 0
    left = sorted(path.name for path in (run_of_voices / "audio").iterdir())
    assert left == [name for name in files if "_ann" not in name]
    assert left
    assert not (run_of_voices / "spectrograms.png").exists()


@pytest.fixture
def run_of_voices(tmp_path):
    """A run on voices."""
    folder = tmp_path / "voices"
    write_results(folder, make_result((1, 3200)), None, target=TARGET, attack=ATTACK, input_range=(-1.0, 1.0))
    return folder
