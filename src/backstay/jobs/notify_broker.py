"""The Wakeups port on the brokers of taskiq: Redis, RabbitMQ and NATS carry ids of jobs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import UUID

import structlog

from backstay.core.clock import new_id
from backstay.jobs.subscription import STOP_SECONDS, Follow, Ring, SubscribedWakeups

if TYPE_CHECKING:
    from taskiq import AckableMessage, AsyncBroker

log = structlog.get_logger("backstay.jobs")

CHANNEL = "backstay.jobs"
PATIENCE = 2.0
"""Seconds after which a broker that does not answer is away."""
REST_SECONDS = 5.0
"""How long a broker that is away is left alone; ids of meanwhile are dropped."""
MOST_WAITING = 1000


class BrokerWakeups(SubscribedWakeups):
    """Tells and listens. It never keeps a request waiting: what it cannot tell it drops."""

    def __init__(self, url: str) -> None:
        super().__init__(urlsplit(url).scheme)
        self._url = url
        self._waiting: asyncio.Queue[UUID] = asyncio.Queue(MOST_WAITING)
        self._telling: asyncio.Task[None] | None = None

    def publish(self, job_id: UUID) -> None:
        """Leave the id to be sent in the background."""
        with suppress(asyncio.QueueFull):
            self._waiting.put_nowait(job_id)
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell())

    async def stop(self) -> None:
        """Neither tell nor listen any longer."""
        await super().stop()
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.wait({self._telling}, timeout=STOP_SECONDS)

    async def _tell(self) -> None:
        is_lost = False
        while True:
            try:
                async with _started(self._url, listens=False) as broker:
                    if is_lost:
                        log.info("the broker of jobs is back", broker=self._channel)
                    is_lost = False
                    while True:
                        await _send(broker, await self._waiting.get())
            except Exception as error:
                if not is_lost:
                    kind = type(error).__name__  # its text may hold a password
                    log.warning("the broker of jobs is away", broker=self._channel, error=kind)
                is_lost = True
            await asyncio.sleep(REST_SECONDS)
            while not self._waiting.empty():
                self._waiting.get_nowait()

    @asynccontextmanager
    async def subscription(self, ring: Ring) -> AsyncIterator[Follow]:
        """Listen until the broker is lost."""
        async with _started(self._url, listens=True) as broker:

            async def follow() -> None:
                async with aclosing(broker.listen()) as messages:
                    async for message in messages:
                        ring()
                        if not isinstance(message, bytes):
                            await _acknowledge(message)

            yield follow


async def _send(broker: "AsyncBroker", job_id: UUID) -> None:
    from taskiq import BrokerMessage  # noqa: PLC0415

    told = str(job_id)
    message = BrokerMessage(task_id=told, task_name="job", message=told.encode(), labels={})
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
    """The broker of a URL; its packages are imported only where one is used."""
    match urlsplit(url).scheme:
        case "redis" | "rediss":
            from taskiq_redis import PubSubBroker  # noqa: PLC0415

            return PubSubBroker(url, queue_name=CHANNEL, socket_connect_timeout=PATIENCE)
        case "amqp" | "amqps":
            from aio_pika import ExchangeType  # noqa: PLC0415
            from taskiq_aio_pika import AioPikaBroker, Exchange, Queue, QueueType  # noqa: PLC0415

            bounded: dict[str, Any] = {"x-max-length": 10_000, "x-message-ttl": 60_000}
            own = Queue(
                type=QueueType.CLASSIC,
                name=f"{CHANNEL}.{new_id()}",
                arguments=bounded | {"x-expires": 60_000},
            )  # of one queue for all, each id would reach one worker only
            return AioPikaBroker(
                url,
                exchange=Exchange(name=f"{CHANNEL}.all", type=ExchangeType.FANOUT),
                task_queues=[own],
                dead_letter_queue=Queue(
                    type=QueueType.CLASSIC, name=f"{CHANNEL}.lost", arguments=bounded
                ),
            )
        case _:
            from taskiq_nats import NatsBroker  # noqa: PLC0415

            return NatsBroker(
                url,
                subject=CHANNEL,
                allow_reconnect=False,
                connect_timeout=PATIENCE,
                error_cb=_told_already,
            )


async def _told_already(error: Exception) -> None:
    """The client would log each attempt with its traceback; here a loss is logged once."""
