"""Shows that answers have the statuses and headers of the API description."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI

from backstay.testing import Login
from tests.features.steps import API, AUTH, JWKS, ME, needs, register, sign_in
from tests.web.described import EVERYWHERE, check_told, operations

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]

ITEMS = f"{API}/items"
COOKIE = "Set-Cookie"
COUNTED = {"ratelimit", "ratelimit-policy"} | {
    f"x-ratelimit-{each}" for each in ("limit", "remaining", "reset")
}


@pytest.fixture
def variables() -> dict[str, str]:
    return {"RATE_LIMIT_ENABLED": "true", "CLIENT_CACHE_MAX_AGE": "60"}


class Told:
    """The API description, and a check of answers against it."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._operations = {(m, path): told for m, path, told in operations(schema)}

    def headers(self, method: str, path: str, status: str) -> set[str]:
        return set(self._operations[method, path]["responses"][status]["headers"])

    def __call__(self, answer: httpx.Response, path: str, status: int, *headers: str) -> None:
        """Assert that an answer has this status and, besides rate limit counts, these headers."""
        assert answer.status_code == status, answer.text
        check_told(self._operations[answer.request.method, path], answer)
        sent = set(answer.headers) - EVERYWHERE - COUNTED - {"x-request-id"}
        assert sent == {name.lower() for name in headers}


@pytest.fixture
def told(app: FastAPI) -> Told:
    return Told(app.openapi())


async def test_sign_in_and_sign_out_answers_match_the_description(
    client: httpx.AsyncClient, told: Told
) -> None:
    created = await register(client, "ada@example.org")
    told(created, f"{API}/users", 201, "Location", "ETag")
    in_body = await sign_in(client, "ada@example.org")
    told(in_body, f"{AUTH}/login", 200)
    told(await sign_in(client, "ada@example.org", transport="cookie"), f"{AUTH}/login", 200, COOKIE)
    form = {"username": "ada@example.org", "password": "no password of anybody"}
    told(await client.post(f"{AUTH}/login", data=form), f"{AUTH}/login", 401, "WWW-Authenticate")
    told(await client.post(f"{AUTH}/refresh"), f"{AUTH}/refresh", 200, COOKIE)
    told(await client.post(f"{AUTH}/logout"), f"{AUTH}/logout", 204, COOKIE)
    told(await client.get(ME), ME, 401, "WWW-Authenticate")
    told(await client.get(JWKS), JWKS, 200, "ETag")


@needs("items")
async def test_item_answers_match_the_description(login: Login, told: Told) -> None:
    ada = (await login()).client
    once = {"Idempotency-Key": uuid4().hex}
    created = await ada.post(ITEMS, json={"title": "Sextant"}, headers=once)
    told(created, ITEMS, 201, "Location", "ETag")
    again = await ada.post(ITEMS, json={"title": "Sextant"}, headers=once)
    told(again, ITEMS, 201, "Location", "ETag", "Idempotent-Replayed")
    path, item = created.headers["location"], f"{ITEMS}/{{id}}"
    fresh = await ada.get(path)
    told(fresh, item, 200, "ETag")
    tag = fresh.headers["etag"]
    told(await ada.get(path, headers={"If-None-Match": tag}), item, 304, "ETag")
    changed = await ada.patch(path, json={"title": "Octant"}, headers={"If-Match": tag})
    told(changed, item, 200, "ETag")
    told(await ada.patch(path, json={"title": "x"}, headers={"If-Match": tag}), item, 412)
    wrong = await ada.patch(path, content="x", headers={"Content-Type": "text/plain"})
    told(wrong, item, 415)
    squeezed = await ada.patch(path, content="x", headers={"Content-Encoding": "gzip"})
    told(squeezed, item, 415, "Accept-Encoding")
    told(await ada.get(ITEMS, params={"per_page": 1}), ITEMS, 200, "Link")
    told(await ada.get(ITEMS, params={"limit": 1}), ITEMS, 200)
    told(await ada.get(ITEMS, params={"page": 3, "limit": 1}), ITEMS, 422)
    told(await ada.delete(path), item, 204)
    told(await ada.get(path), item, 404)


async def test_cacheable_answers_match_the_description(login: Login, told: Told) -> None:
    admin = (await login("admin")).client
    path = f"{API}/rbac/permissions"
    answer = await admin.get(path)
    told(answer, path, 200, "Link", "ETag")
    assert answer.headers["cache-control"] == "private, max-age=60"
    known = {"If-None-Match": answer.headers["etag"]}
    told(await admin.get(path, headers=known), path, 304, "Link", "ETag")
    assert "Cache-Control" in told.headers("GET", path, "200")
    assert "Cache-Control" not in told.headers("GET", f"{API}/rbac/roles", "200")


async def test_rate_limit_refusals_match_the_description(
    client: httpx.AsyncClient, told: Told
) -> None:
    answers = [await client.post(f"{AUTH}/refresh") for _ in range(11)]
    told(answers[0], f"{AUTH}/refresh", 401, "WWW-Authenticate")
    told(answers[-1], f"{AUTH}/refresh", 429, "Retry-After")
    assert set(answers[-1].headers) >= COUNTED


async def test_probe_answers_match_the_description(client: httpx.AsyncClient, told: Told) -> None:
    told(await client.get("/livez"), "/livez", 200, "ETag")
    for path in ("/readyz", "/metrics", "/health"):
        told(await client.get(path), path, 200)


@needs("tasks")
async def test_task_answers_match_the_description(login: Login, told: Told) -> None:
    ada = (await login()).client
    started = await ada.post(f"{API}/tasks", json={"task": "demo.count"})
    told(started, f"{API}/tasks", 202, "Location", "ETag")
    task = f"{API}/tasks/{{id}}"
    told(await ada.get(started.headers["location"]), task, 200, "ETag")
    many = [await ada.post(f"{API}/tasks", json={"task": "demo.count"}) for _ in range(20)]
    told(many[-1], f"{API}/tasks", 429, "Retry-After")
