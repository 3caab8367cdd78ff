"""The README keeps what it promises: its commands, its example, its links and its pictures."""

from __future__ import annotations

import ast
import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from mi_lightning.cli.main import main
from mi_lightning.cli.text import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("*/README.md")), *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.fixture(scope="module")
def helper() -> ModuleType:
    """The script with which .ci/run reads the README."""
    spec = importlib.util.spec_from_file_location("readme_commands", ROOT / ".ci" / "readme_commands.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def blocks(helper) -> dict[str, tuple[str, str]]:
    return helper.blocks()


def test_readme_has_its_commands_and_examples(blocks):
    assert {name: language for name, (language, _) in blocks.items()} == {
        "main": "bash",
        "test": "bash",
        "example": "python",
        "own": "python",
        "people": "yaml",
    }


@pytest.mark.parametrize("name", ["main", "test"])
def test_command_is_one_line_that_installs_and_runs(blocks, name):
    command = blocks[name][1]
    assert "\n" not in command
    install, run = command.split(" && ")
    assert shlex.split(install)[:3] == ["pip", "install", "-e"]
    assert shutil_name(run) == {"main": "mi-lightning", "test": "pytest"}[name]
    checked = subprocess.run(["bash", "-n", "-c", command], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def shutil_name(command: str) -> str:
    """First word of a command."""
    return shlex.split(command)[0]


def test_main_command_names_an_audit_that_parses(blocks, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    words = shlex.split(blocks["main"][1].split(" && ")[1])[1:]
    with pytest.raises(SystemExit) as end:
        main([*words, "--print_config"])
    printed = capsys.readouterr()
    assert end.value.code in (0, None), printed.err
    config = yaml.safe_load(printed.out)
    named = [config[key] for key in ("classifiers", "targets", "attacks")]
    assert all(named)
    assert all((ROOT / "configs" / path).is_file() for paths in named for path in paths)
    assert f"`{config['output']}/report.html`" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_ci_runs_the_blocks_of_the_readme(blocks):
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert re.findall(r"readme_commands\.py (\S+)", script) == ["main", "test"]
    for language, command in blocks.values():
        if language == "bash":
            assert command not in script  # a copy could drift


def test_helper_prints_what_the_readme_prints(helper, blocks, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["readme_commands.py", "test", "--print"])
    assert helper.main() == 0
    assert capsys.readouterr().out.rstrip("\n") == blocks["test"][1]


def test_helper_refuses_an_unknown_block(helper, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["readme_commands.py", "nothing"])
    assert helper.main() == 2
    assert "expected one of the blocks main, test in README.md, got nothing" in capsys.readouterr().err


def test_helper_hands_on_the_status_of_the_command(helper, monkeypatch, tmp_path, capfd):
    readme = tmp_path / "README.md"
    readme.write_text("<!-- block: main -->\n```bash\necho here && exit 3\n```\n", encoding="utf-8")
    monkeypatch.setattr(helper, "README", readme)
    monkeypatch.setattr(helper.blocks, "__defaults__", (readme,))
    monkeypatch.setattr(sys, "argv", ["readme_commands.py", "main"])
    assert helper.main() == 3
    printed = capfd.readouterr()
    assert printed.out.endswith("\nhere\n")
    assert "main: status 3" in printed.err


def test_example_is_short_enough(blocks):
    code = blocks["example"][1]
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 8
    assert max(map(len, code.splitlines())) <= 120


def test_example_runs_as_printed(blocks, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(ast.parse(blocks["example"][1]), "README.md", "exec"), names)
    result = names["result"]
    assert len(result) == 40
    assert result.confidence.median() > 0.9
    assert (tmp_path / "people.png").is_file()
    assert names["judgement"].summary["ssim_mean"] > 0.6


def test_a_model_of_ones_own_is_attacked_as_printed(blocks):
    names: dict[str, object] = {}
    exec(compile(ast.parse(blocks["own"][1]), "README.md", "exec"), names)
    assert names["result"].name == ("person 3",)
    assert names["result"].confidence[0] > 0.2
    assert all(parameter.requires_grad for parameter in names["network"].parameters())


NET = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Linear(3 * 64 * 64, 4))
"""


def test_your_model_and_your_photographs_are_attacked_as_printed(blocks, monkeypatch, tmp_path, capsys):
    """With the right weights to a report; with the names in another order to an error, and no report."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mynet.py").write_text(NET, encoding="utf-8")
    (tmp_path / "own.yaml").write_text(blocks["people"][1], encoding="utf-8")
    people = ["Bob", "Zoë B", "ann", "s10"]  # sorted, as the labels are
    faces = 200 * np.random.default_rng(0).integers(0, 2, (4, 64, 64, 3), dtype=np.uint8)
    for face, person in zip(faces, people, strict=True):
        (tmp_path / "faces" / person).mkdir(parents=True)
        for each in range(3):
            Image.fromarray(face + np.uint8(each)).save(tmp_path / "faces" / person / f"{each}.png")
    templates = torch.from_numpy(faces).permute(0, 3, 1, 2).flatten(1) / 255 - 0.4
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    words = shlex.split(re.search(r"^    (mi-lightning audit --import mynet .*)$", readme, re.M)[1])[1:]

    torch.save({"1.weight": templates.roll(1, 0) / 50, "1.bias": torch.zeros(4)}, "faces.pt")
    assert status(words) == 2
    error = capsys.readouterr().err
    assert "expected a target that knows the people of the data" in error
    assert "class_names: [s10, Bob, Zoë B, ann]" in error
    assert len(error.splitlines()) == 1
    assert not list((tmp_path / "report").iterdir())

    torch.save({"1.weight": templates / 50, "1.bias": torch.zeros(4)}, "faces.pt")
    assert status([*words, "--quick"]) == 0, capsys.readouterr().err
    assert (tmp_path / "report_quick" / "report.html").is_file()


def status(words: list[str]) -> int:
    """Run a command in this process."""
    try:
        return main(words) or 0
    except SystemExit as end:
        return int(end.code or 0)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_pictures_exist(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    missing = [
        target
        for target in targets
        if not target.startswith(("http://", "https://", "#", "mailto:"))
        and not (page.parent / target.partition("#")[0]).exists()
    ]
    assert not missing


def test_pictures_are_small():
    assert all(picture.stat().st_size < 400_000 for picture in (ROOT / "docs" / "images").glob("*"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_configs_that_are_named_exist(page):
    named = re.findall(r"configs/[\w/.-]+\.yaml", page.read_text(encoding="utf-8"))
    assert not [path for path in named if not (ROOT / path).is_file()]


def test_every_command_is_explained():
    explained = set(re.findall(r"^\| `mi-lightning (\w+)`", (ROOT / "README.md").read_text(encoding="utf-8"), re.M))
    assert explained == set(COMMANDS)
