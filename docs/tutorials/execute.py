"""Runs the tutorials and keeps what they show: ``python docs/tutorials/execute.py [FILE ...]``; all if none is named.

Needs the extra ``docs``. A test runs every cell, and compares what was printed with what is kept here, but for numbers.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent


def execute(path: Path) -> None:
    """Run a notebook in this folder and write it back, without times and other traces of the machine."""
    notebook = nbformat.read(path, as_version=4)
    where = {"metadata": {"path": str(HERE)}}
    NotebookClient(notebook, timeout=600, record_timing=False, coalesce_streams=True, resources=where).execute()
    for cell in notebook.cells:
        cell.metadata.clear()
        if cell.cell_type == "code":
            cell.outputs = [each for each in cell.outputs if each.get("name") != "stderr"]
    notebook.metadata.language_info = {"name": "python"}
    nbformat.write(notebook, path)


def main(arguments: Sequence[str]) -> None:
    """Run the notebooks that are named, or all."""
    for path in [Path(name) for name in arguments] or sorted(HERE.glob("*.ipynb")):
        execute(path)


if __name__ == "__main__":
    main(sys.argv[1:])
