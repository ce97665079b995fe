"""Wheels of the package, and environments that hold one of them and what it declares alone."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from zipfile import ZipFile

from packaging.metadata import Metadata
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from backstay.testing.waiting import LIMIT
from tests.architecture.tree import ROOT
from tests.cli.process import Result, run


def build(source: Path, target: Path) -> Path:
    """The wheel of the package in this folder."""
    _quietly(
        sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target), at=source
    )
    [wheel] = target.glob("*.whl")
    return wheel


def wheel_of(folder: Path, name: str, code: str = "") -> Path:
    """Write the wheel of a package that has one module."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with ZipFile(path, "w") as archive:
        for name_in, text in files.items():
            archive.writestr(name_in, text)
        record = "".join(f"{each},,\n" for each in (*files, f"{info}/RECORD"))
        archive.writestr(f"{info}/RECORD", record)
    return path


@dataclass(frozen=True)
class Environment:
    """An environment of its own, without pip, whose Python finds nothing of this repository."""

    folder: Path

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self.folder / "bin" / "python")

    @property
    def backstay(self) -> tuple[str]:
        """The command that the wheel installed."""
        return (str(self.folder / "bin" / "backstay"),)

    def install(self, wheel: Path) -> None:
        """Install the wheel in the place of another version."""
        _uv("pip", "install", "--offline", "--no-deps", "--python", self.python, str(wheel))

    def call(self, at: Path, *arguments: str, **variables: str) -> Result:
        """Run the command `backstay` in a folder."""
        return run(at, *arguments, command=self.backstay, seconds=LONG, **ALONE | variables)

    def execute(self, at: Path, *arguments: str, **variables: str) -> Result:
        """Run Python in a folder."""
        return run(at, *arguments, command=(self.python,), seconds=LONG, **ALONE | variables)


ALONE = {"PYTHONPATH": "", "COLUMNS": "200", "PIP_NO_INDEX": "1"}
"""The variables of a machine that has neither this repository nor a network."""
LONG = 5 * LIMIT
"""Seconds that a command may take which tests a project, on a machine that does much else."""
LINKS = "links"
"""The folder, beside those of wheels of the package, that has the wheels of what they require."""


def environment(
    folder: Path, wheel: Path, extra: str = "", more: Sequence[str] = ()
) -> Environment:
    """An environment with a wheel and, linked, what it requires in the versions of the lock.

    And further distributions: without pip, it has none of it.

    Links take no time and no network. What the wheel does not declare is missing, as anywhere.
    """
    _quietly(sys.executable, "-m", "venv", "--without-pip", str(folder), at=ROOT)
    made = Environment(folder)
    made.install(wheel)
    [packages] = folder.glob("lib/python*/site-packages")
    for found in (*_required(wheel, extra), *map(distribution, more)):
        for top in {path.parts[0] for path in found.files or ()} - {"..", "__pycache__"}:
            link = packages / top
            if not link.exists():
                link.symlink_to(Path(str(found.locate_file(top))))
    return made


def _required(wheel: Path, extra: str) -> list[Distribution]:
    """The distributions that a wheel requires, directly or through others."""
    waiting = [each for each in _requirements_of(wheel) if _holds(each, extra)]
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    while waiting:
        needed = waiting.pop()
        name = canonicalize_name(needed.name)
        wanted = {(name, each) for each in needed.extras | {""}} - seen
        seen |= wanted
        try:
            found[name] = distribution(name)
        except PackageNotFoundError as error:
            raise AssertionError(f"{name} is required and not installed: make install") from error
        version = found[name].version
        assert needed.specifier.contains(version, prereleases=True), f"{needed} is not {version}"
        texts = map(Requirement, found[name].requires or ())
        waiting += [each for each in texts if any(_holds(each, extra) for _, extra in wanted)]
    return list(found.values())


def _requirements_of(wheel: Path) -> Iterator[Requirement]:
    with ZipFile(wheel) as archive:
        [name] = [each for each in archive.namelist() if each.endswith(".dist-info/METADATA")]
        yield from Metadata.from_email(archive.read(name), validate=False).requires_dist or ()


def _holds(needed: Requirement, extra: str) -> bool:
    return needed.marker is None or needed.marker.evaluate({"extra": extra})


def _uv(*arguments: str) -> None:
    _quietly(sys.executable, "-m", "uv", "--quiet", *arguments, at=ROOT)


def _quietly(*command: str, at: Path) -> None:
    done = subprocess.run(
        command, cwd=at, capture_output=True, text=True, check=False, timeout=LIMIT
    )
    assert done.returncode == 0, done.stdout + done.stderr
