"""Shows that requests keep their answers and connections apart, whatever fails meanwhile.

`make faults` sends 100,000 requests; here are a few, and what a broken pool does to them.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.util import greenlet_spawn

from backstay.db.pool import SharedPool
from tests.examples import SEED
from tests.faults.random_faults import trial
from tests.features.steps import needs

pytestmark = [pytest.mark.anyio, needs("items")]

REQUESTS = 400
EACH = 20
"""A broken pool treats one in so many connections wrongly."""
GIVE_BACK = SharedPool._do_return_conn


async def test_random_faults_lose_mix_up_and_leak_nothing(seeded_url: str, tmp_path: Path) -> None:
    report = await trial(seeded_url, tmp_path, REQUESTS, SEED)
    assert report.faults == []
    assert report.left
    assert report.struck


def lose(pool: SharedPool, record: ConnectionPoolEntry) -> None:
    """Do not give a connection back."""


def give_twice(pool: SharedPool, record: ConnectionPoolEntry) -> None:
    """Give a connection back to two tasks."""
    GIVE_BACK(pool, record)
    GIVE_BACK(pool, record)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("broken", [lose, give_twice])
async def test_a_broken_pool_is_noticed(
    seeded_url: str,
    tmp_path: Path,
    broken: Callable[[SharedPool, ConnectionPoolEntry], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = list[Any]()

    def give_back(pool: SharedPool, record: ConnectionPoolEntry) -> None:
        given.append(record.dbapi_connection)
        (GIVE_BACK if len(given) % EACH else broken)(pool, record)

    @contextmanager
    def breaking() -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr(SharedPool, "_do_return_conn", give_back)
            yield

    few = REQUESTS // 4
    report = await trial(seeded_url, tmp_path, few, SEED, seconds=0, broken=breaking())
    for connection in dict.fromkeys(filter(None, given)):  # the broken pool has lost some of them
        with suppress(Exception):
            await greenlet_spawn(connection.close)
    given.clear()
    gc.collect()  # here, not in another test: what else the broken pool has lost tells of it
    assert any("connections in use" in fault for fault in report.faults), report.faults
