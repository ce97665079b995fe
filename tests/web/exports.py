"""A feature with streams, and an exchange of messages with the application as servers have it."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from fastapi import FastAPI
from sqlalchemy import event, insert, select

from backstay.composition import Backstay
from backstay.core.bus import handles
from backstay.core.clock import new_id
from backstay.core.feature import Feature
from backstay.core.messages import Query, View
from backstay.core.permissions import PUBLIC
from backstay.core.principal import Grant, Principal
from backstay.core.streams import Stream
from backstay.db.queries import visible
from backstay.db.session import Reader
from backstay.db.streaming import stream_rows
from backstay.features.items.model import Item
from backstay.features.items.schemas import ITEMS
from backstay.testing import Person
from backstay.testing.waiting import LIMIT
from backstay.web.routes import Routes
from tests.features.conftest import trail  # noqa: F401
from tests.features.steps import API, execute


class Row(View):
    id: UUID
    title: str


class ExportItems(Query[Stream[Row]]):
    """Every item that the caller may see."""

    permission = ITEMS.list
    takes_long = True

    prefix: str = ""


@handles(ExportItems)
async def export_items(
    query: ExportItems, reader: Reader, principal: Principal, grant: Grant
) -> Stream[Row]:
    rows = select(Item.id, Item.title).where(
        visible(Item.owner_id, principal, grant), Item.title.startswith(query.prefix)
    )
    return stream_rows(reader, rows, Row, key=Item.id)


class Chunks(Query[Stream[bytes]]):
    permission = PUBLIC


Source = Callable[[], AsyncIterator[bytes]]
source: list[Source] = []


@handles(Chunks)
async def chunks(query: Chunks) -> Stream[bytes]:
    return Stream(source[0](), filename="Übersicht.bin")


routes = Routes("/exports", tag="exports")
routes.stream("/items.csv", ExportItems)
routes.stream("/items.jsonl", ExportItems, name="items_as_json", filename="mine.jsonl")
routes.stream("/chunks", Chunks, media_type="application/octet-stream")


def exports() -> Feature:
    """The feature with these messages and routes."""
    return Feature(
        "exports", modules=(sys.modules[__name__],), routes=(routes,), requires=("items",)
    )


async def fill(backstay: Backstay, owner: Person, titles: list[str]) -> None:
    now = backstay.clock()
    rows = [
        {"id": new_id(), "title": title, "owner_id": UUID(owner.id), "version": 1}
        | {"created_at": now, "updated_at": now}
        for title in titles
    ]
    async with backstay.database.writer.begin() as connection:
        await connection.execute(insert(Item), rows)


@asynccontextmanager
async def reads(backstay: Backstay) -> AsyncIterator[list[tuple[str, int]]]:
    """The statements about items, and how many connections were out while each one ran."""
    engine = backstay.database.read_engine.sync_engine
    engines = {engine, backstay.database.writer.sync_engine}
    seen: list[tuple[str, int]] = []

    def note(*args: Any) -> None:
        if "FROM items" in args[2]:
            seen.append((args[2], 1))

    for each in engines:
        event.listen(each, "before_cursor_execute", note)
    yield seen
    for each in engines:
        event.remove(each, "before_cursor_execute", note)


class Exchange:
    """One request to the application, as a server makes it; the test sees each message."""

    def __init__(self, app: FastAPI, path: str, person: Person | None = None) -> None:
        self.app = app
        headers = {"host": "testserver"}
        if person is not None:
            headers["authorization"] = person.client.headers["authorization"]
        self.scope: MutableMapping[str, Any] = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "path": f"{API}{path}",
            "query_string": b"",
            "root_path": "",
            "headers": [(n.encode(), v.encode()) for n, v in headers.items()],
            "client": ("192.0.2.1", 4000),
        }
        self.sent: list[MutableMapping[str, Any]] = []
        self.left = asyncio.Event()
        self._asked = False

    async def receive(self) -> MutableMapping[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request"}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        self.sent.append(message)
        await self.taken()

    async def taken(self) -> None:
        """What happens while the client takes a message."""

    async def run(self) -> None:
        await asyncio.wait_for(self.app(self.scope, self.receive, self.send), LIMIT)

    @property
    def body(self) -> bytes:
        return b"".join(each.get("body", b"") for each in self.sent)

    @property
    def is_complete(self) -> bool:
        last = self.sent[-1]
        return last["type"] == "http.response.body" and not last.get("more_body", False)


async def take_grant(backstay: Backstay) -> None:
    """Take the permission to export from the role of every user."""
    admin = backstay.system
    from backstay.features.access.commands.grants import RevokePermission  # noqa: PLC0415
    from backstay.features.access.model import Permission, Role  # noqa: PLC0415

    role = (await execute(backstay, select(Role.id).where(Role.name == "user"))).scalar_one()
    keys = select(Permission.id).where(
        Permission.resource == ITEMS.list.resource, Permission.action == ITEMS.list.action
    )
    permission = (await execute(backstay, keys)).scalar_one()
    await admin(RevokePermission(role_id=role, permission_id=permission))


async def broken(exchange: Exchange) -> dict[str, Any]:
    """Run an exchange that breaks after its first byte; the cause that was logged."""
    await exchange.run()
    assert exchange.sent[0]["status"] == 200
    assert exchange.body
    assert not exchange.is_complete
    cause: dict[str, Any] = exchange.scope["backstay.cause"]
    return cause
