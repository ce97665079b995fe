"""A link to Redis whose commands are spans of a trace."""

from typing import Any

from backstay.core.tracing import SpanKind, Tracer
from backstay.redis.client import RedisLink, Word


class TracedLink(RedisLink):
    """Those commands of one turn of the event loop, which share a round trip, overlap."""

    def __init__(self, tracer: Tracer, *rest: Any) -> None:
        super().__init__(*rest)
        self._tracer = tracer

    async def call(self, *command: Word) -> Any:
        """Send a command within a span, which has its name, but neither keys nor values."""
        name = str(command[0])
        about = {"db.system.name": "redis", "db.operation.name": name}
        with self._tracer.span(name, SpanKind.CLIENT, about):
            return await super().call(*command)
