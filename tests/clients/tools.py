"""Installs the client generators once for each change of their lock files."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from backstay.testing.waiting import LIMIT

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".pytest_cache" / "clients"
"""An uncommitted folder that is kept between runs."""
NODE_NEEDED = (20, 19)
"""The oldest Node.js that one of the generators starts on."""


class ToolsError(Exception):
    """The generators cannot be installed here, or one of them failed."""


def python_tools() -> Path:
    """The folder of an environment with the generator of Python clients and what they import."""
    return environment(CACHE, HERE / "requirements.lock")


def environment(cache: Path, lock: Path) -> Path:
    """The folder of the programs of an environment in a cache, with what a lock file names."""
    with _needed():
        name = f"python{sys.version_info.major}.{sys.version_info.minor}"
        return _installed(cache / name, lock, partial(_install_python, lock=lock)) / "bin"


def node_tools() -> Path:
    """The folder `node_modules` with the generators of TypeScript clients and the compiler."""
    with _needed():
        version = run("node", "--version", cwd=HERE).strip()
        if tuple(map(int, re.findall(r"\d+", version)[:2])) < NODE_NEEDED:
            raise ToolsError(f"Node.js is {version}, {'.'.join(map(str, NODE_NEEDED))} is needed")
        lock = HERE / "package-lock.json"
        return _installed(CACHE / "node", lock, _install_node) / "node_modules"


@contextmanager
def _needed() -> Iterator[None]:
    """Skip the test if the tools are missing; with CI=true it fails with ToolsError."""
    try:
        yield
    except ToolsError as error:
        if os.environ.get("CI", "").lower() in {"1", "true"}:
            raise
        pytest.skip(f"what the test needs cannot be installed: {error}")


def run(*command: str | Path, cwd: Path) -> str:
    """Run a program to its end and return what it printed.

    It does not find the programs of this environment by their names: with its `ruff` a generator
    would write something else.

    Raises:
        ToolsError: it is missing or failed; with what it printed.
    """
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    found = environ["PATH"].split(os.pathsep)
    environ["PATH"] = os.pathsep.join(p for p in found if Path(p) != Path(sys.executable).parent)
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=environ,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolsError(str(error)) from error
    if done.returncode:
        raise ToolsError(f"{' '.join(map(str, command))}\n{done.stdout}")
    return done.stdout


def _installed(folder: Path, lock: Path, install: Callable[[Path], None]) -> Path:
    """The folder, filled anew if the lock has changed since."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.turn").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        installed = folder / "installed"
        if not installed.exists() or installed.read_bytes() != lock.read_bytes():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            install(folder)
            shutil.copy(lock, installed)
    return folder


def _install_python(folder: Path, lock: Path) -> None:
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    pip = (sys.executable, "-m", "pip", "--python", folder / "bin" / "python")
    options = ("--quiet", "--no-deps", "--no-compile", "--require-hashes")
    run(*pip, "install", *options, "-r", lock, cwd=folder)


def _install_node(folder: Path) -> None:
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(HERE / name, folder)
    run("npm", "ci", "--loglevel=error", cwd=folder)
