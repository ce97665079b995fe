"""Shows that type checkers hold a handler to its message, its row, and the result.

Pyright finds nothing else in the shop of `examples/`; `make types` looks at that with mypy.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_type_hints

import pytest

from backstay.web.route_spec import RouteOptions, RouteSpec
from tests.architecture.tree import ROOT

SHOP = ROOT / "examples" / "shop"
SNIPPET = """
from typing import Annotated

from starlette.responses import HTMLResponse

from backstay.core.bus import handles, prepares
from backstay.core.context import Sender
from backstay.core.errors import NotFound, Refusal
from backstay.core.listing import CursorPage, Page
from backstay.core.targets import AnyTarget, By, Target
from backstay.db.listing import Listing
from backstay.db.resource import Resource
from backstay.features.items.commands import CreateItem, DeleteItem
from backstay.features.items.model import Item
from backstay.features.items.queries import GetItem, ListItems, get_item
from backstay.features.items.schemas import ItemDetail, ItemSummary
from backstay.web.routes import Routes


@handles(CreateItem)
async def fits(command: CreateItem, result: ItemDetail) -> ItemDetail:
    return result


@handles(CreateItem)
async def may_be_refused(command: CreateItem) -> ItemDetail | Refusal:
    return Refusal(NotFound())


@handles(DeleteItem)
async def answers_nothing(command: DeleteItem) -> None: ...


@handles(ListItems)
async def either_page(query: ListItems) -> Page[ItemSummary] | CursorPage[ItemSummary]:
    raise NotImplementedError


@handles(GetItem, instead_of=get_item)
async def with_rows(
    query: GetItem,
    item: Target[ItemDetail],
    entity: AnyTarget[Item],
    named: Annotated[Item, By("id")],
) -> ItemDetail:
    titles: list[str] = [item.title, entity.title, named.title]
    entity.title = ", ".join(titles)
    entity.owner_id = 1  # breach
    print(named.colour)  # breach
    return item


RESOURCE = Resource("things", Item, ItemDetail, shown_by=lambda item: GetItem(id=item.id))
Resource("things", Item, ItemDetail, shown_by=lambda item: GetItem(id=item.title))  # breach
LISTING = Listing(ListItems, Item, ItemSummary)
Listing(GetItem, Item, ItemSummary)  # breach


@handles(CreateItem)  # breach
async def other_message(command: DeleteItem) -> ItemDetail:
    raise NotImplementedError


@handles(CreateItem)  # breach
async def no_message() -> ItemDetail:
    raise NotImplementedError


@prepares(CreateItem)  # breach
async def prepares_another(command: DeleteItem) -> int:
    return 1


@handles(ListItems)  # breach
async def other_page(query: ListItems) -> Page[ItemDetail]:
    raise NotImplementedError


@handles(CreateItem)  # breach
async def other_result(command: CreateItem) -> ItemSummary | None:
    return None


@handles(CreateItem)  # breach
async def no_result(command: CreateItem) -> None: ...


@handles(CreateItem)  # breach
def not_awaitable(command: CreateItem, result: ItemDetail) -> ItemDetail:
    return result


@prepares(GetItem)  # breach
async def prepares_a_query(query: GetItem) -> int:
    return 1


async def sends(send: Sender) -> None:
    created: ItemDetail = await send(CreateItem(title="Chart"))
    text: str = await send(CreateItem(title=created.title))  # breach
    await send(CreateItem(tilte=text))  # breach


def page_of_detail(item: ItemDetail) -> HTMLResponse:
    return HTMLResponse(item.title)


def page_of_text(text: str) -> HTMLResponse:
    return HTMLResponse(text)


def add_routes(routes: Routes) -> None:
    routes.get("/{id}", GetItem, limit=None)
    routes.get("/{id}", GetItem, limti=None)  # breach
    routes.get("/{id}", GetItem, limit="often")  # breach
    routes.page("/{id}/page", GetItem, page_of_detail)
    routes.page("/{id}/page", GetItem, page_of_text)  # breach
    routes.stream("/items.csv", GetItem)  # breach
    routes.upload("/{id}", CreateItem, media_types=("a/b",), max_bytes="1")  # breach


def unannotated(command): ...  # breach
"""


def test_options_of_a_row_have_the_types_of_its_attributes() -> None:
    attributes = get_type_hints(RouteSpec)
    options = get_type_hints(RouteOptions)
    assert options == {name: attributes[name] for name in options}
    assert attributes.keys() - options.keys() == {
        *(
            "method",
            "path",
            "message",
            "tag",
            "versioned",
            "place",
            "streams",
            "filename",
            "upload",
            "render",
        )
    }


def mypy(path: Path) -> tuple[set[int], str]:
    """The lines of a file that mypy refuses, and its report."""
    report = _report("mypy", "--config-file", str(ROOT / "pyproject.toml"), str(path))
    return {int(n) for n in re.findall(r"^.*?\.py:(\d+): error", report, re.MULTILINE)}, report


def pyright(path: Path) -> tuple[set[int], str]:
    """The lines of a file that pyright refuses, and its report; it refuses nothing of the shop."""
    sources = [SHOP / "src", ROOT / "src"]
    settings = {
        "include": [str(path), str(SHOP / "src"), str(SHOP / "tests")],
        "extraPaths": list(map(str, sources)),
    }
    config = path.with_name("pyrightconfig.json")
    config.write_text(
        json.dumps(settings | {"pythonVersion": "3.11", "typeCheckingMode": "strict"})
    )
    report = _report("pyright", "--project", str(config), "--pythonpath", sys.executable)
    found = re.findall(r"(\w+\.py):(\d+):\d+ - error", report)
    assert {name for name, _ in found} == {path.name}, report
    return {int(number) for _, number in found}, report


def _report(*command: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout


@pytest.mark.parametrize("checker", [mypy, pyright])
def test_what_contradicts_a_message_is_a_type_error(
    tmp_path: Path, checker: Callable[[Path], tuple[set[int], str]]
) -> None:
    path = tmp_path / "snippet.py"
    path.write_text(SNIPPET)
    breaches = {n for n, line in enumerate(SNIPPET.splitlines(), 1) if line.endswith("# breach")}
    refused, report = checker(path)
    assert refused == breaches, report
