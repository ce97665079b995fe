"""The console's own session cookie, and the tokens against cross-site requests.

A sign-in makes a usual session; the cookie names it and holds no token of the API. Nothing but the
console reads it.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from urllib.parse import urlsplit
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from backstay.core.errors import Forbidden
from backstay.core.ports import Clock
from backstay.web.request import lines_of

IDLE = timedelta(minutes=30)
"""After this time without a page the console asks to sign in again."""
LONGEST = timedelta(hours=12)
"""After this time it does so in any case."""
RENEWED = timedelta(minutes=1)
"""How old the note of the last page in a cookie may be before it is written anew."""
_OWN_MACHINE = {"localhost", "127.0.0.1", "::1"}
_LENGTH = 16 + 16 + 4 + 4


@dataclass(frozen=True, slots=True)
class ConsoleSession:
    """What a cookie says; the times are seconds since 1970."""

    session_id: UUID
    user_id: UUID
    opened_at: int
    seen_at: int


class Cookies:
    """Reads and writes the cookie, which is signed (HMAC-SHA256).

    Its name begins with ``__Host-`` where it is sent over TLS only (RFC 6265bis, 4.1.3.2).
    """

    def __init__(self, key: bytes, clock: Clock, *, secure: bool) -> None:
        self._key = key
        self._clock = clock
        self._secure = secure
        self.name = "__Host-console" if secure else "console"

    def check_kept(self, request: Request) -> None:
        """Refuse to sign somebody in whose browser would not keep the cookie.

        Raises:
            Forbidden: the page came over plain HTTP, and not from the browser's own machine.
        """
        page = urlsplit(request.headers.get("origin", ""))
        if self._secure and page.scheme == "http" and page.hostname not in _OWN_MACHINE:
            raise Forbidden("Open this page over HTTPS: browsers keep no session of it otherwise.")

    def read(self, request: Request) -> ConsoleSession | None:
        """The session of the first cookie that this server wrote and that has not expired."""
        for line in lines_of(request.scope, b"cookie"):
            for pair in line.split(";"):
                name, _, value = pair.strip().partition("=")
                if name == self.name and (found := self._session_in(value.strip('"'))):
                    return found
        return None

    def start(self, response: Response, session_id: UUID, user_id: UUID) -> None:
        """Write the cookie of a new session."""
        now = self._now()
        self._write(response, ConsoleSession(session_id, user_id, now, now))

    def renew(self, response: Response, session: ConsoleSession) -> None:
        """Note that a page was asked for, at most once a minute."""
        now = self._now()
        if now - session.seen_at >= RENEWED.total_seconds():
            parts = session.session_id, session.user_id, session.opened_at
            self._write(response, ConsoleSession(*parts, now))

    def clear(self, response: Response) -> None:
        """Remove the cookie."""
        response.delete_cookie(
            self.name, path="/", secure=self._secure, httponly=True, samesite="lax"
        )

    def token(self, session: ConsoleSession) -> str:
        """What every form of a session sends back, so that no other site can write it."""
        return _text(self._mac(b"csrf", session.session_id.bytes))

    def is_token(self, session: ConsoleSession, given: str) -> bool:
        """Whether a form of this session was sent."""
        return hmac.compare_digest(self.token(session).encode(), given.encode())

    def _write(self, response: Response, session: ConsoleSession) -> None:
        raw = (
            session.session_id.bytes
            + session.user_id.bytes
            + session.opened_at.to_bytes(4)
            + session.seen_at.to_bytes(4)
        )
        response.set_cookie(
            self.name,
            _text(raw + self._mac(b"session", raw)),
            path="/",
            secure=self._secure,
            httponly=True,
            samesite="lax",
        )

    def _session_in(self, text: str) -> ConsoleSession | None:
        try:
            given = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        except (NotBase64, UnicodeEncodeError):
            return None
        raw, mac = given[:_LENGTH], given[_LENGTH:]
        if len(raw) < _LENGTH or not hmac.compare_digest(mac, self._mac(b"session", raw)):
            return None
        opened_at, seen_at, now = int.from_bytes(raw[32:36]), int.from_bytes(raw[36:]), self._now()
        if now - seen_at >= IDLE.total_seconds() or now - opened_at >= LONGEST.total_seconds():
            return None
        return ConsoleSession(UUID(bytes=raw[:16]), UUID(bytes=raw[16:32]), opened_at, seen_at)

    def _now(self) -> int:
        return int(self._clock().timestamp())

    def _mac(self, purpose: bytes, text: bytes) -> bytes:
        return hmac.digest(self._key, b"console " + purpose + b"\n" + text, sha256)


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
