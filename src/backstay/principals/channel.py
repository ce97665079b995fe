"""What the channels between processes have in common: they prove that they miss nothing."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from time import monotonic

import structlog

from backstay.caching.memory import MemoryCache
from backstay.core.causes import cause_of
from backstay.principals.cache import PrincipalCache
from backstay.principals.channel_memory import LocalPrincipals

log = structlog.get_logger("backstay.principals")

BEAT_SECONDS = 0.25
"""How long after an answer the next proof is asked for."""
PATIENCE = 5.0
"""Seconds after which a subscription that does not answer is replaced."""
STOP_SECONDS = 2.0
"""Seconds that a subscription may take to end by itself."""
FIRST_DELAY, LAST_DELAY = 0.1, 5.0
"""Seconds between attempts to subscribe again; each delay doubles the one before."""

Beat = Callable[[], Awaitable[object]]


class SharedPrincipals(LocalPrincipals, ABC):
    """Keeps one subscription alive, and the caches informed of how complete their knowledge is.

    Each subscription begins with empty caches, since what was said before it is unknown. Besides
    principals that may be the ``answers`` that this process keeps. ``report`` is told whether
    others are heard, at every answer and when there are no more.
    """

    def __init__(
        self,
        cache: PrincipalCache,
        report: Callable[[bool], None],
        answers: MemoryCache | None = None,
    ) -> None:
        super().__init__(cache)
        self._report = report
        self._answers = answers
        if answers is not None:
            answers.rely_on_channel()
        self._listening: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._is_lost, self._delay = False, FIRST_DELAY

    @abstractmethod
    def subscription(self) -> AbstractAsyncContextManager[Beat]:
        """Subscribe; what it gives returns once every change of before the call was forgotten."""

    def flush(self) -> None:
        """Forget everything, because something may have been missed."""
        self._cache.forget_all()
        if self._answers is not None:
            self._answers.forget_all()

    async def start(self) -> None:
        """Begin to listen, in the background."""
        self._listening = asyncio.create_task(self._listen())

    async def stop(self) -> None:
        """Listen no longer."""
        if self._listening is not None:
            self._stopping.set()
            await asyncio.wait({self._listening}, timeout=STOP_SECONDS)
            self._listening.cancel()
            await asyncio.wait({self._listening})

    def state(self) -> str:
        """Lost from the first failure until the next answer; before either it is believed in."""
        if self._listening is None:
            return "off"
        return "degraded" if self._is_lost else "ok"

    async def _listen(self) -> None:
        while True:
            try:
                async with self.subscription() as beat:
                    self.flush()
                    await self._follow(beat)
            except Exception as error:
                if not self._is_lost and not self._stopping.is_set():
                    log.warning("principal channel lost", reason=cause_of(error))
                self._is_lost = True
                self._report(False)
            if self._stopping.is_set():
                return  # after one attempt at least: what this process has outdated was told
            await self._rest(self._delay)
            self._delay = min(2 * self._delay, LAST_DELAY)

    async def _follow(self, beat: Beat) -> None:
        while True:
            is_last, asked = self._stopping.is_set(), monotonic()
            async with asyncio.timeout(PATIENCE):
                await beat()
            self._cache.complete_until(asked)
            if self._answers is not None:
                self._answers.complete_until(asked)
            if self._is_lost:
                log.info("principal channel is back")
            self._is_lost, self._delay = False, FIRST_DELAY
            self._report(True)
            if is_last:
                return  # it began after the stop was asked for, and told of whatever was untold
            await self._rest(BEAT_SECONDS)

    async def _rest(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
