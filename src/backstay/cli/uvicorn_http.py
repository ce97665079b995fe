"""HTTP as uvicorn speaks it, with patience for a request that is on its way when a worker ends."""

from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

FIRST_REQUEST_SECONDS = 0.3
"""How long a connection may be silent at a stop before it is closed."""


class Http(HttpToolsProtocol):
    """One connection; at a stop a new one is not closed before it could send its request."""

    def shutdown(self) -> None:
        """Finish what runs, then close."""
        if cast("RequestResponseCycle | None", self.cycle) is None:
            self.loop.call_later(FIRST_REQUEST_SECONDS, super().shutdown)
        else:
            super().shutdown()
