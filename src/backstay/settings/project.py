"""Finds the project: the folder whose `pyproject.toml` has a table `[tool.backstay]`."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from backstay.settings.errors import ConfigurationError, SettingError

FILE = "pyproject.toml"


@dataclass(frozen=True)
class Project:
    """A project's folder, and the application that it names, as ``module:name``."""

    root: Path
    app: str


def find_project(start: Path) -> Project | None:
    """Return the project of a folder: its own, else that of the nearest folder above.

    Raises:
        ConfigurationError: its `pyproject.toml` cannot be read, or names no application.
    """
    for folder in (start, *start.parents):
        file = folder / FILE
        table = _table(file) if file.is_file() else None
        if table is None:
            continue
        app = table.get("app") if isinstance(table, dict) else None
        if not isinstance(app, str):
            raise _fault(file, "names no application", 'Write app = "module:name" there.')
        return Project(folder, app)
    return None


def project_root() -> Path:
    """The folder of the project that the working directory is in, else the working directory."""
    here = Path.cwd()
    project = find_project(here)
    return project.root if project else here


def _table(file: Path) -> object:
    """The table `[tool.backstay]` of a file, or None."""
    try:
        content = tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _fault(file, f"cannot be read: {error}", "Mend it.") from None
    tool = content.get("tool")
    return tool.get("backstay") if isinstance(tool, dict) else None


def _fault(file: Path, wrong: str, hint: str) -> ConfigurationError:
    return ConfigurationError([SettingError(wrong, hint, f"[tool.backstay] of {file}")])
