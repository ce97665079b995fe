"""Shows the application through plain ASGI, from start to stop."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import text

from backstay.application import create_app
from backstay.composition import compose
from backstay.db import migrate
from backstay.db.migrations.runner import MigrationError
from backstay.db.options import EngineOptions
from backstay.settings import Settings
from backstay.testing import client_of, settings_with
from backstay.testing.waiting import LIMIT
from tests.cli.process import KEYS
from tests.features.steps import execute

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]


class Server:
    """The part of a server that starts and stops an application."""

    def __init__(self, app: FastAPI) -> None:
        self._to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
        self._task = asyncio.ensure_future(
            app(scope, self._to_app.get, self._from_app.put)  # type: ignore[arg-type]
        )

    async def say(self, word: str) -> dict[str, Any]:
        """Send ``lifespan.startup`` or ``lifespan.shutdown`` and return the answer."""
        await self._to_app.put({"type": f"lifespan.{word}"})
        return await asyncio.wait_for(self._from_app.get(), LIMIT)

    async def end(self) -> None:
        await asyncio.wait({self._task}, timeout=LIMIT)
        assert self._task.done()
        self._task.exception()


async def test_the_application_starts_serves_and_stops(settings: Settings) -> None:
    happened: list[str] = []

    async def start(app: FastAPI) -> None:
        async with client_of(app) as client:
            assert (await client.get("/readyz")).status_code == 200
        happened.append("started")

    async def stop(app: FastAPI) -> None:
        async with client_of(app) as client:
            assert (await client.get("/health")).status_code == 200
        happened.append("stopped")

    app = create_app(settings, on_start=[start], on_stop=[stop])
    server = Server(app)
    assert await server.say("startup") == {"type": "lifespan.startup.complete"}
    async with client_of(app) as client:
        assert (await client.get("/livez")).status_code == 200
    assert happened == ["started"]
    assert await server.say("shutdown") == {"type": "lifespan.shutdown.complete"}
    await server.end()
    assert happened == ["started", "stopped"]


async def test_the_application_refuses_a_database_of_another_version(settings: Settings) -> None:
    backstay = compose(settings)
    await execute(backstay, text("UPDATE alembic_version SET version_num = 'platform_0001'"))
    await backstay.close()
    server = Server(create_app(settings))
    answer = await server.say("startup")
    assert answer["type"] == "lifespan.startup.failed"
    await server.end()


async def test_a_websocket_is_turned_away(app: FastAPI) -> None:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    for path in ("/livez", "/api/v1/items", "/nope"):
        scope: dict[str, Any] = {"type": "websocket", "path": path, "headers": []}
        await app({**scope, "query_string": b"", "subprotocols": []}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"] * 3


async def test_two_applications_do_not_share_anything(settings: Settings) -> None:
    one, two = create_app(settings), create_app(settings)
    assert one.state.backstay.metrics is not two.state.backstay.metrics
    assert one.state.edge is not two.state.edge


@pytest.mark.usefixtures("database_kind")
async def test_production_refuses_to_start_without_an_administrator(tmp_path: Path) -> None:
    variables = KEYS | {"ENVIRONMENT": "production", "MAIL_HOST": "mail.example.org"}
    variables |= {"ADMIN_PASSWORD": "", "LOG_DIR": str(tmp_path)}
    settings = settings_with(f"sqlite:///{tmp_path}/shop.db", tmp_path, **variables)
    await migrate.upgrade(EngineOptions.of(settings))
    server = Server(create_app(settings))
    answer = await server.say("startup")
    assert answer["type"] == "lifespan.startup.failed"
    assert answer["message"].startswith("ADMIN_PASSWORD is missing, while there is no admin")
    await server.end()
    assert "server started" not in (tmp_path / "server.log").read_text()


@pytest.mark.usefixtures("database_kind")
async def test_a_server_is_told_why_it_cannot_start(tmp_path: Path) -> None:
    app = create_app(settings_with(f"sqlite:///{tmp_path}/absent.db", tmp_path), worker=False)
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message)

    with pytest.raises(MigrationError):
        await app({"type": "lifespan"}, receive, send)
    why = "There is no database yet: run `backstay db upgrade`."
    assert sent == [{"type": "lifespan.startup.failed", "message": why}]
