"""Shows that every process obeys a change of another within a second, whatever fails."""

import asyncio
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from backstay.cli.readiness import opened
from backstay.composition import Backstay, compose
from backstay.core.bus import handles
from backstay.core.clock import new_id
from backstay.core.context import PrincipalChanges
from backstay.core.feature import Feature
from backstay.core.messages import Command
from backstay.core.permissions import SYSTEM_ONLY
from backstay.db import listener as listener_module
from backstay.db.listener import PostgresListener
from backstay.features import STANDARD
from backstay.features.access.commands.seeding import JoinRole
from backstay.features.items.commands import UpdateItem
from backstay.principals import channel as channel_module
from backstay.principals.channel import CHANNEL, PostgresPrincipals
from backstay.testing import settings_with
from backstay.testing.waiting import LIMIT, eventually
from tests.cli.process import KEYS, serving
from tests.faults.two_servers import (
    Server,
    TwoInProcessServers,
    TwoServers,
    in_process_server,
    leave,
    log_out,
    paused,
    run,
)
from tests.features.steps import API, ME
from tests.logs import logged

ON_POSTGRES = pytest.mark.parametrize("database_kind", ["postgresql"])
ENDING = """
import sys
from backstay.db.sqlite import in_use
with in_use().module.connect(sys.argv[1]) as database:
    database.execute("UPDATE sessions SET ended_at = created_at")
"""


async def test_a_session_ended_in_one_process_ends_in_the_other(two: TwoInProcessServers) -> None:
    (_, out), (_, gone) = await two.join(), await two.join()
    await log_out(two.one, out)
    await two.other.answers(401, ME, out)
    await leave(two.one, gone)
    await two.other.answers(401, ME, gone)


async def test_servers_obey_a_role_given_by_a_command_line(two: TwoInProcessServers) -> None:
    user_id, headers = await two.join()
    assert await two.other.status(f"{API}/users", headers) == 403
    backstay = compose(two.settings)
    await backstay.system(JoinRole(user_id=UUID(user_id), role="admin"))
    await backstay.close()
    for each in (two.one, two.other):
        await each.answers(200, f"{API}/users", headers)


@pytest.mark.usefixtures("standing")
async def test_servers_drop_an_answer_outdated_by_a_command_line(
    two: TwoInProcessServers,
) -> None:
    _, headers = await two.join()
    client = two.one.client
    created = await client.post(f"{API}/items", json={"title": "before"}, headers=headers)
    path = created.headers["Location"]

    async def is_called(title: str) -> bool:
        answer = await two.other.client.get(path, headers=headers)
        return bool(answer.json()["title"] == title)

    assert await is_called("before")
    async with opened(two.settings) as backstay:
        await backstay.system(UpdateItem(id=UUID(created.json()["id"]), title="after"))
    await eventually(lambda: is_called("after"))


@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_a_write_of_another_process_to_the_file_is_noticed(two: TwoInProcessServers) -> None:
    _, headers = await two.join()
    file = two.one.backstay.database.options.file
    assert await asyncio.to_thread(run, ENDING, str(file)) == 0
    await two.other.answers(401, ME, headers)


