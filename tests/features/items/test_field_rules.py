"""Shows that a role can be kept from single fields, in bodies and in queries."""

from typing import Any

import pytest

from backstay.composition import Backstay
from backstay.core.permissions import Scope, Source
from backstay.features.access.schemas import Effect
from backstay.testing import Login, Person
from tests.features.granting import Rule, grant
from tests.features.items.conftest import ITEMS, Make
from tests.web.problems import fields_of, problem

pytestmark = pytest.mark.anyio

JSON, QUERY = Source.JSON, Source.QUERY
ALLOW, DENY = Effect.ALLOW, Effect.DENY


async def rule(
    backstay: Backstay, person: Person, permission: str, *rules: Rule, level: int = 10
) -> None:
    """Grant a permission on own items with field rules; it outranks the grant of the user role."""
    await grant(backstay, person.id, permission, Scope.OWN, rules=rules, level=level)


def offending(answer: Any) -> set[str]:
    """The fields that a refusal lists."""
    fields = fields_of(problem(answer, 403, "forbidden"))
    assert set(fields.values()) == {"field_forbidden"}
    return set(fields)


async def test_a_denied_field_cannot_be_named(ada: Person, make: Make, backstay: Backstay) -> None:
    item = await make(ada, description="brass")
    await rule(backstay, ada, "items:update", (JSON, "description", DENY))
    for body in ({"description": "x"}, {"description": None}, {"title": "x", "description": "y"}):
        answer = await ada.client.patch(item["path"], json=body)
        assert offending(answer) == {"description"}
    both = {"title": "Octant", "description": "x"}
    assert offending(await ada.client.put(item["path"], json=both)) == {"description"}
    assert (await ada.client.get(item["path"])).headers["etag"] == item["tag"]
    changed = await ada.client.patch(item["path"], json={"title": "Octant"})
    assert (changed.json()["title"], changed.json()["description"]) == ("Octant", "brass")


async def test_one_allowed_field_refuses_all_others(
    ada: Person, make: Make, backstay: Backstay
) -> None:
    item = await make(ada)
    await rule(backstay, ada, "items:update", (JSON, "title", ALLOW))
    assert (await ada.client.patch(item["path"], json={"title": "Octant"})).status_code == 200
    assert (await ada.client.patch(item["path"], json={})).status_code == 200
    answer = await ada.client.patch(item["path"], json={"description": "x"})
    assert offending(answer) == {"description"}


async def test_every_offending_field_is_listed_and_no_value(
    ada: Person, make: Make, backstay: Backstay
) -> None:
    item = await make(ada)
    rules = [(JSON, "title", DENY), (JSON, "description", DENY)]
    await rule(backstay, ada, "items:update", *rules)
    body = {"title": "Hush-1", "description": "Hush-2"}
    answer = await ada.client.patch(item["path"], json=body)
    assert offending(answer) == {"title", "description"}
    assert "Hush" not in answer.text


async def test_a_rule_does_not_reach_another_source_or_permission(
    ada: Person, make: Make, backstay: Backstay
) -> None:
    await rule(backstay, ada, "items:list", (QUERY, "title", DENY))
    item = await make(ada)
    assert (await ada.client.patch(item["path"], json={"title": "x"})).status_code == 200
    assert (await ada.client.get(item["path"])).json()["title"] == "x"


@pytest.mark.parametrize(
    "query",
    [
        "title=Sextant",
        "title__in=a,b",
        "title__contains=x",
        "title__isnull=false",
        "sort=title",
        "sort=-title",
        "sort=created_at,-title",
        "limit=5&sort=title",
        "q=Sextant",
        "total=false&q=Sextant",
        "description=x&title=x",
    ],
)
async def test_a_query_rule_covers_operators_sorting_and_search(
    ada: Person, make: Make, backstay: Backstay, query: str
) -> None:
    await make(ada)
    await rule(backstay, ada, "items:list", (QUERY, "title", DENY))
    assert offending(await ada.client.get(f"{ITEMS}?{query}")) == {"title"}


