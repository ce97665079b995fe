"""What the bare applications share: no framework, the same token library, a fast JSON encoder."""

import hmac
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from joserfc import jwt
from joserfc.jwk import OctKey
from pwdlib.hashers.argon2 import Argon2Hasher

FLOOR = os.environ.get("BARE_FLOOR") == "1"
"""Whether a shortcut is taken that only a benchmark can afford: see the modules that use it."""
WEEK = timedelta(days=7)
ANONYMOUS = {"login", "refresh"}
HASHER = Argon2Hasher(2, 19_456, 1)
_KEY = OctKey.import_key(os.environ["SECURITY_SECRET_KEY"].encode())
_REFRESH_KEY = os.environ["SECURITY_REFRESH_TOKEN_SECRET"].encode()
_CLAIMS = jwt.JWTClaimsRegistry(sub={"essential": True}, exp={"essential": True})
_JSON = [(b"content-type", b"application/json")]

Answer = tuple[int, Any]
Handler = Callable[[Any, Any, str], Awaitable[Answer]]
Application = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


def application(
    routes: Mapping[str, Handler],
    open_database: Callable[[], Awaitable[None]],
    close_database: Callable[[], Awaitable[None]],
) -> Application:
    """An ASGI application; the first segment of the path is the name of the handler."""

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send, open_database, close_database)
            return
        name = scope["path"].split("/")[1]
        if name == "livez":
            status, body = 200, None
        else:
            user = "" if name in ANONYMOUS else _user(scope["headers"])
            status, body = await routes[name](scope, receive, user)
        await send({"type": "http.response.start", "status": status, "headers": _JSON})
        content = b"" if status == 204 else orjson.dumps(body)
        await send({"type": "http.response.body", "body": content})

    return app


async def _lifespan(receive: Any, send: Any, opened: Any, closed: Any) -> None:
    while True:
        message = await receive()
        starts = message["type"] == "lifespan.startup"
        await (opened if starts else closed)()
        await send({"type": f"{message['type']}.complete"})
        if not starts:
            return


def _user(headers: list[tuple[bytes, bytes]]) -> str:
    token = next(value for name, value in headers if name == b"authorization")[7:]
    decoded = jwt.decode(token, _KEY, ["HS256"])
    _CLAIMS.validate(decoded.claims)
    return str(decoded.claims["sub"])


async def body_of(receive: Any) -> Any:
    """The JSON of a request."""
    message = await receive()
    return orjson.loads(message["body"])


def access_token(user: str, session: UUID) -> str:
    """A signed token for a quarter of an hour."""
    expires = int(datetime.now(UTC).timestamp()) + 900
    claims = {"sub": user, "exp": expires, "sid": str(session)}
    return jwt.encode({"alg": "HS256"}, claims, _KEY, ["HS256"])


class Rotation(NamedTuple):
    """A refresh token that is replaced: its session, its hash, its successor's, the successor."""

    session: UUID
    old: bytes
    new: bytes
    token: str


def rotation(token: str) -> Rotation:
    """The successor of a refresh token of Backstay, as its server would derive it."""
    raw = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    session, generation, secret = raw[:16], raw[16:20], raw[20:52]
    following = (int.from_bytes(generation) + 1).to_bytes(4) + _mac(b"next", session, secret)
    sealed = session + following + _mac(b"seal", session, following)[:16]
    return Rotation(
        UUID(bytes=session),
        _mac(b"hash", session, generation + secret),
        _mac(b"hash", session, following),
        urlsafe_b64encode(sealed).rstrip(b"=").decode(),
    )


def _mac(purpose: bytes, session: bytes, data: bytes) -> bytes:
    return hmac.digest(_REFRESH_KEY, purpose + b"\0" + session + data, sha256)
