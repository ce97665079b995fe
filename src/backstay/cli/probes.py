"""Serves health and metrics for a process that is not a web server."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn

from backstay.cli.readiness import free_address
from backstay.composition import Backstay
from backstay.composition.http import probes_app

STOP_SECONDS = 2


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: the process itself handles them."""
        yield


@asynccontextmanager
async def probes(backstay: Backstay, port: int) -> AsyncIterator[None]:
    """Serve `/livez`, `/readyz`, `/health` and `/metrics` while the block runs.

    Raises:
        typer.Exit: the port cannot be used.
    """
    host, port = free_address(backstay.settings.server.host, port)
    config = uvicorn.Config(
        probes_app(backstay),
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve())
    try:
        yield
    finally:
        server.should_exit = True
        await serving
