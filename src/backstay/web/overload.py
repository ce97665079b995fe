"""Refuses requests early while a worker has more to do than it can finish in time.

The method is that of controlled delay (CoDel, RFC 8289): a queue that empties within 100 ms only
evens out a burst; one that does not adds delay to every request, and never sheds it by itself. The
queue of a worker is that of its event loop. While it stands, Little's law (L = λW) says how many
requests may be in flight so that each is answered in time.
"""

import asyncio
from collections.abc import Callable
from random import randint
from time import monotonic

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from backstay.core.addresses import limit_key
from backstay.core.errors import Unavailable
from backstay.web import sockets
from backstay.web.errors import problem_response

log = structlog.get_logger("backstay.http")

FEWEST = 16
"""So many requests in flight are never refused: they keep the processor and the connections busy."""
INTERVAL = 0.1
"""Seconds for which a queue must stand before requests are refused (RFC 8289, 4.2)."""
SAMPLE_SECONDS = 0.005
"""How often a turn of the event loop is timed, while more than ``FEWEST`` requests are in flight."""
IDLE_TURN = 0.0002
"""Seconds: in a shorter turn of the event loop, no request was worked on."""
WEIGHT = 0.3
"""How much the last interval counts in the rate at which requests are finished."""
LOG_SECONDS = 60.0
"""At most so often the log says that requests are refused."""
LONGEST_RETRY = 4
"""Clients are told to try again after 1 to so many seconds, at random, so that they do not come
back together."""


class Overloaded(Unavailable):
    """The worker has more to do than it can finish in time; nothing of the request was done."""

    code, title = "overloaded", "Too much to do at the moment"


class Cohort:
    """The requests in flight that arrived within one period, together and by client."""

    __slots__ = ("began", "clients", "count")

    def __init__(self, began: float) -> None:
        self.began = began
        self.count = 0
        self.clients: dict[str, int] = {}


class Shedder:
    """Decides which requests a worker refuses; it decides within microseconds.

    ``max_wait`` is in seconds. While the queue of the event loop stands, as many requests may be in
    flight as are finished within ``max_wait`` at the present rate, but at least ``FEWEST``. Beyond
    half of them, a client needs less than its share: all that are in flight, divided by the
    clients. So a client with many requests is refused, and one with few is not. A request that is
    older than twice ``max_wait`` no longer counts, since it waits for something else: a stream, an
    upload, a slow query. While the event loop has time, nothing is refused.

    ``shed`` is called for each refused request.
    """

    def __init__(
        self, max_wait: float, shed: Callable[[], None], clock: Callable[[], float] = monotonic
    ) -> None:
        self.limit: int | None = None
        self._max_wait, self._shed, self._clock = max_wait, shed, clock
        self._cohort = self._before = Cohort(clock())
        self._is_watching = self._was_idle = False
        self._since, self._finished, self._rate = 0.0, 0, 0.0
        self._refused, self._logged_at = 0, -LOG_SECONDS

    @property
    def count(self) -> int:
        """How many requests are in flight, those left out that have aged."""
        before = 0 if self._before is self._cohort else self._before.count
        return self._cohort.count + before

    def enter(self, client: str) -> Cohort:
        """Count one more request; the cohort has to be handed back to :meth:`leave`."""
        cohort = self._cohort
        cohort.count += 1
        cohort.clients[client] = cohort.clients.get(client, 0) + 1
        if cohort.count >= FEWEST and not self._is_watching:
            self._watch()
        return cohort

    def leave(self, cohort: Cohort, client: str) -> None:
        """A request has ended, however it did."""
        self._finished += 1
        cohort.count -= 1
        left = cohort.clients[client] - 1
        if left:
            cohort.clients[client] = left
        else:
            del cohort.clients[client]

    def refuses(self, client: str) -> bool:
        """Whether another request of this client is too many."""
        if self.limit is None:
            return False
        count = self.count
        if count < max(FEWEST, self.limit // 2) or count >= self.limit:
            return count >= self.limit
        cohorts = {self._cohort, self._before}
        share = count // max(1, *(len(each.clients) for each in cohorts))
        return sum(each.clients.get(client, 0) for each in cohorts) >= max(1, share)

    def note_refused(self) -> None:
        """Count a refused request; the log says so once per ``LOG_SECONDS``."""
        self._shed()
        self._refused += 1
        now = self._clock()
        if now - self._logged_at >= LOG_SECONDS:
            told = {"refused": self._refused, "in_flight": self.count, "limit": self.limit}
            log.warning("overloaded: requests are refused", **told)
            self._refused, self._logged_at = 0, now

    def note_turn(self, seconds: float) -> bool:
        """Take the time of a turn of the event loop; whether further ones are needed."""
        now = self._clock()
        if now - self._cohort.began >= self._max_wait:
            self._before, self._cohort = self._cohort, Cohort(now)
        self._was_idle |= seconds < IDLE_TURN
        if self.count < FEWEST:
            self.limit, self._is_watching = None, False
        elif now - self._since >= INTERVAL:
            self._judge(now)
        return self._is_watching

    def _judge(self, now: float) -> None:
        """Set the limit by what was finished in the interval that ends now."""
        rate = self._finished / (now - self._since)
        if self._was_idle:
            self.limit = None
        else:
            known = self._rate if self.limit is not None else rate
            self._rate = known + WEIGHT * (rate - known)
            self.limit = max(FEWEST, int(self._rate * self._max_wait))
        self._since, self._finished, self._was_idle = now, 0, False

    def _watch(self) -> None:
        self._is_watching, self._was_idle = True, False
        self._since, self._finished = self._clock(), 0
        loop, clock = asyncio.get_running_loop(), self._clock
        began = 0.0

        def begin() -> None:
            nonlocal began
            began = clock()
            loop.call_soon(end)  # runs in the next turn, after what was ready before

        def end() -> None:
            if self.note_turn(clock() - began):
                loop.call_later(SAMPLE_SECONDS, loop.call_soon, begin)

        loop.call_soon(begin)


class Shedding:
    """The layer that refuses requests and handshakes of WebSockets (503) before anything is read.

    ``is_essential`` says of the scope of a request that it is served all the same. Open WebSockets
    are not counted.
    """

    def __init__(
        self, app: ASGIApp, shedder: Shedder, is_essential: Callable[[Scope], bool]
    ) -> None:
        self._app = app
        self._shedder = shedder
        self._is_essential = is_essential

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        shedder, client = self._shedder, limit_key(scope["backstay.client_address"])
        if shedder.limit is not None and shedder.refuses(client) and not self._is_essential(scope):
            await self._refuse(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        cohort = shedder.enter(client)
        try:
            await self._app(scope, receive, send)
        finally:
            shedder.leave(cohort, client)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._shedder.note_refused()
        scope["backstay.shed"] = True
        wait = randint(1, LONGEST_RETRY)  # noqa: S311
        error = Overloaded(f"Try again in {wait} s.", headers={"Retry-After": str(wait)})
        if scope["type"] == "websocket":
            await sockets.refuse(scope, receive, send, error)
        else:
            await problem_response(scope, error)(scope, receive, send)
