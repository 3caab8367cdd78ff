"""Files of an attack: ``results.json`` (schema version 1), ``per_label.csv``, arrays and the contact sheet."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import platform
import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mi_lightning.errors import MIError
from mi_lightning.judging.judge import Judgement, best_rows
from mi_lightning.report import pictures, sound
from mi_lightning.report.schema import METRICS, RESULTS_SCHEMA, SCHEMA_VERSION, SUMMARY_METRICS, problem

if TYPE_CHECKING:  # the attack's callbacks import this module
    from mi_lightning.attacks.result import InversionResult

_PACKAGES = ("mi-lightning", "lightning", "torchmetrics", "numpy")
_ARRAYS = ("reconstruction", "candidate", "label", "restart", "cost", "confidence")


@dataclass(frozen=True)
class RunResults:
    """What one attack left in its folder.

    Attributes:
        folder: Where it is.
        data: ``results.json``, which fits :data:`~mi_lightning.report.schema.RESULTS_SCHEMA`.
    """

    folder: Path
    data: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.resolve().name

    @property
    def summary(self) -> Mapping[str, Any]:
        """Numbers of the whole attack."""
        summary: Mapping[str, Any] = self.data["summary"]
        return summary

    @property
    def best(self) -> list[Mapping[str, Any]]:
        """One entry of ``per_label`` for each person: the restart of least cost."""
        return [row for row in self.data["per_label"] if row.get("best", True)]

    @property
    def best_index(self) -> list[int]:
        """Places of :attr:`best` in ``per_label``, and in the arrays."""
        return [index for index, row in enumerate(self.data["per_label"]) if row.get("best", True)]

    @cached_property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """Content of ``reconstructions.npz``, one line per entry of ``per_label``.

        Raises:
            MIError: If the file is missing or damaged, or belongs to another ``results.json``.
        """
        path = self.folder / "reconstructions.npz"
        try:
            # opened here, since np.load leaves a damaged file open
            with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
                arrays = {name: content[name] for name in content.files}
        except FileNotFoundError:
            raise MIError(
                f"no reconstructions.npz beside results.json in {self.folder}: run the attack again"
            ) from None
        except (OSError, ValueError, EOFError, BadZipFile) as error:
            raise MIError(f"cannot read {path}: {_one_line(error)}: run the attack again") from error
        rows = len(self.data["per_label"])
        for name in _ARRAYS:
            if name not in arrays or len(arrays[name]) != rows:
                raise MIError(f"expected {rows} rows of {name!r} in {path}, as in results.json: run the attack again")
        return arrays


def write_results(
    folder: str | Path,
    result: InversionResult,
    judgement: Judgement | None = None,
    *,
    target: Mapping[str, Any],
    attack: Mapping[str, Any],
    input_range: tuple[float, float] = (0.0, 1.0),
    run: Mapping[str, Any] | None = None,
) -> Path:
    """Write all files of an attack. Each appears whole or not at all; ``results.json`` last.

    Args:
        folder: Where to; it is made if need be.
        result: What the attack found.
        judgement: What the judge said of it, if there was one.
        target: ``Target.describe()``.
        attack: ``Inversion.describe()``.
        input_range: Lowest and highest value of an input.
        run: How it was run; of this process (:func:`run_info`) if None.

    Returns:
        Path of ``results.json``.

    Raises:
        MIError: If a file cannot be written.
    """
    folder = Path(folder)
    chosen = best_rows(result)
    rows = _per_label(result, judgement, chosen)
    data = {
        "schema_version": SCHEMA_VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "package_versions": package_versions(),
        "config": "config.yaml" if (folder / "config.yaml").is_file() else None,
        "target": {"class": None, "checkpoint_sha256": None, "defenses": [], "test_accuracy": None} | dict(target),
        "attack": dict.fromkeys(RESULTS_SCHEMA["properties"]["attack"]["required"]) | dict(attack),
        "summary": _summary(result, judgement, chosen, input_range),
        "per_label": rows,
        "input_shape": list(result.reconstruction.shape[1:]),
        "input_range": list(input_range),
        "controls": {} if judgement is None else judgement.controls,
        "chance": {} if judgement is None else judgement.chance,
        "evaluator": None if judgement is None else judgement.description.get("evaluator"),
        "data": None if judgement is None else judgement.description.get("data"),
        "run": run_info() if run is None else dict(run),
    }
    plain = _plain(data)
    if found := problem(plain, RESULTS_SCHEMA):  # of the caller's making: target or attack of the wrong kind
        raise TypeError(f"results do not fit schema version {SCHEMA_VERSION}: {found}")
    files = {
        "per_label.csv": _csv(plain["per_label"]),
        "reconstructions.npz": _npz(result, judgement, input_range),
    }
    if pictures.is_picture(result.reconstruction.shape[1:]):
        files["reconstructions.png"] = _contact_sheet(result, judgement, chosen, input_range)
    elif sound.is_sound(result.reconstruction.shape[1:]):
        rate = sound.sample_rate(attack, None if judgement is None else judgement.description.get("data"))
        files |= sound.sound_files(result, judgement, chosen, rate)
        files["spectrograms.png"] = _spectrograms(result, judgement, chosen, rate)
    files["results.json"] = (json.dumps(plain, indent=2, allow_nan=False) + "\n").encode()
    for name, content in files.items():  # results.json last: where it is, the others are
        write_atomically(folder / name, content)
    return folder / "results.json"


def read_results(folder: str | Path) -> RunResults:
    """Read what :func:`write_results` wrote.

    Args:
        folder: The run's folder, or its ``results.json``.

    Raises:
        MIError: If the file is missing or damaged, or has another schema version.
    """
    path = Path(folder)
    if path.name != "results.json":
        path = path / "results.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise MIError(f"no results.json in {path.parent}: name the folder of an attack (mi-lightning invert)") from None
    except OSError as error:
        raise MIError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise MIError(f"{path} is damaged ({_one_line(error)}): run the attack again") from error
    found = data.get("schema_version") if isinstance(data, dict) else None
    if found != SCHEMA_VERSION:
        raise MIError(f"expected schema_version {SCHEMA_VERSION}, got {found} in {path}")
    if wrong := problem(data, RESULTS_SCHEMA):
        raise MIError(f"{path} does not fit schema version {SCHEMA_VERSION}: {wrong}")
    return RunResults(path.parent, data)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all; its folder is made if need be.

    Raises:
        MIError: If it cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_bytes(content)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except FileExistsError as error:  # only of mkdir
        raise MIError(f"cannot write {path}: {path.parent} is no folder") from error
    except OSError as error:
        raise MIError(f"cannot write {path}: {error.strerror}") from error


def package_versions() -> dict[str, str | None]:
    """Versions of Python and of the packages that decide what an attack finds."""
    found: dict[str, str | None] = {"python": platform.python_version(), "torch": str(torch.__version__)}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # run from a source tree that was not installed
            found[name] = None
    return found


def run_info() -> dict[str, Any]:
    """How this process was started, and on what: no names of hosts or users."""
    path = Path(sys.argv[0])
    program = ["python", "-m", path.parent.name] if path.name == "__main__.py" else [path.name]
    return {
        "command": shlex.join([*program, *sys.argv[1:]]),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "accelerator": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
    }


def _per_label(result: InversionResult, judgement: Judgement | None, chosen: Tensor) -> list[dict[str, Any]]:
    """One entry for each row of the attack; the best restart of each label is marked."""
    best = set(chosen.tolist())
    per_row = {} if judgement is None else judgement.per_row
    guess = None if judgement is None or judgement.evaluator_guess is None else judgement.evaluator_guess.tolist()
    names = _names(result, judgement)
    columns = {
        "label": result.label.tolist(),
        "name": list(result.name),
        "restart": result.restart.tolist(),
        "best": [row in best for row in range(len(result))],
        "cost": result.cost.tolist(),
        "confidence": result.confidence.tolist(),
        "iterations": result.iterations.tolist(),
        "stop_reason": list(result.stop_reason),
        "queries": result.queries.tolist(),
        "seconds": result.seconds.tolist(),
        "evaluator_guess": [None if guess is None else names.get(guess[row]) for row in range(len(result))],
    } | {metric: per_row[metric].tolist() if metric in per_row else [None] * len(result) for metric in METRICS}
    columns |= {metric: value.tolist() for metric, value in per_row.items() if metric not in columns}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _names(result: InversionResult, judgement: Judgement | None) -> Mapping[int, str]:
    """Name of each class that the evaluator may name: the judge knows all, the attack only those attacked."""
    known = () if judgement is None else judgement.class_names
    return dict(zip(result.label.tolist(), result.name, strict=True)) | dict(enumerate(known))


def _summary(
    result: InversionResult, judgement: Judgement | None, chosen: Tensor, input_range: tuple[float, float]
) -> dict[str, Any]:
    """Numbers of the whole attack: effort over all rows, outcome over the best restart of each label."""
    labels = len(chosen)
    judged = {} if judgement is None else judgement.summary
    queries = int(result.queries.sum())
    return {
        "rows": len(result),
        "labels": labels,
        "seconds": float(result.seconds.sum()),
        "iterations_mean": float(result.iterations.float().mean()),
        "queries_total": queries,
        "queries_per_label": queries / labels,
        "cost_mean": float(result.cost[chosen].mean()),
        "confidence_mean": float(result.confidence[chosen].mean()),
        "outside_range": pictures.outside_range(result.reconstruction[chosen], input_range),
        "stop_reasons": dict(sorted(Counter(result.stop_reason).items())),
        **{name: judged.get(name) for name in SUMMARY_METRICS},
        **{name: value for name, value in judged.items() if name not in (*SUMMARY_METRICS, "confidence_mean")},
    }


def _csv(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """The entries of ``per_label`` as a table; what does not apply is left empty."""
    rows = list(rows)
    buffer = io.StringIO(newline="")
    writer = csv.DictWriter(buffer, fieldnames=list(rows[0]) if rows else ["label", "name"])
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode()


def _npz(result: InversionResult, judgement: Judgement | None, input_range: tuple[float, float]) -> bytes:
    """Arrays without Python objects, and the photographs that a report shows, so that it needs no data again."""
    arrays: dict[str, NDArray[Any]] = {name: getattr(result, name).numpy() for name in _ARRAYS}
    shown = pictures.is_picture(result.reconstruction.shape[1:])
    for name in ("reference_mean", "reference_best"):
        reference = None if judgement is None else getattr(judgement, name)
        if reference is not None:
            # photographs come from 8 bits and are only looked at: a quarter of the size
            arrays[name] = pictures.to_pixels(reference, input_range) if shown else reference.numpy()
    for name in ("real", "vocoded"):
        waves = None if judgement is None else getattr(judgement, name)
        if waves is not None:
            arrays[name] = sound.to_int16(waves)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _contact_sheet(
    result: InversionResult, judgement: Judgement | None, chosen: Tensor, input_range: tuple[float, float]
) -> bytes:
    """The best reconstruction of each person beside the mean of the person's training images."""
    best = result.select(chosen)
    guess = None if judgement is None or judgement.evaluator_guess is None else judgement.evaluator_guess[chosen]
    reference = None if judgement is None or judgement.reference_mean is None else judgement.reference_mean[chosen]
    names = _names(result, judgement)
    captions = [f"target {value:.0%} sure" for value in best.confidence.tolist()]
    right: list[bool | None] = [None] * len(best)
    heading = [f"{len(best)} reconstructions"]
    if guess is not None:
        right = (guess == best.label).tolist()
        captions = [f"named {names.get(k, 'nobody')}" for k in guess.tolist()]
        captions = [
            f"{words}, target {value:.0%}" for words, value in zip(captions, best.confidence.tolist(), strict=True)
        ]
        hits = int((guess == best.label).sum())
        heading = [f"{len(best)} reconstructions; an independent evaluator names {hits} of them right"]
    shown = pictures.to_pixels(best.reconstruction, input_range)
    beside = [shown]
    legend = "What the classifier gave away."
    if reference is not None:
        beside.insert(0, pictures.to_pixels(reference, input_range))
        legend = "From the left: mean of the person's training images; what the classifier gave away."
    if pictures.faint(shown):
        beside.append(pictures.stretched(shown))
        legend = f"{legend[:-1]}; the same with its contrast stretched."
    low, high = input_range
    outside = pictures.outside_range(best.reconstruction, input_range)
    scale = f"Shown from {low:g} (black) to {high:g} (white)"
    scale += f"; {outside:.1%} of the values lie outside: such pictures are stretched into it." if outside else "."
    return pictures.contact_sheet(
        beside, names=best.name, captions=captions, right=right, heading=[*heading, legend, scale]
    )


