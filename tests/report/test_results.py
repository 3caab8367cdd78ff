from __future__ import annotations

import csv
import dataclasses
import json
import re
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from PIL import Image

from mi_lightning.errors import MIError
from mi_lightning.report import build_report, pictures, read_results, write_results
from mi_lightning.report.origin import package_versions, run_info
from mi_lightning.report.schema import RESULTS_SCHEMA, from_version_1, problem
from tests.report.conftest import ATTACK, TARGET, make_judgement, make_result

# the contract of schema version 2, written out: the schema in the library must not drift from it
TOP = {"schema_version", "created", "package_versions", "config", "target", "attack", "summary", "per_label"}
METRICS = {"evaluator_top1", "evaluator_top5", "identification_top1"}
SUMMARY = {"rows", "labels", "seconds", "iterations_mean", "queries_total", "queries_per_label", "confidence_mean"}
SUMMARY |= METRICS | {"ssim_mean", "nrmse_mean", "mse_mean", "psnr_mean"}
PER_LABEL = {"label", "name", "restart", "cost", "confidence", "iterations", "stop_reason", "queries", "seconds"}
PER_LABEL |= METRICS | {"ssim", "nrmse", "mse", "psnr"}
TARGET_KEYS = {"class", "checkpoint_sha256", "defenses", "test_accuracy"}
ATTACK_KEYS = {"space", "cost", "priors", "transforms", "step", "estimator", "gradient_filter", "optimizer"}
ATTACK_KEYS |= {"projections", "selection", "callbacks", "max_iterations", "beta", "gamma", "restarts", "seed"}
ATTACK_KEYS |= {"initial_candidates", "report_every"}


def strict_json(path: Path):
    def refuse(constant: str):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(path.read_text(), parse_constant=refuse)


@pytest.mark.parametrize("judged", [True, False])
def test_every_key_of_the_contract_is_there(run_folder, judgement, judged):
    data = strict_json(run_folder(judgement=judgement if judged else None) / "results.json")
    assert data.keys() >= TOP
    assert data["schema_version"] == 2
    assert data["target"].keys() >= TARGET_KEYS
    assert data["attack"].keys() >= ATTACK_KEYS
    assert data["summary"].keys() >= SUMMARY
    assert all(row.keys() >= PER_LABEL for row in data["per_label"])
    assert problem(data, RESULTS_SCHEMA) is None


@pytest.mark.parametrize(
    ("keys", "schema"),
    [
        (TOP, RESULTS_SCHEMA),
        (TARGET_KEYS, RESULTS_SCHEMA["properties"]["target"]),
        (ATTACK_KEYS, RESULTS_SCHEMA["properties"]["attack"]),
        (SUMMARY, RESULTS_SCHEMA["properties"]["summary"]),
        (PER_LABEL, RESULTS_SCHEMA["properties"]["per_label"]["items"]),
    ],
)
def test_the_schema_requires_what_the_contract_names_and_no_more(keys, schema):
    assert set(schema["required"]) == keys


def test_a_missing_key_is_noticed_at_every_level(run_folder):
    data = strict_json(run_folder() / "results.json")
    for part, where in (
        (data, ""),
        (data["target"], "target."),
        (data["attack"], "attack."),
        (data["summary"], "summary."),
        (data["per_label"][1], "per_label[1]."),
    ):
        for key in {"": TOP, "target.": TARGET_KEYS, "attack.": ATTACK_KEYS, "summary.": SUMMARY}.get(where, PER_LABEL):
            value = part.pop(key)
            assert problem(data, RESULTS_SCHEMA) == f"{where}{key} is missing"
            part[key] = value
    assert problem(data, RESULTS_SCHEMA) is None


@pytest.mark.parametrize(
    ("value", "schema", "expected"),
    [
        (True, {"type": "integer"}, "the whole is a bool, not integer"),
        (1.5, {"type": "integer"}, "the whole is a float, not integer"),
        (None, {"type": ["number", "null"]}, None),
        (3, {"type": ["number", "null"]}, None),
        ("3", {"type": ["number", "null"]}, "the whole is a str, not number or null"),
        (2, {"const": 1}, "the whole is 2, not 1"),
        ([1, "a"], {"items": {"type": "integer"}}, "[1] is a str, not integer"),
        ({"a": {"b": 1}}, {"properties": {"a": {"properties": {"b": {"type": "string"}}}}}, "a.b is a int, not string"),
    ],
)
def test_problem(value, schema, expected):
    assert problem(value, schema) == expected


