"""Shows that HEAD answers as GET does, without the body (RFC 9110, 9.3.2)."""

import httpx
import pytest

from backstay.testing import Login
from tests.features.steps import API, JWKS, ME, needs

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]

OF_THE_REQUEST = {"x-request-id", "traceparent"}


def alike(head: httpx.Response, get: httpx.Response) -> None:
    """Assert that one answer equals the other without its body."""
    assert head.status_code == get.status_code
    assert head.content == b""
    assert {name: value for name, value in head.headers.items() if name not in OF_THE_REQUEST} == {
        name: value for name, value in get.headers.items() if name not in OF_THE_REQUEST
    }


@needs("items")
@pytest.mark.parametrize("path", [ME, f"{API}/items", f"{API}/items/nope", f"{API}/users"])
async def test_head_has_the_headers_of_get(login: Login, path: str) -> None:
    person = await login()
    alike(await person.client.head(path), await person.client.get(path))


@needs("system")
@pytest.mark.parametrize("path", [JWKS, "/livez", "/readyz", "/docs", ME, "/nope"])
async def test_strangers_get_the_same_headers(client: httpx.AsyncClient, path: str) -> None:
    alike(await client.head(path), await client.get(path))


async def test_a_known_etag_gets_304(login: Login) -> None:
    person = await login()
    tag = (await person.client.head(ME)).headers["etag"]
    assert (await person.client.head(ME, headers={"If-None-Match": tag})).status_code == 304


@needs("system")
async def test_metrics_count_head_requests_separately(client: httpx.AsyncClient) -> None:
    await client.head("/livez")
    metrics = (await client.get("/metrics")).text
    assert 'http_requests_total{method="HEAD",route="/livez",status="200"} 1.0' in metrics


async def test_routes_without_get_refuse_head(client: httpx.AsyncClient) -> None:
    answer = await client.head(f"{API}/auth/login")
    assert (answer.status_code, answer.headers["allow"], answer.content) == (405, "POST", b"")
