"""Brings each alert about by its real fault: ``python -m tests.monitoring.provoke [names]``
(`make alerts ARGS="BackstayDown"`).

On one host as `deploy/host` sets it up, under a load: the fault is made, Prometheus must fire,
Alertmanager must have it and mail it; the fault is mended, and both must be silent again. What has
passed is kept in `ALERTS_FOLDER` and not done again unless it is named.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable

import asyncpg
import httpx

from tests.monitoring.fault_steps import going_on
from tests.monitoring.faults import FAULTS
from tests.monitoring.stand import Stand, load
from tests.monitoring.stand_files import FOLDER, LEVELS, MAIL, SCALE
from tests.monitoring.test_queries import alerts
from tests.services.smtp import RecordingMailHandler, smtp_server

RESULTS = FOLDER / "results.json"
LONGEST = 300.0
"""Seconds for an alert to fire or to end."""
COLUMNS = ("fires", "has it", "mails", "ends")


class Late(Exception):
    """Something did not happen in time."""


async def seconds_until(what: str, happened: Callable[[], Awaitable[bool]]) -> float:
    """How long it took.

    Raises:
        Late: it took too long.
    """
    began = time.monotonic()
    while not await happened():
        if time.monotonic() - began > LONGEST:
            raise Late(what)
        await asyncio.sleep(0.5)
    return round(time.monotonic() - began, 1)


async def provoke(stand: Stand, box: RecordingMailHandler, name: str) -> dict[str, float]:
    """The seconds from the fault to each step.

    Raises:
        Late: a step did not happen.
    """

    async def fires() -> bool:
        return name in await stand.firing()

    async def has_it() -> bool:
        return name in await stand.notified()

    async def silent() -> bool:
        return not await fires() and not await has_it()

    async def mails() -> bool:
        return any(f"{name} (firing)" in str(each["Subject"]) for each in box.mails)

    await seconds_until(f"{name} fires before its fault", silent)
    box.mails.clear()
    took = {}
    async with FAULTS[name](stand, box):
        took["fires"] = await seconds_until("Prometheus does not fire", fires)
        took["has it"] = took["fires"] + await seconds_until("Alertmanager lacks it", has_it)
        took["mails"] = took["has it"] + await seconds_until("no mail", mails)
    took["ends"] = await seconds_until("it does not end", silent)
    return took


def show(name: str, took: dict[str, float] | str) -> None:
    """One line of the table."""
    if isinstance(took, str):
        print(f"{name:28} {took}", flush=True)
    else:
        print(f"{name:28}" + "".join(f"{took[each]:9.1f}" for each in COLUMNS), flush=True)


async def provoke_all(names: list[str]) -> int:
    """Provoke the named alerts, else those that have not passed; the number that failed."""
    done = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    wanted = names or [name for name in FAULTS if not isinstance(done.get(name), dict)]
    stand = Stand()
    with smtp_server(MAIL) as box:
        try:
            await asyncio.to_thread(stand.start)
            async with stand.connected(), going_on(load(stand)):
                print(f"{'alert':28}" + "".join(f"{each:>9}" for each in COLUMNS))
                for name in wanted:
                    try:
                        done[name] = await provoke(stand, box, name)
                    except (Late, OSError, httpx.HTTPError, asyncpg.PostgresError) as error:
                        done[name] = f"FAILED: {error!r}"
                    show(name, done[name])
                    RESULTS.write_text(json.dumps(done, indent=1))
        finally:
            await asyncio.to_thread(stand.stop)
    return sum(isinstance(done[name], str) for name in wanted)


def main() -> None:
    """Provoke, and show what was found."""
    names = [each if each.startswith("Backstay") else f"Backstay{each}" for each in sys.argv[1:]]
    missing = sorted(alerts().keys() - FAULTS.keys())
    if unknown := [name for name in names if name not in FAULTS]:
        sys.exit(f"There is no fault for {', '.join(unknown)}. There is for: {', '.join(FAULTS)}")
    print(f"Times and thresholds are multiplied by {SCALE}, thresholds not of: {', '.join(LEVELS)}")
    print("Seconds until an alert fires, Alertmanager has it and mails it, and until it has ended.")
    for name in missing:
        print(f"{name}: nothing brings it about here")
    sys.exit(asyncio.run(provoke_all(names)) > 0)


if __name__ == "__main__":
    main()
