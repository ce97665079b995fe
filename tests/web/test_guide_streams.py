"""The guide "Streams, uploads, pages and plain routers" works as it is written."""

import importlib.util
import re
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from fastapi import FastAPI

from backstay.application import create_app
from backstay.core.feature import Feature
from backstay.settings import Settings
from backstay.testing import FrozenClock, Login, client_of
from tests.features.steps import API, needs
from tests.web.problems import problem

pytestmark = [pytest.mark.anyio, needs("items")]
GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "streams-and-uploads.md"
NAME = "backstay_guide_streams"
PIXELS = b"\x89PNG" + b"pixels" * 20_000


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module that the blocks of the guide make; it keeps pictures in a folder of the test."""
    blocks = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    path = tmp_path / f"{NAME}.py"
    path.write_text("\n\n".join(blocks))
    spec = importlib.util.spec_from_file_location(NAME, path)
    assert spec is not None
    assert spec.loader is not None
    made = sys.modules[NAME] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    monkeypatch.chdir(tmp_path)
    yield made
    del sys.modules[NAME]


@pytest.fixture
async def app(
    settings: Settings, features: list[Feature], clock: FrozenClock, module: ModuleType
) -> AsyncIterator[FastAPI]:
    files = Feature("files", modules=(module,), routes=(module.routes,), requires=("items",))
    application = create_app(
        settings, [*features, files], routers=[module.router], clock=clock, worker=False
    )
    async with application.router.lifespan_context(application):
        yield application


async def test_the_guide_streams_and_takes_files(login: Login, app: FastAPI) -> None:
    ada, bob = await login(), await login()
    item = (await ada.client.post(f"{API}/items", json={"title": "=Rope"})).json()
    text = (await ada.client.get(f"{API}/items.csv")).text
    assert text == f"id,title,description\r\n{item['id']},'=Rope,\r\n"
    lines = (await ada.client.get(f"{API}/items.jsonl?prefix==R")).json()
    assert lines == {"id": item["id"], "title": "=Rope", "description": None}
    assert (await bob.client.get(f"{API}/items.jsonl")).text == ""
    picture = f"{API}/items/{item['id']}/picture"
    problem(await ada.client.get(picture), 404)
    sent = await ada.client.post(picture, files={"picture": ("sea.png", PIXELS, "image/png")})
    assert (sent.status_code, sent.json()["name"]) == (200, "sea.png")
    problem(
        await bob.client.post(picture, content=b"x", headers={"content-type": "image/png"}), 404
    )
    got = await ada.client.get(picture)
    assert (got.content, got.headers["content-type"]) == (PIXELS, "image/png")
    problem(await bob.client.get(picture), 404)


async def test_the_pages_and_the_router_of_the_guide_answer(login: Login, app: FastAPI) -> None:
    ada = await login()
    created = await ada.client.post("/shop/items", json={"title": "<b>"})
    label = await ada.client.get(f"{API}/items/{created.json()}/label")
    assert "<h1>Item &lt;b&gt;</h1>" in label.text
    assert (await ada.client.get("/shop/me")).json() == ada.id
    assert (await ada.client.get("/shop/greeting")).json() == "Welcome back"
    async with client_of(app) as client:
        problem(await client.get("/shop/me"), 401)
        problem(await client.post("/shop/items", content=b"{"), 401)
        assert (await client.get("/shop/greeting")).json() == "Hello, stranger"
