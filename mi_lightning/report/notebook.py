"""What was found as a notebook shows it: pictures, players, and a table, small enough to be kept in the file.

Nothing here is called by what it shows: :func:`mi_lightning.load_ipython_extension` tells a notebook of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mi_lightning.attacks.result import InversionResult
from mi_lightning.data.base import Modality, modality_of
from mi_lightning.errors import InputError, MIError
from mi_lightning.io import read_json
from mi_lightning.judging.judgement import Judgement, best_rows
from mi_lightning.judging.verdicts import TITLES
from mi_lightning.report import pictures
from mi_lightning.report.audit.whole import DOCUMENT, Audit
from mi_lightning.report.columns import COLUMNS
from mi_lightning.report.formats import show as shown
from mi_lightning.report.inline import sound_uri, webp_uri
from mi_lightning.report.marks import mark
from mi_lightning.report.media import media
from mi_lightning.report.page import page_template
from mi_lightning.report.results import RunResults, read_results
from mi_lightning.report.schema.audit import AUDIT_SCHEMA
from mi_lightning.report.schema.check import problem
from mi_lightning.stats import exact_interval

MOST = 24  # people that are shown at most
_EDGE = 128  # pixels of the longer side of a picture at most; smaller ones are enlarged by the browser

#: What shows itself.
Thing = InversionResult | Judgement | RunResults | Audit | str | Path


class Shown:
    """Something that a notebook shows, and a terminal names.

    Args:
        html: What a notebook shows.
        text: What a terminal prints.
    """

    def __init__(self, html: str, text: str) -> None:
        """Keep both."""
        self.html, self.text = html, text

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        """Give the text."""
        return self.text


@dataclass(frozen=True)
class _Look:
    """A picture, or a sound with its picture.

    Attributes:
        uri: Its address, which holds it.
        caption: What it is.
        picture: Address of the picture of a sound.
    """

    uri: str
    caption: str
    picture: str = ""


@dataclass(frozen=True)
class _Person:
    """What is shown of one person.

    Attributes:
        name: Who.
        looks: Pictures.
        sounds: Sounds.
        said: Lines below.
    """

    name: str
    looks: Sequence[_Look]
    sounds: Sequence[_Look]
    said: Sequence[str]


@dataclass(frozen=True)
class _Part:
    """A part of what is shown: lines, people, a table; each may be missing."""

    title: str = ""
    warning: str = ""
    said: Sequence[str] = ()
    people: Sequence[_Person] = ()
    heading: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


def show(
    thing: Thing,
    judgement: Judgement | None = None,
    *,
    input_range: tuple[float, float] = (0.0, 1.0),
    sample_rate: int | None = None,
    most: int = MOST,
) -> Shown:
    """Show what was found: of a result the best reconstruction of each person, to look at or to listen to.

    Args:
        thing: A result, a judgement, a run, an audit, or the folder of a run or an audit.
        judgement: What a judge says of the result: the person's mean photograph or real speech stands beside it, and
            the verdict below.
        input_range: Lowest and highest value of an input of the result; a folder knows its own.
        sample_rate: Samples in a second of its sounds (Hz); 16000 if None.
        most: People that are shown at most, at least 1.

    Returns:
        What a notebook shows when a cell ends with it.

    Raises:
        InputError: If ``most`` is below 1, or the judgement is of another result.
        MIError: If a folder holds neither a run nor an audit, or they cannot be read.
    """
    if most < 1:
        raise InputError("most >= 1", most, field="most")
    if isinstance(thing, str | Path):
        thing = _read(Path(thing))
    if isinstance(thing, InversionResult):
        if judgement is not None and any(len(each) != len(thing) for each in judgement.per_row.values()):
            raise InputError(f"a judgement of these {len(thing)} rows", "one of others", field="judgement")
        found = _found(thing, judgement, input_range, sample_rate, most)
        return _shown([found] if judgement is None else [found, _judged(judgement)], repr(thing))
    if isinstance(thing, Judgement):
        return _shown([_judged(thing)], repr(thing))
    if isinstance(thing, RunResults):
        return _shown([_run(thing.name, thing, most)], repr(thing))
    sentence, runs = str(thing.document["headline"]["sentence"]), zip(thing.names, thing.runs, strict=True)
    rows = [[run["name"], *_figures(run)] for run in thing.document["runs"]]
    heading = ("run", "recognised (95%)", "ceiling", "chance", "best control")
    whole = _Part(thing.document["title"], said=[sentence], heading=heading, rows=rows)
    return _shown([whole, *(_run(name, run, most) for name, run in runs)], sentence)


def _shown(parts: Sequence[_Part], text: str) -> Shown:
    """Put parts into HTML, where all text is escaped."""
    return Shown(page_template("notebook.html.j2").render(parts=parts), text)


def _read(folder: Path) -> RunResults | Audit:
    """Read the folder of a run or of an audit.

    Raises:
        MIError: If it is neither, or cannot be read.
    """
    if not (folder / DOCUMENT).is_file():
        if (folder / "results.json").is_file():
            return read_results(folder)
        raise MIError(f"neither results.json nor {DOCUMENT} in {folder}: name the folder of an attack or of an audit")
    document = read_json(folder / DOCUMENT)
    if wrong := problem(document, AUDIT_SCHEMA):
        raise MIError(f"{folder / DOCUMENT} does not fit its schema: {wrong}")
    runs = document["runs"]
    return Audit(
        folder, [run["name"] for run in runs], [read_results(folder / run["folder"]) for run in runs], document
    )


def _figures(run: Mapping[str, Any]) -> list[str]:
    """What an audit says of a run in a line."""
    if run["recognised"] is None:
        return [f"not measured: {run['refused']}", "–", "–", "–"]
    interval = f"{shown(run['recognised'], 'share')} ({run['recognised_low']:.0%} to {run['recognised_high']:.0%})"
    best = run["best_control"]
    control = "–" if best is None else f"{shown(best['recognised'], 'share')}, {best['name'].replace('_', ' ')}"
    return [interval, shown(run["ceiling"], "share"), shown(run["chance"], "share"), control]


# ------------------------------------------------------------------------------------------------------------ people


def _run(name: str, run: RunResults, most: int) -> _Part:
    """A run that lies in a folder: what it found of each person, and the verdict."""
    people = []
    for index, row in list(zip(run.best_index, run.best, strict=True))[:most]:
        cell = run.media.cell(run.arrays, index, run.modality)
        known = (("closest photograph", cell.get("closest")), ("reconstruction", cell.get("picture")))
        sounds = [_Look(each["sound"], each["caption"], each["picture"]) for each in cell.get("sounds", ())]
        said = [f"target {shown(row['confidence'], 'share')} sure", mark(row.get("verdict")).title]
        people.append(_Person(str(row["name"]), [_Look(uri, what) for what, uri in known if uri], sounds, said))
    left = _left_out(len(run.best), most)
    return _Part(f"{name}{left}", warning=_warning(run.data.get("verification")), people=people)


def _warning(verification: Mapping[str, Any] | None) -> str:
    """What must not be overlooked: a target that was not seen to know these people."""
    status = str((verification or {}).get("status"))
    if verification is None or status in ("None", "verified", "exempt"):
        return ""
    return f"{status.replace('_', ' ')}: {verification.get('reason') or 'the target was not checked'}"


def _found(
    result: InversionResult,
    judgement: Judgement | None,
    input_range: tuple[float, float],
    sample_rate: int | None,
    most: int,
) -> _Part:
    """The best reconstruction of each person, beside what the person is like if that is known."""
    said = [repr(result) + _left_out(len(result.best()), most)]
    if not len(result):
        return _Part(said=said)
    rows, modality = best_rows(result)[:most], modality_of(result.reconstruction.shape[1:], input_range, sample_rate)
    kind = media(modality.kind)
    waves = kind.players(result, judgement)
    looks = {} if waves else {"reconstruction": kind.pixels(result.reconstruction[rows], modality)}
    if (made := looks.get("reconstruction")) is not None and kind.faint(result.reconstruction[rows], modality):
        looks["contrast stretched"] = pictures.stretched(made)
    if looks and judgement is not None and judgement.reference_mean is not None:
        looks = {"mean photograph": kind.pixels(judgement.reference_mean[rows], modality)} | looks
    people = []
    for place, row in enumerate(rows.tolist()):
        seen = [_Look(pictures.data_uri(_small(each[place])), name) for name, each in looks.items() if each is not None]
        heard = [_sound(name, wave[row : row + 1], modality) for name, wave in waves.items()]
        lines = [f"target {result.confidence[row].item():.0%} sure, {result.stop_reason[row].replace('_', ' ')}"]
        if judgement is not None and judgement.verdicts:
            lines.append(f"{TITLES[judgement.verdicts[row].kind]}: {judgement.verdicts[row].reason}")
        people.append(_Person(result.name[row], seen, heard, lines))
    return _Part(said=said, people=people)


def _sound(name: str, wave: Tensor, modality: Modality) -> _Look:
    """A waveform, shape (1, 1, samples), to listen to and to look at."""
    seen = media(modality.kind).pixels(wave, modality)
    return _Look(sound_uri(wave, modality.sample_rate or 0), name, "" if seen is None else webp_uri(seen[0]))


def _small(pixels: pictures.Pixels) -> pictures.Pixels:
    """A picture no larger than it is shown."""
    height, width = pixels.shape[:2]
    scale = _EDGE / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small: pictures.Pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
    return small


def _left_out(people: int, most: int) -> str:
    return f" (the first {most} of {people} people)" if people > most else ""


# ------------------------------------------------------------------------------------------------------------ figures


def _judged(judgement: Judgement) -> _Part:
    """What is said of an attack: its figures, those of the controls and the ceiling, and the verdicts."""
    lines: dict[str, Mapping[str, float]] = {"reconstructions": judgement.summary}
    lines |= {f"control: {name.replace('_', ' ')}": numbers for name, numbers in judgement.controls.items()}
    lines |= {f"ceiling: {name.replace('_', ' ')}": numbers for name, numbers in judgement.ceiling.items()}
    lines["guessing"] = judgement.chance
    titles = {"recognised": ("recognised", "share")}
    titles |= {column.key: (column.title, column.kind) for column in COLUMNS if column.kind in ("share", "number")}
    kept = [key for key in titles if any(key in numbers for numbers in lines.values())]
    rows = [[line, *(shown(numbers.get(key), titles[key][1]) for key in kept)] for line, numbers in lines.items()]
    return _Part(said=_sentences(judgement), heading=["", *(titles[key][0] for key in kept)], rows=rows)


def _sentences(judgement: Judgement) -> list[str]:
    """The figure that counts with its interval, and how often each verdict was given."""
    known = judgement.per_row.get("recognised")
    if known is None or not bool(known.isfinite().any()):
        missing = judgement.description.get("recogniser_missing")
        return [f"Nobody who never met these people has judged{'' if missing is None else f': {missing}'}."]
    judged = known.isfinite()
    hits, people = int(known[judged].sum()), int(judged.sum())
    low, high = exact_interval(hits, people)
    said = [f"A recogniser that never met these people names {hits} of {people} (95%: {low:.0%} to {high:.0%})."]
    if judgement.verdicts:
        counts = Counter(judgement.verdicts[row].kind for row in _places(judged))
        said.append(", ".join(f"{count} {TITLES[kind]}" for kind, count in counts.most_common()) + ".")
    return said


def _places(mask: Tensor) -> list[int]:
    places: list[int] = torch.nonzero(mask)[:, 0].tolist()
    return places
