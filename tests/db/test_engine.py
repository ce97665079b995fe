"""Shows that the files of a database are nobody else's to read."""

from pathlib import Path

import pytest
from sqlalchemy import text

from backstay.db.engine import EngineOptions, reader_engine, writer_engine

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]


@pytest.mark.parametrize("make", [reader_engine, writer_engine])
async def test_new_files_are_their_owners(
    options: EngineOptions, tmp_path: Path, make: type
) -> None:
    engines = [make(options), writer_engine(options)]
    async with engines[0].connect():
        assert modes(tmp_path)["test.db"] == "600"
    async with engines[1].begin() as connection:
        await connection.execute(text("CREATE TABLE logs (id INTEGER)"))
        assert modes(tmp_path) == dict.fromkeys(("test.db", "test.db-wal", "test.db-shm"), "600")
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


def modes(folder: Path) -> dict[str, str]:
    return {path.name: f"{path.stat().st_mode & 0o777:o}" for path in folder.iterdir()}
