"""The command `status`: what servers and workers do, live in a terminal, from their metrics."""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Annotated

import typer

from backstay.application import application_in_use
from backstay.cli.scraping import Change, Scrape, ScrapeError, checked_url, merged, read
from backstay.cli.status_figures import Figures, figures_of
from backstay.settings import Settings

Reads = dict[str, Scrape | ScrapeError]


def status(
    urls: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[URL]...",
            help="Servers, and workers with --port; else the server of these settings.",
            show_default=False,
        ),
    ] = None,
    interval: Annotated[
        float, typer.Option(min=0.5, max=60, help="Seconds between two reads.")
    ] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Show it once, and end.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON per read, for programs.")
    ] = False,
) -> None:
    """Show what servers and workers do, live: rates, errors, queues, pools.

    It reads /metrics with APP_METRICS_TOKEN; figures are of the time between two reads. Ctrl-C
    ends it. Where output is no terminal it shows one read, unless --json is given.
    """
    settings = application_in_use().load_settings()
    addresses = [_address(each) for each in urls or [_own(settings)]]
    token = settings.app.metrics_token
    reading = partial(_read, addresses, token.get_secret_value() if token else "", interval)
    once = once or not (as_json or sys.stdout.isatty())
    try:
        _show(_figures(reading, interval, wait=once), once=once, as_json=as_json)
    except KeyboardInterrupt:
        return


def _own(settings: Settings) -> str:
    host = settings.server.host
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104
    return f"http://{host}:{settings.server.port}"


def _address(url: str) -> str:
    try:
        return checked_url(url)
    except ScrapeError as error:
        raise typer.BadParameter(f"{url} {error}.", param_hint="URL") from None


def _read(addresses: list[str], token: str, seconds: float) -> Reads:
    """Read all at once, so that one that hangs does not delay the others."""

    def one(url: str) -> Scrape | ScrapeError:
        try:
            return read(url, token, max(seconds, 2.0))
        except ScrapeError as error:
            return error

    with ThreadPoolExecutor(len(addresses)) as pool:
        return dict(zip(addresses, pool.map(one, addresses), strict=True))


def _figures(reading: "partial[Reads]", interval: float, *, wait: bool) -> Iterator[Figures]:
    """The figures of each read, compared with the one before; at first since the start.

    With ``wait`` the first ones, too, are of an interval.
    """
    before = reading()
    if wait and any(isinstance(each, Scrape) for each in before.values()):
        time.sleep(interval)
    while True:
        now = reading() if wait else before
        yield figures_of(_change(before, now), _faults(now))
        before, wait = now, True
        time.sleep(interval)


def _change(before: Reads, now: Reads) -> Change | None:
    """The change of those that answered both times; None if nobody did."""
    pairs = [
        (earlier, scrape)
        for url, scrape in now.items()
        if isinstance(scrape, Scrape) and isinstance(earlier := before.get(url), Scrape)
    ]
    if not pairs:
        return None
    return Change(merged([each for each, _ in pairs]), merged([each for _, each in pairs]))


def _faults(reads: Reads) -> Mapping[str, str]:
    """By address: why it was not read; empty for one that was."""
    return {url: str(each) if isinstance(each, ScrapeError) else "" for url, each in reads.items()}


def _show(reads: Iterator[Figures], *, once: bool, as_json: bool) -> None:
    """Print the figures, or keep them on the screen.

    Raises:
        typer.Exit: they were to be shown once, and somebody did not answer.
    """
    if as_json:
        for figures in reads:
            typer.echo(json.dumps(figures))
            if once:
                _require_all(figures)
                return
    from rich.console import Console
    from rich.live import Live

    from backstay.cli.status_view import screen  # it needs rich, which is hidden until now

    console = Console()
    if once:
        figures = next(reads)
        console.print(screen(figures))
        _require_all(figures)
        return
    with Live(console=console, screen=True, auto_refresh=False) as live:
        for figures in reads:
            live.update(screen(figures), refresh=True)


def _require_all(figures: Figures) -> None:
    if any(figures["servers"].values()):
        raise typer.Exit(1)