def _spectrograms(result: InversionResult, judgement: Judgement | None, chosen: Tensor, rate: int) -> bytes:
    """Spectrogram of the best reconstruction of each person beside that of real speech."""
    best = result.select(chosen)
    beside, legend = [sound.spectrograms(best.reconstruction, rate)], "What the classifier gave away."
    if judgement is not None and judgement.real is not None:
        beside.insert(0, sound.spectrograms(judgement.real[chosen], rate))
        legend = "From the left: real speech of the person; what the classifier gave away"
        if judgement.vocoded is not None:
            beside.append(sound.spectrograms(judgement.vocoded[chosen], rate))
            legend += "; the same after a vocoder"
        legend += "."
    guess = None if judgement is None or judgement.evaluator_guess is None else judgement.evaluator_guess[chosen]
    names = _names(result, judgement)
    captions = [f"target {value:.0%} sure" for value in best.confidence.tolist()]
    right: list[bool | None] = [None] * len(best)
    heading = f"{len(best)} voices"
    if guess is not None:
        right = (guess == best.label).tolist()
        captions = [f"named {names.get(k, 'nobody')}" for k in guess.tolist()]
        heading += f"; an independent evaluator names {int((guess == best.label).sum())} of them right"
    seconds = best.reconstruction.shape[-1] / rate
    scale = f"{seconds:g} s to the right, 0 to {rate / 2000:g} kHz upwards."
    return pictures.contact_sheet(
        beside, names=best.name, captions=captions, right=right, heading=[heading, legend, scale]
    )


def _plain(value: Any) -> Any:
    """Turn a value into what JSON knows; numbers that are not finite become null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, Tensor | np.generic | np.ndarray):
        return _plain(value.tolist())
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
