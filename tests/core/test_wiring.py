"""Shows how rules, results, names and places are checked when an application is wired."""

from collections.abc import Callable
from typing import Annotated, Any, Protocol

import pytest

from backstay.composition.wiring import commands_of
from backstay.core.bus import handles
from backstay.core.caching import Cached
from backstay.core.messages import Command, Query
from backstay.core.permissions import PUBLIC
from backstay.core.registry import Registry
from backstay.core.signatures import fits, rule_flaws
from backstay.core.wiring import Code, Place


class Named(Protocol):
    name: str


@pytest.mark.parametrize("rules", [lambda principal, message: True, "rule", [bool]])
def test_rules_that_are_not_a_tuple_are_reported(rules: Any) -> None:
    (flaw,) = rule_flaws("PlantTree", rules)
    assert flaw.code is Code.MESSAGE_RULE
    assert "no tuple" in flaw.problem
    assert "comma" in flaw.hint


@pytest.mark.parametrize("rule", [lambda principal, message: True, max])
def test_a_rule_with_two_parameters_or_no_signature_is_accepted(rule: Any) -> None:
    assert list(rule_flaws("PlantTree", (rule,))) == []


@pytest.mark.parametrize(
    ("told", "wanted", "is_right"),
    [
        (Annotated[int, "of trees"], int, True),
        (Annotated[str, "of trees"], int, False),
        (int | None, int, False),
        (int, int | None, True),
        ("Tree", int, True),  # what only a type checker knows
        (int, Named, True),
        (list[int], list[str], False),
    ],
)
def test_a_result_type_must_match_the_declared_result(
    told: Any, wanted: Any, is_right: bool
) -> None:
    assert fits(told, wanted) is is_right


def test_two_commands_of_one_name_are_reported() -> None:
    def another() -> tuple[type[Command[Any]], Callable[..., Any]]:
        class PlantTree(Command[None]):
            permission = PUBLIC

        @handles(PlantTree)
        async def plant_tree(command: PlantTree) -> None: ...

        return PlantTree, plant_tree

    (first, plant_first), (second, plant_second) = another(), another()
    alone = Registry([plant_first])
    assert commands_of(alone) == {"PlantTree": first}
    assert alone.faults == []
    both = Registry([plant_first, plant_second])
    assert commands_of(both) == {"PlantTree": first}
    (fault,) = both.faults
    assert fault.code is Code.COMMAND_NAME_TWICE
    assert fault.where == str(Place.of(second))
    assert str(Place.of(first)) in fault.problem


def test_a_generated_class_is_placed_at_its_modules_first_line() -> None:
    place = Place.of(type("Made", (), {"__module__": __name__}))
    assert (place.file, place.line) == (__file__, 1)


def test_a_cached_query_of_unknown_result_type_is_reported_once() -> None:
    class CountTrees(Query):  # type: ignore[type-arg]
        permission = PUBLIC
        cache = Cached()

    assert [flaw.code for flaw in CountTrees.flaws()] == []
