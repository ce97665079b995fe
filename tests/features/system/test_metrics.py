"""Shows what is measured, under which names, and who may read it."""

from uuid import uuid4

import httpx
import pytest
from fastapi import APIRouter

from backstay.application import create_app
from backstay.settings import Settings
from backstay.testing import Login, client_of
from tests.features.steps import API, bearer, needs
from tests.web.environments import STAGING
from tests.web.problems import problem

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]

TOKEN = "a token for prometheus"


async def routes_measured(client: httpx.AsyncClient) -> dict[tuple[str, str, str], float]:
    """How many requests were counted, by method, route and status."""
    counted = {}
    for line in (await client.get("/metrics")).text.splitlines():
        if line.startswith("backstay_http_requests_total{"):
            labels, _, value = line.partition("{")[2].rpartition("} ")
            method, route, status = (part.split("=")[1].strip('"') for part in labels.split(","))
            counted[method, route, status] = float(value)
    return counted


@needs("items")
async def test_requests_are_counted_by_template(login: Login, client: httpx.AsyncClient) -> None:
    person = await login()
    for _ in range(3):
        await person.client.get(f"{API}/items/{uuid4()}")
    await person.client.get(f"{API}/items/not-an-id")
    await client.get(f"{API}/items/{uuid4()}")
    await client.put(f"{API}/items")
    await client.request("BREW", f"{API}/items")
    for number in range(5):
        await client.get(f"/nowhere/{number}")
    counted = await routes_measured(client)
    template = f"{API}/items/{{id}}"
    assert counted["GET", template, "404"] == 3
    assert counted["GET", template, "422"] == 1
    assert counted["GET", template, "401"] == 1
    assert counted["GET", "unmatched", "404"] == 5
    assert {method for method, _, status in counted if status == "405"} == {"PUT", "other"}
    assert not any("nowhere" in route or "not-an-id" in route for _, route, _ in counted)


async def test_further_routers_are_counted_by_template_too(settings: Settings) -> None:
    router = APIRouter(prefix="/shop")

    @router.get("/orders/{number}")
    async def order(number: int) -> int:
        return number

    app = create_app(settings, routers=[router])
    async with app.router.lifespan_context(app), client_of(app) as client:
        assert (await client.get("/shop/orders/5")).json() == 5
        counted = await routes_measured(client)
    assert [route for _, route, _ in counted] == ["/shop/orders/{number}"]


async def test_the_text_is_that_of_prometheus(client: httpx.AsyncClient) -> None:
    answer = await client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    await client.get("/livez")
    text = (await client.get("/metrics")).text
    assert "# TYPE backstay_http_requests_total counter" in text
    assert "# TYPE backstay_http_request_duration_seconds histogram" in text
    assert 'backstay_http_request_duration_seconds_bucket{le="0.001",' in text


class TestWithToken:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {**STAGING, "APP_METRICS_TOKEN": TOKEN}

    async def test_only_the_holder_of_the_token_reads_metrics(
        self, client: httpx.AsyncClient, login: Login
    ) -> None:
        assert (await client.get("/metrics", headers=bearer(TOKEN))).status_code == 200
        admin = await login("admin")
        problem(await admin.client.get("/metrics"), 401, "auth_error")
        for value in ("", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer é", "Bearer"):
            answer = await client.get("/metrics", headers={b"Authorization": value.encode()})
            problem(answer, 401, "auth_error")


class TestOutsideLocal:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return STAGING

    async def test_without_a_configured_token_nobody_reads_metrics(
        self, client: httpx.AsyncClient
    ) -> None:
        for headers in ({}, bearer(""), bearer("None")):
            problem(await client.get("/metrics", headers=headers), 404, "not_found")


class TestSwitchedOff:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {"APP_METRICS": "false", "APP_METRICS_TOKEN": TOKEN}

    async def test_switched_off_metrics_are_not_found(self, client: httpx.AsyncClient) -> None:
        problem(await client.get("/metrics", headers=bearer(TOKEN)), 404, "not_found")
