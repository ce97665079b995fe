"""Shows that the commands `db …` do what they say, in sentences and exit codes."""

import sys
from pathlib import Path

import pytest

from backstay.db.migrations.runner import PLATFORM, forget
from tests.cli.conftest import Call
from tests.db.processes import run_at_once
from tests.files import look_into


@pytest.fixture
def command(database_url: str, call: Call) -> Call:
    """`db …` on an empty database."""
    return _on(database_url, call)


@pytest.fixture
def on_current(seeded_url: str, call: Call) -> Call:
    """`db …` on a database that is migrated and seeded."""
    return _on(seeded_url, call)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a project's application, in this folder, that has no migrations yet."""
    text = 'from backstay import Application\n\napplication = Application("shop"{})\n'
    (tmp_path / "bare_shop.py").write_text(text.format(""))
    (tmp_path / "still_shop.py").write_text(text.format(", migrations=None"))
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("bare_shop", "still_shop"):  # of an earlier test
        sys.modules.pop(name, None)
    return "bare_shop:application"


def _on(url: str, call: Call) -> Call:
    return lambda *words, **variables: call("db", *words, **{"DB_URL": url, **variables})


def test_a_database_is_migrated_seeded_and_checked(command: Call) -> None:
    assert command("check").code == 1
    first = command("upgrade")
    assert first.code == 0, first.output
    assert "Applied platform_0001." in first.output
    assert "The password, shown only now: " in first.output
    again = command("upgrade")
    assert again.output == "The database was current.\n"
    assert command("check").output == "The database is current.\n"


def test_an_empty_database_is_not_seeded(command: Call) -> None:
    refused = command("seed", DB_AUTO_MIGRATE="false")
    assert refused.code == 1
    assert "backstay db upgrade" in refused.errors


def test_a_seeded_database_can_be_seeded_again(on_current: Call) -> None:
    again = on_current("seed")
    assert (again.code, again.output) == (0, "The database is seeded.\n")


def test_tables_are_dropped_by_force_only(on_current: Call) -> None:
    refused = on_current("downgrade", "base")
    assert refused.code == 1
    assert "--force" in refused.errors
    assert on_current("downgrade", "--force", "-1").output.startswith("Undid platform_")
    assert on_current("downgrade", "--force", "base").code == 0
    assert on_current("downgrade", "--force", "base").output == "There was nothing to undo.\n"
    empty = on_current("check")
    assert (empty.code, "is empty" in empty.output) == (1, True)


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_what_an_operator_added_is_a_remark(tmp_path: Path, command: Call, shop: str) -> None:
    added = "CREATE INDEX ix_mine ON items (title)"
    assert command("upgrade").code == 0
    with look_into(tmp_path / "test.db") as connection:
        connection.execute(added)
    checked = command("check")
    assert (checked.code, checked.output) == (
        0,
        "The index ix_mine of items belongs to no model, and no migration made it: it is left as "
        "it is.\nThe database is current.\n",
    )
    assert "nothing to write" in command("revision", "Nothing new", BACKSTAY_APP=shop).errors


def test_an_upgrade_to_an_older_revision_does_not_seed(command: Call) -> None:
    assert command("upgrade", "platform_0001").output == "Applied platform_0001.\n"


def test_impossible_commands_end_in_a_sentence(on_current: Call, shop: str) -> None:
    unknown = on_current("upgrade", "unheard_of")
    assert (unknown.code, unknown.errors) == (
        1, "There is no migration unheard_of: `backstay db current` names the last.\n",
    )  # fmt: skip
    elsewhere = on_current("downgrade", "boat@-1")
    assert (elsewhere.code, elsewhere.errors) == (
        1, "There is no history boat, only platform.\n",
    )  # fmt: skip
    idle = on_current("revision", "Nothing new", BACKSTAY_APP=shop)
    assert (idle.code, "nothing to write" in idle.errors) == (1, True)
    assert on_current("downgrade").code == 2
    assert on_current("check", DB_URL="nonsense").code == 2


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_a_revision_is_never_written_into_the_package(on_current: Call, shop: str) -> None:
    files = sorted(PLATFORM.folder.iterdir())
    outside = on_current("revision", "Mine", "--empty")
    assert (outside.code, "There is no project here" in outside.errors) == (1, True)
    without = on_current("revision", "Mine", "--empty", BACKSTAY_APP=shop.replace("bare", "still"))
    assert (without.code, "shop has no migrations" in without.errors) == (1, True)
    assert sorted(PLATFORM.folder.iterdir()) == files


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
@pytest.mark.parametrize("words", [("upgrade",), ("downgrade", "--force", "base")])
def test_migrations_that_are_not_here_are_explained(
    tmp_path: Path, command: Call, words: tuple[str, ...]
) -> None:
    command("upgrade", "platform_0001")
    with look_into(tmp_path / "test.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'shop_0001'")
    refused = command(*words)
    assert refused.code == 1
    for cause in ("not here, `shop_0001`", "of another project", "is gone: bring it back"):
        assert cause in refused.errors


