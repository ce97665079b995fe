"""Shows that only their owner can read the files of a SQLite database."""

from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from backstay.db import sqlite
from backstay.db.engine import reader_engine, writer_engine
from backstay.db.options import EngineOptions, create_file

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]


@pytest.mark.parametrize("make", [reader_engine, writer_engine])
async def test_only_the_owner_can_read_new_files(
    options: EngineOptions, tmp_path: Path, make: type
) -> None:
    create_file(options)
    engines = [make(options), writer_engine(options)]
    async with engines[0].connect():
        assert modes(tmp_path)["test.db"] == "600"
    async with engines[1].begin() as connection:
        await connection.execute(text("CREATE TABLE logs (id INTEGER)"))
        ends = ("-journal",) if sqlite.in_use().is_affected else ("-wal", "-shm")
        assert modes(tmp_path) == dict.fromkeys(
            ("test.db", *(f"test.db{end}" for end in ends)), "600"
        )
    for engine in engines:
        await engine.dispose()


async def test_the_mode_of_a_file_that_exists_is_left_alone(
    options: EngineOptions, tmp_path: Path
) -> None:
    (tmp_path / "test.db").touch(0o640)
    engine = writer_engine(options)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE logs (id INTEGER)"))
    assert modes(tmp_path)["test.db"] == "640"
    await engine.dispose()


@pytest.mark.usefixtures("threads_end")
@pytest.mark.parametrize("make", [reader_engine, writer_engine])
async def test_no_connection_makes_an_empty_file(
    options: EngineOptions, tmp_path: Path, make: type
) -> None:
    engine = make(options)
    with pytest.raises(OperationalError, match="unable to open"):
        await engine.connect()
    assert not list(tmp_path.iterdir())
    await engine.dispose()


def modes(folder: Path) -> dict[str, str]:
    return {path.name: f"{path.stat().st_mode & 0o777:o}" for path in folder.iterdir()}
