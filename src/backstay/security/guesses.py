"""The only place that checks passwords: it counts the attempts on an account and delays them."""

from asyncio import Future, get_running_loop, sleep
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from math import ceil
from uuid import UUID

from backstay.core.addresses import limit_key
from backstay.core.errors import RateLimited
from backstay.core.rates import Limiter, Rate

FAILURE_RATE = Rate(20, 300, strict=True)
"""Failed attempts on one account, from all addresses together, before attempts are delayed."""
KEPT_FREE = 10
"""How many of these only wrong passwords can use up, however often the right one is sent."""
DELAY = 2.0
"""Seconds that each further attempt is delayed; delayed attempts run one after another."""
PLACES = 3
"""How many attempts of one address may wait for one account."""
ROOM = 10
"""How many attempts may wait for one account; beyond that, the next one starts at once."""
MOST_LINES = 1000
"""How many accounts have their own queue; all further ones share one."""

Verify = Callable[[str, str | None], Awaitable[bool]]


class Guesses:
    """Checks passwords. An account with many failures is slowed down, but never locked.

    The limiter counts failures, across all processes if they share one. The queue of waiting
    attempts is that of this process.
    """

    def __init__(self, verify: Verify, limiter: Limiter) -> None:
        self._verify = verify
        self._limiter = limiter
        self._lines: dict[str, _Line] = {}

    async def fits(
        self, password: str, hashed: str | None, *, about: UUID | str, address: str
    ) -> bool:
        """Whether a password matches the hash of an account. The caller must hold no connection.

        ``about`` is the account's id, or the normalised login if there is no account; a client
        cannot tell the two cases apart. An attempt counts before its hash is computed, so that
        concurrent attempts all count. If the password is right and fewer than ``KEPT_FREE``
        attempts are left, the attempt is taken back.

        Raises:
            RateLimited: too many attempts of this address wait for this account.
        """
        kind = "account" if isinstance(about, UUID) else "name"
        key = f"guesses:{sha256(f'{kind}:{about}'.encode()).hexdigest()}"
        verdict = await self._limiter.hit(key, FAILURE_RATE)
        if verdict.allowed:
            fits = await self._verify(password, hashed)
        else:
            async with self._turn(key, limit_key(address)):
                await sleep(DELAY)
                fits = await self._verify(password, hashed)
        if fits and verdict.allowed and verdict.remaining < KEPT_FREE:
            await self._limiter.take_back(key, FAILURE_RATE)
        return fits

    @asynccontextmanager
    async def _turn(self, key: str, address: str) -> AsyncIterator[None]:
        known = key in self._lines or len(self._lines) < MOST_LINES
        name = key if known else "others"
        line = self._lines.setdefault(name, _Line())
        try:
            async with line.turn(address):
                yield
        finally:
            if line.is_empty:
                self._lines.pop(name, None)


@dataclass(eq=False, slots=True)
class _Place:
    address: str
    called: Future[None]


class _Line:
    """The queue of attempts on one account. Addresses take turns, the one served longest ago first.

    No attempt is refused because of other addresses: if the queue is full, the next attempt starts
    at once. No attempt therefore waits longer than ``ROOM`` times the delay, however many addresses
    guess.
    """

    def __init__(self) -> None:
        self._places: list[_Place] = []
        self._served: dict[str, int] = {}
        self._calls = 0
        self._passing = 0

    @property
    def is_empty(self) -> bool:
        """Whether no attempt waits or runs."""
        return not self._places

    @asynccontextmanager
    async def turn(self, address: str) -> AsyncIterator[None]:
        """Wait for a turn, and hold it until the block ends.

        Raises:
            RateLimited: ``PLACES`` attempts of this address wait or run already.
        """
        if self._taken_by(address) >= PLACES:
            raise RateLimited(
                "Too many sign-ins of this account wait for their turn.",
                headers={"Retry-After": str(ceil(DELAY * PLACES))},
            )
        place = _Place(address, get_running_loop().create_future())
        self._places.append(place)
        if not self._passing or len(self._places) > ROOM:
            self._call_next()
        try:
            await place.called
            yield
        finally:
            self._leave(place)

    def _taken_by(self, address: str) -> int:
        return sum(place.address == address for place in self._places)

    def _call_next(self) -> None:
        waiting = [place for place in self._places if not place.called.done()]
        if not waiting:
            return
        place = min(waiting, key=lambda each: self._served.get(each.address, 0))
        self._calls += 1
        self._passing += 1
        self._served[place.address] = self._calls
        place.called.set_result(None)

    def _leave(self, place: _Place) -> None:
        self._places.remove(place)
        if not self._taken_by(place.address):
            self._served.pop(place.address, None)
        if place.called.cancelled():
            return
        self._passing -= 1
        if not self._passing:
            self._call_next()
