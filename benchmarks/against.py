"""Measures any running server beside ours, in one run: ``python -m benchmarks against URL``."""

import argparse
import asyncio
import json
import socket
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit
from uuid import UUID

from rich.console import Console
from rich.table import Table

from backstay.testing.postgres_server import PostgresServer
from benchmarks import machine
from benchmarks.cases import CASES
from benchmarks.description import Unfit, read, requests
from benchmarks.load import Measured, Request, burst
from benchmarks.rows import put_back
from benchmarks.stage import prepare, serving

EXAMPLE = Path(__file__).with_name("backstay.toml")
OURS = {"me": "me", "item": "item", "list": "page", "create": "create"}
"""Our case for each table of a description."""
CONNECTIONS = 16
_LISTENS = "0A"
Results = dict[str, list[Measured]]


def main(words: Sequence[str]) -> int:
    """Measure, print, and write JSON. 1: the machine, the server or its description is unfit."""
    arguments = _arguments(words)
    try:
        machine.check()
        theirs = requests(arguments.url, read(Path(arguments.description)))
        pids = _pids(arguments.url, arguments.pid)
        machine.pin(machine.OTHER_CORE)
        results = _measured(theirs, pids, arguments.rounds, arguments.seconds)
    except (machine.Missing, Unfit) as fault:
        print(fault, file=sys.stderr)
        return 1
    summary = {name: _middle(found) for name, found in results.items()}
    _show(summary, pids, arguments)
    folder = Path(arguments.output)
    folder.mkdir(parents=True, exist_ok=True)
    kept = {name: asdict(measured) for name, measured in summary.items()}
    (folder / "against.json").write_text(json.dumps(kept, indent=2) + "\n")
    return 0


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks against", description=__doc__)
    parser.add_argument("url", help="of the other server, such as http://127.0.0.1:8000")
    parser.add_argument("--description", default=str(EXAMPLE), help="TOML file about its paths")
    parser.add_argument("--pid", type=int, help="its first process; else what listens on the port")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts")
    parser.add_argument("--seconds", type=int, default=2, help="that each burst of load lasts")
    parser.add_argument("--output", default="benchmarks/results", help="folder for the JSON")
    return parser.parse_args(words)


def _measured(
    theirs: Mapping[str, Request], pids: Sequence[int], rounds: int, seconds: int
) -> Results:
    """Every case in every round, ours and the other in turn."""
    ours = {case.name: case.ours for case in CASES}
    results: Results = defaultdict(list)
    with PostgresServer() as postgres, tempfile.TemporaryDirectory() as folder:
        url = postgres.create_database()
        stage = prepare(url, Path(folder), rows=0)
        options = ("benchmarks.ours:app", stage.environ, "--factory")
        with serving(*options, CACHE_TTL_SECONDS="0") as server:
            for number in range(rounds + 1):
                for name, request in theirs.items():
                    own, *_ = server.asked(ours[OURS[name]](stage))
                    found = {
                        f"ours {name}": _burst(own, server.pids, seconds),
                        f"theirs {name}": _burst(request, _family(pids), seconds),
                    }
                    for label, measured in found.items():
                        if number:  # the first round warms up
                            results[label].append(measured)
                asyncio.run(put_back(url, UUID(stage.busy_id)))
    return results


def _burst(request: Request, pids: list[int], seconds: int) -> Measured:
    try:
        return burst(request, pids, seconds=seconds, connections=CONNECTIONS)
    except RuntimeError as error:
        raise Unfit(
            f"{error}. One request was answered, load is not: is there a rate limit?"
        ) from error
    except OSError as error:
        raise Unfit(f"A process of the server has ended under load: {error}.") from error


def _pids(url: str, pid: int | None) -> list[int]:
    """The processes of the other server; none where they are not on this machine, or are hidden.

    Raises:
        Unfit: the process that was named does not exist.
    """
    if pid is not None:
        if not Path(f"/proc/{pid}").exists():
            raise Unfit(f"There is no process {pid} on this machine.")
        return [pid]
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    return sorted(listening(port)) if _is_here(parts.hostname or "") else []


def listening(port: int) -> set[int]:
    """The processes that hold a socket which listens on a TCP port, as far as /proc shows them."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{fields[9]}]")
    return {int(folder.name) for folder in Path("/proc").glob("[0-9]*") if _holds(folder, inodes)}


def _holds(process: Path, sockets: set[str]) -> bool:
    try:
        return any(str(each.readlink()) in sockets for each in (process / "fd").iterdir())
    except OSError:  # it has ended, or belongs to somebody else
        return False


def _is_here(host: str) -> bool:
    """Whether a host is this machine: only its own addresses can be bound."""
    for family, kind, _, _, address in socket.getaddrinfo(host, 0, type=socket.SOCK_DGRAM):
        with socket.socket(family, kind) as made:
            try:
                made.bind(address)
            except OSError:
                continue
            return True
    return False


def _family(pids: Sequence[int]) -> list[int]:
    return sorted({each for pid in pids for each in machine.family(pid)})


def _middle(found: Sequence[Measured]) -> Measured:
    """The median of every figure."""
    names = Measured.__dataclass_fields__
    return Measured(*(median(getattr(each, name) for each in found) for name in names))


def _show(
    summary: Mapping[str, Measured], pids: Sequence[int], arguments: argparse.Namespace
) -> None:
    """Print two rows per case; the ratio is of CPU where that is known, else of requests/s."""
    table = Table(title=f"median of {arguments.rounds} rounds of {arguments.seconds} s")
    for heading in ("", "requests/s", "p50 ms", "p99 ms", "CPU µs", "ratio"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for label, found in summary.items():
        side, _, name = label.partition(" ")
        figures = (f"{found.per_second:.0f}", f"{found.p50:.2f}", f"{found.p99:.2f}")
        cpu = f"{found.cpu:.0f}" if pids or side == "ours" else ""
        share = ratio(summary[f"ours {name}"], found, has_cpu=bool(pids))
        shown = "" if side == "ours" else f"{share:.2f}"
        table.add_row(f"{name} {side}", *figures, cpu, shown)
    console = Console(highlight=False)
    console.print(table)
    if pids:
        console.print("ratio: CPU time per request of theirs divided by ours: 2 costs twice.")
        console.print(f"theirs is {', '.join(map(_named, _family(pids)))}")
    else:
        console.print("ratio: requests per second of ours divided by theirs. No process of theirs")
        console.print("is visible on this machine, so its CPU time is unknown: name one by --pid.")


def ratio(ours: Measured, theirs: Measured, *, has_cpu: bool) -> float:
    """How many times cheaper ours is: by CPU time per request, or by requests per second."""
    return theirs.cpu / ours.cpu if has_cpu else ours.per_second / theirs.per_second


def _named(pid: int) -> str:
    return f"{pid} {Path(f'/proc/{pid}/comm').read_text().strip()}"
