"""The commands `db …`: migrate, seed and check the database."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from backstay.application import PACKAGED, Application, application_in_use
from backstay.cli import backups
from backstay.cli.readiness import migrates, opened
from backstay.core.wiring import BootError
from backstay.db import migrate
from backstay.db.base import Base
from backstay.db.checks import absence_faults, twice_faults
from backstay.db.migrations.runner import PLATFORM, Histories, History, MigrationError
from backstay.db.migrations.standing import Standing, State
from backstay.db.options import EngineOptions
from backstay.settings import ConfigurationError, Settings

if TYPE_CHECKING:
    from backstay.features.users.commands.admins import Admin

T = TypeVar("T")

_CURRENT = "The database is current."

db = typer.Typer(
    name="db", help="Migrate the database, back it up and look at it.", no_args_is_help=True
)

Revision = Annotated[
    str,
    typer.Argument(help="A revision, or a number of steps: +1, -1; of one history: platform@-1."),
]


@db.command()
def upgrade(revision: Revision = "head") -> None:
    """Migrate to the schema of this version, then seed what every installation needs."""
    applied, found, admin = _run(lambda settings: _upgrade(settings, revision))
    if found.state is State.COMPATIBLE:
        typer.echo(f"{found.sentence} Nothing was migrated or seeded.")
    elif not applied:
        typer.echo("The database was current.")
    if admin is not None:
        _print_admin(admin)


@db.command()
def seed() -> None:
    """Bring permissions, roles, the first tier and administrator in line with this version."""
    admin = _run(_seed)
    typer.echo("The database is seeded.")
    if admin is not None:
        _print_admin(admin)


@db.command(context_settings={"ignore_unknown_options": True})
def downgrade(
    revision: Revision,
    force: Annotated[
        bool, typer.Option("--force", help="Even if tables are dropped with their rows.")
    ] = False,
) -> None:
    """Undo migrations down to a revision, `base` for all; `shop@base` for those of a project."""
    undone = _run(
        lambda settings: migrate.downgrade(
            EngineOptions.of(settings), revision, force, application_in_use().histories, _tell
        )
    )
    for name in undone:
        typer.echo(f"Undid {name}.")
    if not undone:
        typer.echo("There was nothing to undo.")


@db.command()
def revision(
    message: Annotated[str, typer.Argument(help="What changes, in a few words.")],
    empty: Annotated[
        bool, typer.Option("--empty", help="Do not compare models and database.")
    ] = False,
) -> None:
    """Write the migration that turns the database into the models; read it before use.

    What no migration made and no model has, such as an index of yours, is left as it is.
    """
    path = _run(lambda settings: _revision(settings, message, empty=empty))
    typer.echo(path)
    from backstay.db.migrations import linting

    history, histories = _own_history()
    for found in linting.lint(histories, history):
        if found.file == path:
            typer.echo(found, err=True)


async def _revision(settings: Settings, message: str, *, empty: bool) -> Path:
    """Write the next revision of the project, or of the package in its own source tree.

    Raises:
        MigrationError: there is no project here, or it has no migrations.
        BootError: a table has two models, or a model is where nobody imports it.
    """
    from backstay.composition.unloaded import unloaded_faults

    application, options = application_in_use(), EngineOptions.of(settings)
    twice = twice_faults(model for model, _ in Base.table_twice)
    if faults := (*twice, *unloaded_faults(application.features or ())):
        raise BootError(faults)
    own, histories = _own_history()
    if application.history and migrates(settings):
        await migrate.upgrade(options, histories=application.histories)
    return await migrate.revision(options, message, history=own, histories=histories, empty=empty)


def _own_history() -> tuple[History, Histories]:
    """The history that the work here belongs to, and all that it depends on with it.

    Raises:
        MigrationError: there is no project here, or it has no migrations.
    """
    application = application_in_use()
    own = application.history or _history_of_package(application)
    return own, tuple(dict.fromkeys((PLATFORM, own)))


def _history_of_package(application: Application) -> History:
    """The platform's history, for those who work on the package itself."""
    if application is not PACKAGED:
        raise MigrationError(
            f"The application {application.name} has no migrations: give it a folder for them, "
            'Application(…, migrations="migrations"), or leave the argument out.'
        )
    source = PLATFORM.folder.parents[4]
    if not ((source / "pyproject.toml").exists() and Path.cwd().is_relative_to(source)):
        raise MigrationError(
            "There is no project here whose migration this could be: run it in the folder of a "
            "project, whose pyproject.toml names its application ([tool.backstay] app), or name "
            "the application with --app module:name."
        )
    return PLATFORM


