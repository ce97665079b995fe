"""Finds the project: the folder whose `pyproject.toml` has a table `[tool.backstay]`."""

from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from backstay.settings.errors import ConfigurationError, SettingError

FILE = "pyproject.toml"
KEYS = ("app",)
"""What the table may say."""
OWN_COPY: bool = False
"""Whether this is the copy that a project owns (`backstay new --own`), and not the package."""


@dataclass(frozen=True)
class Project:
    """A project's folder, and what its file says under `[tool.backstay]`."""

    root: Path
    table: dict[str, Any]

    @property
    def app(self) -> str:
        """The application that the project names, as ``module:name``.

        Raises:
            ConfigurationError: it names none.
        """
        app, file = self.table.get("app"), self.root / FILE
        faults = [_unknown(file, key) for key in self.table if key not in KEYS]
        if not isinstance(app, str):
            hint = 'Write app = "module:name".'
            faults.append(_error(file, "names no application", hint))
        if faults or not isinstance(app, str):
            raise ConfigurationError(faults)
        return app


@cache
def find_project(start: Path) -> Project | None:
    """Return the project of a folder: its own, else that of the nearest folder above.

    A process reads it once: what changes later counts from the next start on.

    Raises:
        ConfigurationError: a `pyproject.toml` on the way cannot be read.
    """
    for folder in (start, *start.parents):
        if (table := _table(folder / FILE)) is not None:
            return Project(folder, table)
    return None


def project_root() -> Path:
    """The folder of the project that the working directory is in, else the working directory.

    Raises:
        ConfigurationError: a `pyproject.toml` on the way cannot be read.
    """
    here = Path.cwd()
    project = find_project(here)
    return project.root if project else here


def _table(file: Path) -> dict[str, Any] | None:
    """The table `[tool.backstay]` of a file, or None.

    A file that does not contain the word is not parsed: most projects are somebody else's, and
    the parser would have to be imported.
    """
    try:
        content = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:
        hint = "Let this user read it: it may say that the project is in this folder."
        raise _fault(file, f"cannot be read: {error.strerror}", hint) from None
    if b"backstay" not in content:
        return None
    import tomllib  # noqa: PLC0415

    try:
        tool = tomllib.loads(content.decode()).get("tool")
    except ValueError as error:  # it is not UTF-8, or not TOML
        raise _fault(file, f"cannot be read: {error}", "Correct this file.") from None
    table = tool.get("backstay") if isinstance(tool, dict) else None
    if table is None or isinstance(table, dict):
        return table
    raise _fault(file, "is not a table", 'Write [tool.backstay], and below it app = "module:name".')


def _unknown(file: Path, key: str) -> SettingError:
    near = get_close_matches(key, KEYS, n=1, cutoff=0.5)
    hint = f"Write {near[0]}." if near else f"Remove it; there is {', '.join(KEYS)}."
    return _error(file, f"has the unknown key {key}", hint)


def _fault(file: Path, wrong: str, hint: str) -> ConfigurationError:
    return ConfigurationError([_error(file, wrong, hint)])


def _error(file: Path, wrong: str, hint: str) -> SettingError:
    return SettingError(wrong, hint, f"[tool.backstay] of {file}")
