"""Shows what the probes and /health report to load balancers and operators."""

import asyncio
import io
import sys
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import event, text

from backstay.composition import Backstay
from backstay.observability import health as health_module
from backstay.observability.health import PATIENCE, Ask, ServiceHealth
from backstay.settings import Settings
from backstay.testing import FrozenClock, settings_with
from backstay.testing.waiting import LIMIT, eventually
from tests.faults.proxy import wire_to
from tests.features.steps import API, execute, running
from tests.files import well
from tests.web.problems import problem

pytestmark = pytest.mark.anyio

CHECKS = {
    **{"database": "ok", "principal_channel": "ok", "cache": "off", "queue": "ok"},
    "maintenance": "off",
}


@pytest.mark.parametrize("path", ["/health", f"{API}/healthcheck"])
async def test_a_healthy_application_is_reported_as_ok(
    client: httpx.AsyncClient, path: str, backstay: Backstay
) -> None:
    answer = await client.get(path)
    database = well(backstay.database.options)
    assert answer.status_code == 200
    assert answer.json() == {
        "status": database,
        "version": backstay.settings.app.version,
        "checks": CHECKS | {"database": database},
        "reasons": {},
    }


@pytest.mark.usefixtures("affected_sqlite")
@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_a_sqlite_that_can_corrupt_files_is_reported(
    settings: Settings, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", told := io.StringIO())
    async with running(settings, clock) as client:
        health = await client.get("/health")
        assert (await client.get("/readyz")).status_code == 200
    (line,) = [line for line in told.getvalue().splitlines() if "SQLite" in line]
    for part in ("warning", "3.40.1", "pysqlite3"):
        assert part in line
    assert health.status_code == 200
    assert (health.json()["status"], health.json()["checks"]["database"]) == ("degraded",) * 2


async def test_the_process_is_alive_and_ready(client: httpx.AsyncClient) -> None:
    alive = await client.get("/livez")
    assert (alive.status_code, alive.json()) == (200, {"status": "ok"})
    ready = await client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["status"] == "ready"


async def test_the_servers_time_is_in_utc(client: httpx.AsyncClient, clock: FrozenClock) -> None:
    told = (await client.get(f"{API}/system/ping")).json()["time"]
    assert told.endswith("Z")
    assert datetime.fromisoformat(told) == clock()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE alembic_version SET version_num = 'platform_0001'",
        "UPDATE alembic_version SET version_num = 'from_the_future'",
        "DELETE FROM alembic_version",
        "DROP TABLE alembic_version",
    ],
)
async def test_a_schema_of_another_version_is_not_ready(
    client: httpx.AsyncClient, backstay: Backstay, statement: str
) -> None:
    await execute(backstay, text(statement))
    answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["status"] == "not ready"
    assert answer.json()["reason"]
    assert (await client.get("/livez")).status_code == 200


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raise the timeout of the database probe, so that a slow machine causes no failure."""
    monkeypatch.setattr(health_module, "PATIENCE", 10 * LIMIT)


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("database_kind", ["sqlite"])
async def test_a_database_file_that_is_gone_is_not_ready(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    (tmp_path / "test.db").rename(tmp_path / "moved.db")
    assert (await asyncio.wait_for(client.get("/readyz"), LIMIT)).status_code == 503
    assert (await client.get("/livez")).status_code == 200
    (tmp_path / "moved.db").rename(tmp_path / "test.db")

    async def is_ready() -> bool:  # a moment later, if another statement has met the fault
        return (await client.get("/readyz")).status_code == 200

    await eventually(is_ready)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The log of database checks of a probe: `asked` at the begin, `told` at the end."""
    happened: list[str] = []
    bounded = ServiceHealth._bounded

    async def note(health_checks: ServiceHealth, ask: Ask) -> str | None:
        happened.append("asked")
        told = await bounded(health_checks, ask)
        happened.append("told")
        return told

    monkeypatch.setattr(ServiceHealth, "_bounded", note)
    return happened


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("database_kind", ["postgresql"])
@pytest.mark.parametrize("fault", ["cut", "jam"])
async def test_an_unreachable_database_is_reported_quickly(
    seeded_url: str,
    tmp_path: Path,
    clock: FrozenClock,
    fault: str,
    asked: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each probe waits once, however many checks it makes; only its timeout ends the wait."""
    assert PATIENCE < 2.5
    async with (
        wire_to(seeded_url) as (wire, url),
        running(settings_with(url, tmp_path, DB_POOL_TIMEOUT=str(10 * LIMIT)), clock) as client,
    ):
        assert (await client.get("/readyz")).status_code == 200
        if fault == "cut":
            await wire.cut()
        else:
            wire.jam()
        assert (await asyncio.wait_for(client.get("/livez"), LIMIT)).status_code == 200
        with monkeypatch.context() as patch:
            patch.setattr(health_module, "PATIENCE", 0.2)
            for path in ("/readyz", "/health", f"{API}/healthcheck"):
                asked.clear()
                answer = await asyncio.wait_for(client.get(path), LIMIT)
                assert answer.status_code == 503
                assert answer.headers["content-type"] == "application/json"
                assert asked == ["asked"] * asked.count("asked") + ["told"] * asked.count("told")
                _tells_nothing_of(url, answer.text)
        assert answer.json()["checks"]["database"] == "error"
        await wire.hint()
        assert (await client.get("/readyz")).status_code == 200
        health = await client.get("/health")
        assert (health.status_code, health.json()["checks"]["database"]) == (200, "ok")


@pytest.mark.usefixtures("patient")
async def test_concurrent_probes_ask_the_database_once(
    client: httpx.AsyncClient, backstay: Backstay, asked: list[str]
) -> None:
    """Anybody may call a probe at any rate; a load balancer must not wait for them."""
    statements: list[str] = []

    def note(_: object, __: object, statement: str, *more: object) -> None:
        if statement in {"SELECT 1", "SHOW transaction_read_only"}:
            statements.append(statement)

    engine = backstay.database.probe_engine.sync_engine
    async with AsyncExitStack() as held:
        held.push_async_callback((await backstay.database.probe_engine.connect()).close)
        event.listen(engine, "before_cursor_execute", note)
        probes = [asyncio.create_task(client.get("/readyz")) for _ in range(20)]
        await eventually(lambda: asked.count("asked") == len(probes))
    answers = await asyncio.gather(*probes)
    event.remove(engine, "before_cursor_execute", note)
    assert {answer.status_code for answer in answers} == {200}
    assert len(statements) == 1


def _tells_nothing_of(url: str, told: str) -> None:
    parts = urlsplit(url)
    assert str(parts.password) not in told
    assert str(parts.port) not in told


async def test_probes_take_no_other_method_and_no_query(client: httpx.AsyncClient) -> None:
    for path in ("/health", "/livez", "/readyz", f"{API}/healthcheck", f"{API}/system/ping"):
        answer = await client.post(path)
        problem(answer, 405, "method_not_allowed")
        assert "GET" in answer.headers["allow"]
        problem(await client.get(path, params={"verbose": "1"}), 422, "validation_error")


class TestUnderLimits:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {"RATE_LIMIT_ENABLED": "true", "RATE_LIMIT_DEFAULT": "2"}

    @pytest.fixture
    def database_kind(self) -> str:
        return "sqlite"

    async def test_probes_are_exempt_and_health_is_not(self, client: httpx.AsyncClient) -> None:
        for path in ("/livez", "/readyz", "/metrics"):
            answers = [await client.get(path) for _ in range(4)]
            assert {answer.status_code for answer in answers} == {200}
            assert "ratelimit" not in answers[0].headers
        statuses = [(await client.get("/health")).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]
