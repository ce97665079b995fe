"""A feature that takes uploads."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from backstay.core.bus import handles, prepares
from backstay.core.context import Sender
from backstay.core.errors import Conflict, Refusal
from backstay.core.feature import Feature
from backstay.core.messages import Command, FromPath, FromQuery, View
from backstay.core.permissions import PUBLIC
from backstay.core.principal import Principal
from backstay.core.uploads import Upload
from backstay.features.items.commands import CreateItem
from backstay.features.items.schemas import ITEMS
from backstay.jobs.outbox import Jobs
from backstay.web.routes import Routes

MOST = 3_000_000
"""Bytes: more than other bodies may have."""
folder: list[Path] = []
"""Where kept pictures are."""
seen: list[Path] = []
"""The files that handlers have read."""


class Picture(View):
    id: UUID
    name: str
    media_type: str
    size: int
    sha256: str
    first: str


def is_allowed(_: Principal, command: "SetPicture") -> bool:
    return command.then != "forbidden"


class SetPicture(Command[Picture]):
    """Set the picture of an item."""

    permission = ITEMS.update
    rules = (is_allowed,)

    id: FromPath[UUID]
    keep_as: FromQuery[str] = ""
    then: FromQuery[str] = ""
    picture: Upload


class Prepared(Picture):
    pass


@prepares(SetPicture)
async def look(command: SetPicture) -> Prepared:
    upload = command.picture
    told = {n: getattr(upload, n) for n in ("name", "media_type", "size", "sha256")}
    with upload.path.open("rb") as file:
        return Prepared(id=command.id, first=file.read(4).hex(), **told)


@handles(SetPicture)
async def set_picture(
    command: SetPicture, found: Prepared, send: Sender, jobs: Jobs
) -> Picture | Refusal:
    seen.append(command.picture.path)
    if command.keep_as:
        await command.picture.keep(folder[0] / command.keep_as)
    if command.then == "item":
        await send(CreateItem(title=found.name or "unnamed"))
    if command.then == "fail":
        raise ZeroDivisionError
    if command.then == "conflict":
        raise Conflict
    if command.then == "refuse":
        return Refusal(Conflict())
    if command.then == "job":
        await jobs.enqueue(command)
    return Picture(**found.model_dump())


class Drop(Command[None]):
    """Take a file from anybody, and forget it."""

    permission = PUBLIC

    file: Upload


@handles(Drop)
async def drop(command: Drop) -> None:
    seen.append(command.file.path)


routes = Routes("/pictures", tag="pictures")
TYPES = ("image/png", "image/jpeg")
routes.upload("/{id}", SetPicture, media_types=TYPES, max_bytes=MOST)
routes.upload("/drop", Drop, media_types=("text/plain",), max_bytes=10, method="PUT", status=204)


def pictures() -> Feature:
    """The feature with these messages and routes."""
    return Feature(
        "pictures", modules=(sys.modules[__name__],), routes=(routes,), requires=("items",)
    )


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of temporary files, empty after each test."""
    place, kept = tmp_path / "tmp", tmp_path / "kept"
    place.mkdir()
    kept.mkdir()
    folder[:], seen[:] = [kept], []
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield place
    assert not list(place.iterdir())


def kept() -> list[str]:
    return sorted(path.name for path in folder[0].iterdir())
