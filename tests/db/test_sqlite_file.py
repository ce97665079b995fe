"""Shows that the loss of a SQLite file is noticed even while a connection is opened."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from backstay.db.sqlite_file import OpenFile, WouldBeLost


def test_a_connection_to_a_file_lost_while_connecting_is_closed(tmp_path: Path) -> None:
    file = tmp_path / "test.db"
    opened, closed = OpenFile(file), list[str]()
    assert opened.fault() is None  # nobody has looked for it yet
    file.touch()
    opened._connecting()
    file.unlink()
    connection = SimpleNamespace(close=lambda: closed.append("closed"))
    with pytest.raises(WouldBeLost):
        opened._connected(connection, SimpleNamespace(info={}))
    assert closed == ["closed"]
