"""Sweeps on stand-in faces: order, resuming, failing runs, files, and one line for each thing that is wrong."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from mi_lightning.cli.main import main
from mi_lightning.cli.runner import CommandLine
from mi_lightning.commands.sweep.command import sweep
from mi_lightning.commands.sweep.grid import read_axes
from mi_lightning.commands.sweep.plan import plan
from mi_lightning.commands.sweep.settings import Settings
from mi_lightning.errors import InputError, MIError
from mi_lightning.io import alone
from tests.study import write

ROOT = Path(__file__).parents[2]
ROUNDING = {"class_path": "mi_lightning.targets.defenses.Rounding", "init_args": {"r": "$r"}}
PAIR = {"target": "target/soft.yaml", "attack": "attack/steps.yaml"}
NAIVE = {"naive": PAIR}
ONE = {"model.max_iterations": [20]}
STRENGTHS = {"r": {"title": "step", "values": ["none", 0.02, 0.9], "set": {"model.defenses": [ROUNDING]}}}


@pytest.fixture(autouse=True)
def _runs_happen_in_this_process(jobs_here):
    """As tests with processes would take minutes."""


THROUGH = PAIR | {"set": {"model.defenses.0.init_args.gradient": "straight_through"}}
ATTACKS = {"naive": PAIR, "adaptive": THROUGH}


def start(**changes):
    arguments = {"attacks": Settings(ATTACKS), "grid": Settings(STRENGTHS), "output": "out", "title": "A small sweep"}
    sweep(CommandLine(), **(arguments | changes))


def finished(folder: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("out/runs/*/run.json")}


# ------------------------------------------------------------------------------------------------ what works


def test_a_sweep_and_its_files(study, capsys, jobs_here):
    start(
        classifiers=["classifier/victim.yaml", "classifier/evaluator.yaml"], broken_below=0.3
    )  # one of four people is named by chance
    out = capsys.readouterr().out
    assert out.count("reusing checkpoints/") == 2
    assert len(finished(study)) == 6
    cells = plan(ATTACKS, read_axes(STRENGTHS), [0], CommandLine())
    assert [name.rpartition("_")[0] for name in jobs_here.done] == [cell.folder.rpartition("_")[0] for cell in cells]

    rows = list(csv.DictReader((study / "out/sweep.csv").read_text().splitlines()))
    assert {(row["attack"], row["r"], row["seed"]) for row in rows} == {
        (attack, r, "0") for attack in ATTACKS for r in ("none", "0.02", "0.9")
    }
    assert len(rows) == 6
    data = json.loads((study / "out/sweep.json").read_text())
    assert data["schema_version"] == 2
    assert (data["missing"], data["failed"]) == (0, {})
    naive, adaptive = data["series"]
    # the true gradient of a step is zero, so the naive attack stays at its start
    share = {line["name"]: [p["identification_top1"]["value"] for p in line["points"]] for line in (naive, adaptive)}
    assert share["naive"][0] == share["adaptive"][0] == 1
    assert share["naive"][1] <= 0.25
    assert share["adaptive"][1] == 1
    for line in (naive, adaptive):
        assert [point["seeds"] for point in line["points"]] == [1, 1, 1]
        for point in line["points"]:
            for name in ("accuracy", "calibration_error", "evaluator_top1", "identification_top1", "ssim", "cost"):
                estimate = point[name]
                assert estimate["low"] <= estimate["high"], name
                assert name == "calibration_error" or estimate["low"] <= estimate["value"] <= estimate["high"], name
            assert point["queries"] == 21
    assert naive["points"][0]["accuracy_cost"] == {"value": 0, "low": 0, "high": 0}

    # which is no protection
    assert (naive["breakdown"]["label"], naive["breakdown"]["failed_at"]) == (None, "0.02")
    assert [point["attack_failed"] for point in naive["points"]] == [{"count": n, "of": 4} for n in (0, 4, 4)]
    assert adaptive["breakdown"]["label"] is None

    page = (study / "out/sweep.html").read_text()
    there = "by “adaptive” 100% are still identified by the inside evaluator there."
    assert f"Judged by “naive” alone, step 0.02 seems to protect; {there}" in page
    assert "not blocked" in page
    assert "step 0.02 the attack itself failed for 4 of 4 reconstructions, which says nothing about the defense" in page
    assert "The headline is missing" in page  # stand-ins are no faces that a recogniser knows
    assert not re.search(r"""(src|href)=["']https?://""", page)  # self-contained
    assert "A small sweep" in page
    assert "data:image/svg+xml;base64," in page
    assert page.count("data:image/jpeg;base64,") == 4 * 3 * 2  # people, strengths, attacks
    assert page.count('scope="row"><img') == 4  # their photographs
    heads = re.findall(r'<th scope="colgroup" colspan="2" class="starts">(.*?)</th>', page)
    assert heads == ["none", "0.02", "0.9"]
    for words in (
        "Where it breaks",
        "95% interval",
        "Expected calibration error",
        "Responsible use",
        "naive",
        "adaptive",
    ):
        assert words in page
    assert (study / "out/curves.svg").read_text().startswith("<?xml")
    # a run can be repeated as the report says
    results = json.loads((study / "out" / data["runs"][0]["folder"] / "results.json").read_text())
    assert results["run"]["command"] == f"mi-lightning invert --config out/{data['runs'][0]['folder']}/config.yaml"


