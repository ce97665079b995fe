"""Shows that a list refuses parameters and values that it did not declare."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backstay.testing import Login, Person
from tests.examples import examples
from tests.features.items.conftest import ITEMS, Make
from tests.web.problems import fields_of, problem

pytestmark = pytest.mark.anyio


ANNOUNCED_NOWHERE = [
    ("version=1", "version"),
    ("deleted_at__isnull=false", "deleted_at__isnull"),
    ("is_deleted=true", "is_deleted"),
    ("title__like=a", "title__like"),
    ("title__gte=a", "title__gte"),
    ("title__regex=(a+)+", "title__regex"),
    ("owner_id__contains=a", "owner_id__contains"),
    ("owner__email=a", "owner__email"),
    ("created_at__contains=2", "created_at__contains"),
    ("offset=5", "offset"),
    ("PAGE=2", "PAGE"),
    ("sort=version", "sort"),
    ("sort=owner_id", "sort"),
    ("sort=title,title", "sort"),
    ("sort=title,-title", "sort"),
    ("sort=--title", "sort"),
    ("sort=title;drop", "sort"),
    ("sort=a,b,c,d,e,f", "sort"),
    ("page=0", "page"),
    ("page=-1", "page"),
    ("page=1.5", "page"),
    ("page=x", "page"),
    ("page=", "page"),
    ("page=99999999999999999999999", "page"),
    ("per_page=0", "per_page"),
    ("per_page=1001", "per_page"),
    ("limit=0", "limit"),
    ("limit=1001", "limit"),
    ("limit=9999999999999999999999", "limit"),
    ("total=perhaps", "total"),
    ("q=", "q"),
    ("q=" + "x" * 201, "q"),
    ("title__contains=" + "x" * 201, "title__contains"),
    ("title__in=" + ",".join("x" * 101), "title__in"),
    ("title__isnull=7", "title__isnull"),
    ("owner_id=x", "owner_id"),
    ("owner_id__in=x", "owner_id__in.0"),
    ("created_at=yesterday", "created_at"),
    ("created_at__gte=2020-13-01T00:00:00Z", "created_at__gte"),
    ("created_at__gte=2020-01-01T00:00:00", "created_at__gte"),
    ("created_at__gte=0001-01-01T00:00:00%2B01:00", "created_at__gte"),
    ("created_at__lte=9999-12-31T23:59:59-01:00", "created_at__lte"),
    ("created_at__gte=1e400", "created_at__gte"),
    ("created_at__gte=", "created_at__gte"),
    ("cursor=", "cursor"),
    ("cursor=x", "cursor"),
    ("cursor=" + "x" * 2001, "cursor"),
]


async def test_undeclared_parameters_are_refused(login: Login) -> None:
    person = await login("admin")
    for query, field in ANNOUNCED_NOWHERE:
        body = problem(await person.client.get(f"{ITEMS}?{query}"), 422, "validation_error")
        assert set(fields_of(body)) == {field}, query


async def test_a_parameter_of_one_value_is_given_once(ada: Person) -> None:
    answer = await ada.client.get(f"{ITEMS}?page=1&page=2&q=hush&q=hush&nope=1&nope=2")
    body = problem(answer, 422, "validation_error")
    assert fields_of(body) == {"page": "repeated", "q": "repeated", "nope": "repeated"}
    assert "hush" not in answer.text
    several = await ada.client.get(f"{ITEMS}?title__in=a&title__in=b")
    assert several.status_code == 200


@pytest.mark.parametrize("name", ["q", "title", "title__contains", "title__in", "cursor", "sort"])
async def test_nul_is_refused_in_every_query(login: Login, name: str) -> None:
    person = await login("admin")
    for value in ("%00", "a%00b"):
        problem(await person.client.get(f"{ITEMS}?{name}={value}"), 422, "validation_error")


@pytest.mark.parametrize("query", ["page=3", "per_page=5", "total=false", "page=1&per_page=21"])
@pytest.mark.parametrize("other", ["limit=5", "cursor=x"])
async def test_the_two_kinds_of_paging_do_not_mix(login: Login, query: str, other: str) -> None:
    person = await login("admin")
    problem(await person.client.get(f"{ITEMS}?{query}&{other}"), 422, "validation_error")


async def test_only_an_own_cursor_of_the_same_list_is_taken(ada: Person, make: Make) -> None:
    for number in range(3):
        await make(ada, str(number))
    listed = await ada.client.get(ITEMS, params={"limit": 1, "sort": "title"})
    cursor: str = listed.json()["next_cursor"]
    assert (await ada.client.get(ITEMS, params={"cursor": cursor})).status_code == 200
    foreign = (await ada.client.get(f"/api/v1/users/{ada.id}/items?limit=1")).json()["next_cursor"]
    unsigned = base64.urlsafe_b64encode(b'["ListItems",["title"],false,["0","x"]]').decode()
    for other in (foreign, cursor[:-1], f"{cursor}x", cursor[1:], unsigned, cursor.swapcase()):
        answer = await ada.client.get(ITEMS, params={"cursor": other})
        assert fields_of(problem(answer, 422)) == {"cursor": "cursor"}
    params = {"cursor": cursor, "sort": "-title"}
    assert fields_of(problem(await ada.client.get(ITEMS, params=params), 422))["cursor"]


async def test_no_character_of_a_cursor_can_be_changed(ada: Person, make: Make) -> None:
    for number in range(2):
        await make(ada, str(number))
    cursor: str = (await ada.client.get(ITEMS, params={"limit": 1})).json()["next_cursor"]
    for at in range(0, len(cursor), 3):
        forged = cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :]
        problem(await ada.client.get(ITEMS, params={"cursor": forged}), 422, "validation_error")


@examples(60)
@given(
    name=st.sampled_from(
        ["q", "sort", "cursor", "page", "limit", "title__in", "created_at", "owner_id", "total"]
    ),
    value=st.text(st.characters(codec="utf-8"), max_size=40),
)
async def test_no_value_breaks_a_list(ada: Person, name: str, value: str) -> None:
    answer = await ada.client.get(ITEMS, params={name: value})
    assert answer.status_code in {200, 422}, answer.text
