"""Keys and values that the command line leaves alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml
from jsonargparse.typing import register_type


class _Readable(type):
    """A type that the help names in words."""

    def __repr__(cls) -> str:
        return "keys and values"


class Settings(metaclass=_Readable):
    """Keys and values as they stand in a YAML file, which the command line leaves alone.

    Args:
        content: The keys and values.
    """

    def __init__(self, content: Mapping[str, Any]) -> None:
        """Keep them."""
        self.content = dict(content)

    @classmethod
    def read(cls, value: Any) -> Settings:
        """Make them of what a YAML file or a flag holds.

        Raises:
            ValueError: If these are no keys and values; the command line says where.
        """
        try:
            content = yaml.safe_load(value) if isinstance(value, str) else value
        except yaml.YAMLError as error:
            raise ValueError("expected YAML, got " + " ".join(str(error).split())) from error
        if not isinstance(content, dict):
            raise ValueError(f"expected keys and values, got {content}")
        return cls(content)


register_type(Settings, serializer=lambda settings: settings.content, deserializer=Settings.read)
