"""A copy of a project, in which what a blueprint wrote is tried before it gets into the project."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backstay.blueprints.errors import BlueprintError
from backstay.blueprints.files import decoded
from backstay.server.run_folder import run_folder

_DATABASE = ("DB_", "DATABASE_URL", "BACKSTAY_APP")
"""Variables of the configured database, which no copy may use; and of another application."""
_SECONDS = 300
PREFIX = "backstay-scratch-"
"""With this the names of temporary folders begin: of copies, and of environments."""


@contextmanager
def scratch_copy(root: Path) -> Iterator[Path]:
    """A copy of a project that is removed afterwards: the files that git knows or would take.

    Its `.env` is copied, too, apart from what it says about the database.

    Raises:
        BlueprintError: git cannot tell the files, or `.env` is not UTF-8.
    """
    with run_folder(PREFIX) as folder:
        copy = folder.resolve() / root.name
        for path in files_of(root):
            source, target = root / path, copy / path
            if source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
        if (root / ".env").is_file():
            text, _ = decoded(".env", (root / ".env").read_bytes())
            lines = text.splitlines(keepends=True)
            kept = (line for line in lines if not _is_of_database(line))
            (copy / ".env").write_text("".join(kept), "utf-8")
        yield copy


def _is_of_database(line: str) -> bool:
    return line.removeprefix("export ").lstrip().startswith(_DATABASE)


def files_of(root: Path) -> list[str]:
    """The paths of the files that git knows or would take.

    Raises:
        BlueprintError: git cannot tell them.
    """
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, cwd=root, capture_output=True, check=False)  # noqa: S603
    if done.returncode:
        raise BlueprintError(f"git cannot list the project's files: {done.stderr.decode().strip()}")
    return sorted({os.fsdecode(path) for path in done.stdout.split(b"\0") if path})


def migration_of(copy: Path, message: str, features: list[str]) -> tuple[str, str] | None:
    """Boot the copy and write the migration that its models need: its path and its text, or None.

    Raises:
        BlueprintError: the project does not boot, or its migrations do not run on SQLite.
    """
    return _written(copy, _inside(copy, environ_of(copy), "revision", message, *features))


def migration_after(copy: Path, message: str, python: str) -> tuple[str, str] | None:
    """The same with another release, that of an interpreter, and no fault without migrations.

    Raises:
        BlueprintError: the project does not boot with it.
    """
    return _written(copy, _inside(copy, environ_of(copy), "upgraded", message, python=python))


def _written(copy: Path, told: str | None) -> tuple[str, str] | None:
    if told is None:
        return None
    path = Path(told)
    return path.relative_to(copy).as_posix(), path.read_text("utf-8")


def boot(copy: Path, features: list[str]) -> None:
    """Boot the copy, and look whether its application lists the features.

    Raises:
        BlueprintError: it does not boot, or does not list them.
    """
    _inside(copy, environ_of(copy), "boot", *features)


def environ_of(copy: Path) -> dict[str, str]:
    """The variables of a process that runs in a copy: on a database of its own."""
    environ = {name: value for name, value in os.environ.items() if not _is_of_database(name)}
    database = copy.parent / "scratch.db"
    return environ | {"ENVIRONMENT": "local", "DB_URL": f"sqlite:///{database}", "REDIS_URL": ""}


def import_path(folder: Path | None) -> str:
    """The variable `PYTHONPATH` of a process that runs a project, or does no more than read one.

    Nothing in it leads to another Backstay than that of the project, if it owns one: a process
    looks there before it looks where the release is installed.
    """
    others = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    kept = [each for each in others if each and not (Path(each) / "backstay").is_dir()]
    own = (str(folder / "src"), str(folder)) if folder else ()
    return os.pathsep.join((*own, *kept))


def tables_with_rows(root: Path, tables: list[str]) -> list[str]:
    """Those tables that hold rows in the configured database.

    ``table.column`` asks for rows that have null in this column.

    Raises:
        BlueprintError: it cannot be asked.
    """
    found: list[str] = _inside(root, dict(os.environ), "rows", *tables)
    return found


def _inside(
    folder: Path, environ: Mapping[str, str], *arguments: str, python: str = sys.executable
) -> Any:
    """What `backstay.blueprints.inside` says, run in a folder."""
    paths = [str(folder / "src"), str(folder), environ.get("PYTHONPATH", "")]
    found = os.pathsep.join(filter(None, paths))
    done = subprocess.run(  # noqa: S603
        [python, "-m", "backstay.blueprints.inside", *arguments],
        cwd=folder,
        env={**environ, "PYTHONPATH": found if python == sys.executable else import_path(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip().replace(f"{folder}{os.sep}", "")
        raise BlueprintError(said or f"The project ends with exit code {done.returncode}.")
    return json.loads(done.stdout.splitlines()[-1])
