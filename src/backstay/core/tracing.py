"""The port through which code says what it does, so that it becomes the spans of a trace."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from enum import Enum, auto
from typing import Any, Protocol, Self

Attributes = Mapping[str, str | int]


class SpanKind(Enum):
    """On which side of which boundary a span is (OpenTelemetry)."""

    INTERNAL = auto()
    SERVER = auto()
    CLIENT = auto()
    PRODUCER = auto()
    CONSUMER = auto()


class Span(Protocol):
    """One step of a trace, while it runs."""

    @property
    def traceparent(self) -> str:
        """With what others continue the trace (W3C Trace Context); empty if nothing is traced."""
        ...

    def describe(self, attributes: Attributes, *, name: str = "") -> None:
        """Add what is known only later."""
        ...

    def fail(self, kind: str) -> None:
        """Mark it as failed; ``kind`` is a type or code, never a text that could hold values."""
        ...

    def drop(self) -> None:
        """Do not record it after all."""
        ...


class Tracer(Protocol):
    """Records spans. An error that leaves the block of a span is its failure."""

    @property
    def records(self) -> bool:
        """Whether spans are ever recorded: where not, code on the way of each request asks none."""
        ...

    @property
    def log_steps(self) -> tuple[Callable[[Any, str, Any], Any], ...]:
        """Steps for events of the log (structlog) that add the ids of the current span."""
        ...

    def span(
        self,
        name: str,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes | None = None,
        *,
        parent: str | None = None,
    ) -> AbstractContextManager[Span]:
        """A span that lasts as long as a block.

        It is part of the span around it, and is recorded only if that is. With ``parent``, which is
        a ``traceparent``, it continues a trace from elsewhere, or begins one if that is empty.
        """
        ...

    def is_tracing(self) -> bool:
        """Whether there is a recorded span around this, so that further ones are recorded."""
        ...

    def start(self) -> None:
        """Begin to send what is recorded; called in the process that does the work."""
        ...

    async def stop(self) -> None:
        """Send what still waits, for a short time at most."""
        ...


class _NoTracer:
    """Records nothing; it is its own span, and the block of one."""

    records = False
    log_steps: tuple[Callable[[Any, str, Any], Any], ...] = ()
    traceparent = ""

    def span(
        self,
        name: str,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes | None = None,
        *,
        parent: str | None = None,
    ) -> AbstractContextManager[Span]:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def describe(self, attributes: Attributes, *, name: str = "") -> None:
        pass

    def fail(self, kind: str) -> None:
        pass

    def drop(self) -> None:
        pass

    def is_tracing(self) -> bool:
        return False

    def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass


NO_TRACER = _NoTracer()
