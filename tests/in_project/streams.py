"""What the guide "Streams, uploads, pages and plain routers" promises, in the project it makes."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi import FastAPI

from backstay.application import Application, application_in_use
from backstay.testing import Login, client_of

API = "/api/v1"
PIXELS = b"\x89PNG" + b"pixels" * 20_000
PNG = {"content-type": "image/png"}


@pytest.fixture
def application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Application:
    """The project's own, with the router of the guide; pictures are kept in the test's folder."""
    made = application_in_use()
    files = vars(sys.modules["shop.features.files"])
    monkeypatch.chdir(tmp_path)
    return replace(made, routers=(files["router"],))


async def test_the_guide_streams_and_takes_files(login: Login) -> None:
    ada, bob = await login(), await login()
    body = {"text": "=Rope", "stars": 4}
    review = (await ada.client.post(f"{API}/reviews", json=body)).json()
    text = (await ada.client.get(f"{API}/reviews.csv")).text
    assert text == f"id,text,stars\r\n{review['id']},'=Rope,4\r\n"
    lines = (await ada.client.get(f"{API}/reviews.jsonl?prefix==R")).json()
    assert lines == {"id": review["id"], "text": "=Rope", "stars": 4}
    assert (await bob.client.get(f"{API}/reviews.jsonl")).text == ""
    picture = f"{API}/reviews/{review['id']}/picture"
    assert (await ada.client.get(picture)).status_code == 404
    sent = await ada.client.post(picture, files={"picture": ("sea.png", PIXELS, "image/png")})
    assert (sent.status_code, sent.json()["name"]) == (200, "sea.png")
    assert (await bob.client.post(picture, content=b"x", headers=PNG)).status_code == 404
    got = await ada.client.get(picture)
    assert (got.content, got.headers["content-type"]) == (PIXELS, "image/png")
    assert (await bob.client.get(picture)).status_code == 404


async def test_the_pages_and_the_router_of_the_guide_answer(login: Login, app: FastAPI) -> None:
    ada = await login()
    created = await ada.client.post("/shop/reviews", json={"text": "<b>"})
    shown = await ada.client.get(f"{API}/reviews/{created.json()}/page")
    assert "<h1>5 stars</h1>\n<p>&lt;b&gt;</p>" in shown.text
    assert (await ada.client.get("/shop/me")).json() == ada.id
    assert (await ada.client.get("/shop/greeting")).json() == "Welcome back"
    async with client_of(app) as client:
        assert (await client.get("/shop/me")).status_code == 401
        assert (await client.post("/shop/reviews", content=b"{")).status_code == 401
        assert (await client.get("/shop/greeting")).json() == "Hello, stranger"
