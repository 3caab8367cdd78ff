"""Audits on stand-in faces: one command from nothing to a report, checkpoints reused the second time."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
import torch

from mi_lightning.cli.main import main
from mi_lightning.commands.audit import plan, tell
from mi_lightning.errors import InputError
from mi_lightning.lightning.callbacks.results import FRAMES
from mi_lightning.report.manifest import write_manifest
from mi_lightning.report.pictures import to_pixels
from tests.study import change, write


@pytest.fixture
def audit(study):
    """A small audit: target, evaluator, one attack."""
    content = {"title": "A small audit", "output": "out"}
    content["classifiers"] = ["classifier/victim.yaml", "classifier/evaluator.yaml"]
    content |= {"targets": ["target/soft.yaml"], "attacks": ["attack/steps.yaml"]}
    write(study / "audit.yaml", content)
    return study


@pytest.fixture
def untrained(audit):
    """The same before anything is trained."""
    shutil.rmtree(audit / "checkpoints")
    return audit


def test_from_nothing_to_a_report_and_again(untrained, capsys):
    main(["audit", "--config", "audit.yaml"])
    first = capsys.readouterr().out
    assert "reusing" not in first
    assert "guessing" in first  # the table has the chance level
    assert "out/report.html" in first
    page = (untrained / "out/report.html").read_text()
    assert "A small audit" in page
    for name in ("s1", "s2", "s3", "s4", "shuffled"):
        assert name in page
    assert not re.search(r"""(src|href)=["']https?://""", page)  # self-contained
    results = json.loads((untrained / "out/soft_steps/version_0/results.json").read_text())
    assert results["summary"]["rows"] == 4

    before = (untrained / "checkpoints/victim.ckpt").stat().st_mtime_ns
    main(["audit", "--config", "audit.yaml"])
    second = capsys.readouterr().out
    assert second.count("reusing checkpoints/") == 2
    assert (untrained / "checkpoints/victim.ckpt").stat().st_mtime_ns == before
    assert second.count("is finished already") == 2  # the run and its control
    assert not (untrained / "out/soft_steps/version_1").exists()
    change("attack/steps.yaml", model__max_iterations=10)
    main(["audit", "--config", "audit.yaml"])
    assert (untrained / "out/soft_steps/version_1/results.json").is_file()


def test_what_to_install_is_told_to_the_letter(capsys):
    sentence = 'The headline is missing: pip install "mi-lightning[judges]".'
    tell({"headline": {"sentence": sentence}, "runs": []})
    assert sentence in capsys.readouterr().out  # square brackets are no style


# of a module that the target's configuration names under `imports`
RECOGNISER = {"class_path": "mi_lightning.recognisers.Embedder", "init_args": {"network": "tests.study:pixels"}}


def without_times(tree):
    """A tree of plain values without what depends on when and how fast it was made."""
    if isinstance(tree, dict):
        return {key: without_times(value) for key, value in tree.items() if key not in ("created", "seconds")}
    return [without_times(value) for value in tree] if isinstance(tree, list) else tree


