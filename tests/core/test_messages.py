"""Shows what a message knows about itself: sources, named fields, changes, its result."""

from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import BaseModel, Field, ValidationError

from backstay.core.clock import new_id
from backstay.core.messages import Command, FromPath, FromQuery, Message, Query, View, optional
from backstay.core.permissions import PUBLIC, SYSTEM_ONLY, PermissionSpec, Source


class Address(BaseModel):
    city: str = "Cowes"
    street: str | None = None


class Rig(View):
    name: str


class ChangeRig(Command[Rig]):
    permission = PUBLIC

    id: FromPath[UUID]
    dry: FromQuery[bool] = False
    name: str = optional()
    note: str | None = optional()
    home: Address | None = optional()
    berths: Annotated[tuple[Address, ...], Field(max_length=9)] = optional()
    ports: frozenset[str] = optional()
    papers: dict[str, Any] = optional()


def change(**fields: Any) -> ChangeRig:
    return ChangeRig.model_validate({"id": new_id(), **fields})


def test_fields_of_commands_are_in_the_body_by_default() -> None:
    sources = ChangeRig.sources()
    assert (sources["id"], sources["dry"]) == (Source.PATH, Source.QUERY)
    assert {sources[name] for name in ("name", "note", "home", "berths")} == {Source.JSON}


def test_fields_of_queries_are_in_the_query() -> None:
    class GetRig(Query[Rig]):
        id: FromPath[UUID]
        full: bool = False

    assert GetRig.sources() == {"id": Source.PATH, "full": Source.QUERY}


def test_changes_are_the_named_body_fields_null_included() -> None:
    assert change(dry=True).changes() == {}
    assert change(dry=True, name="Sloop", note=None).changes() == {"name": "Sloop", "note": None}


def test_an_optional_field_may_be_absent_but_not_null() -> None:
    with pytest.raises(ValidationError, match="name"):
        change(name=None)


def named(**fields: Any) -> set[tuple[str, str]]:
    return {(source.value, path) for source, path in change(**fields).named_fields()}


def test_named_fields_have_source_and_path_without_path_parameters() -> None:
    assert named() == set()
    assert named(dry=False, name="Sloop") == {("QUERY", "dry"), ("JSON", "name")}


def test_nested_fields_are_named_by_path_and_defaults_are_not() -> None:
    assert named(home={"city": "Hamble"}) == {("JSON", "home.city")}
    berths = [{"city": "Hamble"}, {"street": "Quay"}]
    assert named(berths=berths) == {("JSON", "berths.city"), ("JSON", "berths.street")}


@pytest.mark.parametrize("fields", [{"home": None}, {"home": {}}])
def test_an_object_without_fields_is_named_itself(fields: dict[str, Any]) -> None:
    assert named(**fields) == {("JSON", "home")}
    assert named(berths=[], ports=["Cowes"]) == {("JSON", "berths"), ("JSON", "ports")}


def test_objects_in_a_set_are_named_by_path() -> None:
    class Buoy(View):
        colour: str = "red"

    class Mark(Command[None]):
        buoys: frozenset[Buoy]

    assert Mark(buoys=frozenset({Buoy(colour="green")})).named_fields() == {
        (Source.JSON, "buoys.colour")
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"owner_id": str(new_id())},
        {"name": "a\0b"},
        {"home": {"city": "a\0b"}},
        {"berths": [{}, {"street": "\0"}]},
        {"ports": ["a", "b\0"]},
        {"papers": {"a": [{"\0": 1}]}},
        {"name": 1},
    ],
    ids=["undeclared", "NUL", "inside", "in a list", "in a set", "as a name", "another type"],
)
def test_values_that_no_field_accepts_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        change(**fields)


def test_messages_are_frozen_and_their_text_is_stripped() -> None:
    message = change(name="  Sloop ")
    assert message.name == "Sloop"
    with pytest.raises(ValidationError, match="frozen"):
        message.name = "Yawl"  # type: ignore[misc]


def test_without_a_policy_only_the_system_may_send() -> None:
    assert Message.permission is SYSTEM_ONLY


def test_a_permission_is_named_by_resource_action_and_operation() -> None:
    assert PermissionSpec("rigs", "update").key == "rigs:update"
    assert PermissionSpec("rigs", "update", "price").key == "rigs:update:price"


def test_the_result_is_the_one_a_message_was_declared_with() -> None:
    class Further(ChangeRig):
        pass

    class Nothing(Command):  # type: ignore[type-arg]
        pass

    assert ChangeRig.result_type() is Rig
    assert Further.result_type() is Rig
    assert Query[Rig | Address].result_type() == Rig | Address
    with pytest.raises(TypeError, match="names no result"):
        Command.result_type()
