"""HTTP as uvicorn speaks it, with limits for what comes before a request is complete."""

from asyncio import TimerHandle, Transport
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

FIRST_REQUEST_SECONDS = 0.3
"""How long a connection may be silent at a stop before it is closed."""
HEAD_SECONDS = 10.0
"""How long the request line and the header fields may take from their first byte on."""
HEAD_BYTES = 65_536
"""How large they may be together, and how much may arrive that is not yet part of a body."""
HEAD_FIELDS = 100
"""How many header fields a request may have, trailers included."""

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class Http(HttpToolsProtocol):
    """One connection; at a stop a new one is not closed before it could send its request.

    A head that is too large is answered 431 (RFC 6585), one that takes too long is closed.
    """

    _head_bytes = 0
    _pending_bytes = 0  # of which the parser has told nothing yet
    _head_is_too_large = False
    _head_timeout: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Wait for a first request as long as for a further one."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget what was waited for."""
        self._stop_head_timeout()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what arrives, unless it is too much of a head or comes too slowly."""
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
        """Count anew."""
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
            raise ValueError  # it ends the parser, and the answer is asked for below
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is over."""
        self._pending_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """What is part of a body is limited elsewhere."""
        self._pending_bytes = 0
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be read, and close."""
        if self._head_is_too_large:
            self._refuse_head()
        else:
            super().send_400_response(msg)

    def shutdown(self) -> None:
        """Finish what runs, then close."""
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
