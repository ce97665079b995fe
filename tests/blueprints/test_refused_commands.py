"""Commands that would change a project refuse in a sentence what they cannot take back or do well.

What names, fields and options are refused for is in `test_entity_descriptions` and `test_parts`;
what a database is refused for, in `test_adding`.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from backstay.blueprints.project import ProjectOptions
from backstay.blueprints.records import Record
from backstay.cli import app, explained
from tests.blueprints.projects import Shop, generated
from tests.blueprints.trees import FIELDS, interrupted, plan
from tests.cli.process import environ

ADD = ("add", "Rig", "name:str")
JOB = ("add", "job", "SendReceipt", "--to", "orders")
SETTING = ("add", "setting", "days:int=14", "--to", "orders")
EJECT = ("eject", "users")
ALL = (ADD, JOB, ("remove", "Order"), ("remove", "job", "Send"), EJECT, ("uneject", "mail"))
ORDERS = '''"""Orders."""

from backstay import Feature

feature = Feature("orders", __name__)
'''


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a feature that somebody wrote, committed."""
    root = generated(tmp_path_factory.mktemp("made"), ProjectOptions(name="shop"))
    shop = Shop(root.with_name("copy"), copied=root)
    shop.git("init", "--quiet")
    (shop.root / "src/shop/features/orders").mkdir()
    (shop.root / "src/shop/features/orders/__init__.py").write_text(ORDERS)
    shop.commit()
    return shop.root


@pytest.fixture
def shop(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    shop = Shop(tmp_path / "shop", copied=made)
    monkeypatch.chdir(shop.root)
    return shop


def content(root: Path) -> dict[str, bytes]:
    paths = (path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    return {str(path): path.read_bytes() for path in paths}


def refused(root: Path, *command: str) -> str:
    """The sentence with which a command ends that has changed nothing."""
    before = content(root)
    done = CliRunner().invoke(app, command)
    assert content(root) == before
    assert isinstance(done.exception, Exception), done.output
    told = explained(done.exception)
    assert told is not None, repr(done.exception)
    return told[0]


class Case(NamedTuple):
    """What is wrong with a project, a command, and its sentence."""

    spoil: Callable[[Shop], object]
    command: tuple[str, ...]
    sentence: str


def no_repository(shop: Shop) -> None:
    shutil.rmtree(shop.root / ".git")


def no_commit(shop: Shop) -> None:
    no_repository(shop)
    shop.git("init", "--quiet")


def dirty(shop: Shop) -> None:
    (shop.root / "mine.txt").touch()


def unsettled(shop: Shop) -> None:
    (shop.root / "README.md.conflict").touch()
    shop.commit()


def half_done(shop: Shop) -> None:
    interrupted(plan(shop.root, {"a.py": FIELDS, "b.py": FIELDS}, Record("entity", "Boat")))


def damaged(shop: Shop) -> None:
    (shop.root / ".blueprints/records/project-shop.json").write_text("{")
    shop.commit()


def locked(path: str) -> Callable[[Shop], object]:
    def spoil(shop: Shop) -> None:
        place = shop.root / path
        place.chmod(0o555 if place.is_dir() else 0o444)

    return spoil


def not_utf8(path: str) -> Callable[[Shop], object]:
    def spoil(shop: Shop) -> None:
        with (shop.root / path).open("ab") as file:
            file.write(b"# \xe9\n")
        shop.commit()

    return spoil


def linked(path: str) -> Callable[[Shop], object]:
    def spoil(shop: Shop) -> None:
        target = shop.root.with_name("elsewhere")
        (shop.root / path).rename(target)
        (shop.root / path).symlink_to(target)
        shop.commit()

    return spoil


def a_file(path: str) -> Callable[[Shop], object]:
    def spoil(shop: Shop) -> None:
        (shop.root / path).touch()
        shop.commit()

    return spoil


CASES = [
    *(Case(no_repository, each, "is in no git repository") for each in (ADD, JOB, EJECT)),
    *(Case(no_commit, each, "Not committed: .blueprints/, ") for each in (ADD, JOB, EJECT)),
    *(Case(dirty, each, "Not committed: mine.txt. Commit first") for each in ALL[:-1]),
    *(Case(unsettled, each, "README.md.conflict has conflicts") for each in (ADD, JOB, EJECT)),
    *(Case(half_done, each, "was interrupted while it wrote") for each in ALL),
    *(Case(damaged, each, "Take it back from git: git checkout") for each in ALL),
    Case(locked("src/shop/features"), ADD, "src/shop/features is read-only. Make it writable"),
    Case(locked("src/shop/features/orders"), JOB, "chmod u+w src/shop/features/orders"),
    Case(locked("src/shop"), EJECT, "chmod u+w src/shop"),
    Case(locked("pyproject.toml"), EJECT, "chmod u+w pyproject.toml"),
    Case(locked("src/shop/settings.py"), SETTING, "chmod u+w src/shop/settings.py"),
    Case(a_file("src/shop/ejected"), EJECT, "src/shop/ejected is a file."),
    Case(a_file("src/shop/features/orders/parts"), JOB, "features/orders/parts is a file."),
    Case(linked("src/shop/features"), ADD, "src/shop/features is a symbolic link"),
    Case(linked("src/shop/settings.py"), SETTING, "src/shop/settings.py is a symbolic link"),
    Case(linked("pyproject.toml"), EJECT, "pyproject.toml is a symbolic link"),
    Case(not_utf8("src/shop/settings.py"), SETTING, "src/shop/settings.py is not UTF-8 (line "),
    Case(not_utf8(".env"), ADD, ".env is not UTF-8 (line 1)"),
    *(Case(not_utf8("pyproject.toml"), each, "pyproject.toml") for each in (ADD, EJECT)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.sentence}-{case.command[:2]}")
def test_a_project_that_must_not_be_changed_is_left(shop: Shop, case: Case) -> None:
    case.spoil(shop)
    assert case.sentence in refused(shop.root, *case.command)


def test_a_full_disk_changes_nothing(shop: Shop) -> None:
    before = content(shop.root)
    # -B: Python keeps a half-written module where a file cannot grow
    script = f"ulimit -f 2; exec {sys.executable} -B -m backstay eject users"
    done = subprocess.run(
        ["bash", "-c", script], env=environ(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("File too large.\n")
    assert content(shop.root) == before


def test_what_another_command_writes_is_waited_for(shop: Shop) -> None:
    handle = os.open(shop.root / ".blueprints", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    told = refused(shop.root, *EJECT)
    os.close(handle)
    assert told.startswith(f"Another command is writing in {shop.root}. Wait for it.")


def test_windows_newlines_of_what_is_edited_stay(shop: Shop) -> None:
    for path in ("pyproject.toml", "src/shop/settings.py", "src/shop/application.py"):
        text = (shop.root / path).read_text("utf-8")
        (shop.root / path).write_bytes(text.replace("\n", "\r\n").encode())
    shop.commit()
    assert CliRunner().invoke(app, EJECT).exit_code == 0
    content = (shop.root / "pyproject.toml").read_bytes()
    assert b"src/shop/ejected" in content
    assert content.count(b"\n") == content.count(b"\r\n")
