"""Reports: one self-contained HTML page about one or several attacks, and the table for the terminal."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from numpy.typing import NDArray
from rich import box
from rich.table import Table

from mi_lightning.errors import InputError, MIError
from mi_lightning.report import pictures, sound
from mi_lightning.report.results import RunResults, read_results, write_atomically

_CONTROLS = {
    "real_speech": "real speech",
    "noise": "noise images",
    "mean_face": "mean of all faces",
    "shuffled": "shuffled labels",
}
_CONTROLS_SHORT = {"real_speech": "real", "noise": "noise", "mean_face": "mean face", "shuffled": "shuffled"}
_CEILING = "real_speech"  # the one control that should succeed
_CAPTION = (
    "top-1, top-5: an independent evaluator names the person\n"
    "ident.: nearest to the person in its feature space; conf.: the target's own\n"
    "SSIM, NRMSE: against the mean of the person's photographs"
)
_CAPTION_VOICES = (
    "top-1, top-5: an independent evaluator names the speaker; voc.: after a vocoder\n"
    "target: the target names the speaker of the whole; conf.: how sure it is\n"
    "d-vec.: cosine to the real d-vector; mod.: loudness varies like speech's (0 to 1)"
)
_SURE = 0.001  # a control this unlikely to come from guessing is reported as a failure of the measurement
_DOUBT = 0.01  # an outcome more likely than this under guessing is reported as no finding


@dataclass(frozen=True)
class _Column:
    """A number of the summary table."""

    key: str
    short: str
    title: str
    kind: str
    help: str


#: Numbers of voices only.
_VOICES = (
    _Column("target_top1", "target", "target names", "share", "Share that the attacked classifier itself names right"),
    _Column("dvector_cosine_mean", "d-vec.", "d-vector cosine", "number", "Cosine to the speaker's real d-vector"),
    _Column(
        "dvector_euclidean_mean", "dist.", "d-vector distance", "number", "Distance to the speaker's real d-vector"
    ),
    _Column("sex_right", "sex", "sex right", "share", "Share whose sex is inferred right from the target's d-vector"),
    _Column(
        "spectral_distance_mean", "dB", "spectrum off, dB", "decibel", "Distance of the long-term spectrum to speech's"
    ),
    _Column("modulation_mean", "mod.", "like speech", "number", "Loudness that varies as that of speech does, 0 to 1"),
    _Column(
        "vocoder_evaluator_top1", "voc.", "vocoder: named", "share", "Named right by the evaluator after the vocoder"
    ),
    _Column(
        "vocoder_target_top1", "v.target", "vocoder: target", "share", "Named right by the target after the vocoder"
    ),
)
_PICTURES = ("ssim_mean", "ssim_best_mean", "nrmse_mean", "psnr_mean")
_COLUMNS = (
    _Column("evaluator_top1", "top-1", "named right", "share", "Share whose person the independent evaluator names"),
    _Column("evaluator_top5", "top-5", "in top 5", "share", "Share whose person is among the evaluator's five guesses"),
    _Column(
        "identification_top1", "ident.", "identified", "share", "Share nearest to their own person in feature space"
    ),
    _Column("confidence_mean", "conf.", "target sure", "share", "Mean confidence of the attacked classifier"),
    _Column("ssim_mean", "SSIM", "SSIM", "number", "Structural similarity to the person's mean photograph"),
    _Column(
        "ssim_best_mean", "best", "SSIM, closest", "number", "Structural similarity to the person's closest photograph"
    ),
    _Column("nrmse_mean", "NRMSE", "NRMSE", "number", "Error over the norm of the mean photograph; less is closer"),
    _Column("psnr_mean", "PSNR", "PSNR, dB", "decibel", "Peak signal-to-noise ratio against the mean photograph"),
    *_VOICES,
    _Column("iterations_mean", "iter.", "iterations", "count", "Mean iterations of a row"),
    _Column("queries_per_label", "queries", "queries each", "count", "Inputs shown to the target, per person"),
    _Column("seconds", "s", "seconds", "seconds", "Time of the attack on all people"),
)
_TERMINAL = (
    *("evaluator_top1", "evaluator_top5", "identification_top1", "confidence_mean"),
    *("ssim_mean", "nrmse_mean", "iterations_mean", "seconds"),
)
_TERMINAL_VOICES = (
    *("evaluator_top1", "evaluator_top5", "vocoder_evaluator_top1", "target_top1", "confidence_mean"),
    *("dvector_cosine_mean", "sex_right", "modulation_mean", "seconds"),
)


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
    if not runs:
        raise InputError("at least one run", "none", "--runs")
    found = [read_results(run) for run in runs]
    names = _run_names(found) if names is None else list(names)
    if len(names) != len(found):
        raise InputError(f"{len(found)} names, one for each run", len(names), "names")
    page = page_template("report.html.j2").render(
        title=title,
        made=datetime.now(UTC).strftime("%d %B %Y, %H:%M UTC"),
        runs=[_describe_run(name, run) for name, run in zip(names, found, strict=True)],
        columns=_columns(found),
        rows=_table_rows(names, found),
        people=_people(names, found),
        judged=any(run.summary.get("evaluator_top1") is not None for run in found),
        faint=any(_faint(run) for run in found),
        shown=any(pictures.is_picture(run.data.get("input_shape", ())) for run in found),
        heard=any(_heard(run) for run in found),
        parameters=side_by_side([{"target": run.data["target"], "attack": run.data["attack"]} for run in found]),
        circumstances=side_by_side([circumstances(run) for run in found]),
        configs=[(name, text) for name, run in zip(names, found, strict=True) if (text := _config(run))],
    )
    output = Path(output)
    write_atomically(output, page.encode())
    return output


def summary_table(runs: Sequence[str | Path], *, names: Sequence[str] | None = None) -> Table:
    """Make the table for the terminal: each run, its controls below it, and what guessing gives.

    Args:
        runs: Folders that :func:`~mi_lightning.report.results.write_results` wrote.
        names: Name of each run; taken from the folders if None.

    Raises:
        InputError: If there is no run, or not one name for each.
        MIError: If a run cannot be read.
    """
    if not runs:
        raise InputError("at least one run", "none", "--runs")
    found = [read_results(run) for run in runs]
    names = _run_names(found) if names is None else list(names)
    if len(names) != len(found):
        raise InputError(f"{len(found)} names, one for each run", len(names), "names")
    heard = any(_heard(run) for run in found)
    keys = _TERMINAL_VOICES if heard else _TERMINAL
    columns = [column for column in _COLUMNS if column.key in keys]
    table = Table(
        caption=_CAPTION_VOICES if heard else _CAPTION,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),  # so that a long name and all columns fit into 80
    )
    table.add_column("run", overflow="fold")
    for column in columns:
        table.add_column(column.short, justify="right", no_wrap=True)
    for row in _table_rows(names, found):
        label = row["name"]
        if row["kind"] == "control":
            label = f"  {_CONTROLS_SHORT.get(row['key'], row['key'])}"
        values = [show(row["values"].get(column.key), column.kind) for column in columns]
        if row["kind"] != "control" and table.row_count:
            table.add_section()
        table.add_row(label, *values, style="bold" if row["kind"] == "run" else "dim")
    return table


def reading(run: RunResults) -> list[str]:
    """Say in plain sentences what the numbers of a run do and do not show."""
    summary, chance = run.summary, run.data.get("chance", {})
    people = int(summary["labels"])
    said: list[str] = []
    top1, guessing = summary.get("evaluator_top1"), chance.get("evaluator_top1")
    if top1 is not None and guessing:
        hits = round(top1 * people)
        said.append(
            f"An independent classifier, which took no part in the attack, names {hits} of {people} people right "
            f"({show(top1, 'share')}; guessing would give {show(guessing, 'share')}). "
            + _finding(hits, people, guessing)
        )
        accuracy = (run.data.get("evaluator") or {}).get("test_accuracy")
        if accuracy is not None:
            unseen = "recordings" if _heard(run) else "photographs"
            said.append(f"On {unseen} that it has not seen, that classifier is right in {show(accuracy, 'share')}.")
        if (identified := summary.get("identification_top1")) is not None:
            said.append(
                f"By its features alone, {round(identified * people)} of {people} reconstructions are nearest to their "
                "own person."
            )
    else:
        said.append(
            f"{people} people were reconstructed. No independent classifier judged the reconstructions: look at the "
            "pictures, and name an evaluator for a number."
        )
    if (confidence := summary.get("confidence_mean")) is not None:
        said.append(
            f"The attacked classifier itself is {show(confidence, 'share')} sure on average, which proves little: "
            "it is what the attack maximises."
        )
    if (after := summary.get("vocoder_evaluator_top1")) is not None and chance.get("vocoder_evaluator_top1"):
        target = summary.get("vocoder_target_top1")
        said.append(
            f"After a vocoder, which leaves only what a spectrogram can say, it names {round(after * people)} of "
            f"{people}" + ("." if target is None else f", and the attacked classifier {round(target * people)}.")
        )
    real = run.data.get("controls", {}).get(_CEILING, {}).get("modulation_mean")
    if (varies := summary.get("modulation_mean")) is not None and real:
        said.append(
            f"Their loudness varies {varies / real:.0%} as much like speech as that of recordings: "
            + (
                "they have the rhythm of speech."
                if varies > 0.6 * real
                else "they have some of the rhythm of speech."
                if varies > 0.3 * real
                else "they are steady noise rather than speech."
            )
        )
    mean_face = run.data.get("controls", {}).get("mean_face", {}).get("ssim_mean")
    if (alike := summary.get("ssim_mean")) is not None and mean_face is not None:
        said.append(
            f"As pictures they are {'closer' if alike > mean_face else 'no closer'} to the person's mean photograph "
            f"(SSIM {alike:.2f}) than the mean of all faces is, which shows nobody ({mean_face:.2f})"
            + ("." if alike > mean_face else ": look at the pictures, too.")
        )
    return said


def warnings(run: RunResults) -> list[str]:
    """Say what a reader has to know before the numbers of a run are believed."""
    people, chance = int(run.summary["labels"]), run.data.get("chance", {})
    found = []
    for control, numbers in run.data.get("controls", {}).items():
        if control == _CEILING:
            continue
        for key in ("evaluator_top1", "identification_top1"):
            share, guessing = numbers.get(key), chance.get(key)
            if share is None or not guessing:
                continue
            if _tail(round(share * people), people, guessing) < _SURE:
                found.append(
                    f"The control “{_control(run, control)}” reaches {show(share, 'share')} where guessing "
                    f"gives {show(guessing, 'share')}: the evaluator sees people where there are none, so do not "
                    "trust this run's figures."
                )
                break
    if interrupted := run.summary.get("stop_reasons", {}).get("interrupted"):
        found.append(
            f"The attack was interrupted: {interrupted} of {run.summary['rows']} rows had not stopped by themselves."
        )
    if diverged := run.summary.get("stop_reasons", {}).get("diverged"):
        found.append(f"{diverged} of {run.summary['rows']} rows diverged (their cost was no longer a number).")
    if (outside := run.summary.get("outside_range")) and outside > 0:
        low, high = _input_range(run)
        found.append(
            f"{show(outside, 'share')} of the values lie outside [{low:g}, {high:g}], since the attack has no clamp. "
            "Such a reconstruction is shifted and stretched into that range before it is judged, and shown so."
        )
    return found


@cache
def page_template(name: str) -> Template:
    """A page of ``report/templates``, compiled once."""
    environment = Environment(
        loader=PackageLoader("mi_lightning.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["show"] = show
    return environment.get_template(name)


def _finding(hits: int, people: int, guessing: float) -> str:
    """What a number of hits means, in a sentence."""
    if _tail(hits, people, guessing) > _DOUBT:
        return "That cannot be told from guessing: this attack shows no leak, which does not prove that there is none."
    if hits >= 0.9 * people:
        return "By that measure the attacked classifier gives away nearly everybody whom it was trained on."
    if hits >= 0.5 * people:
        return "By that measure the attacked classifier gives away most of the people whom it was trained on."
    return "That is more than guessing gives: the attacked classifier gives away some of the people."


def _tail(hits: int, count: int, chance: float) -> float:
    """Probability that guessing gives this many hits or more (binomial).

    Example:
        >>> _tail(1, 2, 0.5)
        0.75
    """
    return math.fsum(math.comb(count, k) * chance**k * (1 - chance) ** (count - k) for k in range(hits, count + 1))


def _run_names(runs: Sequence[RunResults]) -> list[str]:
    """A short name for each run: its folder, or the one above where a logger only numbered it; no two alike."""
    names = []
    for run in runs:
        folder = run.folder.resolve()
        numbered = re.fullmatch(r"version_\d+", folder.name) and folder.parent.name not in ("", "lightning_logs")
        names.append(folder.parent.name if numbered else folder.name)
    counts = Counter(names)
    names = [
        f"{name}/{run.name}" if counts[name] > 1 and run.name != name else name
        for name, run in zip(names, runs, strict=True)
    ]
    counts, seen = Counter(names), Counter[str]()
    for index, name in enumerate(names):
        if counts[name] > 1:
            seen[name] += 1
            names[index] = f"{name} ({seen[name]})"
    return names


def _table_rows(names: Sequence[str], runs: Sequence[RunResults]) -> list[dict[str, Any]]:
    """Rows of the summary table: each run, its controls, then chance (once, if it is the same for all)."""
    rows: list[dict[str, Any]] = []
    chances: list[Mapping[str, float]] = []
    for name, run in zip(names, runs, strict=True):
        rows.append({"name": name, "kind": "run", "values": run.summary})
        rows += [
            {"name": _control(run, control), "key": control, "kind": "control", "values": numbers}
            for control, numbers in run.data.get("controls", {}).items()
        ]
        if (chance := run.data.get("chance")) and chance not in chances:
            chances.append(chance)
    return rows + [{"name": "guessing", "kind": "chance", "values": chance} for chance in chances]


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


def _people(names: Sequence[str], runs: Sequence[RunResults]) -> list[dict[str, Any]]:
    """One card for each person: photograph, and one cell for each run that reconstructed the person."""
    people: dict[tuple[int, str], dict[str, Any]] = {}
    for place, run in enumerate(runs):
        arrays = run.arrays
        shown = pictures.is_picture(arrays["reconstruction"].shape[1:])
        for index, row in zip(run.best_index, run.best, strict=True):
            person = people.setdefault(
                (row["label"], row["name"]),
                {"label": row["label"], "name": row["name"], "mean": None, "voice": None, "cells": [None] * len(runs)},
            )
            if shown and person["mean"] is None:
                person["mean"] = reference(arrays, "reference_mean", index)
            person["cells"][place] = _cell(names[place], row, run, arrays, index) if shown else _cell(names[place], row)
            if sound.is_sound(arrays["reconstruction"].shape[1:]):
                person["cells"][place]["sounds"] = _sounds(run, arrays, index)
                voice = _real_voice(run, arrays, index)
                # the longest of the runs' excerpts is shown
                if voice and (person["voice"] is None or len(voice["sound"]) > len(person["voice"]["sound"])):
                    person["voice"] = voice
    cards = [people[key] for key in sorted(people)]
    for card in cards:
        cells = [cell["row"] for cell in card["cells"] if cell is not None]
        card["sort"] = {
            "seen": _mean(
                1.0 * (row.get("evaluator_top1") or 0) + (row.get("evaluator_confidence") or 0) for row in cells
            ),
            "ssim": _mean(row["ssim"] or 0 for row in cells),
            "confidence": _mean(row["confidence"] or 0 for row in cells),
        }
    return cards


def _cell(
    run_name: str,
    row: Mapping[str, Any],
    run: RunResults | None = None,
    arrays: Mapping[str, NDArray[Any]] | None = None,
    index: int = 0,
) -> dict[str, Any]:
    """What a card shows of one run: verdict, numbers and, where inputs are images, the pictures."""
    top1, guess = row["evaluator_top1"], row.get("evaluator_guess")
    cell: dict[str, Any] = {
        "run": run_name,
        "row": row,
        "right": None if top1 is None else bool(top1),
        "guess": guess or ("somebody else" if top1 is not None and not top1 else row["name"]),
        "picture": None,
        "sounds": [],
        "closest": None,
        "stretch": "",
    }
    if run is not None and arrays is not None:
        image = torch.from_numpy(arrays["reconstruction"][index : index + 1])
        pixels = pictures.to_pixels(image, _input_range(run))[0]
        cell |= {
            "picture": pictures.data_uri(pixels),
            "closest": reference(arrays, "reference_best", index),
            "stretch": stretch_style(pixels),
        }
    return cell


def _heard(run: RunResults) -> bool:
    """Whether a run was on voices."""
    return sound.is_sound(run.data.get("input_shape", ()))


def _control(run: RunResults, control: str) -> str:
    """Name of a control."""
    return "noise" if control == "noise" and _heard(run) else _CONTROLS.get(control, control)


def _columns(runs: Sequence[RunResults]) -> list[_Column]:
    """Columns of the summary table: those of voices where there are any, those of pictures likewise."""
    heard = [_heard(run) for run in runs]
    left_out = {column.key for column in _VOICES} if not any(heard) else set(_PICTURES) if all(heard) else set()
    return [column for column in _COLUMNS if column.key not in left_out]


def _sounds(run: RunResults, arrays: Mapping[str, NDArray[Any]], index: int) -> list[dict[str, str]]:
    """Players and spectrograms of what a run found for one person, and of the same after a vocoder."""
    rate = sound.sample_rate(run.data["attack"], run.data.get("data"))
    waves = {"as found": torch.from_numpy(arrays["reconstruction"][index : index + 1])}
    if "vocoded" in arrays:
        waves["after the vocoder"] = sound.from_int16(arrays["vocoded"][index : index + 1])
    return [_player(caption, wave, rate) for caption, wave in waves.items()]


def _real_voice(run: RunResults, arrays: Mapping[str, NDArray[Any]], index: int) -> dict[str, str] | None:
    """Player and spectrogram of real speech of a row's person, if the run's files hold some."""
    if "real" not in arrays:
        return None
    rate = sound.sample_rate(run.data["attack"], run.data.get("data"))
    return _player("real speech", sound.from_int16(arrays["real"][index : index + 1]), rate)


def _player(caption: str, wave: torch.Tensor, rate: int) -> dict[str, str]:
    picture = pictures.data_uri(sound.spectrograms(wave, rate)[0])
    return {"caption": caption, "sound": sound.wav_uri(wave, rate), "picture": picture}


def _faint(run: RunResults) -> bool:
    """Whether the pictures of a run show little unless their contrast is stretched."""
    images = torch.from_numpy(run.arrays["reconstruction"][run.best_index])
    shown = pictures.is_picture(images.shape[1:])
    return shown and pictures.faint(pictures.to_pixels(images, _input_range(run)))


def _input_range(run: RunResults) -> tuple[float, float]:
    low, high = run.data.get("input_range", (0.0, 1.0))
    return float(low), float(high)


def stretch_style(pixels: pictures.Pixels) -> str:
    """CSS variables of a filter that spreads the picture's grey levels (1st to 99th percentile) over black to white.

    ``brightness(b) contrast(c)`` maps v to (b v - 1/2) c + 1/2, which takes low to 0 and high to 1 for these b and c.
    """
    low, high = (float(value) / 255 for value in np.percentile(pixels, (1, 99)))
    if high - low < 2 / 255:
        return ""
    return f"--b:{1 / (high + low):.3f};--c:{(high + low) / (high - low):.3f}"


def reference(arrays: Mapping[str, NDArray[Any]], name: str, index: int) -> str | None:
    """A photograph of the row's person as a picture, if the run's files hold one."""
    stored = arrays.get(name)
    return pictures.data_uri(stored[index]) if stored is not None and stored.dtype == np.uint8 else None


def _mean(values: Any) -> float:
    numbers = list(values)
    return sum(numbers) / len(numbers) if numbers else 0.0


def circumstances(run: RunResults) -> dict[str, Any]:
    """How, when and with what a run was made, and who judged it."""
    return {
        "when": run.data["created"],
        "run": run.data.get("run", {}),
        "versions": run.data["package_versions"],
        "evaluator": run.data.get("evaluator") or {},
        "data": run.data.get("data") or {},
        "folder": str(_from_here(run.folder)),
    }


def _from_here(path: Path) -> Path:
    """The path from the working folder if it lies below it: a page that is passed on need not tell where that was."""
    path, here = path.resolve(), Path.cwd().resolve()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _config(run: RunResults) -> str:
    """Text of the run's configuration, empty if there is none beside the results."""
    name: str | None = run.data["config"]
    if name is None or Path(name).name != name:  # a results.json from elsewhere must not pull other files into a page
        return ""
    path = run.folder / name
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:  # the folder was tidied up: the report does without
        return ""
    except OSError as error:
        raise MIError(f"cannot read {path}: {error.strerror}") from error


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
            flat[title] = _text(value)
    return flat


def _text(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "none"
    return str(value)


def show(value: float | None, kind: str = "number") -> str:
    """A number for people; a dash where there is none.

    Example:
        >>> show(0.975, "share"), show(1.0, "share"), show(0.41, "number"), show(None, "share")
        ('97.5%', '100%', '0.410', '–')
    """
    if value is None:
        return "–"
    if kind == "share":
        return f"{value:.1%}".replace(".0%", "%")
    if kind == "count":
        return f"{value:,.0f}"
    if kind == "seconds":
        return f"{value:.1f}" if value < 100 else f"{value:,.0f}"
    return f"{value:.1f}" if kind == "decibel" else f"{value:.3f}"