@ON_POSTGRES
class TestOnPostgres:
    @pytest.mark.usefixtures("without_beats")
    async def test_a_notification_takes_effect_without_a_heartbeat(
        self, two: TwoInProcessServers
    ) -> None:
        (_, headers), unnoticed = await two.join(), await two.join_to_be_ended()
        await log_out(two.one, headers)
        await two.other.answers(401, ME, headers)
        assert await two.other.status(ME, unnoticed) == 200

    async def test_a_listener_killed_before_a_change_delays_it_under_1s(
        self, two: TwoInProcessServers
    ) -> None:
        _, headers = await two.join()
        await two.end_listeners()
        told = await log_out(two.one, headers)
        assert await two.other.obeys(headers, told)

    async def test_a_listener_killed_after_a_change_delays_it_under_1s(
        self, two: TwoInProcessServers
    ) -> None:
        _, headers = await two.join()
        told = await log_out(two.one, headers)
        await two.end_listeners()
        assert await two.other.obeys(headers, told)

    async def test_hanging_listeners_delay_a_change_under_one_second(
        self, two: TwoInProcessServers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(listener_module, "PATIENCE", LIMIT)
        (_, headers), (_, control) = await two.join(), await two.join(settled=True)
        with paused(await two.listeners()):
            told = await log_out(two.one, headers)
            await log_out(two.one, control)
            assert await two.other.status(ME, control) == 200
            assert await two.other.obeys(headers, told)

    async def test_a_reconnected_listener_empties_the_cache_and_logs_once(
        self, two: TwoInProcessServers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        unnoticed = await two.join_to_be_ended()
        with logged(channel_module) as logs:
            await two.end_listeners()
            await two.other.answers(401, ME, unnoticed)
            await eventually(lambda: len(logs) == 4)
            await beats(two, monkeypatch)
        said = [entry["event"] for entry in logs]
        assert sorted(said) == ["principal channel is back"] * 2 + ["principal channel lost"] * 2
        _, headers = await two.join()
        await log_out(two.one, headers)
        await two.other.answers(401, ME, headers)

    async def test_an_unknown_notification_empties_the_cache(
        self, two: TwoInProcessServers
    ) -> None:
        listeners = await two.listeners()
        with logged(channel_module) as logs:
            for payload in ("", "{", "null", "[]", '{"users": 5}', '{"users": ["x"]}'):
                headers = await two.join_to_be_ended()
                assert await two.other.status(ME, headers) == 200, payload
                await two.sql(f"SELECT pg_notify('backstay_principals', '{payload}')")
                await two.other.answers(401, ME, headers)
        assert await two.listeners() == listeners
        assert logs == []

    async def test_too_many_changes_for_one_notification_empty_the_cache(
        self, two: TwoInProcessServers
    ) -> None:
        unnoticed, (_, barrier) = await two.join_to_be_ended(), await two.join()
        module = ModuleType(__name__)
        vars(module).update(Reorganise=Reorganise, reorganise=reorganise)
        backstay = compose(two.settings, [*STANDARD, Feature("firm", modules=(module,))])
        await backstay.system(Reorganise(user_ids=tuple(new_id() for _ in range(100))))
        await log_out(two.one, barrier)
        await two.other.answers(401, ME, barrier)
        assert await two.other.status(ME, unnoticed) == 200
        await backstay.system(Reorganise(user_ids=tuple(new_id() for _ in range(1000))))
        await two.other.answers(401, ME, unnoticed)
        await backstay.close()

    async def test_a_silent_listener_is_replaced_and_reported(
        self, two: TwoInProcessServers, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client = two.other.client

        async def state() -> tuple[str, str, float]:
            health = (await client.get("/health")).json()
            metrics = (await client.get("/metrics")).text.splitlines()
            (line,) = (one for one in metrics if one.startswith("backstay_principal_channel_up"))
            return health["status"], health["checks"]["principal_channel"], float(line.split()[1])

        async def is_well() -> bool:
            return await state() == ("ok", "ok", 1)

        async def is_degraded() -> bool:
            return await state() == ("degraded", "degraded", 0)

        await eventually(is_well)
        silent = await two.listeners()
        monkeypatch.setattr(listener_module, "PATIENCE", 0.5)

        def refuse() -> None:
            raise ConnectionError

        with paused(silent):
            with monkeypatch.context() as until_seen:  # a new listener would be there too soon
                until_seen.setattr(two.other.backstay.listener, "connected", refuse)
                await eventually(is_degraded)
            monkeypatch.setattr(listener_module, "PATIENCE", LIMIT)
            await eventually(is_well)
            headers = await two.join_to_be_ended()
            await two.sql("SELECT pg_notify('backstay_principals', '')")
            await two.other.answers(401, ME, headers)
        await eventually(lambda: replaced(two, silent))


async def replaced(two: TwoServers, listeners: set[int]) -> bool:
    return not await two.listeners() & listeners


async def beats(two: TwoInProcessServers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait until every channel has had two more heartbeats."""
    counted = dict.fromkeys((two.one.backstay.listener, two.other.backstay.listener), 0)
    beat = PostgresListener.beat

    async def count(self: PostgresListener) -> None:
        await beat(self)
        counted[self] += 1

    with monkeypatch.context() as patched:
        patched.setattr(PostgresListener, "beat", count)
        await eventually(lambda: min(counted.values()) > 1)


@ON_POSTGRES
async def test_a_server_and_another_process_notify_each_other(
    seeded_url: str, tmp_path: Path
) -> None:
    """The signed-out user is refused there; sessions ended without a notification still work."""
    variables = {"DB_URL": seeded_url, "RATE_LIMIT_ENABLED": "false", "LOG_DIR": "", **KEYS}
    with serving(tmp_path, **variables) as server:
        there = httpx.AsyncClient(base_url=server.client.base_url, timeout=LIMIT)
        async with there, in_process_server(settings_with(seeded_url, tmp_path, **KEYS)) as here:
            two = TwoServers(here, Server(there), seeded_url)

            async def only_the_one_who_was_told_of_is_refused() -> bool:
                unnoticed, (_, headers) = await two.join_to_be_ended(), await two.join()
                await log_out(two.one, headers)
                await two.other.answers(401, ME, headers)
                return await two.other.status(ME, unnoticed) == 200

            await eventually(only_the_one_who_was_told_of_is_refused)
            _, headers = await two.join()
            await log_out(two.other, headers)
            await two.one.answers(401, ME, headers)


@ON_POSTGRES
async def test_a_notification_that_arrives_as_a_listener_ends_is_processed(
    backstay: Backstay, seeded_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(backstay.channel, PostgresPrincipals)
    heard: list[str] = []
    monkeypatch.setattr(backstay.channel, "notified", heard.append)
    listener = PostgresListener(backstay.database)
    ended: Any = await asyncpg.connect(seeded_url)
    listener._connection = ended
    await listener.listen_to(CHANNEL, backstay.channel)
    ended._process_notification(1, CHANNEL, "not ours")
    ended.terminate()
    await eventually(lambda: heard == ["not ours"])


class Reorganise(Command[None]):
    permission = SYSTEM_ONLY

    user_ids: tuple[UUID, ...]


@handles(Reorganise)
async def reorganise(command: Reorganise, changes: PrincipalChanges) -> None:
    changes.touch(*command.user_ids)
