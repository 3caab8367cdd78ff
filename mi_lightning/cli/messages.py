"""What the parser says of arguments that it cannot take, in the words of our own errors: expected, got, which flag."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mi_lightning.cli.text import OF_A_RUN
from mi_lightning.errors import InputError
from mi_lightning.imports import refused


def plain(message: str, command: str = "", arguments: Sequence[str] = ()) -> str:
    r"""Say a message of jsonargparse in one short line that names the flag; one that is not known stays as it is.

    Args:
        message: The message.
        command: The command whose arguments could not be parsed.
        arguments: Its arguments, in which the flag is looked for that the message leaves out.

    Example:
        >>> plain("Parser key \"model.beta\": Expected a <class 'int'>. Got value: many")
        'expected int, got many (--model.beta)'
    """
    line = " ".join(message.split())
    if found := re.search(r"Option '([^']+)' is not accepted", line):
        return f"expected a key that is known there, got {found[1]}{_flag(found[1], arguments)}"
    if found := re.search(r"Importing '([^']+)' is not allowed", line):
        at = re.match(r'Parser key "([^"]+)"', line)
        field = f"--{at[1]}" if at else ""
        if found[1].endswith((".yaml", ".yml", ".json")):
            return str(InputError("a file that exists", found[1], field))
        return str(refused(found[1], field))
    if found := re.fullmatch(r'Parser key "([^"]+)": Expected an? (.+?)\. Got value: (.*)', line):
        key, kind, value = found.groups()
        kind = re.sub(r"<class '([\w.]+)'>", r"\1", kind)
        if choices := re.fullmatch(r"typing\.Literal\[(.*)\]", kind):
            kind = "one of " + choices[1].replace("'", "")
        return f"expected {kind}, got {value} (--{key})"
    union = r'Parser key "([^"]+)": .*Subtypes: \[(.*?)\] Errors: (.*) Given value type: .*? Given value: (.*)'
    if found := re.fullmatch(union, line):
        key, kinds, errors, value = found.groups()
        names = [name for name in re.findall(r"<class '([\w.]+)'>", kinds) if name != "NoneType"]
        if len(names) == kinds.count(", ") and "Expected a dot import path string" in errors and len(names) == 1:
            return f"expected the class path of a {names[0].split('.')[-1]}, got {value} (--{key}, see --{key}.help)"
        if len(names) == kinds.count(", ") and set(names) <= {"int", "float", "bool"}:
            return f"expected {' or '.join(names)} or null, got {value} (--{key})"
        simple = re.sub(r"<class '(\w+)'>", r"\1", kinds).replace("NoneType", "null")
        if re.fullmatch(r"[\w |\[\],]+", simple):  # nothing but plain values
            return f"expected {simple.replace(', ', ' or ')}, got {value} (--{key})"
    if found := re.fullmatch(r"the following arguments are required: (.+)", line):
        if command in OF_A_RUN:
            return f"expected the folder of a run or an audit, got none (mi-lightning {command} --help)"
        flags = " and ".join("--" + key.strip().removeprefix(f"{command}.") for key in found[1].split(","))
        return f"expected {flags}, or a --config that has them, got none (mi-lightning {command} --help)"
    return line


def _flag(key: str, arguments: Sequence[str]) -> str:
    """The flag that ends with a key, in brackets; nothing if there is none, as of a key within a file."""
    flags = [argument.split("=", 1)[0].rstrip("+") for argument in arguments if argument.startswith("--")]
    return next((f" ({flag})" for flag in flags if flag.split(".")[-1] == key), "")
