"""Shows that an upgrade that fails, wherever it does, leaves the project as it was.

The installed release is the new one here: the project says that an older one wrote it.
"""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import typer

from backstay import __version__
from backstay.blueprints import environment
from backstay.blueprints.changes import Action
from backstay.blueprints.environment import Wanted
from backstay.blueprints.errors import BlueprintError
from backstay.blueprints.project import ProjectOptions, render_project
from backstay.blueprints.tree import Plan
from backstay.blueprints.upgrading import Upgrade, upgrade
from backstay.cli.upgrade import _carry_out, _refuse_odd
from tests.architecture.tree import ROOT
from tests.blueprints.projects import Shop

OPTIONS = ProjectOptions(name="shop", bare=True)
RECORD = ".blueprints/records/project-shop.json"
OURS = "AGENTS.md"
"""A file that the old release did not generate, and that the person wrote."""
LINE = "`.venv/bin/backstay` lists the other commands"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter that has the release: in place of that of a scratch environment."""
    path = tmp_path_factory.mktemp("python") / "python"
    lead = f'PYTHONPATH="{ROOT / "src"}:$PYTHONPATH"'
    path.write_text(f'#!/bin/sh\n{lead} exec "{sys.executable}" "$@"\n')
    path.chmod(0o755)
    return str(path)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A project of an older release, whose README says less."""
    found = Shop(tmp_path_factory.mktemp("project") / "shop")
    found.git("rm", "-rq", ".")
    root = found.root
    Plan.of(root, render_project(OPTIONS), OPTIONS.record).apply()
    for path in ("README.md", ".blueprints/bases/README.md.base"):
        text = (root / path).read_text("utf-8")
        (root / path).write_text(text.replace(LINE, "`backstay` lists commands"), "utf-8")
    for path in ("pyproject.toml", ".blueprints/bases/pyproject.toml.base"):
        text = (root / path).read_text("utf-8")
        (root / path).write_text(text.replace(f"~={__version__}", "~=0.0.9"), "utf-8")
    (root / OURS).write_text("Ours.\n")
    (root / f".blueprints/bases/{OURS}.base").unlink()
    record = json.loads((root / RECORD).read_text("utf-8"))
    record |= {"release": "0.0.9", "files": [each for each in record["files"] if each != OURS]}
    (root / RECORD).write_text(json.dumps(record, indent=2, sort_keys=True) + "\n", "utf-8")
    (root / "uv.lock").write_text("")
    for test in (root / "tests").glob("test_*.py"):
        test.unlink()
    (root / "tests" / "test_red.py").write_text("def test_red() -> None:\n    assert 1 > 2\n")
    found.commit()
    return found


@pytest.fixture(scope="module")
def found(shop: Shop, python: str) -> Upgrade:
    """What would become of the project."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Wanted, "install", lambda *_: None)
        return upgrade(shop.root, Wanted(), python, print, tests=False)


@pytest.fixture
def untouched(shop: Shop) -> Iterator[None]:
    """The project is as it was, before and after."""
    yield
    left = shop.git("status", "--porcelain", "--ignored")
    shop.git("checkout", "--quiet", ".")
    shop.git("clean", "--quiet", "-fd")
    assert left == ""


@pytest.mark.usefixtures("untouched")
def test_red_tests_change_nothing(shop: Shop, python: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Wanted, "install", lambda *_: None)
    with pytest.raises(BlueprintError, match=r"(?s)tests of the project fail.*1 failed.*--skip-te"):
        upgrade(shop.root, Wanted(), python, print, tests=True)


@pytest.mark.usefixtures("untouched")
def test_a_failed_installation_takes_everything_back(
    shop: Shop, found: Upgrade, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {change.path for change in found.plan.changes if change.action is Action.UPDATE} >= {
        "README.md",
        "pyproject.toml",
    }

    def install(wanted: Wanted, python: str) -> None:
        assert LINE in (shop.root / "README.md").read_text("utf-8")
        raise BlueprintError("broken wheel")

    monkeypatch.setattr(Wanted, "install", install)
    monkeypatch.setattr(environment, "own_interpreter", lambda _: sys.executable)
    with pytest.raises(BlueprintError, match="broken wheel"):
        _carry_out(shop.root, found, Wanted())


@pytest.mark.usefixtures("untouched")
def test_a_full_disk_takes_everything_back(
    shop: Shop, found: Upgrade, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="No space left"):
        _carry_out(shop.root, found, Wanted())


@pytest.mark.usefixtures("untouched")
def test_an_older_release_is_refused(
    shop: Shop, python: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Wanted, "install", lambda *_: None)
    monkeypatch.setattr("backstay.blueprints.upgrading.release_of", lambda _: "99.0.0")
    with pytest.raises(BlueprintError, match=f"is on 99.0.0, and {__version__} is older"):
        upgrade(shop.root, Wanted(), python, print, tests=False)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("backstay-9.9.9.whl", "there is no such file"), ("rope-1.0.whl", "is no wheel of Backstay")],
)
def test_what_is_no_wheel_of_backstay_is_refused(name: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "rope-1.0.whl").write_text("")
    with pytest.raises(typer.BadParameter, match=reason):
        _refuse_odd(str(tmp_path / name))


def test_what_cannot_be_installed_is_told_with_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(BlueprintError, match=r"(?s)backstay==99.0.0 could not.*--find-links"):
        Wanted("99.0.0").install(sys.executable)


def test_uv_installs_where_there_is_no_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Sequence[str]] = []

    def run(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        called.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(environment, "find_spec", lambda _: None)
    monkeypatch.setattr(shutil, "which", lambda _: "/bin/uv")
    monkeypatch.setattr(environment, "run", run)
    Wanted("1.0.0", find_links="wheels").install("/venv/python")
    python = ("--python", "/venv/python", "--upgrade-package=backstay")
    links = ("--find-links", "wheels", "backstay==1.0.0")
    assert called == [["/bin/uv", "pip", "install", "--quiet", *python, *links]]
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(BlueprintError, match="neither pip nor uv"):
        Wanted().install("/venv/python")


def test_locks_and_files_of_the_person_are_told(
    shop: Shop, found: Upgrade, capsys: pytest.CaptureFixture[str]
) -> None:
    _carry_out(shop.root, found, Wanted())
    said = capsys.readouterr().out
    assert f"left          {OURS}  (It is yours: what Backstay generates there" in said
    assert "# bring uv.lock up to date, too" in said
    assert f"pip install 'backstay=={__version__}'  # there is no .venv here" in said
    assert (shop.root / OURS).read_text() == "Ours.\n"
    record = json.loads((shop.root / RECORD).read_text("utf-8"))
    assert OURS not in record["files"]
