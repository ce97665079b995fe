"""The application whose servers and workers are replaced under load.

It has slow requests, downloads, WebSockets and jobs besides what the package has.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse

from backstay.application import Application
from backstay.core.bus import handles
from backstay.core.feature import Feature
from backstay.core.messages import Command
from backstay.core.permissions import SIGNED_IN, SYSTEM_ONLY
from backstay.features import STANDARD
from backstay.features.items.commands import CreateItem
from backstay.jobs.outbox import Jobs
from backstay.web.callers import Send

SECONDS = 2.0
"""How long slow requests and jobs take."""
LINES = 30
"""How many lines a download has, ten in a second."""
router = APIRouter(prefix="/rolling")


class Work(Command[None]):
    """A job that tells when it begins and when it is done."""

    permission = SYSTEM_ONLY
    number: int


@handles(Work)
async def work(command: Work) -> None:
    tell(f"begin {command.number}")
    await asyncio.sleep(SECONDS)
    tell(f"end {command.number}")


class WorkLater(Command[None]):
    """Enqueue the job of a number."""

    permission = SIGNED_IN
    number: int


@handles(WorkLater)
async def work_later(command: WorkLater, jobs: Jobs) -> None:
    await jobs.as_system().enqueue(Work(number=command.number))


def tell(line: str) -> None:
    """Append a line to the file of all workers."""
    told = os.open(Path(os.environ["ROLLING_FOLDER"], "jobs"), os.O_WRONLY | os.O_APPEND)
    os.write(told, f"{line}\n".encode())
    os.close(told)


@router.post("/jobs/{number}", status_code=204)
async def enqueue(number: int, send: Send) -> None:
    await send(WorkLater(number=number))


@router.post("/slow/{title}", status_code=204)
async def slow(title: str, send: Send) -> None:
    await asyncio.sleep(SECONDS)
    await send(CreateItem(title=title))


@router.get("/download")
async def download(send: Send) -> StreamingResponse:
    async def lines() -> AsyncIterator[str]:
        for number in range(LINES):
            yield f"line {number}\n"
            await asyncio.sleep(0.1)

    return StreamingResponse(lines(), media_type="text/plain")


@router.websocket("/echo")
async def echo(socket: WebSocket, send: Send) -> None:
    await socket.accept()
    try:
        while True:
            await socket.send_text(await socket.receive_text())
    except WebSocketDisconnect:
        return


application = Application(
    "rolling",
    features=(*STANDARD, Feature("rolling", modules=(sys.modules[__name__],), requires=("items",))),
    routers=(router,),
    migrations=os.environ.get("ROLLING_MIGRATIONS") or None,
)
