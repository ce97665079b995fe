"""Serves health and metrics for a process that is not a web server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from backstay.cli.readiness import free_address
from backstay.composition import Backstay
from backstay.composition.http import probes_app
from backstay.web.side_server import serving


@asynccontextmanager
async def probes(backstay: Backstay, port: int) -> AsyncIterator[None]:
    """Serve `/livez`, `/readyz`, `/health` and `/metrics` while the block runs.

    Raises:
        typer.Exit: the port cannot be used.
    """
    host, port = free_address(backstay.settings.server.host, port)
    async with serving(probes_app(backstay), host, port):
        yield
