"""First come, first served at a pool of connections."""

import asyncio

from backstay.db.faults import no_connection_free


class Turns:
    """Lets as many in as there are connections, in the order of their coming.

    SQLAlchemy's own queue lets a task that comes back take the place of one that waits, which
    under steady load may starve it. ``timeout`` is in seconds.
    """

    def __init__(self, connections: int, timeout: float) -> None:
        self._free = asyncio.Semaphore(connections)
        self._timeout = timeout

    async def __aenter__(self) -> None:
        if not self._free.locked():
            await self._free.acquire()
            return
        try:
            async with asyncio.timeout(self._timeout):
                await self._free.acquire()
        except TimeoutError as error:
            raise no_connection_free() from error

    async def __aexit__(self, *_: object) -> None:
        self._free.release()
