"""Control runs of an audit: the same attacks on targets that know nothing, or have never met the person."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mi_lightning.errors import MIError
from mi_lightning.io import read_json, write_atomically
from mi_lightning.report.manifest import complete_manifest
from mi_lightning.report.results import RunResults, read_results

ControlName = Literal["untrained", "prior_alone", "without_person"]

#: Written into the folder of a control run: which control it is, of which run, and who was left out.
CONTROL = "control.json"
#: Below the folder of an audit: its control runs, and `INDEX`.
FOLDER = "controls"
#: Written into `FOLDER`: the controls of every run of the audit, those that could not be run with the reason why.
INDEX = "controls.json"

#: Numbers of a person by the recogniser and the inside evaluator, and what their mean is called in a summary.
COLUMNS: Mapping[str, str] = {
    "recognised": "recognised",
    "recognised_top5": "recognised_top5",
    "recogniser_rank": "recogniser_rank_mean",
    "recogniser_distance": "recogniser_distance_mean",
    "accepted_at_1_percent": "accepted_at_1_percent",
    "accepted_at_0_1_percent": "accepted_at_0_1_percent",
    "wrongly_accepted_at_1_percent": "wrongly_accepted_at_1_percent",
    "detected": "detected",
    "evaluator_top1": "evaluator_top1",
    "evaluator_top5": "evaluator_top5",
    "identification_top1": "identification_top1",
}


@dataclass(frozen=True)
class Control:
    """A control of one run of an audit.

    Attributes:
        name: ``"untrained"``: the target was never trained; ``"prior_alone"``: the same, of an attack that knows other
            people, whose knowledge is all that is left; ``"without_person"``: the target never met the person.
        folders: Folders of its runs: one, two of ``without_person``; none if it could not be run.
        reason: Why it could not be run; empty if it was.
    """

    name: ControlName
    folders: tuple[Path, ...] = ()
    reason: str = ""

    def rows(self) -> list[dict[str, Any]]:
        """Return the numbers of each person: see `merged_control`.

        Raises:
            MIError: If a run cannot be read.
        """
        return merged_control(self.folders) if self.folders else []

    def summary(self) -> dict[str, float | None]:
        """Return the means over the people, by the keys that a run's own ``summary`` has; None is not measured."""
        rows = self.rows()
        return {key: _mean([row[column] for row in rows]) for column, key in COLUMNS.items()}


def control_results(controls: Mapping[str, Sequence[Control]]) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Return the numbers of each person in all controls that could be run, for the name of a run and of a control.

    Args:
        controls: The controls of each run, by its name.

    Raises:
        MIError: If a run cannot be read.
    """
    return {run: {each.name: each.rows() for each in listed if each.folders} for run, listed in controls.items()}


def uses_public_knowledge(attack: object) -> bool:
    """Whether an attack knows other people: a public model, public pictures or speech, what is typical of these.

    Args:
        attack: ``results.json["attack"]``, or a part of it. A part says so itself (``public``).
    """
    if isinstance(attack, Mapping):
        return attack.get("public") is True or any(map(uses_public_knowledge, attack.values()))
    return isinstance(attack, list) and any(map(uses_public_knowledge, attack))


def merged_control(runs: Sequence[str | Path]) -> list[dict[str, Any]]:
    """Put the runs of a control together: one line for each person, from the run whose target never met the person.

    Args:
        runs: Folders of its runs. The target of an untrained control has met nobody.

    Returns:
        ``label``, ``name``, ``run`` (place in ``runs``) and `COLUMNS` of the best row of each person, sorted by label;
        None where a number was not measured. People who were attacked in no such run are left out.

    Raises:
        MIError: If a run cannot be read, is no control, or two runs have one person's control.
    """
    found: dict[int, dict[str, Any]] = {}
    for place, results in enumerate(map(never_met, runs)):
        for row in results.best:
            if row["label"] in found:
                raise MIError(
                    f"{results.folder} has the control of {row['name']}, as another run has: name one run of each half"
                )
            columns = {column: row.get(column) for column in COLUMNS}
            found[row["label"]] = {"label": row["label"], "name": row["name"], "run": place, **columns}
    return [found[label] for label in sorted(found)]


def never_met(run: str | Path) -> RunResults:
    """Read the run of a control with the rows of those alone whom its target never met.

    ``summary`` and the arrays are those of the whole run.

    Raises:
        MIError: If it cannot be read, or is no control.
    """
    results, left_out = read_results(run), _left_out(Path(run))
    if left_out is None:
        return results
    rows = [row for row in results.data["per_label"] if row["name"] in left_out]
    return RunResults(results.folder, {**results.data, "per_label": rows})


def mark_control(folder: Path, name: ControlName, run: str, without: Sequence[str] | None) -> None:
    """Say of a finished run which control it is.

    Args:
        folder: Its folder.
        name: The control.
        run: Name of the run whose control it is.
        without: Names of the people whom the target never met; None if it met nobody.
    """
    content = {"control": name, "run": run, "without": None if without is None else list(without)}
    write_atomically(folder / CONTROL, json.dumps(content, indent=2) + "\n")
    complete_manifest(folder, CONTROL)


def write_controls(output: Path, controls: Mapping[str, Sequence[Control]]) -> None:
    """Write which controls the runs of an audit have.

    Args:
        output: Folder of the audit.
        controls: The controls of each run, by its name.
    """
    content = {
        run: [
            {
                "name": control.name,
                "folders": [folder.resolve().relative_to(output.resolve()).as_posix() for folder in control.folders],
                "reason": control.reason or None,
            }
            for control in each
        ]
        for run, each in controls.items()
    }
    write_atomically(output / FOLDER / INDEX, json.dumps(content, indent=2) + "\n")


def read_controls(output: Path) -> dict[str, list[Control]]:
    """Read what `write_controls` wrote; nothing if the audit had no controls.

    Raises:
        MIError: If the file is damaged.
    """
    path = output / FOLDER / INDEX
    if not path.is_file():
        return {}
    content = read_json(path)
    try:
        return {str(run): list(_controls(output, each)) for run, each in content.items()}
    except (AttributeError, KeyError, TypeError) as error:
        raise MIError(f"{path} lists no controls: run the audit again") from error


def _controls(output: Path, listed: Sequence[Mapping[str, Any]]) -> Iterator[Control]:
    for entry in listed:
        folders = tuple(output / folder for folder in entry["folders"])
        yield Control(entry["name"], folders, entry["reason"] or "")


def _left_out(run: Path) -> set[str] | None:
    """Names of the people whom the target of a control run never met; None if it met nobody.

    Raises:
        MIError: If the run is no control.
    """
    path = run / CONTROL
    content = read_json(path) if path.is_file() else None
    if not isinstance(content, dict) or "without" not in content:
        raise MIError(f"no {CONTROL} in {run}: it is the run of no control")
    without = content["without"]
    return None if without is None else set(without)


def _mean(values: Sequence[Any]) -> float | None:
    """Mean of what was measured; None if nothing was."""
    known = [float(value) for value in values if value is not None and math.isfinite(value)]
    return sum(known) / len(known) if known else None
