"""Shows that with Redis alone every process obeys a change within a second, whatever fails."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from uuid import UUID

import pytest

from backstay.composition import compose
from backstay.features.access.commands.seeding import JoinRole
from backstay.settings import Settings
from backstay.testing.waiting import eventually
from tests.cli.process import KEYS
from tests.faults.two_servers import (
    TwoInProcessServers,
    leave,
    log_out,
    run,
    two_in_process_servers,
)
from tests.features.steps import API, ME
from tests.services.valkey import ValkeyServer

pytestmark = pytest.mark.parametrize("database_kind", ["postgresql"])

DYING = """
import os, sys, anyio
from uuid import UUID
from backstay.principals.channel_redis import RedisPrincipals
from backstay.composition import compose
from backstay.features.access.commands.seeding import JoinRole
from backstay.settings import load_settings

async def die(self, changes):
    os._exit(9)

async def main():
    RedisPrincipals.publish = die
    await compose(load_settings()).system(JoinRole(user_id=UUID(sys.argv[1]), role="admin"))

anyio.run(main)
"""


@pytest.fixture
def variables(valkey: ValkeyServer) -> dict[str, str]:
    """The servers do not listen to the database; they notify each other through Redis."""
    return {"DB_PGBOUNCER": "true", "REDIS_URL": valkey.url, **KEYS}


@pytest.fixture
async def two(settings: Settings, seeded_url: str) -> AsyncIterator[TwoInProcessServers]:
    async with two_in_process_servers(settings, seeded_url) as two:
        yield two


@pytest.mark.usefixtures("patient", "without_beats")
async def test_an_ended_session_ends_elsewhere_without_a_heartbeat(
    two: TwoInProcessServers,
) -> None:
    (_, out), (_, gone) = await two.join(), await two.join()
    unnoticed = await two.join_to_be_ended()
    await log_out(two.one, out)
    await leave(two.one, gone)
    await two.other.answers(401, ME, out)
    await two.other.answers(401, ME, gone)
    assert await two.other.status(ME, unnoticed) == 200


@pytest.mark.usefixtures("patient")
async def test_servers_obey_a_role_given_by_a_command_line(two: TwoInProcessServers) -> None:
    user_id, headers = await two.join()
    assert await two.other.status(f"{API}/users", headers) == 403
    backstay = compose(two.settings)
    await backstay.system(JoinRole(user_id=UUID(user_id), role="admin"))
    await backstay.close()
    for server in (two.one, two.other):
        await server.answers(200, f"{API}/users", headers)


@pytest.mark.usefixtures("patient")
async def test_a_commit_is_obeyed_even_if_its_process_dies_unannounced(
    two: TwoInProcessServers, variables: dict[str, str]
) -> None:
    user_id, headers = await two.join()
    assert await two.other.status(f"{API}/users", headers) == 403
    died = await asyncio.to_thread(run, DYING, user_id, DB_URL=two.url, LOG_DIR="", **variables)
    assert died == 9
    for server in (two.one, two.other):
        await server.answers(200, f"{API}/users", headers)


@pytest.mark.usefixtures("patient")
async def test_a_principal_is_kept_while_the_channel_is_complete(two: TwoInProcessServers) -> None:
    headers = await two.join_to_be_ended()
    principals = two.other.backstay.principals
    now = two.other.clock.now = time.monotonic()
    await eventually(lambda: principals._complete_until > now)
    assert await two.other.status(ME, headers) == 200


@contextmanager
def dead(valkey: ValkeyServer) -> Iterator[None]:
    valkey.kill()
    try:
        yield
    finally:
        valkey.start()


@contextmanager
def unheard(valkey: ValkeyServer) -> Iterator[None]:
    valkey.call("CLIENT", "KILL", "TYPE", "pubsub")
    yield


Fault = Callable[[ValkeyServer], AbstractContextManager[None]]


@pytest.mark.parametrize("fault", [ValkeyServer.frozen, dead, unheard])
async def test_a_change_during_a_redis_fault_takes_under_one_second(
    two: TwoInProcessServers, valkey: ValkeyServer, fault: Fault
) -> None:
    _, headers = await two.join()
    with fault(valkey):
        told = await log_out(two.one, headers)
        assert await two.other.obeys(headers, told)


async def test_a_change_before_redis_dies_takes_under_one_second(
    two: TwoInProcessServers, valkey: ValkeyServer
) -> None:
    _, headers = await two.join()
    told = await log_out(two.one, headers)
    with dead(valkey):
        assert await two.other.obeys(headers, told)


async def test_a_change_during_a_redis_restart_takes_under_one_second(
    two: TwoInProcessServers, valkey: ValkeyServer
) -> None:
    _, headers = await two.join()
    with dead(valkey):
        told = await log_out(two.one, headers)
    assert await two.other.obeys(headers, told)
