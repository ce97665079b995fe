"""The physical limit: no framework, one driver, the same token library, a fast JSON encoder."""

import os
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from joserfc import jwt
from joserfc.jwk import OctKey
from pwdlib.hashers.argon2 import Argon2Hasher
from uuid_utils.compat import uuid7

KEY = OctKey.import_key(os.environ["SECURITY_SECRET_KEY"].encode())
CLAIMS = jwt.JWTClaimsRegistry(sub={"essential": True}, exp={"essential": True})
HASHER = Argon2Hasher(2, 19_456, 1)
JSON = [(b"content-type", b"application/json")]
ITEM = "SELECT id, title, description, owner_id, created_at, updated_at, version FROM items "
COLUMNS = "SELECT id, title, owner_id, created_at, updated_at FROM items "

pool: "asyncpg.Pool[Any]"


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    if scope["path"] == "/livez":
        await send({"type": "http.response.start", "status": 200, "headers": JSON})
        await send({"type": "http.response.body", "body": b"{}"})
        return
    user = _user(scope["headers"]) if scope["path"] != "/login" else ""
    status, body = await ROUTES[scope["path"].split("/")[1]](scope, receive, user)
    await send({"type": "http.response.start", "status": status, "headers": JSON})
    await send({"type": "http.response.body", "body": orjson.dumps(body)})


async def _lifespan(receive: Any, send: Any) -> None:
    global pool  # noqa: PLW0603
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], max_size=10)
        else:
            await pool.close()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _user(headers: list[tuple[bytes, bytes]]) -> str:
    token = next(value for name, value in headers if name == b"authorization")[7:]
    decoded = jwt.decode(token, KEY, ["HS256"])
    CLAIMS.validate(decoded.claims)
    return str(decoded.claims["sub"])


async def _body(receive: Any) -> Any:
    message = await receive()
    return orjson.loads(message["body"])


def _shown(row: Any) -> dict[str, Any]:
    return {name: str(v) if isinstance(v, UUID) else v for name, v in row.items()}


async def me(scope: Any, receive: Any, user: str) -> tuple[int, Any]:
    row = await pool.fetchrow(
        "SELECT id, email, username, name, created_at, updated_at, version "
        "FROM users WHERE id = $1 AND deleted_at IS NULL",
        user,
    )
    return 200, _shown(row)


async def item(scope: Any, receive: Any, user: str) -> tuple[int, Any]:
    found = scope["path"].split("/")[2]
    row = await pool.fetchrow(
        f"{ITEM} WHERE id = $1 AND owner_id = $2 AND deleted_at IS NULL", found, user
    )
    return (200, _shown(row)) if row else (404, None)


async def page(scope: Any, receive: Any, user: str) -> tuple[int, Any]:
    where = "WHERE owner_id = $1 AND deleted_at IS NULL"
    rows = await pool.fetch(f"{COLUMNS} {where} ORDER BY id DESC LIMIT 21", user)
    total = await pool.fetchval(f"SELECT count(*) FROM items {where}", user)
    return 200, {"items": [_shown(row) for row in rows[:20]], "total": total}


async def keyset(scope: Any, receive: Any, user: str) -> tuple[int, Any]:
    where = "WHERE owner_id = $1 AND deleted_at IS NULL"
    after = scope["query_string"].decode()
    if after:
        rows = await pool.fetch(
            f"{COLUMNS} {where} AND id < $2 ORDER BY id DESC LIMIT 21", user, after
        )
    else:
        rows = await pool.fetch(f"{COLUMNS} {where} ORDER BY id DESC LIMIT 21", user)
    return 200, {"items": [_shown(row) for row in rows[:20]], "next": str(rows[-1]["id"])}


async def create(scope: Any, receive: Any, user: str) -> tuple[int, Any]:
    title, now = (await _body(receive))["title"], datetime.now(UTC)
    row = await pool.fetchrow(
        "INSERT INTO items (id, title, owner_id, created_at, updated_at, version) "
        "VALUES ($1, $2, $3, $4, $4, 1) RETURNING *",
        uuid7(),
        title,
        user,
        now,
    )
    return 201, _shown(row)


async def login(scope: Any, receive: Any, user: str) -> tuple[int, Any]:
    body = await _body(receive)
    row = await pool.fetchrow(
        "SELECT id, password_hash FROM users WHERE email = $1 AND deleted_at IS NULL",
        body["email"],
    )
    if row is None or not HASHER.verify(body["password"], row["password_hash"]):
        return 401, None
    now = datetime.now(UTC)
    session = uuid7()
    await pool.execute(
        "INSERT INTO sessions (id, user_id, epoch, generation, token_hash, rotations, user_agent,"
        " address, created_at, last_used_at, idle_expires_at, expires_at)"
        " VALUES ($1, $2, 0, 0, $3, '[]', 'bare', '', $4, $4, $5, $5)",
        session,
        row["id"],
        os.urandom(32),
        now,
        now + timedelta(days=7),
    )
    claims = {"sub": str(row["id"]), "exp": int(now.timestamp()) + 900, "sid": str(session)}
    return 200, {"access_token": jwt.encode({"alg": "HS256"}, claims, KEY, ["HS256"])}


ROUTES = {
    "me": me,
    "item": item,
    "page": page,
    "keyset": keyset,
    "create": create,
    "login": login,
}
