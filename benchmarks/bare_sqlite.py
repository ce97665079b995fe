"""The bare application on SQLite: one driver, a connection per thread, one thread that writes.

A statement runs in a thread, because another process may hold the lock of the file, and a scan may
take seconds: on the event loop it would stop every other request meanwhile. Writes take turns in
one thread, since SQLite lets only one of them through anyway and those that wait would poll.

As the floor it runs every statement on the loop, which saves the way to the thread and back. No
application can afford that, but nothing in Python is faster.
"""

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from backstay.db import sqlite
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

READERS = 4
ITEM = ("id", "title", "description", "owner_id", "created_at", "updated_at", "version")
COLUMNS = ("id", "title", "owner_id", "created_at", "updated_at")
USER = ("id", "email", "username", "name", "created_at", "updated_at", "version")
OWN = "WHERE id = ? AND owner_id = ? AND deleted_at IS NULL"
LIST = f"SELECT {', '.join(COLUMNS)} FROM items WHERE owner_id = ? AND deleted_at IS NULL"
RETURNED = f"RETURNING {', '.join(ITEM)}"

_thread = threading.local()
_loop: asyncio.AbstractEventLoop
readers = ThreadPoolExecutor(READERS)
writer = ThreadPoolExecutor(1)
Work = Callable[[Any], Any]


async def open_database() -> None:
    global _loop  # noqa: PLW0603
    _loop = asyncio.get_running_loop()


async def close_database() -> None:
    readers.shutdown()
    writer.shutdown()


def _connection() -> Any:
    """The connection of this thread, which begins a transaction only where one is asked for."""
    if not hasattr(_thread, "connection"):
        used = sqlite.in_use()
        file = os.environ["DATABASE_URL"].partition("///")[2]
        connection = used.module.connect(file, isolation_level=None, timeout=30)
        for pragma in (*used.pragmas, "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")
        _thread.connection = connection
    return _thread.connection


async def _run(executor: ThreadPoolExecutor, work: Work) -> Any:
    if FLOOR:
        return work(_connection())
    return await _loop.run_in_executor(executor, lambda: work(_connection()))


async def _rows(statement: str, *values: Any) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = await _run(
        readers, lambda connection: connection.execute(statement, values).fetchall()
    )
    return rows


async def _write(statement: str, *values: Any) -> tuple[Any, ...] | None:
    """The first row of a statement that is a transaction of its own."""
    rows: list[tuple[Any, ...]] = await _run(
        writer, lambda connection: connection.execute(statement, values).fetchall()
    )
    return rows[0] if rows else None


def _now() -> str:
    return _time(datetime.now(UTC))


def _time(moment: datetime) -> str:
    return moment.replace(tzinfo=None).isoformat(" ", "microseconds")


def _shown(names: tuple[str, ...], row: tuple[Any, ...]) -> dict[str, Any]:
    return {name: _value(name, value) for name, value in zip(names, row, strict=True)}


def _value(name: str, value: Any) -> Any:
    if name.endswith("id"):
        return str(UUID(value))
    return f"{value.replace(' ', 'T', 1)}Z" if name.endswith("_at") else value


def _found(names: tuple[str, ...], row: tuple[Any, ...] | None) -> Answer:
    return (200, _shown(names, row)) if row else (404, None)


def _key(text: str) -> str:
    return text.replace("-", "")


async def me(scope: Any, receive: Any, user: str) -> Answer:
    chosen = f"SELECT {', '.join(USER)} FROM users WHERE id = ? AND deleted_at IS NULL"
    return _found(USER, (await _rows(chosen, _key(user)))[0])


async def item(scope: Any, receive: Any, user: str) -> Answer:
    chosen = f"SELECT {', '.join(ITEM)} FROM items {OWN}"
    rows = await _rows(chosen, _key(scope["path"].split("/")[2]), _key(user))
    return _found(ITEM, rows[0] if rows else None)


async def page(scope: Any, receive: Any, user: str) -> Answer:
    """Both statements in one turn of a thread."""
    owner = (_key(user),)
    counted = "SELECT count(*) FROM items WHERE owner_id = ? AND deleted_at IS NULL"

    def both(connection: Any) -> tuple[list[tuple[Any, ...]], int]:
        rows = connection.execute(f"{LIST} ORDER BY id DESC LIMIT 21", owner).fetchall()
        return rows, connection.execute(counted, owner).fetchone()[0]

    rows, total = await _run(readers, both)
    return 200, {"items": [_shown(COLUMNS, row) for row in rows[:20]], "total": total}


