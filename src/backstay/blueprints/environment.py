"""Installs a release: into a scratch environment, where it is tried, then into a project's own."""

import json
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from backstay.blueprints.errors import BlueprintError
from backstay.blueprints.scratch import PREFIX
from backstay.server.run_folder import run_folder

_SHOWN = 12
"""Lines of what an installer said."""


@dataclass(frozen=True)
class Wanted:
    """The release that is wanted.

    Attributes:
        release: its number, the path of its wheel, or None for the newest.
        extras: of the package, that the project names.
        find_links: a folder or page with wheels, beside the index.
    """

    release: str | None = None
    extras: Sequence[str] = ()
    find_links: str | None = None

    def requirement(self, *more: str) -> str:
        """What an installer is asked for."""
        names = sorted({*self.extras, *more})
        package = f"backstay[{','.join(names)}]" if names else "backstay"
        if self.release is None:
            return package
        if self.release.endswith(".whl"):
            return f"{package} @ {Path(self.release).resolve().as_uri()}"
        return f"{package}=={self.release}"

    def install(self, python: str, *more: str) -> None:
        """Install it for an interpreter.

        Raises:
            BlueprintError: there is no installer, or it failed.
        """
        self._install(python, self.requirement(*more))

    def install_project(self, python: str, root: Path) -> None:
        """Install a project that owns Backstay, as its Makefile does, with what it requires now.

        Raises:
            BlueprintError: there is no installer, or it failed.
        """
        self._install(python, "--editable", f"{root}[dev]")

    def _install(self, python: str, *what: str) -> None:
        links = ["--find-links", self.find_links] if self.find_links else []
        done = run([*_installer(python), *links, *what])
        if done.returncode:
            said = "\n".join((done.stderr or done.stdout).strip().splitlines()[-_SHOWN:])
            raise BlueprintError(
                f"{what[-1]} could not be installed:\n{said}\n"
                "Nothing was changed. Without a network, name a folder with the wheels: "
                "--find-links FOLDER"
            )


@contextmanager
def scratch_environment() -> Iterator[str]:
    """An environment in which a release lies over everything that is installed here.

    It yields the path of the interpreter. What the release requires in a version that is not here
    is installed beside it; nothing else is installed twice.
    """
    with run_folder(PREFIX) as folder:
        venv.EnvBuilder(symlinks=True).create(folder)
        [packages] = folder.glob("lib/python*/site-packages")
        places = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
        added = "; ".join(f"site.addsitedir({json.dumps(place)})" for place in places)
        (packages / "zz_project.pth").write_text(f"import site; {added}\n", "utf-8")
        yield str(folder / "bin" / "python")


def own_interpreter(root: Path) -> str | None:
    """The interpreter of the project's `.venv`, or None."""
    python = root / ".venv" / "bin" / "python"
    return str(python) if python.exists() else None


def run(command: Sequence[str], **options: object) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end; it asks nothing."""
    return subprocess.run(  # type: ignore[call-overload, no-any-return]  # noqa: S603
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        **options,
    )


def _installer(python: str) -> list[str]:
    """The command that installs: pip, which sees what lies below; else uv.

    What else is installed stays, unless the release requires another version of it.
    """
    if find_spec("pip"):
        quiet = ["--quiet", "--no-input", "--no-compile", "--disable-pip-version-check"]
        return [sys.executable, "-m", "pip", "--python", python, "install", *quiet, "--upgrade"]
    if uv := shutil.which("uv"):  # whose --upgrade is about everything that is installed
        return [uv, "pip", "install", "--quiet", "--python", python, "--upgrade-package=backstay"]
    raise BlueprintError(
        "There is neither pip nor uv to install the release with. Install one of them: "
        f"{sys.executable} -m ensurepip"
    )
