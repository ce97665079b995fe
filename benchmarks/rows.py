"""Writes the rows that requests meet, and puts them back, on either database."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Table, Uuid, bindparam, delete, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from backstay.core.clock import new_id, utc_now
from backstay.db.database import Database
from backstay.db.options import EngineOptions
from backstay.features.auth.model import Session
from backstay.features.items.model import Item
from backstay.jobs.tables import Job
from backstay.security.refresh_tokens import HmacRefreshTokens

MADE = "made by the benchmark"
AGENTS = ("wrk", "bare", "benchmark")
"""The user agents of sessions that load has made or rotated, and of those that it may rotate."""
_ITEMS = "INSERT INTO items (id, title, owner_id, created_at, updated_at, version) "
_FILL = {
    "postgresql": "SELECT uuidv7(), 'item ' || n, :owner, now(), now(), 1 "
    "FROM generate_series(1, CAST(:count AS int)) n",
    "sqlite": "WITH RECURSIVE series(n) AS "
    "(SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < :count) "
    "SELECT printf('%012x70008000', 1767225600000 + n) || substr(:owner, 21), 'item ' || n, "
    ":owner, '2026-01-01 00:00:00.000000', '2026-01-01 00:00:00.000000', 1 FROM series",
}
"""Many items of one owner, whose ids are UUIDv7 in the order of their making."""


@asynccontextmanager
async def writing(url: str) -> AsyncIterator[AsyncConnection]:
    """A transaction on a database that is named as in the settings."""
    named = url.replace("postgresql:", "postgresql+asyncpg:", 1)
    database = Database(EngineOptions(named, statement_timeout=0, pool_timeout=30.0))
    try:
        async with database.writer.begin() as connection:
            yield connection
    finally:
        await database.dispose()


async def fill(connection: AsyncConnection, owner: UUID, count: int) -> None:
    """Give an owner so many items."""
    statement = text(_ITEMS + _FILL[connection.dialect.name]).bindparams(
        bindparam("owner", type_=Uuid())
    )
    await connection.execute(statement, {"owner": owner, "count": count})


async def items_of(connection: AsyncConnection, owner: UUID, count: int) -> list[str]:
    """The ids of the oldest items of an owner."""
    found = select(Item.id).where(Item.owner_id == owner).order_by(Item.id).limit(count)
    return [str(row[0]) for row in await connection.execute(found)]


async def put_back(url: str, user_id: UUID) -> None:
    """Remove what load has made, and restore what it has deleted."""
    async with writing(url) as connection:
        own = Item.owner_id == user_id
        await connection.execute(delete(Item).where(own, Item.title == MADE))
        deleted = Item.deleted_at.is_not(None)
        await connection.execute(update(Item).where(own, deleted).values(deleted_at=None))
        await connection.execute(delete(Job).where(Job.name == "Rest"))
        await connection.execute(delete(Session).where(Session.user_agent.in_(AGENTS)))


async def open_sessions(url: str, tokens: Sequence[str], secret: str, user_id: UUID) -> None:
    """A session of this user for each refresh token, which can be refreshed once."""
    async with writing(url) as connection:
        sessions = _sessions(tokens, secret, user_id)
        await connection.execute(insert(cast(Table, Session.__table__)), sessions)


def new_refresh_tokens(secret: str, count: int) -> tuple[str, ...]:
    """The first token of so many sessions."""
    tokens = HmacRefreshTokens(secret.encode())
    return tuple(tokens.write(tokens.first(new_id())) for _ in range(count))


def _sessions(written: Sequence[str], secret: str, user_id: UUID) -> list[dict[str, Any]]:
    tokens, now = HmacRefreshTokens(secret.encode()), utc_now()
    ends = now + timedelta(days=7)
    found = filter(None, map(tokens.read, written))
    return [
        {
            "id": token.session_id,
            "user_id": user_id,
            "epoch": 0,
            "token_hash": tokens.hash(token),
            "user_agent": AGENTS[-1],
            "created_at": now,
            "last_used_at": now,
            "idle_expires_at": ends,
            "expires_at": ends,
        }
        for token in found
    ]
