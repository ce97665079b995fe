"""The command `worker`: runs jobs; it may be started several times, on several machines."""

import asyncio
import signal
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Annotated

import typer

from backstay.cli.readiness import opened, sound_settings
from backstay.composition import Backstay
from backstay.composition.logs import log_start, start_logging
from backstay.core.startup import settle_memory
from backstay.jobs.worker import Worker
from backstay.settings import Settings


def worker(
    queues: Annotated[
        str | None, typer.Option(help="Queues to take jobs from, with commas; else from all.")
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Jobs to run at once.")] = 5,
    drain: Annotated[bool, typer.Option("--drain", help="End once nothing is ready.")] = False,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Serve /livez, /readyz, /health and /metrics here."),
    ] = None,
) -> None:
    """Run jobs and fire schedules until told to stop."""
    settings = asyncio.run(sound_settings())
    names = None if queues is None else [each.strip() for each in queues.split(",")]
    if names is not None and not all(names):
        raise typer.BadParameter("Name each queue, such as default,mail.", param_hint="--queues")
    asyncio.run(_work(settings, names, concurrency, drain=drain, port=port))


async def _work(
    settings: Settings, queues: list[str] | None, concurrency: int, *, drain: bool, port: int | None
) -> None:
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    grace = settings.server.graceful_timeout
    async with opened(settings) as backstay, _probes(backstay, port):
        start_logging(backstay)
        log_start("worker")
        settle_memory()
        at_work = Worker(backstay.worker_context, queues=queues, concurrency=concurrency)

        def stop() -> None:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)  # a second signal ends this process at once
            at_work.stop(grace)
            stopped.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        if drain:
            await _drain(backstay, at_work)
            return
        typer.echo("The worker runs jobs.")
        async with at_work.running(grace=grace):
            await stopped.wait()
    typer.echo("The worker has stopped.")


async def _drain(backstay: Backstay, at_work: Worker) -> None:
    if await backstay.maintenance.is_on():
        typer.echo(
            "Maintenance is on, so no job runs: see `backstay maintenance status`.", err=True
        )
        raise typer.Exit(1)
    typer.echo(f"Ran {await at_work.drain()} jobs.")


def _probes(backstay: Backstay, port: int | None) -> AbstractAsyncContextManager[None]:
    """The probes' server, if there is a port for it; only then the web packages are imported."""
    if port is None:
        return nullcontext()
    from backstay.cli.probes import probes

    return probes(backstay, port)
