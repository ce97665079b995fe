"""Shares connections fairly: in the order of requests, and no client gets all of them."""

import asyncio
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from time import monotonic
from weakref import WeakValueDictionary

from backstay.core.addresses import limit_key
from backstay.core.context import Context
from backstay.db.faults import no_connection_free, share_in_use


class FairSemaphore:
    """Admits as many tasks as there are connections, in the order of arrival.

    In SQLAlchemy's own queue a task that returns can overtake one that waits, which may starve the
    latter under steady load. A named client has at most ``each`` tasks admitted at a time, and
    always fewer than there are connections; its other tasks wait in a queue of the client's own
    and hold up nobody else. ``timeout`` is in seconds. ``waiting`` counts the tasks that wait, here
    or for a connection, ``observe`` is called with the seconds that each waited, and ``timed_out``
    for each that got no connection in time.
    """

    def __init__(self, connections: int, timeout: float, each: int | None = None) -> None:
        self.waiting = 0
        self.observe: Callable[[float], None] = lambda seconds: None
        self.timed_out: Callable[[], None] = lambda: None
        self._timeout = timeout
        self._free = asyncio.Semaphore(connections)
        self._each = max(1, min(each or connections, connections - 1))
        self._shares: WeakValueDictionary[Hashable, asyncio.Semaphore] = WeakValueDictionary()

    def of(self, who: Hashable | None) -> "_Slot":
        """A slot for a client, to be entered once; None is the application itself."""
        if who is None:
            return _Slot(self, self._free)
        share = self._shares.get(who)
        if share is None:
            share = self._shares[who] = asyncio.Semaphore(self._each)
        return _Slot(self, share, self._free)

    @contextmanager
    def wait(self) -> Iterator[None]:
        """Count one more waiting task inside this context."""
        begun = monotonic()
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1
            self.observe(monotonic() - begun)


class _Slot:
    """One admission. It references its client's share, since unused shares are collected."""

    __slots__ = ("_gates", "_semaphore")

    def __init__(self, semaphore: FairSemaphore, *gates: asyncio.Semaphore) -> None:
        self._semaphore = semaphore
        self._gates = gates

    async def __aenter__(self) -> None:
        if not any(gate.locked() for gate in self._gates):
            for gate in self._gates:
                await gate.acquire()  # never waits: no gate is locked
            return
        passed: list[asyncio.Semaphore] = []
        try:
            with self._semaphore.wait():
                async with asyncio.timeout(self._semaphore._timeout):
                    await self._pass(passed)
        except BaseException as error:
            for gate in passed:
                gate.release()
            if not isinstance(error, TimeoutError):
                raise
            if len(self._gates) - len(passed) > 1:
                raise share_in_use() from error
            self._semaphore.timed_out()
            raise no_connection_free() from error

    async def _pass(self, passed: list[asyncio.Semaphore]) -> None:
        for gate in self._gates:
            await gate.acquire()
            passed.append(gate)

    async def __aexit__(self, *_: object) -> None:
        for gate in self._gates:
            gate.release()


def whose(context: Context) -> Hashable | None:
    """The client that a message's reads count for: a user, an address, or None for the application.

    A nested message counts for the sender of the outermost one.
    """
    while context.sender.parent is not None:
        context = context.sender.parent
    principal = context.principal
    if principal.is_system:
        return None
    return principal.user_id or limit_key(context.origin.address)
