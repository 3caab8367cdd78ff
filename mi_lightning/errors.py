"""Errors that say what is wrong and what to do, in one line each."""

from __future__ import annotations


class MIError(Exception):
    """Root of every error that mi_lightning raises for something the user can mend.

    The message is one line. The command line prints it without a traceback and exits with status 2.
    """


class InputError(MIError, ValueError):
    """A value that cannot be used: what was expected, what was given, and which argument to change.

    Args:
        expected: What would have been right, for example ``"beta >= 1"``.
        got: What was given.
        field: The argument of the part that was given it, by its name in Python, such as ``"beta"``; none is named if
            empty. The command line, which knows where the part stands, puts the full flag in its place.

    Example:
        >>> str(InputError("beta >= 1", 0, field="beta"))
        'expected beta >= 1, got 0 (beta)'
    """

    def __init__(self, expected: str, got: object, field: str = "") -> None:
        """Build the message."""
        self.expected, self.got, self.field = expected, got, field
        super().__init__(f"expected {expected}, got {got}" + (f" ({field})" if field else ""))

    def __reduce__(self) -> tuple[type[InputError], tuple[str, object, str]]:
        """Pickle by the parts, so that the error crosses process boundaries whole."""
        return type(self), (self.expected, self.got, self.field)


class GateError(MIError):
    """A gate fell: something was measured, and it is not what was asked for.

    The message has one line for each reason. The command line prints them and exits with status 3.
    """


def root_error(error: BaseException) -> MIError | None:
    """Return the innermost error of ours in a chain: the command line's parts wrap what a constructor raises.

    What an error was raised ``from None`` for is not looked at. A chain that bites its own tail ends where it began.
    """
    found: MIError | None = None
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        if isinstance(link, MIError):
            found = link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return found
