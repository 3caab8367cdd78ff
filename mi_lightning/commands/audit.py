"""Audits: fit what has no checkpoint yet, invert, judge, and report."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from mi_lightning.commands.audit_preview import ToCome, finished
from mi_lightning.commands.base import Runner, console, headed, listed, tell_dry_run
from mi_lightning.commands.controls import checked_controls, run_controls
from mi_lightning.commands.dry_run import free_disk
from mi_lightning.commands.finished import digest_of_run, invert_once
from mi_lightning.commands.fit import checkpoints_of, completed, fit_missing
from mi_lightning.commands.gates import parse_gates, raise_breaches
from mi_lightning.commands.invert import tell_verification
from mi_lightning.commands.quick import (
    checked_quick,
    hasty_fit,
    hasty_place,
    quick_attack,
    quick_checkpoints,
    quick_folder,
)
from mi_lightning.commands.report import tell_withheld
from mi_lightning.errors import InputError
from mi_lightning.io import ensure_writable, writing_nothing
from mi_lightning.report import summary_table
from mi_lightning.report.audit.whole import PAGE, assemble
from mi_lightning.report.control_runs import write_controls
from mi_lightning.report.formats import show
from mi_lightning.report.withholding import checked_withheld


@dataclass(frozen=True)
class Pair:
    """A target and an attack on it.

    Attributes:
        configs: Configurations of both, the target's first.
        field: What named them, for errors.
    """

    configs: tuple[str, ...]
    field: str

    @property
    def name(self) -> str:
        """What its run is called: ``<target>_<attack>``."""
        return "_".join(PurePath(config).stem for config in self.configs)


def audit(
    runner: Runner,
    classifiers: list[str] | str | None = None,
    targets: list[str] | str | None = None,
    attacks: list[str] | str | None = None,
    pairs: list[dict[str, str | list[str]] | list[str]] | None = None,
    output: str = "lightning_logs/audit",
    title: str = "Model inversion audit",
    controls: list[str] | str | None = None,
    refit: bool = False,
    release_context: str | None = None,
    fail_above: list[str] | None = None,
    baseline: str | None = None,
    unverified: bool = False,
    quick: bool = False,
    no_pictures: bool = False,
    pseudonyms: bool = False,
    dry_run: bool = False,
) -> None:
    """Fit what has no checkpoint yet, invert, judge, and write one self-contained report.

    Args:
        runner: Runs the commands that this one consists of.
        classifiers: Configurations of the classifiers, target and evaluator alike (``mi-lightning fit``), each with a
            ``checkpoint``; one name, or a list.
        targets: Configurations of what is attacked: classifier, evaluator, people, access and defenses; one name, or
            a list.
        attacks: Configurations of the attacks; one name, or a list. Each target is attacked by each; a run is a column
            of the report.
        pairs: Further runs: ``target`` and ``attack``, or a list of configurations that are read one after another.
        output: Folder of the runs and of ``report.html``.
        title: Title of the report.
        controls: What each attack is run on once more, to see what it finds where there is nothing to find:
            ``untrained``, a target that was never trained; ``without_person``, which trains each target twice more,
            each time without half of the people. ``untrained`` alone if not given; none if empty.
        refit: Train again even where a checkpoint exists.
        release_context: How the model is to be released and to whom, for the report.
        fail_above: Gates ``FIGURE=BOUND`` or ``RUN:FIGURE=BOUND``, such as ``recognised=0.2``: a figure of
            ``audit.json`` and what the upper end of its interval must not lie above. Exit status 3 if one falls.
        baseline: Folder of an earlier audit, or its ``audit.json``: nothing may be worse than there, or exit status 3.
        unverified: Go on where a target names no more of the references right than guessing explains; the report then
            says in red that no figure says that it is safe, and no gate about the people holds.
        quick: See soon whether everything runs, and what the page will look like: a few people and
            iterations, hasty trainings, no controls, no recogniser. It is no evidence, no gate passes on it, and it
            lies in a folder of its own, ``<output>_quick``.
        no_pictures: Leave pictures and sounds out of the page. The folders of the runs still hold them.
        pseudonyms: Call the people ``person 01``, ... on the page and in the files for programs. The folders of the
            runs still name them.
        dry_run: Check everything that can be wrong, say what would be done and what it takes, and write nothing.
    """
    start = time.perf_counter()
    screen = console()
    named = None if controls is None else listed(controls)
    wanted = checked_controls(named)
    folder = Path(output)
    if quick:
        folder, title = quick_folder(output), f"Quick, no evidence: {title}"
    withheld = checked_withheld(no_pictures=no_pictures, pseudonyms=pseudonyms)
    planned = plan(listed(targets), listed(attacks), pairs or [])
    changes = {"unverified": True} if unverified else None
    gates = parse_gates(fail_above, baseline, names=[pair.name for pair in planned])
    checkpoints = checkpoints_of(listed(classifiers), runner)
    for pair in planned:  # what is wrong with an attack is told before anything is trained
        completed(runner, "invert", pair.configs, pair.field, check=True)
    if quick:
        checked_quick(named, refit=refit)
        wanted = ()
    if dry_run:
        with writing_nothing():
            ensure_writable(folder, "output")
            lines = _preview(runner, planned, checkpoints, folder, wanted, changes=changes, quick=quick, refit=refit)
            tell_dry_run(lines)
        return
    ensure_writable(folder, "output")
    taken: dict[Path, Path] = {}
    if quick:
        taken = quick_checkpoints(checkpoints, runner, folder)
    else:
        fit_missing(checkpoints, runner, refit=refit)
    runs = []
    for pair in planned:
        screen.print(headed("invert", " + ".join(pair.configs)))
        quickly = quick_attack(runner.complete("invert", pair.configs), taken) if quick else {}
        run, reused = invert_once(
            runner,
            pair.configs,
            save_dir=folder,
            name=pair.name,
            changes={**(changes or {}), **quickly} or None,
            quick=quick,
        )
        if reused:
            screen.print(f"  {run} is finished already")
        tell_verification(run)
        runs.append(run)
    controlled = {
        pair.name: run_controls(runner, pair.name, pair.configs, run, wanted, output=folder, checkpoints=checkpoints)
        for pair, run in zip(planned, runs, strict=True)
    }
    write_controls(folder, controlled)
    finished_runs = {pair.name: run for pair, run in zip(planned, runs, strict=True)}
    found = assemble(folder, finished_runs, title=title, release_context=release_context, withheld=withheld)
    outcomes = gates.check(found.document, found.runs)
    found.write(outcomes)
    screen.print(summary_table(runs, names=list(finished_runs)))
    tell(found.document)
    if withheld:
        screen.print(tell_withheld(withheld, folder))
    screen.print(f"report: {folder / PAGE}   ({time.perf_counter() - start:.0f} s)")
    raise_breaches(outcomes)


def _preview(
    runner: Runner,
    planned: Sequence[Pair],
    checkpoints: Mapping[str, Path],
    folder: Path,
    controls: Sequence[str],
    *,
    changes: Mapping[str, Any] | None,
    quick: bool,
    refit: bool,
) -> list[str]:
    """What an audit would do, in words."""
    taken = {} if not quick else {path: hasty_place(path, folder) for path in checkpoints.values()}
    hasty = {
        config: hasty_fit(runner.complete("fit", [config]), taken[path])
        for config, path in checkpoints.items()
        if path in taken and taken[path] != path
    }
    wanted = {config: taken.get(path, path) for config, path in checkpoints.items()}
    classifiers = ToCome(wanted, runner, changes=hasty, refit=refit)
    lines = list(classifiers.lines)
    for pair in planned:
        quickly = quick_attack(runner.complete("invert", pair.configs), taken) if quick else {}
        changed = {**(changes or {}), **quickly} or None
        lines.append(f"invert {' + '.join(pair.configs)}")
        what = classifiers.attack(pair.configs, save_dir=folder, name=pair.name, changes=changed)
        if classifiers.knows(pair.configs, changed):
            digest = digest_of_run(runner, pair.configs, changes=changed, quick=quick)
            if done := finished(folder / pair.name, digest):
                what = [f"is finished already: {done}"]
        lines += [f"  {line}" for line in what]
        lines += [
            f"  control {control.replace('_', ' ')}: the same attack again{_MORE[control]}" for control in controls
        ]
    files = ", ".join((PAGE, "audit.json", "junit.xml", "audit.sarif", "model_card.md", "manifest.json"))
    return [*lines, f"would write: {folder}/ with {files} and a folder for each run", free_disk(folder)]


#: What a control takes beside the attack.
_MORE = {"untrained": "", "without_person": ", twice, on classifiers that are trained without half of the people"}


def tell(document: Mapping[str, Any]) -> None:
    """Print what an audit found: one sentence, and what each attack rests on."""
    screen = console()
    screen.print(f"\n{document['headline']['sentence']}", style="bold")
    for run in document["runs"]:
        best = run["best_control"]
        beside = "" if best is None else f"; best control ({best['name'].replace('_', ' ')}) {best['recognised']:.1%}"
        low, high = run["recognised_low"], run["recognised_high"]
        if run["recognised"] is None:
            screen.print(f"{run['name']}: not measured ({run['refused']})")
            continue
        screen.print(
            f"{run['name']}: recognised {run['recognised']:.1%} ({low:.1%} to {high:.1%}); ceiling "
            f"{show(run['ceiling'], 'share')}, chance {show(run['chance'], 'share')}{beside}; fools the model only "
            f"{show(run['fools_model_only'], 'share')}",
        )


def plan(targets: Sequence[str], attacks: Sequence[str], pairs: Sequence[Any]) -> list[Pair]:
    """List the runs of an audit in their order: every target by every attack, then the pairs.

    Args:
        targets: Configurations of targets.
        attacks: Configurations of attacks.
        pairs: As they stand in the YAML file.

    Raises:
        InputError: If there is nothing to run, a list is missing, or two runs would have one name.
    """
    if targets and not attacks:
        raise InputError("attacks on the targets", "none", "attacks")
    if attacks and not targets:
        raise InputError("targets of the attacks", "none", "targets")
    planned = [Pair((target, attack), "attacks") for target in targets for attack in attacks]
    planned += [Pair(configs_of(pair, f"pairs.{place}"), f"pairs.{place}") for place, pair in enumerate(pairs)]
    if not planned:
        raise InputError("at least one target and one attack, or a pair", "none", "targets")
    seen: dict[str, Pair] = {}
    for pair in planned:
        if seen.setdefault(pair.name, pair) is not pair:
            raise InputError("runs of different names", f"{pair.name} twice", pair.field)
    return planned


def configs_of(entry: Any, field: str, *, more: Sequence[str] = ()) -> tuple[str, ...]:
    """Read which configurations a run consists of.

    Args:
        entry: One name, a list of names, or ``target`` and ``attack``, each a name or a list of names.
        field: Where it stands, for errors.
        more: Keys that may stand beside ``target`` and ``attack``.

    Raises:
        InputError: If it is none of these.
    """
    if isinstance(entry, Mapping):
        if unknown := [str(key) for key in entry if key not in ("target", "attack", *more)]:
            raise InputError(" and ".join(["target", "attack", *more]), ", ".join(unknown), field)
        if missing := [key for key in ("target", "attack") if not entry.get(key)]:
            raise InputError("a configuration", "none", f"{field}.{missing[0]}")
        return tuple(name for key in ("target", "attack") for name in configs_of(entry[key], f"{field}.{key}"))
    names = [entry] if isinstance(entry, str) else entry
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise InputError("`target` and `attack`, or names of configurations", entry, field)
    return tuple(names)
