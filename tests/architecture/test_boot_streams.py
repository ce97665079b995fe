"""Shows that rows of streams and uploads that could not work stop the boot."""

from collections.abc import Callable
from typing import Any

import pytest

from backstay.core.bus import handles
from backstay.core.messages import Command, FromPath, Query, View
from backstay.core.permissions import PUBLIC
from backstay.core.streams import Stream
from backstay.core.uploads import Upload
from backstay.core.wiring import Code
from backstay.web.routes import Routes
from tests.architecture.booting import Faults, feature


class RigView(View):
    id: int


class GetRig(Query[RigView]):
    permission = PUBLIC


@handles(GetRig)
async def get_rig(query: GetRig) -> RigView:
    raise NotImplementedError


class ListRows(Query[Stream[RigView]]):
    permission = PUBLIC


@handles(ListRows)
async def list_rows(query: ListRows) -> Stream[RigView]:
    raise NotImplementedError


class Paint(Command[None]):
    permission = PUBLIC

    id: FromPath[int]
    picture: Upload


@handles(Paint)
async def paint(command: Paint) -> None: ...


class Label(Command[None]):
    permission = PUBLIC

    picture: Upload
    text: str


@handles(Label)
async def label(command: Label) -> None: ...


class Scrub(Command[None]):
    permission = PUBLIC


@handles(Scrub)
async def scrub(command: Scrub) -> None: ...


MEMBERS = (GetRig, get_rig, ListRows, list_rows, Paint, paint, Label, label, Scrub, scrub)
PNG = ("image/png",)
Say = Callable[[Routes], object]
WRONG: dict[str, tuple[Code, Say]] = {
    "a stream as an answer": (Code.ROUTE_STREAM, lambda r: r.get("/rows", ListRows)),
    "an answer as a stream": (
        Code.ROUTE_STREAM,
        lambda r: r.stream("/rigs.csv", GetRig),  # type: ignore[arg-type]
    ),
    "a stream of no type": (Code.ROUTE_STREAM, lambda r: r.stream("/rows", ListRows)),
    "rows as pictures": (
        Code.ROUTE_STREAM,
        lambda r: r.stream("/rows", ListRows, media_type="image/png"),
    ),
    "an upload as a body": (Code.ROUTE_UPLOAD, lambda r: r.post("/{id}", Paint)),
    "an upload of nothing": (
        Code.ROUTE_UPLOAD,
        lambda r: r.upload("", Scrub, media_types=PNG, max_bytes=1),
    ),
    "an upload with a body": (
        Code.ROUTE_UPLOAD,
        lambda r: r.upload("", Label, media_types=PNG, max_bytes=1),
    ),
    "an upload of no type": (
        Code.ROUTE_UPLOAD,
        lambda r: r.upload("/{id}", Paint, media_types=(), max_bytes=1),
    ),
    "an upload of no bytes": (
        Code.ROUTE_UPLOAD,
        lambda r: r.upload("/{id}", Paint, media_types=PNG, max_bytes=0),
    ),
}


def rigs(say: Say) -> Any:
    routes = Routes("/rigs", tag="rigs")
    say(routes)
    return feature(*MEMBERS, routes=(routes,))


@pytest.mark.parametrize("name", WRONG)
def test_a_row_that_could_not_work_stops_the_boot(faults: Faults, name: str) -> None:
    code, say = WRONG[name]
    (fault,) = faults(rigs(say))
    assert fault.code is code
    assert fault.hint


def test_an_upload_is_no_task(faults: Faults) -> None:
    (fault,) = faults(feature(*MEMBERS, tasks={"rigs.paint": Paint}))
    assert fault.code is Code.TASK_COMMAND
    assert "its field `picture` lasts as long as its request" in fault.problem
