"""Sends spans in batches from a thread of its own, and says once that nobody takes them."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from threading import Thread

import structlog
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SpanExporter,
    SpanExportResult,
)

from backstay.core.causes import cause_of
from backstay.core.masking import without_secrets
from backstay.settings.groups.telemetry import OtelSettings

FLUSH_SECONDS = 2.0
"""How long the last spans may take when the process ends; then they are given up."""
_LOUD = ("opentelemetry.sdk._shared_internal", "opentelemetry.exporter.otlp.proto.http")
"""What logs each failed attempt and each lost span."""
log = structlog.get_logger("backstay.traces")


class Exporting:
    """The way of spans to the collector.

    The queue is bounded (`OTEL_BSP_MAX_QUEUE_SIZE`): while nobody takes spans, the oldest ones are
    lost, and requests do not wait. The thread is started by `start`, not before: it would not
    survive the fork of a worker.
    """

    def __init__(self, settings: OtelSettings, provider: TracerProvider) -> None:
        self._settings = settings
        self._provider = provider
        self._exporter: _Reporting | None = None
        self._processor: BatchSpanProcessor | None = None

    def start(self) -> None:
        """Make the exporter and its thread."""
        if self._processor is not None:
            return
        self._exporter = _Reporting(_exporter(self._settings), self._settings.endpoint)
        self._processor = BatchSpanProcessor(self._exporter)
        self._provider.add_span_processor(self._processor)

    async def stop(self) -> None:
        """Send what waits, unless nobody takes it."""
        processor, exporter = self._processor, self._exporter
        if processor is None or exporter is None:
            return
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def send_rest() -> None:
            if exporter.is_lost:
                exporter.shutdown()  # or it would try again and again
            processor.shutdown()  # type: ignore[no-untyped-call]
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(done.set)

        Thread(target=send_rest, daemon=True, name="last spans").start()
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await done.wait()
        except TimeoutError:
            log.warning("the last spans are lost: nobody took them in time", seconds=FLUSH_SECONDS)


class _Reporting(SpanExporter):
    """Logs when spans begin to get lost, and when they no longer do."""

    def __init__(self, inner: SpanExporter, endpoint: str) -> None:
        self._inner = inner
        self._endpoint = endpoint
        self._is_stopped = False
        self._reason = _LastWords()
        self.is_lost = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans, and compare what became of them with the last time."""
        if self._is_stopped:
            return SpanExportResult.FAILURE
        try:
            result = self._inner.export(spans)
        except Exception as error:
            self._reason.text = cause_of(error)
            result = SpanExportResult.FAILURE
        is_lost = result is not SpanExportResult.SUCCESS
        if is_lost and not self.is_lost:
            event = "the collector takes no spans: they are lost, requests go on"
            about = {"endpoint": self._endpoint, "reason": self._reason.text}
            mend = "start the collector, or correct its address or header fields (OTEL_...)"
            log.warning(event, **about, mend=mend)
        elif self.is_lost and not is_lost:
            log.info("the collector takes spans again", endpoint=self._endpoint)
        self.is_lost, self._reason.text = is_lost, ""
        return result

    def shutdown(self) -> None:
        """Interrupt what is being tried, and send nothing more."""
        if not self._is_stopped:
            self._is_stopped = True
            self._inner.shutdown()


class _LastWords(logging.Handler):
    """Keeps the last message of the exporter, which does not return why it failed."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.text = ""
        for name in _LOUD:
            logger = logging.getLogger(name)
            logger.handlers, logger.propagate = [self], False

    def emit(self, record: logging.LogRecord) -> None:
        text = without_secrets(record.getMessage()).removeprefix("Transient error ")
        text = text.partition(" encountered while exporting")[0]
        if "due to timeout" not in text or not self.text:  # of its attempts, the first say why
            self.text = text


def _exporter(settings: OtelSettings) -> SpanExporter:
    if settings.traces_exporter == "console":
        return ConsoleSpanExporter()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )

    return OTLPSpanExporter(settings.endpoint, headers=settings.headers)
