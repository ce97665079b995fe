"""Records spans with the SDK of OpenTelemetry; imported only where traces are wanted."""

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from contextvars import Token
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    StatusCode,
    TraceFlags,
    TraceState,
    get_current_span,
    set_span_in_context,
)
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.typing import EventDict, WrappedLogger

from backstay.core.errors import AppError
from backstay.core.tracing import NO_TRACER, Attributes, Span, SpanKind
from backstay.observability.span_export import Exporting
from backstay.observability.sql_spans import follow
from backstay.settings.groups.telemetry import OtelSettings, pairs_of

_KINDS = {kind: trace.SpanKind[kind.name] for kind in SpanKind}
_PARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_SERVER_ERROR = 500


def add_ids(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Tell in a log event to which span it belongs; a processor of structlog."""
    context = get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = f"{context.trace_id:032x}"
        event["span_id"] = f"{context.span_id:016x}"
    return event


class OtelTracer:
    """Records spans, samples them by the standard settings, and sends them once it is started."""

    records = True
    log_steps: tuple[Callable[[Any, str, Any], Any], ...] = (add_ids,)

    def __init__(self, settings: OtelSettings, described: Mapping[str, str]) -> None:
        """``described`` are attributes of this service, which settings may overrule."""
        own = {"service.instance.id": str(uuid4()), **described}
        own |= pairs_of(settings.resource_attributes)
        if settings.service_name:
            own["service.name"] = settings.service_name
        self._provider = TracerProvider(
            sampler=_Edge(_sampler(settings), trusts=settings.trust_traceparent),
            resource=Resource.create(own),
            shutdown_on_exit=False,
        )
        self._tracer = self._provider.get_tracer("backstay")
        self._exporting = Exporting(settings, self._provider)

    def span(
        self,
        name: str,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Attributes | None = None,
        *,
        parent: str | None = None,
    ) -> AbstractContextManager[Span]:
        if parent is not None:
            context = _remote(parent)
        elif get_current_span().is_recording():
            context = None
        else:
            return NO_TRACER.span(name)
        span = self._tracer.start_span(name, context, _KINDS[kind], attributes)
        return _Recorded(span)

    def is_tracing(self) -> bool:
        return get_current_span().is_recording()

    def start(self) -> None:
        """Send spans from now on, and let the project's own code record some by OpenTelemetry."""
        self._exporting.start()
        if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
            trace.set_tracer_provider(self._provider)

    async def stop(self) -> None:
        await self._exporting.stop()

    def follow(self, engines: Iterable[AsyncEngine | None]) -> None:
        """Record the statements of engines."""
        for engine in engines:
            if engine is not None:
                follow(engine.sync_engine, self)


class _Recorded:
    """A span that is the current one while its block runs; children are recorded if it is."""

    __slots__ = ("_is_dropped", "_span", "_token")

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        self._is_dropped = False
        self._token: Token[Context] | None = None

    @property
    def traceparent(self) -> str:
        context = self._span.get_span_context()
        flags = context.trace_flags & TraceFlags.SAMPLED
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{flags:02x}"

    def describe(self, attributes: Attributes, *, name: str = "") -> None:
        if self._span.is_recording():
            self._span.set_attributes(attributes)
            if name:
                self._span.update_name(name)

    def fail(self, kind: str) -> None:
        self._span.set_attribute("error.type", kind)
        self._span.set_status(StatusCode.ERROR)

    def drop(self) -> None:
        self._is_dropped = True

    def __enter__(self) -> Self:
        self._token = attach(set_span_in_context(self._span))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._token is not None:
            detach(self._token)
        if kind is not None and self._span.is_recording():
            self._note(kind)
        if not self._is_dropped:
            self._span.end()

    def _note(self, kind: type[BaseException]) -> None:
        """Note the type of an error. A refusal that is not the server's fault is no failure."""
        if issubclass(kind, AppError):
            if kind.status >= _SERVER_ERROR:
                self.fail(kind.code)
            else:
                self._span.set_attribute("error.type", kind.code)
        elif issubclass(kind, Exception):
            self.fail(type_name(kind))
        else:  # a task that was cancelled
            self._span.set_attribute("error.type", type_name(kind))


def type_name(kind: type[BaseException]) -> str:
    """The name of a type, as ``error.type`` of the semantic conventions has it."""
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )


def _remote(traceparent: str) -> Context:
    """The context of a span elsewhere; one without a span if that is unknown."""
    found = _PARENT.fullmatch(traceparent)
    if found is None:
        return Context()
    trace_id, span_id, flags = (int(part, 16) for part in found.groups())
    context = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))
    return set_span_in_context(NonRecordingSpan(context), Context())


def _sampler(settings: OtelSettings) -> Sampler:
    name = settings.traces_sampler
    plain: Sampler = {"always_on": ALWAYS_ON, "always_off": ALWAYS_OFF}.get(
        name.removeprefix("parentbased_"), TraceIdRatioBased(settings.traces_sampler_arg)
    )
    return ParentBased(plain) if name.startswith("parentbased_") else plain


class _Edge(Sampler):
    """Decides about requests as if they had no parent: any client can write a ``traceparent``."""

    def __init__(self, chosen: Sampler, *, trusts: bool) -> None:
        self._chosen = chosen
        self._trusts = trusts

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: trace.SpanKind | None = None,
        attributes: Any = None,
        links: Any = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        if kind is trace.SpanKind.SERVER and not self._trusts:
            parent_context = _NOTHING
        return self._chosen.should_sample(parent_context, trace_id, name, kind, attributes, links)

    def get_description(self) -> str:
        return f"Edge({self._chosen.get_description()})"


_NOTHING = Context()
