"""The commands `maintenance …`: requests change nothing and jobs pause while it is on."""

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any, TypeVar

import typer
from pydantic import ValidationError

from backstay.application import application_in_use
from backstay.cli.operators import operator_here, sender_of
from backstay.cli.output import print_columns, refusal
from backstay.cli.readiness import opened
from backstay.core.caching import MAX_STALENESS
from backstay.core.messages import Message
from backstay.core.schedule import seconds_of
from backstay.features.system.commands.maintenance import MONTH, BeginMaintenance, EndMaintenance
from backstay.features.system.queries.probes import GetMaintenance
from backstay.features.system.schemas.probes import MaintenanceState

R = TypeVar("R")

maintenance = typer.Typer(
    name="maintenance",
    help="Refuse what changes something, and let jobs pause, for as long as it takes.",
    no_args_is_help=True,
)


@maintenance.command()
def on(
    for_: Annotated[
        str | None,
        typer.Option("--for", metavar="TIME", help="End by itself after this time, such as 30m."),
    ] = None,
    reason: Annotated[str, typer.Option(help="Why; clients read it.")] = "",
) -> None:
    """Refuse what changes something, in every process; if it is on, change why and how long."""
    try:
        seconds = None if for_ is None else seconds_of(for_)
    except ValueError as error:
        raise typer.BadParameter(f"{error}.".capitalize(), param_hint="--for") from None
    if seconds is not None and seconds > MONTH:
        raise typer.BadParameter("It may last 30d at most.", param_hint="--for")
    try:
        begin = BeginMaintenance(reason=reason, seconds=seconds)
    except ValidationError as error:
        raise refusal(error) from None
    state = asyncio.run(_begun(begin))
    until = f"{state.ends_at:%Y-%m-%d %H:%M:%S} UTC" if state.ends_at else "you switch it off"
    typer.echo(f"Maintenance is on until {until}: requests change nothing, and no job begins.")
    if state.running_jobs:
        typer.echo(f"{_jobs(state)} still: `backstay maintenance status` tells when they ended.")


@maintenance.command()
def off() -> None:
    """Let requests change something and jobs run again."""
    was_on = asyncio.run(_sent(EndMaintenance()))
    typer.echo("Maintenance is off." if was_on else "Maintenance was off.")


@maintenance.command()
def status() -> None:
    """Show whether it is on, since when, by whom and why, and how many jobs still run."""
    state = asyncio.run(_sent(GetMaintenance()))
    rows = [("maintenance", "on" if state.is_on else "off")]
    for name, moment in (("since", state.began_at), ("until", state.ends_at)):
        if moment is not None:
            rows.append((name, f"{moment:%Y-%m-%d %H:%M:%S} UTC"))
    rows += [(name, text) for name in ("operator", "reason") if (text := getattr(state, name))]
    print_columns([*rows, ("running jobs", str(state.running_jobs))])


async def _begun(begin: BeginMaintenance) -> MaintenanceState:
    """Switch it on, and wait until no process can have missed it."""
    await _sent(begin)
    await asyncio.sleep(MAX_STALENESS)
    return await _sent(GetMaintenance())


def _sent(message: Message[R]) -> Coroutine[Any, Any, R]:
    async def sent() -> R:
        async with opened(application_in_use().load_settings()) as backstay:
            is_read = isinstance(message, GetMaintenance)
            send = backstay.system if is_read else sender_of(backstay, operator_here())
            return await send(message)

    return sent()


def _jobs(state: MaintenanceState) -> str:
    return "1 job runs" if state.running_jobs == 1 else f"{state.running_jobs} jobs run"
