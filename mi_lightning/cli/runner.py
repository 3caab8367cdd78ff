"""Runs commands: for the user, for other commands, and in the processes of a sweep."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import Namespace
from lightning.fabric.utilities.exceptions import MisconfigurationException

from mi_lightning.cli.config import find_config
from mi_lightning.cli.imports import imported, imported_of
from mi_lightning.cli.parser import MICLI, run_logger
from mi_lightning.commands.base import Attacked
from mi_lightning.commands.sweep.grid import change
from mi_lightning.commands.sweep.run import execute as execute_run
from mi_lightning.errors import MIError, root_error


class CommandLine:
    """Runs commands and completes configurations for other commands (:class:`~mi_lightning.commands.base.Runner`).

    Attributes:
        worker: :func:`execute`, by its name, for the processes of a sweep.
    """

    worker = "mi_lightning.cli.runner:execute"

    def __init__(self) -> None:
        """Make no parser yet."""
        self._reader: ConfigReader | None = None

    def fit(self, config: str, *, changes: Mapping[str, Any] | None = None) -> None:
        """Train and test a classifier, and save it."""
        MICLI(["fit", *self._flags("fit", [config], changes)], runner=self)

    def invert(
        self,
        configs: Sequence[str],
        *,
        save_dir: Path,
        name: str,
        version: str | None = None,
        changes: Mapping[str, Any] | None = None,
    ) -> Attacked:
        """Run an attack and write into ``save_dir/name/version_N``, or ``save_dir/name/version`` if that is given."""
        logger = yaml.safe_dump(run_logger(str(save_dir), name, version))
        flags = self._flags("invert", configs, changes)
        run = MICLI(["invert", *flags, f"--trainer.logger={logger}"], runner=self, quiet=True)
        return Attacked(Path(str(run.trainer.log_dir)), run.model.target, run.datamodule)

    def complete(
        self,
        command: str,
        config: Sequence[str] | Mapping[str, Any],
        *,
        check: bool = False,
        changes: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return a configuration of ``fit`` or ``invert`` with the default of every key that it does not name.

        Args:
            command: The command.
            config: Names of configurations, or the content of one.
            check: Whether to make the parts, too, which looks at their numbers but opens no file.
            changes: Dotted keys of the complete configuration, and what they are set to before parts are made.

        Raises:
            MIError: If a key or a value is wrong.
        """
        self._reader = self._reader or ConfigReader()
        if changes:
            # the defaults of a part that is set come with the second reading
            config = change(self._reader.complete(command, config), changes, "changes")
        return self._reader.complete(command, config, check=check)

    def _flags(self, command: str, configs: Sequence[str], changes: Mapping[str, Any] | None) -> list[str]:
        """The flags that name configurations; where these are changed, their content."""
        if not changes:
            return _flags(configs)
        return ["--config", yaml.safe_dump(self.complete(command, configs, changes=changes), sort_keys=False)]


class ConfigReader(MICLI):
    """Reads configurations of ``fit`` and ``invert``, and runs nothing."""

    wanted = {"fit", "invert"}  # noqa: RUF012  # replaced, never changed

    def __init__(self) -> None:
        """Make the parsers."""
        # `fit` has no default class of a model, so its parser is made along with that of `invert`
        super().__init__(["invert"])

    def complete(
        self, command: str, config: Sequence[str] | Mapping[str, Any], *, check: bool = False
    ) -> dict[str, Any]:
        """Complete a configuration (:meth:`CommandLine.complete`)."""
        if isinstance(config, Mapping):
            with imported_of(config):
                parsed = self.parser.parse_object({"subcommand": command, command: copy.deepcopy(dict(config))})
                return self._completed(command, parsed, check=check)
        with imported([command, *_flags([str(find_config(name)) for name in config])]) as arguments:
            return self._completed(command, self._parsed(self.parser, arguments), check=check)

    def _completed(self, command: str, parsed: Namespace, *, check: bool) -> dict[str, Any]:
        """The plain content of what was parsed, after its parts were made if that is wanted."""
        if check:
            self._make(parsed)
        found: dict[str, Any] = parsed.clone(with_meta=False).as_dict()[command]
        return {key: value for key, value in found.items() if key != "config"}

    def _make(self, parsed: Namespace) -> None:
        """Make the parts, and forget them."""
        places = self._places(parsed)
        try:
            with places.flags():
                self.parser.instantiate(parsed, instantiators=[(places.make, object, True)])
        except Exception as error:
            wrong = root_error(error)
            if wrong is None:
                raise
            raise wrong from error

    def _set_seed(self) -> None:
        """Leave the random state as it is."""

    def instantiate_classes(self) -> None:
        """Make nothing."""

    def _run_subcommand(self, subcommand: str) -> None:
        """Run nothing."""


def run(args: list[str]) -> None:
    """Run a command of the command line.

    Args:
        args: Arguments, the command first.

    Raises:
        MIError: If something is wrong that the user can mend, in Lightning's own view, too.
    """
    quieten()
    try:
        MICLI(args, runner=CommandLine())
    except Exception as error:
        if root_error(error) is None and (isinstance(error, MisconfigurationException) or _from_lightning(error)):
            raise MIError(" ".join(str(error).split())) from error  # Lightning's own word for a wrong flag
        raise


def execute(argument: Mapping[str, Any]) -> dict[str, Any]:
    """Run one attack of a sweep, in a process of its own."""
    quieten()
    return execute_run(argument, CommandLine())


def quieten() -> None:
    """Switch off Lightning's notes on hardware and its own products; warnings and errors still come through."""
    logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric.utilities.seed").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=r".isinstance\(treespec, LeafSpec\). is deprecated")  # lightning 2.6
    warnings.filterwarnings("ignore", message=r"The '.*_dataloader' does not have many workers")  # data are in memory


def _flags(configs: Sequence[str]) -> list[str]:
    """The flags that name configurations."""
    return [part for config in configs for part in ("--config", config)]


def _from_lightning(error: Exception) -> bool:
    """Whether Lightning itself, not a part that it runs, found a value or a package wanting."""
    frame, module = error.__traceback__, ""
    while frame is not None:
        module, frame = frame.tb_frame.f_globals.get("__name__", ""), frame.tb_next
    return isinstance(error, ValueError | ModuleNotFoundError) and module.startswith(
        ("lightning.", "lightning_utilities.")
    )
