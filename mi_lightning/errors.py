"""Errors that say what is wrong and what to do, in one line each."""

from __future__ import annotations


class MIError(Exception):
    """Root of every error that mi_lightning raises for something the user can mend.

    The message is one line. The command line prints it without a traceback and exits with status 2.
    """


class InputError(MIError, ValueError):
    """A value that cannot be used: what was expected, what was given, and which flag to change.

    Args:
        expected: What would have been right, for example ``"beta >= 1"``.
        got: What was given.
        flag: The command-line flag (or argument) to change; none is named if empty.

    Example:
        >>> str(InputError("beta >= 1", 0, "--model.beta"))
        'expected beta >= 1, got 0 (--model.beta)'
    """

    def __init__(self, expected: str, got: object, flag: str = "") -> None:
        """Build the message."""
        self.expected, self.got, self.flag = expected, got, flag
        super().__init__(f"expected {expected}, got {got}" + (f" ({flag})" if flag else ""))

    def __reduce__(self) -> tuple[type[InputError], tuple[str, object, str]]:
        """Pickle by the parts, so that the error crosses process boundaries whole."""
        return type(self), (self.expected, self.got, self.flag)


def root_error(error: BaseException) -> MIError | None:
    """Return the innermost error of ours in a chain: the command line's parts wrap what a constructor raises.

    What an error was raised ``from None`` for is not looked at.
    """
    found: MIError | None = None
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, MIError):
            found = link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return found