def test_the_order_is_seeded_and_has_each_point_in_one_piece(study):
    cells = plan(ATTACKS, read_axes(STRENGTHS), [1, 0], CommandLine())
    assert [cell.seed for cell in cells] == [1] * 6 + [0] * 6
    assert [cell.attack for cell in cells] == ["naive", "adaptive"] * 6
    words = [cell.labels["r"] for cell in cells]
    assert words[::2] == words[1::2]
    assert sorted(words[:6:2]) == sorted(words[6::2]) == ["0.02", "0.9", "none"]
    assert [cell.config["model"]["seed"] for cell in cells] == [cell.config["seed_everything"] for cell in cells]
    assert cells[0].config["model"]["seed"] == 1
    many = [cell.labels["r"] for cell in plan(ATTACKS, read_axes(STRENGTHS), list(range(8)), CommandLine())]
    assert many[:6] == words[6:]
    assert len({tuple(many[k : k + 6]) for k in range(0, 48, 6)}) > 1


def test_several_seeds_are_one_point(study):
    start(attacks=Settings({"naive": PAIR}), grid=Settings({"model.max_iterations": [20]}), seeds=[3, 4])
    (line,) = json.loads((study / "out/sweep.json").read_text())["series"]
    assert [point["seeds"] for point in line["points"]] == [2]
    assert "seed 3)" in (study / "out/sweep.html").read_text()


def test_a_stopped_sweep_goes_on_and_repeats_nothing(study, capsys, jobs_here):
    jobs_here.stop_after = 2
    with pytest.raises(KeyboardInterrupt):
        start(attacks=Settings(NAIVE))
    assert "stopped after 2 of 3 runs" in capsys.readouterr().out
    before = finished(study)
    assert len(before) == 2
    assert json.loads((study / "out/sweep.json").read_text())["missing"] == 1
    assert "1 runs are still to be done" in (study / "out/sweep.html").read_text()

    jobs_here.stop_after = None
    jobs_here.done.clear()
    half, whole = sorted(before)  # a run that was killed half way has a folder and no mark
    (study / "out/runs" / half / "run.json").unlink()
    (study / "out/runs" / half / "rubbish").touch()
    start(attacks=Settings(NAIVE))
    assert "1 of 3 runs are finished already" in capsys.readouterr().out
    after = finished(study)
    assert len(after) == 3
    assert sorted(jobs_here.done) == sorted(set(after) - {whole})
    assert after[whole] == before[whole]
    assert not (study / "out/runs" / half / "rubbish").exists()
    jobs_here.done.clear()
    start(attacks=Settings(NAIVE))
    assert jobs_here.done == []
    assert finished(study) == after
    assert json.loads((study / "out/sweep.json").read_text())["missing"] == 0