@pytest.mark.parametrize(
    "query",
    ["", "page=1&per_page=5", "limit=5", "description=x", "sort=-created_at", "total=false"],
)
async def test_a_query_rule_leaves_the_rest_alone(
    ada: Person, backstay: Backstay, query: str
) -> None:
    await rule(backstay, ada, "items:list", (QUERY, "title", DENY))
    assert (await ada.client.get(f"{ITEMS}?{query}")).status_code == 200


async def test_an_allowed_query_field_refuses_all_others(
    ada: Person, make: Make, backstay: Backstay
) -> None:
    await make(ada)
    await rule(backstay, ada, "items:list", (QUERY, "created_at", ALLOW))
    for query in ("", "sort=-created_at", "created_at__gte=2000-01-01T00:00:00Z&limit=3"):
        assert (await ada.client.get(f"{ITEMS}?{query}")).status_code == 200, query
    for query, fields in (
        ("sort=updated_at", {"updated_at"}),
        ("title=x&description=y", {"title", "description"}),
        ("q=x", {"title", "description"}),
    ):
        assert offending(await ada.client.get(f"{ITEMS}?{query}")) == fields


async def test_a_cursor_does_not_bypass_a_field_rule(
    ada: Person, eve: Person, make: Make, backstay: Backstay
) -> None:
    for title in "cab":
        await make(ada, title)
        await make(eve, title)
    sorted_by_title = await eve.client.get(ITEMS, params={"limit": 1, "sort": "title"})
    cursor = sorted_by_title.json()["next_cursor"]
    await rule(backstay, ada, "items:list", (QUERY, "title", DENY))
    problem(await ada.client.get(ITEMS, params={"cursor": cursor}), 403, "forbidden")


async def test_at_equal_level_deny_beats_allow(ada: Person, make: Make, backstay: Backstay) -> None:
    item = await make(ada)
    await rule(backstay, ada, "items:update", (JSON, "title", ALLOW))
    await rule(backstay, ada, "items:update", (JSON, "title", DENY))
    answer = await ada.client.patch(item["path"], json={"title": "x"})
    assert offending(answer) == {"title"}


async def test_a_higher_role_ignores_field_rules_of_a_lower_role(
    ada: Person, make: Make, backstay: Backstay
) -> None:
    item = await make(ada)
    await rule(backstay, ada, "items:update", (JSON, "title", DENY), level=5)
    await rule(backstay, ada, "items:update", level=6)
    assert (await ada.client.patch(item["path"], json={"title": "x"})).status_code == 200


async def test_a_superuser_is_bound_by_no_rule(
    ada: Person, login: Login, make: Make, backstay: Backstay
) -> None:
    admin = await login("admin")
    item = await make(ada)
    await rule(backstay, admin, "items:update", (JSON, "title", DENY), level=2000)
    assert (await admin.client.patch(item["path"], json={"title": "x"})).status_code == 200


async def test_changed_field_rules_hold_at_once_and_end_no_session(
    ada: Person, make: Make, backstay: Backstay
) -> None:
    item = await make(ada)
    assert (await ada.client.patch(item["path"], json={"title": "x"})).status_code == 200
    await rule(backstay, ada, "items:update", (JSON, "title", DENY))
    assert offending(await ada.client.patch(item["path"], json={"title": "y"})) == {"title"}


async def test_a_replacement_names_the_fields_that_it_leaves_out(
    ada: Person, make: Make, backstay: Backstay
) -> None:
    item = await make(ada, description="brass")
    await rule(backstay, ada, "items:update", (JSON, "description", DENY))
    answer = await ada.client.put(item["path"], json={"title": "Octant"})
    assert offending(answer) == {"description"}
    assert (await ada.client.get(item["path"])).json()["description"] == "brass"
