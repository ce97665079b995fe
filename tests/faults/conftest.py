"""Fixtures: an application whose database connection can be cut, and helpers to read its data."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from backstay.application import create_app
from backstay.composition import Backstay
from backstay.settings import Settings
from backstay.testing import ADMIN_EMAIL, FrozenClock, client_of, settings_with
from backstay.testing.waiting import LIMIT
from tests.faults.proxy import Wire, wire_to
from tests.faults.two_servers import TwoInProcessServers, two_in_process_servers
from tests.features.steps import API, bearer, sign_in
from tests.redis.conftest import linked, patient, standing, wire, without_beats

__all__ = ["linked", "patient", "standing", "wire", "without_beats"]


class Running:
    """A running application with its administrator signed in."""

    def __init__(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        self.app = app
        self.backstay: Backstay = app.state.backstay
        self.client = client

    async def create(self, title: str = "Sextant") -> httpx.Response:
        return await self.client.post(f"{API}/items", json={"title": title})

    async def titles(self) -> list[str]:
        answer = await self.client.get(f"{API}/items", params={"sort": "created_at"})
        assert answer.status_code == 200, answer.text
        return [item["title"] for item in answer.json()["items"]]


async def signed_in(app: FastAPI, client: httpx.AsyncClient) -> Running:
    answer = await sign_in(client, ADMIN_EMAIL)
    client.headers.update(bearer(answer.json()["access_token"]))
    return Running(app, client)


@pytest.fixture
async def running(app: FastAPI, client: httpx.AsyncClient) -> Running:
    return await signed_in(app, client)


@pytest.fixture
async def wired(
    seeded_url: str, tmp_path: Path, clock: FrozenClock, variables: dict[str, str]
) -> AsyncIterator[tuple[Wire, Running]]:
    """An application on PostgreSQL, and the TCP proxy between the two."""
    async with wire_to(seeded_url) as (wire, url):
        settings = settings_with(url, tmp_path, DB_POOL_TIMEOUT=str(LIMIT), **variables)
        app: Any = create_app(settings, clock=clock, worker=False)
        async with app.router.lifespan_context(app), client_of(app) as client:
            try:
                yield wire, await signed_in(app, client)
            finally:
                await wire.hint()


@pytest.fixture
async def two(settings: Settings, seeded_url: str) -> AsyncIterator[TwoInProcessServers]:
    async with two_in_process_servers(settings, seeded_url) as two:
        yield two
