"""Shows that `editable-resources` lists exactly the messages and fields that a caller may use."""

from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel, Field

from backstay.application import create_app
from backstay.composition import Backstay, seed
from backstay.core.bus import handles
from backstay.core.feature import Feature
from backstay.core.messages import Command, FromPath
from backstay.core.permissions import PermissionSpec, Scope, Source
from backstay.features import STANDARD
from backstay.features.access.schemas import Effect
from backstay.testing import FrozenClock, Login, Person, settings_with
from tests.features.granting import grant
from tests.features.steps import API, needs
from tests.patient import PATIENT
from tests.web.problems import problem

pytestmark = pytest.mark.anyio

RESOURCES = f"{API}/system/editable-resources"


async def shown(person: Person) -> dict[str, dict[str, Any]]:
    """The messages that a user is shown, by resource and name."""
    answer = await person.client.get(RESOURCES)
    assert answer.status_code == 200, answer.text
    return {
        resource["name"]: {message["name"]: message for message in resource["messages"]}
        for resource in answer.json()["resources"]
    }


def fields(message: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {field["name"]: field for field in message["fields"]}


async def test_without_the_permission_nothing_is_shown(
    client: httpx.AsyncClient, login: Login
) -> None:
    problem(await client.get(RESOURCES), 401, "auth_error")
    body = problem(await (await login()).client.get(RESOURCES), 403, "forbidden")
    assert "system:introspect" in body["detail"]


@needs("items")
async def test_a_superuser_sees_every_resource_of_every_feature(login: Login) -> None:
    seen = await shown(await login("admin"))
    assert set(seen) >= {"items", "users", "roles", "permissions", "sessions", "audit", "system"}
    assert set(seen["items"]) >= {"CreateItem", "UpdateItem", "DeleteItem", "ListItems", "GetItem"}
    assert {m["scope"] for messages in seen.values() for m in messages.values()} == {"ANY"}
    create = seen["items"]["CreateItem"]
    assert (create["kind"], create["permission"]) == ("command", "items:create")
    assert create["operations"] == [{"id": "create_item", "method": "POST", "path": f"{API}/items"}]
    assert fields(create)["title"] == {
        "name": "title",
        "source": "JSON",
        "type": "string",
        "required": True,
        "nullable": False,
        "description": None,
        "operators": [],
        "constraints": {"minLength": 1, "maxLength": 200},
    }
    update = fields(seen["items"]["UpdateItem"])
    assert (update["title"]["required"], update["id"]["source"]) == (False, "PATH")
    created_at = fields(seen["items"]["ListItems"])["created_at"]
    assert created_at["operators"] == ["eq", "in", "isnull", "gte", "lte", "gt", "lt"]
    assert created_at["constraints"] == {"format": "date-time"}
    assert seen["items"]["ListItems"]["kind"] == "query"


async def test_messages_without_a_permission_belong_to_no_resource(login: Login) -> None:
    seen = await shown(await login("admin"))
    names = {name for messages in seen.values() for name in messages}
    assert not names & {"Login", "RegisterUser", "UpdateMe", "GetMe", "StorePassword", "SyncAccess"}
    assert seen["users"]["EraseUser"]["operations"] == []


@needs("items")
async def test_users_see_what_their_grants_reach_with_its_scope(
    login: Login, backstay: Backstay
) -> None:
    person = await login()
    await grant(backstay, person.id, "system:introspect")
    seen = await shown(person)
    tasks = {"tasks"} & {feature.name for feature in backstay.features}
    assert set(seen) == {"items", "system"} | tasks
    assert {message["scope"] for message in seen["items"].values()} == {"OWN"}
    await grant(backstay, person.id, "users:read")
    seen = await shown(person)
    assert set(seen["users"]) == {"GetUser", "GetUserByUsername"}
    assert seen["users"]["GetUser"]["scope"] == "ANY"


@needs("items")
@pytest.mark.parametrize(
    ("effect", "left"), [(Effect.DENY, {"title"}), (Effect.ALLOW, {"description"})]
)
async def test_fields_that_rules_refuse_are_left_out(
    login: Login, backstay: Backstay, effect: Effect, left: set[str]
) -> None:
    person = await login()
    await grant(backstay, person.id, "system:introspect")
    rules = [(Source.JSON, "description", effect)]
    await grant(backstay, person.id, "items:create", Scope.OWN, rules=rules)
    assert set(fields((await shown(person))["items"]["CreateItem"])) == left


@needs("items")
async def test_rules_on_a_query_leave_the_body_alone(login: Login, backstay: Backstay) -> None:
    person = await login()
    await grant(backstay, person.id, "system:introspect")
    rules = [(Source.QUERY, "owner_id", Effect.DENY)]
    await grant(backstay, person.id, "items:list", Scope.OWN, rules=rules)
    items = (await shown(person))["items"]
    assert "owner_id" not in fields(items["ListItems"])
    assert "title" in fields(items["ListItems"])
    assert "id" in fields(items["ListItemsOfUser"])


async def test_an_unchanged_view_is_not_sent_again(login: Login, backstay: Backstay) -> None:
    person = await login()
    await grant(backstay, person.id, "system:introspect")
    first = await person.client.get(RESOURCES)
    condition = {"If-None-Match": first.headers["etag"]}
    again = await person.client.get(RESOURCES, headers=condition)
    assert (again.status_code, again.content) == (304, b"")
    await grant(backstay, person.id, "users:read")
    assert (await person.client.get(RESOURCES, headers=condition)).status_code == 200


class Address(BaseModel):
    city: str = Field("Bergen", max_length=50)
    street: str


class Moor(Command[None]):
    """Moor a boat."""

    permission = PermissionSpec("boats", "moor")

    id: FromPath[int]
    address: Address
    crew: tuple[Address, ...] = ()
    before: "Moor | None" = None
    kind: str = "sloop"
    api_key: str = "never tell this"
    berth: Address = Address(street="never tell this either")


@handles(Moor)
async def moor(command: Moor) -> None:
    pass


@pytest.fixture
async def harbour(seeded_url: str, tmp_path: Path, clock: FrozenClock) -> AsyncIterator[FastAPI]:
    module = ModuleType(__name__)
    vars(module).update(Moor=Moor, moor=moor)
    boats = Feature("boats", modules=(module,))
    app = create_app(
        settings_with(seeded_url, tmp_path, **PATIENT), [*STANDARD, boats], clock=clock
    )
    async with app.router.lifespan_context(app):
        await seed(app.state.backstay)
        yield app


class TestWithNestedFields:
    @pytest.fixture
    def app(self, harbour: FastAPI) -> FastAPI:
        return harbour

    async def test_nested_fields_are_named_by_path(self, login: Login) -> None:
        found = fields((await shown(await login("admin")))["boats"]["Moor"])
        assert (found["address"]["type"], found["address"]["required"]) == ("object", True)
        city = found["address.city"]
        assert (city["type"], city["required"]) == ("string", False)
        assert city["constraints"] == {"maxLength": 50, "default": "Bergen"}
        assert found["address.street"]["required"] is True
        assert found["crew"]["type"] == "array"
        assert found["crew.city"]["type"] == "string"

    async def test_a_denied_nested_field_leaves_out_its_object_too(
        self, login: Login, backstay: Backstay
    ) -> None:
        person = await login()
        await grant(backstay, person.id, "system:introspect")
        rules = [(Source.JSON, "address.city", Effect.DENY)]
        await grant(backstay, person.id, "boats:moor", rules=rules)
        found = set(fields((await shown(person))["boats"]["Moor"]))
        assert not found & {"address", "address.city"}
        assert found >= {"id", "address.street", "crew.city"}

    async def test_defaults_are_shown_unless_they_hold_secrets(self, login: Login) -> None:
        admin = await login("admin")
        found = fields((await shown(admin))["boats"]["Moor"])
        assert found["kind"]["constraints"] == {"default": "sloop"}
        assert found["api_key"]["constraints"] == {}
        assert "never tell" not in (await admin.client.get(RESOURCES)).text

    async def test_recursive_models_are_described_one_level_deep(self, login: Login) -> None:
        found = set(fields((await shown(await login("admin")))["boats"]["Moor"]))
        assert found >= {"before", "before.kind"}
        assert "before.before.kind" not in found
