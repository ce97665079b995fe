"""Shows that the commands `db …` do what they say, in sentences and exit codes."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from backstay.cli.db import db
from tests.db.processes import run_at_once

Command = Callable[..., Result]


@pytest.fixture
def command(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DB_URL", database_url)
    return lambda *words: CliRunner().invoke(db, words)


def test_a_database_is_migrated_seeded_and_checked(command: Command) -> None:
    assert command("check").exit_code == 1
    first = command("upgrade")
    assert first.exit_code == 0, first.output
    assert "Applied platform_0001." in first.stdout
    assert "The password, shown only now: " in first.stdout
    again = command("upgrade")
    assert again.stdout == "The database was current.\n"
    assert command("check").stdout == "The database is current.\n"


def test_tables_are_dropped_by_force_only(command: Command) -> None:
    assert command("upgrade").exit_code == 0
    refused = command("downgrade", "base")
    assert refused.exit_code == 1
    assert "--force" in refused.stderr
    assert command("downgrade", "--force", "-1").stdout.startswith("Undid platform_")
    assert command("downgrade", "--force", "base").exit_code == 0
    assert command("downgrade", "--force", "base").stdout == "There was nothing to undo.\n"
    empty = command("check")
    assert (empty.exit_code, "is empty" in empty.stdout) == (1, True)


def test_seeds_wait_for_the_last_migration(command: Command) -> None:
    assert command("upgrade", "platform_0001").stdout == "Applied platform_0001.\n"


def test_what_cannot_be_done_is_said(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    unknown = command("upgrade", "unheard_of")
    assert (unknown.exit_code, unknown.stderr) == (
        1, "Can't locate revision identified by 'unheard_of'.\n",
    )  # fmt: skip
    assert command("upgrade").exit_code == 0
    idle = command("revision", "Nothing new")
    assert (idle.exit_code, "nothing to write" in idle.stderr) == (1, True)
    assert command("downgrade").exit_code == 2
    monkeypatch.setenv("DB_URL", "nonsense")
    assert command("check").exit_code == 2


def test_processes_that_upgrade_and_seed_at_once_all_succeed(
    database_url: str, tmp_path: Path
) -> None:
    program = "from backstay.cli.db import db; db()"
    outputs = run_at_once(
        3, [sys.executable, "-c", program, "upgrade"], cwd=tmp_path, DB_URL=database_url
    )
    assert sum("Applied" in output for output in outputs) == 1
    assert sum("Created the administrator" in output for output in outputs) == 1