def test_the_same_audit_in_two_folders_says_the_same(untrained, monkeypatch, tmp_path_factory):
    change("target/soft.yaml", recogniser=RECOGNISER, imports=["tests"])
    found = []
    for _ in range(2):
        folder = tmp_path_factory.mktemp("empty")
        for name in ("audit.yaml", "faces", "data", "classifier", "target", "attack"):
            source = untrained / name
            (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
        monkeypatch.chdir(folder)
        change("data/faces.yaml", init_args__root=str(folder / "faces"))
        main(["audit", "--config", "audit.yaml"])
        text = (folder / "out/audit.json").read_text()
        assert str(folder) not in text
        found.append(json.loads(text))
        main(["verify", "out"])
    assert found[0]["created"]
    assert without_times(found[0]) == without_times(found[1])
    run = found[0]["runs"][0]
    assert run["test_error"] == 0  # it was asked
    assert "4 people" in run["refused"]
    assert run["recognised"] is None


def test_a_page_of_another_version_is_not_called_changed(audit, capsys):
    main(["audit", "--config", "audit.yaml"])
    page = audit / "out/report.html"
    page.write_text(
        re.sub('<meta name="generator" content="[^"]*">', '<meta name="generator" content="older">', page.read_text())
    )
    write_manifest(audit / "out")
    capsys.readouterr()
    main(["verify", "out"])
    assert "were written by another version" in " ".join(capsys.readouterr().out.split())


def test_a_baseline_that_was_changed_is_refused(audit, capsys):
    main(["audit", "--config", "audit.yaml"])
    path = audit / "out/audit.json"
    path.write_text(path.read_text().replace('"A small audit"', '"A large audit"'))
    with pytest.raises(SystemExit) as ended:
        main(["audit", "--config", "audit.yaml", "--baseline", "out"])
    assert ended.value.code == 2
    assert "which is not the one that out/manifest.json lists" in capsys.readouterr().err


def test_an_audit_names_its_judge_and_goes_on_without(audit, capsys):
    change("target/soft.yaml", recogniser=None)
    main(["audit", "--config", "audit.yaml"])
    assert "no recogniser was wanted" in capsys.readouterr().out
    results = json.loads((audit / "out/soft_steps/version_0/results.json").read_text())
    assert results["recogniser_missing"] == "no recogniser was wanted"
    assert results["summary"]["verdicts"]["not_judged"] + results["summary"]["verdicts"]["attack_failed"] == 4
    change("target/soft.yaml", recogniser=RECOGNISER, imports=["tests"])
    main(["audit", "--config", "audit.yaml"])
    results = json.loads((audit / "out/soft_steps/version_1/results.json").read_text())
    assert results["recogniser"]["class"] == "mi_lightning.recognisers.Embedder"
    assert results["summary"]["recognised"] is not None
    assert results["ceiling"]["class_mean"]["recognised"] == 1
    assert results["target"]["fingerprint"] not in (None, results["target"]["checkpoint_sha256"])
    assert all(row["verdict_reason"] for row in results["per_label"])


def test_what_was_found_is_kept_as_it_came(audit):
    change("attack/steps.yaml", model__report_every=1)
    main(["audit", "--config", "audit.yaml", "--controls", "[]"])
    with np.load(audit / "out/soft_steps/version_0/reconstructions.npz") as arrays:
        assert 2 <= len(arrays["timeline"]) <= FRAMES
        assert arrays["timeline"].shape[1:] == (4, 8, 6)
        assert arrays["timeline_iteration"][0] == 0  # where it began
        assert (np.diff(arrays["timeline_iteration"]) == np.diff(arrays["timeline_iteration"])[0]).all()
        last = to_pixels(torch.from_numpy(arrays["reconstruction"]), (0.0, 1.0))
        gap = np.abs(last.astype(int) - arrays["timeline"].astype(int)).mean((1, 2, 3))
    assert gap[-1] < gap[0]  # it comes nearer to what is found
    assert "iteration" in (audit / "out/report.html").read_text()


def test_refit(audit, capsys):
    before = (audit / "checkpoints/victim.ckpt").stat().st_mtime_ns
    main(["audit", "--config", "audit.yaml", "--refit", "true"])
    assert "reusing" not in capsys.readouterr().out
    assert (audit / "checkpoints/victim.ckpt").stat().st_mtime_ns > before


def test_says_where_a_checkpoint_is_of_another_configuration(audit, capsys):
    main(["audit", "--config", "audit.yaml"])
    capsys.readouterr()
    main(["audit", "--config", "audit.yaml"])
    assert "other values" not in capsys.readouterr().out
    change("classifier/victim.yaml", trainer__max_epochs=41, model__init_args__optimizer__init_args__lr=0.3)
    main(["audit", "--config", "audit.yaml"])
    out = capsys.readouterr().out
    assert "trained with other values of model.init_args.optimizer.init_args.lr, trainer.max_epochs" in out
    assert out.count("other values") == 1  # the evaluator is as it was


def test_a_wrong_attack_is_told_before_anything_is_trained(untrained, capsys):
    change("attack/steps.yaml", model__beta=0)
    with pytest.raises(SystemExit):
        main(["audit", "--config", "audit.yaml"])
    err = capsys.readouterr().err
    assert "expected beta >= 1, got 0" in err
    assert "target/soft.yaml + attack/steps.yaml" in err
    assert not (untrained / "checkpoints").exists()


def test_report_of_finished_runs(audit, capsys):
    main(["audit", "--config", "audit.yaml"])
    main(["report", "--runs", "[out/soft_steps/version_0]", "--output", "mine.html", "--title", "Mine"])
    assert "mine.html" in capsys.readouterr().out
    assert "Mine" in (audit / "mine.html").read_text()
    main(["report", "--runs", "out", "--output", "all.html"])  # of an audit, all its runs
    assert "soft_steps" in (audit / "all.html").read_text()


AUDIT = ("audit", "--config", "audit.yaml")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([*AUDIT, "--classifiers", "[absent.yaml]"], ["absent.yaml", "--classifiers"]),
        ([*AUDIT, "--attacks", "[absent.yaml]"], ["absent.yaml", "--attacks"]),
        ([*AUDIT, "--classifiers", "[target/soft.yaml]"], ["target/soft.yaml", "--classifiers"]),
        ([*AUDIT, "--attacks", "[]"], ["attacks on the targets", "--attacks"]),
        ([*AUDIT, "--targets", "[]"], ["targets of the attacks", "--targets"]),
        ([*AUDIT, "--targets", "[]", "--attacks", "[]"], ["at least one target", "--targets"]),
        ([*AUDIT, "--pairs", "[{target: target/soft.yaml}]"], ["a configuration", "--pairs.0.attack"]),
        ([*AUDIT, "--pairs", "[[target/soft.yaml, attack/steps.yaml]]"], ["soft_steps twice", "--pairs.0"]),
        ([*AUDIT, "--fit", "[x.yaml]"], ["classifiers", "got fit", "--fit"]),
        ([*AUDIT, "--invert", "[x.yaml]"], ["targets and attacks", "got invert", "--invert"]),
        ([*AUDIT, "--output", "a_file/out"], ["a_file", "--output"]),
        (["report", "--runs", "[]"], ["at least one run", "--runs"]),
        (["report", "--runs", "[nowhere]"], ["nowhere"]),
    ],
)
def test_wrong_arguments(untrained, capsys, arguments, expected):
    (untrained / "a_file").touch()
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    err = capsys.readouterr().err.strip()
    assert len(err.splitlines()) == 1
    for words in expected:
        assert words in err
    assert not (untrained / "checkpoints").exists()  # told before anything is trained


