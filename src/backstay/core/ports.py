"""The ports: what the application needs from outside; `composition/adapters.py` fills them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from backstay.core.context import Context, PrincipalChanges


class Clock(Protocol):
    """The clock; tests replace it by one that stands still."""

    def __call__(self) -> datetime:
        """The current time, with its zone (UTC)."""
        ...


class BreachedPasswords(Protocol):
    """Looks up passwords that became public through data breaches."""

    async def contains(self, password: str) -> bool:
        """Whether exactly this text is known; always False if no source is configured.

        Raises:
            Unavailable: the look-up failed; its sentence does not contain the password.
        """
        ...


class Passwords(Protocol):
    """Hashes passwords outside of the event loop, a limited number at a time.

    Only :class:`backstay.security.guesses.Guesses` checks passwords, because it counts attempts.
    """

    async def hash(self, password: str) -> str:
        """The salted hash to store."""
        ...

    def is_outdated(self, hashed: str) -> bool:
        """Whether the hash was made with other parameters than those of today."""
        ...


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What a verified access token says (RFC 9068).

    ``expires_at`` is the second since 1970 until which the token is accepted.
    """

    user_id: UUID
    session_id: UUID
    expires_at: int


class AccessTokens(Protocol):
    """Signs and verifies access tokens."""

    def issue(self, user_id: UUID, session_id: UUID) -> str:
        """Sign a token for one session: ASCII that can be sent in a header (RFC 6750, 2.1)."""
        ...

    def verify(self, token: str) -> AccessClaims:
        """The claims of a valid token.

        Raises:
            Unauthenticated: the token is not valid, for whatever reason: any text is refused so.
        """
        ...

    def public_keys(self) -> dict[str, Any]:
        """The public keys as a JWK set (RFC 7517), ``{"keys": […]}``; none for a symmetric key."""
        ...


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """The parts of a refresh token: its session, its number in the chain, its secret (32 bytes).

    ``sealed`` tells that its text had the server's signature: it is genuine, whatever its age.
    """

    session_id: UUID
    generation: int
    secret: bytes
    sealed: bool = True


class RefreshTokens(Protocol):
    """Makes refresh tokens; the successor of a token is derived from it and a key of the server."""

    def first(self, session_id: UUID) -> RefreshToken:
        """A new random token of a session, of generation 0."""
        ...

    def successor(self, token: RefreshToken) -> RefreshToken:
        """The one token of the next generation, always the same; only the key can derive it."""
        ...

    def hash(self, token: RefreshToken) -> bytes:
        """The keyed hash to store (32 bytes)."""
        ...

    def age(self, token: RefreshToken, generation: int, live_hash: bytes) -> int | None:
        """How often a token was rotated since, given the generation and hash of the current one.

        It is 0 for the current token itself, and None for a token that is forged, of another
        session, or of a later generation than the current one.
        """
        ...

    def keyed_hash(self, purpose: str, owner: UUID, text: str) -> bytes:
        """The keyed hash (32 bytes) of a text that identifies a client of a session or user."""
        ...

    def write(self, token: RefreshToken) -> str:
        """The text that the client keeps: ASCII that can be the value of a cookie (RFC 6265)."""
        ...

    def read(self, text: str) -> RefreshToken | None:
        """The token in a text, or None if the text has another form or a wrong signature.

        No text raises an error. What :meth:`write` gave is read as the same token.
        """
        ...


Load = Callable[[], Awaitable[bytes]]
"""Computes a value that a cache lacks."""


class Cache(Protocol):
    """Keeps bytes for a while; with Redis, all processes share them.

    An entry may disappear at any time: where room is short, or the store was away. While Redis is
    down each process keeps its own entries; no cache raises an error because its store is away.
    ``ttl`` is in seconds.
    """

    async def get(self, key: str, *, tags: tuple[str, ...] = ()) -> bytes | None:
        """The value of a key, or None. ``tags`` must be those it was kept with."""
        ...

    async def set(self, key: str, value: bytes, *, ttl: float, tags: tuple[str, ...] = ()) -> None:
        """Keep a value in place of an earlier one, until one of its tags is deleted.

        For a value computed from the data that the tags name, use :meth:`remember`: this method
        cannot know whether that data has changed since.
        """
        ...

    async def remember(
        self, key: str, load: Load, *, ttl: float, tags: tuple[str, ...] = ()
    ) -> bytes:
        """The value of a key, else what ``load`` returns; concurrent callers share one load.

        A loaded value is not kept if one of its tags was deleted during the load. An error of
        ``load`` is raised to every caller that waits for it, and is not kept. A caller that is
        cancelled does not cancel a load that others wait for.
        """
        ...

    async def delete(self, *keys: str) -> None:
        """Delete the values of keys."""
        ...

    async def delete_tags(self, *tags: str) -> None:
        """Invalidate all entries with one of these tags; the cost is the same for any number."""
        ...

    async def delete_matching(self, pattern: str) -> None:
        """Delete every key that matches a pattern; ``*`` is any text, ``?`` is any character.

        It is for rare repairs, since it scans all keys of the Redis database, ten thousand per
        round trip. Prefer tags, which need no scan.
        """
        ...

    async def increment(self, key: str, by: int = 1, *, ttl: float) -> int:
        """Add to a number, atomically, and return the sum; the first call sets the ``ttl``."""
        ...

    async def push(self, key: str, *values: bytes, ttl: float) -> None:
        """Append to a list, which is then kept for another ``ttl`` seconds.

        A list that exceeds the maximal size of a value is deleted.
        """
        ...

    async def slice(self, key: str, start: int = 0, stop: int = -1) -> list[bytes]:
        """The values of a list from ``start`` to ``stop``, both included; -1 is the last."""
        ...


class PrincipalChannel(Protocol):
    """Informs every process that caches principals which of them have changed."""

    async def announce(self, context: Context) -> None:
        """Called in the transaction of a command that changed principals, right before its commit.

        Where there is a replica it is called for every command: its author reads what it wrote.
        """
        ...

    async def publish(self, changes: PrincipalChanges) -> None:
        """Called after the commit of a command that changed principals."""
        ...

    async def start(self) -> None:
        """Start to listen to other processes, in the background."""
        ...

    async def stop(self) -> None:
        """Stop listening."""
        ...

    def state(self) -> str:
        """``ok`` while changes of other processes arrive, ``degraded`` while they do not.

        ``off`` if this process does not listen by design.
        """
        ...


@dataclass(frozen=True, slots=True)
class Check:
    """The state of a dependency, and the reason where it is known.

    ``ok``; ``off`` if it is not configured; ``error``; or ``degraded`` if it fails but the
    application works without it.
    """

    state: str
    reason: str | None = None


class HealthChecks(Protocol):
    """Checks the dependencies of the application."""

    async def checks(self) -> dict[str, Check]:
        """The state of each dependency, by its name."""
        ...

    async def why_not_ready(self) -> str | None:
        """Why this process should get no requests, or None if it is ready."""
        ...


class Metrics(Protocol):
    """Collects metrics, and exports them; the edge counts ``in_flight`` requests up and down."""

    in_flight: int

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Record one answered request; ``route`` is the template of its path."""
        ...

    async def refresh(self) -> None:
        """Read what only other services know; what does not answer in time stays as it was."""
        ...

    def exposition(self) -> bytes:
        """All metrics, in the text format of Prometheus."""
        ...
