"""What the site is made of beside the pages of this folder: API pages, pages from elsewhere, references in docstrings.

MkDocs calls the functions ``on_...``; mkdocstrings loads :class:`Docstrings`. Sources are read, nothing is imported.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "mi_lightning"
#: Pages that lie outside this folder, by their path from the root; they keep it in the site.
ELSEWHERE = ("CONTRIBUTING.md", "benchmarks/RESULTS.md")

_ROLE = re.compile(r":(?:class|func|meth|attr|data|mod|exc|obj):`(~?)([\w.]+)`")
_LINK = re.compile(r"\[([^\[\]]*)\]\(([^)\s#:]+)(#[^)\s]*)?\)")
_FENCE = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
_KEY = re.compile(r"(?<![\w`\]])\[(([A-Z][A-Za-z]*\d*)(?:, [^\]]+)?)\](?![(\[])")


def packages() -> dict[str, list[str]]:
    """Map each package to its public modules, by their dotted names."""
    found = {}
    for init in sorted(PACKAGE.rglob("__init__.py")):
        folder = init.parent
        dotted = ".".join(folder.relative_to(ROOT).parts)
        names = sorted(path.stem for path in folder.glob("*.py"))
        found[dotted] = [f"{dotted}.{name}" for name in names if not name.startswith("_")]
    return found


def api_pages() -> Iterator[tuple[str, str, str]]:
    """Give title, path and text of each API page: one for each package, with all its public modules."""
    for package, modules in packages().items():
        lines = [f"# {package}", "", f"::: {package}", "    options:", "      members: false", ""]
        lines += [f"::: {module}\n" for module in modules]
        yield package, f"api/{package}.md", "\n".join(lines)


def tutorial_pages() -> Iterator[tuple[str, str]]:
    """Give path and text of each tutorial: its notebook, with what it showed when it was last run."""
    for path in sorted((ROOT / "docs" / "tutorials").glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        yield f"tutorials/{path.stem}.md", "\n\n".join(block for cell in cells for block in _cell(cell))


def _cell(cell: Mapping[str, Any]) -> Iterator[str]:
    """Give what a cell of a notebook becomes on a page."""
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source
        return
    yield f"```python\n{source}\n```"
    for output in cell["outputs"]:
        data = output.get("data", {})
        if "text/html" in data:  # without empty lines, after which Markdown would go on
            lines = [line for line in "".join(data["text/html"]).splitlines() if line.strip()]
            yield "\n".join(['<div class="shown">', *lines, "</div>"])
        else:
            yield f"```text\n{''.join(data.get('text/plain', output.get('text', ''))).rstrip()}\n```"


def reference_keys() -> frozenset[str]:
    """Return the keys of references.md, such as ``F15``."""
    return frozenset(re.findall(r'<a id="(\w+)">', (ROOT / "docs" / "references.md").read_text(encoding="utf-8")))


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the API to the navigation."""
    if config.nav is None:
        raise ValueError("mkdocs.yml has no nav")
    config.nav.append({"API": [{title: path} for title, path, _ in api_pages()]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the API pages, the tutorials, and the pages from elsewhere."""
    for _, path, text in api_pages():
        files.append(File.generated(config, path, content=text))
    for path, text in tutorial_pages():
        files.append(File.generated(config, path, content=text))
    for path in ELSEWHERE:
        files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: Any) -> str:
    """Send links from a page to where their page lies in the site, and keys of papers to the references.

    A file that has no page in the site is named without a link.
    """
    source = page.file.src_uri
    home = source if source in ELSEWHERE else f"docs/{source}"  # path from the root of the project
    parts = _FENCE.split(markdown)  # text and code in turn
    parts[::2] = [_LINK.sub(lambda link: _moved(link, source, home, files.src_uris), part) for part in parts[::2]]
    if source != "references.md":
        list_of_all = posixpath.relpath("references.md", posixpath.dirname(source) or ".")
        cited = {key for part in parts[::2] for whole, key in _KEY.findall(part) if whole == key} & reference_keys()
        parts += [f"\n\n[{key}]: {list_of_all}#{key}" for key in sorted(cited)]
    return "".join(parts)


def _moved(link: re.Match[str], source: str, home: str, pages: Collection[str]) -> str:
    """Return a link as it is in the site; one that leads nowhere stays as it is, for the build to refuse."""
    label, path, anchor = link.groups()
    target = posixpath.normpath(posixpath.join(posixpath.dirname(home), path))
    uri = target if target in ELSEWHERE else target.removeprefix("docs/")
    uri = re.sub(r"\.ipynb$", ".md", uri)  # a tutorial
    if uri in pages and (target in ELSEWHERE or target.startswith("docs/")):
        return f"[{label}]({posixpath.relpath(uri, posixpath.dirname(source) or '.')}{anchor or ''})"
    return label if (ROOT / target).exists() else link[0]


class Docstrings(griffe.Extension):
    """Turns the roles of Sphinx into links, and keys of papers such as [F15] into links to the references."""

    def on_package(self, *, pkg: griffe.Module, loader: griffe.GriffeLoader, **kwargs: Any) -> None:
        """Rewrite every docstring, once all of the package has been read and names can be looked up."""
        keys = reference_keys()

        def paper(found: re.Match[str]) -> str:
            # every API page lies two folders deep in the site: api/NAME/index.html
            return f'<a href="../../references/#{found[2]}">[{found[1]}]</a>' if found[2] in keys else found[0]

        def reference(role: re.Match[str]) -> str:
            return _reference(role, pkg)

        for docstring in _docstrings(pkg):
            # Google's style has "Example:", griffe shows code as such only under "Examples:"
            text = re.sub(r"^(\s*)Example:$", r"\1Examples:", docstring.value, flags=re.MULTILINE)
            docstring.value = _KEY.sub(paper, _ROLE.sub(reference, text))


def _docstrings(obj: griffe.Object) -> Iterator[griffe.Docstring]:
    """Give the docstrings of an object and of everything in it, each once."""
    if obj.docstring is not None:
        yield obj.docstring
    for member in obj.members.values():
        if isinstance(member, griffe.Object):  # an alias stands for what is visited where it is defined
            yield from _docstrings(member)


def _reference(role: re.Match[str], package: griffe.Module) -> str:
    """Return a link for a full path, and the bare name in code for a shorter one or for what no page shows.

    A path that leads nowhere is left as a link, which the build refuses.
    """
    short, path = role.groups()
    shown = f"`{path.rpartition('.')[2] if short else path}`"
    if not path.startswith(f"{package.name}."):
        return shown
    try:
        found = package[path.removeprefix(f"{package.name}.")]
        canonical = found.canonical_path
        private = any(part.startswith("_") for part in canonical.split("."))
        return shown if private or not found.has_docstring else f"[{shown}][{canonical}]"
    except (KeyError, griffe.AliasResolutionError):
        return f"[{shown}][{path}]"
