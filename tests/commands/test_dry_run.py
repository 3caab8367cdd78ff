"""Dry runs: what is wrong is told, what would be done is said, and no file, folder or cache is touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mi_lightning.cli.main import main
from mi_lightning.errors import InputError
from mi_lightning.io import ensure_writable, write_atomically, writing_nothing
from tests.study import change, write

ATTACK = ["invert", "--config", "target/soft.yaml", "--config", "attack/steps.yaml"]


@pytest.fixture
def audit(study):
    """A small audit and a sweep; the target has no checkpoint yet."""
    content = {"title": "A small audit", "output": "new/out", "classifiers": ["classifier/victim.yaml"]}
    content |= {"targets": ["target/soft.yaml"], "attacks": ["attack/steps.yaml"]}
    write(study / "audit.yaml", content)
    attacks = {"steps": {"target": "target/soft.yaml", "attack": "attack/steps.yaml"}}
    write(study / "sweep.yaml", {"attacks": attacks, "grid": {"model.max_iterations": [3, 5]}, "output": "swept"})
    return study


def tree(folder: Path) -> dict[str, int]:
    """Everything below a folder and in the cache, with the time of its last change."""
    cache = Path(os.environ["XDG_CACHE_HOME"])
    return {str(path): path.stat().st_mtime_ns for where in (folder, cache) for path in sorted(where.rglob("*"))}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["fit", "--config", "classifier/victim.yaml"],
            [
                "would train SoftmaxRegression on 12 samples of 4 people, 40 epochs at most of 3 batches",
                "victim.ckpt, in",
            ],
        ),
        (["test", "--config", "classifier/victim.yaml"], ["would test SoftmaxRegression", "would write: nothing"]),
        (
            [*ATTACK, "--model.restarts", "2"],
            [
                "4 people, 2 restarts each",
                "8 rows x 20 iterations",
                "at most 168 queries",
                "invert/soft_steps/version_0",
            ],
        ),
        (
            [*ATTACK, "--model.query_budget", "10", "--model.people", "2"],
            ["2 people, 1 restarts", "2 rows x 20", "at most 20 queries"],
        ),
        (
            ["audit", "--config", "audit.yaml"],
            ["would use checkpoints/victim.ckpt again", "4 rows", "control untrained", "would write: new/out/"],
        ),
        (["audit", "--config", "audit.yaml", "--refit", "true"], ["would train", "what that takes is known when"]),
        (
            ["audit", "--config", "audit.yaml", "--quick"],
            ["quick: no evidence", "2 rows", "would write: new/out_quick/"],
        ),
        (["sweep", "--config", "sweep.yaml", "--jobs", "1"], ["2 runs, 0 of them finished", "4 rows", "swept/"]),
    ],
)
def test_nothing_is_written(audit, capsys, arguments, words):
    before = tree(audit)
    main([*arguments, "--dry-run"])
    told = capsys.readouterr().out
    assert "dry run: everything was checked, nothing is written" in told
    for word in words:
        assert word in told
    assert tree(audit) == before


@pytest.mark.parametrize(
    ("logger", "package"), [("WandbLogger", "wandb"), ("MLFlowLogger", "mlflow"), ("CSVLogger", "lightning")]
)
def test_no_logger_begins_a_run(audit, capsys, logger, package):
    pytest.importorskip(package, reason=f"{package} is not installed (extra: {package})")
    settings = {"tracking_uri": f"sqlite:///{audit}/runs.db"} if package == "mlflow" else {"save_dir": str(audit)}
    content = {"class_path": f"lightning.pytorch.loggers.{logger}", "init_args": settings}
    write(audit / "logger.yaml", {"trainer": {"logger": content}})
    before = tree(audit)
    main([*ATTACK, "--config", "logger.yaml", "--dry-run"])
    assert "would write: " in capsys.readouterr().out
    assert tree(audit) == before


def test_of_what_is_finished(audit, capsys):
    main(["audit", "--config", "audit.yaml"])
    before = tree(audit)
    run = "new/out/soft_steps/version_0"
    for arguments, words in (
        (["audit", "--config", "audit.yaml"], f"is finished already: {run}"),
        (["report", "--runs", "new/out", "--output", "page.html"], "would write: page.html"),
        (["study", run, "--line_up", "2"], "would write: study_key.json"),
        (["verify", "new/out"], "compute the figures of 2 runs anew"),
        (["erase", "s1", "new/out"], "would be deleted"),
    ):
        capsys.readouterr()
        main([*arguments, "--dry-run"])
        assert words in capsys.readouterr().out
        assert tree(audit) == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([*ATTACK, "--model.labels", "nobody"], "got nobody (--model.labels)"),
        ([*ATTACK, "--evaluator_ckpt", "checkpoints/victim.ckpt"], "independent of the target"),
        ([*ATTACK, "--model.classifier_ckpt", "absent.ckpt"], "absent.ckpt"),
        (["fit", "--config", "classifier/victim.yaml", "--checkpoint", "a_file/new.ckpt"], "a_file, which is a file"),
        (["audit", "--config", "audit.yaml", "--output", "a_file/new/out"], "a_file is a file"),
        (["report", "--runs", "[nowhere]"], "nowhere"),
        (["verify", "nowhere"], "nowhere"),
    ],
)
def test_what_is_wrong_is_told(audit, capsys, arguments, words):
    (audit / "a_file").touch()
    before = tree(audit)
    with pytest.raises(SystemExit) as stop:
        main([*arguments, "--dry-run"])
    assert stop.value.code == 2
    err = capsys.readouterr().err.strip()
    assert len(err.splitlines()) == 1
    assert words in err
    assert tree(audit) == before


def test_a_wrong_label_is_told_before_the_target_is_trained(audit, capsys):
    (audit / "checkpoints/victim.ckpt").unlink()
    change("attack/steps.yaml", model__labels="nobody")
    before = tree(audit)
    with pytest.raises(SystemExit):
        main(["audit", "--config", "audit.yaml", "--dry-run"])
    assert "got nobody" in capsys.readouterr().err
    assert tree(audit) == before


def test_writers_know_what_they_would_have_written(tmp_path):
    (tmp_path / "file").touch()
    with writing_nothing() as files:
        write_atomically(tmp_path / "a/b.txt", "text")
        write_atomically(tmp_path / "c", lambda stream: stream.write(b"12345"))
        ensure_writable(tmp_path / "new/folder")
        with pytest.raises(InputError, match="is a file"):
            ensure_writable(tmp_path / "file/folder", "output")
    assert files == {tmp_path / "a/b.txt": 4, tmp_path / "c": 5}
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    write_atomically(tmp_path / "c", "as always")
    assert (tmp_path / "c").read_text() == "as always"
