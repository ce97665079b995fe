"""Shows what on-call reads of sign-ins, refusals, losses, connections, schedules and processes."""

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI

from backstay.application import create_app
from backstay.composition import Backstay
from backstay.core.clock import utc_now
from backstay.core.errors import DatabaseUnavailable
from backstay.features.auth.commands.sessions import PurgeSessions
from backstay.observability.metrics import PrometheusMetrics
from backstay.settings import Settings
from backstay.testing import ADMIN_EMAIL, client_of
from backstay.testing.waiting import eventually
from tests.features.steps import API, sign_in
from tests.files import look_into
from tests.observability.steps import scraped, value

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]


async def test_sign_ins_are_counted_by_how_they_end(client: httpx.AsyncClient) -> None:
    before = await scraped(client)
    assert (await sign_in(client, ADMIN_EMAIL)).status_code == 200
    for name in ("nobody", "somebody", ADMIN_EMAIL):
        assert (await sign_in(client, name, password="wrong" * 3)).status_code == 401
    after = await scraped(client)

    def more(outcome: str, code: str) -> float:
        labels = {"command": "Login", "outcome": outcome, "code": code}
        return value(after, "commands_total", **labels) - value(before, "commands_total", **labels)

    assert (more("ok", ""), more("refused", "auth_error")) == (1, 3)
    assert "nobody" not in str(after)


async def test_lost_rows_of_the_trail_are_counted(
    client: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise DatabaseUnavailable

    backstay: Backstay = app.state.backstay
    monkeypatch.setattr(backstay.database, "write", fail)
    assert (await sign_in(client, ADMIN_EMAIL, password="wrong" * 3)).status_code == 401
    await backstay.trail.settle()
    assert value(await scraped(client), "audit_rows_lost_total") == 1


class TestLimited:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        limits = {"RATE_LIMIT_DEFAULT": "2", "SECURITY_LOGIN_RATE_LIMIT": "2/minute"}
        return {"RATE_LIMIT_ENABLED": "true", **limits}

    async def test_refused_requests_are_counted_by_limit_class(
        self, client: httpx.AsyncClient
    ) -> None:
        for _ in range(3):
            await client.get(f"{API}/nowhere")
        for _ in range(4):
            await sign_in(client, "nobody")
        samples = await scraped(client)
        names = {
            dict(labels)["limit"] for labels in samples["backstay_rate_limited_requests_total"]
        }
        assert value(samples, "rate_limited_requests_total", limit="default") == 1
        assert value(samples, "rate_limited_requests_total", limit="login") == 2
        assert names == {"default", "login"}


async def test_requests_in_flight_include_those_that_fail(settings: Settings) -> None:
    router, go_on = APIRouter(), asyncio.Event()

    @router.get("/waits")
    async def waits() -> None:
        await go_on.wait()
        raise RuntimeError

    app = create_app(settings, routers=[router])
    async with app.router.lifespan_context(app), client_of(app) as client:
        waiting = [asyncio.create_task(client.get("/waits")) for _ in range(3)]

        async def in_flight() -> float:
            return value(await scraped(client), "http_requests_in_flight")

        async def are_in() -> bool:
            return await in_flight() == 4  # with the scrape

        await eventually(are_in)
        waiting.pop().cancel()
        go_on.set()
        assert [(await each).status_code for each in waiting] == [500, 500]

        async def are_out() -> bool:
            return await in_flight() == 1

        await eventually(are_out)


class TestShortOfConnections:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {"DB_POOL_TIMEOUT": "0.3"}

    async def test_waits_that_end_without_a_connection_are_counted(
        self, client: httpx.AsyncClient, app: FastAPI
    ) -> None:
        backstay: Backstay = app.state.backstay
        before = value(await scraped(client), "db_connection_timeouts_total", pool="writer")
        async with AsyncExitStack() as held:
            held.push_async_callback((await backstay.database.writer.connect()).close)
            assert (await sign_in(client, ADMIN_EMAIL)).status_code == 503
        samples = await scraped(client)
        assert value(samples, "db_connection_timeouts_total", pool="writer") > before
        assert value(samples, "db_connections_max", pool="writer") == 1

    async def test_waits_for_another_process_that_writes_are_measured(
        self, client: httpx.AsyncClient, app: FastAPI, tmp_path: Path
    ) -> None:
        with look_into(tmp_path / "test.db") as other:
            other.execute("BEGIN IMMEDIATE")
            assert (await sign_in(client, ADMIN_EMAIL)).status_code == 503
            other.execute("ROLLBACK")
        assert value(await scraped(client), "db_write_lock_wait_seconds_sum") >= 0.3


async def test_a_schedule_without_its_job_is_overdue(app: FastAPI) -> None:
    metrics = PrometheusMetrics()
    (hourly,) = (
        each
        for feature in app.state.backstay.features
        for each in feature.schedule
        if isinstance(each.command, PurgeSessions)
    )
    now = utc_now()
    slot = hourly.trigger.slot(now)
    late = slot + timedelta(minutes=10)

    def overdue(last: dict[str, Any]) -> float | None:
        metrics.jobs.show_schedule([hourly], late, last)
        name = "backstay_schedule_overdue_seconds"
        return metrics.registry.get_sample_value(name, {"schedule": hourly.name})

    assert overdue({}) is None
    assert overdue({hourly.name: slot}) == 0
    assert overdue({hourly.name: slot - timedelta(hours=1)}) == 600
    assert overdue({hourly.name: slot - timedelta(hours=3)}) == 7800, "the first missed slot counts"


async def test_health_and_build_are_shown(client: httpx.AsyncClient) -> None:
    samples = await scraped(client)
    assert value(samples, "health", check="database", state="ok") == 1
    assert value(samples, "health", check="database", state="error") == 0
    assert value(samples, "health", check="cache", state="off") == 1
    ((labels, one),) = samples["backstay_build_info"].items()
    assert (one, [name for name, _ in labels]) == (
        1,
        ["application", "application_version", "python", "version"],
    )


async def test_a_scrape_without_a_database_says_so(
    client: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail() -> None:
        raise DatabaseUnavailable("gone")

    await scraped(client)
    backstay: Backstay = app.state.backstay
    monkeypatch.setattr(backstay.database.watch, "require_sound", fail)
    samples = await scraped(client)
    assert value(samples, "health", check="database", state="error") == 1
    assert value(samples, "health", check="database", state="ok") == 0


LAST_TURN = "backstay_event_loop_last_turn_timestamp_seconds"


class TestSwitchedOff:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {"APP_METRICS": "false"}

    async def test_without_metrics_a_process_does_not_measure_itself(
        self, client: httpx.AsyncClient, app: FastAPI
    ) -> None:
        assert (await client.get("/livez")).status_code == 200
        registry = app.state.backstay.metrics.registry
        assert registry.get_sample_value(LAST_TURN, {"worker": "1"}) is None
