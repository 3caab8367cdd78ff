"""The tutorials run, print what is kept of them but for numbers, and are small."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import re
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "tutorials"
TUTORIALS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.ipynb"))}


def cells(name: str, kind: str) -> list[dict]:
    return [cell for cell in TUTORIALS[name]["cells"] if cell["cell_type"] == kind]


def run_cell(source: str, namespace: dict[str, object]) -> object:
    """Run a cell as a notebook does: what its last expression gives is what it shows."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), namespace)
    return None if last is None else eval(compile(ast.Expression(last.value), "cell", "eval"), namespace)


def but_for_numbers(text: str) -> str:
    return re.sub(r"\d[\d.,e-]*", "#", " ".join(text.split()))


def kept(cell: dict) -> str:
    """What a cell printed and showed in words, when the notebook was last run."""
    words = [each.get("text", each.get("data", {}).get("text/plain", "")) for each in cell["outputs"]]
    return but_for_numbers(" ".join("".join(lines) for lines in words))


#: What makes a cell slow, and what the test runs in its place: numbers that it prints are not compared.
SHORTER = (("max_iterations=60", "max_iterations=6"), ("initial_candidates=200", "initial_candidates=20"))


def source_of(cell: dict) -> str:
    source = "".join(cell["source"])
    for long, short in SHORTER:
        source = source.replace(long, short)
    return source


@pytest.mark.parametrize("name", TUTORIALS)
def test_it_runs_and_prints_what_is_kept(name, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "tutorial"}
    for cell in cells(name, "code"):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            shown = run_cell(source_of(cell), namespace)
        words = printed.getvalue() + ("" if shown is None else repr(shown))
        assert but_for_numbers(words) == kept(cell), "".join(cell["source"])
    sys.modules.pop("made_faces", None)


@pytest.mark.parametrize("name", TUTORIALS)
def test_what_is_kept_was_run_from_top_to_bottom_and_shows_pictures(name):
    code = cells(name, "code")
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    shown = ["".join(output["data"]["text/html"]) for output in outputs if "text/html" in output.get("data", {})]
    assert sum(html.count('<img src="data:image/') for html in shown) >= 6
    assert not [path for path in (str(Path.home()), str(FOLDER.parents[1])) if path in json.dumps(TUTORIALS[name])]


def test_they_are_small_and_all_in_the_site():
    assert sum(path.stat().st_size for path in FOLDER.iterdir() if path.is_file()) < 1_000_000
    site = (FOLDER.parents[1] / "mkdocs.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"^      - \w[\w ]*: tutorials/(\w+)\.md$", site, re.M)) == set(TUTORIALS)
    index = (FOLDER.parent / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\(tutorials/(\w+)\.ipynb\)", index)) == set(TUTORIALS)


@pytest.mark.parametrize("name", TUTORIALS)
def test_links_lead_somewhere(name):
    text = "\n".join("".join(cell["source"]) for cell in cells(name, "markdown"))
    for target in re.findall(r"\]\((?!https?:)([^)\s#]+)", text):
        assert (FOLDER / target).resolve().exists(), target
