"""What a start costs until the first answer, and what each process of a server keeps."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from backstay.cli import COMMANDS as NAMED
from benchmarks import machine
from tests.cli.process import COMMAND, KEYS, environ, run, serving
from tests.server.one_worker import PROGRAM

TYPES = ("granian", "uvicorn", "gunicorn")
ADMIN = {"ADMIN_PASSWORD": "correct horse battery"}
PRODUCTION = {"ENVIRONMENT": "production", "SERVER_DRAIN_SECONDS": "0", **ADMIN, **KEYS}
COMMANDS = (("--help",), ("config",), ("db", "upgrade"), ("worker", "--drain"))
LIBRARIES = "import fastapi, pydantic, sqlalchemy, sqlalchemy.ext.asyncio, sqlalchemy.orm"
UNCOLLECTED = "import atexit, gc; gc.disable(); atexit.register(gc.freeze)"
APPLICATION = """
from backstay.core.startup import hurry_imports, without_extras
hurry_imports()
with without_extras():
    import backstay.composition.http, backstay.features
    backstay.features.STANDARD
"""
TYPER = f"""
import typer
app = typer.Typer()
for name, text in {NAMED!r}.items():
    app.command(name, help=text)(lambda host="", port=0: None)
app(["--help"])
"""
PROJECT = {
    "pyproject.toml": "[tool.backstay]\napp = 'shop:application'\n",
    "shop.py": "from backstay import STANDARD, Application\n"
    "application = Application('shop', features=STANDARD, migrations=None, templates=None)\n",
}
PROGRAMS = {
    "libraries": LIBRARIES,
    "uncollected libraries": f"{UNCOLLECTED}\n{LIBRARIES}",
    "application": APPLICATION,
    "worker until ready": PROGRAM,
    "typer --help": TYPER,
}
"""Python programs that are compared with one another; "uncollected" ones start as Backstay does,
without garbage collection."""
RATIOS = (
    ("application", "libraries"),
    ("application", "uncollected libraries"),
    ("worker until ready", "application"),
    ("--help", "typer --help"),
    ("--help in a project", "typer --help"),
)


class Start(NamedTuple):
    """Processor seconds until `/livez` answers, and MiB that each process has for itself."""

    cpu: float
    memory: tuple[int, ...]


Starts = dict[str, Start]


def measure(rounds: int) -> Starts:
    """The median of several starts of each kind, in turn."""
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "prepared.db"
        with _folder() as made:
            assert run(made, "db", "upgrade", **ADMIN).code == 0
            shutil.copy(made / "backstay.db", kept)
        found = [_round(kept) for _ in range(rounds)]
    return {
        name: Start(median(one[name].cpu for one in found), found[0][name].memory)
        for name in found[0]
    }


def show(starts: Starts, rounds: int) -> None:
    """Print a row per kind of start and per command."""
    table = Table(title=f"median of {rounds} starts")
    for heading in ("", "CPU s", "MiB: supervisor, parent, worker"):
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for name, start in starts.items():
        table.add_row(name, f"{start.cpu:.2f}", " ".join(map(str, start.memory)))
    Console().print(table)
    for name, other in RATIOS:
        print(f"{name} ÷ {other}: {starts[name].cpu / starts[other].cpu:.2f}")


def _round(prepared: Path) -> Starts:
    starts = {f"serve, {kind}": _serve(prepared, SERVER_TYPE=kind) for kind in TYPES}
    starts["serve, production"] = _serve(prepared, **PRODUCTION)
    starts["serve, empty folder"] = _serve(None)
    starts |= {" ".join(words): _command(prepared, words) for words in COMMANDS}
    starts["--help in a project"] = _command(None, ("--help",), COMMAND, *PROJECT.items())
    for name, program in PROGRAMS.items():
        starts[name] = _command(prepared, (), [sys.executable, "-c", program])
    starts["python alone"] = _command(prepared, (), [sys.executable, "-c", "pass"])
    return starts


def _serve(prepared: Path | None, **variables: str) -> Start:
    with _folder(prepared) as folder, serving(folder, **variables) as server:
        processes = machine.family(server.process.pid)
        cpu = machine.cpu_seconds(processes, with_ended=True)
        time.sleep(1)  # what is still made ready counts as memory
        memory = tuple(_private(pid) for pid in processes)
    return Start(cpu, tuple(size for size in memory if size))


def _command(
    prepared: Path | None,
    words: tuple[str, ...],
    command: list[str] = COMMAND,
    *files: tuple[str, str],
) -> Start:
    with _folder(prepared) as folder:
        for name, text in files:
            (folder / name).write_text(text)
        variables = environ(BACKSTAY_RUN=str(folder), **ADMIN)
        before = machine.ended_seconds()
        arguments = [*command, *words]
        subprocess.run(arguments, cwd=folder, env=variables, check=True, capture_output=True)
        return Start(machine.ended_seconds() - before, ())


@contextmanager
def _folder(prepared: Path | None = None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        if prepared is not None:
            shutil.copy(prepared, Path(name) / "backstay.db")
        yield Path(name)


def _private(pid: int) -> int:
    """MiB that a process shares with no other; 0 once it has ended."""
    try:
        rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(row.split()[1]) for row in rows if row.startswith("Private_")) // 1024
