"""Shows what is refused before a bulk action begins, with the reason and the ids it is about."""

from typing import Any

import pytest
from sqlalchemy import func, select

from backstay.composition import Backstay
from backstay.core.clock import new_id
from backstay.core.permissions import Scope, Source
from backstay.features.access.schemas import Effect
from backstay.features.items.commands import DeleteItem
from backstay.features.system.commands.bulk import MOST_BODY_BYTES, MOST_IDS
from backstay.jobs.tables import IS_ROW, Job
from backstay.testing import Login, Person
from tests.features.granting import grant
from tests.features.steps import execute, needs
from tests.features.system.bulk_steps import BULK
from tests.web.problems import fields_of, problem

pytestmark = [pytest.mark.anyio, needs("items")]


async def refused(person: Person, status: int = 422, **given: Any) -> dict[str, Any]:
    body = {"operation": "delete_item", "ids": [str(new_id())], **given}
    return problem(await person.client.post(BULK, json=body), status)


@pytest.fixture(autouse=True)
async def _nothing_is_stored(backstay: Backstay) -> Any:
    yield
    stored = select(func.count()).select_from(Job).where(IS_ROW)
    assert (await execute(backstay, stored)).scalar_one() == 0


async def test_strangers_are_refused(login: Login) -> None:
    ann = await login()
    del ann.client.headers["Authorization"]
    await refused(ann, 401)
    problem(await ann.client.get(BULK), 401)


async def test_an_unknown_operation_is_told_with_near_ones(login: Login) -> None:
    ann = await login()
    (fault,) = (await refused(ann, operation="delete_items"))["errors"]
    assert (fault["field"], fault["code"]) == ("operation", "unknown_operation")
    assert "but delete_item" in fault["message"]
    (fault,) = (await refused(ann, operation="x" * 200))["errors"]
    assert fault["message"] == "There is none"


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        ("create_item", "Its path does not have one id"),
        ("update_me", "Its path does not have one id"),
        ("change_scope", "Its path does not have one id"),
        ("start_bulk", "Its path does not have one id"),
        ("set_password", "SetPassword cannot be a job: its field `new_password` is a secret"),
    ],
)
async def test_only_operations_on_one_id_are_done(
    login: Login, operation: str, reason: str
) -> None:
    admin = await login("admin")
    (fault,) = (await refused(admin, operation=operation))["errors"]
    assert (fault["field"], fault["code"]) == ("operation", "not_in_bulk")
    assert fault["message"].startswith(reason)


@pytest.mark.parametrize("query", ["get_item", "list_items"])
async def test_queries_are_no_operations_of_it(login: Login, query: str) -> None:
    (fault,) = (await refused(await login(), operation=query))["errors"]
    assert fault["code"] == "unknown_operation"


async def test_what_no_job_may_do_is_refused(login: Login, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = await login()
    monkeypatch.setattr(DeleteItem, "replayable", False)
    (fault,) = (await refused(ann))["errors"]
    assert fault["code"] == "not_in_bulk"
    assert fault["message"].startswith("Its answer may not")


async def test_a_missing_permission_is_told_at_once(login: Login) -> None:
    ann = await login()
    ids = [str(new_id()) for _ in range(30)]
    told = await refused(ann, 403, operation="block_user", ids=ids)
    assert told["detail"] == "This needs the permission users:block."
    assert fields_of(told) == {f"ids.{number}": "forbidden" for number in range(20)}


async def test_a_rule_of_the_message_names_its_ids(
    login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = await login()
    ids = [str(new_id()) for _ in range(4)]
    monkeypatch.setattr(
        DeleteItem, "rules", (lambda principal, message: str(message.id) not in ids[1:3],)
    )
    told = await refused(ann, 403, ids=ids)
    assert fields_of(told) == {"ids.1": "forbidden", "ids.2": "forbidden"}


async def test_field_rules_hold(backstay: Backstay, login: Login) -> None:
    ann = await login()
    rule = (Source.JSON, "title", Effect.DENY)
    await grant(backstay, ann.id, "items:update", Scope.OWN, rules=[rule])
    told = await refused(ann, 403, operation="update_item", body={"title": "x"})
    assert fields_of(told) == {"title": "field_forbidden"}


async def test_ids_that_are_none_are_named(login: Login) -> None:
    ann = await login()
    good = str(new_id())
    told = await refused(ann, ids=[good, "x", good.upper(), "/../me"])
    assert told["detail"] == "3 ids are not valid."
    codes = {"ids.1": "uuid_parsing", "ids.2": "repeated", "ids.3": "uuid_parsing"}
    assert fields_of(told) == codes


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"title": ""}, "body.title", "string_too_short"),
        ({"titel": "x"}, "body.titel", "extra_forbidden"),
        ({"id": "x"}, "body.id", "extra_forbidden"),
        ({"title": {"x": []}}, "body.title", "string_type"),
        ({"title": "x" * MOST_BODY_BYTES}, "body", "too_long"),
        ([], "body", "dict_type"),
    ],
)
async def test_a_body_that_does_not_fit_is_refused(
    login: Login, body: Any, field: str, code: str
) -> None:
    ids = [str(new_id()) for _ in range(50)]
    told = await refused(await login(), operation="update_item", ids=ids, body=body)
    assert fields_of(told) == {field: code}


async def test_a_deep_body_is_refused(login: Login) -> None:
    deep: dict[str, Any] = {}
    for _ in range(30):
        deep = {"x": deep}
    told = await refused(await login(), operation="update_item", body=deep)
    assert fields_of(told) == {"body": "too_deep"}


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({"ids": []}, 422),
        ({"ids": "x"}, 422),
        ({"ids": [""]}, 422),
        ({"ids": [7, None, {}]}, 422),
        ({"ids": ["x"] * (MOST_IDS + 1)}, 422),
        ({"ids": ["x"] * 10_000}, 422),
        ({"ids": [str(new_id())] * 10_000}, 413),
        ({"body": {"title": "x" * 1_000_000}}, 413),
        ({"operation": "x" * 201}, 422),
        ({"more": "x"}, 422),
    ],
)
async def test_junk_is_refused(login: Login, given: dict[str, Any], status: int) -> None:
    told = await refused(await login(), status, **given)
    assert len(told["errors"]) <= 20


async def test_rows_that_wait_are_limited(
    backstay: Backstay, login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = await login()
    monkeypatch.setattr("backstay.features.system.commands.bulk.MOST_ROWS", 0)
    told = await refused(ann, 429)
    assert told["code"] == "system.too_many_rows"
