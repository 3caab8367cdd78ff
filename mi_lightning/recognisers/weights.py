"""Files of weights that a package carries, taken only if they are the very ones that were tried."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mi_lightning.checkpoint import file_digest
from mi_lightning.errors import MIError
from mi_lightning.extras import package_file
from mi_lightning.recognisers.base import MissingRecogniserError

_SHOWN = 12  # characters of a digest in an error


@dataclass(frozen=True)
class PackagedWeights:
    """A file of weights inside an installed package, which is found and not imported.

    Attributes:
        package: The package, by its name in Python.
        parts: Folders and name of the file in it.
        sha256: Digest of the file.
        brings: What the file is for, such as ``"faces are recognised by"``.
        install: What installs the package.
    """

    package: str
    parts: tuple[str, ...]
    sha256: str
    brings: str
    install: str

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.parts[-1]

    def find(self) -> Path:
        """Return the file, whatever it holds.

        Raises:
            MissingRecogniserError: If it is not there.
        """
        path = package_file(self.package, *self.parts)
        if path is None:
            raise MissingRecogniserError(
                f"{self.brings} {self.name} of the package {self.package.replace('_', '-')}, which is not installed: "
                f"{self.install}"
            )
        return path

    def checked(self) -> Path:
        """Return the file, whose digest is the expected one; it is read once in a process.

        Raises:
            MissingRecogniserError: If it is not there.
            MIError: If it is another file.
        """
        path = self.find()
        found = _digest(path)
        if found != self.sha256:
            raise MIError(
                f"{path} is not the file that this recogniser was tried with: SHA-256 {self.sha256[:_SHOWN]}... "
                f"expected, {found[:_SHOWN]}... found; install the package {self.package.replace('_', '-')} anew "
                f"({self.install})"
            )
        return path


@cache
def _digest(path: Path) -> str:
    """Digest of a file, read once."""
    return file_digest(path)
