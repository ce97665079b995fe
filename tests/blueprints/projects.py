"""A project on disk, held by git, into which entities are added."""

import fcntl
import gc
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import pytest

from backstay.blueprints.project import ProjectOptions, render_project
from backstay.blueprints.tree import Plan
from backstay.cli import main
from backstay.settings.project import find_project
from backstay.testing.waiting import LIMIT
from tests import warm
from tests.architecture.tree import ROOT

APPLICATION = '''"""The application."""

from backstay import STANDARD, Application, features_of

application = Application("shop", features=(*STANDARD, *features_of("shop.features")))
'''
PYPROJECT = f"""\
[project]
name = "shop"
version = "1.0.0"

[tool.backstay]
app = "shop.application:application"

[tool.pytest.ini_options]
pythonpath = ["src"]
anyio_mode = "auto"
addopts = ["--import-mode=importlib", "-p", "backstay.testing", "--database=sqlite", "-q"]

[tool.mypy]
strict = true
mypy_path = "src"
explicit_package_bases = true
exclude = ["migrations/"]

[tool.pyright]
include = ["src", "tests"]
exclude = ["src/shop/migrations"]
extraPaths = ["src", "{ROOT / "src"}"]
pythonVersion = "3.11"
typeCheckingMode = "strict"
"""
BIN = Path(sys.executable).parent
FILES = {
    "pyproject.toml": PYPROJECT,
    "src/shop/__init__.py": '"""A shop."""\n',
    "src/shop/application.py": APPLICATION,
    "src/shop/features/__init__.py": '"""Its features."""\n',
    ".gitignore": ".backstay/\n__pycache__/\n*.db*\n.env\nlogs/\n.*_cache/\n",
}

_CACHE = ROOT / ".mypy_cache" / "projects"


@contextmanager
def mypy_cache() -> Iterator[Path]:
    """Where mypy keeps what it found out about packages, most of its work, for all projects.

    Others wait meanwhile.
    """
    _CACHE.mkdir(parents=True, exist_ok=True)
    with (_CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield _CACHE


def generated(folder: Path, options: ProjectOptions) -> Path:
    """What `backstay new` writes, in a folder of its name."""
    root = folder / options.name
    Plan.of(root, render_project(options), options.record).apply()
    return root


class Shop:
    """The project, and what is run in it."""

    def __init__(self, root: Path, *, copied: Path | None = None) -> None:
        self.root = root
        if copied:
            shutil.copytree(copied, root)
            return
        for name, content in FILES.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(content)
        self.git("init", "--quiet")
        self.commit()

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
        return self._done(["git", *identity, *arguments]).stdout

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", "More")

    def backstay(self, *arguments: str, code: int = 0, **environ: str) -> str:
        """What the command says, on either channel."""
        done = self._module(("backstay", *arguments), code, environ)
        return done.stdout + done.stderr

    def command(self, *arguments: str, code: int = 0, **environ: str) -> str:
        """The same in this process, which has most of it loaded already.

        It is for commands that do not load the application of the project.
        """
        told = StringIO()
        with (
            chdir(self.root),
            patch.dict(os.environ, self._environ(environ), clear=True),
            patch.object(sys, "argv", ["backstay", *arguments]),
            redirect_stdout(told),
            redirect_stderr(told),
        ):
            with pytest.raises(SystemExit) as ended:
                main()
            find_project.cache_clear()
            gc.enable()
        assert (ended.value.code or 0) == code, told.getvalue()
        return told.getvalue()

    def shell(self, script: str) -> str:
        """What a script of the shell says."""
        return self._done(["bash", "-c", script]).stdout

    def follow(self, lines: str) -> str:
        """What the lines of a guide say, each as its program says it: a guide has simple ones."""
        told = ""
        for line in filter(None, lines.splitlines()):
            program, *arguments = shlex.split(line)
            if program == "pytest":
                told += self.python(program, *arguments)
            elif program != "backstay":
                told += self.shell(line)
            elif arguments[0] in {"add", "remove"}:
                told += self.command(*arguments)
            else:
                told += self.backstay(*arguments)
        return told

    def python(self, *arguments: str, **environ: str) -> str:
        """What a tool says that is run as a module."""
        return self._module(arguments, 0, environ).stdout

    def mypy(self, *arguments: str) -> str:
        """What mypy says; others wait meanwhile, and then know what it found out."""
        with mypy_cache() as cache:
            return self.python("mypy", f"--cache-dir={cache}", *arguments)

    def migrate(self, *urls: str) -> None:
        """Take databases up, down and up again, and compare them with the models."""
        script = ROOT / "tests" / "blueprints" / "migrating.py"
        path = f"src{os.pathsep}{ROOT / 'src'}"
        self._done([sys.executable, str(script), *urls], 0, {"PYTHONPATH": path})

    def _done(
        self, command: list[str], code: int = 0, environ: dict[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            command,
            cwd=self.root,
            env=self._environ(environ or {}),
            capture_output=True,
            text=True,
            check=False,
            timeout=10 * LIMIT,
        )
        return _ended(done, code)

    def _module(
        self, arguments: Sequence[str], code: int, environ: dict[str, str]
    ) -> "subprocess.CompletedProcess[str]":
        given = self._environ(environ)
        return _ended(warm.run(arguments, self.root, given, seconds=10 * LIMIT), code)

    def _environ(self, more: dict[str, str]) -> dict[str, str]:
        given = {"HOME": str(self.root), "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "200"}
        return {"PATH": os.environ["PATH"]} | given | more

    def files(self) -> dict[str, str]:
        """The text of every file that git knows or would take."""
        names = self.git("ls-files", "--cached", "--others", "--exclude-standard").splitlines()
        paths = (self.root / name for name in names)
        return {str(path): path.read_text("utf-8") for path in paths if path.is_file()}


def _ended(
    done: "subprocess.CompletedProcess[str]", code: int
) -> "subprocess.CompletedProcess[str]":
    assert done.returncode == code, done.stdout[-6000:] + done.stderr[-3000:]
    return done


def new_shop(folder: Path) -> Shop:
    """The project that `backstay new shop` begins."""
    shop = Shop(folder / "held", copied=generated(folder, ProjectOptions(name="shop")))
    shop.git("init", "--quiet")
    shop.commit()
    return shop