def test_effort_counts_all_rows_and_outcome_the_best_restarts(run_folder):
    summary = read_results(run_folder()).summary
    assert (summary["rows"], summary["labels"]) == (4, 2)
    assert summary["seconds"] == 2.75
    assert summary["iterations_mean"] == 2575
    assert summary["queries_total"] == 10304
    assert summary["queries_per_label"] == 5152
    assert summary["confidence_mean"] == pytest.approx(0.985)
    assert summary["cost_mean"] == pytest.approx(0.015)
    assert summary["evaluator_top1"] == 0.5
    assert summary["ssim_mean"] == 0.25
    assert summary["stop_reasons"] == {"max_iterations": 2, "stagnation": 1, "target_cost": 1}
    assert summary["outside_range"] == 0


def test_one_entry_a_row_and_the_best_restart_is_marked(run_folder):
    run = read_results(run_folder())
    rows = run.data["per_label"]
    assert [(row["name"], row["restart"], row["best"]) for row in rows] == [
        ("ann", 0, False),
        ("ann", 1, True),
        ("cleo", 0, True),
        ("cleo", 1, False),
    ]
    assert rows[1]["confidence"] == pytest.approx(0.99)
    assert rows[1]["stop_reason"] == "target_cost"
    assert [row["evaluator_guess"] for row in rows] == ["ann", "ann", "bob", None]
    assert run.best_index == [1, 2]
    assert [row["name"] for row in run.best] == ["ann", "cleo"]


def test_what_is_not_finite_or_not_judged_is_null(run_folder):
    run = read_results(run_folder())
    assert [row["psnr_best"] for row in run.data["per_label"]] == [None, 1.0, None, 2.0]
    assert run.summary["psnr_best_mean"] is None
    bare = read_results(run_folder("bare", judgement=None))
    assert bare.summary["evaluator_top1"] is bare.summary["ssim_mean"] is None
    assert bare.data["per_label"][0]["mse"] is bare.data["per_label"][0]["evaluator_guess"] is None
    assert bare.data["controls"] == bare.data["chance"] == {}
    assert bare.data["evaluator"] is None


def test_target_attack_judge_and_circumstances_are_told(run_folder):
    data = read_results(run_folder()).data
    assert data["target"] == {"fingerprint": None} | TARGET
    assert data["attack"] == ATTACK
    assert data["evaluator"]["test_accuracy"] == 0.97
    assert data["controls"].keys() == {"noise", "mean_face", "shuffled"}
    assert data["package_versions"].keys() >= {"python", "torch", "lightning"}
    assert data["run"].keys() == {"command", "platform", "cpus", "threads", "accelerator"}


def test_what_target_and_attack_do_not_say_is_null(tmp_path, result):
    data = strict_json(write_results(tmp_path, result, target={}, attack={}))
    nothing = {"class": None, "checkpoint_sha256": None, "fingerprint": None, "defenses": [], "test_accuracy": None}
    assert data["target"] == nothing
    assert data["attack"] == dict.fromkeys(ATTACK_KEYS)


def test_values_of_any_kind_become_plain(tmp_path, result):
    attack = ATTACK | {"betas": (0.9, torch.tensor(0.5)), "path": Path("a/b"), "scale": np.float32(2)}
    data = strict_json(write_results(tmp_path, result, target=TARGET, attack=attack))
    assert data["attack"]["betas"] == [0.9, 0.5]
    assert data["attack"]["path"] == "a/b"
    assert data["attack"]["scale"] == 2


def test_what_cannot_be_described_is_refused_before_anything_is_written(tmp_path, result):
    with pytest.raises(TypeError, match=r"attack\.max_iterations is a str, not integer or null"):
        write_results(tmp_path / "run", result, target=TARGET, attack=ATTACK | {"max_iterations": "many"})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("there", [True, False])
def test_the_config_beside_it_is_named(tmp_path, result, there):
    if there:
        (tmp_path / "config.yaml").write_text("seed: 0\n")
    data = strict_json(write_results(tmp_path, result, target=TARGET, attack=ATTACK))
    assert data["config"] == ("config.yaml" if there else None)


