"""Command line: ``mi-lightning fit | test | invert | audit | sweep | report | verify | study | doctor``, all from YAML.

What needs no torch is answered before torch is imported: a help text should not take five seconds.
"""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from mi_lightning import __version__
from mi_lightning.cli.text import COMMANDS, help_text
from mi_lightning.errors import GateError, InputError, root_error


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line.

    Exits with status 2 after one line on what was wrong, with 3 after a line for each reason why a gate fell, and with
    130 after Ctrl-C.

    Args:
        args: Arguments; those of the process if None.
    """
    arguments = _command_first(sys.argv[1:] if args is None else args)
    try:
        if not _answered(arguments):
            sleep_while_waiting()
            runner = import_module("mi_lightning.cli.runner")  # torch, Lightning and all that
            runner.run(_gathered(_switched(arguments)))
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        found = root_error(error)
        if found is None:
            raise
        gate = isinstance(found, GateError)
        for line in str(found).splitlines() if gate else [str(found)]:
            _tell(line)
        sys.exit(3 if gate else 2)


def sleep_while_waiting() -> None:
    """Let the threads of torch sleep while they wait for each other. To be called before torch is imported.

    Threads that spin bring a busy machine to a halt: with other programs on the cores, a training took 40 times as
    long. Read by OpenMP when torch is first imported; what is set by the user stays.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")


#: Flags that say yes where no value follows them, and may be written with a hyphen, as other programs have it.
_SWITCHES = ("--dry_run", "--quick", "--no_pictures", "--pseudonyms", "--refit", "--unverified", "--yes")


def _switched(arguments: Sequence[str]) -> list[str]:
    """Give switches their value.

    Example:
        >>> _switched(["audit", "--dry-run", "--quick", "false", "--no-pictures"])
        ['audit', '--dry_run=true', '--quick', 'false', '--no_pictures=true']
    """
    found: list[str] = []
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        name, equals, value = argument.partition("=")
        name = name.replace("-", "_").replace("__", "--", 1)
        if name in _SWITCHES:
            given = following.lower() in ("true", "false")
            argument = f"{name}={value}" if equals else name if given else f"{name}=true"
        found.append(argument)
    return found


def _gathered(arguments: Sequence[str]) -> list[str]:
    """Gather the gates: ``--fail-above`` may be given several times, and with a hyphen, as other programs have it.

    Example:
        >>> _gathered(["audit", "--fail-above", "recognised=0.2", "--fail_above=leak=0.1"])
        ['audit', '--fail_above+=recognised=0.2', '--fail_above+=leak=0.1']
    """
    found: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        if name in ("--fail-above", "--fail_above"):
            value = value if equals else next(rest, "")
            argument = f"--fail_above+={value}"
        found.append(argument)
    return found


def _command_first(arguments: Sequence[str]) -> list[str]:
    """Move what stands before the command behind it: ``--import`` may be given anywhere.

    Example:
        >>> _command_first(["--import", "mynet", "--import=more", "fit", "--config", "a.yaml"])
        ['fit', '--import', 'mynet', '--import=more', '--config', 'a.yaml']
    """
    place = 0
    while place < len(arguments) and arguments[place].partition("=")[0] == "--import":
        place += 1 if "=" in arguments[place] else 2
    return [*arguments[place : place + 1], *arguments[:place], *arguments[place + 1 :]]


def _answered(arguments: Sequence[str]) -> bool:
    """Answer what can be answered at once.

    Raises:
        InputError: If there is no such command.
    """
    first = arguments[0] if arguments else "none"
    if first == "doctor":  # must answer where torch cannot be imported
        import_module("mi_lightning.commands.doctor").doctor(arguments[1:])
        return True
    if first in COMMANDS:
        return False
    if first in ("--help", "-h"):
        sys.stdout.write(help_text())
    elif first == "--version":
        sys.stdout.write(f"mi-lightning {__version__}\n")
    else:
        near = difflib.get_close_matches(first, COMMANDS, n=1)
        known = f"{near[0]}, the nearest command" if near else f"a command ({', '.join(COMMANDS)})"
        raise InputError(known, first, "mi-lightning --help lists the commands")
    return True


def _tell(message: str) -> None:
    """Write one line of red to the errors, without colour where these are no terminal, without control characters."""
    line = f"mi-lightning: {' '.join(''.join(c if c.isprintable() or c.isspace() else '?' for c in message).split())}"
    sys.stderr.write(
        f"\x1b[31m{line}\x1b[0m\n" if sys.stderr.isatty() and "NO_COLOR" not in os.environ else f"{line}\n"
    )
