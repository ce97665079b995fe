"""Shows that every process obeys maintenance within a second, whatever fails."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

import pytest

from backstay.composition import Backstay, compose
from backstay.features.system.commands.maintenance import BeginMaintenance, EndMaintenance
from backstay.testing.waiting import eventually
from tests.clocks import StandingClock
from tests.faults.two_servers import PROMISED, Server, TwoInProcessServers, paused
from tests.features.steps import API, needs

pytestmark = [pytest.mark.anyio, needs("items")]

ON_POSTGRES = pytest.mark.parametrize("database_kind", ["postgresql"])


@asynccontextmanager
async def command_line(two: TwoInProcessServers) -> AsyncIterator[Backstay]:
    backstay = compose(two.settings, for_requests=False)
    yield backstay
    await backstay.close()


async def writes(server: Server, headers: dict[str, str]) -> int:
    answer = await server.client.post(f"{API}/items", json={"title": "a"}, headers=headers)
    return answer.status_code


async def all_answer(two: TwoInProcessServers, status: int, headers: dict[str, str]) -> None:
    async def is_so() -> bool:
        return [await writes(each, headers) for each in (two.one, two.other)] == [status] * 2

    await eventually(is_so)


def obey_in_time(two: TwoInProcessServers, monkeypatch: pytest.MonkeyPatch, told: float) -> None:
    """Let the clocks of both servers stand still, `PROMISED` seconds after the switch."""
    clock = StandingClock()
    clock.now = told + PROMISED
    for each in (two.one, two.other):
        monkeypatch.setattr(each.backstay.maintenance, "_monotonic", clock)


async def test_servers_obey_a_command_line(two: TwoInProcessServers) -> None:
    _, headers = await two.join()
    assert await writes(two.other, headers) == 201
    async with command_line(two) as backstay:
        await backstay.system(BeginMaintenance())
        await all_answer(two, 503, headers)
        assert await two.other.status(f"{API}/items", headers) == 200
        await backstay.system(EndMaintenance())
        await all_answer(two, 201, headers)


@ON_POSTGRES
@pytest.mark.parametrize("status", [503, 201])
async def test_killed_listeners_delay_it_under_one_second(
    two: TwoInProcessServers, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    _, headers = await two.join()
    async with command_line(two) as backstay:
        if status == 201:
            await backstay.system(BeginMaintenance())
            await all_answer(two, 503, headers)
        await two.end_listeners()
        await backstay.system(BeginMaintenance() if status == 503 else EndMaintenance())
        obey_in_time(two, monkeypatch, monotonic())
        assert [await writes(each, headers) for each in (two.one, two.other)] == [status] * 2


@ON_POSTGRES
async def test_hanging_listeners_delay_it_under_one_second(
    two: TwoInProcessServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, headers = await two.join()
    with paused(await two.listeners()):
        async with command_line(two) as backstay:
            await backstay.system(BeginMaintenance())
        obey_in_time(two, monkeypatch, monotonic())
        assert [await writes(each, headers) for each in (two.one, two.other)] == [503, 503]
