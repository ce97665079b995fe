"""The bare application on PostgreSQL: one driver and its pool.

As the floor it has no pool either: see `FreeConnections`.
"""

import asyncio
import os
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
from uuid_utils.compat import uuid7

from benchmarks.bare_edge import (
    FLOOR,
    HASHER,
    WEEK,
    Answer,
    access_token,
    application,
    body_of,
    rotation,
)

CONNECTIONS = 10
ITEM = "SELECT id, title, description, owner_id, created_at, updated_at, version FROM items "
COLUMNS = "SELECT id, title, owner_id, created_at, updated_at FROM items "
OWN = "WHERE id = $1 AND owner_id = $2 AND deleted_at IS NULL"
LIST = f"{COLUMNS} WHERE owner_id = $1 AND deleted_at IS NULL"

pool: "asyncpg.Pool[Any] | FreeConnections"


class FreeConnections:
    """Connections in a list: what the driver costs without its pool.

    A pool also resets a connection after each use, because it cannot know what was done with it.
    """

    def __init__(self, idle: "list[asyncpg.Connection[Any]]") -> None:
        self.idle = idle
        self.free = asyncio.Semaphore(len(idle))

    async def _run(self, name: str, statement: str, values: tuple[Any, ...]) -> Any:
        async with self.free:
            connection = self.idle.pop()
            try:
                return await getattr(connection, name)(statement, *values)
            finally:
                self.idle.append(connection)

    async def fetch(self, statement: str, *values: Any) -> Any:
        return await self._run("fetch", statement, values)

    async def fetchrow(self, statement: str, *values: Any) -> Any:
        return await self._run("fetchrow", statement, values)

    async def fetchval(self, statement: str, *values: Any) -> Any:
        return await self._run("fetchval", statement, values)

    async def execute(self, statement: str, *values: Any) -> Any:
        return await self._run("execute", statement, values)

    async def close(self) -> None:
        for connection in self.idle:
            await connection.close()


async def open_database() -> None:
    global pool  # noqa: PLW0603
    url = os.environ["DATABASE_URL"]
    if FLOOR:
        pool = FreeConnections([await asyncpg.connect(url) for _ in range(CONNECTIONS)])
    else:
        pool = await asyncpg.create_pool(url, max_size=CONNECTIONS)


async def close_database() -> None:
    await pool.close()


def _shown(row: Any) -> dict[str, Any]:
    return {name: str(v) if isinstance(v, UUID) else v for name, v in row.items()}


def _found(row: Any) -> Answer:
    return (200, _shown(row)) if row else (404, None)


async def me(scope: Any, receive: Any, user: str) -> Answer:
    row = await pool.fetchrow(
        "SELECT id, email, username, name, created_at, updated_at, version "
        "FROM users WHERE id = $1 AND deleted_at IS NULL",
        user,
    )
    return _found(row)


async def item(scope: Any, receive: Any, user: str) -> Answer:
    return _found(await pool.fetchrow(f"{ITEM} {OWN}", scope["path"].split("/")[2], user))


async def page(scope: Any, receive: Any, user: str) -> Answer:
    rows = await pool.fetch(f"{LIST} ORDER BY id DESC LIMIT 21", user)
    total = await pool.fetchval(
        "SELECT count(*) FROM items WHERE owner_id = $1 AND deleted_at IS NULL", user
    )
    return 200, {"items": [_shown(row) for row in rows[:20]], "total": total}


async def keyset(scope: Any, receive: Any, user: str) -> Answer:
    after = scope["query_string"].decode()
    if after:
        rows = await pool.fetch(f"{LIST} AND id < $2 ORDER BY id DESC LIMIT 21", user, after)
    else:
        rows = await pool.fetch(f"{LIST} ORDER BY id DESC LIMIT 21", user)
    return 200, {"items": [_shown(row) for row in rows[:20]], "next": str(rows[-1]["id"])}


async def create(scope: Any, receive: Any, user: str) -> Answer:
    title, now = (await body_of(receive))["title"], datetime.now(UTC)
    row = await pool.fetchrow(
        "INSERT INTO items (id, title, owner_id, created_at, updated_at, version) "
        "VALUES ($1, $2, $3, $4, $4, 1) RETURNING *",
        uuid7(),
        title,
        user,
        now,
    )
    return 201, _shown(row)


async def update(scope: Any, receive: Any, user: str) -> Answer:
    row = await pool.fetchrow(
        f"UPDATE items SET title = $3, updated_at = $4, version = version + 1 {OWN} RETURNING *",
        scope["path"].split("/")[2],
        user,
        (await body_of(receive))["title"],
        datetime.now(UTC),
    )
    return _found(row)


async def delete(scope: Any, receive: Any, user: str) -> Answer:
    """Delete an item softly, or restore it: DELETE or POST."""
    restores = scope["method"] == "POST"
    now = datetime.now(UTC)
    row = await pool.fetchrow(
        "UPDATE items SET deleted_at = $3, updated_at = $4, version = version + 1 "
        "WHERE id = $1 AND owner_id = $2 RETURNING *",
        scope["path"].split("/")[2],
        user,
        None if restores else now,
        now,
    )
    return (200, _shown(row)) if restores else (204, None)


async def enqueue(scope: Any, receive: Any, user: str) -> Answer:
    job = await pool.fetchval(
        "INSERT INTO jobs (id, position, name, payload, queue, state, attempts, max_attempts, "
        "spared, actor, request_id, address, traceparent, is_cancelled, created_at, due_at) "
        "VALUES ($1, nextval('jobs_position'), 'Rest', '{}', 'default', 'queued', 0, 5, 0, "
        "'system', '', '', '', false, now(), now()) RETURNING pg_notify('backstay_jobs', queue)",
        uuid7(),
    )
    return 200, job


async def login(scope: Any, receive: Any, user: str) -> Answer:
    body = await body_of(receive)
    row = await pool.fetchrow(
        "SELECT id, password_hash FROM users WHERE email = $1 AND deleted_at IS NULL",
        body["email"],
    )
    if row is None or not HASHER.verify(body["password"], row["password_hash"]):
        return 401, None
    now, session = datetime.now(UTC), uuid7()
    await pool.execute(
        "INSERT INTO sessions (id, user_id, epoch, generation, token_hash, rotations, user_agent,"
        " address, created_at, last_used_at, idle_expires_at, expires_at)"
        " VALUES ($1, $2, 0, 0, $3, '[]', 'bare', '', $4, $4, $5, $5)",
        session,
        row["id"],
        os.urandom(32),
        now,
        now + WEEK,
    )
    return 200, {"access_token": access_token(str(row["id"]), session)}


async def refresh(scope: Any, receive: Any, user: str) -> Answer:
    change, now = rotation((await body_of(receive))["refresh_token"]), datetime.now(UTC)
    owner = await pool.fetchval(
        "UPDATE sessions SET token_hash = $3, generation = generation + 1, last_used_at = $4, "
        "idle_expires_at = $5 FROM users WHERE sessions.id = $1 AND token_hash = $2 "
        "AND ended_at IS NULL AND expires_at > $4 AND idle_expires_at > $4 "
        "AND users.id = user_id AND deleted_at IS NULL AND blocked_at IS NULL "
        "AND security_epoch = epoch RETURNING user_id",
        *change[:3],
        now,
        now + WEEK,
    )
    if owner is None:
        return 401, None
    token = access_token(str(owner), change.session)
    return 200, {"access_token": token, "refresh_token": change.token}


ROUTES = {
    each.__name__: each
    for each in (me, item, page, keyset, create, update, delete, enqueue, login, refresh)
}
app = application(ROUTES, open_database, close_database)
