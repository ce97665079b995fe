"""Finds the values of variables in the environment, in `.env` and in files."""

import difflib
import os
from collections.abc import Collection, Iterator, Mapping, MutableMapping
from io import StringIO
from pathlib import Path

from dotenv.parser import parse_stream

from backstay.settings.errors import SettingError
from backstay.settings.files import read_text
from backstay.settings.schema import Schema
from backstay.settings.variables import Variable

Layers = Mapping[str, Mapping[str, str]]
"""Variables by their origin, that of the highest precedence first."""

_CLOSE = 0.75
_VERY_CLOSE = 0.9


def read_dotenv(
    path: Path, label: str, environ: MutableMapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """The literal values of a `.env` file (`$` is not expanded), and warnings, which name it so.

    Raises:
        SettingError: the file cannot be read. It is not skipped: it might set ENVIRONMENT to
            production.
    """
    values: dict[str, str] = {}
    warnings: list[str] = []
    try:
        text = read_text(path, environ) if os.path.lexists(path) else ""
    except OSError as error:
        raise SettingError(
            f"cannot be read: {error.strerror}", "Mend or remove it.", label
        ) from None
    for each in parse_stream(StringIO(text)):
        if each.key and each.value is not None:
            values[each.key] = each.value
        elif each.error or each.key:
            warnings.append(
                f"{label}, line {each.original.line}, is not NAME=value and was skipped"
            )
    return values, warnings


def find(
    variable: Variable, layers: Layers, directory: Path, environ: MutableMapping[str, str]
) -> tuple[str, str] | None:
    """A variable's value and its origin: the first layer that has it, there under its first name.

    Raises:
        SettingError: the value is not UTF-8 text, or the file that it names cannot be read.
    """
    for origin, values in layers.items():
        for name in variable.names:
            value = values.get(name)
            if value is None or not (value.strip() or variable.may_be_empty):
                continue
            if variable.secret and name.endswith("_FILE"):
                path = directory / value
                return _content(name, path, environ), f"file {path}"
            try:
                value.encode()
            except UnicodeEncodeError:
                raise SettingError("is not UTF-8 text", "Write it in UTF-8.", name) from None
            return value, origin if name == variable.name else f"{origin} ({name})"
    return None


def _content(name: str, path: Path, environ: MutableMapping[str, str]) -> str:
    hint = "Let it name a readable file, or a pipe, that holds the secret and nothing else."
    try:
        value = read_text(path, environ).rstrip("\r\n")
    except OSError as error:
        wrong = f"names a file that cannot be read: {error.strerror}"
        raise SettingError(wrong, hint, name) from None
    if not value.strip():
        raise SettingError("names an empty file", hint, name)
    return value


def unknown(layers: Layers, schema: Schema) -> Iterator[str]:
    """Warnings about variables that look like settings but are none."""
    known = {name for variable in schema.variables for name in variable.names}
    prefixes, shared = schema.prefixes, schema.shared_prefixes
    for origin, values in layers.items():
        for name in sorted(values.keys() - known):
            upper = name.upper()
            if upper.startswith(shared):
                continue
            prefix = next((each for each in prefixes if upper.startswith(each)), "")
            meant = _closest(upper, prefix, known, prefixes)
            if prefix or meant:
                hint = f"; did you mean {meant}?" if meant else ""
                yield f"{name} ({origin}) is not a setting{hint}"


def _closest(
    name: str, prefix: str, known: Collection[str], prefixes: tuple[str, ...]
) -> str | None:
    if prefix:
        likely = [each.removeprefix(prefix) for each in known if each.startswith(prefix)]
    else:
        likely = [each for each in known if not each.startswith(prefixes)]
    cutoff = _CLOSE if prefix else _VERY_CLOSE
    bare = name.removeprefix(prefix)
    if close := difflib.get_close_matches(bare, sorted(likely), 1, cutoff):
        return f"{prefix}{close[0]}"
    return bare if bare in known else None
