"""Shows what sending a command does: preparation, one transaction, then announcements."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from inspect import isfunction
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.pool import QueuePool

from backstay.core.bus import Bus, authorize, handles, prepares
from backstay.core.clock import new_id, utc_now
from backstay.core.context import PrincipalChanges, Sender
from backstay.core.errors import Conflict, Forbidden, NotFound, Refusal, Unauthenticated
from backstay.core.messages import Command, Query
from backstay.core.permissions import PUBLIC, SIGNED_IN, SYSTEM_ONLY
from backstay.core.principal import STRANGER, SYSTEM, Principal
from backstay.core.registry import Provider, Registry
from backstay.db.database import Database
from backstay.db.options import EngineOptions, create_file
from backstay.db.session import WRITING, Reader, Transaction
from backstay.db.transaction import Transactions
from tests.channels import SilentChannel

pytestmark = pytest.mark.anyio

INSERT = text("INSERT INTO notes VALUES (:word)")
WORDS = text("SELECT word FROM notes ORDER BY word")


class ListWords(Query[list[str]]):
    permission = PUBLIC


@handles(ListWords)
async def list_words(query: ListWords, reader: Reader) -> list[str]:
    return [row.word for row in await reader.rows(WORDS)]


class Write(Command[None]):
    permission = SYSTEM_ONLY

    word: str


@handles(Write)
async def write(
    command: Write, session: Transaction, changes: PrincipalChanges, principal: Principal
) -> None:
    await session.execute(INSERT, {"word": command.word})
    changes.touch(UUID(int=len(command.word)))
    if command.word == "broken":
        raise Conflict


class WriteAll(Command[list[str]]):
    permission = SIGNED_IN

    words: tuple[str, ...]


@handles(WriteAll)
async def write_all(command: WriteAll, session: Transaction, send: Sender) -> list[str]:
    await session.execute(INSERT, {"word": "first"})
    for word in command.words:
        await send.as_system()(Write(word=word))
    return await send(ListWords())


class WriteForbidden(Command[None]):
    permission = SIGNED_IN


@handles(WriteForbidden)
async def write_forbidden(command: WriteForbidden, session: Transaction, send: Sender) -> None:
    await session.execute(INSERT, {"word": "first"})
    await send(Write(word="as somebody"))


class Refuse(Command[str]):
    permission = PUBLIC


@handles(Refuse)
async def refuse(command: Refuse, session: Transaction) -> str | Refusal:
    await session.execute(INSERT, {"word": "remembered"})
    return Refusal(NotFound("But it was noted."))


class RefuseInside(Command[str]):
    permission = PUBLIC


@handles(RefuseInside)
async def refuse_inside(command: RefuseInside, session: Transaction, send: Sender) -> str:
    return await send(Refuse())


@dataclass(frozen=True)
class Prepared:
    connections: int
    seen: list[str]


def connections(database: Database) -> int:
    pool = database.writer.pool
    assert isinstance(pool, QueuePool)
    return pool.checkedout()


class Prepare(Command[tuple[Prepared, int]]):
    permission = SIGNED_IN


@prepares(Prepare)
async def before(command: Prepare, database: Database, send: Sender) -> Prepared:
    return Prepared(connections(database), await send(ListWords()))


@handles(Prepare)
async def prepare(
    command: Prepare, session: Transaction, prepared: Prepared, database: Database
) -> tuple[Prepared, int]:
    await session.execute(INSERT, {"word": "prepared"})
    return prepared, connections(database)


class WriteBefore(Command[str]):
    permission = SIGNED_IN


@prepares(WriteBefore)
async def written_before(command: WriteBefore, send: Sender) -> str:
    await send.as_system()(Write(word="before"))
    return "before"


@handles(WriteBefore)
async def write_before(command: WriteBefore, session: Transaction, written: str) -> str:
    return written


class Channel(SilentChannel):
    """Remembers which users were published as changed."""

    def __init__(self) -> None:
        self.told: list[set[UUID]] = []

    async def publish(self, changes: PrincipalChanges) -> None:
        self.told.append(changes.user_ids)


@dataclass(frozen=True)
class Harness:
    """A bus on its own database, and senders to use them."""

    bus: Bus
    channel: Channel

    def sender(self, principal: Principal = SYSTEM) -> Sender:
        return Sender(self.bus.send, principal)

    async def words(self) -> list[str]:
        return await self.sender()(ListWords())


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    options = EngineOptions(f"sqlite+aiosqlite:///{tmp_path}/notes.db")
    create_file(options)
    database, channel = Database(options), Channel()
    async with database.writer.begin() as connection:
        await connection.execute(text("CREATE TABLE notes (word TEXT)"))
    registry = Registry(value for value in globals().values() if isfunction(value))
    providers: dict[Any, Provider] = {
        Database: lambda context: database,
        Reader: database.reader_of,
        Principal: lambda context: context.principal,
        Sender: lambda context: context.sender.inside(context),
    }
    bus = Bus(registry)
    transaction = Transactions(database, channel, utc_now).transaction
    bus.route(Command, (authorize, bus.prepare_with(providers), transaction), providers | WRITING)
    bus.route(Query, (authorize,), providers)
    assert registry.faults == []
    yield Harness(bus, channel)
    await database.dispose()


def somebody() -> Principal:
    return Principal(user_id=new_id())


async def test_a_message_sent_by_a_handler_joins_its_transaction(harness: Harness) -> None:
    seen = await harness.sender(somebody())(WriteAll(words=("second", "third")))
    assert seen == ["first", "second", "third"] == await harness.words()


async def test_a_failing_inner_command_rolls_back_everything(harness: Harness) -> None:
    with pytest.raises(Conflict):
        await harness.sender(somebody())(WriteAll(words=("second", "broken")))
    assert await harness.words() == []


async def test_a_message_sent_by_a_handler_is_authorized_again(harness: Harness) -> None:
    with pytest.raises(Forbidden):
        await harness.sender(somebody())(WriteForbidden())
    assert await harness.words() == []


async def test_changed_principals_are_announced_once_after_the_commit(harness: Harness) -> None:
    await harness.sender(somebody())(WriteAll(words=("a", "bb")))
    assert harness.channel.told == [{UUID(int=1), UUID(int=2)}]
    with pytest.raises(Conflict):
        await harness.sender()(Write(word="broken"))
    assert len(harness.channel.told) == 1


async def test_a_command_sent_before_the_transaction_has_its_own(harness: Harness) -> None:
    assert await harness.sender(somebody())(WriteBefore()) == "before"
    assert await harness.words() == ["before"]
    assert harness.channel.told == [{UUID(int=len("before"))}]


async def test_a_returned_refusal_is_raised_after_the_commit(harness: Harness) -> None:
    with pytest.raises(NotFound, match="it was noted"):
        await harness.sender(STRANGER)(Refuse())
    assert await harness.words() == ["remembered"]


async def test_a_refusal_inside_another_command_is_undone_with_it(harness: Harness) -> None:
    with pytest.raises(NotFound):
        await harness.sender(STRANGER)(RefuseInside())
    assert await harness.words() == []


async def test_preparing_holds_no_connection(harness: Harness) -> None:
    await harness.sender()(Write(word="earlier"))
    prepared, inside = await harness.sender(somebody())(Prepare())
    assert prepared == Prepared(connections=0, seen=["earlier"])
    assert inside == 1


async def test_nothing_is_prepared_for_a_caller_without_permission(harness: Harness) -> None:
    with pytest.raises(Unauthenticated):
        await harness.sender(STRANGER)(Prepare())


class Unhandled(Command[None]):
    permission = PUBLIC


async def test_sending_a_message_without_a_handler_raises_a_lookup_error(harness: Harness) -> None:
    with pytest.raises(LookupError, match="Unhandled"):
        await harness.sender()(Unhandled())