def test_the_table_holds_the_same_rows(run_folder):
    folder = run_folder()
    rows = list(csv.DictReader((folder / "per_label.csv").read_text().splitlines()))
    expected = read_results(folder).data["per_label"]
    assert [row["name"] for row in rows] == ["ann", "ann", "cleo", "cleo"]
    assert list(rows[0]) == list(expected[0])
    assert [float(row["cost"]) for row in rows] == [row["cost"] for row in expected]
    assert rows[0]["psnr_best"] == ""


def test_the_arrays_are_whole_and_hold_no_objects(run_folder, result):
    folder = run_folder()
    with np.load(folder / "reconstructions.npz", allow_pickle=False) as arrays:
        for name in ("reconstruction", "candidate", "label", "restart", "cost", "confidence"):
            np.testing.assert_array_equal(arrays[name], getattr(result, name).numpy())
        assert arrays["reference_mean"].dtype == np.uint8
        expected = (result.reconstruction.flip(-1) * 255).round().numpy()[:, 0]
        np.testing.assert_array_equal(arrays["reference_mean"], expected)
        assert arrays["reference_best"].shape == (4, 12, 10)
    assert set(read_results(folder).arrays) == set(arrays.files)


def test_the_sheet_is_a_picture_with_a_tile_for_each_person(run_folder):
    with Image.open(run_folder() / "reconstructions.png") as sheet:
        assert sheet.format == "PNG"
        assert sheet.width > 2 * 2 * 107
        assert len(sheet.getcolors(maxcolors=1 << 20)) > 100


@pytest.mark.parametrize(
    ("scale", "judged", "count"), [(1.0, True, 2), (0.1, True, 3), (3.0, True, 2), (1.0, False, 1), (0.1, False, 2)]
)
def test_the_sheet_shows_faint_pictures_once_more(run_folder, result, judgement, monkeypatch, scale, judged, count):
    drawn = []
    draw = pictures.contact_sheet
    monkeypatch.setattr(pictures, "contact_sheet", lambda shown, **rest: drawn.append(shown) or draw(shown, **rest))
    scaled = dataclasses.replace(result, reconstruction=result.reconstruction * scale)
    run_folder(result=scaled, judgement=judgement if judged else None)
    assert len(drawn[0]) == count
    best = pictures.to_pixels(scaled.reconstruction[[1, 2]], (0.0, 1.0))
    np.testing.assert_array_equal(drawn[0][int(judged)], best)
    if scale < 1:
        np.testing.assert_array_equal(drawn[0][-1], pictures.stretched(best))


def test_inputs_that_are_no_pictures_have_no_sheet(run_folder):
    result = make_result((7,))
    folder = run_folder(result=result, judgement=make_judgement(result_like_images(result)))
    assert not (folder / "reconstructions.png").exists()
    assert read_results(folder).arrays["reference_mean"].dtype == np.float32


def result_like_images(result):
    return dataclasses.replace(result, reconstruction=result.reconstruction[:, None, :])


def test_nothing_but_the_files_stays_and_they_replace_older_ones(run_folder):
    folder = run_folder()
    created = (folder / "results.json").stat().st_ino
    run_folder()
    assert (folder / "results.json").stat().st_ino != created
    names = {"results.json", "per_label.csv", "reconstructions.npz", "reconstructions.png"}
    assert {path.name for path in folder.iterdir()} == names


def test_a_folder_below_a_file_is_one_line(tmp_path, result):
    (tmp_path / "file").touch()
    with pytest.raises(MIError, match=r"cannot write .*file/run/per_label\.csv: Not a directory"):
        write_results(tmp_path / "file" / "run", result, target=TARGET, attack=ATTACK)


def test_results_are_read_from_folder_or_file(run_folder):
    folder = run_folder()
    assert read_results(folder).data == read_results(folder / "results.json").data == read_results(str(folder)).data
    assert read_results(folder).name == "run"


@pytest.mark.parametrize("path", ["nowhere", "run/results.json/below"])
def test_no_results(tmp_path, run_folder, path):
    run_folder()
    with pytest.raises(MIError, match=r"^no results\.json in .*: name the folder of an attack"):
        read_results(tmp_path / path)


@pytest.mark.parametrize("content", ['{"schema_version": 1, "sum', "", "\xff\xfe"])
def test_damaged_results(run_folder, content):
    folder = run_folder()
    (folder / "results.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(MIError, match=r"results\.json is damaged \(.*\): run the attack again$"):
        read_results(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 3}, "expected schema_version 1 or 2, got 3 in .*results.json"),
        ({"summary": {}}, "does not fit schema version 2: summary.rows is missing"),
        ({"schema_version": 1, "attack": []}, "does not fit schema version 1: attack is a list, not object"),
        ({"per_label": {}}, "does not fit schema version 2: per_label is a dict, not array"),
    ],
)
def test_results_that_do_not_fit(run_folder, change, message):
    folder = run_folder()
    path = folder / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(MIError, match=message):
        read_results(folder)


