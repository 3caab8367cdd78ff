"""The documentation keeps what it promises: its links, its lists, its examples, its citation."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml

import mi_lightning

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("*.md"))}
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
SITE = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")

#: Folders whose exports are parts that a user chooses, and the base of each role.
ROLES = {
    "attacks.costs": "Cost",
    "attacks.estimators": "GradientEstimator",
    "attacks.filters": "GradientFilter",
    "attacks.initializers": "Initializer",
    "attacks.priors": "Prior",
    "attacks.projections": "Projection",
    "attacks.selection": "Selection",
    "attacks.spaces": "Space",
    "attacks.steps": "Step",
    "attacks.stopping": "StopRule",
    "attacks.transforms": "Transform",
    "classifiers": "Classifier",
    "data": "PersonDataModule",
    "judging": "Judge",
    "recognisers": "Recogniser",
    "targets": "Target",
    "targets.defenses": "Defense",
}


def concrete(role: str) -> Iterator[type]:
    """Classes of a role that its folder exports, but for those that are only there to be subclassed."""
    module = importlib.import_module(f"mi_lightning.{role}")
    base = getattr(module, ROLES[role])
    for name in getattr(module, "__all__", dir(module)):
        part = getattr(module, name)
        if inspect.isclass(part) and issubclass(part, base) and part is not base and not inspect.isabstract(part):
            yield part


PARTS = [part for role in ROLES if role != "judging" for part in concrete(role)]


def anchors(page: str) -> set[str]:
    """What a link into a page can point to: its headings, as GitHub and MkDocs name them, and its own anchors."""
    text = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings} | set(
        re.findall(r'<a id="(\w+)"></a>', text)
    )


# ---------------------------------------------------------------------------------------------------------- links


@pytest.mark.parametrize("name", [*PAGES, "CONTRIBUTING.md"])
def test_links_lead_to_a_page_and_a_heading(name):
    page, home = (PAGES[name], DOCS) if name in PAGES else (CONTRIBUTING, ROOT)
    text = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    for target, anchor in re.findall(r"\]\((?!https?:)([^)\s#]*)#?([^)\s]*)\)", text):
        path = (home / target).resolve() if target else home / name
        assert path.exists(), f"{name} links to {target}"
        if anchor:
            assert anchor in anchors(path.read_text(encoding="utf-8")), f"{name} links to {target}#{anchor}"


def test_the_index_and_the_site_have_every_page():
    pages = set(PAGES) - {"README.md"}
    assert set(re.findall(r"^\| \[([\w-]+\.md)\]", PAGES["README.md"], re.M)) == pages
    assert set(re.findall(r"^  - \w[\w ]*: ([\w-]+\.md)$", SITE, re.M)) == pages | {"README.md", "CONTRIBUTING.md"}


# ----------------------------------------------------------------------------------------------------- references

KEY = r"(?<![\w`\]])\[([A-Z][a-z]?\d{2}|A|B)(?:, [^\]]+)?\](?!\[)"


def test_every_key_that_is_cited_stands_in_the_references():
    known = re.findall(r'<a id="(\w+)"></a>\*\*\[(\w+)\]\*\*', PAGES["references.md"])
    assert known
    assert all(anchor == key for anchor, key in known)
    keys = [key for key, _ in known]
    assert len(set(keys)) == len(keys)
    sources = [*(ROOT / "mi_lightning").rglob("*.py"), *DOCS.glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    for path in sources:
        cited = set(re.findall(KEY, path.read_text(encoding="utf-8")))
        assert cited <= set(keys), f"{path.relative_to(ROOT)} cites {sorted(cited - set(keys))}"


def test_every_reference_has_a_year_and_says_what_it_is_for():
    entries = [line for line in PAGES["references.md"].splitlines() if line.startswith("- ")]
    assert len(entries) == PAGES["references.md"].count("<a id=")
    for entry in entries:
        assert re.search(r"\b(19|20)\d\d\b.*Here: .+\.$", entry), entry


# -------------------------------------------------------------------------------------------- lists of what there is


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_every_part_stands_among_the_methods(part):
    assert f"`{part.__name__}`" in PAGES["methods.md"]


def test_methods_name_no_part_that_does_not_exist():
    table = PAGES["methods.md"].partition("## What they are made of")[2]
    named = set(re.findall(r"`([A-Z]\w+)`", table))
    public = {"FaceDecoder"}  # a public model, whose folder has no role of its own
    assert named - public <= {part.__name__ for part in PARTS}


FUNCTIONS = {name for name in re.findall(r"^\|[^|]+\| `(\w+)`", PAGES["methods.md"], re.M) if name.islower()}


def test_every_attack_of_the_literature_stands_among_the_methods():
    literature = importlib.import_module("mi_lightning.attacks.literature")
    public = {
        name
        for name, value in vars(literature).items()
        if inspect.isfunction(value) and value.__module__ == literature.__name__ and not name.startswith("_")
    }
    assert public == FUNCTIONS


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "attack").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_attack_file_is_one_of_the_methods_or_a_variant(path):
    assert any(path.stem == name or path.stem.startswith(f"{name}_") for name in FUNCTIONS)


@pytest.mark.parametrize("role", sorted(ROLES.keys() - {"targets"}))  # shown by a model of one's own, and by a defense
def test_every_role_has_its_own_example(role):
    base = ROLES[role]
    folder = role.replace(".", "/")
    assert re.search(rf"`{re.escape(role)}\.{base}` .*`{folder}(?:/|\.py)` \|$|`[\w.]*{base}`", PAGES["extending.md"])
    assert re.search(rf"^class \w+\({base}\):", PAGES["extending.md"], re.M)


@pytest.fixture(scope="module")
def hooks():
    """The module that MkDocs and mkdocstrings load."""
    pytest.importorskip("mkdocs")
    pytest.importorskip("griffe")
    spec = importlib.util.spec_from_file_location("docs_hooks", DOCS / "hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_site_has_a_page_for_each_package_and_all_its_modules(hooks):
    shown = {module for page in hooks.api_pages() for module in re.findall(r"^::: (\S+)$", page[2], re.M)}
    modules = {
        module.name
        for module in pkgutil.walk_packages(mi_lightning.__path__, "mi_lightning.")
        if not any(part.startswith("_") for part in module.name.split("."))
    }
    assert shown == modules | {"mi_lightning"}


@pytest.mark.parametrize(
    ("source", "link", "expected"),
    [
        ("README.md", "[g](guide.md#how)", "[g](guide.md#how)"),
        ("README.md", "[r](../benchmarks/RESULTS.md)", "[r](benchmarks/RESULTS.md)"),
        ("README.md", "[c](../configs)", "c"),
        ("README.md", "[n](../nothing.md)", "[n](../nothing.md)"),
        ("CONTRIBUTING.md", "[d](docs/design.md#layers)", "[d](design.md#layers)"),
        ("benchmarks/RESULTS.md", "[d](../docs/design.md)", "[d](../design.md)"),
        ("README.md", "as in [F15] and [0, 1]", "as in [F15] and [0, 1]\n\n[F15]: references.md#F15"),
        ("README.md", "```python\nx[0](guide.md)\n```", "```python\nx[0](guide.md)\n```"),
    ],
)
def test_links_are_sent_to_where_pages_lie_in_the_site(hooks, source, link, expected):
    page = SimpleNamespace(file=SimpleNamespace(src_uri=source))
    files = SimpleNamespace(src_uris=["README.md", "guide.md", "design.md", *hooks.ELSEWHERE])
    assert hooks.on_page_markdown(link, page=page, files=files, config=None) == expected


def test_roles_keys_and_examples_of_docstrings_become_links_and_code(hooks, tmp_path):
    import griffe

    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "__init__.py").write_text("from toy.a import C\n", encoding="utf-8")
    names = ":meth:`run`, :class:`~toy.C`, :class:`~toy.a.D`, :func:`~toy.a._f`"
    (tmp_path / "toy" / "a.py").write_text(
        f'class C:\n    """See {names}; [0, 1] [F15, part 2] [Z9]."""\n'
        'def _f():\n    """Hidden.\n\n    Example:\n        >>> 1\n        1\n    """\n',
        encoding="utf-8",
    )
    toy = griffe.load("toy", search_paths=[tmp_path], extensions=griffe.load_extensions(hooks.Docstrings))
    assert toy["a.C"].docstring.value == (
        "See `run`, [`C`][toy.a.C], [`D`][toy.a.D], `_f`; [0, 1] "
        '<a href="../../references/#F15">[F15, part 2]</a> [Z9].'
    )
    assert "Examples:" in toy["a._f"].docstring.value


#: Words that the glossary explains: first cells of its tables, without what stands in brackets.
WORDS = {
    word.strip()
    for cell in re.findall(r"^\| ([^|]+) \|", PAGES["glossary.md"], re.M)
    for word in re.sub(r"\(.*\)", "", cell).lower().split(",")
}


@pytest.mark.parametrize("name", [*ROLES.values(), "Engine", "Problem", "Row", "Query", "Label", "Iteration"])
def test_the_glossary_explains_the_words_of_public_names(name):
    words = {"GradientEstimator": "estimator", "GradientFilter": "filter", "PersonDataModule": "modality"}
    assert words.get(name, "stop rule" if name == "StopRule" else name.lower()) in WORDS


def test_the_glossary_explains_each_argument_of_an_attack():
    attack = importlib.import_module("mi_lightning.attacks.attack")
    arguments = set(inspect.signature(attack.Attack).parameters)
    explained = {f"{word}s" for word in WORDS} | WORDS | set(re.findall(r"`(\w+)`", PAGES["glossary.md"]))
    others = {"gradient_filter": "filter", "optimizer": "lr", "stagnation_rule": "stagnation", "seed": "restart"}
    assert {others.get(name, name) for name in arguments} <= explained


# -------------------------------------------------------------------------------------------------- code in pages


def blocks(page: str) -> list[str]:
    """The Python of a page."""
    return re.findall(r"^```python\n(.*?)^```$", PAGES[page], re.M | re.DOTALL)


def test_the_loop_of_the_design_page_is_the_code():
    found = re.search(r"<!-- source: ([\w.]+) -->\n```python\n(.*?)```", PAGES["design.md"], re.DOTALL)
    path, shown = found.groups()
    module, _, name = path.rpartition(".")
    module, _, owner = module.rpartition(".")
    method = ast.parse(
        textwrap.dedent(inspect.getsource(getattr(getattr(importlib.import_module(module), owner), name)))
    )
    body = method.body[0].body[1:]  # without its docstring
    assert ast.dump(ast.parse(shown)) == ast.dump(ast.Module(body=body, type_ignores=[]))


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """Names that the examples of extending.md leave behind, run in their order, and what each found."""
    names: dict[str, object] = {"__name__": "extending"}
    found: dict[str, object] = {}
    for block in blocks("extending.md"):
        names.pop("result", None)
        exec(compile(block, "extending.md", "exec"), names)
        made = [node.name for node in ast.parse(block).body if isinstance(node, ast.ClassDef)]
        if "result" in names:
            found[made[0] if made else "Engine"] = names["result"]
    return names, found


def test_examples_run_and_find_something(extended):
    _, found = extended
    classes = re.findall(r"^class (\w+)\(", PAGES["extending.md"], re.M)
    assert set(found) == {*classes, "Engine"} - {"Stripes", "Enough"}  # data; a rule, which the engine's example runs
    for name, result in found.items():
        assert len(result) == 3, name
        assert result.reconstruction.isfinite().all(), name
        assert result.iterations.min() >= 1, name


def test_examples_do_what_their_sentences_say(extended):
    names, found = extended
    columns = found["Columns"].reconstruction
    assert (columns == columns[..., :1, :]).all()
    mirrored = found["Mirrored"].reconstruction
    assert torch.equal(mirrored, mirrored.flip(-1))
    assert set(found["Engine"].stop_reason) == {"target_cost"}
    # one query for x_0, and in each of three iterations one for the evaluation and 65 for the gradient of 64 pixels
    assert found["OneSided"].queries.tolist() == [1 + 3 * 66] * 3
    assert found["Latest"].iterations.tolist() == [3] * 3
    assert names["judgement"].per_row["contrast"].shape == (3,)
    assert names["faces"].train_x.shape == (24, 1, 8, 8)


def test_examples_are_short():
    assert all(len(block.splitlines()) < 50 for block in blocks("extending.md"))


# ------------------------------------------------------------------------------------------------------- citation


@pytest.fixture(scope="module")
def citation():
    """CITATION.cff."""
    return yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_citation_is_of_this_version_and_licence(citation):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == project["version"] == mi_lightning.__version__
    assert citation["license"] == project["license"]
    assert {"message", "title", "abstract", "authors"} <= set(citation)
    assert citation["authors"] == [{"name": "mi_lightning contributors"}]


def test_citation_names_works_as_the_references_do(citation):
    assert len(citation["references"]) > 3
    for work in citation["references"]:
        assert {"type", "title", "authors", "year"} <= set(work)
        [line] = [line for line in PAGES["references.md"].splitlines() if f"*{work['title']}*" in line]
        assert str(work["year"]) in line
        assert all(author["family-names"] in line for author in work["authors"])
        for identifier in work.get("identifiers", []):
            assert identifier["value"].removeprefix("arXiv:") in line


def test_the_table_of_extras_is_that_of_the_package():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    rows = re.findall(r"^\| (`.*?) \|", PAGES["install.md"], re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named == extras.keys() - {"test", "dev", "docs"}  # these are for working on the project