REVISION = """
from alembic import op
import sqlalchemy as sa

revision, down_revision = "shop_{number:04d}", {below!r}
branch_labels, depends_on = {labels!r}, None


def upgrade() -> None:
    {body}


def downgrade() -> None:
    pass
"""


def write(folder: Path, number: int, body: str) -> Path:
    """Write a migration of the shop."""
    below, labels = (None, ("shop",)) if number == 1 else (f"shop_{number - 1:04d}", None)
    folder.mkdir(exist_ok=True)
    path = folder / f"{number:04d}_change.py"
    path.write_text(REVISION.format(number=number, body=body, below=below, labels=labels))
    forget()
    return path


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_an_older_version_says_that_it_works(tmp_path: Path, command: Call, shop: str) -> None:
    write(tmp_path / "migrations", 1, 'op.create_table("t", sa.Column("id", sa.Integer))')
    newer = write(tmp_path / "migrations", 2, "pass")
    assert command("upgrade", BACKSTAY_APP=shop).code == 0
    newer.unlink()
    forget()
    ahead = "The database is ahead of this version by shop_0002; this version works with it."
    checked = command("check", BACKSTAY_APP=shop)
    assert (checked.code, checked.output) == (0, f"{ahead}\n")
    again = command("upgrade", BACKSTAY_APP=shop)
    assert (again.code, again.output) == (0, f"{ahead} Nothing was migrated or seeded.\n")
    last = sorted(PLATFORM.folder.glob("0*.py"))[-1].name[:4]
    current = command("current", BACKSTAY_APP=shop)
    assert (current.code, current.output) == (
        0,
        f"platform  code platform_{last}  database platform_{last}\n"
        f"shop      code shop_0001  database shop_0002\n{ahead}\n",
    )
    seeded = command("seed", BACKSTAY_APP=shop)
    assert (seeded.code, seeded.errors) == (0, f"Warning: {ahead}\n")
    assert command("downgrade", "shop@-1", BACKSTAY_APP=shop).code == 1
    foreign = command("current")
    assert (foreign.code, "migrations that are not here" in foreign.output) == (1, True)


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_what_was_applied_is_told_before_a_fault(tmp_path: Path, command: Call, shop: str) -> None:
    write(tmp_path / "migrations", 1, 'op.drop_column("users", "name")')
    failed = command("upgrade", BACKSTAY_APP=shop)
    assert (failed.code, "Applied shop_0001." in failed.output) == (1, True)
    assert "The database has no column users.name." in failed.errors
    assert "take it out of the model" in failed.errors


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_hazardous_migrations_are_named(tmp_path: Path, command: Call, shop: str) -> None:
    assert command("lint", BACKSTAY_APP=shop).code == 0
    assert command("lint", BACKSTAY_APP=shop.replace("bare", "still")).output == (
        "shop has no migrations.\n"
    )
    write(tmp_path / "migrations", 1, 'op.drop_table("t")')
    found = command("lint", BACKSTAY_APP=shop)
    assert found.code == 1
    assert "0001_change.py:10: Older code loses the rows of t." in found.output
    assert command("lint", "shop_0001", BACKSTAY_APP=shop).code == 0
    unknown = command("lint", "shop_0009", BACKSTAY_APP=shop)
    assert (unknown.code, "no migration shop_0009" in unknown.errors) == (1, True)


def test_processes_that_upgrade_and_seed_at_once_all_succeed(
    database_url: str, tmp_path: Path
) -> None:
    outputs = run_at_once(
        2, [sys.executable, "-m", "backstay", "db", "upgrade"], cwd=tmp_path, DB_URL=database_url
    )
    assert sum("Applied" in output for output in outputs) == 1
    assert sum("Created the administrator" in output for output in outputs) == 1
