"""One self-contained HTML page about one or several attacks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mi_lightning.io import write_atomically
from mi_lightning.report.cards import people
from mi_lightning.report.columns import columns_of
from mi_lightning.report.formats import show
from mi_lightning.report.narrative import reading, warnings
from mi_lightning.report.results import RunResults, read_runs
from mi_lightning.report.settings import circumstances, config_of, side_by_side
from mi_lightning.report.table import table_rows

if TYPE_CHECKING:
    from jinja2 import Template


def build_report(
    runs: Sequence[str | Path],
    output: str | Path,
    *,
    title: str = "Model inversion report",
    names: Sequence[str] | None = None,
) -> Path:
    """Write one HTML file that needs nothing else: photographs beside reconstructions, numbers, controls, settings.

    Args:
        runs: Folders that :func:`~mi_lightning.report.results.write_results` wrote, one column each.
        output: File to write; it is there whole or not at all.
        title: Title of the page.
        names: Name of each run; taken from the folders if None.

    Returns:
        ``output``.

    Raises:
        InputError: If there is no run, or not one name for each.
        MIError: If a run cannot be read or the file cannot be written.
    """
    names, found = read_runs(runs, names)
    kinds = {run.media.kind for run in found}
    page = page_template("report.html.j2").render(
        title=title,
        made=datetime.now(UTC).strftime("%d %B %Y, %H:%M UTC"),
        runs=[_describe_run(name, run) for name, run in zip(names, found, strict=True)],
        columns=columns_of(found),
        rows=table_rows(names, found),
        people=people(names, found),
        judged=any(run.summary.get("evaluator_top1") is not None for run in found),
        faint=any(run.media.faint(run.reconstructions, run.modality) for run in found),
        shown="picture" in kinds,
        heard="sound" in kinds,
        parameters=side_by_side([{"target": run.data["target"], "attack": run.data["attack"]} for run in found]),
        circumstances=side_by_side([circumstances(run) for run in found]),
        configs=[(name, text) for name, run in zip(names, found, strict=True) if (text := config_of(run))],
    )
    output = Path(output)
    write_atomically(output, page)
    return output


@cache
def page_template(name: str) -> Template:
    """A page of ``report/templates``, compiled once."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # here, so that a help text does without it

    environment = Environment(
        loader=PackageLoader("mi_lightning.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["show"] = show
    return environment.get_template(name)


def _describe_run(name: str, run: RunResults) -> dict[str, Any]:
    """What the head of the page says of a run."""
    summary = run.summary
    people = int(summary["labels"])
    top1 = summary.get("evaluator_top1")
    return {
        "name": name,
        "target": str(run.data["target"].get("class") or "unknown target").rpartition(".")[2],
        "defenses": run.data["target"].get("defenses") or [],
        "people": people,
        "hits": None if top1 is None else round(top1 * people),
        "reading": reading(run),
        "warnings": warnings(run),
        "summary": summary,
        "chance": run.data.get("chance", {}),
        "mean_face_ssim": run.data.get("controls", {}).get("mean_face", {}).get("ssim_mean"),
    }
