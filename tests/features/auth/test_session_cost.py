"""Shows that usual sign-ins and refreshes need no transaction of their own on PostgreSQL."""

from typing import Any

import httpx
import pytest
from sqlalchemy import event

from backstay.composition import Backstay
from backstay.testing import FrozenClock, Login
from tests.features.steps import refresh, session_row, sign_in

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["postgresql"])]

WARM = 5
"""How often a statement is used before it certainly goes straight to the driver."""


@pytest.fixture
def transactions(backstay: Backstay) -> list[Any]:
    """The connections that SQLAlchemy has taken for commands."""
    taken: list[Any] = []
    event.listen(backstay.database.writer.sync_engine, "checkout", lambda *args: taken.append(args))
    return taken


async def rotated(
    client: httpx.AsyncClient, clock: FrozenClock, token: str, times: int = WARM
) -> str:
    """The token that follows after so many refreshes."""
    for _ in range(times):
        clock.forward(seconds=900)
        answer = await refresh(client, token)
        assert answer.status_code == 200
        token = answer.json()["refresh_token"]
    return token


async def refreshes_without_transaction(
    login: Login, client: httpx.AsyncClient, clock: FrozenClock, transactions: list[Any]
) -> None:
    token = await rotated(client, clock, (await login()).tokens["refresh_token"])
    transactions.clear()
    await rotated(client, clock, token)
    assert transactions == []


async def test_a_usual_refresh_needs_no_transaction(
    login: Login, client: httpx.AsyncClient, clock: FrozenClock, transactions: list[Any]
) -> None:
    await refreshes_without_transaction(login, client, clock, transactions)


async def test_a_reused_token_slows_no_other_session(
    login: Login, client: httpx.AsyncClient, clock: FrozenClock, transactions: list[Any]
) -> None:
    stolen, other = await login("admin"), await login("admin")
    token = await rotated(client, clock, other.tokens["refresh_token"])
    await rotated(client, clock, stolen.tokens["refresh_token"], 2)
    assert (await refresh(client, stolen.tokens["refresh_token"])).status_code == 401
    transactions.clear()
    await rotated(client, clock, token)
    assert transactions == []


async def test_a_usual_sign_in_needs_no_transaction(
    login: Login, client: httpx.AsyncClient, transactions: list[Any]
) -> None:
    email = (await login()).email
    for _ in range(WARM):
        await sign_in(client, email)
    transactions.clear()
    answer = await sign_in(client, email)
    assert (answer.status_code, transactions) == (200, [])


class TestBesideReplica:
    @pytest.fixture
    def variables(self, database_url: str) -> dict[str, str]:
        return {"DB_REPLICA_URL": database_url}

    async def test_others_are_told_of_a_refresh_without_a_transaction(
        self, login: Login, client: httpx.AsyncClient, clock: FrozenClock, transactions: list[Any]
    ) -> None:
        await refreshes_without_transaction(login, client, clock, transactions)


async def test_another_client_is_noted_by_a_refresh(
    login: Login, client: httpx.AsyncClient, backstay: Backstay, clock: FrozenClock
) -> None:
    tokens = (await login()).tokens
    token = await rotated(client, clock, tokens["refresh_token"])
    client.headers["user-agent"] = "Browser/2.0"
    await rotated(client, clock, token, 1)
    row = await session_row(backstay, tokens["session_id"])
    assert row.user_agent == "Browser/2.0"
    assert row.former_client_hash is not None
    assert row.generation == WARM + 1