async def keyset(scope: Any, receive: Any, user: str) -> Answer:
    after = scope["query_string"].decode()
    values = (_key(user), _key(after)) if after else (_key(user),)
    where = " AND id < ?" if after else ""
    rows = await _rows(f"{LIST}{where} ORDER BY id DESC LIMIT 21", *values)
    shown = [_shown(COLUMNS, row) for row in rows]
    return 200, {"items": shown[:20], "next": shown[-1]["id"]}


async def create(scope: Any, receive: Any, user: str) -> Answer:
    title = (await body_of(receive))["title"]
    row = await _write(
        "INSERT INTO items (id, title, owner_id, created_at, updated_at, version) "
        f"VALUES (?1, ?2, ?3, ?4, ?4, 1) {RETURNED}",
        uuid7().hex,
        title,
        _key(user),
        _now(),
    )
    return 201, _found(ITEM, row)[1]


async def update(scope: Any, receive: Any, user: str) -> Answer:
    title, found = (await body_of(receive))["title"], _key(scope["path"].split("/")[2])
    changed = f"UPDATE items SET title = ?, updated_at = ?, version = version + 1 {OWN} {RETURNED}"
    return _found(ITEM, await _write(changed, title, _now(), found, _key(user)))


async def delete(scope: Any, receive: Any, user: str) -> Answer:
    """Delete an item softly, or restore it: DELETE or POST."""
    restores, now = scope["method"] == "POST", _now()
    row = await _write(
        "UPDATE items SET deleted_at = ?, updated_at = ?, version = version + 1 "
        f"WHERE id = ? AND owner_id = ? {RETURNED}",
        None if restores else now,
        now,
        _key(scope["path"].split("/")[2]),
        _key(user),
    )
    return _found(ITEM, row) if restores else (204, None)


async def enqueue(scope: Any, receive: Any, user: str) -> Answer:
    await _write(
        "INSERT INTO jobs (id, position, name, payload, queue, state, attempts, max_attempts, "
        "spared, actor, request_id, address, traceparent, is_cancelled, created_at, due_at) "
        "VALUES (?1, (SELECT coalesce(max(position), 0) + 1 FROM jobs), 'Rest', '{}', 'default', "
        "'queued', 0, 5, 0, 'system', '', '', '', 0, ?2, ?2)",
        uuid7().hex,
        _now(),
    )
    return 200, None


async def login(scope: Any, receive: Any, user: str) -> Answer:
    body = await body_of(receive)
    chosen = "SELECT id, password_hash FROM users WHERE email = ? AND deleted_at IS NULL"
    found = await _rows(chosen, body["email"])
    if not found or not HASHER.verify(body["password"], found[0][1]):
        return 401, None
    now, session = datetime.now(UTC), uuid7()
    await _write(
        "INSERT INTO sessions (id, user_id, epoch, generation, token_hash, rotations, user_agent,"
        " address, created_at, last_used_at, idle_expires_at, expires_at)"
        " VALUES (?1, ?2, 0, 0, ?3, '[]', 'bare', '', ?4, ?4, ?5, ?5)",
        session.hex,
        found[0][0],
        os.urandom(32),
        _time(now),
        _time(now + WEEK),
    )
    return 200, {"access_token": access_token(str(UUID(found[0][0])), session)}


async def refresh(scope: Any, receive: Any, user: str) -> Answer:
    change, now = rotation((await body_of(receive))["refresh_token"]), datetime.now(UTC)
    row = await _write(
        "UPDATE sessions SET token_hash = ?3, generation = generation + 1, last_used_at = ?4, "
        "idle_expires_at = ?5 FROM users WHERE sessions.id = ?1 AND token_hash = ?2 "
        "AND ended_at IS NULL AND expires_at > ?4 AND idle_expires_at > ?4 "
        "AND users.id = user_id AND deleted_at IS NULL AND blocked_at IS NULL "
        "AND security_epoch = epoch RETURNING user_id",
        change.session.hex,
        change.old,
        change.new,
        _time(now),
        _time(now + WEEK),
    )
    if row is None:
        return 401, None
    token = access_token(str(UUID(row[0])), change.session)
    return 200, {"access_token": token, "refresh_token": change.token}


ROUTES = {
    each.__name__: each
    for each in (me, item, page, keyset, create, update, delete, enqueue, login, refresh)
}
app = application(ROUTES, open_database, close_database)
