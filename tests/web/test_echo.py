"""Shows that a refusal never repeats submitted values."""

import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.testing import Login, Person
from tests.examples import examples
from tests.features.steps import API
from tests.web.problems import problem

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"])]

MARK = "zqxj"
"""A part of every submitted value, which is in no text of the application."""

ID = "01a1fdc6-0000-7000-8000-000000000000"
BODIES: list[tuple[str, str, list[str]]] = [
    ("POST", f"{API}/users", ["email", "password", "username", "name", "is_superuser"]),
    ("PATCH", f"{API}/users/me", ["name", "username", "email", "current_password", "id"]),
    ("DELETE", f"{API}/users/me", ["current_password", "hard"]),
    ("POST", f"{API}/auth/login", ["email", "username", "login", "password", "fingerprint"]),
    ("POST", f"{API}/auth/login", ["login", "password", "transport", "role"]),
    ("POST", f"{API}/auth/refresh", ["refresh_token", "fingerprint", "token"]),
    ("POST", f"{API}/auth/logout", ["refresh_token", "fingerprint", "token"]),
    ("POST", f"{API}/auth/password/change", ["current_password", "new_password", "user"]),
    ("POST", f"{API}/items", ["title", "description", "owner_id"]),
    ("PUT", f"{API}/items/{ID}", ["title", "description", "version"]),
    ("PATCH", f"{API}/items/{ID}", ["title", "description", "deleted_at"]),
]
QUERIES = [
    (
        f"{API}/items",
        ["owner_id", "owner_id__in", "created_at", "created_at__gte", "title__isnull"],
    ),
    (f"{API}/items", ["page", "per_page", "limit", "cursor", "sort", "q", "total", "version"]),
    (f"{API}/users", ["email__contains", "is_blocked", "created_at__lte", "sort", "password"]),
    (f"{API}/auth/sessions", ["all", "user_id"]),
    (f"{API}/items/{ID}", ["hard", "fields"]),
]

MOST = max(len(fields) for *_, fields in [*BODIES, *QUERIES])

tails = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
texts = st.one_of(
    tails.map(lambda tail: MARK + tail),
    tails.map(lambda tail: f"{tail}{MARK}"),
    st.sampled_from(
        [
            f"{MARK}@",
            f"{MARK}@{MARK}",
            f"a@{MARK}..org",
            f"<{MARK}>",
            f"01a1fdc6-{MARK}",
            f"2020-01-01T{MARK}",
            f"1{MARK}",
            f"true{MARK}",
            MARK * 3000,
            f"{MARK}\0",
            f"{MARK}\ud800",
        ]
    ),
)
values = st.one_of(
    texts,
    st.lists(texts, min_size=1, max_size=2),
    st.dictionaries(st.sampled_from(["a", "email"]), texts, min_size=1, max_size=2),
)


@pytest.fixture
async def person(login: Login) -> Person:
    return await login("admin")


def assert_silent(answer: httpx.Response) -> None:
    """Assert that nothing but the path in the answer repeats the mark."""
    assert answer.status_code in {400, 401, 403, 404, 409, 422}, answer.text
    problem(answer, answer.status_code)
    assert MARK not in answer.text.lower()
    assert MARK not in str(answer.headers).lower()


@pytest.mark.parametrize(("method", "path", "fields"), BODIES)
@examples(15)
@given(submitted=st.lists(values, min_size=MOST, max_size=MOST))
async def test_a_body_is_never_repeated(
    person: Person, method: str, path: str, fields: list[str], submitted: list[Any]
) -> None:
    body = dict(zip(fields, submitted, strict=False))
    content = json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    assert_silent(await person.client.request(method, path, content=content, headers=headers))


@pytest.mark.parametrize(("path", "fields"), QUERIES)
@examples(15)
@given(submitted=st.lists(texts, min_size=MOST, max_size=MOST))
async def test_a_query_is_never_repeated(
    person: Person, path: str, fields: list[str], submitted: list[str]
) -> None:
    params = dict(zip(fields, (text.replace("\ud800", "") for text in submitted), strict=False))
    answer = await person.client.get(path, params={**params, "unknown": MARK})
    assert_silent(answer)


@pytest.mark.parametrize("body", [f'{{"title": "{MARK}', f"{MARK}", f'"{MARK}"', f'["{MARK}"]'])
@pytest.mark.parametrize("path", [f"{API}/items", f"{API}/auth/login", f"{API}/users"])
async def test_a_body_of_no_shape_is_never_repeated(person: Person, path: str, body: str) -> None:
    headers = {"Content-Type": "application/json"}
    assert_silent(await person.client.post(path, content=body.encode(), headers=headers))


async def test_a_form_is_never_repeated(client: httpx.AsyncClient) -> None:
    forms: list[dict[str, Any]] = [
        {"username": MARK, "password": MARK},
        {"username": MARK, "password": MARK * 100},
        {"username": MARK, "password": MARK, "grant_type": MARK},
        {"username": MARK, "password": MARK, "transport": MARK},
        {"password": MARK, "role": MARK},
    ]
    for form in forms:
        assert_silent(await client.post(f"{API}/auth/login", data=form))


async def test_a_taken_name_is_never_repeated(client: httpx.AsyncClient) -> None:
    body = {"email": f"{MARK}@example.org", "password": "correct horse", "username": MARK}
    assert (await client.post(f"{API}/users", json=body)).status_code == 201
    assert_silent(await client.post(f"{API}/users", json=body))
    assert_silent(await client.post(f"{API}/users", json={**body, "email": "a@example.org"}))


async def test_a_refusal_lists_only_so_many_faults(person: Person) -> None:
    body = {f"unknown{number}": 1 for number in range(5000)}
    answer = await person.client.patch(f"{API}/users/me", json=body)
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) == 20
    assert answer.json()["detail"] == "5000 fields are not valid."
