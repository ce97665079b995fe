"""Shows that the installed wheel alone runs a project: no file of this repository is in reach."""

import json
import signal
import subprocess
from pathlib import Path

import pytest

from backstay import __version__
from backstay.testing.waiting import LIMIT, until
from tests.cli.process import environ
from tests.upgrades.environments import ALONE, environment
from tests.upgrades.project import NAME, PATH, Project, project, rows_made, signed_in

IMPORT_ALL = """
from importlib import import_module
from pkgutil import walk_packages
import backstay
for each in walk_packages(backstay.__path__, "backstay."):
    if not each.name.endswith(("__main__", ".env")) and ".testing" not in each.name:
        import_module(each.name)
print(backstay.__file__)
"""


@pytest.fixture(scope="module")
def shop(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project beside the wheel and what the wheel declares."""
    made = environment(tmp_path_factory.mktemp("alone") / "venv", wheel)
    found = project(tmp_path_factory.mktemp("project"), made)
    assert f"Applied {found.migrations[-1]}." in found.told("db", "upgrade")
    return found


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
    assert "behind shop" in shop.told("db", "check", code=1)
    assert shop.told("db", "upgrade").splitlines()[0] == f"Applied {added}."
    assert shop.told("db", "downgrade", f"{NAME}@-1") == f"Undid {added}.\n"
    written.unlink()
    assert shop.told("db", "check") == "The database is current.\n"


def test_the_server_starts_answers_and_stops(shop: Project) -> None:
    with shop.serving() as server:
        assert rows_made(server, signed_in(server)) == 1
        assert server.stop(signal.SIGTERM) == 0


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
