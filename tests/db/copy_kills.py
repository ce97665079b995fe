"""Kills copies with SIGKILL and lets them go on: ``python -m tests.db.copy_kills [KILLS]``.

Each way between the two databases has its share of the kills, evenly over the time that an
undisturbed copy takes. What was killed is run again, and must end with the same rows and digests.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from signal import SIGKILL
from typing import Any

from backstay.db import migrate
from backstay.db.copying import copier, postgres_side, sqlite_side
from backstay.db.copying.digest import Digest
from backstay.db.migrations.runner import PLATFORM, History
from backstay.db.migrations.standing import State
from backstay.db.options import EngineOptions
from backstay.testing.postgres_server import PostgresServer
from tests.db.copies import KINDS, Copies, connected, digests, rows_of

KILLS, ROWS, AT_ONCE = 20, 40_000, 2_000
_BEGUN = "begun"
_SOURCE = Path(__file__).parents[2]


def child(source: EngineOptions, target: EngineOptions, folder: Path, *, steps: int = 0) -> Any:
    """A process that copies; it kills itself after so many steps, unless there are none."""
    command = [sys.executable, "-m", "tests.db.copy_kills", "child", source.url, target.url]
    return subprocess.Popen(
        [*command, str(folder), str(steps)],
        env=os.environ | {"PYTHONPATH": f"{_SOURCE / 'src'}{os.pathsep}{_SOURCE}"},
        stdout=subprocess.PIPE,
        text=True,
    )


def ended(process: Any) -> dict[str, Any]:
    """The digests that a copy printed at its end."""
    output, _ = process.communicate()
    assert process.returncode == 0, output
    found: dict[str, Any] = json.loads(output.removeprefix(_BEGUN))
    return found


def was_killed(process: Any) -> bool:
    process.communicate()
    return bool(process.returncode == -SIGKILL)


def _copy(source: str, target: str, folder: str, steps: str) -> None:
    """Copy in small parts, and die after some of them."""
    for side in (postgres_side, sqlite_side):
        vars(side)["BATCH_ROWS"] = AT_ONCE
    left, add = int(steps), Digest.add

    def counted(digest: Digest, rows: list[bytes]) -> None:
        nonlocal left
        add(digest, rows)
        left -= 1
        if left == 0:
            os.kill(os.getpid(), SIGKILL)

    Digest.add = counted  # type: ignore[method-assign, assignment]
    histories = PLATFORM, History("shop", Path(folder))
    print(_BEGUN, flush=True)
    report = asyncio.run(
        copier.copy(EngineOptions(source), EngineOptions(target), histories, lambda *_: None)
    )
    print(json.dumps(digests(report)), flush=True)


async def many(options: EngineOptions, rows: int = ROWS) -> None:
    """Add rows, so that a copy takes a while."""
    async with connected(options) as connection:
        values = [{"id": 1000 + n, "name": f"kind {n}"} for n in range(rows)]
        await connection.execute(KINDS.insert(), values)


def _seconds(process: Any) -> float:
    process.stdout.readline()
    begun = time.monotonic()
    ended(process)
    return time.monotonic() - begun


def _killed_after(process: Any, seconds: float) -> bool:
    process.stdout.readline()
    time.sleep(seconds)
    process.kill()
    return was_killed(process)


def _kill(copies: Copies, source: EngineOptions, other: str, kills: int) -> str:
    """Kill so many copies into databases of the other kind, and let each go on."""
    versions, killed = copies.history.folder, 0
    seconds = _seconds(child(source, copies.new(other), versions))
    wanted = ended(child(source, copies.new(other), versions))
    for number in range(kills):
        half, moment = copies.new(other), seconds * (number + 0.5) / kills
        while not _killed_after(child(source, half, versions), moment):
            half, moment = copies.new(other), moment * 0.7  # this one was quicker
        killed += 1
        if asyncio.run(migrate.state(half, copies.histories)) is State.CURRENT:  # it had ended
            assert asyncio.run(rows_of(half, KINDS)) == asyncio.run(rows_of(source, KINDS))
        else:
            assert ended(child(source, half, versions)) == wanted, number
    return f"{killed} killed within {seconds:.1f} s, all whole"


def main(kills: int) -> None:
    """Kill copies in each direction, and say how it ended."""
    with PostgresServer() as server, tempfile.TemporaryDirectory() as folder:
        copies = Copies(Path(folder), lambda: server)
        for kind, other in (("postgresql", "sqlite"), ("sqlite", "postgresql")):
            source = asyncio.run(copies.filled(kind))
            asyncio.run(many(source))
            print(f"{kind} to {other}: {_kill(copies, source, other, kills)}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        _copy(*sys.argv[2:])
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else KILLS)
