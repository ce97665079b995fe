"""Runs in a process of its own, in a project or in a copy of one, and prints JSON.

``python -m backstay.blueprints.inside boot FEATURE…`` boots the application; ``… revision MESSAGE
FEATURE…`` also writes the migration that its models need, ``… upgraded MESSAGE`` the same unless it
has no migrations; ``… rows TABLE…`` tells which tables hold rows, and of ``TABLE.COLUMN`` whether
rows have null there.
"""

import asyncio
import json
import os
import sys
import traceback
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

from backstay.application import Application, application_in_use
from backstay.core.errors import AppError
from backstay.core.wiring import BootError, Code, Flaw
from backstay.db import migrate
from backstay.db.migrations.runner import MigrationError
from backstay.db.migrations.standing import State
from backstay.db.options import EngineOptions
from backstay.settings import ConfigurationError, Settings, load_settings


class Unlisted(Exception):
    """The application does not know the features of its folder."""


def main() -> None:
    """Do what the arguments ask for; what is wrong goes to stderr, with exit code 1."""
    action, *rest = sys.argv[1:]
    work: Callable[..., Coroutine[Any, Any, Any]] = {
        "boot": _boot,
        "revision": _revision,
        "rows": _rows,
        "upgraded": _upgraded,
    }[action]
    try:
        application = application_in_use()
        told = asyncio.run(work(application, _settings_of(application), rest))
    except (AppError, BootError, ConfigurationError, MigrationError, OSError, Unlisted) as error:
        sys.exit(str(error))
    except Exception as error:
        sys.exit(f"The project does not start: {type(error).__name__}: {error}{_place(error)}.")
    print(json.dumps(told))


def _settings_of(application: Application) -> Settings:
    """The settings of the project.

    Raises:
        BootError: its groups of settings have faults. It also has every other name that is taken,
            so that they are told together.
    """
    try:
        return application.load_settings()
    except BootError as error:
        raise BootError((*error.faults, *_taken_names(application))) from None


def _taken_names(application: Application) -> Iterator[Flaw]:
    """What can be told of the application without settings of its own."""
    try:
        application.create_app(load_settings())
    except BootError as error:
        yield from (
            fault
            for fault in error.faults
            if fault.code.endswith("twice") or fault.code == Code.FEATURE_EXPORT
        )


def _place(error: Exception) -> str:
    """Where in the project an error comes from."""
    here = f"{Path.cwd()}{os.sep}"
    if isinstance(error, SyntaxError):
        return ""  # it says so itself
    frames = traceback.extract_tb(error.__traceback__)
    mine = [frame for frame in frames if frame.filename.startswith(here)]
    return f" ({mine[-1].filename.removeprefix(here)}:{mine[-1].lineno})" if mine else ""


async def _boot(application: Application, settings: Settings, names: Sequence[str]) -> None:
    """Boot the application, and refuse features that it does not list."""
    application.create_app(settings)
    listed = {feature.name for feature in application.features or ()}
    if missing := sorted(set(names) - listed):
        package = Path(application.place.file).parent.name
        raise Unlisted(
            f"{application.place.file} does not list {', '.join(missing)}. Write there: "
            f'features=(*STANDARD, *features_of("{package}.features"))'
        )


async def _revision(
    application: Application, settings: Settings, rest: Sequence[str]
) -> str | None:
    """Write the next migration and return its path; None if the models need none."""
    message, *names = rest
    await _boot(application, settings, names)
    history = application.history
    if history is None:
        raise Unlisted(f"{application.place.file} says migrations=None: name their folder.")
    options = EngineOptions.of(settings)
    await migrate.upgrade(options, histories=application.histories)
    try:
        path = await migrate.revision(
            options, message, history=history, histories=_with(application)
        )
    except migrate.NothingToWrite:
        return None
    return str(path.resolve())


async def _upgraded(
    application: Application, settings: Settings, rest: Sequence[str]
) -> str | None:
    """Boot, migrate, and write what the models need, if the project has migrations."""
    if application.history is not None:
        return await _revision(application, settings, rest)
    application.create_app(settings)
    await migrate.upgrade(EngineOptions.of(settings), histories=application.histories)
    return None


def _with(application: Application) -> Any:
    histories = application.histories
    own = application.history
    return histories if own in histories else (*histories, own)


async def _rows(application: Application, settings: Settings, tables: Sequence[str]) -> list[str]:
    """Those of the tables that hold rows; of ``table.column``, rows without a value there."""
    from sqlalchemy import column, inspect, select, table  # noqa: PLC0415

    state = await migrate.state(EngineOptions.of(settings), application.histories)
    if state in {State.ABSENT, State.EMPTY}:
        return []
    backstay = application.compose(settings, for_requests=False)
    try:
        async with backstay.database.read_engine.connect() as connection:
            there = await connection.run_sync(lambda sync: inspect(sync).get_table_names())
            found = []
            for asked in tables:
                name, _, empty = asked.partition(".")
                if name in there:
                    rows = select(1).select_from(table(name)).limit(1)
                    if empty:
                        rows = rows.where(column(empty).is_(None))
                    if (await connection.execute(rows)).first():
                        found.append(asked)
            return found
    finally:
        await backstay.close()


if __name__ == "__main__":
    main()
