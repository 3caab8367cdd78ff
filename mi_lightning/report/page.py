"""One self-contained HTML page about one or several attacks."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
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
from mi_lightning.report.notes import NO_EVIDENCE, notes
from mi_lightning.report.origin import package_versions
from mi_lightning.report.overview import attacks, entries, headline
from mi_lightning.report.results import RunResults, read_runs
from mi_lightning.report.settings import circumstances, config_of, side_by_side
from mi_lightning.report.table import table_rows
from mi_lightning.report.withholding import tree_with, withhold

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
    withheld: Collection[str] = (),
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
        withheld: What is not shown: ``"pictures"``, ``"names"`` (:mod:`mi_lightning.report.withholding`).

    Returns:
        ``output``.

    Raises:
        InputError: If there is no run, or not one name for each.
        MIError: If a run cannot be read or the file cannot be written.
    """
    names, found = read_runs(runs, names)
    output = Path(output)
    shown = withhold(found, withheld)
    page = render_report(names, shown, title=title, audit=audit, made=made, human=human)
    write_atomically(output, page)
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
    """The page as text; arguments as those of :func:`build_report`, but runs as they are shown.

    Where the names of the people are withheld, nothing else on the page names them: not the title, no run.
    """
    said = runs[0].said
    title, names = said(title), [said(name) for name in names]
    audit, human = tree_with(audit, said), tree_with(human, said)
    kinds = {run.media.kind for run in runs}
    told = entries(audit, names, runs)
    return page_template("report.html.j2").render(
        title=title,
        generator=generator(),
        made=_when(made or (audit or {}).get("created")),
        headline=headline(audit, runs),
        quick=NO_EVIDENCE if any(run.quick for run in runs) else None,
        notes=notes(runs),
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
        faint=any(run.pictures and run.media.faint(run.reconstructions, run.modality) for run in runs),
        pictures=any(run.pictures for run in runs),
        shown="picture" in kinds,
        heard="sound" in kinds,
        parameters=side_by_side([{"target": run.data["target"], "attack": run.data["attack"]} for run in runs]),
        circumstances=side_by_side(
            [circumstances(run, entry.get("folder")) for run, entry in zip(runs, told, strict=True)]
        ),
        configs=[(name, text) for name, run in zip(names, runs, strict=True) if (text := config_of(run))],
    )


@cache
def generator() -> str:
    """Who writes a page: version and digest of this program's part of it, and the packages that its bytes depend on.

    Two pages of the same runs by the same generator are the same, byte for byte.
    """
    own = hashlib.sha256()
    folder = Path(__file__).parent
    for path in sorted(path for path in folder.rglob("*") if path.suffix in (".py", ".j2", ".css", ".json")):
        own.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    found = package_versions(("mi-lightning", "jinja2", "pillow", "soundfile", "numpy"))
    packages = ", ".join(f"{name} {found[name]}" for name in ("jinja2", "pillow", "soundfile", "numpy"))
    return f"mi_lightning {found['mi-lightning']} ({own.hexdigest()[:16]}); {packages}"


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
