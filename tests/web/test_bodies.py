"""Shows which bodies and queries are refused, with a short answer that repeats no input."""

import httpx
import pytest

from backstay.testing import Login
from tests.features.steps import API, JWKS, ME, needs
from tests.web.problems import fields_of, problem, stream

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("path", [f"{API}/items", f"{API}/users", f"{API}/auth/login", "/nope"])
async def test_a_body_that_says_it_is_too_large_is_refused(login: Login, path: str) -> None:
    person = await login()
    content = b"x" * (2 * 1024 * 1024 + 1)
    problem(await person.client.post(path, content=content, headers=JSON), 413, "too_large")


@needs("items")
@pytest.mark.parametrize("path", [f"{API}/items", f"{API}/users", f"{API}/auth/login"])
async def test_a_body_that_turns_out_too_large_is_refused(login: Login, path: str) -> None:
    person = await login()
    answer = await person.client.post(path, content=stream(2_200_000), headers=JSON)
    problem(answer, 413, "too_large")
    lying = {**JSON, "Content-Length": "5"}
    answer = await person.client.post(path, content=stream(2_200_000), headers=lying)
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


ENCODED = ["gzip", "GZIP", "deflate", "br", "zstd", "identity, gzip", "x", "gzip, identity"]


@needs("items")
@pytest.mark.parametrize("encoding", ENCODED)
async def test_a_body_in_another_encoding_is_refused(login: Login, encoding: str) -> None:
    person = await login()
    headers = {**JSON, "Content-Encoding": encoding}
    for method, path in (
        *(("POST", f"{API}/items"), ("PATCH", ME), ("POST", f"{API}/users")),
        *(("POST", f"{API}/auth/login"), ("POST", f"{API}/auth/refresh")),
        *(("POST", f"{API}/auth/logout"), ("POST", f"{API}/items/1/restore")),
    ):
        answer = await person.client.request(method, path, content=b"{}", headers=headers)
        problem(answer, 415, "unsupported_media_type")
        assert answer.headers["accept-encoding"] == "identity"


@needs("items")
async def test_content_encoding_is_ignored_without_body_or_as_identity(login: Login) -> None:
    person = await login()
    headers = {**JSON, "Content-Encoding": "gzip"}
    assert (await person.client.get(ME, headers=headers)).status_code == 200
    for encoding in ("identity", "Identity", "", "identity, identity"):
        answer = await person.client.post(
            f"{API}/items",
            content=b'{"title": "x"}',
            headers={**JSON, "Content-Encoding": encoding},
        )
        assert answer.status_code == 201, encoding


async def test_strangers_get_401_whatever_the_encoding(client: httpx.AsyncClient) -> None:
    headers = {**JSON, "Content-Encoding": "gzip"}
    problem(await client.patch(ME, content=b"{}", headers=headers), 401)


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
    "content", [b"{", b"", b"\xff\xfe", b"[" * 16_000, b'{"title": ' + b"9" * 5000 + b"}", b"nul"]
)
async def test_a_body_that_cannot_be_read_is_refused(login: Login, content: bytes) -> None:
    person = await login()
    for path in (f"{API}/items", f"{API}/users", f"{API}/auth/refresh"):
        answer = await person.client.post(path, content=content, headers=JSON)
        assert answer.status_code in {400, 401, 422}, answer.text
        problem(answer, answer.status_code)


async def test_text_with_nul_is_refused_under_its_field_name(login: Login) -> None:
    client = (await login("admin")).client
    answers = {
        "name": await client.patch(ME, json={"name": "a\0"}),
        "username": await client.get(f"{API}/users/by-username/%00"),
        "email": await client.get(f"{API}/users", params={"email__in": "a@b.cc,\0"}),
    }
    for name, answer in answers.items():
        assert list(fields_of(problem(answer, 422))) == [name], answer.text


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
async def test_a_body_on_a_route_without_one_is_refused(
    login: Login, method: str, path: str
) -> None:
    person = await login()
    for content in ({"content": b'{"hush": 1}'}, {"content": stream(1)}):
        body = problem(await person.client.request(method, path, **content), 422)
        assert body["detail"] == "This route takes no body."
        assert "hush" not in str(body)


async def test_an_empty_body_counts_as_none(login: Login) -> None:
    person = await login()
    headers = {"Content-Length": "0", "Content-Type": "application/json"}
    assert (await person.client.get(f"{API}/users/me", headers=headers)).status_code == 200
    answer = await person.client.request("GET", f"{API}/users/me", content=stream(0))
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
    body = {f"n{number}": 1 for number in range(1_500)}
    refused = problem(await client.post(f"{API}{path}", json=body), 422, "validation_error")
    assert refused["detail"] == f"{1_500 + required} fields are not valid."
    assert len(refused["errors"]) == 20
    body = {f"n{number}": 1 for number in range(20_000)}
    problem(await client.post(f"{API}{path}", json=body), 413, "too_large")
