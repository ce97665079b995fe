"""Shows which errors are reported to Sentry, what a report says, and what it never holds."""

from collections.abc import Iterator

import httpx
import pytest
import sentry_sdk
import structlog
from fastapi import FastAPI

from backstay.application import Application
from backstay.core.feature import Feature
from backstay.observability.error_reports import flush
from backstay.testing import Login, Work
from tests.observability.parcels import parcels, router
from tests.services.sentry import Reported, sentry

pytestmark = pytest.mark.anyio
PARCELS = "/api/v1/parcels"


@pytest.fixture
def application(features: list[Feature]) -> Application:
    made = [*features, parcels]
    return Application("tests", features=made, routers=[router], migrations=None)


@pytest.fixture
def reported() -> Iterator[Reported]:
    before = structlog.get_config()
    with sentry() as found:
        yield found
    sentry_sdk.get_client().close(0)
    sentry_sdk.get_global_scope().set_client(None)
    structlog.configure(**before)


@pytest.fixture
def variables(reported: Reported) -> dict[str, str]:
    return {"SENTRY_DSN": reported.dsn, "APP_VERSION": "7", "APP_NAME": "Shop"}


async def test_bugs_of_requests_and_jobs_are_reported(
    app: FastAPI, login: Login, work: Work, reported: Reported
) -> None:
    person = await login("user")
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"Cookie": "cookie=hush", **person.client.headers}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://test", headers=headers
    ) as client:
        for how in ("refused", "well"):
            await client.post(PARCELS, json={"name": "heavy", "how": how})
        await client.get("/nothing?token=hush")
        answer = await client.get("/planted/bug?token=hush")
    await work.run()
    flush()
    bug, job = reported.events
    for event in (bug, job):
        (error,) = event["exception"]["values"]
        assert error["type"] == "ZeroDivisionError"
        assert error["value"] == "hush postgresql://shop:********@db.example.org/shop"
        assert (event["environment"], event["release"]) == ("local", "Shop@7")
        assert not {"request", "breadcrumbs", "extra", "modules"} & event.keys()
        assert not [frame for frame in error["stacktrace"]["frames"] if "vars" in frame]
    assert bug["tags"]["request_id"] == answer.headers["x-request-id"]
    assert bug["contexts"]["trace"]["trace_id"] == answer.headers["traceparent"][3:35]
    assert bug["tags"]["route"] == "/planted/bug"
    assert job["tags"]["job"] == "WeighParcel"
    assert job["contexts"]["trace"]["trace_id"] != bug["contexts"]["trace"]["trace_id"]
    assert "shop:hush" not in reported.text
    assert "token=" not in reported.text


async def test_a_repeated_bug_is_reported_once(
    app: FastAPI, reported: Reported, client: httpx.AsyncClient
) -> None:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as other:
        for _ in range(3):
            await other.get("/planted/bug")
    flush()
    assert len(reported.events) == 1