@pytest.mark.parametrize("key", ["classifiers", "targets", "attacks", "controls"])
def test_one_name_stands_for_a_list_of_one(audit, capsys, key):
    names = {"classifiers": "classifier/victim.yaml", "targets": "target/soft.yaml", "attacks": "attack/steps.yaml"}
    name = (names | {"controls": "untrained"})[key]

    def preview(value):
        main(["audit", "--config", "audit.yaml", "--dry-run", f"--{key}", value])
        return re.sub(r"\d\S* [GMk]?B|about \S+ s", "", capsys.readouterr().out)

    alone = preview(name)
    assert alone == preview(f"[{name}]")
    assert "invert target/soft.yaml + attack/steps.yaml" in alone
    content = {**names, "controls": "untrained", "output": "out"}  # and in a file
    write(audit / "names.yaml", content)
    main(["audit", "--config", "names.yaml", "--dry-run"])
    assert "control untrained" in capsys.readouterr().out


def test_targets_times_attacks_and_pairs():
    pairs = [{"target": "target/c.yaml", "attack": ["attack/y.yaml", "prior/tv.yaml"]}, ["target/d.yaml", "z.yaml"]]
    planned = plan(["target/a.yaml", "target/b.yaml"], ["attack/x.yaml", "attack/y.yaml"], pairs)
    assert [pair.name for pair in planned] == ["a_x", "a_y", "b_x", "b_y", "c_y_tv", "d_z"]
    assert planned[4].configs == ("target/c.yaml", "attack/y.yaml", "prior/tv.yaml")


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ({"target": "a", "attack": "b", "set": {}}, r"expected target and attack, got set \(pairs.0\)"),
        ([], r"got \[\] \(pairs.0\)"),
        ({"target": 3, "attack": "b"}, r"got 3 \(pairs.0.target\)"),
    ],
)
def test_pairs_that_are_none(pair, words):
    with pytest.raises(InputError, match=words):
        plan([], [], [pair])
