"""A server whose application fails in every way: ``python -m tests.cli.failing OPTIONS``."""

import asyncio
import gc
import logging
import os
import sys
import threading
import warnings
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from backstay.core.bus import handles
from backstay.core.feature import Feature
from backstay.core.messages import Query
from backstay.core.permissions import PUBLIC
from backstay.core.streams import Stream
from backstay.features import STANDARD
from backstay.web.routes import Routes

DSN = "postgresql://shop:hush@db.example.org/shop"
router = APIRouter(prefix="/planted")


class Error(Exception):
    """An error whose text holds the database URL with its password."""

    def __init__(self, way: str) -> None:
        super().__init__(f"{way}: cannot connect to {DSN}\nasked twice")


def fail(way: str, *_: Any) -> Any:
    raise Error(way)


class Clumsy:
    def __del__(self) -> None:
        fail("unraisable")


@router.get("/bug")
async def bug() -> None:
    fail("bug")


@router.get("/late")
async def late() -> StreamingResponse:
    async def half() -> AsyncIterator[bytes]:
        yield b"half"
        fail("late")

    return StreamingResponse(half())


class Half(Query[Stream[bytes]]):
    permission = PUBLIC


@handles(Half)
async def half_of_stream(query: Half) -> Stream[bytes]:
    async def half() -> AsyncIterator[bytes]:
        yield b"half"
        fail("stream")

    return Stream(half())


class Endless(Query[Stream[bytes]]):
    permission = PUBLIC


@handles(Endless)
async def endless(query: Endless) -> Stream[bytes]:
    async def chunks() -> AsyncIterator[bytes]:
        try:
            yield b"chunk"
            await asyncio.Event().wait()
        finally:
            logging.getLogger("library").warning("the client has left")

    return Stream(chunks())


streams = Routes("/planted", tag="planted", versioned=False)
streams.stream("/half.csv", Half)
streams.stream("/endless.csv", Endless)


@router.get("/aside")
async def aside() -> None:
    """Fail outside of the request: in a callback, a task, a thread, a destructor and a library."""
    loop = asyncio.get_running_loop()
    loop.call_soon(fail, "callback")
    dying = asyncio.create_task(_die())
    await asyncio.wait({dying})
    del dying
    gc.collect()
    thread = threading.Thread(target=fail, args=("thread",), name="clumsy")
    thread.start()
    await asyncio.to_thread(thread.join)
    Clumsy()
    warnings.warn(f"warned of {DSN}", stacklevel=1)
    library = logging.getLogger("library")
    library.warning("two lines\nof %s", DSN)
    library.warning("no number: %d", "x")
    try:
        fail("library")
    except Error:
        library.exception("it failed")


async def _die() -> None:
    raise Error("task")


async def stop(_: Any) -> None:
    fail("stop")


def application(started_by: int | None = None) -> Any:
    """The usual application, with the routes above."""
    from backstay import application  # noqa: PLC0415
    from backstay.server import worker  # noqa: PLC0415

    planted = Feature("planted", modules=(sys.modules[__name__],), routes=(streams,))
    made = application.Application(
        "failing",
        features=[*STANDARD, planted],
        routers=[router],
        on_stop=[stop],
        migrations=None,
    )
    if "CANNOT_START" in os.environ:
        vars(made)["create_app"] = partial(fail, "start")
    application.PACKAGED = made
    return worker.application(started_by)


if __name__ == "__main__":
    from backstay.server import parent
    from tests.cli import failing

    parent.APPLICATION = "tests.cli.failing:application"
    vars(parent)["application"] = failing.application
    parent.main(*sys.argv[1:])
