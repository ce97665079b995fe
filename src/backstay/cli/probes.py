"""Serves health and metrics of a process that is no web server."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn

from backstay.cli.readiness import free_address
from backstay.composition import Backstay
from backstay.main import probes_app

STOP_SECONDS = 2


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are for the process, not for this part of it."""
        yield


@asynccontextmanager
async def probes(backstay: Backstay, port: int) -> AsyncIterator[None]:
    """Meanwhile `/livez`, `/readyz`, `/health` and `/metrics` are served.

    Raises:
        typer.Exit: the port cannot be had.
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
