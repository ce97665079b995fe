"""Single lines get into a person's files where they belong, and out again."""

import ast

import pytest

from backstay.blueprints.insertion import (
    PlaceNotFound,
    imports,
    with_element,
    with_field,
    with_import,
    with_item,
    without_element,
    without_field,
    without_import,
    without_item,
)

HEAD = '"""Shop: with ünusual letters."""\n\n'
BEGUN = f"{HEAD}import os\nfrom typing import Any\n\nfrom backstay import Feature\n\nx = 1\n"


def call(text: str) -> ast.Call:
    (found,) = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)][:1]
    return found


@pytest.mark.parametrize(
    ("text", "module", "name", "shown"),
    [
        (BEGUN, "backstay", "cron", "from backstay import Feature, cron\n"),
        (BEGUN, "pydantic", "Field", "Feature\nfrom pydantic import Field\n\nx"),
        (BEGUN, "shop.a", "B", "Feature\n\nfrom shop.a import B\n\nx"),
        (BEGUN, "uuid", "UUID", "Any\nfrom uuid import UUID\n\nfrom backstay"),
        (BEGUN, "abc", "ABC", "import os\nfrom abc import ABC\nfrom typing"),
        (f"{HEAD}x = 1\n", "backstay", "cron", f"{HEAD}from backstay import cron\n\nx"),
        (f"{HEAD}from shop.z import y\n", "fastapi", "F", "import F\n\nfrom shop.z"),
        ("x = 1\n", "backstay", "cron", "from backstay import cron\n\nx"),
    ],
)
def test_imports_stand_where_isort_puts_them(text: str, module: str, name: str, shown: str) -> None:
    after = with_import(text, module, name, "shop")
    assert shown in after
    assert imports(after, module, name)
    assert with_import(after, module, name, "shop") == after
    assert without_import(after, module, name) == text


def test_a_used_import_and_a_commented_one_stay() -> None:
    text = "from a import (\n    b,  # why\n)\n\nb()\n"
    assert without_import(text, "a", "b") == text
    assert "from a import c\n" in with_import(text, "a", "c", "shop")


@pytest.mark.parametrize(
    "text",
    [
        'é = Application("é")\n',
        'é = Application("é", roles=(A,))\n',
        'é = Application(\n    "é",\n    # why\n    roles=(A,),\n)\n',
        'é = Application(\n    "é",\n    roles=(\n        A,\n    ),\n    x=1,\n)\n',
        "é = Application(roles=[A, B], x=lambda: 0)\n",
    ],
)
def test_an_element_gets_in_and_out(text: str) -> None:
    after = with_element(text, call(text), "roles", "NEW")
    assert ast.unparse(call(after)).count("NEW") == 1
    assert ("# why" in after) == ("# why" in text)
    assert without_element(after, call(after), "roles", "NEW") == text


def test_a_long_call_is_laid_out_in_lines() -> None:
    text = f'feature = Feature("orders", __name__, requires=("{"a" * 40}",))\n'
    element = 'cron("30 4 * * *", CancelUnpaid(), name="cancel_unpaid")'
    after = with_element(text, call(text), "schedule", element)
    assert after.splitlines()[-2:] == [f"    schedule=({element},),", ")"]
    assert max(map(len, after.splitlines())) <= 100


@pytest.mark.parametrize(
    "text",
    [
        "a = Application(roles=ROLES)\n",
        "a = Application(**given)\n",
        "a = Application(roles=(A, *(B,) if C else ()))  # x\n".replace("(A,", "tuple(A,"),
        "a = Application(\n    roles=(\n        A,  # why\n    ),\n)\n",
        "a = Application(\n    x,  # why\n)\n",
    ],
)
def test_an_uncertain_place_is_refused(text: str) -> None:
    with pytest.raises(PlaceNotFound):
        with_element(text, call(text), "roles", "NEW")
    with pytest.raises(PlaceNotFound):
        without_element(text, call(text), "roles", "NEW")


def test_items_of_an_empty_tuple() -> None:
    text = "ROLES = ()\n"
    after = with_item(text, value(text), "NEW")
    assert after == "ROLES = (NEW,)\n"
    assert without_item(after, value(after), "NEW") == text


def value(text: str) -> ast.expr:
    (node,) = ast.parse(text).body
    assert isinstance(node, ast.Assign)
    return node.value


def test_fields_get_in_and_out() -> None:
    text = 'class Own:\n    """What."""\n\n    env_prefix = "OWN_"\n\n\nx = 1\n'
    first = with_field(text, owner(text), "    a: int = 1")
    second = with_field(first, owner(first), "    b: int = 2")
    assert '"OWN_"\n\n    a: int = 1\n    b: int = 2\n\n\nx = 1\n' in second
    assert without_field(second, owner(second), "b") == first
    assert without_field(first, owner(first), "a") == text
    with pytest.raises(PlaceNotFound):
        without_field(text, owner(text), "a")


def owner(text: str) -> ast.ClassDef:
    node = ast.parse(text).body[0]
    assert isinstance(node, ast.ClassDef)
    return node
