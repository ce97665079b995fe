"""What `db copy` shows: how far it is, what was copied, and what is to be done next."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from time import monotonic

import typer
from sqlalchemy import func, select

from backstay.application import application_in_use
from backstay.cli.output import print_columns
from backstay.core.errors import FieldError, Invalid
from backstay.db.copying.copier import AGAIN, Report, Tell, copy
from backstay.db.copying.sides import CopyFailed
from backstay.db.engine import writer_engine
from backstay.db.maintenance import IN_FORCE
from backstay.db.options import EngineOptions
from backstay.settings import SettingError, Settings
from backstay.settings.groups.db import FORM, DatabaseUrl, normalised
from backstay.settings.project import project_root

_PGBOUNCER = (
    "A copy needs a session of its own, which PgBouncer does not give: run this with "
    "DB_PGBOUNCER=false and the address of PostgreSQL itself in DB_URL."
)

_SHOWN_DIGITS = 16
_NEXT = """\
Every row was read back and is the same. To use it:
  1. Set DB_URL to the new address, for every server and worker.
  2. Start them; keep the old database unused until you have seen that all is well.
Passwords, API clients and sessions stay valid while the keys of SECURITY_ stay the same. Redis may
stay as it is: what it keeps is about the same rows."""
_IN_MAINTENANCE = (
    "Maintenance is on in the copy, too: with its address in DB_URL, `backstay maintenance off` "
    "ends it."
)


async def copied(settings: Settings, to: str) -> None:
    """Copy the database of the settings to another address, and tell what was done.

    Raises:
        Invalid: the address is none.
        MigrationError: the copy cannot begin or go on.
    """
    source = EngineOptions.of(settings)
    target = replace(source, url=_address(to), replica_url=None)
    if source.pgbouncer:
        raise CopyFailed(_PGBOUNCER)
    try:
        with progress() as tell:
            report = await copy(source, target, application_in_use().histories, tell)
    except asyncio.CancelledError:
        typer.echo(f"Stopped. {AGAIN}", err=True)
        raise
    _show(report, source, target)
    if await _is_in_maintenance(target):
        typer.echo(_IN_MAINTENANCE)


async def _is_in_maintenance(target: EngineOptions) -> bool:
    """Whether servers on the copy will refuse to change anything, as they do on the source."""
    engine = writer_engine(target)
    try:
        async with engine.connect() as connection:
            return bool(await connection.scalar(select(func.count()).where(IN_FORCE)))
    finally:
        await engine.dispose()


def _address(to: str) -> str:
    try:
        return DatabaseUrl.of(normalised(to, project_root())).get_secret_value()
    except SettingError as error:
        hint = FORM if error.hint.startswith(FORM) else error.hint.rstrip(".")
        told = FieldError("--to", "database_url", f"{error.wrong}. {hint}")
        raise Invalid(errors=(told,)) from None


@contextmanager
def progress() -> Iterator[Tell]:
    """A bar on the standard error of a terminal, and nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    begun, done = monotonic(), 0
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]} rows/s"),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task, current, seen = bar.add_task("preparing", total=None, rate="0"), "", 0

        def tell(table: str, rows: int, total: int) -> None:
            nonlocal done, current, seen
            if table != current:
                current, seen = table, 0
                bar.reset(task)
            done, seen = done + rows, seen + rows
            what = table if seen <= total else f"{table}, compared"
            shown = seen if seen <= total else seen - total
            rate = f"{done / max(monotonic() - begun, 0.001):,.0f}"
            bar.update(task, description=what, completed=shown, total=total, rate=rate)

        yield tell


def _show(report: Report, source: EngineOptions, target: EngineOptions) -> None:
    """Print every table with its rows and digest, then what to do."""
    rows = [("table", "rows", "digest", "copied before", "seconds")]
    rows += [
        (
            each.table,
            str(each.rows),
            each.digest[:_SHOWN_DIGITS],
            str(each.kept),
            f"{each.seconds:.1f}",
        )
        for each in report.tables
    ]
    print_columns(rows, header=True)
    for remark in report.remarks:
        typer.echo(f"Warning: {remark}", err=True)
    number = sum(each.rows for each in report.tables)
    typer.echo(f"Copied {number} rows of {source.shown_url} to {target.shown_url}.")
    typer.echo(_NEXT)
