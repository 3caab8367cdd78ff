"""One self-contained HTML page about one or several attacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mi_lightning.io import write_atomically
from mi_lightning.report.annex import annex
from mi_lightning.report.cards import people
from mi_lightning.report.columns import columns_of
from mi_lightning.report.evidence import against, recognisers, threat_model
from mi_lightning.report.formats import show
from mi_lightning.report.marks import MARKS
from mi_lightning.report.narrative import reading
from mi_lightning.report.overview import attacks, entries, headline
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
    audit: Mapping[str, Any] | None = None,
    made: str | None = None,
    human: Mapping[str, Any] | None = None,
) -> Path:
    """Write one HTML file that needs nothing else: the outcome, the people, the evidence, the settings.

    The same runs and audit give the same bytes.

    Args:
        runs: Folders that :func:`~mi_lightning.report.results.write_results` wrote, one column each.
        output: File to write; it is there whole or not at all.
        title: Title of the page.
        names: Name of each run; taken from the folders if None.
        audit: Content of ``audit.json``, from which every figure over people comes: the headline, intervals, leaks,
            comparisons. Without it only what a run says of itself is shown, and the page says that it has no headline.
        made: When the page was made, as it is shown; when the audit was made if None, or now.
        human: What human judges say (:func:`~mi_lightning.report.study.human_judgement`), if any were asked.

    Returns:
        ``output``.

    Raises:
        InputError: If there is no run, or not one name for each.
        MIError: If a run cannot be read or the file cannot be written.
    """
    names, found = read_runs(runs, names)
    output = Path(output)
    write_atomically(output, render_report(names, found, title=title, audit=audit, made=made, human=human))
    return output


def render_report(
    names: Sequence[str],
    runs: Sequence[RunResults],
    *,
    title: str,
    audit: Mapping[str, Any] | None,
    made: str | None = None,
    human: Mapping[str, Any] | None = None,
) -> str:
    """The page as text; arguments as those of :func:`build_report`."""
    kinds = {run.media.kind for run in runs}
    told = entries(audit, names, runs)
    return page_template("report.html.j2").render(
        title=title,
        made=_when(made or (audit or {}).get("created")),
        headline=headline(audit, runs),
        marks=MARKS,
        attacks=attacks(told, runs),
        runs=[{"name": name, "reading": reading(run)} for name, run in zip(names, runs, strict=True)],
        comparisons=(audit or {}).get("comparisons") or [],
        threats=threat_model(told, runs),
        against=against(told, runs),
        recognisers=recognisers(names, runs),
        annex=annex(audit, told, runs),
        human=human,
        columns=columns_of(runs),
        rows=table_rows(names, runs),
        people=people(names, runs),
        judged=any(run.summary.get("recognised") is not None for run in runs),
        inside=any(run.summary.get("evaluator_top1") is not None for run in runs),
        faint=any(run.media.faint(run.reconstructions, run.modality) for run in runs),
        shown="picture" in kinds,
        heard="sound" in kinds,
        parameters=side_by_side([{"target": run.data["target"], "attack": run.data["attack"]} for run in runs]),
        circumstances=side_by_side(
            [circumstances(run, entry.get("folder")) for run, entry in zip(runs, told, strict=True)]
        ),
        configs=[(name, text) for name, run in zip(names, runs, strict=True) if (text := config_of(run))],
    )


def _when(created: str | None) -> str:
    """A time as people read it; now if None; what is no time in ISO 8601 stays as it is."""
    try:
        time = datetime.now(UTC) if created is None else datetime.fromisoformat(created)
    except ValueError:
        return str(created)
    return time.astimezone(UTC).strftime("%d %B %Y, %H:%M UTC")


@cache
def page_template(name: str) -> Template:
    """A page of ``report/templates``, compiled once."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # here, so that a help text does without it
    from markupsafe import Markup, escape

    environment = Environment(
        loader=PackageLoader("mi_lightning.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["show"] = show
    environment.filters["breakable"] = lambda name: escape(name).replace("_", Markup("_<wbr>"))
    return environment.get_template(name)
