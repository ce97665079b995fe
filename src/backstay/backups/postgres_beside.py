"""Databases beside the application's, made for a proof or a restore and dropped afterwards."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import blake2b
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import make_url

from backstay.backups.postgres import connected, literal, quoted

if TYPE_CHECKING:
    import asyncpg

_BESIDE = "_backstay_"
"""Between the name of a database and the rest of the name of one beside it."""
_LONGEST_NAME = 63
PROOF, RESTORE, BEFORE = "proof", "restore", "before"
"""What databases beside another one are for, which is in their names."""
MADE_BY_US = "Backstay made it for a backup, and removes it."


@asynccontextmanager
async def beside(url: str, purpose: str, owner: str = "") -> AsyncIterator[str]:
    """The name of a new database beside that of the address, dropped afterwards.

    It has the encoding, collation and owner of that one. An advisory lock tells others that a
    process uses it; those of killed processes are dropped first. A database that was renamed
    meanwhile stays.

    Raises:
        BackupError: the role may not create databases, or there is no room.
    """
    name = make_url(url).database or ""
    async with maintaining(url) if purpose == RESTORE else connected(url) as connection:
        await connection.execute("SET statement_timeout = 0")
        await remove_left(connection, beside_name(name, f"{purpose}_"))
        new = beside_name(name, f"{purpose}_{token_hex(4)}")
        await connection.execute("SELECT pg_advisory_lock($1)", _lock_of(new))
        try:
            await create(connection, name, new, owner)
            yield new
        finally:
            await asyncio.shield(
                connection.execute(f"DROP DATABASE IF EXISTS {quoted(new)} WITH (FORCE)")
            )


@asynccontextmanager
async def maintaining(url: str) -> "AsyncIterator[asyncpg.Connection]":
    """A connection to a database of that server in which others can be made and renamed."""
    async with connected(url, "postgres") as connection:
        await connection.execute("SET statement_timeout = 0")
        yield connection


async def create(connection: Any, like: str, new: str, owner: str = "") -> None:
    """Create an empty database with the encoding and collation of another one."""
    row = await connection.fetchrow(
        "SELECT pg_encoding_to_char(encoding) AS encoding, datcollate, datctype, "
        "pg_get_userbyid(datdba) AS owner FROM pg_database WHERE datname = $1", like
    )  # fmt: skip
    form = "" if row is None else (
        f" ENCODING {literal(row['encoding'])} LC_COLLATE {literal(row['datcollate'])}"
        f" LC_CTYPE {literal(row['datctype'])}"
    )  # fmt: skip
    locale = await _locale_of(connection, like)
    own = f" OWNER {quoted(owner)}" if owner else ""
    await connection.execute(f"CREATE DATABASE {quoted(new)} TEMPLATE template0{form}{locale}{own}")
    await connection.execute(f"COMMENT ON DATABASE {quoted(new)} IS {literal(MADE_BY_US)}")


async def _locale_of(connection: Any, like: str) -> str:
    """The provider of a database's collation, which has its columns since PostgreSQL 15 and 17."""
    row = await connection.fetchrow(
        "SELECT to_jsonb(d) AS about FROM pg_database d WHERE datname = $1", like
    )
    if row is None:
        return ""
    about = json.loads(row["about"])
    locale = about.get("datlocale") or about.get("daticulocale")
    if about.get("datlocprovider") == "i":
        return f" LOCALE_PROVIDER icu ICU_LOCALE {literal(locale)}"
    if about.get("datlocprovider") == "b":
        return f" LOCALE_PROVIDER builtin BUILTIN_LOCALE {literal(locale)}"
    return ""


async def remove_left(connection: Any, beginning: str) -> None:
    """Drop databases beside this one that a process left which was killed, and nobody uses."""
    rows = await connection.fetch(
        "SELECT datname FROM pg_database d WHERE datname LIKE $1 "
        "AND shobj_description(d.oid, 'pg_database') = $2 "
        "AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datid = d.oid)",
        beginning.replace("_", "\\_").replace("%", "\\%") + "%", MADE_BY_US,
    )  # fmt: skip
    for (left,) in rows:
        if await connection.fetchval("SELECT pg_try_advisory_lock($1)", _lock_of(left)):
            await connection.execute(f"DROP DATABASE IF EXISTS {quoted(left)}")
            await connection.execute("SELECT pg_advisory_unlock($1)", _lock_of(left))


def beside_name(name: str, rest: str) -> str:
    """A name of a database beside another one, of at most 63 bytes."""
    own = f"{_BESIDE}{rest}"
    most = _LONGEST_NAME - len(_BESIDE) - 26  # the same for every rest, so that all are found
    if len(name.encode()) > most:
        name = f"{name.encode()[: most - 8].decode(errors='ignore')}{_short_hash(name)}"
    return name + own


def _short_hash(text: str) -> str:
    return blake2b(text.encode(), digest_size=4).hexdigest()


def _lock_of(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), signed=True)
