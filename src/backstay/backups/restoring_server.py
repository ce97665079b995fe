"""Restores a backup of PostgreSQL: into a database beside, which then takes the other's name."""

import asyncio
from dataclasses import replace
from typing import Any

from sqlalchemy.engine import make_url

from backstay.backups import postgres, postgres_beside
from backstay.backups.pipes import Stop
from backstay.backups.postgres import literal, quoted
from backstay.backups.proving import check_server, load
from backstay.backups.wish import Finish, Wish
from backstay.core.backups import BackupError
from backstay.db.options import EngineOptions

_SESSIONS = """
SELECT pid, usename, application_name, coalesce(host(client_addr), 'this machine') AS address
  FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()
   AND backend_type = 'client backend' ORDER BY backend_start
"""
_HAS_TABLES = """
SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE c.relkind IN ('r', 'p') AND n.nspname NOT LIKE 'pg\\_%'
                  AND n.nspname <> 'information_schema')
"""
_TRIES, _PAUSE = 5, 0.2
_MAY_CREATE = "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"


async def restore(
    wish: Wish, options: EngineOptions, pg_bin: str | None, moment: str, finish: Finish
) -> str:
    """Restore into the database of the options; see `restoring.restore`."""
    url, stop = options.url, Stop()
    name = make_url(url).database or ""
    async with postgres_beside.maintaining(url) as connection:
        exists = await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", name)
        user = await connection.fetchval("SELECT current_user")
        if not await connection.fetchval(_MAY_CREATE):
            raise BackupError(
                f"The role {user} may not create the database into which the backup is restored: "
                f"ALTER ROLE {quoted(user)} CREATEDB, or name a role that may in BACKUP_DB_URL."
            )
        owner = await _owner(connection, name) or user
    if exists:
        await _refuse_data(url, name, wish)
    async with postgres_beside.maintaining(url) as connection:
        await _refuse_sessions(connection, name)
    extra = (f"--role={owner}",) if owner != user else ()
    async with postgres_beside.beside(url, postgres_beside.RESTORE, owner) as beside:
        await load(wish.manifest, wish.catalogue, url, beside, pg_bin, stop, wish.told, *extra)
        await check_server(wish.manifest, url, beside, stop, wish.told)
        await finish(replace(options, url=_url_as(url, beside, owner if extra else "")))
        async with postgres_beside.maintaining(url) as connection:
            return await _swapped(connection, name, beside, moment, wish, exists=bool(exists))


async def _owner(connection: Any, name: str) -> str:
    found = await connection.fetchval(
        "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = $1", name
    )
    return str(found or "")


async def _refuse_data(url: str, name: str, wish: Wish) -> None:
    async with postgres.connected(url) as connection:
        if await connection.fetchval(_HAS_TABLES) and not wish.force:
            raise BackupError(
                f"The database {name} holds data: to put the backup in its place, add --force. "
                "The database that is there is kept under another name."
            )


async def _refuse_sessions(connection: Any, name: str) -> None:
    """Refuse while anybody is connected; one that is about to end gets a second for it."""
    for _ in range(_TRIES):
        rows = await connection.fetch(_SESSIONS, name)
        if not rows:
            return
        await asyncio.sleep(_PAUSE)
    shown = "".join(
        f"\n  {row['pid']}  {row['usename']}  {row['application_name'] or '-'}  {row['address']}"
        for row in rows[:20]
    )
    raise BackupError(
        f"The database {name} is in use: pid, role, application and address are{shown}\n"
        "Stop the servers, the workers and what else is connected, then try again."
    )


def _url_as(url: str, database: str, role: str) -> str:
    """The URL of another database of that server, in which statements run as a role."""
    place = make_url(url).set(database=database)
    if role:
        given = str(place.query.get("options", ""))
        escaped = role.replace("\\", "\\\\").replace(" ", "\\ ")
        place = place.update_query_dict({"options": f"{given} -c role={escaped}".strip()})
    return place.render_as_string(hide_password=False)


async def _swapped(
    connection: Any, name: str, beside: str, moment: str, wish: Wish, *, exists: bool
) -> str:
    """Rename both databases in one transaction; the name under which the former one is kept."""
    kept = postgres_beside.beside_name(name, f"{postgres_beside.BEFORE}_{moment}")
    if exists:
        await _copy_settings(connection, name, beside)
    await _refuse_sessions(connection, name)
    async with connection.transaction():
        if exists:
            await connection.execute(f"ALTER DATABASE {quoted(name)} RENAME TO {quoted(kept)}")
        await connection.execute(f"ALTER DATABASE {quoted(beside)} RENAME TO {quoted(name)}")
        await connection.execute(f"COMMENT ON DATABASE {quoted(name)} IS NULL")
    if not exists:
        return ""
    if wish.drop_old:
        await connection.execute(f"DROP DATABASE {quoted(kept)}")
        return ""
    return kept


async def _copy_settings(connection: Any, name: str, beside: str) -> None:
    """Give the new database what a dump does not hold: its settings, limit and rights."""
    limit = await connection.fetchval(
        "SELECT datconnlimit FROM pg_database WHERE datname = $1", name
    )
    if limit != -1:
        await connection.execute(f"ALTER DATABASE {quoted(beside)} CONNECTION LIMIT {limit}")
    given = await connection.fetchval(
        "SELECT setconfig FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase "
        "WHERE d.datname = $1 AND s.setrole = 0", name
    )  # fmt: skip
    for each in given or ():
        key, _, value = each.partition("=")
        await connection.execute(
            f"ALTER DATABASE {quoted(beside)} SET {quoted(key)} = {literal(value)}"
        )
    rights = await connection.fetch(
        "SELECT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,"
        " privilege_type FROM pg_database, aclexplode(datacl) WHERE datname = $1", name
    )  # fmt: skip
    if rights:
        await connection.execute(f"REVOKE ALL ON DATABASE {quoted(beside)} FROM PUBLIC")
    for grantee, right in rights:
        await connection.execute(f"GRANT {right} ON DATABASE {quoted(beside)} TO {grantee}")
