"""Shows that every error is a problem, whoever found it, and that none gives anything away."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import APIRouter, HTTPException
from pydantic import BaseModel

from backstay.core.errors import DatabaseUnavailable
from backstay.main import create_app
from backstay.settings import Settings
from tests.conftest import Login, client_of
from tests.features.steps import API, JWKS, needs
from tests.web.problems import MEMBERS, fields_of, problem

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
    async def test_a_bug_tells_its_traceback(self, planted: httpx.AsyncClient, path: str) -> None:
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


async def test_routes_of_others_get_the_same_errors(planted: httpx.AsyncClient) -> None:
    assert (await planted.post("/planted/parcels", json={"weight": 5})).json() == 5
    body = problem(await planted.post("/planted/parcels", json={"weight": "hush"}), 422)
    assert fields_of(body) == {"weight": "int_parsing"}
    answer = await planted.delete("/planted/parcels")
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"
    too_large = await planted.post("/planted/parcels", content=_stream(3_000_000), headers=JSON)
    problem(too_large, 413, "too_large")


@pytest.mark.parametrize(
    "path", ["/", "/nope", "/api", f"{API}/nope", f"{API}/items/x/y", "/%00", "/a\\b", "/docs/x/y"]
)
async def test_where_nothing_is_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    problem(await client.get(path), 404, "not_found")


@pytest.mark.parametrize(
    "path", ["/livez/", f"{API}/items/", f"{API}/users/me/", f"{API}/auth/login/", "//livez"]
)
async def test_no_path_has_another_form(client: httpx.AsyncClient, path: str) -> None:
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
async def test_another_method_is_told_the_right_ones(
    client: httpx.AsyncClient, method: str, path: str, allowed: set[str]
) -> None:
    answer = await client.request(method, path)
    problem(answer, 405, "method_not_allowed")
    assert set(answer.headers["allow"].split(", ")) == allowed


async def _stream(size: int) -> AsyncIterator[bytes]:
    for _ in range(0, size, 65536):
        yield b"x" * 65536


@pytest.mark.parametrize("path", [f"{API}/items", f"{API}/users", f"{API}/auth/login", "/nope"])
async def test_a_body_that_says_it_is_too_large_is_refused(login: Login, path: str) -> None:
    person = await login()
    content = b"x" * (2 * 1024 * 1024 + 1)
    problem(await person.client.post(path, content=content, headers=JSON), 413, "too_large")


@needs("items")
@pytest.mark.parametrize("path", [f"{API}/items", f"{API}/users", f"{API}/auth/login"])
async def test_a_body_that_turns_out_too_large_is_refused(login: Login, path: str) -> None:
    person = await login()
    answer = await person.client.post(path, content=_stream(2_200_000), headers=JSON)
    problem(answer, 413, "too_large")
    lying = {**JSON, "Content-Length": "5"}
    answer = await person.client.post(path, content=_stream(2_200_000), headers=lying)
    problem(answer, 413, "too_large")


class TestSmallBodies:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {"SERVER_MAX_BODY_BYTES": "200"}

    @needs("items")
    async def test_the_largest_body_is_a_setting(self, login: Login) -> None:
        person = await login()
        for size, status in ((200, 201), (201, 413)):
            content = b'{"title": "x"}'.ljust(size)
            answer = await person.client.post(f"{API}/items", content=content, headers=JSON)
            assert answer.status_code == status


@needs("items")
@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/xml", "application/x-www-form-urlencoded", "json"]
)
async def test_a_body_of_another_type_is_refused(login: Login, media_type: str) -> None:
    person = await login()
    for method, path in (("POST", f"{API}/items"), ("PATCH", f"{API}/users/me")):
        headers = {"Content-Type": media_type}
        answer = await person.client.request(method, path, content=b"{}", headers=headers)
        problem(answer, 415, "unsupported_media_type")


@needs("items")
async def test_parameters_of_the_media_type_do_not_matter(login: Login) -> None:
    person = await login()
    for media_type in ("application/json; charset=utf-8", "Application/JSON"):
        answer = await person.client.post(
            f"{API}/items", content=b'{"title": "x"}', headers={"Content-Type": media_type}
        )
        assert answer.status_code == 201


@needs("items")
@pytest.mark.parametrize(
    "content", [b"{", b"", b"\xff\xfe", b"[" * 50_000, b'{"title": ' + b"9" * 5000 + b"}", b"nul"]
)
async def test_a_body_that_cannot_be_read_is_refused(login: Login, content: bytes) -> None:
    person = await login()
    for path in (f"{API}/items", f"{API}/users", f"{API}/auth/refresh"):
        answer = await person.client.post(path, content=content, headers=JSON)
        assert answer.status_code in {400, 401, 422}, answer.text
        problem(answer, answer.status_code)


@needs("items")
@needs("system")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{API}/users/me"),
        ("POST", f"{API}/items"),
        ("POST", f"{API}/auth/logout"),
        ("POST", f"{API}/auth/password/change"),
        ("GET", f"{API}/auth/sessions"),
        ("GET", "/livez"),
        ("GET", f"{API}/system/ping"),
        ("GET", JWKS),
    ],
)
async def test_an_unknown_query_parameter_is_refused(login: Login, method: str, path: str) -> None:
    person = await login()
    answer = await person.client.request(method, f"{path}?verbose=hush&x=1")
    body = problem(answer, 422, "validation_error")
    assert fields_of(body) == {"verbose": "extra_forbidden", "x": "extra_forbidden"}
    assert "hush" not in answer.text


@needs("items")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{API}/users/me"),
        ("POST", f"{API}/items/01a1fdc6-0000-7000-8000-000000000000/restore"),
        ("DELETE", f"{API}/auth/sessions"),
        ("GET", JWKS),
    ],
)
async def test_a_body_where_none_belongs_is_refused(login: Login, method: str, path: str) -> None:
    person = await login()
    for content in ({"content": b'{"hush": 1}'}, {"content": _stream(1)}):
        body = problem(await person.client.request(method, path, **content), 422)
        assert body["detail"] == "This route takes no body."
        assert "hush" not in str(body)


async def test_an_empty_body_is_none(login: Login) -> None:
    person = await login()
    headers = {"Content-Length": "0", "Content-Type": "application/json"}
    assert (await person.client.get(f"{API}/users/me", headers=headers)).status_code == 200
    answer = await person.client.request("GET", f"{API}/users/me", content=_stream(0))
    assert answer.status_code == 200


NAMES = "&".join(f"n{number}" for number in range(5000))


@pytest.mark.parametrize(("method", "path"), [("GET", "/items"), ("POST", "/auth/login")])
async def test_a_request_full_of_faults_gets_a_short_answer(
    login: Login, method: str, path: str
) -> None:
    person = await login()
    answer = await person.client.request(method, f"{API}{path}?{NAMES}")
    refused = problem(answer, 422, "validation_error")
    assert len(refused["errors"]) <= 20


@pytest.mark.parametrize(
    ("path", "required"),
    [("/users", 2), ("/auth/login", 1), ("/auth/refresh", 0), ("/auth/logout", 0)],
)
async def test_a_body_full_of_faults_gets_a_short_answer(
    client: httpx.AsyncClient, path: str, required: int
) -> None:
    body = {f"n{number}": 1 for number in range(20_000)}
    refused = problem(await client.post(f"{API}{path}", json=body), 422, "validation_error")
    told = f"{20_000 + required} fields are not valid."
    assert (refused["detail"], refused["errors"]) == (told, [])
