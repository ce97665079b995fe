"""First come, first served at a pool of connections, and nobody takes all of them."""

import asyncio
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from time import monotonic
from weakref import WeakValueDictionary

from backstay.core.addresses import limit_key
from backstay.core.context import Context
from backstay.db.faults import no_connection_free, share_in_use


class Waits:
    """Counts who waits for a connection, and tells for how many seconds each has waited."""

    def __init__(self) -> None:
        self.now = 0
        self.observe: Callable[[float], None] = lambda seconds: None

    @contextmanager
    def one(self) -> Iterator[None]:
        """Somebody waits meanwhile."""
        begun = monotonic()
        self.now += 1
        try:
            yield
        finally:
            self.now -= 1
            self.observe(monotonic() - begun)


class FairSemaphore:
    """Lets as many in as there are connections, in the order of their coming.

    SQLAlchemy's own queue lets a task that comes back take the place of one that waits, which
    under steady load may starve it. Of whoever is named, at most ``each`` are in at a time, and
    always fewer than there are connections; the others of theirs wait in a queue of their own,
    where everybody else overtakes them. ``timeout`` is in seconds.
    """

    def __init__(
        self,
        connections: int,
        timeout: float,
        each: int | None = None,
        waits: Waits | None = None,
    ) -> None:
        self.waits = waits or Waits()
        self._timeout = timeout
        self._free = asyncio.Semaphore(connections)
        self._each = max(1, min(each or connections, connections - 1))
        self._shares: WeakValueDictionary[Hashable, asyncio.Semaphore] = WeakValueDictionary()

    def of(self, who: Hashable | None) -> "Slot":
        """A turn of somebody, to be entered once; None is the application itself."""
        if who is None:
            return Slot(self, self._free)
        share = self._shares.get(who)
        if share is None:
            share = self._shares[who] = asyncio.Semaphore(self._each)
        return Slot(self, share, self._free)


class Slot:
    """One turn. It keeps the share that it is of: shares that nobody uses are forgotten."""

    __slots__ = ("_gates", "_semaphore")

    def __init__(self, semaphore: FairSemaphore, *gates: asyncio.Semaphore) -> None:
        self._semaphore = semaphore
        self._gates = gates

    async def __aenter__(self) -> None:
        if not any(gate.locked() for gate in self._gates):
            for gate in self._gates:
                await gate.acquire()  # at once
            return
        passed: list[asyncio.Semaphore] = []
        try:
            with self._semaphore.waits.one():
                async with asyncio.timeout(self._semaphore._timeout):
                    await self._pass(passed)
        except BaseException as error:
            for gate in passed:
                gate.release()
            if not isinstance(error, TimeoutError):
                raise
            if len(self._gates) - len(passed) > 1:
                raise share_in_use() from error
            raise no_connection_free() from error

    async def _pass(self, passed: list[asyncio.Semaphore]) -> None:
        for gate in self._gates:
            await gate.acquire()
            passed.append(gate)

    async def __aexit__(self, *_: object) -> None:
        for gate in self._gates:
            gate.release()


def whose(context: Context) -> Hashable | None:
    """Who asks for what a message reads: a user, an address, or None for the application itself.

    What the application asks for somebody's message is theirs.
    """
    while context.sender.parent is not None:
        context = context.sender.parent
    principal = context.principal
    if principal.is_system:
        return None
    return principal.user_id or limit_key(context.origin.address)