def test_only_what_changed_is_run_again(study, jobs_here):
    start(attacks=Settings(NAIVE), grid=Settings({"model.max_iterations": [4, 5]}))
    jobs_here.done.clear()
    more = {"model.max_iterations": {"values": [4, 5, 6], "title": "another title"}}
    start(attacks=Settings({"renamed": PAIR}), grid=Settings(more))
    # neither names nor titles matter
    assert [name.rpartition("_")[0] for name in jobs_here.done] == ["renamed_model.max_iterations=6_seed=0"]
    jobs_here.done.clear()
    changed = {"naive": PAIR | {"set": {"model.beta": 100}}}
    start(attacks=Settings(changed), grid=Settings({"model.max_iterations": [4]}))
    assert len(jobs_here.done) == 1


def test_another_checkpoint_is_another_run(study, trained_study, jobs_here):
    start(attacks=Settings(NAIVE), grid=Settings(ONE))
    content = {path.name: path.read_bytes() for path in (trained_study / "checkpoints").iterdir()}
    shutil.rmtree(study / "checkpoints")
    (study / "checkpoints").mkdir()
    (study / "checkpoints/victim.ckpt").write_bytes(content["evaluator.ckpt"])  # the two change places
    (study / "checkpoints/evaluator.ckpt").write_bytes(content["victim.ckpt"])
    start(attacks=Settings(NAIVE), grid=Settings(ONE))
    assert len(set(jobs_here.done)) == 2


@pytest.mark.parametrize("is_faint", [True, False])
def test_faint_pictures_can_be_stretched(study, monkeypatch, is_faint):
    monkeypatch.setattr("mi_lightning.report.pictures.faint", lambda pixels: is_faint)
    start(attacks=Settings(NAIVE), grid=Settings(ONE))
    page = (study / "out/sweep.html").read_text()
    assert ('id="stretch"' in page) == ("stretch the contrast to see them" in page) == is_faint
    assert len(re.findall(r'<img class="made" style="--b:[\d.]+;--c:[\d.]+" src="data:image/jpeg', page)) == 4


def test_a_falling_grid_without_an_undefended_run(study):
    """The report of real runs: by rising strength, with no cost, and with what is not known."""
    start(attacks=Settings(NAIVE), grid=Settings({"r": STRENGTHS["r"] | {"values": [0.9, 0.02]}}), broken_below=0.3)
    data = json.loads((study / "out/sweep.json").read_text())
    (line,) = data["series"]
    assert data["axes"][0]["reference"] is None
    assert [point["label"] for point in line["points"]] == ["0.02", "0.9"]
    assert [point["accuracy_cost"] for point in line["points"]] == [None, None]
    assert (line["breakdown"]["failed_at"], line["breakdown"]["worked"]) == ("0.02", None)
    page = (study / "out/sweep.html").read_text()
    assert "whether the attack works undefended" in page
    assert re.findall(r'<th scope="colgroup" colspan="1" class="starts">(.*?)</th>', page) == ["0.02", "0.9"]


def test_equal_runs_are_run_once(study, jobs_here):
    start(attacks=Settings({"one": PAIR, "two": list(PAIR.values())}), grid=Settings(ONE))
    assert len(jobs_here.done) == 1
    data = json.loads((study / "out/sweep.json").read_text())
    assert len(data["runs"]) == 2
    assert data["series"][0]["points"] == data["series"][1]["points"]


def test_two_axes(study):
    grid = {"model.beta": [None], "model.max_iterations": [5, 20]}
    start(attacks=Settings(NAIVE), grid=Settings(grid))
    data = json.loads((study / "out/sweep.json").read_text())
    names = [line["name"] for line in data["series"]]
    assert names == ["naive, model.max_iterations 5", "naive, model.max_iterations 20"]
    assert [line["points"][0]["queries"] for line in data["series"]] == [6, 21]


