"""Shows that the commands `db …` do what they say, in sentences and exit codes."""

import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.db.processes import run_at_once


@pytest.fixture
def command(database_url: str, call: Call) -> Call:
    return lambda *words, **variables: call("db", *words, **{"DB_URL": database_url, **variables})


def test_a_database_is_migrated_seeded_and_checked(command: Call) -> None:
    assert command("check").code == 1
    first = command("upgrade")
    assert first.code == 0, first.output
    assert "Applied platform_0001." in first.output
    assert "The password, shown only now: " in first.output
    again = command("upgrade")
    assert again.output == "The database was current.\n"
    assert command("check").output == "The database is current.\n"


def test_what_every_installation_needs_can_be_seeded_again(command: Call) -> None:
    refused = command("seed", DB_AUTO_MIGRATE="false")
    assert refused.code == 1
    assert "backstay db upgrade" in refused.errors
    assert command("upgrade").code == 0
    again = command("seed")
    assert (again.code, again.output) == (0, "The database is seeded.\n")


def test_tables_are_dropped_by_force_only(command: Call) -> None:
    assert command("upgrade").code == 0
    refused = command("downgrade", "base")
    assert refused.code == 1
    assert "--force" in refused.errors
    assert command("downgrade", "--force", "-1").output.startswith("Undid platform_")
    assert command("downgrade", "--force", "base").code == 0
    assert command("downgrade", "--force", "base").output == "There was nothing to undo.\n"
    empty = command("check")
    assert (empty.code, "is empty" in empty.output) == (1, True)


def test_seeds_wait_for_the_last_migration(command: Call) -> None:
    assert command("upgrade", "platform_0001").output == "Applied platform_0001.\n"


def test_what_cannot_be_done_is_said(command: Call) -> None:
    unknown = command("upgrade", "unheard_of")
    assert (unknown.code, unknown.errors) == (
        1, "Can't locate revision identified by 'unheard_of'.\n",
    )  # fmt: skip
    assert command("upgrade").code == 0
    idle = command("revision", "Nothing new")
    assert (idle.code, "nothing to write" in idle.errors) == (1, True)
    assert command("downgrade").code == 2
    assert command("check", DB_URL="nonsense").code == 2


def test_processes_that_upgrade_and_seed_at_once_all_succeed(
    database_url: str, tmp_path: Path
) -> None:
    outputs = run_at_once(
        3, [sys.executable, "-m", "backstay", "db", "upgrade"], cwd=tmp_path, DB_URL=database_url
    )
    assert sum("Applied" in output for output in outputs) == 1
    assert sum("Created the administrator" in output for output in outputs) == 1
