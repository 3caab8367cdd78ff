"""Verify: a changed byte anywhere is found, and so is an edited figure under a manifest that was made anew."""

from __future__ import annotations

import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from mi_lightning.cli.main import main
from mi_lightning.commands.verify import verify
from mi_lightning.errors import GateError, InputError, MIError
from mi_lightning.io import write_atomically
from mi_lightning.report import build_report, read_results
from mi_lightning.report.audit.document import audit_document, audit_json
from mi_lightning.report.manifest import manifest_sha256, read_manifest, write_manifest
from mi_lightning.report.recomputation import check_run
from mi_lightning.report.summary import recomputed_summary, verdict_figures

INVERT = ["invert", "--config", "target/soft.yaml", "--config", "attack/steps.yaml", "--model.restarts", "2"]
NOISE = (
    *("--model.space", "mi_lightning.attacks.spaces.PixelSpace"),
    *("--model.space.init_args.initializer", "mi_lightning.attacks.initializers.Noise"),
)
RUN = "lightning_logs/invert/soft_steps/version_0"


@pytest.fixture(scope="module")
def finished(trained_study, tmp_path_factory):
    """The folder of an attack on the stand-in faces, as the command line left it."""
    folder = tmp_path_factory.mktemp("finished")
    shutil.copytree(trained_study, folder, dirs_exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        main([*INVERT, *NOISE])
    return folder / RUN


@pytest.fixture
def run(finished, tmp_path):
    """A copy of it."""
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def command(capsys, *arguments):
    """Exit status, output and lines of errors of ``mi-lightning verify``."""
    capsys.readouterr()
    status = 0
    try:
        main(["verify", *map(str, arguments)])
    except SystemExit as stop:
        status = int(stop.code or 0)
    out, err = capsys.readouterr()
    return status, out, err.splitlines()


def edit(run, change):
    """Change ``results.json`` and make the manifest anew, as a forger would."""
    path = run / "results.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data, indent=2) + "\n")
    write_manifest(run)


def problems(folder):
    with pytest.raises(GateError) as found:
        verify(str(folder))
    *lines, last = str(found.value).splitlines()
    assert last.startswith(f"{folder} does not hold what was found: ")
    return lines


# ------------------------------------------------------------------------------------------------ what holds


def test_a_run_that_was_not_touched(run, capsys):
    status, out, err = command(capsys, run)
    assert (status, err) == (0, [])
    files = [path for path in run.rglob("*") if path.is_file()]
    assert f"verified: {len(files) - 1} files" in out
    assert "This is no signature" in out
    assert f"SHA-256 of manifest.json: {manifest_sha256(run)}" in out
    figures = int(re.search(r"(\d+) figures computed anew", out)[1])
    rows = json.loads((run / "results.json").read_text())["per_label"]
    assert figures > 8 * len(rows[0])  # the table alone has as many


def test_nothing_is_written_after_the_manifest(run):
    listed = set(read_manifest(run)["files"])
    assert {"results.json", "config.yaml", "hparams.yaml", "per_label.csv", "reconstructions.npz"} <= listed
    assert any(name.startswith("events.out.tfevents") for name in listed)
    newest = max(path.stat().st_mtime_ns for path in run.rglob("*") if path.name != "manifest.json")
    assert (run / "manifest.json").stat().st_mtime_ns >= newest


def test_every_figure_of_the_summary_is_computed_anew(run):
    results = read_results(run)
    recomputed = recomputed_summary(results)
    for name, value in results.summary.items():
        assert recomputed[name] == (value if isinstance(value, dict) or value is None else pytest.approx(value))
    known = {name for name, value in results.summary.items() if value is not None}
    assert {"cost_mean", "evaluator_top1", "ssim_best_mean", "outside_range", "seconds"} <= known


def test_the_published_sha256(run, capsys):
    own = manifest_sha256(run)
    status, out, _ = command(capsys, run, "--sha256", own.upper())
    assert status == 0
    assert f"{own} (as published)" in out
    write_manifest(run)
    edit(run, lambda data: data["controls"].clear())  # which nothing but the digest vouches for
    assert command(capsys, run)[0] == 0
    status, _, err = command(capsys, run, "--sha256", own)
    assert status == 3
    assert err[0] == f"mi-lightning: changed: manifest.json has SHA-256 {manifest_sha256(run)}, not {own}"


def test_a_folder_of_runs_is_checked_run_by_run(run, tmp_path):
    audit = tmp_path / "audit"
    shutil.copytree(run, audit / "one/version_0")
    shutil.copytree(run, audit / "two/version_0")
    (audit / "report.html").write_text("<p>")
    write_manifest(audit)
    verify(str(audit))
    edit(audit / "two/version_0", lambda data: data["summary"].update(cost_mean=0.0))
    assert problems(audit)[:2] == [
        "changed: two/version_0/manifest.json is not what manifest.json says",
        "changed: two/version_0/results.json is not what manifest.json says",
    ]
    write_manifest(audit)
    (line,) = problems(audit)
    assert line.startswith("two/version_0/results.json: summary.cost_mean is 0.0, but per_label gives 0.")


@pytest.fixture
def audited(run, tmp_path):
    """The folder of an audit of one run: audit.json, page and manifest."""
    folder = tmp_path / "audited"
    shutil.copytree(run, folder / "one/version_0")
    results = read_results(folder / "one/version_0")
    document = audit_document("An audit", ["one"], [results], folder=folder, release_context="inside the house")
    write_atomically(folder / "audit.json", audit_json(document))
    about = {"title": "An audit", "names": ["one"], "audit": document, "made": document["created"]}
    build_report([results.folder], folder / "report.html", **about)
    write_manifest(folder)
    return folder


def test_an_audit_is_computed_anew_with_its_page(audited, run):
    verify(str(audited))
    path = audited / "audit.json"
    data = json.loads(path.read_text())
    data["runs"][0]["inside_top1"] = 0.123
    path.write_text(json.dumps(data))
    write_manifest(audited)
    (line, *others) = problems(audited)
    assert line.startswith("audit.json: runs[0].inside_top1 is 0.123, but what its runs hold gives ")
    assert set(others) <= {"report.html is not what audit.json and its runs give"}
    data["runs"][0]["folder"] = "../run"
    path.write_text(json.dumps(data))
    write_manifest(audited)
    assert problems(audited) == ["audit.json: run one lies outside the folder (../run)"]


def test_an_edited_page_under_a_manifest_made_anew(audited):
    page = audited / "report.html"
    page.write_bytes(page.read_bytes().replace(b"An audit", b"An Audit", 1))
    write_manifest(audited)
    assert problems(audited) == ["report.html is not what audit.json and its runs give"]


# ------------------------------------------------------------------------------------------------ what does not


def test_a_flipped_byte_in_any_file_is_found(run):
    files = sorted(path for path in run.rglob("*") if path.is_file())
    assert len(files) >= 7
    for path in files:
        whole = path.read_bytes()
        for place in {0, len(whole) // 2, len(whole) - 1}:
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            words = "damaged" if path.name == "manifest.json" else "changed"
            assert any(path.name in line and words in line for line in problems(run)), (path, place)
        path.write_bytes(whole)
    verify(str(run))  # as before


def test_an_added_and_a_removed_file(run, capsys):
    (run / "new.txt").touch()
    (run / "hparams.yaml").unlink()
    status, out, err = command(capsys, run)
    assert (status, out) == (3, "")
    assert err == [
        "mi-lightning: missing: hparams.yaml is in manifest.json",
        "mi-lightning: added: new.txt is not in manifest.json",
        f"mi-lightning: {run} does not hold what was found: 2 problems",
    ]


def summary_of(data):
    return data["summary"]


def first_row(data):
    return data["per_label"][0]


@pytest.mark.parametrize(
    ("where", "key", "value", "words"),
    [
        (summary_of, "evaluator_top1", 0.123, "summary.evaluator_top1 is 0.123, but per_label gives"),
        (summary_of, "ssim_mean", None, "summary.ssim_mean is null, but per_label gives 0."),
        (summary_of, "seconds", 1e-9, "summary.seconds is 1e-09, but"),
        (summary_of, "queries_total", 1, "summary.queries_total is 1, but"),
        (summary_of, "outside_range", 0.5, "summary.outside_range is 0.5, but"),
        (summary_of, "stop_reasons", {"stagnation": 8}, "summary.stop_reasons is {'stagnation': 8}, but"),
        (summary_of, "safety", 1.0, "summary.safety is a figure that nothing in per_label gives"),
        (first_row, "evaluator_top5", 7, "summary.evaluator_top5|line 2 is not what"),
        (first_row, "name", "s2", "per_label.csv: line 2 is not what per_label gives"),
        (first_row, "confidence", 0.5, "per_label[0].confidence is 0.5, but reconstructions.npz gives 0."),
        (first_row, "label", 3, "per_label[0].label is 3, but reconstructions.npz gives 0"),
    ],
)
def test_an_edited_figure_under_a_manifest_made_anew(run, where, key, value, words):
    edit(run, lambda data: where(data).update({key: value}))
    found = problems(run)
    assert any(word in line for word in words.split("|") for line in found), found


def test_the_best_restart_is_the_one_of_least_cost(run):
    def swap(data):
        for row in data["per_label"][:2]:
            row["best"] = not row["best"]

    edit(run, swap)
    assert any(line.startswith("results.json: best restart of label 0 is [") for line in problems(run))

    def both(data):
        data["attack"]["selection"] = {"class": "RobustConfidence"}  # whose scores are not kept
        for row in data["per_label"][:2]:
            row["best"] = True

    edit(run, both)
    assert "results.json: label 0 has 2 best restarts, not one" in problems(run)


def change_arrays(run, **arrays):
    with np.load(run / "reconstructions.npz") as content:
        found = {name: content[name] for name in content.files} | arrays
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **found)
    (run / "reconstructions.npz").write_bytes(buffer.getvalue())
    write_manifest(run)


def test_arrays_that_belong_to_other_rows(run):
    arrays = read_results(run).arrays
    change_arrays(run, cost=arrays["cost"][::-1])
    assert any("per_label[0].cost" in line for line in problems(run))
    broken = arrays["reconstruction"].copy()
    broken[3, 0, 0, 0] = np.nan
    change_arrays(run, cost=arrays["cost"], reconstruction=broken)
    expected = "reconstructions.npz: reconstruction[3] is not finite, though per_label[3] has a cost"
    assert expected in problems(run)
    change_arrays(run, reconstruction=arrays["reconstruction"] + 2)
    assert any("summary.outside_range" in line for line in problems(run))
    change_arrays(run, reconstruction=arrays["reconstruction"][:, :, :4])
    assert any("input_shape" in line for line in problems(run))


@pytest.mark.parametrize("name", ["results.json", "per_label.csv", "reconstructions.npz"])
def test_a_file_that_cannot_be_read_under_a_manifest_made_anew(run, name):
    (run / name).write_bytes(b"\xff")
    write_manifest(run)
    assert any(line.startswith((f"{name}: ", f"{name} is damaged", f"cannot read {name}")) for line in problems(run))
    if name != "results.json":
        (run / name).unlink()
        write_manifest(run)
        assert any(name in line for line in problems(run))


def test_figures_that_rest_on_their_digest_are_counted(run, capsys):
    data = read_results(run).data
    count = sum(map(len, data["controls"].values())) + len(data["chance"])
    count += sum(isinstance(value, int | float) for value in data["verification"].values())
    assert check_run(run).resting == count > 10
    assert f"{count} figures (controls, ceiling, chance, verification) cannot be computed" in command(capsys, run)[1]


def test_a_run_without_a_judge(study):
    flags = ["--model.classifier_ckpt", "checkpoints/victim.ckpt", "--model.max_iterations", "10"]
    main(["invert", *flags])
    folder = Path("lightning_logs/invert/default/version_0")
    verify(str(folder))  # raises where something does not hold
    assert check_run(folder).problems == []
    assert check_run(folder).figures > 0


def test_figures_of_verdicts():
    rows = [
        {"best": True, "verdict": "recognised", "recognised": 1, "evaluator_top1": 0.0},
        {"best": False, "verdict": "recognised", "recognised": 1, "evaluator_top1": 1.0},
        {"best": True, "verdict": "fools_model_only", "recognised": 0, "evaluator_top1": 1.0},
        {"best": True, "verdict": "not_reconstructed", "recognised": 0, "evaluator_top1": 0.0},
        {"best": True, "verdict": "not_judged", "recognised": None, "evaluator_top1": 1.0},
    ]
    expected = {"attack_failed": 0, "recognised": 1, "fools_model_only": 1, "not_reconstructed": 1, "not_judged": 1}
    assert verdict_figures(rows) == {
        "verdicts": expected,
        "fools_model_only": 0.25,
        "inside_false_positive_rate": 0.5,
    }
    assert verdict_figures([{"best": True}]) == {}
    assert verdict_figures(rows[:1])["inside_false_positive_rate"] is None


# ------------------------------------------------------------------------------------------------ what says nothing


def test_no_manifest(run, capsys):
    (run / "manifest.json").unlink()
    status, _, (line,) = command(capsys, run)
    assert status == 2
    assert line.startswith(f"mi-lightning: no manifest.json in {run}: the run was stopped before its end or is of an")
    assert line.endswith("nothing says what its files were like; run it again")


def test_a_folder_that_is_none(run):
    write_manifest(run)
    with pytest.raises(MIError, match=r"^no folder .*absent: name the folder of a run \(mi-lightning invert\)"):
        verify(str(run / "absent"))
    with pytest.raises(MIError, match=r"name the folder of a run .* or of an audit, such as .*/run$"):
        verify(str(run.parent))


@pytest.mark.parametrize("digest", ["", "12", "g" * 64])
def test_a_sha256_that_is_none(run, digest):
    with pytest.raises(InputError, match=r"expected 64 hexadecimal digits, got .* \(sha256\)"):
        verify(str(run), sha256=digest)


def test_help_teaches_and_a_run_must_be_named(capsys):
    status, out, _ = command(capsys, "--help")
    assert status == 0
    for words in ("usage: mi-lightning verify RUN", "This is no signature", "Exit status 0", "--sha256"):
        assert words in out
    status, _, err = command(capsys)
    assert status == 2
    assert err == ["mi-lightning: expected the folder of a run or an audit, got none (mi-lightning verify --help)"]


def test_without_a_folder_of_its_own_a_run_has_no_manifest(study):
    main([*INVERT, "--trainer.logger", "false", "--trainer.callbacks+=mi_lightning.lightning.callbacks.ResultsWriter"])
    assert (study / "results.json").is_file()
    assert not (study / "manifest.json").exists()  # the working folder is nobody's run


def test_a_run_that_was_cut_short_has_a_manifest_of_what_was_found(study):
    main([*INVERT, "--model.report_every", "5", "--trainer.max_steps", "1"])
    assert read_results(study / RUN).summary["stop_reasons"] == {"interrupted": 8}
    verify(str(study / RUN))