def test_a_failing_run_is_told_and_stops_nothing(study, capsys, jobs_here):
    too_many = {"class_path": "mi_lightning.targets.defenses.TopK", "init_args": {"k": "$k"}}
    grid = Settings({"k": {"values": [9, 4], "set": {"model.defenses": [too_many]}}})  # 9 of 4 people
    for _ in range(2):
        with pytest.raises(MIError, match=r"1 of 2 runs failed; naive k=9 seed=0: expected k of at most 4"):
            start(attacks=Settings(NAIVE), grid=grid)
    assert "naive k=9 seed=0: failed" in capsys.readouterr().out
    data = json.loads((study / "out/sweep.json").read_text())
    assert list(data["failed"]) == ["naive k=9 seed=0"]
    assert [point["label"] for point in data["series"][0]["points"]] == ["4"]
    assert "expected k of at most 4" in (study / "out/sweep.html").read_text()
    done = [name.split("_")[1] for name in jobs_here.done]
    assert (done.count("k=9"), done.count("k=4")) == (2, 1)  # what failed is tried again


def test_damaged_runs_are_run_again(study, jobs_here):
    for name in ("results.json", "utility.npz", "run.json"):
        start(attacks=Settings(NAIVE), grid=Settings(ONE))
        (run,) = study.glob("out/runs/*")
        (run / name).write_bytes(b"{")
    assert jobs_here.done == [run.name] * 3


def test_ctrl_c_in_a_process_of_its_own(study, jobs_here):
    """The whole of it: a process that is interrupted between two runs, and one that goes on."""
    values = ["none", *(round(0.01 * step, 2) for step in range(1, 10))]  # so many that it cannot be over too soon
    grid = {"r": {**STRENGTHS["r"], "values": values}}
    settings = {"output": "out", "attacks": NAIVE, "grid": grid, "title": "x", "jobs": 1}
    Path("sweep.yaml").write_text(yaml.safe_dump(settings))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "mi_lightning", "sweep", "--config", "sweep.yaml"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # who starts these tests in the background of a shell has Ctrl-C ignored, and a child inherits that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 180
    while len(finished(study)) < 1 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, (out, err)
    assert "Traceback" not in err
    before = finished(study)
    assert 1 <= len(before) < len(values), out
    assert f"stopped after {len(before)} of {len(values)} runs" in out
    main(["sweep", "--config", "sweep.yaml"])
    assert len(jobs_here.done) == len(values) - len(before)
    after = finished(study)
    assert len(after) == len(values)
    assert {name: after[name] for name in before} == before


