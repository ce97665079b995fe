"""Shows what the commands that back up and restore print, and with which codes they end."""

import json
from contextlib import closing
from pathlib import Path

import pytest

from backstay.cli.backups import _Line
from backstay.db import sqlite
from backstay.settings.age import new_identity
from tests.backups.test_restoring import NEWER
from tests.cli.conftest import Call


def _names(folder: Path) -> list[str]:
    return sorted(each.stem for each in (folder / ".backups").glob("*.json"))


def test_a_backup_is_made_listed_and_restored(call: Call, home: Path) -> None:
    made = call("db", "backup")
    assert made.code == 0
    assert "It is proven: restored and compared" in made.output
    assert "It is not encrypted: set BACKUP_KEY" in made.errors
    listed = call("db", "backups")
    assert _names(home)[0] in listed.output
    assert "proven" in listed.output
    (entry,) = json.loads(call("db", "backups", "--json").output)
    assert entry["manifest"]["proof"]["proven"] is True
    refused = call("db", "restore", "latest")
    assert refused.code == 1
    assert "add --force" in refused.errors
    restored = call("db", "restore", "latest", "--force")
    assert restored.code == 0
    assert "everybody signs in anew" in restored.output
    assert len(list(home.glob("backstay.db.before-*"))) == 1


def test_after_a_rollback_backups_are_recorded_and_restored(call: Call, home: Path) -> None:
    with closing(sqlite.in_use().module.connect(home / "backstay.db")) as database:
        for statement in NEWER:
            database.execute(statement)
        database.commit()
        made = call("db", "backup")
        assert (made.code, "no metric will tell" in made.errors) == (0, False)
        assert database.execute("SELECT state FROM backups").fetchall() == [("proven",)]
    restored = call("db", "restore", "latest", "--force")
    assert "Ended 0 sessions: everybody signs in anew." in restored.output


def test_a_backup_is_restored_by_its_file(call: Call, home: Path, tmp_path: Path) -> None:
    key = new_identity()
    assert call("db", "backup", "--to", "elsewhere", BACKUP_KEY=key).code == 0
    (file,) = (tmp_path / "elsewhere").glob("*.age")
    assert call("db", "restore", str(file), "--force", "--drop-old", BACKUP_KEY=key).code == 0
    assert not list(home.glob("backstay.db.before-*"))
    without = call("db", "restore", str(file), "--force")
    assert (without.code, "set the key it was made with" in without.errors) == (1, True)


def test_one_without_the_seal_is_refused_unless_asked_for(call: Call, home: Path) -> None:
    """Whoever may write into the storage can replace a backup by one of theirs."""
    assert call("db", "backup").code == 0
    (name,), key = _names(home), new_identity()
    refused = call("db", "restore", name, "--force", BACKUP_KEY=key)
    assert refused.code == 1
    assert "was made without BACKUP_KEY" in refused.errors
    assert "add --unsealed" in refused.errors
    assert call("db", "restore", name, "--force", "--unsealed", BACKUP_KEY=key).code == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("backup", "--to", "ftp://x"), "ftp:// is no storage of backups"),
        (("backup", "--to", "s3://id:key@bucket"), "without keys"),
        (("backup", "--to", ""), "An empty text is no storage of backups: name"),
        (("backups", "--in", " "), "An empty text is no storage"),
        (("restore", "latest", "--from", ""), "An empty text is no storage"),
        (("restore", "nothing"), "There is no backup nothing in"),
        (("restore", "./some.json"), "is no file of a backup"),
        (("restore", "latest"), "There is no backup of backstay (local)"),
    ],
)
def test_mistakes_end_with_one_sentence(
    call: Call, home: Path, arguments: tuple[str, ...], told: str
) -> None:
    ended = call("db", *arguments)
    assert ended.code == 1
    assert told in ended.errors
    assert ended.errors.count("\n") <= 2


def test_progress_gives_way_to_an_error(
    call: Call, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call("db", "backup").code == 0
    (file,) = (home / ".backups").glob("*.gz")
    file.write_bytes(file.read_bytes()[:-9])
    begin = _Line.__init__

    def on_terminal(line: _Line) -> None:
        begin(line)
        line._is_shown = True

    monkeypatch.setattr(_Line, "__init__", on_terminal)
    ended = call("db", "restore", _names(home)[0], "--force")
    line, _, told = ended.errors.rpartition("\r\x1b[K")
    assert "read " in line
    assert told.startswith(f"{file.name} is truncated")


def test_a_backup_without_its_key_is_one_row(call: Call, home: Path) -> None:
    assert call("db", "backup", BACKUP_KEY=new_identity()).code == 0
    _, row = call("db", "backups").output.splitlines()
    (name,) = _names(home)
    assert row.split()[3:5] == ["-", "-"]
    assert row.endswith("  was made with BACKUP_KEY: set the key it was made with.")
    assert row.count(name) == 1


def test_no_backups_are_told(call: Call) -> None:
    assert "There are no backups in" in call("db", "backups").output


def test_a_wrong_key_is_a_fault_of_the_configuration(call: Call, home: Path) -> None:
    ended = call("db", "backups", BACKUP_KEY="AGE-SECRET-KEY-1WRONG")
    assert ended.code == 2
    assert "BACKUP_KEY: is no secret key of age" in ended.errors
    assert "WRONG" not in ended.errors


def test_a_missing_extra_is_named(call: Call, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyrage", None)
    ended = call("db", "backup", BACKUP_KEY=new_identity())
    assert ended.code == 1
    assert "pip install 'backstay[backups]'" in ended.errors
