"""Shows that every error is a problem (RFC 9457), whatever raised it, without internals."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import APIRouter, HTTPException
from pydantic import BaseModel

from backstay.application import create_app
from backstay.core.errors import DatabaseUnavailable
from backstay.settings import Settings
from backstay.testing import client_of
from tests.features.steps import API, JWKS, needs
from tests.web.problems import MEMBERS, fields_of, problem, stream

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]

JSON = {"Content-Type": "application/json"}
router = APIRouter(prefix="/planted")


class Parcel(BaseModel):
    weight: int


@router.get("/bug")
async def bug() -> None:
    secret = "hush"
    raise ZeroDivisionError(secret)


@router.get("/blocking-bug")
def blocking_bug() -> None:
    raise KeyError("hush")


@router.get("/teapot")
async def teapot() -> None:
    raise HTTPException(418, "hush", headers={"X-Tea": "green"})


@router.get("/group")
async def group() -> None:
    raise ExceptionGroup("hush", [ValueError("hush")])


@router.post("/parcels")
async def send(parcel: Parcel) -> int:
    return parcel.weight


@router.post("/lost-parcels")
async def lose(parcel: Parcel) -> int:
    return parcel.weight // 0


@router.get("/unavailable")
async def unavailable() -> None:
    raise DatabaseUnavailable


@router.get("/numbers/{number:int}")
async def number(number: int) -> int:
    return number


@router.get("/wrong-answer")
async def wrong_answer() -> int:
    return "hush"  # type: ignore[return-value]


@pytest.fixture
async def planted(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application with routes that fail."""
    app = create_app(settings, routers=[router])
    async with app.router.lifespan_context(app), client_of(app) as client:
        yield client


BUGS = pytest.mark.parametrize("path", ["bug", "blocking-bug", "group", "wrong-answer"])


@BUGS
async def test_a_bug_is_an_internal_error_without_details(
    planted: httpx.AsyncClient, path: str
) -> None:
    answer = await planted.get(f"/planted/{path}")
    body = problem(answer, 500, "internal_error")
    assert "hush" not in answer.text
    assert body["instance"] == f"/planted/{path}"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (await planted.get(JWKS)).status_code == 200


class TestDebug:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {"APP_DEBUG": "true"}

    @BUGS
    async def test_in_debug_mode_a_bug_shows_its_traceback(
        self, planted: httpx.AsyncClient, path: str
    ) -> None:
        answer = await planted.get(f"/planted/{path}")
        assert answer.status_code == 500
        body = answer.json()
        assert set(body) == MEMBERS | {"debug"}
        assert "Traceback (most recent call last)" in body["debug"]
        assert "hush" in body["debug"]

    async def test_the_traceback_is_without_the_body(self, planted: httpx.AsyncClient) -> None:
        answer = await planted.post("/planted/lost-parcels", json={"weight": 424242})
        assert "ZeroDivisionError" in answer.json()["debug"]
        assert "424242" not in answer.text

    async def test_a_refusal_tells_no_traceback(self, planted: httpx.AsyncClient) -> None:
        problem(await planted.get("/planted/teapot"), 418)
        problem(await planted.get("/planted/unavailable"), 503)
        problem(await planted.post("/planted/parcels", json={}), 422)


async def test_an_error_of_the_framework_is_a_problem(planted: httpx.AsyncClient) -> None:
    answer = await planted.get("/planted/teapot")
    problem(answer, 418, "http_error")
    assert answer.headers["x-tea"] == "green"


async def test_a_path_with_a_converter_takes_what_it_converts(planted: httpx.AsyncClient) -> None:
    assert (await planted.get("/planted/numbers/7")).json() == 7
    problem(await planted.get("/planted/numbers/seven"), 404, "not_found")


async def test_a_body_that_is_not_json_is_one_error(planted: httpx.AsyncClient) -> None:
    answer = await planted.post("/planted/parcels", content="{", headers=JSON)
    assert fields_of(problem(answer, 422)) == {"body": "json_invalid"}


async def test_routes_of_others_get_the_same_errors(planted: httpx.AsyncClient) -> None:
    assert (await planted.post("/planted/parcels", json={"weight": 5})).json() == 5
    body = problem(await planted.post("/planted/parcels", json={"weight": "hush"}), 422)
    assert fields_of(body) == {"weight": "int_parsing"}
    answer = await planted.delete("/planted/parcels")
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"
    too_large = await planted.post("/planted/parcels", content=stream(3_000_000), headers=JSON)
    problem(too_large, 413, "too_large")


@pytest.mark.parametrize(
    "path",
    [
        "/index.html",
        "/nope",
        "/api",
        f"{API}/nope",
        f"{API}/items/x/y",
        "/%00",
        "/a\\b",
        "/docs/x/y",
    ],
)
async def test_an_unknown_path_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    problem(await client.get(path), 404, "not_found")


@pytest.mark.parametrize(
    "path", ["/livez/", f"{API}/items/", f"{API}/users/me/", f"{API}/auth/login/", "//livez"]
)
async def test_similar_paths_are_not_redirected(client: httpx.AsyncClient, path: str) -> None:
    for method in ("GET", "POST"):
        answer = await client.request(method, f"http://testserver{path}")
        problem(answer, 404, "not_found")
        assert "location" not in answer.headers


@needs("items")
@needs("system")
@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", f"{API}/items", {"GET", "HEAD", "POST"}),
        (
            "POST",
            f"{API}/items/01a1fdc6-0000-7000-8000-000000000000",
            {"GET", "HEAD", "PUT", "PATCH", "DELETE"},
        ),
        ("PUT", f"{API}/users/me", {"GET", "HEAD", "PATCH", "DELETE"}),
        ("GET", f"{API}/auth/login", {"POST"}),
        ("POST", "/livez", {"GET", "HEAD"}),
        ("TRACE", f"{API}/items", {"GET", "HEAD", "POST"}),
        ("BREW", f"{API}/items", {"GET", "HEAD", "POST"}),
        ("OPTIONS", f"{API}/items", {"GET", "HEAD", "POST"}),
    ],
)
async def test_a_wrong_method_is_answered_with_the_allowed_ones(
    client: httpx.AsyncClient, method: str, path: str, allowed: set[str]
) -> None:
    answer = await client.request(method, path)
    problem(answer, 405, "method_not_allowed")
    assert set(answer.headers["allow"].split(", ")) == allowed
