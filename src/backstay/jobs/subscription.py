"""What those that notify workers have in common: one subscription that is kept up."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from uuid import UUID

import structlog

log = structlog.get_logger("backstay.jobs")

FIRST_DELAY, LAST_DELAY = 0.1, 5.0
"""Seconds between attempts to subscribe again; each delay doubles the one before."""
STOP_SECONDS = 2.0
"""Seconds that a subscription may take to end."""

Ring = Callable[[], None]
Follow = Callable[[], Awaitable[None]]


class SubscribedWakeups(ABC):
    """Listens in the background. Whatever it misses is found by looking for work now and then."""

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._listening: asyncio.Task[None] | None = None
        self._is_stopping = False
        self.is_healthy = False

    @abstractmethod
    def subscription(self, ring: Ring) -> AbstractAsyncContextManager[Follow]:
        """Subscribe; what it gives returns or raises once the subscription is lost."""

    @abstractmethod
    def publish(self, job_id: UUID) -> None:
        """Called after the commit; returns at once."""

    async def listen(self, ring: Ring) -> None:
        """Begin to call ``ring`` whenever there may be work."""
        self._is_stopping = False
        self._listening = asyncio.create_task(self._listen(ring))

    async def stop(self) -> None:
        """Neither tell nor listen any longer."""
        if self._listening is not None:
            self._is_stopping = True  # what it waits for may end otherwise than by the cancellation
            self._listening.cancel()
            await asyncio.wait({self._listening}, timeout=STOP_SECONDS)
            self._listening = None

    async def _listen(self, ring: Ring) -> None:
        is_lost, delay = False, FIRST_DELAY
        while not self._is_stopping:
            try:
                async with self.subscription(ring) as follow:
                    if is_lost:
                        log.info("jobs are told of again", channel=self._channel)
                    is_lost, delay, self.is_healthy = False, FIRST_DELAY, True
                    ring()
                    await follow()
            except Exception as error:
                if not is_lost and not self._is_stopping:
                    kind = type(error).__name__  # its text may hold a password
                    log.warning("jobs are polled for", channel=self._channel, error=kind)
                is_lost = True
            finally:
                self.is_healthy = False
            ring()  # who waits from now on does so more briefly
            await asyncio.sleep(delay)
            delay = min(2 * delay, LAST_DELAY)
