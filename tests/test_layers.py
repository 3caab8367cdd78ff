"""The layers of the package: each may import those before it, never those after, and only at the top of a module."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "mi_lightning"

#: From the lowest to the highest; a line is one layer, whose parts know nothing of each other.
LAYERS = (
    ("errors", "io", "checkpoint", "extras", "memory", "imports", "workers"),
    ("nn", "audio"),
    ("stats", "loggers"),
    ("recognisers",),
    ("data",),
    ("classifiers",),
    ("public_models",),
    ("targets",),
    # first what names no part, then the parts, then what puts them together
    tuple(f"attacks.{name}" for name in ("problem", "labels", "rows", "stopping", "selection", "result")),
    ("attacks.transforms", "attacks.filters"),
    ("attacks.initializers",),
    ("attacks.spaces",),
    ("attacks.costs", "attacks.priors"),
    ("attacks.estimators", "attacks.projections"),
    ("attacks.steps",),
    ("attacks.findings", "attacks.engine", "attacks.measure", "attacks.wrappers", "attacks.in_parts"),
    ("attacks.attack", "attacks.literature"),
    ("attacks",),
    ("judging",),
    ("report",),
    ("lightning",),
    ("commands",),
    ("cli",),
    ("__init__", "__main__"),
)

#: Names of one layer that may import each other.
TOGETHER = (
    set(LAYERS[0]),
    {"nn", "audio"},
    {"attacks.problem", "attacks.labels", "attacks.rows", "attacks.stopping", "attacks.selection", "attacks.result"},
    {"attacks.findings", "attacks.engine", "attacks.measure", "attacks.wrappers", "attacks.in_parts"},
    {"attacks.attack", "attacks.literature"},
    {"__init__", "__main__"},
)

#: `attacks/` never learns who will judge it.
NEVER = {("attacks", "recognisers"), ("attacks", "judging")}


def _modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def _name(path: Path) -> str:
    """Dotted name below the package."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def _layer(module: str) -> tuple[int, str]:
    """Number of the layer, and the name under which it is listed: the longest that fits."""
    fitting = [
        (len(name), number, name)
        for number, names in enumerate(LAYERS)
        for name in names
        if module == name or module.startswith(f"{name}.")
    ]
    if not fitting:
        raise AssertionError(f"mi_lightning.{module} is in no layer: give it a place in LAYERS")
    _, number, name = max(fitting)
    return number, name


def _imports(tree: ast.AST, function: bool = False) -> Iterator[tuple[str, int, bool]]:
    """Give each import from the package: name below it, line, and whether it stands in a function."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            if node.module == "mi_lightning":
                yield from ((alias.name, node.lineno, function) for alias in node.names)
            elif node.module.startswith("mi_lightning."):
                # `from mi_lightning.attacks import filters` means the module, `import Rows` a name in it
                for alias in node.names:
                    below = node.module.removeprefix("mi_lightning.")
                    path = PACKAGE.joinpath(*below.split("."), alias.name)
                    inner = path.is_dir() or path.with_suffix(".py").is_file()
                    yield f"{below}.{alias.name}" if inner else below, node.lineno, function
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("mi_lightning."):
                    yield alias.name.removeprefix("mi_lightning."), node.lineno, function
        yield from _imports(node, function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))


def offences(path: Path) -> Iterator[str]:
    """Give what a module does against the layers, as `module -> module`, or `module: import in a function`."""
    module = _name(path)
    if module == "__init__":  # lazy, and may name anything
        return
    number, own = _layer(module)
    for imported, _, function in _imports(ast.parse(path.read_text(encoding="utf-8"))):
        if imported in ("__version__", ""):
            continue
        other, theirs = _layer(imported)
        folders = (module.split(".")[0], imported.split(".")[0])
        together = own == theirs or any({own, theirs} <= names for names in TOGETHER)
        if other > number or (other == number and not together) or folders in NEVER:
            yield f"{module} -> {imported}"
        if function:
            yield f"{module}: {imported} imported in a function"


@pytest.mark.parametrize("path", _modules(), ids=_name)
def test_imports_go_one_way(path):
    assert not set(offences(path))


@pytest.mark.parametrize(
    ("where", "text", "expected"),
    [
        ("nn/x.py", "from mi_lightning.data.base import SampleSet", {"nn.x -> data.base"}),
        ("nn/x.py", "from mi_lightning.errors import InputError", set()),
        ("attacks/costs/x.py", "from mi_lightning.attacks.priors import L2", {"attacks.costs.x -> attacks.priors"}),
        ("attacks/costs/x.py", "from mi_lightning.judging import Judge", {"attacks.costs.x -> judging"}),
        ("commands/x.py", "from mi_lightning.cli.main import main", {"commands.x -> cli.main"}),
        (
            "targets/x.py",
            "if TYPE_CHECKING:\n    from mi_lightning.attacks.rows import Rows",
            {"targets.x -> attacks.rows"},
        ),
        (
            "data/x.py",
            "def f():\n    import mi_lightning.errors",
            {"data.x: errors imported in a function"},
        ),
    ],
)
def test_the_test_sees_offences(tmp_path, monkeypatch, where, text, expected):
    monkeypatch.setattr(f"{__name__}.PACKAGE", tmp_path)
    path = tmp_path / where
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert set(offences(path)) == expected


def test_the_design_page_has_these_layers():
    page = (PACKAGE.parent / "docs" / "design.md").read_text(encoding="utf-8")
    table = page.partition("| layer | what |\n")[2].partition("\n\n")[0]
    rows = [re.findall(r"`(\w+)/?`", row.split("|")[1]) for row in table.splitlines()]
    layers = [[name for name in layer if "." not in name and not name.startswith("__")] for layer in LAYERS]
    assert [set(row) for row in rows if row] == [set(layer) for layer in layers if layer]
