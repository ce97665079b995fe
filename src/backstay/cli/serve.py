"""The command `serve`: looks at everything first, then runs the server and its workers."""

import asyncio
import os
from typing import TYPE_CHECKING, Annotated

import typer

from backstay.cli.address import free_address
from backstay.cli.banner import print_banner, url_of
from backstay.cli.readiness import (
    migrates,
    opened,
    require_wiring,
    sound_settings,
    warn_of_shortage,
)
from backstay.server.options import Options
from backstay.server.supervisor import become_supervisor
from backstay.settings import AppSettings, ServerSettings, Settings

if TYPE_CHECKING:
    from backstay.features.users.commands.admins import Admin

PUBLIC_URL = AppSettings.model_fields["public_url"].default


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
    settings = asyncio.run(sound_settings())
    address = free_address(host or settings.server.host, port or settings.server.port)
    if settings.is_local and settings.app.public_url == PUBLIC_URL:
        os.environ["APP_PUBLIC_URL"] = url_of(*address)  # the server reads it: links work then
    admin = asyncio.run(_make_ready(settings))
    asyncio.run(warn_of_shortage(settings))
    print_banner(settings, address, admin)
    become_supervisor(
        _options(settings.server, address, reload=reload).command(),
        drain_seconds=settings.server.drain_seconds,
        graceful_seconds=settings.server.graceful_timeout,
    )


async def _make_ready(settings: Settings) -> "Admin | None":
    """See that everything can start, which every worker would refuse for itself otherwise."""
    if not migrates(settings):
        await require_wiring(settings)
        return None
    async with opened(settings) as backstay:
        from backstay.composition import seed

        return await seed(backstay)


def _options(server: ServerSettings, address: tuple[str, int], *, reload: bool) -> Options:
    host, port = address
    return Options(
        type=server.type,
        host=host,
        port=port,
        workers=server.worker_count,
        threads=server.threads,
        timeout=server.timeout,
        graceful_timeout=server.graceful_timeout,
        reload=reload,
        supervisor=os.getpid(),  # this process becomes it
    )