@db.command()
def lint(
    after: Annotated[
        str | None, typer.Argument(help="Look at the migrations after this one only.")
    ] = None,
) -> None:
    """Find migrations that lock tables or break older code; exit with 1 if there are any.

    It needs no database. A comment `# lint: reason` on or above a line says why that line is right.
    """
    from backstay.db.migrations import linting

    application = application_in_use()
    if application.history is None and application is not PACKAGED:
        typer.echo(f"{application.name} has no migrations.")
        return
    history, histories = _own_history()
    found = linting.lint(histories, history, after)
    for each in found:
        typer.echo(each)
    if found:
        raise typer.Exit(1)
    typer.echo(f"The migrations of {history.label} neither lock nor break anything.")


@db.command()
def check() -> None:
    """Say what keeps this version from working with the database; exit with 1 if anything does.

    What others added to the database is told, too, and is no fault, nor is a newer schema that
    works with this version.
    """
    problems, remarks, verdict = _run(_check)
    for told in (*problems, *remarks):
        typer.echo(told)
    if problems:
        raise typer.Exit(1)
    typer.echo(verdict)


db.command()(backups.backup)
db.command("backups")(backups.backups)
db.command()(backups.restore)


async def _check(settings: Settings) -> tuple[list[str], list[str], str]:
    """The faults of the database, leftovers and additions that are no faults, and the verdict."""
    from backstay.features.access.commands.seeding import declared_permissions
    from backstay.features.access.queries.permissions import ListUndeclared

    application, options = application_in_use(), EngineOptions.of(settings)
    found = await migrate.standing(options, application.histories)
    verdict = found.sentence or _CURRENT
    problems, remarks = await migrate.examine(options, application.histories)
    if problems:
        return problems, remarks, verdict
    backstay = application.compose(settings, for_requests=False)
    try:
        if absent := await absence_faults(backstay.database, backstay.models):
            return list(map(str, absent)), remarks, verdict
        undeclared = ListUndeclared(permissions=declared_permissions(backstay.features))
        return problems, [*remarks, *await backstay.system(undeclared)], verdict
    finally:
        await backstay.close()


@db.command()
def copy(
    to: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="The new database, absent or empty. Leave its password out, since others see the "
            "arguments of a process: it is taken from PGPASSWORD or ~/.pgpass.",
        ),
    ],
) -> None:
    """Copy everything into another database, SQLite or PostgreSQL, and compare every row.

    Servers and workers must be stopped. What was interrupted goes on when it is run again.
    """
    from backstay.cli.copying import copied

    _run(lambda settings: copied(settings, to))


@db.command()
def current() -> None:
    """Print which migrations the code and the database have; exit with 1 if they do not fit."""
    rows, found = _run(_current)
    width = max(map(len, rows))
    for label, (code, database) in rows.items():
        typer.echo(f"{label.ljust(width)}  code {code or '-'}  database {database or '-'}")
    typer.echo(found.sentence or _CURRENT)
    if found.fault:
        raise typer.Exit(1)


async def _current(settings: Settings) -> tuple[dict[str, tuple[str, str]], Standing]:
    """By history, the last revisions of the code and of the database; and how they compare."""
    options, histories = EngineOptions.of(settings), application_in_use().histories
    found = await migrate.standing(options, histories)
    return await migrate.last_of_each(options, histories), found


async def _upgrade(settings: Settings, revision: str) -> "tuple[list[str], Standing, Admin | None]":
    """Migrate, and seed what this version needs; an older version leaves the rows of a newer.

    What was applied is told at once: it stays, also if nothing can be seeded, such as when a model
    has a column that a migration has dropped.
    """
    options, histories = EngineOptions.of(settings), application_in_use().histories
    applied = await migrate.upgrade(options, revision, histories, _tell)
    for name in applied:
        typer.echo(f"Applied {name}.")
    found = await migrate.standing(options, histories)
    admin = await _seed(settings) if found.state is State.CURRENT else None
    return applied, found, admin


async def _seed(settings: Settings) -> "Admin | None":
    from backstay import composition

    async with opened(settings) as backstay:
        admin = await composition.seed(backstay)
        try:
            await backstay.require_admin()
        except ConfigurationError as error:  # no server starts without one; this command is done
            typer.echo(error, err=True)
        return admin


def _tell(sentence: str) -> None:
    """Say what a migration waits for."""
    typer.echo(sentence, err=True)


def _print_admin(admin: "Admin") -> None:
    if admin.created:
        typer.echo(f"Created the administrator {admin.email}.")
    if admin.generated_password:
        typer.echo(f"The password, shown only now: {admin.generated_password}")


def _run(work: Callable[[Settings], Coroutine[Any, Any, T]]) -> T:
    settings = application_in_use().load_settings()
    import backstay.composition  # noqa: F401 - loads the models, with which the database is compared

    return asyncio.run(work(settings))
