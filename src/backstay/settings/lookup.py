"""Finds the values of variables in the environment, in `.env` and in files."""

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from dotenv.parser import parse_stream

from backstay.settings.faults import Fault
from backstay.settings.files import Unreadable, read_text
from backstay.settings.group import Found, MayBeEmpty, Variable

_CLOSE = 0.75
_VERY_CLOSE = 0.9


@dataclass(frozen=True)
class Layer:
    """Variables of one origin."""

    origin: str
    values: Mapping[str, str]


@dataclass(frozen=True)
class DotEnv:
    """What a `.env` file holds, and what of it could not be read."""

    values: Mapping[str, str]
    faults: tuple[Fault, ...] = ()
    warnings: tuple[str, ...] = ()


def read_dotenv(path: Path, environ: MutableMapping[str, str]) -> DotEnv:
    """Read a `.env` file as it stands: `$` is a character like any other.

    Only where nothing is of that name, nothing is read: what is skipped might be the line that says
    that this is production.
    """
    try:
        if not os.path.lexists(path):
            return DotEnv({})
        bindings = list(parse_stream(StringIO(read_text(path, environ))))
    except (Unreadable, OSError) as error:
        wrong = f"cannot be read: {error.strerror if isinstance(error, OSError) else error}"
        return DotEnv({}, faults=(Fault(".env", wrong, "Mend or remove it."),))
    return DotEnv(
        {each.key: each.value for each in bindings if each.key and each.value is not None},
        warnings=tuple(
            f".env, line {each.original.line}, is not NAME=value and was skipped"
            for each in bindings
            if each.error or (each.key and each.value is None)
        ),
    )


def find(
    variable: Variable,
    layers: Sequence[Layer],
    directory: Path,
    environ: MutableMapping[str, str],
) -> Found | Fault | None:
    """Return a variable's value: the first layer wins, in it the strongest name."""
    may_be_empty = variable.marker(MayBeEmpty)
    for layer in layers:
        for name in variable.names:
            value = layer.values.get(name)
            if value is None or not (value.strip() or may_be_empty):
                continue
            if variable.secret and name.endswith("_FILE"):
                return _content(name, directory / value, environ)
            if not _is_utf8(value):
                return Fault(name, "is not UTF-8 text", "Write it in UTF-8.")
            aside = "" if name == variable.name else f" ({name})"
            return Found(value, f"{layer.origin}{aside}")
    return None


def unknown(
    variables: Sequence[Variable], prefixes: Sequence[str], layers: Sequence[Layer]
) -> Iterator[str]:
    """Warn of variables that look like settings and are none."""
    known = {name for variable in variables for name in variable.names}
    for layer in layers:
        for name in sorted(layer.values.keys() - known):
            upper = name.upper()
            prefix = next((each for each in prefixes if upper.startswith(each)), "")
            meant = _closest(upper, prefix, known, prefixes)
            if prefix or meant:
                hint = f"; did you mean {meant}?" if meant else ""
                yield f"{name} ({layer.origin}) is not a setting{hint}"


def _closest(name: str, prefix: str, known: Iterable[str], prefixes: Sequence[str]) -> str | None:
    if prefix:
        likely = [each.removeprefix(prefix) for each in known if each.startswith(prefix)]
    else:
        likely = [each for each in known if not each.startswith(tuple(prefixes))]
    cutoff = _CLOSE if prefix else _VERY_CLOSE
    close = difflib.get_close_matches(name.removeprefix(prefix), sorted(likely), 1, cutoff)
    return f"{prefix}{close[0]}" if close else None


def _is_utf8(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _content(name: str, path: Path, environ: MutableMapping[str, str]) -> Found | Fault:
    mend = "Let it name a readable file, or a pipe, that holds the secret and nothing else."
    try:
        value = read_text(path, environ).rstrip("\r\n")
    except Unreadable as error:
        return Fault(name, f"names a file that cannot be read: {error}", mend)
    if not value.strip():
        return Fault(name, "names an empty file", mend)
    return Found(value, f"file {path}")
