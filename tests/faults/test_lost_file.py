"""Shows that no write to a lost SQLite file is acknowledged, and that damage is reported."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from backstay.core.errors import DatabaseUnavailable
from backstay.db import watch
from backstay.db.faults import LOST, READ_ONLY_FILE
from backstay.settings import Settings
from backstay.testing import ADMIN_EMAIL, FrozenClock
from tests.faults.conftest import Running
from tests.features.steps import API, needs, sign_in
from tests.features.steps import running as started
from tests.files import look_into
from tests.logs import logged
from tests.web.problems import problem

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("database_kind", ["sqlite"]),
    needs("items"),
    needs("system"),
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "test.db"


def move(file: Path) -> None:
    file.rename(file.with_name("moved.db"))


def replace(file: Path) -> None:
    copy = shutil.copy(file, file.with_name("copy.db"))
    Path(copy).replace(file)


def remove(file: Path) -> None:
    file.unlink()


def remove_log(file: Path) -> None:
    file.with_name("test.db-wal").unlink()


async def is_refused_once(running: Running) -> None:
    body = problem(await running.create("Lost"), 503, "db_unavailable")
    assert "file" not in body["detail"]


async def is_refused(running: Running) -> None:
    await is_refused_once(running)
    answer = await sign_in(running.client, ADMIN_EMAIL)
    problem(answer, 503, "db_unavailable")
    assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize("lose", [move, replace, remove])
async def test_a_file_that_is_lost_is_not_written(
    running: Running, file: Path, lose: Callable[[Path], None]
) -> None:
    assert (await running.create("Kept")).status_code == 201
    lose(file)
    with logged(watch) as logs:
        for _ in range(2):
            await is_refused(running)
    assert [told["reason"] for told in logs] == [LOST.reason]
    assert await running.titles() == ["Kept"]
    ready, health = [await running.client.get(path) for path in ("/readyz", "/health")]
    assert (ready.status_code, ready.json()["reason"]) == (503, LOST.reason)
    assert (health.status_code, health.json()["reasons"]["database"]) == (503, LOST.reason)
    with pytest.raises(DatabaseUnavailable):  # as whoever takes jobs does
        await running.backstay.database.write(text("UPDATE jobs SET attempts = 0"))


async def test_a_file_whose_log_is_removed_is_not_written(running: Running, file: Path) -> None:
    if running.backstay.database.options.can_corrupt:
        pytest.skip("there is no log")
    assert (await running.create("Kept")).status_code == 201
    remove_log(file)
    await is_refused(running)


async def test_a_file_that_is_moved_back_is_written_again(running: Running, file: Path) -> None:
    move(file)
    await is_refused(running)
    file.with_name("moved.db").rename(file)
    assert (await running.create("Kept")).status_code == 201
    assert (await running.client.get("/readyz")).status_code == 200
    assert await running.titles() == ["Kept"]


async def test_a_file_lost_within_a_transaction_keeps_none_of_it(
    running: Running, file: Path
) -> None:
    engine = running.backstay.database.writer.sync_engine

    @event.listens_for(engine, "after_cursor_execute")
    def lose(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO items") and file.exists():
            move(file)

    await is_refused(running)
    file.with_name("moved.db").rename(file)
    event.remove(engine, "after_cursor_execute", lose)
    assert (await running.create("Kept")).status_code == 201
    assert await running.titles() == ["Kept"]


async def test_another_file_in_its_place_is_not_opened(running: Running, file: Path) -> None:
    """Otherwise some connections would read the old file, and some the new one."""
    assert (await running.create("Old")).status_code == 201
    replace(file)
    with look_into(file) as connection:
        connection.execute("UPDATE items SET title = 'New'")
    await running.backstay.database.read_engine.dispose()
    problem(await running.client.get(f"{API}/items"), 503, "db_unavailable")
    await running.backstay.database.writer.dispose()
    await is_refused(running)


async def test_a_connection_that_cannot_write_is_replaced(running: Running) -> None:
    """Such as a connection that was opened while its file could not be written."""
    async with running.backstay.database.writer.connect() as connection:
        await connection.exec_driver_sql("PRAGMA query_only = ON")
    assert (await running.create("Kept")).status_code == 201  # written by the one that replaces it
    assert (await running.client.get("/readyz")).json()["reason"] == READ_ONLY_FILE.reason


def garble(file: Path, first: int, size: int = 2**30) -> None:
    """Overwrite a part of the file in another process: closing it here would drop locks."""
    program = (
        "import sys; file = open(sys.argv[1], 'r+b'); first, size = map(int, sys.argv[2:]);"
        " size = min(size, file.seek(0, 2) - first); file.seek(first); file.write(b'x' * size)"
    )
    command = [sys.executable, "-c", program, str(file), str(first), str(size)]
    subprocess.run(command, check=True)


@pytest.mark.parametrize("first", [0, 4096])
async def test_a_damaged_file_is_reported_at_its_first_use(
    running: Running, file: Path, first: int
) -> None:
    database = running.backstay.database
    assert (await running.client.get("/health")).json()["reasons"] == {}
    garble(file, first)
    await database.read_engine.dispose()
    with logged(watch) as logs:
        for _ in range(2):
            answer = await running.client.get(f"{API}/items")
            problem(answer, 503, "db_unavailable")
            assert int(answer.headers["retry-after"]) >= 1
    assert len(logs) == 1
    await is_refused(running)
    for path in ("/health", "/readyz"):
        answer = await running.client.get(path)
        assert answer.status_code == 503
        assert "damaged" in answer.text


async def test_a_file_damaged_before_the_start_is_reported_at_once(
    settings: Settings, file: Path, clock: FrozenClock
) -> None:
    with look_into(file) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        root = "SELECT rootpage FROM sqlite_schema WHERE name = 'items'"
        ((page,),) = connection.execute(root)
    garble(file, (page - 1) * 4096, 4096)
    async with started(settings, clock) as client:
        answer = await client.get("/health")
        assert answer.status_code == 503
        assert "damaged" in answer.json()["reasons"]["database"]


async def test_rows_that_break_a_check_constraint_are_not_damage(
    settings: Settings, file: Path, clock: FrozenClock
) -> None:
    """An import may have stored them, and a backup would hold them, too."""
    with look_into(file) as connection:
        connection.execute("CREATE TABLE counts (number INTEGER CHECK (number > 0))")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("INSERT INTO counts VALUES (-1)")
        connection.execute("PRAGMA ignore_check_constraints = OFF")
        assert connection.execute("PRAGMA quick_check").fetchall() == [
            ("CHECK constraint failed in counts",)
        ]
    async with started(settings, clock) as client:
        assert (await client.get("/readyz")).status_code == 200
        assert (await sign_in(client, ADMIN_EMAIL)).status_code == 200
