"""Databases of a given size for the curves of growth, with the people who ask."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import func, select

from backstay.composition import Backstay, compose, seed
from backstay.core.feature import Feature
from backstay.core.jobs import DEFAULT_QUEUE
from backstay.db import migrate, sqlite
from backstay.db.paging import Cursors
from backstay.features.auth.commands.sign_in import Login
from backstay.features.items.model import Item
from backstay.features.users.commands.accounts import RegisterUser
from backstay.settings import load_settings
from benchmarks.job_runs import Rest
from benchmarks.stage import PASSWORD, environ_for

MADE = "made by the benchmark"
"""The title of the items that load creates."""


@dataclass(frozen=True)
class Person:
    """A registered user who is signed in."""

    id: UUID
    email: str
    token: str
    session_id: UUID


@dataclass
class Base:
    """A migrated database, and an application in this process that uses it."""

    url: str
    environ: dict[str, str]
    backstay: Backstay

    @property
    def is_sqlite(self) -> bool:
        """Which of the two it is."""
        return self.url.startswith("sqlite")

    async def register(self, name: str) -> Person:
        """Register somebody and sign in."""
        email = f"{name}@example.org"
        made = await self.backstay.system(RegisterUser(email=email, password=PASSWORD))
        signed_in = await self.backstay.system(Login(email=email, password=PASSWORD))
        return Person(made.id, email, signed_in.access_token, signed_in.session_id)

    def cursor(self, item: UUID) -> str:
        """A cursor of the list of items that stands after one item."""
        secret = self.environ["SECURITY_REFRESH_TOKEN_SECRET"].encode()
        return Cursors(secret).sign(["ListItems", [], False, [str(item)]])

    async def fill(self, table: str, row: dict[str, Any], count: int) -> None:
        """Insert rows that differ in their ids, which sort by time; the newest is of now.

        A value may hold ``{n}``, the number of its row; ``position`` is that number.
        """
        start = int(datetime.now(UTC).timestamp() * 1000) - count
        values = [_stored(value) if self.is_sqlite else value for value in row.values()]
        insert = _insert(table, row, start, count, is_sqlite=self.is_sqlite)
        if self.is_sqlite:
            with closing(self._open()) as file:
                file.execute(insert, values)
                file.execute("ANALYZE")
            return
        connection = await asyncpg.connect(self.url)
        await connection.execute(insert, *values)
        await connection.execute(f"VACUUM ANALYZE {table}")
        await connection.close()

    async def items(self, owner: UUID) -> tuple[UUID, UUID]:
        """The oldest item of somebody, and the one half way to the newest."""
        asked = select(Item.id).where(Item.owner_id == owner).order_by(Item.id)
        count = await self.backstay.database.reader.scalar(
            select(func.count()).where(Item.owner_id == owner)
        )
        rows = [
            await self.backstay.database.reader.scalar(asked.offset(place).limit(1))
            for place in (0, count // 2)
        ]
        return rows[0], rows[1]

    async def reset(self) -> None:
        """Remove what load has written, as far as it changes what is measured."""
        await self.run(
            f"DELETE FROM items WHERE title = '{MADE}'",
            "DELETE FROM sessions WHERE user_agent = 'wrk'",
        )
        if not self.is_sqlite:
            await self.run("VACUUM items", "VACUUM sessions", "VACUUM jobs")

    async def run(self, *statements: str) -> None:
        """Run statements as they are, each by itself."""
        if self.is_sqlite:
            with closing(self._open()) as file:
                for statement in statements:
                    file.execute(statement)
            return
        connection = await asyncpg.connect(self.url)
        for statement in statements:
            await connection.execute(statement)
        await connection.close()

    def _open(self) -> Any:
        return sqlite.in_use().module.connect(
            self.url.removeprefix("sqlite:///"), isolation_level=None, timeout=60
        )


async def make(url: str, folder: Path, features: Sequence[Feature] | None = None) -> Base:
    """Migrate and seed a database, and compose an application on it."""
    environ = environ_for(url, folder) | {"DB_READ_TIMEOUT": "120"}
    backstay = compose(load_settings(environ=environ, directory=folder), features)
    await migrate.upgrade(backstay.database.options)
    await seed(backstay)
    return Base(url, environ, backstay)


def item(owner: UUID) -> dict[str, Any]:
    """A row of `items`."""
    now = datetime.now(UTC)
    times = {"created_at": now, "updated_at": now}
    return {"title": "item {n}", "owner_id": owner, "version": 1, **times}


def activity(user: UUID) -> dict[str, Any]:
    """A row of the audit trail."""
    return {
        "created_at": datetime.now(UTC), "user_id": user, "actor": "user", "address": "127.0.0.1",
        "request_id": "benchmark-{n}", "message": "CreateItem", "permission": "items:create",
        "targets": "{}", "fields": '["title"]', "outcome": "ok",
    }  # fmt: skip


def session(user: UUID) -> dict[str, Any]:
    """A row of `sessions`, which is live."""
    now = datetime.now(UTC)
    end = now + timedelta(days=7)
    return {
        "user_id": user, "epoch": 0, "generation": 0, "token_hash": b"0" * 32, "rotations": "[]",
        "user_agent": "filled", "address": "", "created_at": now, "last_used_at": now,
        "idle_expires_at": end, "expires_at": end,
    }  # fmt: skip


def job(queue: str = DEFAULT_QUEUE, sequence: str | None = None) -> dict[str, Any]:
    """A row of `jobs`, which is due."""
    now = datetime.now(UTC) - timedelta(hours=1)
    return {
        "position": 0, "name": Rest.__name__, "payload": "{}", "queue": queue, "state": "queued",
        "attempts": 0, "max_attempts": 30, "sequence": sequence, "actor": "system",
        "request_id": "", "address": "", "traceparent": "", "is_cancelled": False,
        "created_at": now, "due_at": now,
    }  # fmt: skip


def _insert(table: str, row: Mapping[str, Any], start: int, count: int, *, is_sqlite: bool) -> str:
    """The statement that inserts all rows, whose ids are UUIDv7 of successive milliseconds."""
    moment, number = f"printf('%012x', {start} + n)", "printf('%012x', n)"
    numbers = (
        f"WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers "
        f"WHERE n + 1 < {count}) "
    )
    source, named = "numbers", "CAST(n AS text)"
    if not is_sqlite:
        moment, number = f"lpad(to_hex({start} + n), 12, '0')", "lpad(to_hex(n), 12, '0')"
        numbers, source = "", f"generate_series(0, {count - 1}) n"
    made = [f"{moment} || '70008000' || {number}"]
    if not is_sqlite:
        made = [f"({made[0]})::uuid"]
    for place, (name, value) in enumerate(row.items(), 1):
        mark = f"${place}" if not is_sqlite else f"?{place}"
        if name == "position":
            made.append(f"n + {mark}")
        elif isinstance(value, str) and "{n}" in value:
            made.append(f"replace({mark}, '{{n}}', {named})")
        else:
            made.append(mark)
    columns = ", ".join(["id", *row])
    return f"{numbers}INSERT INTO {table} ({columns}) SELECT {', '.join(made)} FROM {source}"


def _stored(value: Any) -> Any:
    """A value as the application stores it in SQLite."""
    if isinstance(value, UUID):
        return value.hex
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(" ", "microseconds")
    return value
