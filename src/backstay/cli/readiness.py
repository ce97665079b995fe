"""Checks before a command runs the application: the settings with the database, and the address."""

import errno
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any

import typer
from pydantic import SecretStr

from backstay.application import application_in_use
from backstay.core.errors import AppError
from backstay.core.startup import without_extras
from backstay.db import migrate
from backstay.db.migrations.runner import FaultyHistory, MigrationError
from backstay.db.migrations.standing import Standing, State
from backstay.db.migrations.transaction import Unreachable
from backstay.db.options import EngineOptions
from backstay.settings import (
    DEFAULT_URL,
    NO_ADMIN,
    ConfigurationError,
    Loaded,
    SecuritySettings,
    SettingError,
    Settings,
)

if TYPE_CHECKING:
    from backstay.composition import Backstay

_UPGRADE = "Run: backstay db upgrade"
_FAULTS = {
    State.ABSENT: ("names a database that does not exist yet", _UPGRADE),
    State.EMPTY: ("names a database that is empty", _UPGRADE),
    State.BEHIND: ("names a database that is behind this version", _UPGRADE),
    State.AHEAD: ("names a database that a newer version has migrated", "Install that version."),
    State.UNFINISHED: (
        "names a database into which a copy has not ended",
        "Run the same `backstay db copy` again, which goes on.",
    ),
}
_FAULTS_OF = {
    State.BEHIND: ("names a database that is behind {}", _UPGRADE),
    State.AHEAD: ("names a database that a newer version of {} has migrated", "Install that."),
    State.FOREIGN: (
        "names a database with migrations that are not here, {}",
        "If it is of another project, run this there, or correct the address. If it is of this "
        "one, the folder with its migrations is gone: bring it back.",
    ),
}
_FELL_BACK = f"""\
Warning: {{cause}}
  DB_FALLBACK_TO_SQLITE is on: {DEFAULT_URL} is used instead,
  and what is written there never gets into that database.
  Start that database, or mend its address, then start this again.
  Other commands do not fall back: to use them on this file, set DB_URL={DEFAULT_URL}"""


@asynccontextmanager
async def opened(settings: Settings) -> "AsyncIterator[Backstay]":
    """Everything below the edge, with a database that fits; in `local` it is migrated up first.

    Raises:
        MigrationError: the database does not fit, or cannot be migrated.
        BootError: features are wired wrongly, or a table is missing; it has every fault.
        AppError: the database cannot be asked.
    """
    if migrates(settings):
        options, application = EngineOptions.of(settings), application_in_use()
        await migrate.upgrade(options, histories=application.histories)
    backstay = _composed(settings)
    try:
        found = await backstay.schema.require()
        if found.sentence:  # the log of a server says it, too
            typer.echo(f"Warning: {found.sentence}", err=True)
        await backstay.start()
        yield backstay
    finally:
        await backstay.close()


async def require_wiring(settings: Settings) -> None:
    """Refuse features that are wired wrongly, or a database that lacks a table.

    Raises:
        BootError: it has every fault.
        MigrationError: the database is not current.
        AppError: the database cannot be asked.
    """
    backstay = _composed(settings)
    try:
        await backstay.require_schema()
    finally:
        await backstay.close()


def migrates(settings: Settings) -> bool:
    """Whether commands migrate the database to this version by themselves."""
    return settings.is_local and settings.db.auto_migrate


async def sound_settings() -> Settings:
    """The settings of a process that runs the application; prints their warnings.

    Raises:
        ConfigurationError: it has every fault of the settings and their database.
    """
    loaded = application_in_use().read_settings()
    for warning in loaded.warnings:
        typer.echo(f"Warning: {warning}", err=True)
    if cause := await _reason_to_fall_back(loaded):
        typer.secho(_FELL_BACK.format(cause=cause), fg="red", bold=True, err=True)
        os.environ["DB_URL"] = DEFAULT_URL  # for the processes that this one starts
        loaded = application_in_use().read_settings()
    return await sound(loaded)


async def warn_of_shortage(settings: Settings) -> None:
    """Warn if the server may need more connections than PostgreSQL accepts."""
    if settings.db.is_sqlite:
        return
    from backstay.db.checks import shortage

    if text := await shortage(EngineOptions.of(settings), settings.server.worker_count):
        typer.echo(f"Warning: {text}", err=True)


