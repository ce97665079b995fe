"""How `backstay status` shows its figures in a terminal."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from backstay.cli.status_figures import Figures, JobFigures, PoolFigures, RequestFigures

_BAD = "bold red"
_LOUD = {"degraded": "yellow", "error": _BAD}


def screen(figures: Figures) -> RenderableType:
    """All figures, one group under another; what is wrong is red, and said in words, too."""
    parts: list[RenderableType] = [_heading(figures)]
    if figures["requests"] is not None:
        parts += [_requests(figures["requests"], figures), _routes(figures["requests"])]
    if figures["pools"]:
        parts.append(_pools(figures["pools"]))
    if figures["jobs"] is not None:
        parts.append(_jobs(figures["jobs"]))
    return Group(*(each for part in parts for each in (part, Text())))


def _heading(figures: Figures) -> Text:
    lines = Text()
    for version in figures["versions"]:
        lines.append(f"{version}\n", "bold")
    for url, fault in figures["servers"].items():
        lines.append(f"{url}  ")
        lines.append(f"{fault}\n" if fault else "answers\n", _BAD if fault else "green")
    for check, state in sorted(figures["health"].items()):
        if state in _LOUD:
            lines.append(f"{check} {state}\n", _LOUD[state])
    lines.rstrip()
    return lines


def _requests(requests: RequestFigures, figures: Figures) -> Table:
    processes = figures["processes"]
    rows = [
        ("requests", f"{requests['per_second']:.1f}/s", ""),
        ("failed", _percent(requests["failed_share"]), _BAD if requests["failed_share"] else ""),
        ("over a limit", f"{requests['limited_per_second']:.1f}/s", ""),
        ("in flight", f"{requests['in_flight']:.0f}", ""),
        ("p50", _time(requests["p50"]), ""),
        ("p99", _time(requests["p99"]), ""),
        ("cache hits", _percent(figures["cache_hit_share"]), ""),
        *(
            (f"sign-ins {outcome}", f"{rate:.1f}/s", "")
            for outcome, rate in figures["sign_ins_per_second"].items()
        ),
    ]
    if processes is not None:
        rows += [
            ("workers", f"{processes['workers']}", ""),
            ("CPU", f"{processes['cores']:.2f} cores", ""),
            ("memory", f"{processes['memory_bytes'] / 2**20:.0f} MiB", ""),
            ("loop lag p99", _time(processes["loop_lag_p99"]), ""),
        ]
    return _pairs(rows)


def _pairs(rows: Sequence[tuple[str, str, str]]) -> Table:
    """Names and values, three of them in a line."""
    table = Table.grid(padding=(0, 2))
    cells = [
        cell for name, value, style in rows for cell in (Text(name, "dim"), Text(value, style))
    ]
    for start in range(0, len(cells), 6):
        table.add_row(*cells[start : start + 6])
    return table


def _routes(requests: RequestFigures) -> RenderableType:
    if not requests["routes"]:
        return Text("No requests in this time.", "dim")
    table = _table("ROUTE", "PER SECOND", "P50", "P99", "FAILED")
    for each in requests["routes"]:
        failed = Text(_percent(each["failed_share"]), _BAD if each["failed_share"] else "")
        rate, p50, p99 = f"{each['per_second']:.1f}", _time(each["p50"]), _time(each["p99"])
        table.add_row(each["route"], rate, p50, p99, failed)
    return table


def _pools(pools: dict[str, PoolFigures]) -> Table:
    table = _table("POOL", "IN USE", "IDLE", "MOST", "WAITING", "TIMEOUTS")
    for pool, each in sorted(pools.items()):
        waiting = Text(f"{each['waiting']:.0f}", _BAD if each["waiting"] else "")
        late = Text(
            f"{each['timeouts_per_second']:.1f}/s", _BAD if each["timeouts_per_second"] else ""
        )
        numbers = (f"{each[key]:.0f}" for key in ("in_use", "idle", "most"))
        table.add_row(pool, *numbers, waiting, late)
    return table


def _jobs(jobs: JobFigures) -> RenderableType:
    lines = [
        Text("  ".join(f"{outcome} {rate:.1f}/s" for outcome, rate in runs.items()))
        for runs in (jobs["runs_per_second"],)
        if runs
    ]
    lines += [
        Text(f"schedule {name} is {_time(late)} late", _BAD)
        for name, late in sorted(jobs["overdue"].items())
    ]
    table = _table("QUEUE", "READY", "OLDEST")
    for queue, each in sorted(jobs["queues"].items()):
        table.add_row(queue, f"{each['ready']:.0f}", _time(each["oldest_seconds"]))
    if not jobs["queues"]:
        return Group(*lines, Text("No job waits.", "dim"))
    return Group(table, *lines)


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(name, justify="right")
    return table


def _percent(part: float | None) -> str:
    return "-" if part is None else f"{part:.1%}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 1:
        return f"{seconds * 1000:.1f} ms"
    return f"{seconds:.1f} s" if seconds < 600 else f"{seconds / 60:.0f} min"
