"""The page for reports of faults: what it holds, what it leaves out, and that it comes where little works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mi_lightning import extras
from mi_lightning.cli.main import main
from mi_lightning.commands import doctor
from mi_lightning.commands.doctor import EXTRAS, examine
from mi_lightning.recognisers import dlib_faces
from mi_lightning.recognisers.weights import PackagedWeights

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture
def told(tmp_path, monkeypatch, capsys):
    """Run the command in an empty folder; return its status, output and errors."""
    monkeypatch.chdir(tmp_path)

    def run(*flags: str) -> tuple[int, str, str]:
        code = 0
        try:
            main(["doctor", *flags])
        except SystemExit as ended:
            code = int(ended.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_the_page_and_its_json_say_the_same(told, tmp_path):
    code, page, err = told()
    assert (code, err) == (0, "")
    _, text, _ = told("--json")
    found = json.loads(text)
    assert found.pop("problems") == []
    volatile = {"memory", "disk"}
    for title, section in found.items():
        assert title in page
        if title not in volatile:
            assert all(str(value) in page for value in section.values()), title
    assert found["disk"]["writable"] == "yes"
    assert found["torch"]["torch"] == sys.modules["torch"].__version__
    assert found["threads"]["cores"] >= 1
    assert set(found["weights of judges"]) >= {"dlib_face_recognition_resnet_model_v1.dat", "pretrained.pt"}
    assert set(found["optional packages"]) == {
        name.removeprefix("load_") for name in vars(extras) if name.startswith("load_")
    }
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_does_not_touch_the_folder(told, tmp_path):
    tmp_path.chmod(0o755)
    before = tmp_path.stat().st_mtime_ns
    code, page, _ = told("--dry-run")
    assert (code, tmp_path.stat().st_mtime_ns) == (0, before)
    assert "writable        yes" in page


def test_every_extra_says_what_it_brings():
    assert set(PROJECT["optional-dependencies"]) - {"dev", "docs", "test"} <= set(EXTRAS)


def test_it_names_nobody(told, tmp_path, monkeypatch):
    home = tmp_path / "home" / "jane.doe"
    (home / "work").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USER", "jane.doe")
    monkeypatch.setenv("XDG_CACHE_HOME", f"{home}/cache")
    monkeypatch.setenv("PYTHONPATH", f"/scratch/jane.doe/x{os.pathsep}{home}{os.pathsep}/scratch/jane.doe")
    monkeypatch.chdir(home / "work")
    page = doctor._page(examine())
    assert "jane.doe" not in page
    for words in ("~/work", "~/cache", f"/scratch/USER/x{os.pathsep}~{os.pathsep}/scratch/USER"):
        assert words in page


def test_modules_of_the_user_are_tried(told, tmp_path):
    (tmp_path / "toy_of_doctor.py").write_text("x = 1\n")
    (tmp_path / "toy_broken.py").write_text("1 / 0\n")
    try:
        code, text, _ = told("--import", "toy_of_doctor", "--import", "toy_broken", "--json")
    finally:
        sys.modules.pop("toy_of_doctor", None)
    assert code == 0
    found = json.loads(text)["modules of yours"]
    assert found["toy_of_doctor"].startswith("ok, SHA-256 of its code ")
    assert "ZeroDivisionError: division by zero, toy_broken.py line 1" in found["toy_broken"]


def test_weights_that_are_not_the_known_ones_are_a_problem(told, monkeypatch):
    other = PackagedWeights("mi_lightning", ("py.typed",), "0" * 64, "faces are recognised by", "pip install it")
    monkeypatch.setattr(dlib_faces, "NETWORK", other)
    code, page, err = told()
    assert code == 3
    assert "py.typed is not the file that this recogniser was tried with" in err
    assert page.index("py.typed is not the file") < page.index("system")
    missing = PackagedWeights("no_such_package_here", ("a.dat",), "0" * 64, "faces are recognised by", "pip install it")
    monkeypatch.setattr(dlib_faces, "NETWORK", missing)
    code, page, _ = told()
    assert code == 0  # nobody has to have them
    assert "no-such-package-here, which is not installed: pip install it" in page


def test_a_folder_that_cannot_be_written_is_a_problem(told, monkeypatch):
    def refuse(folder, field=""):
        raise doctor.InputError("a folder that can be written", f"{folder}: Read-only file system", field)

    monkeypatch.setattr(doctor, "ensure_writable", refuse)
    code, _, err = told()
    assert code == 3
    assert "the working folder cannot be written" in err


def test_an_unknown_flag_is_one_line(told):
    code, out, err = told("--nonsense")
    assert (code, out) == (2, "")
    assert err == "mi-lightning: unrecognized arguments: --nonsense (mi-lightning doctor --help)\n"


def test_it_answers_where_torch_cannot_be_imported(tmp_path):
    (tmp_path / "broken/torch").mkdir(parents=True)
    (tmp_path / "broken/torch/__init__.py").write_text("raise OSError('libcudart.so: cannot open')\n")
    done = subprocess.run(
        [sys.executable, "-m", "mi_lightning", "doctor"],
        env={"PYTHONPATH": f"{tmp_path / 'broken'}{os.pathsep}{ROOT}", "PATH": os.environ["PATH"]},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert "torch and lightning cannot be imported: OSError: libcudart.so: cannot open" in done.stderr
    assert "torch: cannot be imported" in done.stdout
    assert "weights of judges: fails: OSError" in done.stdout
    assert "Traceback" not in done.stderr
