"""What the application needs from the outside; `composition/adapters.py` says what it gets."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from backstay.core.context import Context, PrincipalChanges
from backstay.core.jobs import Backlog
from backstay.core.rates import Rate


class Clock(Protocol):
    """Tells the time; tests freeze it."""

    def __call__(self) -> datetime:
        """The current time, with its zone (UTC)."""
        ...


class BreachedPasswords(Protocol):
    """Knows passwords that were published after a break-in somewhere."""

    async def contains(self, password: str) -> bool:
        """Whether the password is known; never, where nothing to look it up in is configured.

        Raises:
            Unavailable: it cannot be looked up.
        """
        ...


class Passwords(Protocol):
    """Hashes passwords off the event loop, a bounded number at once.

    They are checked by :class:`backstay.security.guesses.Guesses` alone, which counts.
    """

    async def hash(self, password: str) -> str:
        """A salted hash to store."""
        ...

    def is_outdated(self, hashed: str) -> bool:
        """Whether the hash was made in another way than today's."""
        ...


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What a verified access token says (RFC 9068)."""

    user_id: UUID
    session_id: UUID
    expires_at: int


class AccessTokens(Protocol):
    """Signs and verifies access tokens."""

    def issue(self, user_id: UUID, session_id: UUID) -> str:
        """A signed token for one session."""
        ...

    def verify(self, token: str) -> AccessClaims:
        """The claims of a valid token.

        Raises:
            Unauthenticated: anything about the token is wrong.
        """
        ...

    def public_keys(self) -> dict[str, Any]:
        """The public keys as a JWK set (RFC 7517); empty for a symmetric algorithm."""
        ...


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A refresh token taken apart: its session, its place in the chain, its secret (32 bytes).

    ``sealed`` tells that its text carried the server's seal: it is genuine, whatever its age.
    """

    session_id: UUID
    generation: int
    secret: bytes
    sealed: bool = True


class RefreshTokens(Protocol):
    """Makes refresh tokens whose successors follow from them and a server key."""

    def first(self, session_id: UUID) -> RefreshToken:
        """A fresh random token, generation 0."""
        ...

    def successor(self, token: RefreshToken) -> RefreshToken:
        """The one token that follows; the same for every caller."""
        ...

    def hash(self, token: RefreshToken) -> bytes:
        """The keyed hash to store (32 bytes)."""
        ...

    def age(self, token: RefreshToken, generation: int, live_hash: bytes) -> int | None:
        """How often a token was rotated since, given the generation and hash of the live one.

        0 for the live token itself; None when it is forged.
        """
        ...

    def keyed_hash(self, purpose: str, owner: UUID, text: str) -> bytes:
        """The keyed hash of what tells a client of a session or user from others (32 bytes)."""
        ...

    def write(self, token: RefreshToken) -> str:
        """The text that the client keeps."""
        ...

    def read(self, text: str) -> RefreshToken | None:
        """The token of a text, or None when it cannot be one, or its seal is broken."""
        ...


@dataclass(frozen=True, slots=True)
class RateLimitResult:
    """The answer of a limiter. ``reset_after`` and ``retry_after`` are seconds."""

    allowed: bool
    limit: int
    remaining: int
    reset_after: float
    retry_after: float


class Limiter(Protocol):
    """Counts requests per key (GCRA, the burst is the limit)."""

    async def hit(self, key: str, rate: Rate) -> RateLimitResult:
        """Count one request and say whether it is within the rate."""
        ...

    async def take_back(self, key: str, rate: Rate) -> None:
        """Uncount a request that was within the rate."""
        ...


Load = Callable[[], Awaitable[bytes]]


class Cache(Protocol):
    """Keeps bytes for a while; in one place for all processes, where Redis is configured.

    Nothing that is kept may be relied upon: it can be gone at any time. While Redis is away every
    process keeps what it must by itself. ``ttl`` is in seconds.
    """

    async def get(self, key: str, *, tags: tuple[str, ...] = ()) -> bytes | None:
        """What is kept, or None. ``tags`` are those that it was kept with."""
        ...

    async def set(self, key: str, value: bytes, *, ttl: float, tags: tuple[str, ...] = ()) -> None:
        """Keep a value until one of its tags is deleted.

        Where it was worked out from what the tags name, use :meth:`remember`: this cannot know
        whether that has changed in between.
        """
        ...

    async def remember(
        self, key: str, load: Load, *, ttl: float, tags: tuple[str, ...] = ()
    ) -> bytes:
        """What is kept, else what ``load`` gives; whoever asks meanwhile waits for the same.

        What was loaded is not kept when a tag was deleted while it was under way. An error is
        everybody's who waits, and is not kept.
        """
        ...

    async def delete(self, *keys: str) -> None:
        """Forget keys."""
        ...

    async def delete_tags(self, *tags: str) -> None:
        """Outdate whatever is kept under these tags: one command, however much that is."""
        ...

    async def delete_matching(self, pattern: str) -> None:
        """Forget every key like a pattern, in which ``*`` is any text and ``?`` any character.

        It looks at every key of the database there is, tens of thousands of them per round trip:
        for rare repairs. Tags cost nothing.
        """
        ...

    async def increment(self, key: str, by: int = 1, *, ttl: float) -> int:
        """Add to a number, at once for everybody; the ``ttl`` is that of the first time."""
        ...

    async def push(self, key: str, *values: bytes, ttl: float) -> None:
        """Append to a list, which is kept for ``ttl`` seconds more.

        A list that grows larger than a value may be is dropped.
        """
        ...

    async def slice(self, key: str, start: int = 0, stop: int = -1) -> list[bytes]:
        """The values of a list from one index to another, which is included; -1 is the last."""
        ...


class PrincipalChannel(Protocol):
    """Tells every process that caches principals which of them changed."""

    async def announce(self, context: Context) -> None:
        """Called in the transaction of every command, right before its commit."""
        ...

    async def publish(self, changes: PrincipalChanges) -> None:
        """Called after the commit of a command that changed principals."""
        ...

    async def start(self) -> None:
        """Begin to listen to other processes, in the background."""
        ...

    async def stop(self) -> None:
        """Listen no longer."""
        ...

    def state(self) -> str:
        """``ok`` while other processes are heard, ``degraded`` while not, ``off`` by design."""
        ...


@dataclass(frozen=True, slots=True)
class Check:
    """How a dependency does: ``ok``, ``off`` when there is none, ``error``, or ``degraded`` when
    it fails and is done without; and why, where that is known.
    """

    state: str
    reason: str | None = None


class HealthChecks(Protocol):
    """Looks after what the application depends on."""

    async def checks(self) -> dict[str, Check]:
        """Each dependency by its name."""
        ...

    async def why_not_ready(self) -> str | None:
        """Why no request should be sent here, or None when they may."""
        ...


class Metrics(Protocol):
    """Counts requests, and knows what was counted."""

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Record one answered request; ``route`` is the template of its path."""
        ...

    def show(self, backlog: Sequence[Backlog]) -> None:
        """Take note of the jobs that wait."""
        ...

    def exposition(self) -> bytes:
        """Everything, in the text format of Prometheus."""
        ...
