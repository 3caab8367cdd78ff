"""What an audit or a sweep would do: what is trained and attacked, what is used again, what is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mi_lightning.classifiers.loading import load_classifier
from mi_lightning.commands.base import Preview, Runner
from mi_lightning.commands.dry_run import rows_to_come
from mi_lightning.commands.finished import finished_runs
from mi_lightning.commands.sweep.grid import leaves
from mi_lightning.report.results import read_results


class ToCome:
    """Classifiers that an audit or a sweep needs, and which of them it trains first.

    Args:
        checkpoints: Configurations of classifiers, and the file that each writes.
        runner: Completes and previews them.
        changes: Changes to each configuration, by its name.
        refit: Whether they are trained again where there is a checkpoint.
    """

    def __init__(
        self,
        checkpoints: Mapping[str, Path],
        runner: Runner,
        *,
        changes: Mapping[str, Mapping[str, Any]] | None = None,
        refit: bool = False,
    ) -> None:
        self.lines: list[str] = []
        self._names: dict[Path, tuple[str, ...]] = {}
        self._runner = runner
        for config, checkpoint in checkpoints.items():
            if checkpoint.is_file() and not refit:
                load_classifier(checkpoint, "--classifiers")
                self.lines.append(f"fit {config}: would use {checkpoint} again")
                continue
            found = runner.preview("fit", [config], changes=(changes or {}).get(config))
            self._names[checkpoint] = found.class_names
            self.lines += [f"fit {config}", *_indented(found.lines)]

    @property
    def trained(self) -> bool:
        """Whether there is any that is trained first."""
        return bool(self._names)

    def attack(
        self,
        configs: Sequence[str] | Mapping[str, Any],
        *,
        save_dir: Path | None = None,
        name: str = "",
        changes: Mapping[str, Any] | None = None,
    ) -> list[str]:
        """Say what an attack would do; arguments as those of :meth:`~mi_lightning.commands.base.Runner.preview`.

        Raises:
            MIError: If something is wrong with it.
        """
        config = self._runner.complete("invert", configs, changes=changes, check=True)
        files = [Path(value) for _, value in leaves(config) if isinstance(value, str)]
        if trained := [self._names[file] for file in files if file in self._names]:
            return [rows_to_come(config, trained[0])]
        found: Preview = self._runner.preview("invert", configs, save_dir=save_dir, name=name, changes=changes)
        return found.lines

    def knows(self, configs: Sequence[str], changes: Mapping[str, Any] | None = None) -> bool:
        """Whether an attack needs nothing that is trained first, so that it may be finished already."""
        config = self._runner.complete("invert", configs, changes=changes)
        return not any(Path(value) in self._names for _, value in leaves(config) if isinstance(value, str))


def finished(folder: Path, digest: str) -> Path | None:
    """The finished run of a digest below a folder, if there is one."""
    return finished_runs(folder, read_results).get(digest)


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"  {line}" for line in lines]
