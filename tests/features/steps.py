"""Steps for scenarios: call the API from an address, look into the database."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from math import inf
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import CursorResult, Executable, select, update

from backstay.application import create_app
from backstay.composition import Backstay
from backstay.features.auth.model import Session
from backstay.features.users.model import User
from backstay.settings import Settings
from backstay.testing import PASSWORD, FrozenClock, client_of
from backstay.testing.waiting import eventually

API = "/api/v1"
AUTH = f"{API}/auth"
ME = f"{API}/users/me"
OTHER_PASSWORD = "a staple of horses"
Trail = Callable[[], Awaitable[Sequence[Any]]]
"""The rows of the audit trail since the last call, oldest first."""
JWKS = "/.well-known/jwks.json"
"""A public route that always exists."""


def needs(feature: str) -> pytest.MarkDecorator:
    """Marks a test that only makes sense while an optional feature is switched on."""
    switched_off = f"{feature!r} in config.getoption('--without')"
    return pytest.mark.skipif(switched_off, reason=f"needs the feature {feature}")


def client_at(app: FastAPI, address: str, **options: Any) -> httpx.AsyncClient:
    """A client on the machine with this address."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 4000))
    return httpx.AsyncClient(transport=transport, base_url="http://testserver", **options)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def execute(backstay: Backstay, statement: Executable) -> CursorResult[Any]:
    """Run a statement directly on the database, without the application's steps."""
    async with backstay.database.writer.begin() as connection:
        return await connection.execute(statement)


async def hears(backstay: Backstay, *, since: float = -inf) -> None:
    """Wait until an application's caches are complete beyond a moment (monotonic seconds)."""
    answers = backstay.answers or getattr(backstay.cache, "memory", None)
    kept: tuple[Any, ...] = (backstay.principals, answers)
    await eventually(lambda: all(each._complete_until > since for each in kept))


async def change_user(backstay: Backstay, user_id: str, **values: Any) -> None:
    """Change a user's row, and let the application forget its cached principals."""
    await execute(backstay, update(User).where(User.id == UUID(user_id)).values(**values))
    backstay.principals.forget_all()


async def session_row(backstay: Backstay, session_id: str) -> Any:
    """The row of a session as it is stored."""
    statement = select(Session).where(Session.id == UUID(session_id))
    return (await execute(backstay, statement)).one()


async def register(client: httpx.AsyncClient, email: str, **fields: Any) -> httpx.Response:
    body = {"email": email, "password": PASSWORD, **fields}
    return await client.post(f"{API}/users", json=body)


async def sign_in(client: httpx.AsyncClient, email: str, **fields: Any) -> httpx.Response:
    """Sign in; tokens are returned in the body, unless ``transport`` says otherwise."""
    body = {"email": email, "password": PASSWORD, "transport": "body", **fields}
    return await client.post(f"{AUTH}/login", json=body)


async def refresh(client: httpx.AsyncClient, token: str, **fields: Any) -> httpx.Response:
    return await client.post(f"{AUTH}/refresh", json={"refresh_token": token, **fields})


async def is_signed_in(client: httpx.AsyncClient, access_token: str) -> bool:
    """Whether an access token is accepted."""
    answer = await client.get(ME, headers=bearer(access_token))
    assert answer.status_code in {200, 401}, answer.text
    return answer.status_code == 200


@asynccontextmanager
async def running(settings: Settings, clock: FrozenClock) -> AsyncIterator[httpx.AsyncClient]:
    """Start another application on these settings; yields a client of it."""
    app = create_app(settings, clock=clock)
    async with app.router.lifespan_context(app), client_of(app) as client:
        yield client


def said(rows: Sequence[Any]) -> list[tuple[str, str, str | None]]:
    """The message, outcome and code of audit rows."""
    return [(row.message, row.outcome, row.code) for row in rows]
