"""The command `serve`: looks at everything first, then runs the server and its workers."""

import asyncio
import errno
import os
import socket
from typing import Annotated

import typer

from backstay.cli.banner import print_banner
from backstay.cli.readiness import migrates, opened, sound
from backstay.cli.supervisor import Supervisor, server_command
from backstay.composition import seed
from backstay.features.users.commands.admins import Admin
from backstay.settings import Settings, read_settings


def serve(
    reload: Annotated[
        bool, typer.Option("--reload", help="Start anew when a Python file here changes.")
    ] = False,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on, instead of SERVER_HOST.")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port to listen on, instead of SERVER_PORT."),
    ] = None,
) -> None:
    """Start the server; in `local` the database is made ready first."""
    loaded = read_settings()
    for warning in loaded.warnings:
        typer.echo(f"Warning: {warning}", err=True)
    settings = asyncio.run(sound(loaded))
    address = _free_address(host or settings.server.host, port or settings.server.port)
    admin = asyncio.run(_make_ready(settings)) if migrates(settings) else None
    print_banner(settings, address, admin)
    supervisor = Supervisor(
        server_command(*address, reload=reload),
        drain_seconds=settings.server.drain_seconds,
        graceful_seconds=settings.server.graceful_timeout,
    )
    raise typer.Exit(supervisor.run())


async def _make_ready(settings: Settings) -> Admin | None:
    async with opened(settings) as backstay:
        return await seed(backstay)


def _free_address(host: str, port: int) -> tuple[str, int]:
    """The address in numbers, after trying it: the server itself would share a port in use."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        socket.create_server(address[:2], family=family).close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            wrong = f"Port {port} of {host} is in use."
            mend = "Stop what listens there, or choose another with SERVER_PORT or --port."
        else:
            unknown = isinstance(error, socket.gaierror)
            reason = error.strerror if unknown else os.strerror(error.errno or 0)
            wrong = f"Cannot listen on port {port} of {host}: {reason}."
            mend = "Look at SERVER_HOST and SERVER_PORT, or --host and --port."
        typer.echo(f"{wrong} {mend}", err=True)
        raise typer.Exit(1) from error
    return str(address[0]), port
