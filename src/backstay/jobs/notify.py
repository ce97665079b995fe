"""The JobNotifier port: through the database, or taskiq's brokers (Redis, RabbitMQ, NATS)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import UUID

import structlog

from backstay.core.background import in_background
from backstay.core.clock import new_id
from backstay.db.listener import STOP_SECONDS, Listener
from backstay.jobs.statements import CHANNEL

if TYPE_CHECKING:
    from taskiq import AckableMessage, AsyncBroker

log = structlog.get_logger("backstay.jobs")

BROKER_CHANNEL = "backstay.jobs"
PATIENCE = 2.0
"""Seconds after which a broker that does not answer counts as unreachable."""
REST_SECONDS = 5.0
"""How long to wait before the next attempt to connect; ids published meanwhile are dropped."""
MOST_WAITING = 1000


class ListeningNotifier:
    """Listens, and publishes nothing; the worker finds missed jobs by polling.

    On PostgreSQL that suffices: NOTIFY is part of the statement that stores a job.
    """

    def __init__(self, listener: Listener, channel: str) -> None:
        self._listener = listener
        self._channel = channel
        self._notify: Callable[[], None] = lambda: None
        self._is_lost = False
        self.is_healthy = False

    def publish(self, job_id: UUID) -> None:
        """Nothing to do: the commit has sent the notification."""

    async def listen(self, notify: Callable[[], None]) -> None:
        self._notify = notify
        self._listener.subscribe(CHANNEL, self)

    async def stop(self) -> None:
        """Nothing to do: the listener is shared, and its owner stops it."""

    def subscribed(self) -> None:
        """Wake the workers: earlier notifications may have been missed."""
        self._notify()

    def notified(self, payload: str) -> None:
        """Wake the workers: there is a job."""
        self._notify()

    def complete_until(self, moment: float) -> None:
        """Notifications arrive: workers may poll less often."""
        if self._is_lost:
            log.info("jobs are told of again", channel=self._channel)
        self._is_lost, self.is_healthy = False, True

    def lost(self, error: Exception) -> None:
        """Notifications do not arrive: wake the workers, so that they poll more often."""
        if not self._is_lost:
            kind = type(error).__name__  # its text may hold a password
            log.warning("jobs are polled for", channel=self._channel, error=kind)
        self._is_lost, self.is_healthy = True, False
        self._notify()


class BrokerNotifier(ListeningNotifier):
    """Publishes and listens. Ids that cannot be sent are dropped, so that no request waits.

    ``report`` is called with the name of the broker and whether it works, at every change.
    """

    def __init__(self, url: str, report: Callable[[str, bool], None] = lambda *_: None) -> None:
        super().__init__(_BrokerListener(url), urlsplit(url).scheme)
        self._url = url
        self._report = report
        self._works: dict[str, bool] = {}
        self._waiting: asyncio.Queue[UUID] = asyncio.Queue(MOST_WAITING)
        self._sending: asyncio.Task[None] | None = None

    def publish(self, job_id: UUID) -> None:
        """Queue the id, to be sent in the background; it is dropped when the queue is full."""
        with suppress(asyncio.QueueFull):
            self._waiting.put_nowait(job_id)
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send_waiting())

    def complete_until(self, moment: float) -> None:
        super().complete_until(moment)
        self._note("listening", works=True)

    def lost(self, error: Exception) -> None:
        super().lost(error)
        self._note("listening", works=False)

    def _note(self, purpose: str, *, works: bool) -> None:
        """Note whether one of the two connections works; the broker does if none is known not to"""
        if self._works.get(purpose) is not works:
            self._works[purpose] = works
            self._report(self._channel, all(self._works.values()))

    async def stop(self) -> None:
        await self._listener.stop()
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait({self._sending}, timeout=STOP_SECONDS)

    async def _send_waiting(self) -> None:
        is_lost = False
        while True:
            try:
                async with _started(self._url, listens=False) as broker:
                    if is_lost:
                        log.info("the broker of jobs is back", broker=self._channel)
                    is_lost = False
                    self._note("sending", works=True)
                    while True:
                        await _send(broker, await self._waiting.get())
            except Exception as error:
                if not is_lost:
                    kind = type(error).__name__  # its text may hold a password
                    log.warning("the broker of jobs is away", broker=self._channel, error=kind)
                is_lost = True
                self._note("sending", works=False)
            await asyncio.sleep(REST_SECONDS)
            while not self._waiting.empty():
                self._waiting.get_nowait()


class _BrokerListener(Listener):
    """Receives ids of jobs from a broker until the connection is lost."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self._hearing: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        async with _started(self._url, listens=True) as broker:
            self._hearing = in_background(self._hear(broker))
            try:
                yield
            finally:
                self._hearing.cancel()
                await asyncio.wait({self._hearing}, timeout=STOP_SECONDS)

    async def beat(self) -> None:
        """Check that the broker is still being read; it cannot be asked what it has lost."""
        hearing = self._hearing
        if hearing is not None and hearing.done():
            error = None if hearing.cancelled() else hearing.exception()
            raise error or ConnectionError("the broker tells nothing more")

    async def _hear(self, broker: "AsyncBroker") -> None:
        async with aclosing(broker.listen()) as messages:
            async for message in messages:
                for each in self._subscribers.values():
                    each.notified("")
                if not isinstance(message, bytes):
                    await _acknowledge(message)


