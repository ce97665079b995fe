"""Shows that what others write into the storage misleads nobody, and costs nothing of ours."""

import gzip
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from backstay.backups import making, proving, sqlite
from backstay.backups.manifest import Manifest, _sealed, _spelled
from backstay.backups.pipes import Reading
from backstay.backups.storage import Folder, scratch_folder
from backstay.cli.output import print_columns, printable
from backstay.core.backups import BackupError
from tests.backups.rigs import Place

NAME = "backstay-20200101T000000Z-00000000"
PATIENCE = 20.0


def forged(place: Place, manifest: Manifest, name: str = NAME, **changes: Any) -> str:
    """Write a manifest as somebody does who has no key; its name."""
    content = manifest.model_dump(mode="json") | {"name": name} | changes
    write(place, content, name)
    return name


def write(place: Place, content: Any, name: str = NAME) -> None:
    kind, seal = _sealed(_spelled(content), None)
    whole = {"manifest": content, "seal": kind, "value": seal}
    (place.backups / f"{name}.json").write_bytes(_spelled(whole) + b"\n")


def own_file(name: str) -> list[dict[str, Any]]:
    return [{"name": f"{name}.db.gz", "size": 1, "sha256": "0" * 64}]


def test_rotation_removes_no_file_of_others(on_file: Place, tmp_path: Path) -> None:
    place, other = on_file.having(BACKUP_KEEP="1"), tmp_path / "other.txt"
    other.touch()
    files = [{"name": "../other.txt", "size": 1, "sha256": "0" * 64}]
    forged(place, place.proven(), files=files, proof=None)
    place.proven()
    assert other.exists()


def test_forged_backups_displace_no_sealed_one(on_file: Place) -> None:
    place = on_file.having(BACKUP_KEEP="2")
    first = place.proven()
    for number in range(3):
        name = f"backstay-2090010{number + 1}T000000Z-00000000"
        forged(place, first, name, made_at="2090-01-01T00:00:00Z", files=own_file(name))
    second = place.proven()
    sealed = {entry.name for entry in place.catalogue.entries() if entry.is_sealed}
    assert sealed == {first.name, second.name}


@pytest.mark.parametrize(
    "changes",
    [
        {"files": []},
        {"files": [{"name": "/etc/hostname", "size": 1, "sha256": "0" * 64}]},
        {"files": own_file(f"{NAME}/../x")},
        {"files": own_file(NAME) * 2},
        {"files": own_file(NAME), "made_at": "2020-01-01T00:00:00"},
    ],
)
def test_a_manifest_that_no_backup_has_is_a_fault(on_file: Place, changes: dict[str, Any]) -> None:
    forged(on_file, on_file.proven(), encrypted_to=None, **changes)
    assert "is damaged" in on_file.catalogue.entry(NAME).fault
    on_file.proven()


@pytest.mark.parametrize(
    "data",
    [
        b'{\n "manifest": {},\n "seal": [],\n "value": ""\n}\n',
        b'{\n "manifest": [],\n "seal": "sha256",\n "value": ""\n}\n',
        b'"\\ud800"\n',
    ],
)
def test_junk_in_place_of_a_manifest_is_a_fault(on_file: Place, data: bytes) -> None:
    on_file.backups.mkdir()
    (on_file.backups / f"{NAME}.json").write_bytes(data)
    write(on_file, [], NAME.replace("-0000", "-1111"))
    on_file.proven()
    assert sum("is damaged" in entry.fault for entry in on_file.catalogue.entries()) == 2


def test_what_unpacks_without_end_leaves_room(
    on_file: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody can encrypt to the recipient, which is in the manifest."""
    import pyrage  # type: ignore[import-untyped]  # noqa: PLC0415

    manifest = on_file.proven()
    recipient = pyrage.x25519.Recipient.from_str(manifest.encrypted_to)
    bomb = pyrage.encrypt(gzip.compress(bytes(64 << 20), 1), [recipient])
    (on_file.backups / manifest.files[0].name).write_bytes(bomb)
    seen, looks = list[int](), count()

    def require_room(_: Path, size: int) -> None:
        if next(looks):
            raise BackupError("no room")

    def drain(reading: Reading) -> None:
        seen.extend(each.stat().st_size for each in on_file.folder.rglob("*.restoring-*"))
        while reading.read(1 << 20):
            pass

    monkeypatch.setattr(sqlite, "require_room", require_room)
    monkeypatch.setattr(proving, "_drain", drain)
    with pytest.raises(BackupError):
        on_file.restore(manifest.name)
    assert max(seen) <= 16 << 20


def test_a_backup_by_a_wrong_clock_is_kept(on_file: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place = on_file.having(BACKUP_KEEP="1")
    place.proven()

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime(2001, 1, 1, tzinfo=UTC)

    monkeypatch.setattr(making, "datetime", Wrong)
    report = place.made()
    assert report.name not in report.removed
    assert place.catalogue.manifest(report.name)


def test_a_pipe_in_place_of_a_lock_holds_nobody(tmp_path: Path) -> None:
    """The folder is that of all, where backups go to a bucket."""
    (tmp_path / ".backstay-work-other").mkdir()
    os.mkfifo(tmp_path / ".backstay-work-other" / "lock")

    def enter() -> None:
        with scratch_folder(tmp_path):
            pass

    assert ends(enter)


def test_a_pipe_in_place_of_a_manifest_holds_nobody(on_file: Place) -> None:
    on_file.backups.mkdir()
    os.mkfifo(on_file.backups / f"{NAME}.json")
    assert ends(on_file.catalogue.entries)


def ends(work: Callable[[], object]) -> bool:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return not thread.is_alive()


_KILLED = """
import os, sys
from pathlib import Path
from backstay.backups.storage import Folder

with Folder(Path(sys.argv[1])).writing("backstay-20200101T000000Z-00000001.db.gz"):
    os.kill(os.getpid(), 9)
"""


def test_the_rest_of_a_killed_write_is_removed(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    done = subprocess.run([sys.executable, "-c", _KILLED, tmp_path], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [each.suffix for each in tmp_path.iterdir()] == [".partial"]
    with folder.writing(f"{NAME}.db.gz"), suppress(FileNotFoundError):
        with folder.writing(f"{NAME}.dump"):
            pass
        assert sorted(each.name for each in tmp_path.iterdir()) == [
            f".{NAME}.db.gz.partial",
            f"{NAME}.dump",
        ]


def test_a_terminal_obeys_no_reason_of_others(capsys: pytest.CaptureFixture[str]) -> None:
    print_columns([(NAME, "unproven: \x1b]0;x\x07\n\x9b2J")])
    assert capsys.readouterr().out == f"{NAME}  unproven: \\x1b]0;x\\x07\\x0a\\x9b2J\n"
    assert printable("one\n\x1b[2J") == "one\n\\x1b[2J"
