"""Shows that an upload leaves nothing, unless a command that succeeds keeps it."""

import asyncio
import errno
import os
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI

from backstay.composition import Backstay
from backstay.core import uploads
from backstay.core.feature import Feature
from backstay.core.uploads import Upload
from backstay.testing import Login
from backstay.testing.waiting import eventually
from tests.features.conftest import trail  # noqa: F401
from tests.features.steps import API, Trail, needs
from tests.web.exports import Exchange
from tests.web.pictures import MOST, SetPicture, folder, kept, pictures, seen, temporary  # noqa: F401
from tests.web.problems import problem

pytestmark = [pytest.mark.anyio, needs("items")]
PNG = {"content-type": "image/png"}
PATH = f"{API}/pictures/{uuid4()}"
PIXELS = b"\x89PNG" + b"pixels" * 1000


@pytest.fixture
def features(features: list[Feature]) -> list[Feature]:
    return [*features, pictures()]


async def test_code_sends_a_file_as_an_upload(backstay: Backstay, tmp_path: Path) -> None:
    source = tmp_path / "sea.png"
    source.write_bytes(PIXELS)
    upload = Upload.of_file(source, media_type="image/png", name="sea.png")
    with pytest.raises(LookupError, match="only while its command runs"):
        _ = upload.path
    picture = await backstay.system(SetPicture(id=uuid4(), picture=upload, keep_as="a"))
    assert (picture.size, picture.sha256) == (6004, sha256(PIXELS).hexdigest())
    assert (folder[0] / "a").read_bytes() == source.read_bytes()
    assert "pixels" not in SetPicture(id=uuid4(), picture=upload).model_dump_json()


def received() -> list[Path]:
    return list(Path(tempfile.gettempdir()).iterdir())


async def test_a_handler_keeps_a_file(login: Login) -> None:
    ada = await login()
    for content in (b"first", b"second"):
        answer = await ada.client.post(f"{PATH}?keep_as=a.png", content=content, headers=PNG)
        assert answer.status_code == 200, answer.text
        assert (folder[0] / "a.png").read_bytes() == content
    assert kept() == ["a.png"]
    assert (folder[0] / "a.png").stat().st_mode & 0o777 == 0o600


async def test_a_file_is_kept_on_another_file_system(
    login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada = await login()
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == folder[0].stat().st_dev:
        pytest.skip("there is one file system only")
    with tempfile.TemporaryDirectory(dir=other) as place:
        monkeypatch.setattr(tempfile, "tempdir", place)
        answer = await ada.client.post(f"{PATH}?keep_as=a.png", content=PIXELS, headers=PNG)
        assert answer.status_code == 200, answer.text
        assert os.listdir(place) == []  # noqa: PTH208
    assert (folder[0] / "a.png").read_bytes() == PIXELS
    assert kept() == ["a.png"]


@pytest.mark.parametrize(("then", "status"), [("fail", 500), ("conflict", 409)])
async def test_a_command_that_fails_keeps_nothing(login: Login, then: str, status: int) -> None:
    ada = await login()
    answer = await ada.client.post(f"{PATH}?keep_as=a&then={then}", content=b"x", headers=PNG)
    problem(answer, status)
    assert kept() == []


async def test_a_refusal_that_is_committed_keeps_the_file(login: Login) -> None:
    ada = await login()
    answer = await ada.client.post(f"{PATH}?keep_as=a&then=refuse", content=b"x", headers=PNG)
    problem(answer, 409)
    assert kept() == ["a"]


async def test_an_upload_is_no_job(login: Login) -> None:
    ada = await login()
    problem(await ada.client.post(f"{PATH}?then=job", content=b"x", headers=PNG), 500)


@pytest.mark.parametrize("where", ["create", "write", "keep"])
async def test_a_full_disk_is_an_answer(
    login: Login, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    ada = await login()

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if where == "create":
        monkeypatch.setattr(tempfile, "mkstemp", full)
    elif where == "write":
        monkeypatch.setattr(uploads, "_append", full)
    else:
        monkeypatch.setattr(uploads, "_replace", full)
    answer = await ada.client.post(f"{PATH}?keep_as=a", content=PIXELS, headers=PNG)
    problem(answer, 507, "storage_full")
    assert kept() == []


async def test_a_client_that_leaves_leaves_no_file(
    app: FastAPI,
    login: Login,
    trail: Trail,  # noqa: F811
) -> None:
    ada = await login()
    await trail()
    exchange = Exchange(app, f"/pictures/{uuid4()}", ada)
    exchange.scope["method"] = "POST"
    exchange.scope["headers"] += [(b"content-type", b"image/png"), (b"content-length", b"100")]
    arrived: list[dict[str, Any]] = [{"type": "http.request", "body": b"x", "more_body": True}]

    async def receive() -> Any:
        if arrived:
            return arrived.pop()
        await exchange.left.wait()
        return {"type": "http.disconnect"}

    exchange.receive = receive  # type: ignore[method-assign]
    task = asyncio.create_task(exchange.run())
    await eventually(received)
    exchange.left.set()
    await task
    assert exchange.sent[0]["status"] == 499
    (row,) = await trail()
    assert (row.message, row.code) == ("SetPicture", "client_gone")


async def test_a_cancelled_upload_leaves_no_file(app: FastAPI, login: Login) -> None:
    ada = await login()
    exchange = Exchange(app, f"/pictures/{uuid4()}", ada)
    exchange.scope["method"] = "POST"
    exchange.scope["headers"] += [(b"content-type", b"image/png")]
    arrived: list[dict[str, Any]] = [{"type": "http.request", "body": b"x", "more_body": True}]

    async def receive() -> Any:
        if not arrived:
            await asyncio.Event().wait()
        return arrived.pop()

    exchange.receive = receive  # type: ignore[method-assign]
    task = asyncio.create_task(exchange.run())
    await eventually(received)
    task.cancel()
    await asyncio.wait((task,))
    await eventually(lambda: not received())
