"""What commands that consist of other commands ask of the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console
from rich.text import Text

from mi_lightning.data.base import PersonDataModule
from mi_lightning.targets.base import Target


@dataclass(frozen=True)
class Attacked:
    """An attack that has run.

    Attributes:
        folder: Folder of the run.
        target: What was attacked.
        datamodule: The people, if it was given any.
    """

    folder: Path
    target: Target
    datamodule: PersonDataModule | None


@dataclass(frozen=True)
class Preview:
    """What a training, a test or an attack would do.

    Attributes:
        lines: It, in words.
        class_names: Name of each class.
    """

    lines: list[str]
    class_names: tuple[str, ...]

    def tell(self) -> None:
        """Print it."""
        tell_dry_run(self.lines)


class Runner(Protocol):
    """Runs commands and completes configurations.

    Configurations are given by the names of files, of the working folder or of those that come with the package.
    """

    @property
    def worker(self) -> str:
        """``module:function`` that calls :func:`mi_lightning.commands.sweep.run.execute` in another process."""

    def fit(self, config: str, *, changes: Mapping[str, Any] | None = None) -> None:
        """Train and test a classifier, and save it.

        Args:
            config: Name of its configuration.
            changes: Dotted keys of the complete configuration, and what they are set to.
        """

    def invert(
        self,
        configs: Sequence[str],
        *,
        save_dir: Path,
        name: str,
        version: str | None = None,
        changes: Mapping[str, Any] | None = None,
    ) -> Attacked:
        """Run an attack.

        Args:
            configs: Names of its configurations.
            save_dir: Folder above that of the attack.
            name: Name of the folder of the attack.
            version: Name of the folder in it of this run; ``version_0``, ``version_1``, ... if None.
            changes: Dotted keys of the complete configuration, and what they are set to.
        """

    def preview(
        self,
        command: str,
        config: Sequence[str] | Mapping[str, Any],
        *,
        save_dir: Path | None = None,
        name: str = "",
        changes: Mapping[str, Any] | None = None,
    ) -> Preview:
        """Check everything that can be wrong with a training or an attack, and say what it would do.

        Args:
            command: ``fit`` or ``invert``.
            config: Names of its configurations, or the content of one.
            save_dir: Folder above that of an attack.
            name: Name of the folder of an attack.
            changes: Dotted keys of the complete configuration, and what they are set to.
        """

    def complete(
        self,
        command: str,
        config: Sequence[str] | Mapping[str, Any],
        *,
        check: bool = False,
        changes: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return a configuration of ``fit`` or ``invert`` with all defaults; make its parts, too, if ``check``.

        Args:
            command: The command.
            config: Names of configurations, or the content of one.
            check: Whether to make the parts.
            changes: Dotted keys of the complete configuration, and what they are set to before parts are made.
        """


def listed(given: Sequence[str] | str | None) -> list[str]:
    """Return what a flag or a key names: one name stands for a list of one, None for none.

    Example:
        >>> listed("own.yaml"), listed(["a.yaml", "b.yaml"]), listed(None)
        (['own.yaml'], ['a.yaml', 'b.yaml'], [])
    """
    return [given] if isinstance(given, str) else list(given or ())


def console() -> Console:
    """Return the screen, as every command writes to it.

    Paths, names and titles are never markup: what looks like a style or an emoji is printed as it is.
    """
    return Console(highlight=False, soft_wrap=True, markup=False, emoji=False)


def headed(word: str, text: str, style: str = "bold") -> Text:
    """Return a line that begins with a word in a style, for the screen.

    Example:
        >>> headed("fit", "[b]").plain
        'fit [b]'
    """
    return Text.assemble((word, style), " ", text)


def tell_dry_run(lines: Sequence[str]) -> None:
    """Print what a command would do."""
    screen = console()
    screen.print(headed("dry run:", "everything was checked, nothing is written"))
    for line in lines:
        screen.print(line)
