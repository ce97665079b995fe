"""Refuses requests early while a worker has more to do than it can finish in time.

The method is that of controlled delay (CoDel, RFC 8289): a queue that empties within 100 ms only
evens out a burst; one that does not delays every request, and goes on doing so. The queue of a
worker is that of its event loop. While it stands, Little's law (L = λW) says how many requests may
be in flight if each is to be answered in time.
"""

import asyncio
import json
from collections.abc import Callable
from itertools import cycle
from time import monotonic

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from backstay.core.addresses import limit_key
from backstay.core.errors import Unavailable
from backstay.web import sockets
from backstay.web.errors import problem_response

log = structlog.get_logger("backstay.http")

FEWEST = 16
"""So many requests in flight are never too many: they keep processor and connections busy."""
INTERVAL = 0.1
"""Seconds for which a queue must stand before requests are refused (RFC 8289, 4.2)."""
SAMPLE_SECONDS = 0.005
"""How often a turn of the event loop is timed while ``FEWEST`` requests are in flight."""
SAMPLES = 3
"""The fewest turns by which is judged: one of them may have been held up by blocking code."""
IDLE_TURN = 0.00002
"""Seconds: in a shorter turn the event loop had nothing to do."""
WEIGHT = 0.3
"""What the last interval counts in the rate at which requests are finished."""
LOG_SECONDS = 60.0
"""The log says at most so often that requests are refused."""
LONGEST_RETRY = 4
"""Clients are told in turn to wait 1 to so many seconds, so that they do not return together."""


class Overloaded(Unavailable):
    """The worker has more to do than it can finish in time; it did nothing of the request."""

    code, title = "overloaded", "Too much to do at the moment"

    @classmethod
    def retry_in(cls, seconds: int) -> "Overloaded":
        """The error that tells the client to wait so long."""
        return cls(f"Try again in {seconds} s.", headers={"Retry-After": str(seconds)})


class Cohort:
    """The requests in flight that arrived within one period: how many, and how many by client."""

    __slots__ = ("began", "clients", "count")

    def __init__(self, began: float) -> None:
        self.began = began
        self.count = 0
        self.clients: dict[str, int] = {}


