"""Sample feature for traces and reports: a request that enqueues a job, and ways to fail."""

import sys
from typing import Any

from fastapi import APIRouter, WebSocket
from sqlalchemy import text

from backstay.core.bus import handles
from backstay.core.errors import Conflict
from backstay.core.feature import Feature
from backstay.core.messages import Command
from backstay.core.permissions import PUBLIC, SYSTEM_ONLY
from backstay.db.session import Transaction
from backstay.jobs.outbox import Jobs
from backstay.web.routes import Routes

SECRET = "postgresql://shop:hush@db.example.org/shop"
COUNT = text("SELECT count(*) FROM users WHERE username = :name")


class SendParcel(Command[None]):
    """Counts users, and has the parcel weighed by a job."""

    permission = PUBLIC

    name: str
    how: str = "well"


@handles(SendParcel)
async def send_parcel(command: SendParcel, session: Transaction, jobs: Jobs) -> None:
    await session.execute(COUNT, {"name": command.name})
    match command.how:
        case "refused":
            raise Conflict("hush")
        case "broken":
            raise ZeroDivisionError(f"hush {SECRET}")
    await jobs.as_system().enqueue(WeighParcel(name=command.name), attempts=1)


class WeighParcel(Command[None]):
    permission = SYSTEM_ONLY

    name: str


@handles(WeighParcel)
async def weigh_parcel(command: WeighParcel, session: Transaction) -> None:
    await session.execute(COUNT, {"name": command.name})
    if command.name == "heavy":
        raise ZeroDivisionError(f"hush {SECRET}")


routes = Routes("/parcels", tag="parcels")
routes.post("", SendParcel)

router = APIRouter(prefix="/planted")


@router.get("/bug")
async def bug() -> None:
    secret_of_a_frame = SECRET
    raise ZeroDivisionError(f"hush {secret_of_a_frame}")


@router.websocket("/socket")
async def socket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.receive_text()
    await socket.close()


parcels: Any = Feature("parcels", modules=(sys.modules[__name__],), routes=(routes,))
