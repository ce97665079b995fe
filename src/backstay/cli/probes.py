"""Serves health and metrics of a process that is no web server."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import typer
import uvicorn

from backstay.composition import Backstay
from backstay.main import probes_app

STOP_SECONDS = 2


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are for the process, not for this part of it."""
        yield


@asynccontextmanager
async def probes(backstay: Backstay, port: int | None) -> AsyncIterator[None]:
    """Meanwhile `/livez`, `/readyz`, `/health` and `/metrics` are served, if there is a port.

    Raises:
        typer.Exit: the port cannot be had.
    """
    if port is None:
        yield
        return
    host = backstay.settings.server.host
    try:
        listening = socket.create_server((host, port))
    except OSError as error:
        typer.echo(
            f"{host}:{port} cannot be listened at: {os.strerror(error.errno or 0)}.", err=True
        )
        raise typer.Exit(1) from error
    config = uvicorn.Config(
        probes_app(backstay),
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving
        listening.close()