class Shedder:
    """Decides which requests a worker refuses.

    While the queue of the event loop stands, as many requests may be in flight as are finished
    within ``max_wait`` seconds at the rate of such times. Beyond half of them only clients are
    served that have less than their share, which is all that are in flight divided by the clients:
    who sends many is refused first, and shuts nobody out.

    While the event loop has time, nothing is refused, however many wait. A request that is older
    than twice ``max_wait`` no longer counts: it waits for something else, such as a slow query, an
    upload or the client of a stream.

    ``shed`` is called for each refused request.
    """

    def __init__(
        self, max_wait: float, shed: Callable[[], None], clock: Callable[[], float] = monotonic
    ) -> None:
        self.is_watching = False
        self._max_wait, self._shed, self._clock = max_wait, shed, clock
        self._cohort, self._before = Cohort(clock()), Cohort(0.0)
        self._rate = 0.0
        self._is_standing = False
        self._since = self._seen_at = 0.0
        self._samples = self._idle = self._finished = self._refused = 0
        self._logged_at = -LOG_SECONDS

    @property
    def count(self) -> int:
        """How many requests are in flight, without those that are too old to count."""
        return self._cohort.count + self._before.count

    @property
    def limit(self) -> int:
        """How many may be in flight while the queue stands."""
        return max(FEWEST, int(self._rate * self._max_wait))

    def enter(self, client: str) -> Cohort:
        """Count one more request; :meth:`leave` takes the cohort when it has ended."""
        cohort = self._cohort
        cohort.count += 1
        cohort.clients[client] = cohort.clients.get(client, 0) + 1
        if cohort.count >= FEWEST and not self.is_watching:
            self._watch()
        return cohort

    def leave(self, cohort: Cohort, client: str) -> None:
        """A request has ended, in whatever way."""
        self._finished += 1
        cohort.count -= 1
        if left := cohort.clients[client] - 1:
            cohort.clients[client] = left
        else:
            del cohort.clients[client]

    def refuses(self, client: str) -> bool:
        """Whether another request of this client is too many."""
        if not (self._is_standing or self._is_held_up()):
            return False
        count, limit = self.count, self.limit
        if count < max(FEWEST, limit // 2):
            return False
        now, before = self._cohort.clients, self._before.clients
        share = count // max(1, len(now), len(before))
        return count >= limit or now.get(client, 0) + before.get(client, 0) >= max(1, share)

    def note_refused(self) -> None:
        """Count a refused request; the log says it at once, then with the number of others."""
        self._shed()
        self._refused += 1
        now = self._clock()
        if now - self._logged_at >= LOG_SECONDS:
            told = {"refused": self._refused, "in_flight": self.count, "limit": self.limit}
            log.warning("overloaded: requests are refused", **told)
            self._refused, self._logged_at = 0, now

    def note_turn(self, seconds: float) -> None:
        """Take the duration of a turn of the event loop."""
        now = self._seen_at = self._clock()
        self._samples += 1
        self._idle += seconds < IDLE_TURN
        if now - self._cohort.began >= self._max_wait:
            self._before, self._cohort = self._cohort, Cohort(now)
        if self.count < FEWEST:
            self.is_watching = self._is_standing = False
        elif self._samples >= SAMPLES and now - self._since >= INTERVAL:
            self._judge(now)

    def _is_held_up(self) -> bool:
        """Whether this turn, of a crowd that came at once, is already too long."""
        return self._rate > 0 and self._clock() - self._seen_at > INTERVAL

    def _judge(self, now: float) -> None:
        """Say whether the loop had something to do in most turns of the interval that ends now."""
        self._is_standing = 2 * self._idle < self._samples
        if self._is_standing:
            rate = self._finished / (now - self._since)
            self._rate += (rate - self._rate) * (WEIGHT if self._rate else 1)
        self._begin_interval(now)

    def _begin_interval(self, now: float) -> None:
        self._since, self._samples, self._idle, self._finished = now, 0, 0, 0

    def _watch(self) -> None:
        """Time turns of the event loop until fewer than ``FEWEST`` requests are in flight."""
        loop, clock = asyncio.get_running_loop(), self._clock
        began = self._seen_at = clock()
        self.is_watching = True
        self._begin_interval(began)

        def begin() -> None:
            nonlocal began
            began = clock()
            loop.call_soon(end)  # runs in the next turn, after all that is ready before it

        def end() -> None:
            self.note_turn(clock() - began)
            if self.is_watching:
                loop.call_later(SAMPLE_SECONDS, loop.call_soon, begin)

        loop.call_soon(begin)


class _Refusal:
    """The response to a refused request, rendered but for its path and id."""

    def __init__(self, seconds: int) -> None:
        told = {"path": "{path}", "backstay.request_id": "{id}"}
        made = problem_response(told, Overloaded.retry_in(seconds))
        body = bytes(made.body).replace(b"%", b"%%")
        self._body = body.replace(b'"{path}"', b"%b").replace(b"{id}", b"%b")
        self._headers = [each for each in made.raw_headers if each[0] != b"content-length"]
        self._status = made.status_code

    async def send(self, scope: Scope, send: Send) -> None:
        path = json.dumps(scope["path"].encode("utf-8", "replace").decode())
        body = self._body % (path.encode(), scope["backstay.request_id"].encode())
        headers = [*self._headers, (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": self._status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Shedding:
    """The layer that refuses requests and handshakes of WebSockets (503) before more is read.

    ``is_essential`` says of the scope of a request that it is served all the same. Open WebSockets
    are not counted.
    """

    def __init__(
        self, app: ASGIApp, shedder: Shedder, is_essential: Callable[[Scope], bool]
    ) -> None:
        self._app = app
        self._shedder = shedder
        self._is_essential = is_essential
        self._refusals = cycle(_Refusal(each) for each in range(1, LONGEST_RETRY + 1))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        shedder, client = self._shedder, limit_key(scope["backstay.client_address"])
        if shedder.is_watching and shedder.refuses(client) and not self._is_essential(scope):
            shedder.note_refused()
            scope["backstay.shed"] = True
            if scope["type"] == "websocket":
                await sockets.refuse(scope, receive, send, Overloaded.retry_in(LONGEST_RETRY))
            else:
                await next(self._refusals).send(scope, send)
            return
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        cohort = shedder.enter(client)
        try:
            await self._app(scope, receive, send)
        finally:
            shedder.leave(cohort, client)
