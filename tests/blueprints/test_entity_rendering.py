"""What is generated for an entity is the code that a careful person would have written."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from backstay.blueprints.entities.command_line import entity_of
from backstay.blueprints.entities.description import USER, Entity
from backstay.blueprints.entities.json_file import entities_of
from backstay.blueprints.entities.rendering import render
from tests.architecture.tree import PACKAGE
from tests.blueprints.random_entities import known_with, random_entities

RULES = "A,ANN,ASYNC,B,C4,C90,E,F,I,N,PTH,PT,RET,RUF,SIM,UP,W"


def parts(source: str) -> tuple[set[tuple[str, str]], list[str]]:
    """The imports of a module, and its other lines."""
    tree = ast.parse(source)
    lines: list[str | None] = list(source.splitlines())
    imports = set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            imports |= {(node.module or "", each.name) for each in node.names}
            lines[node.lineno - 1 : node.end_lineno] = [None] * (
                (node.end_lineno or 0) - node.lineno + 1
            )
    return imports, [line for line in lines if line]


def test_items_are_what_add_writes() -> None:
    item, problems = entity_of(
        "Item", ["title:str:200", "description:text?"], owned=True, soft_delete=True
    )
    assert problems == []
    rendered = render(item, {"User": USER}, "backstay")
    folder = "src/backstay/features/items/"
    written = {path.removeprefix(folder): text for path, text in rendered.items()}
    del written["tests/test_items.py"]
    by_hand = sorted(path.name for path in (PACKAGE / "features" / "items").glob("*.py"))
    assert sorted(written) == by_hand
    for name, text in written.items():
        assert parts(text) == parts((PACKAGE / "features" / "items" / name).read_text("utf-8"))


def write(folder: Path, entities: list[Entity]) -> None:
    known = known_with(entities)
    for entity in entities:
        for path, text in render(entity, known, "shop").items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)


def longest() -> Entity:
    """An entity whose names are as long as they may be."""
    names = [f"{letter * 29}x" for letter in "abcdefg"]
    kinds = ("str!", "text", "datetime?", "red,green", "decimal", "draft,placed", "json")
    fields = [f"{name}:{kind}" for name, kind in zip(names, kinds, strict=True)]
    entity, problems = entity_of(
        "ExtraordinaryConfirmation",
        fields,
        owned=True,
        soft_delete=True,
        children=["lines:article:str,quantity:int"],
        transitions="place,pay",
    )
    assert problems == []
    return entity


def test_what_is_rendered_is_formatted_and_linted(tmp_path: Path) -> None:
    shop, problems = entities_of(Path(__file__).with_name("shop.json"))
    assert problems == []
    write(tmp_path, [*random_entities(1, 120), longest(), *shop])
    orders = (tmp_path / "src/shop/features/orders/commands.py").read_text("utf-8")
    assert "OrderStatus.PLACED: {OrderStatus.PAID, OrderStatus.CANCELLED}," in orders
    assert 'permission = ORDERS.may("pay", default_scope=Scope.OWN)' in orders
    assert "await send(GetCustomer(id=command.customer_id))" in orders
    ruff = [sys.executable, "-m", "ruff"]
    options = ["--isolated", "--no-cache", "--config", "src=['src']", "--line-length", "100"]
    options += ["--target-version", "py311"]
    for command in (
        ["format", "--diff"],
        ["check", "--output-format", "concise", "--select", RULES],
    ):
        done = subprocess.run(
            [*ruff, *command, *options, "."],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]


def rendered(*arguments: str, **options: Any) -> dict[str, str]:
    """The modules of a feature, and its tests, by the last parts of their paths."""
    entity, problems = entity_of(arguments[0], arguments[1:], **options)
    assert problems == []
    files = render(entity, known_with([entity]), "shop")
    return {path.rpartition("/")[2]: text for path, text in files.items()}


def test_variables_do_not_hide_functions_of_python() -> None:
    commands = rendered("Property", "name:str", children=["inputs:word:str"])["commands.py"]
    assert "async def create_property(" in commands
    assert "property_: Target[Property]" in commands
    assert "PropertyInput(**input_.model_dump()) for input_ in command.inputs" in commands


def test_fields_of_one_name_have_their_own_rules() -> None:
    children = ["lines:word:str:10", "notes:word:str:20"]
    schemas = rendered("Rig", "name:str", children=children)["schemas.py"]
    for name, length in (("RigLineWord", 10), ("RigNoteWord", 20)):
        rule = f"{name} = Annotated[str, StringConstraints(min_length=1, max_length={length})]"
        assert rule in schemas


def test_the_status_is_what_transitions_change() -> None:
    commands = rendered("Order", "size:small,big", "phase:draft,paid", transitions="pay")
    assert "order.phase = to" in commands["commands.py"]


def test_transitions_are_tested_from_the_default_on() -> None:
    fields = ("note:str", "phase:new,open,closed=open")
    tests = rendered("Case", *fields, transitions="close")["test_cases.py"]
    assert 'assert made["phase"] == "open"' in tests
    ended = rendered("Case", "note:str", "phase:new,closed=closed", transitions="close")
    assert "test_transitions" not in ended["test_cases.py"]


def test_unique_values_of_tests_do_not_run_out() -> None:
    tests = rendered("Rig", "code:str:2!", "user:ref(User)!")["test_rigs.py"]
    assert '"code": next(SINGLE_LETTERS)' in tests
    assert '"user_id": await another_user(person)' in tests


def test_a_description_renders_the_same_again() -> None:
    for entity in random_entities(2, 30):
        assert Entity.of(entity.options()) == entity


@pytest.mark.parametrize(
    ("verb", "status"),
    [("pay", "paid"), ("place", "placed"), ("ship", "shipped"), ("cancel", "cancelled")],
)
def test_a_transition_leads_to_its_participle(verb: str, status: str) -> None:
    entity, problems = entity_of("Order", ["note:str", f"status:draft,{status}"], transitions=verb)
    assert problems == []
    (transition,) = entity.transitions
    assert (transition.start, transition.end) == (("draft",), status)


def test_an_unnamed_end_is_a_further_value() -> None:
    entity, _ = entity_of(
        "Order", ["note:str", "status:draft,placed,paid"], transitions="place,cancel"
    )
    assert entity.enums[0].members == ("draft", "placed", "paid", "cancelled")
    assert entity.transitions[1].start == ("draft", "placed")
