"""Shows how a feature arranges its pages, and which of its mistakes are found at boot."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from backstay.application import create_app
from backstay.core.wiring import BootError
from backstay.features import STANDARD
from backstay.testing import settings_with
from tests.admin.visiting import Visitor

pytestmark = pytest.mark.anyio

FEATURE = """
from backstay import Feature
feature = Feature("arranged", __name__, requires=("items",))
"""
QUERIES = '''
from backstay import SIGNED_IN, Query, View, handles

class Sales(View):
    total: int
    note: str

class GetSales(Query[Sales]):
    """What was sold."""
    permission = SIGNED_IN

@handles(GetSales)
async def get_sales(query: GetSales) -> Sales:
    return Sales(total=42, note="<b>good</b>")
'''
ROUTES = """
from backstay import Routes
from {package}.queries import GetSales
routes = Routes("/sales", tag="sales")
routes.get("", GetSales)
"""
ADMIN = """
from backstay import AdminPage, AdminView
from backstay.features.items.commands import RestoreItem, UpdateItem
from backstay.features.items.queries import ListItems
from {package}.queries import GetSales

items = AdminView(
    list=ListItems,
    title="Things",
    group="Stock",
    columns=("title", "updated_at"),
    form=("description", "title"),
    actions=(UpdateItem,),
    cells={{"title": str.upper}},
)
sales = AdminPage(path="sales", title="Sales", query=GetSales, template="sales.html")
plain = AdminPage(path="plain", title="Plain", query=GetSales)
"""
TEMPLATE = """
{% extends "page.html" %}
{% block page %}<p>Sold: {{ data.total }}, {{ data.note }}</p>{% endblock %}
"""


def written(folder: Path, name: str, admin: str = ADMIN) -> str:
    """A feature in a package of its own."""
    package = folder / name
    package.mkdir()
    files = {"__init__": FEATURE, "queries": QUERIES, "routes": ROUTES, "admin": admin}
    for module, text in files.items():
        made = text.format(package=name) if module in {"routes", "admin"} else text
        (package / f"{module}.py").write_text(made)
    (folder / "templates" / "admin").mkdir(parents=True, exist_ok=True)
    (folder / "templates" / "admin" / "sales.html").write_text(TEMPLATE)
    return name


@pytest.fixture
async def app(
    seeded_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FastAPI]:
    monkeypatch.syspath_prepend(str(tmp_path))
    feature = __import__(written(tmp_path, f"arranged_{tmp_path.name}")).feature
    made = create_app(
        settings_with(seeded_url, tmp_path), [*STANDARD, feature], templates=tmp_path / "templates"
    )
    async with made.router.lifespan_context(made):
        yield made


@pytest.fixture
async def visitor(app: FastAPI) -> AsyncIterator[Visitor]:
    opened = Visitor(app)
    await opened.sign_in("admin")
    yield opened
    await opened.client.aclose()


async def test_a_feature_arranges_lists_forms_and_actions(visitor: Visitor) -> None:
    made = await visitor.submit("/form/create_item", {"title": "small"})
    page = (await visitor.get("/data/items")).text
    assert "<h1>Things</h1>" in page
    assert re.findall(r'<th scope="col"[^>]*>(?:<a[^>]*>)?([^<]+)', page) == ["Title", "Updated at"]
    assert ">SMALL</a>" in page
    form = (await visitor.get("/form/create_item")).text
    assert re.findall(r'name="(title|description)"', form) == ["description", "title"]
    detail = (await visitor.client.get(made.headers["location"])).text
    near, _, further = detail.partition("More actions")
    assert "Update item</a>" in near
    assert "Delete item</a>" in further


async def test_the_navigation_has_groups(visitor: Visitor) -> None:
    page = (await visitor.get("/page/health")).text
    (side,) = re.findall(r'<div class="side">(.*?)</nav>', page, re.DOTALL)
    groups = {}
    for group in side.split("<h2>"):
        name, *_ = group.split("</h2>")
        groups[name if "<" not in name else ""] = re.findall(r">([^<]+)</a>", group)
    assert groups == {
        "": ["Dashboard", "Plain", "Sales"],
        "Access": ["Permissions", "Roles", "Roles matrix", "Sessions", "Tiers", "Users"],
        "Operations": [
            *(
                "Audit trail",
                "Backup policy",
                "Backups",
                "Bulk actions",
                "Health",
                "Jobs",
                "Mailbox",
            ),
            *("Queues", "Schedule", "Settings", "Tasks"),
        ],
        "Stock": ["Things"],
        "API": ["Explorer"],
    }


async def test_a_feature_adds_pages(visitor: Visitor) -> None:
    home = (await visitor.get("")).text
    assert 'href="/admin/page/sales"' in home
    assert "<p>Sold: 42, &lt;b&gt;good&lt;/b&gt;</p>" in (await visitor.get("/page/sales")).text
    plain = (await visitor.get("/page/plain")).text
    assert "<dt>Total</dt><dd>42</dd>" in plain
    assert (await visitor.get("/page/none")).status_code == 404


@pytest.mark.parametrize(
    ("admin", "told"),
    [
        ("columns=('titel',)", "Write title."),
        ("actions=(SetPassword,)", "is an action of ListItems without a route"),
        ("cells={'none': str}", "has no column `none`"),
    ],
)
def test_mistakes_are_found_at_boot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, admin: str, told: str
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    text = (
        (
            "from backstay import AdminView, Command\n"
            "from backstay.features.items.queries import ListItems\n"
            "class SetPassword(Command[None]):\n    pass\n"
            f"view = AdminView(list=ListItems, {admin})\n"
        )
        .replace("{", "{{")
        .replace("}", "}}")
    )
    feature = __import__(written(tmp_path, f"wrong_{tmp_path.name}", text)).feature
    with pytest.raises(BootError) as raised:
        create_app(settings_with("sqlite:///unused.db", tmp_path), [*STANDARD, feature])
    assert [fault.code for fault in raised.value.faults] == ["admin.view"]
    assert told in str(raised.value)
    assert "admin.py:" in str(raised.value)