# ------------------------------------------------------------------------------------------------ what is wrong


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"grid": {"model.gama": [0.1]}}, ["a key that exists", "got model.gama", "near it are model.gamma", "--grid"]),
        (
            {"attacks": {"a": PAIR | {"set": {"model.defences": []}}}},
            ["got model.defences", "near it are model.defenses", "--attacks.a"],
        ),
        ({"grid": {}}, ["a grid of one axis or more", "--grid"]),
        ({"grid": {"model.gamma": []}}, ["one value or more", "--grid.model.gamma"]),
        ({"grid": {"model.gamma": [0.1, 0.10]}}, ["different values", "0.1 twice"]),
        ({"grid": [1]}, ["expected keys and values", "[1]"]),
        (
            {"grid": {"model.max_iterations": ["many"]}},
            ["max_iterations", "many", "--attacks.naive, model.max_iterations many"],
        ),
        ({"grid": {"model.max_iterations": [0]}}, ["max_iterations >= 1", "got 0", "model.max_iterations 0"]),
        ({"grid": {"r": {"values": [2], "set": {"model.defenses": [ROUNDING]}}}}, ["r in [0, 1]", "got 2", "r 2"]),
        ({"grid": {"r": {"values": [2], "set": {"model.defenses": ["$s"]}}}}, ["$r", "got $s", "--grid.r"]),
        ({"attacks": {}}, ["one attack or more", "--attacks"]),
        ({"attacks": {"a": "absent.yaml"}}, ["absent.yaml", "--attacks.a"]),
        ({"attacks": {"a": {"set": {}}}}, ["a configuration", "--attacks.a"]),
        ({"attacks": {"a": PAIR | {"sets": {}}}}, ["target and attack and set", "got sets", "--attacks.a"]),
        ({"attacks": {"a": "bad.yaml"}}, ["a configuration in YAML, got bad.yaml", "--attacks.a"]),
        ({"attacks": {"a": "unjudged.yaml"}}, ["an evaluator_ckpt and data", "got no evaluator_ckpt", "--attacks.a"]),
        ({"attacks": {"a": "wrong.yaml"}}, ["nonsense", "--attacks.a"]),
        ({"attacks": {"a": {"config": "x.yaml"}}}, ["target and attack", "got config", "--attacks.a"]),
        ({"classifiers": ["absent.yaml"]}, ["absent.yaml", "--classifiers"]),
        ({"fit": ["absent.yaml"]}, ["the key classifiers", "got fit", "--fit"]),
        ({"grid": {"model.seed": [1, 2]}}, ["under `seeds`", "got model.seed", "--grid.model.seed"]),
        ({"grid": {"s": {"values": [3], "set": {"seed_everything": "$s"}}}}, ["under `seeds`", "--grid.s"]),
        (
            {"attacks": {"a": PAIR | {"set": {"model.seed": 3}}}},
            ["under `seeds`", "got model.seed", "--attacks.a"],
        ),
        (
            {
                "attacks": {"naive": PAIR, "a": PAIR | {"set": {"model.max_iterations": 7}}},
                "grid": {"model.beta": [10, 20], "model.max_iterations": [5, 9]},
            },
            [
                "got a with the same configuration at model.max_iterations 5 and model.max_iterations 9",
                "its own `set` of model.max_iterations wins over the grid",
                "(--grid.model.max_iterations)",
            ],
        ),
        ({"grid": {"trainer.enable_progress_bar": [True, False]}}, ["same configuration", "enable_progress_bar true"]),
        ({"seeds": []}, ["one seed or more", "--seeds"]),
        ({"seeds": [1, 1]}, ["different seeds", "--seeds"]),
        ({"seeds": [-1]}, ["seeds >= 0", "got -1", "--seeds"]),
        ({"jobs": 0}, ["jobs >= 1", "got 0", "--jobs"]),
        ({"broken_below": 0}, ["broken_below in (0, 1)", "--broken_below"]),
        ({"output": "a_file/out"}, ["a_file", "--output"]),
        ({"nonsense": 1}, ["nonsense"]),
        ("grid: {a: [1", ["a configuration in YAML, got sweep.yaml", "line 1"]),
    ],
)
def test_wrong_sweeps(study, capsys, content, expected):
    (study / "a_file").touch()
    (study / "bad.yaml").write_text("a: [1")
    write(study / "unjudged.yaml", {"model": {"classifier_ckpt": "checkpoints/victim.ckpt"}})
    write(study / "wrong.yaml", {"nonsense": 1})
    whole = {"output": "out", "attacks": {"naive": PAIR}, "grid": STRENGTHS}
    text = content if isinstance(content, str) else yaml.safe_dump(whole | content)
    (study / "sweep.yaml").write_text(text)
    before = set(study.rglob("*"))
    with pytest.raises(SystemExit) as stop:
        main(["sweep", "--config", "sweep.yaml"])
    assert stop.value.code == 2
    err = capsys.readouterr().err.strip()
    assert len(err.splitlines()) == 1, err
    for words in expected:
        assert words in err
    assert set(study.rglob("*")) == before  # told before anything is written


def test_the_help_is_in_words(capsys):
    with pytest.raises(SystemExit):
        main(["sweep", "--help"])
    out = " ".join(capsys.readouterr().out.split())
    assert "<class" not in out
    assert out.count("type: keys and values)") == 2


def test_a_checkpoint_that_is_not_there(study):
    shutil.rmtree(study / "checkpoints")
    with pytest.raises(MIError, match=r"no checkpoint at checkpoints/victim.ckpt.*--classifiers"):
        start()


def test_two_sweeps_in_one_folder(study, jobs_here):
    (study / "out").mkdir()
    with (
        alone(study / "out", what="sweep"),
        pytest.raises(InputError, match=r"no other sweep is at work, got out \(output\)"),
    ):
        start()
    assert jobs_here.done == []
