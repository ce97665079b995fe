"""Uvicorn's HTTP protocol with limits for the size and time of a request's head."""

import logging
from asyncio import TimerHandle, Transport
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

FIRST_REQUEST_SECONDS = 0.3
"""How long a connection without a request yet stays open at a stop."""
HEAD_SECONDS = 10.0
"""The most seconds from the first byte of the request line to the end of the header fields."""
HEAD_BYTES = 65_536
"""The most bytes of request line and header fields, and of data that is not yet part of a body."""
HEAD_FIELDS = 100
"""The most header fields of a request, trailers included."""

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


def _is_news(record: logging.LogRecord) -> bool:
    """Whether the application has not logged this itself: why a response has no end."""
    return record.msg != "ASGI callable returned without completing response."


logging.getLogger("uvicorn.error").addFilter(_is_news)


class Http(HttpToolsProtocol):
    """One connection. At a stop, a new connection still has time to send its first request.

    A head that is too large is answered with 431 (RFC 6585); if it takes too long, the connection
    is closed.
    """

    _head_bytes = 0
    _pending_bytes = 0  # received, but not yet reported by the parser
    _head_is_too_large = False
    _head_timeout: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Limit the wait for the first request by the keep-alive timeout, as for further ones."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timeout of the head."""
        self._stop_head_timeout()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse the data, refuse a head that is too large, and start or stop its timeout."""
        self._pending_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            self._stop_head_timeout()
        elif self._pending_bytes > HEAD_BYTES:
            self._refuse_head()
        elif not self._is_idle():
            self._stop_head_timeout()
        elif self._head_timeout is None:
            self._head_timeout = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def on_message_begin(self) -> None:
        """Start to count the bytes of a new head."""
        self._head_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Count the request line."""
        self._head_bytes += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header field, or a trailer."""
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > HEAD_BYTES or len(self.headers) == HEAD_FIELDS:
            self._head_is_too_large = True
            raise ValueError  # the parser stops, and uvicorn calls send_400_response
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Stop counting: the head is complete."""
        self._pending_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Do not count the body: web/middleware.py limits it."""
        self._pending_bytes = 0
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        """Answer a request that cannot be parsed (400, or 431 for a large head), and close."""
        if self._head_is_too_large:
            self._refuse_head()
        else:
            super().send_400_response(msg)

    def shutdown(self) -> None:
        """Close after the running request, or wait first for that of a new connection."""
        if cast("RequestResponseCycle | None", self.cycle) is None:
            self.loop.call_later(FIRST_REQUEST_SECONDS, super().shutdown)
        else:
            super().shutdown()

    def _refuse_head(self) -> None:
        self.transport.write(_TOO_LARGE)
        self.transport.close()

    def _is_idle(self) -> bool:
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is None or cycle.response_complete

    def _stop_head_timeout(self) -> None:
        if self._head_timeout is not None:
            self._head_timeout.cancel()
            self._head_timeout = None
