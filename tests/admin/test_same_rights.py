"""Shows that the console allows each role exactly what the API allows it, message by message."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from fastapi import FastAPI

from backstay.admin.catalog import Catalog
from backstay.admin.forms import PATH, inputs_of, read
from backstay.admin.operations import Operation
from backstay.composition import Backstay
from backstay.core.permissions import Scope
from backstay.core.principal import Principal
from backstay.testing import Login, Person
from backstay.web.dispatch import Route
from tests.admin.visiting import Visitor
from tests.features.granting import grant

pytestmark = pytest.mark.anyio

NOBODY = "01890a5d-ac96-774b-bcce-b302099a8057"
PREFIX = "/api/v1"
ROLES: dict[str, tuple[tuple[str, Scope], ...]] = {
    "admin": (),
    "user": (),
    "reader": (
        ("users:list", Scope.ANY),
        ("users:read", Scope.ANY),
        ("audit:list", Scope.ANY),
        ("roles:list", Scope.ANY),
        ("roles:read", Scope.ANY),
        ("permissions:list", Scope.ANY),
        ("tiers:list", Scope.ANY),
    ),
    "writer": (
        ("users:update", Scope.ANY),
        ("users:block", Scope.ANY),
        ("items:delete", Scope.ANY),
        ("roles:create", Scope.ANY),
        ("tiers:update", Scope.ANY),
        ("sessions:end", Scope.ANY),
    ),
    "owner": (("users:read", Scope.OWN), ("sessions:list", Scope.OWN), ("audit:list", Scope.OWN)),
}


def catalog_of(app: FastAPI) -> Catalog:
    return Catalog.of((r for r in app.routes if isinstance(r, Route)), PREFIX)


@pytest.fixture
async def person(request: pytest.FixtureRequest, login: Login, backstay: Backstay) -> Person:
    role: str = request.param
    found = await login("admin" if role == "admin" else "user")
    for permission, scope in ROLES[role]:
        await grant(backstay, found.id, permission, scope)
    return found


@pytest.fixture
async def visitor(app: FastAPI, person: Person) -> Any:
    opened = Visitor(app)
    assert (await opened.sign_in(person.email)).status_code == 303
    yield opened
    await opened.client.aclose()


def paths_of(operation: Operation, person: Person) -> Iterator[dict[str, str]]:
    """The same request about nobody, and about oneself."""
    for value in (NOBODY, person.id) if operation.parameters else (NOBODY,):
        yield dict.fromkeys(operation.parameters, value)


@pytest.mark.parametrize("person", ROLES, indirect=True)
async def test_what_can_be_read_is_what_the_api_shows(
    app: FastAPI, person: Person, visitor: Visitor
) -> None:
    seen = set()
    for operation in catalog_of(app).reads.values():
        for path in paths_of(operation, person):
            target, needed = operation.filled(path), dict.fromkeys(operation.required, NOBODY)
            api = await person.client.get(PREFIX + target, params=needed)
            console = await visitor.get(f"/data{target}", params=needed)
            assert (console.status_code, operation.id) == (api.status_code, operation.id)
            seen.add(api.status_code)
    assert 200 in seen
    assert person.email == "admin@example.com" or 403 in seen


@pytest.mark.parametrize("person", ROLES, indirect=True)
async def test_lists_are_exported_and_searched_with_the_same_rights(
    app: FastAPI, person: Person, visitor: Visitor
) -> None:
    lists = [each for each in catalog_of(app).reads.values() if each.is_list]
    for operation in lists:
        for path in paths_of(operation, person):
            api = await person.client.get(PREFIX + operation.filled(path), params={"limit": 5})
            for kind in ("csv", "jsonl"):
                query = urlencode({**path, "as": kind})
                exported = await visitor.get(f"/export/{operation.id}?{query}")
                assert exported.status_code == api.status_code, operation.id
            if not operation.parameters:
                picked = await visitor.get(f"/pick/{operation.id}?q=x")
                assert (picked.status_code == 403) == (api.status_code == 403), operation.id
    assert lists


ENDS_THE_SESSION = {"delete_me", "end_sessions", "end_sessions_of_user", "update_me"}
"""After these one of the two would be signed out."""


@pytest.mark.parametrize("person", ROLES, indirect=True)
async def test_what_can_be_done_is_what_the_api_does(
    app: FastAPI, person: Person, visitor: Visitor
) -> None:
    token, seen = await visitor.token(), set()
    for act in catalog_of(app).acts.values():
        if act.id in ENDS_THE_SESSION:
            continue
        path = dict.fromkeys(act.parameters, NOBODY)
        form = {"csrf": token} | {PATH + name: value for name, value in path.items()}
        filled = read(act, inputs_of(act, Principal(is_superuser=True)), form)
        api = await person.client.request(
            act.method,
            PREFIX + act.filled(path),
            params=dict(filled.query),
            json=filled.body if act.route.parameters.has_body else None,
        )
        console = await visitor.client.post(f"/admin/form/{act.id}", data=form)
        expected = {200, 303} if api.is_success else {api.status_code}
        assert console.status_code in expected, act.id
        seen.add(api.status_code)
    assert seen & {422, 404, 204}


@pytest.mark.parametrize("person", ROLES, indirect=True)
async def test_what_can_be_done_with_many_rows_is_the_same(
    app: FastAPI, person: Person, visitor: Visitor
) -> None:
    token, seen = await visitor.token(), set()
    for act in catalog_of(app).acts.values():
        if len(act.parameters) != 1 or act.id in ENDS_THE_SESSION:
            continue
        body = {"operation": act.id, "ids": [NOBODY]}
        api = await person.client.post(f"{PREFIX}/system/bulk", json=body)
        form = {"csrf": token, "operation": act.id, "row": NOBODY}
        console = await visitor.client.post("/admin/bulk", data=form)
        expected = 303 if api.status_code == 202 else api.status_code
        assert (console.status_code, act.id) == (expected, act.id)
        one = await person.client.request(
            act.method, PREFIX + act.filled({act.parameters[0]: NOBODY})
        )
        if api.status_code == 202:
            assert one.status_code != 403, act.id
        seen.add(api.status_code)
    assert 202 in seen


@pytest.mark.parametrize("person", ROLES, indirect=True)
async def test_what_is_offered_may_be_asked_for(
    app: FastAPI, person: Person, visitor: Visitor
) -> None:
    """Every link of the navigation can be followed; what is left out there is refused."""
    home = (await visitor.get("")).text
    sections = catalog_of(app).sections
    for section in sections:
        answer = await visitor.get(section.href)
        assert (answer.status_code == 200) == (f'href="/admin{section.href}"' in home)
    assert sections
