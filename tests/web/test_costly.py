"""Shows that refusing a large request is cheap, and that the answer is short."""

from typing import Any

import pytest
from fastapi import FastAPI

from backstay.limits.classes import GENERAL, SHORT_BODY_BYTES
from backstay.testing import Login
from backstay.web.dispatch import Route
from backstay.web.request import QUERY_PARAMETERS, URI_BYTES
from tests.architecture.edge import routes_of
from tests.features.steps import API, AUTH, JWKS, ME, needs
from tests.web.problems import fields_of, problem, stream

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]

TASKS = f"{API}/tasks"


def auth_routes(app: FastAPI) -> list[Route]:
    """The routes of authentication."""
    routes = [context.original_route for context in routes_of(app)]
    ours = [route for route in routes if isinstance(route, Route)]
    return [r for r in ours if r.spec.limit not in {GENERAL, None} and r.spec.method == "POST"]


async def test_auth_routes_take_short_bodies_only(app: FastAPI, login: Login) -> None:
    person, paths = await login(), set()
    for route in auth_routes(app):
        for media_type in route.spec.media_types:
            headers, path = {"Content-Type": media_type}, route.path_format
            announced = b" " * (SHORT_BODY_BYTES + 1)
            for content in (announced, stream(SHORT_BODY_BYTES + 1)):
                answer = await person.client.post(path, content=content, headers=headers)
                body = problem(answer, 413, "too_large")
                assert body["detail"] == f"The body may have {SHORT_BODY_BYTES} bytes."
            if route.parameters.has_body:
                answer = await person.client.post(path, content=announced[:-1], headers=headers)
                assert answer.status_code in {401, 422, 400, 204}, (path, answer.text)
            paths.add(path)
    assert paths >= {f"{API}/users", f"{AUTH}/login", f"{AUTH}/refresh", f"{AUTH}/logout"}
    assert f"{AUTH}/password/change" in paths


async def test_other_routes_take_what_the_server_takes(login: Login) -> None:
    person, padding = await login(), b" " * SHORT_BODY_BYTES
    for content in (b'{"name": "Ada"}' + padding, stream(SHORT_BODY_BYTES)):
        answer = await person.client.patch(
            ME, content=content, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code in {200, 422}


class TestWhereTheServerTakesLess:
    @pytest.fixture
    def variables(self) -> dict[str, str]:
        return {"SERVER_MAX_BODY_BYTES": "500"}

    async def test_a_smaller_server_limit_holds_for_auth_routes_too(self, login: Login) -> None:
        client = (await login()).client
        for content in (b" " * 501, stream(501)):
            body = problem(await client.post(f"{AUTH}/refresh", content=content), 413)
            assert body["detail"] == "The body may have 500 bytes."


async def test_a_body_full_of_unknown_names_is_not_validated(login: Login) -> None:
    person = await login()
    for count, told in (
        (5_000, "5000 fields are not valid."),
        (5_001, "The body may hold 10000 values and names."),
        (150_000, "The body may hold 10000 values and names."),
    ):
        answer = await person.client.patch(ME, json={f"n{n}": 1 for n in range(count)})
        body = problem(answer, 422, "validation_error")
        assert body["detail"] == told
        assert len(body["errors"]) == (20 if count == 5_000 else 0)
        assert len(answer.content) < 5_000


@needs("tasks")
@pytest.mark.parametrize(
    "payload",
    [{f"n{n}": 1 for n in range(600)}, {"steps": [0] * 1000}, {"steps": [[0, 1]] * 500}],
)
async def test_a_task_body_is_limited_in_values(login: Login, payload: dict[str, Any]) -> None:
    body = {"task": "demo.count", "payload": payload}
    refused = problem(await (await login()).client.post(TASKS, json=body), 422)
    assert refused["detail"] == "The body may hold 1000 values and names."


@needs("tasks")
async def test_a_task_body_is_limited_in_bytes(login: Login) -> None:
    client = (await login()).client
    headers = {"Content-Type": "application/json"}
    body = b'{"task": "demo.count", "payload": {"seconds": 0}}'
    for content in (body.ljust(65_537), stream(65_537)):
        problem(await client.post(TASKS, content=content, headers=headers), 413, "too_large")
    answer = await client.post(TASKS, content=body.ljust(65_536), headers=headers)
    assert answer.status_code == 202


@needs("tasks")
@pytest.mark.parametrize(("depth", "code"), [(19, "int_type"), (20, "too_deep"), (150, "too_deep")])
async def test_a_task_body_is_limited_in_depth(login: Login, depth: int, code: str) -> None:
    nested: Any = []
    for _ in range(depth - 1):
        nested = [nested]
    body = {"task": "demo.count", "payload": {"steps": nested}}
    refused = problem(await (await login()).client.post(TASKS, json=body), 422)
    field = "payload" if code == "too_deep" else "payload.steps"
    assert fields_of(refused) == {field: code}


@pytest.mark.parametrize("path", [JWKS, f"{API}/users", "/reset-password", "/nowhere"])
async def test_a_uri_that_is_too_long_is_refused(login: Login, path: str) -> None:
    client = (await login("admin")).client
    room = URI_BYTES - len(path)
    fitting = await client.get(f"{path}?{'x' * room}")
    assert fitting.status_code in {404, 422, 400}, fitting.text
    problem(await client.get(f"{path}?{'x' * (room + 1)}"), 414, "uri_too_long")
    problem(await client.get(f"{path}{'/x' * (room // 2 + 1)}"), 414, "uri_too_long")


@pytest.mark.parametrize("path", [JWKS, f"{API}/users", "/reset-password", "/nowhere"])
async def test_a_query_of_too_many_parameters_is_refused(login: Login, path: str) -> None:
    client = (await login("admin")).client
    many = "&".join(f"n{number}" for number in range(QUERY_PARAMETERS + 1))
    body = problem(await client.get(f"{path}?{many}"), 422, "validation_error")
    assert body["detail"] == f"The query may have {QUERY_PARAMETERS} parameters."
    fewer = await client.get(f"{path}?{many.rpartition('&')[0]}")
    assert f"may have {QUERY_PARAMETERS}" not in fewer.text


async def test_a_filter_of_a_hundred_addresses_fits_in(login: Login) -> None:
    client = (await login("admin")).client
    some = ",".join(f"{'a' * 60}{number}@{'b' * 60}.{'c' * 60}.org" for number in range(100))
    answer = await client.get(f"{API}/users", params={"email__in": some})
    assert (answer.status_code, answer.json()["items"]) == (200, [])
    answer = await client.get(f"{API}/users", params={"email__in": f"{some},x"})
    assert fields_of(problem(answer, 422)) == {"email__in": "too_long"}
