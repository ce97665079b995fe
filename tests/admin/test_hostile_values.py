"""Shows that what people store is shown as text, wherever the console shows it."""

import ast
import re
from typing import Any

import pytest
from fastapi import FastAPI
from markupsafe import escape
from sqlalchemy import select

from backstay.admin import rendering, tables
from backstay.admin.cells import Drawing, cell
from backstay.composition import Backstay
from backstay.db.activity import Activity
from backstay.testing import Login
from tests.admin.conftest import Open
from tests.admin.test_same_rights import catalog_of
from tests.features.steps import execute

pytestmark = pytest.mark.anyio

ATTACKS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'-alert(1)-'",
    "{{ 7 * 7 }}",
    "</title></textarea><svg onload=alert(1)>",
    "`<b onclick=alert(1)>`",
)
ATTACK = "".join(ATTACKS)
_TAG = re.compile(r"<(?:script|img|svg|b)\b[^>]*>", re.IGNORECASE)


def live(page: str) -> list[str]:
    """Tags that a browser would see, and that no template has written."""
    return [
        tag
        for tag in _TAG.findall(page)
        if not re.fullmatch(r'<script type="module" src="/admin/assets/\w+/console\.js">', tag)
    ]


async def test_stored_markup_is_shown_as_text_on_every_page(
    app: FastAPI, backstay: Backstay, login: Login, console: Open
) -> None:
    admin = await login("admin")
    made: list[Any] = []
    for path, body in (
        ("/items", {"title": ATTACK, "description": ATTACK}),
        ("/rbac/roles", {"name": ATTACK[:40], "description": ATTACK, "level": 5}),
        ("/users", {"email": "h@example.org", "password": ATTACK[:60], "name": ATTACK[:90]}),
    ):
        answer = await admin.client.post(f"/api/v1{path}", json=body)
        if answer.status_code == 201:
            made.append((path, answer.json()["id"]))
        else:
            assert answer.status_code == 422, answer.text
    assert len(made) >= 2
    headers = {"User-Agent": ATTACK, "X-Request-ID": "a-1"}
    body = {"login": admin.email, "password": "correct horse battery", "transport": "body"}
    await admin.client.post("/api/v1/auth/login", json=body, headers=headers)

    visitor, catalog = await console(), catalog_of(app)
    shown = 0
    pages = [f"/data{each.path}" for each in catalog.reads.values() if not each.parameters]
    pages += [f"/data{path}/{one}" for path, one in made]
    pages += [
        f"/form/update_{p[:-1].rpartition('/')[2]}?path.id={one}&path.role_id={one}"
        for p, one in made
    ]
    pages += [f"/data/users/{admin.id}/sessions"]
    for page in pages:
        text = (await visitor.get(page)).text
        assert live(text) == [], page
        shown += text.count("&lt;script&gt;alert(1)&lt;/script&gt;")
        assert "-&#39;49&lt;" not in text  # the value of an attack, if it were a template
    assert shown >= 4


@pytest.mark.parametrize("attack", ATTACKS)
async def test_what_an_address_says_is_shown_as_text(console: Open, attack: str) -> None:
    visitor = await console()
    for page in ("/data/items", "/data/users", "/data/system/activity"):
        for name in ("q", "title__contains", "sort", "cursor", "unknown", "done"):
            answer = await visitor.get(page, params={name: attack})
            assert live(answer.text) == []
    for page in (f"/data/{attack}", f"/form/{attack}", f"/page/{attack}", f"/export/{attack}"):
        assert live((await visitor.get(page)).text) == []


async def test_what_a_form_says_is_shown_as_text(console: Open) -> None:
    visitor = await console()
    answer = await visitor.submit(
        "/form/create_item", {"title": ATTACK * 10, "description": ATTACK}
    )
    assert answer.status_code == 422
    assert live(answer.text) == []
    wrong = await visitor.sign_in(ATTACK, "wrong password")
    assert live(wrong.text) == []


async def test_further_fields_of_a_form_are_not_sent(
    console: Open, login: Login, backstay: Backstay
) -> None:
    victim, visitor = await login(), await console("user")
    more = {
        "owner_id": victim.id,
        "id": victim.id,
        "version": "99",
        "is_superuser": "true",
        "created_at": "2001-01-01T00:00",
    }
    answer = await visitor.submit("/form/create_item", {"title": "mine", **more})
    assert answer.status_code == 303
    own = await victim.client.get("/api/v1/items")
    assert own.json()["items"] == []
    renamed = await visitor.submit("/form/update_me", {"name": "New", "roles": "admin", **more})
    assert renamed.status_code == 303
    rows = await execute(backstay, select(Activity.fields).where(Activity.message == "UpdateMe"))
    assert [sorted(row.fields) for row in rows] == [["name"]]


def test_templates_hold_no_script_or_style_of_their_own() -> None:
    folder = rendering.ASSETS.parent / "templates"
    files = sorted(folder.rglob("*.html"))
    assert len(files) > 8
    for file in files:
        text = file.read_text()
        assert not re.search(r"\sstyle=|\son[a-z]+=|javascript:|\|\s*safe|<style|http", text), file
        assert re.findall(r"<script(?![^>]* src=)", text) == [], file


def test_a_cell_is_escaped_whatever_its_kind() -> None:
    for kind in ("", "uuid", "date-time", "string"):
        for value in (ATTACK, [ATTACK], {ATTACK: ATTACK}, [{"a": ATTACK}]):
            assert live(escape(cell(value, kind))) == []
            assert live(escape(cell(value, kind, is_whole=True))) == []
    assert live(str(tables.told(ATTACK))) == []


def test_values_are_escaped_where_one_holds_what_joins_them() -> None:
    drawing = Drawing()
    drawing.add("<p>%s</p><i>%s</i>", "a\0<b>", "<b>\0")
    assert escape(drawing) == "<p>a\0&lt;b&gt;</p><i>&lt;b&gt;\0</i>"
    assert escape(Drawing()) == ""


def test_html_that_code_adds_is_written_in_the_code() -> None:
    """Values go beside it, since only they are escaped."""
    found = 0
    for file in sorted(rendering.ASSETS.parent.glob("*.py")):
        if "Drawing" not in (text := file.read_text()):
            continue
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr == "add":
                found += 1
                assert is_written(node.args[0]), f"{file.name}:{node.lineno}"
    assert found > 10


def is_written(node: ast.expr) -> bool:
    """Whether it is a literal, a choice of such, or a constant of the module."""
    if isinstance(node, ast.IfExp):
        return is_written(node.body) and is_written(node.orelse)
    if isinstance(node, ast.Name):
        return node.id.isupper()
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def test_html_that_is_put_together_is_noticed() -> None:
    for text in ("f'<b>{x}</b>'", "'<b>' + x", "x", "g(x)"):
        assert not is_written(ast.parse(text, mode="eval").body)