def test_a_list_is_no_result(run_folder):
    folder = run_folder()
    (folder / "results.json").write_text("[1]")
    with pytest.raises(MIError, match="expected schema_version 1 or 2, got None"):
        read_results(folder)


def test_arrays_that_are_missing_damaged_or_of_another_run(run_folder, result):
    folder = run_folder()
    path = folder / "reconstructions.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(MIError, match=r"cannot read .*reconstructions\.npz: .*run the attack again"):
        _ = read_results(folder).arrays
    path.unlink()
    with pytest.raises(MIError, match=r"no reconstructions\.npz beside results\.json"):
        _ = read_results(folder).arrays
    other = run_folder("other", result=result.select(torch.tensor([0, 1])), judgement=None)
    path.write_bytes((other / "reconstructions.npz").read_bytes())
    with pytest.raises(MIError, match="expected 4 rows of 'reconstruction'"):
        _ = read_results(folder).arrays


@pytest.mark.parametrize(
    ("program", "shown"),
    [("/opt/somewhere/bin/mi-lightning", "mi-lightning"), ("/opt/mi_lightning/__main__.py", "python -m mi_lightning")],
)
def test_the_command_is_the_one_that_was_typed(monkeypatch, program, shown):
    monkeypatch.setattr("sys.argv", [program, "invert", "--model.labels", "s1, s2"])
    assert run_info()["command"] == f"{shown} invert --model.labels 's1, s2'"


def test_a_package_that_is_not_installed_has_no_version():
    versions = package_versions(("lightning", "no-such-package"))
    assert versions["torch"] == torch.__version__
    assert versions["lightning"] == lightning.__version__
    assert versions["no-such-package"] is None


SCHEMA_1 = Path(__file__).with_name("results_schema_1.json")  # written by release 0.1.0


def test_results_of_the_first_schema_are_read_in_the_words_of_today(run_folder):
    folder = run_folder()
    (folder / "results.json").write_bytes(SCHEMA_1.read_bytes())
    run, old = read_results(folder), json.loads(SCHEMA_1.read_text())
    assert problem(run.data, RESULTS_SCHEMA) is None
    attack = run.data["attack"]
    assert (attack["max_iterations"], attack["report_every"], attack["initial_candidates"]) == (5000, 50, 1)
    assert not attack.keys() & {"alpha", "block", "starts"}
    assert attack["space"] == {"class": "PixelSpace", "clamp": True, "initializer": {"class": "ZeroStart"}}
    assert attack["step"] == {"class": "GradientStep"}
    assert attack["selection"] == {"class": "LeastCost"}
    assert attack["projections"] is attack["callbacks"] is None  # nobody wrote them down
    for key in old.keys() - {"attack", "schema_version"}:
        assert run.data[key] == old[key]


def test_an_estimator_that_is_a_step_now(run_folder):
    old = json.loads(SCHEMA_1.read_text())
    old["attack"]["estimator"] = {"class": "CMAES", "population": 8, "sigma": 0.5}
    attack = from_version_1(old)["attack"]
    assert attack["step"] == {"class": "CMAESStep", "population": 8, "sigma": 0.5}
    assert attack["estimator"] is attack["optimizer"] is None


def test_a_page_of_runs_of_both_schemas(run_folder, tmp_path):
    new, old = run_folder("new"), run_folder("old")
    (old / "results.json").write_bytes(SCHEMA_1.read_bytes())
    page = build_report([new, old], tmp_path / "report.html").read_text()
    row = re.search(r"<tr[^>]*>(?:(?!</tr>).)*<td>max iterations</td>.*?</tr>", page)
    assert re.findall(r'class="value">([^<]*)<', row[0]) == ["5000", "5000"]
    assert "callbacks 1 · class" in page


def test_what_cannot_be_opened_is_not_called_damaged(run_folder):
    folder = run_folder()
    (folder / "results.json").unlink()
    (folder / "results.json").mkdir()
    with pytest.raises(MIError, match=r"^no results\.json in "):
        read_results(folder)
