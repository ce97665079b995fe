"""Shows that a client that disconnects during a request leaves no partial change."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from time import perf_counter
from typing import Any

import anyio
import httpx
import pytest
from sqlalchemy import func, select

from backstay.features.access.model import RoleMember
from backstay.features.items.model import Item
from backstay.features.users.model import User
from backstay.testing import PASSWORD
from tests.faults.conftest import Running
from tests.features.steps import API, execute, needs, register

pytestmark = [pytest.mark.anyio, needs("items"), needs("system")]


@pytest.fixture(autouse=True)
async def complaints() -> AsyncIterator[None]:
    """Fail if a cancelled driver reports anything but a ConnectionError to the event loop.

    The application is created later, and has stopped before this check.
    """
    loop = asyncio.get_running_loop()
    raised: list[BaseException] = []
    before = loop.get_exception_handler()

    def note(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        raised.extend(filter(None, [context.get("exception")]))

    loop.set_exception_handler(note)
    yield
    loop.set_exception_handler(before)
    assert all(isinstance(exception, ConnectionError) for exception in raised)


async def members_and_users(running: Running) -> tuple[int, int]:
    """The number of users with a role and the number of users, read in one statement."""
    members = select(func.count(func.distinct(RoleMember.user_id))).scalar_subquery()
    users = select(func.count()).select_from(User).scalar_subquery()
    counted: tuple[int, int] = tuple(
        (await execute(running.backstay, select(members, users))).one()
    )
    return counted


async def test_abandoned_registrations_are_complete_or_absent(running: Running) -> None:
    usual = await taken(lambda: register(running.client, "first@example.org"))
    for number in range(12):
        with anyio.move_on_after(usual * (number + 1) / 12):
            await register(running.client, f"p{number}@example.org")
        members, users = await members_and_users(running)
        assert members == users
    assert (await register(running.client, "last@example.org")).status_code == 201
    members, after = await members_and_users(running)
    assert members == after > users


async def taken(act: Callable[[], Awaitable[object]]) -> float:
    """The seconds that a call takes here; tests cancel others at fractions of this time."""
    started = perf_counter()
    await act()
    return perf_counter() - started


async def test_abandoned_writes_do_not_use_up_the_connections(running: Running) -> None:
    usual = await taken(running.create)

    async def abandon(number: int) -> None:
        with anyio.move_on_after(usual * (number % 20) / 10):
            await running.create(f"{number}")

    async with anyio.create_task_group() as group:
        for number in range(40):
            group.start_soon(abandon, number)
    answers = await asyncio.gather(*[running.create("after") for _ in range(8)])
    assert Counter(answer.status_code for answer in answers) == {201: 8}
    assert (await running.client.get("/readyz")).status_code == 200


async def test_abandoned_reads_do_not_use_up_the_connections(running: Running) -> None:
    usual = await taken(lambda: running.client.get(f"{API}/items"))

    async def abandon(number: int) -> None:
        with anyio.move_on_after(usual * (number % 20) / 10):
            await running.client.get(f"{API}/items")

    async with anyio.create_task_group() as group:
        for number in range(40):
            group.start_soon(abandon, number)
    answers = await asyncio.gather(*[running.client.get(f"{API}/items") for _ in range(20)])
    assert Counter(answer.status_code for answer in answers) == {200: 20}


class LeavingClient:
    """An ASGI client that sends a part of a body, or all of it, and disconnects."""

    def __init__(self, *parts: bytes) -> None:
        self._messages: list[dict[str, Any]] = [
            {"type": "http.request", "body": part, "more_body": True} for part in parts
        ]
        self.received: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        return self._messages.pop(0) if self._messages else {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.received.append(message)


async def test_half_a_body_has_no_effect(running: Running) -> None:
    token = running.client.headers["authorization"]
    for parts in ((), (b'{"title": "Half'), (b'{"title": "Half"}',)):
        leaver = LeavingClient(*parts)
        scope = {
            "type": "http",
            "method": "POST",
            "path": f"{API}/items",
            "query_string": b"",
            "headers": [
                (b"authorization", token.encode()),
                (b"content-type", b"application/json"),
            ],
        }
        await running.app(scope, leaver.receive, leaver.send)
        statuses = [m["status"] for m in leaver.received if "status" in m]
        assert all(status >= 400 for status in statuses)
    count = (await execute(running.backstay, select(func.count()).select_from(Item))).scalar_one()
    assert count == 0


async def test_a_client_that_leaves_during_hashing_blocks_nobody(running: Running) -> None:
    body = {"email": "admin@example.com", "password": PASSWORD}
    usual = await taken(lambda: running.client.post(f"{API}/auth/login", json=body))
    async with anyio.create_task_group() as group:
        for number in range(20):

            async def leave(number: int = number) -> None:
                with anyio.move_on_after(usual * (number + 1) / 10):
                    await running.client.post(f"{API}/auth/login", json=body)

            group.start_soon(leave)
    answer: httpx.Response = await running.client.post(f"{API}/auth/login", json=body)
    assert answer.status_code == 200
