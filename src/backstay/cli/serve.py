"""The command `serve`: checks everything first, then runs the server and its workers."""

import asyncio
import os
from typing import TYPE_CHECKING, Annotated

import typer

from backstay.application import PACKAGED, application_in_use
from backstay.cli.output import print_columns
from backstay.cli.readiness import (
    free_address,
    migrates,
    opened,
    require_wiring,
    sound_settings,
    warn_of_shortage,
)
from backstay.core.wiring import BootError
from backstay.db import sqlite
from backstay.db.options import EngineOptions
from backstay.db.sole_server import lock_server
from backstay.server.options import Options
from backstay.server.supervisor import become_supervisor
from backstay.settings import AppSettings, Environment, ServerSettings, Settings
from backstay.settings.project import project_root

if TYPE_CHECKING:
    from backstay.features.users.commands.admins import Admin

PUBLIC_URL = AppSettings.model_fields["public_url"].default
_SHARED = """\
Warning: another server serves {file}, too: they wait for each other's writes.
  Stop one of them, unless you want both; outside of `local` the second one does not start."""
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104


def serve(
    reload: Annotated[
        bool, typer.Option("--reload", help="Start anew when a Python file of the project changes.")
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
    if settings.admin.console and settings.admin.console_port is not None:
        if host is not None:
            os.environ["SERVER_HOST"] = host  # the workers read it
        if settings.admin.console_port == address[1]:  # both would listen, and answer in turn
            said = f"Port {address[1]} is that of the API. Choose another with ADMIN_CONSOLE_PORT."
            typer.echo(said, err=True)
            raise typer.Exit(1)
        free_address(address[0], settings.admin.console_port, "ADMIN_CONSOLE_PORT")
    if settings.is_local and settings.app.public_url == PUBLIC_URL:
        # the server reads it, so that its links work
        os.environ["APP_PUBLIC_URL"] = _url_of(*address)
    admin = asyncio.run(_make_ready(settings))
    _lock_database(settings)
    asyncio.run(warn_of_shortage(settings))
    _print_banner(settings, address, admin)
    become_supervisor(
        _options(settings.server, address, reload=reload).command(),
        drain_seconds=settings.server.drain_seconds,
        graceful_seconds=settings.server.graceful_timeout,
        workers=settings.server.worker_count,
        url=_url_of(*address),
    )


def _lock_database(settings: Settings) -> None:
    """Lock an SQLite file for this server; in `local` another one is only told.

    The supervisor, which this process becomes, inherits the lock and holds it for all workers.

    Raises:
        BootError: another server has the file.
    """
    file = EngineOptions.of(settings).file
    try:
        lock = lock_server(file)
    except BootError:
        if not settings.is_local:
            raise
        typer.echo(_SHARED.format(file=file), err=True)
    else:
        if lock is not None:
            os.set_inheritable(lock, True)


async def _make_ready(settings: Settings) -> "Admin | None":
    """Check that everything can start; otherwise each worker would report the same errors."""
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
        reload=str(project_root()) if reload else None,
        supervisor=os.getpid(),  # this process becomes the supervisor
    )


def _print_banner(settings: Settings, address: tuple[str, int], admin: "Admin | None") -> None:
    """Print where the server is, what it uses and how to sign in.

    A generated password is printed here and nowhere else.
    """
    url = _url_of(*address)
    elsewhere = ", and on every other address" if address[0] in _EVERYWHERE else ""
    rows = [("Project", _project()), ("Address", url + elsewhere)]
    if settings.app.swagger and settings.environment is not Environment.PRODUCTION:
        rows.append(("Documentation", f"{url}/docs"))
    if settings.admin.console:
        of_console = _url_of(address[0], settings.admin.console_port or address[1])
        rows.append(("Console", f"{of_console}/admin"))
    rows += [
        ("Environment", settings.environment.value),
        ("Database", _database(settings)),
        ("In this process", ", ".join(_embedded(settings)) or "nothing that could be elsewhere"),
    ]
    if admin is not None and admin.created:
        made_up = admin.generated_password
        rows.append(("Administrator", admin.email))
        rows.append(("Password", f"{made_up} (shown only now)" if made_up else "ADMIN_PASSWORD"))
    print_columns(rows)


def _project() -> str:
    application = application_in_use()
    if application is PACKAGED:
        return "no project found here: serving Backstay itself"
    return f"{application.name}, in {project_root()}"


def _url_of(host: str, port: int) -> str:
    """The URL at which this machine reaches a server that listens at an address."""
    name = _EVERYWHERE.get(host, host)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def _embedded(settings: Settings) -> list[str]:
    """What runs in the server's process but could be on Redis or in a worker."""
    here = {
        "rate limits": settings.rate_limit.enabled and settings.redis.rate_limit_address is None,
        "cache": settings.cache.ttl_seconds and settings.redis.cache_address is None,
        "jobs": settings.is_local,
    }
    return [name for name, is_here in here.items() if is_here]


def _database(settings: Settings) -> str:
    url = settings.db.url.parsed
    if settings.db.is_sqlite:
        return f"SQLite, {url.database} (version {sqlite.in_use().version_text})"
    return f"PostgreSQL, {url.database} on {EngineOptions.of(settings).host}"
