"""Settings and circumstances of several runs side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mi_lightning.io import read_text
from mi_lightning.report.formats import text
from mi_lightning.report.results import RunResults


def side_by_side(columns: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Nested settings of several runs as one table: name, value in each run, and whether they differ."""
    flat = [_flatten(column) for column in columns]
    names = dict.fromkeys(name for column in flat for name in column)
    rows = []
    for name in names:
        values = [column.get(name, "–") for column in flat]
        group, _, rest = name.partition(" · ")
        rows.append({"group": group, "name": rest, "values": values, "differs": len(set(values)) > 1})
    return rows


def circumstances(run: RunResults, folder: str | None = None) -> dict[str, Any]:
    """How, when and with what a run was made, and who judged it.

    Args:
        run: The run.
        folder: Where it is, as the page says it; from the working folder if None.
    """
    return {
        "when": run.data["created"],
        "run": run.data.get("run", {}),
        "versions": run.data["package_versions"],
        "evaluator": run.data.get("evaluator") or {},
        "data": run.data.get("data") or {},
        "folder": run.said(str(_from_here(run.folder)) if folder is None else folder),
    }


def config_of(run: RunResults) -> str:
    """Text of the run's configuration, empty if there is none beside the results."""
    name: str | None = run.data["config"]
    if name is None or Path(name).name != name:  # a results.json from elsewhere must not pull other files into a page
        return ""
    path = run.folder / name
    # not there if the folder was tidied up: the report does without
    return run.said(read_text(path)) if path.exists() else ""


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for name, value in values.items():
        title = f"{prefix}{name.replace('_', ' ')}"
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{title} · ")
        elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            for index, item in enumerate(value):
                flat |= _flatten(item if isinstance(item, Mapping) else {"": item}, f"{title} {index + 1} · ")
        else:
            flat[title] = text(value)
    return flat


def _from_here(path: Path) -> Path:
    """The path from the working folder if it lies below it: a page that is passed on need not tell where that was."""
    path, here = path.resolve(), Path.cwd().resolve()
    return path.relative_to(here) if path.is_relative_to(here) else path
