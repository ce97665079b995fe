"""Shows that the type checker holds a handler to the result that its message promises."""

import re
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

from backstay.web.route_spec import RouteOptions, RouteSpec
from tests.architecture.tree import ROOT

SNIPPET = """
from starlette.responses import HTMLResponse

from backstay.core.bus import handles, prepares
from backstay.core.context import Sender
from backstay.core.errors import NotFound, Refusal
from backstay.features.items.commands import CreateItem, DeleteItem
from backstay.features.items.queries import GetItem
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


def unannotated(command):  # breach
    return command
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
    """The lines of a file that the type checker refuses, and its report."""
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml")]
    report = subprocess.run(
        [*command, path], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout
    return {int(n) for n in re.findall(r"^.*?\.py:(\d+): error", report, re.MULTILINE)}, report


def test_wrong_handler_results_and_missing_annotations_are_type_errors(tmp_path: Path) -> None:
    path = tmp_path / "snippet.py"
    path.write_text(SNIPPET)
    breaches = {n for n, line in enumerate(SNIPPET.splitlines(), 1) if line.endswith("# breach")}
    refused, report = mypy(path)
    assert refused == breaches, report