def free_address(host: str, port: int, setting: str = "SERVER_PORT or --port") -> tuple[str, int]:
    """The numeric address, after a test that it is free: the server would share a port in use.

    ``setting`` is where another port can be chosen.

    Raises:
        typer.Exit: it is not possible to listen there.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = found[0]
        _bind(family, address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            wrong = f"Port {port} of {host} is in use."
            hint = f"Stop what listens there, or choose another with {setting}."
        else:
            unknown = isinstance(error, socket.gaierror)
            reason = error.strerror if unknown else os.strerror(error.errno or 0)
            wrong = f"Cannot listen on port {port} of {host}: {reason}."
            hint = "Look at SERVER_HOST and SERVER_PORT, or --host and --port."
        typer.echo(f"{wrong} {hint}", err=True)
        raise typer.Exit(1) from error
    return str(address[0]), port


def _bind(family: int, address: tuple[Any, ...]) -> None:
    """Bind a socket to an address for a moment. It never listens: the connection of a client that
    came meanwhile would be reset."""
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        probe.bind(address)


async def _reason_to_fall_back(loaded: Loaded) -> Unreachable | None:
    settings = loaded.draft
    wanted = settings.is_local and settings.db.fallback_to_sqlite and not settings.db.is_sqlite
    if _unknown_database(loaded) or not wanted:
        return None
    try:
        await migrate.state(EngineOptions.of(settings), application_in_use().histories)
    # another error of a database that answers is reported where it is used
    except MigrationError as error:
        return error if isinstance(error, Unreachable) else None
    return None


async def sound(loaded: Loaded) -> Settings:
    """The settings, if neither they nor their database keep the application from running.

    Raises:
        ConfigurationError: it has every fault of both.
    """
    faults = [*loaded.errors, *await _database_faults(loaded)]
    if loaded.settings is None or faults:
        raise ConfigurationError(faults)
    return loaded.settings


async def _database_faults(loaded: Loaded) -> list[SettingError]:
    settings = loaded.draft
    if _unknown_database(loaded) or migrates(settings):
        return []
    try:
        options, histories = EngineOptions.of(settings), application_in_use().histories
        standing = await migrate.standing(options, histories)
    except FaultyHistory:
        raise  # the address of the database is not to blame
    except MigrationError as error:
        wrong = str(error).removeprefix("The ").rstrip(".")
        return [SettingError(wrong, "See that it runs, and that this address is right.", "DB_URL")]
    faults = list(_schema_faults(standing))
    if not settings.is_local and not await _has_or_gets_admin(loaded, standing.state):
        faults.append(NO_ADMIN)
    return faults


def _schema_faults(standing: Standing) -> Iterator[SettingError]:
    if found := (_FAULTS_OF if standing.of else _FAULTS).get(standing.state):
        wrong, hint = found
        yield SettingError(wrong.format(standing.of), hint, "DB_URL")


def _unknown_database(loaded: Loaded) -> bool:
    return any(name == "ENVIRONMENT" or name.startswith("DB_") for name in loaded.faulty)


async def _has_or_gets_admin(loaded: Loaded, state: State) -> bool:
    if loaded.draft.admin.password or "ADMIN_PASSWORD" in loaded.faulty:
        return True
    if state in {State.ABSENT, State.EMPTY}:
        return False
    backstay = _composed(_with_throwaway_keys(loaded.draft))
    from backstay.features.users.queries.accounts import HasAdmin

    try:
        return await backstay.system(HasAdmin())
    except AppError:
        return True  # its tables are not of this version, which is reported already
    finally:
        await backstay.close()


def _composed(settings: Settings) -> "Backstay":
    """Everything below the edge; it is imported only by commands that send messages."""
    with without_extras():
        return application_in_use().compose(settings, for_requests=False)


def _with_throwaway_keys(draft: Settings) -> Settings:
    """Settings with temporary keys, to query the database although keys are missing or faulty."""
    key, secret = SecretStr(token_urlsafe(48)), SecretStr(token_urlsafe(48))
    security = SecuritySettings(secret_key=key, refresh_token_secret=secret)
    return draft.model_copy(update={"security": security})
