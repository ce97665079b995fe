"""Shows that the installed wheel alone runs a project, and that the next version takes it along.

No file of this repository is in reach of the project, which is on SQLite, since each step is a
process of its own; `tests/db/test_histories.py` upgrades histories on both databases.
"""

import json
import signal
import subprocess
from pathlib import Path

import pytest

from backstay import __version__
from backstay.testing.waiting import LIMIT, until
from tests.architecture.tree import ROOT
from tests.cli.process import environ
from tests.upgrades.environments import ALONE, build, environment
from tests.upgrades.next_version import VERSION, next_version
from tests.upgrades.project import (
    NAME,
    PATH,
    Project,
    project,
    rows_made,
    signed_in,
    stored,
)

IMPORT_ALL = """
from importlib import import_module
from pkgutil import walk_packages
import backstay
extras = "error_reports", "span_export", "tracing"
of_extras = {f"backstay.observability.{name}" for name in extras}
for each in walk_packages(backstay.__path__, "backstay."):
    ours = each.name not in of_extras and ".testing" not in each.name
    if ours and not each.name.endswith(("__main__", ".env")):
        import_module(each.name)
print(backstay.__file__)
"""
CURRENT = "The database is current.\n"
BEHIND = "The database is behind this version: run `backstay db upgrade`.\n"
AHEAD = "The database was migrated by a newer version of Backstay: install that version.\n"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this version."""
    return build(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def shop(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project, with its database, beside the wheel and what the wheel declares."""
    made = environment(tmp_path_factory.mktemp("alone") / "venv", wheel)
    found = project(tmp_path_factory.mktemp("project"), made)
    assert f"Applied {found.migrations[-1]}." in found.told("db", "upgrade")
    return found


@pytest.fixture(scope="module")
def served(shop: Project) -> tuple[int, int]:
    """How many rows a user had whom a server of the project served, and how that server ended."""
    with shop.serving() as server:
        return rows_made(server, signed_in(server)), server.stop(signal.SIGTERM)


def test_the_wheel_declares_and_brings_all_that_it_imports(shop: Project) -> None:
    done = shop.environment.execute(shop.folder, "-c", IMPORT_ALL)
    assert done.code == 0, done.errors
    assert Path(done.output.strip()).is_relative_to(shop.environment.folder)


def test_commands_that_look_at_a_project_work(shop: Project) -> None:
    assert shop.told("--version") == f"Backstay {__version__}\n"
    assert PATH in shop.told("routes")
    assert PATH in json.loads(shop.told("openapi"))["paths"]
    assert "APP_NAME" in shop.told("config")
    assert "admin" in shop.told("roles")


def test_migrations_of_a_project_are_written_applied_and_undone(shop: Project) -> None:
    written = Path(shop.told("db", "revision", "--empty", "A change").strip())
    assert written.parent == shop.folder / "src" / NAME / "migrations"
    added = shop.migrations[-1]
    assert shop.told("db", "upgrade").splitlines()[0] == f"Applied {added}."
    assert shop.told("db", "downgrade", f"{NAME}@-1") == f"Undid {added}.\n"
    written.unlink()
    assert shop.told("db", "check") == CURRENT


def test_the_server_starts_answers_and_stops(served: tuple[int, int]) -> None:
    assert served == (1, 0)


def test_the_worker_starts_and_ends(shop: Project) -> None:
    printed = shop.folder / "worker"
    with (
        printed.open("w") as out,
        subprocess.Popen(
            [*shop.environment.backstay, "worker"],
            cwd=shop.folder,
            env=environ(**ALONE),
            stdout=out,
        ) as process,
    ):
        try:
            until(lambda: "The worker runs jobs." in printed.read_text())
            process.terminate()
            assert process.wait(LIMIT) == 0
        finally:
            process.kill()


@pytest.mark.usefixtures("served")
def test_a_project_takes_the_next_version_and_keeps_its_data(
    shop: Project, wheel: Path, tmp_path: Path
) -> None:
    after = next_version(tmp_path / "next")
    mine = shop.copied(tmp_path / "shop", environment(tmp_path / "venv", wheel, extra="testing"))
    before = stored(mine.folder)
    mine.environment.install(after.wheel)
    assert mine.told("--version") == f"Backstay {VERSION}\n"
    assert mine.told("db", "check", code=1) == BEHIND
    assert mine.told("db", "upgrade").splitlines()[0] == f"Applied {after.revision}."
    assert mine.told("db", "check") == CURRENT
    kept = stored(mine.folder)
    assert kept.pop("badges") == []
    assert [row.pop("colour") for row in kept["users"]] == ["green"] * len(before["users"])
    assert len(before["users"]) == 2  # the administrator, and whom the server served
    for table, rows in before.items():
        assert [row for row in rows if row not in kept[table]] == [], table

    passes_its_tests(mine)
    undone = mine.told("db", "downgrade", f"{NAME}@base", "--force").splitlines()
    assert undone == [f"Undid {each}." for each in reversed(mine.migrations)]

    mine.environment.install(wheel)
    assert mine.told("--version") == f"Backstay {__version__}\n"
    assert mine.told("db", "check", code=1) == AHEAD


def passes_its_tests(shop: Project) -> None:
    given = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--database=sqlite")
    done = shop.environment.execute(shop.folder, *given)
    assert done.code == 0, done.output + done.errors
    assert " passed" in done.output


def test_the_guide_has_the_sentences() -> None:
    page = (ROOT / "docs" / "guides" / "upgrade.md").read_text("utf-8")
    for sentence in (BEHIND, AHEAD, CURRENT):
        assert f"`{sentence.strip().replace('`', '')}`" in page
