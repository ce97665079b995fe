"""A database with the test tables, and the way a command reaches it."""

import random
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID

import pytest

from backstay.core.bus import Bus
from backstay.core.clock import utc_now
from backstay.core.context import Context, Origin, Sender
from backstay.core.messages import Command, Message
from backstay.core.permissions import SYSTEM_ONLY
from backstay.core.principal import SYSTEM, Principal
from backstay.core.registry import Registry
from backstay.db.base import Base
from backstay.db.database import Database
from backstay.db.options import EngineOptions, create_file
from backstay.db.session import Transaction
from backstay.db.transaction import Transactions
from backstay.testing.postgres_server import PostgresServer
from backstay.testing.waiting import LIMIT, eventually
from tests.channels import SilentChannel
from tests.db.books import book, store
from tests.db.copies import Copies
from tests.db.tables import TABLES, Mood

T = TypeVar("T")
Work = Callable[[Transaction], Awaitable[T]]


class Change(Command[Any]):
    permission = SYSTEM_ONLY


class Commands:
    """Runs functions as the handler of a command: in the real transaction step."""

    def __init__(self, database: Database) -> None:
        self.is_concurrent = not database.options.is_sqlite
        self._step = Transactions(database, SilentChannel(), utc_now).transaction

    async def __call__(self, work: Work[T], author: UUID | None = None) -> T:
        async def handle(context: Context) -> T:
            return await work(context.unit.transaction)

        principal = Principal(user_id=author) if author else SYSTEM
        result: T = await self._step(Change, handle)(context(Change(), principal))
        return result


def context(message: Message[Any], principal: Principal) -> Context:
    return Context(message, principal, Origin(), Sender(Bus(Registry(())).send, principal))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    options = EngineOptions(database_url, max_connections=8, pool_timeout=LIMIT, read_timeout=LIMIT)
    create_file(options)
    database = Database(options)
    async with database.writer.begin() as connection:
        await connection.run_sync(Base.metadata.create_all, tables=TABLES)
    yield database
    await database.dispose()


@pytest.fixture(scope="session")
def copies(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Copies:
    """Databases of a project with every kind of column; those of SQLite are made once."""
    return Copies(tmp_path_factory.mktemp("copies"), lambda: postgres)


@pytest.fixture
def command(database: Database) -> Commands:
    return Commands(database)


@pytest.fixture
async def many(database: Database) -> Database:
    """Sixty books, many of which have equal sort keys."""
    chance = random.Random(7)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [
        book(
            number,
            title=f"Book {chance.choice('aAbBéÉ')} {number}",
            pages=chance.randrange(4),
            copies=chance.choice([0, 2**40]),
            price=Decimal(chance.choice(["1.10", "2.20", "0.30"])),
            mood=chance.choice(list(Mood)),
            printed_at=chance.choice([None, start]),
            created_at=start + timedelta(microseconds=chance.randrange(5)),
        )
        for number in range(60)
    ]
    chance.shuffle(rows)
    await store(database, rows)
    return database


@pytest.fixture
async def threads_end() -> AsyncIterator[None]:
    """Wait for aiosqlite's threads: the thread of a failed connection ends a moment later."""
    before = set(threading.enumerate())
    yield
    await eventually(
        lambda: (
            not [
                thread
                for thread in set(threading.enumerate()) - before
                if "_connection_worker_thread" in thread.name
            ]
        )
    )