async def reach_broker(url: str) -> None:
    """Connect to a broker, and leave it again; its errors are those of its library.

    Raises:
        TimeoutError: it does not answer within ``PATIENCE``.
    """
    async with _started(url, listens=False) as broker:
        pool = getattr(broker, "connection_pool", None)
        if pool is not None:  # of Redis: it connects only when it is used
            from redis.asyncio import Redis  # noqa: PLC0415

            async with asyncio.timeout(PATIENCE):
                await Redis(connection_pool=pool).ping()


async def _send(broker: "AsyncBroker", job_id: UUID) -> None:
    from taskiq import BrokerMessage  # noqa: PLC0415

    text = str(job_id)
    message = BrokerMessage(task_id=text, task_name="job", message=text.encode(), labels={})
    async with asyncio.timeout(PATIENCE):
        await broker.kick(message)


@asynccontextmanager
async def _started(url: str, *, listens: bool) -> "AsyncIterator[AsyncBroker]":
    broker = _broker(url)
    broker.is_worker_process = listens
    try:
        async with asyncio.timeout(PATIENCE):
            await broker.startup()
        yield broker
    finally:
        with suppress(Exception):
            async with asyncio.timeout(PATIENCE):
                await broker.shutdown()


async def _acknowledge(message: "AckableMessage") -> None:
    from taskiq.utils import maybe_awaitable  # noqa: PLC0415

    await maybe_awaitable(message.ack())


def _broker(url: str) -> "AsyncBroker":
    """The broker of a URL; its package is imported only where it is used."""
    match urlsplit(url).scheme:
        case "redis" | "rediss":
            from taskiq_redis import PubSubBroker  # noqa: PLC0415

            return PubSubBroker(url, queue_name=BROKER_CHANNEL, socket_connect_timeout=PATIENCE)
        case "amqp" | "amqps":
            from aio_pika import ExchangeType  # noqa: PLC0415
            from taskiq_aio_pika import AioPikaBroker, Exchange, Queue, QueueType  # noqa: PLC0415

            bounded: dict[str, Any] = {"x-max-length": 10_000, "x-message-ttl": 60_000}
            own = Queue(
                type=QueueType.CLASSIC,
                name=f"{BROKER_CHANNEL}.{new_id()}",
                arguments=bounded | {"x-expires": 60_000},
            )  # a queue for all processes would deliver each id to one of them only
            return AioPikaBroker(
                url,
                exchange=Exchange(name=f"{BROKER_CHANNEL}.all", type=ExchangeType.FANOUT),
                task_queues=[own],
                dead_letter_queue=Queue(
                    type=QueueType.CLASSIC, name=f"{BROKER_CHANNEL}.lost", arguments=bounded
                ),
            )
        case _:
            from taskiq_nats import NatsBroker  # noqa: PLC0415

            return NatsBroker(
                url,
                subject=BROKER_CHANNEL,
                allow_reconnect=False,
                connect_timeout=PATIENCE,
                error_cb=_ignore,
            )


async def _ignore(error: Exception) -> None:
    """Ignore it: the NATS client would log each attempt with a traceback, and a lost broker is
    logged once here."""
