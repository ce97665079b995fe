"""Shows what `db copy` prints, and with which exit code it ends."""

import re
from pathlib import Path

from tests.cli.conftest import Call

ADDRESS = {"DB_URL": "sqlite:///./backstay.db"}


def test_copy_tells_each_table_and_what_to_do(call: Call, home: Path) -> None:
    copied = call("db", "copy", "--to", "sqlite:///./new.db", **ADDRESS)
    assert copied.code == 0, copied.errors
    assert re.search(r"^users  +1  +[0-9a-f]{16}  +0  +\d+\.\d$", copied.output, re.MULTILINE)
    assert "rows of sqlite+aiosqlite:///./backstay.db to " in copied.output
    assert "Every row was read back and is the same." in copied.output
    assert "1. Set DB_URL to the new address" in copied.output
    assert copied.errors == ""
    assert (home / "new.db").stat().st_mode & 0o777 == 0o600
    checked = call("db", "check", DB_URL="sqlite:///./new.db")
    assert (checked.code, checked.errors) == (0, "")
    again = call("db", "copy", "--to", "sqlite:///./new.db", **ADDRESS)
    assert again.code == 1
    assert "a copy overwrites nothing. If they are of a copy, it has ended" in again.errors


def test_a_copy_in_maintenance_says_so(call: Call, home: Path) -> None:
    assert call("maintenance", "on", "--reason", "We move.", **ADDRESS).code == 0
    copied = call("db", "copy", "--to", "sqlite:///./new.db", **ADDRESS)
    assert "Maintenance is on in the copy, too" in copied.output
    told = call("maintenance", "status", DB_URL="sqlite:///./new.db").output
    assert "We move." in told


def test_addresses_that_are_none_are_refused(call: Call, home: Path) -> None:
    refused = call("db", "copy", "--to", "mysql://secret@host/x", **ADDRESS)
    assert refused.code == 2
    assert refused.errors.startswith("--to: names a database that is not supported. Write postg")
    assert "secret" not in refused.errors
    assert "DB_HOST" not in refused.errors
    refused = call("db", "copy", "--to", "sqlite:///./no/new.db", **ADDRESS)
    told = f"The database {home}/no/new.db cannot be opened: its folder is missing. "
    assert (refused.code, refused.errors) == (1, f"{told}Make it, or correct the address.\n")
    refused = call("db", "copy", **ADDRESS)
    assert refused.code == 2


def test_pgbouncer_is_no_way_to_copy(call: Call, home: Path) -> None:
    address = "postgresql://user@localhost:6432/shop"
    refused = call("db", "copy", "--to", "sqlite:///./new.db", DB_URL=address, DB_PGBOUNCER="true")
    assert refused.code == 1
    assert "PgBouncer does not give: run this with DB_PGBOUNCER=false" in refused.errors
    assert not (home / "new.db").exists()
