"""Shows that the loss of a SQLite file is noticed even while a connection is opened."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from backstay.db.engine import writer_engine
from backstay.db.faults import WouldBeLost
from backstay.db.options import EngineOptions, create_file
from backstay.db.watch import Watch


@pytest.mark.anyio
@pytest.mark.usefixtures("threads_end")
@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_a_connection_to_a_file_lost_while_connecting_is_closed(
    options: EngineOptions, tmp_path: Path
) -> None:
    create_file(options)
    engine, opened = writer_engine(options), list[Any]()

    @event.listens_for(engine.sync_engine, "connect")
    def lose(connection: Any, _: Any) -> None:
        opened.append(connection.driver_connection)
        (tmp_path / "test.db").unlink()

    watch = Watch(options.file, engine)
    await watch.require_sound()  # nobody has looked for the file yet
    with pytest.raises(WouldBeLost):
        async with engine.connect():
            pass
    with pytest.raises(ValueError, match="no active connection"):
        assert opened[0].total_changes
    await engine.dispose()
