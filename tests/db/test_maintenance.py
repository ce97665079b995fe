"""Shows which commands the step lets pass, and what it believes when the database is away."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, select

from backstay.composition import Backstay, compose
from backstay.core.bus import handles, prepares
from backstay.core.context import Origin, Sender
from backstay.core.errors import DatabaseUnavailable
from backstay.core.feature import Feature
from backstay.core.jobs import JobRun
from backstay.core.maintenance import UnderMaintenance
from backstay.core.messages import Command, Message, Query
from backstay.core.permissions import SIGNED_IN
from backstay.core.principal import SYSTEM, Principal
from backstay.db import maintenance as maintenance_module
from backstay.db.activity import Activity
from backstay.db.maintenance import MaintenanceRow
from backstay.features import STANDARD
from backstay.features.system.commands.maintenance import BeginMaintenance, EndMaintenance
from backstay.testing import settings_with
from tests.clocks import StandingClock
from tests.features.steps import execute
from tests.logs import logged
from tests.patient import PATIENT

pytestmark = pytest.mark.anyio

ANN = Principal(user_id=UUID(int=1), session_id=UUID(int=2))
BY_HTTP, BY_SOCKET = Origin(request_id="r"), Origin(address="192.0.2.1")


class Sound(Command[None]):
    permission = SIGNED_IN


@handles(Sound)
async def sound(command: Sound) -> None:
    """Nothing to do."""


class Rescue(Command[None]):
    permission = SIGNED_IN
    allowed_in_maintenance = True


@handles(Rescue)
async def rescue(command: Rescue, send: Sender) -> None:
    await send(Sound())


class Peek(Query[None]):
    permission = SIGNED_IN


@handles(Peek)
async def peek(query: Peek, send: Sender) -> None:
    await send.as_system()(Sound())


class Load(Command[None]):
    """Takes so long to be prepared that maintenance begins meanwhile."""

    permission = SIGNED_IN


@prepares(Load)
async def prepare(command: Load, send: Sender) -> int:
    await Sender(send.send, SYSTEM)(BeginMaintenance())
    return 1


@handles(Load)
async def load(command: Load, prepared: int) -> None:
    raise AssertionError("it was refused")


def composed(url: str, folder: Path, **options: Any) -> Backstay:
    module = ModuleType(__name__)
    vars(module).update({each.__name__: each for each in (sound, rescue, peek, prepare, load)})
    vars(module).update(Sound=Sound, Rescue=Rescue, Peek=Peek, Load=Load)
    features = [*STANDARD, Feature("boats", modules=(module,))]
    return compose(settings_with(url, folder, **PATIENT), features, **options)


@pytest.fixture
async def boats(seeded_url: str, tmp_path: Path) -> AsyncIterator[Backstay]:
    backstay = composed(seeded_url, tmp_path)
    yield backstay
    await backstay.close()


async def send(
    backstay: Backstay, message: Message[Any], origin: Origin = BY_HTTP, who: Principal = ANN
) -> None:
    await Sender(backstay.bus.send, who, origin)(message)


async def test_a_command_says_that_maintenance_allows_it(boats: Backstay) -> None:
    await boats.system(BeginMaintenance())
    await send(boats, Rescue())
    for origin, who in ((BY_HTTP, ANN), (BY_SOCKET, ANN), (BY_HTTP, SYSTEM)):
        with pytest.raises(UnderMaintenance, match="nothing can be changed"):
            await send(boats, Sound(), origin, who)
    with pytest.raises(UnderMaintenance):
        await send(boats, Peek())
    done = select(Activity.message).where(Activity.outcome == "ok").order_by(Activity.id)
    assert list((await execute(boats, done)).scalars())[-2:] == ["BeginMaintenance", "Rescue"]


async def test_jobs_that_run_and_command_lines_go_on(
    boats: Backstay, seeded_url: str, tmp_path: Path
) -> None:
    await boats.system(BeginMaintenance())
    run: Any = JobRun.__new__(JobRun)
    await send(boats, Peek(), Origin("r", job=run))
    of_a_shell = composed(seeded_url, tmp_path, for_requests=False)
    await send(of_a_shell, Sound())
    await of_a_shell.close()


async def test_a_command_is_refused_if_maintenance_begins_meanwhile(boats: Backstay) -> None:
    with pytest.raises(UnderMaintenance):
        await send(boats, Load())


async def test_the_last_known_state_holds_without_a_database(
    boats: Backstay, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = StandingClock()
    mode: Any = boats.maintenance
    monkeypatch.setattr(mode, "_monotonic", clock)
    mode.start_logging()

    def away() -> Any:
        raise DatabaseUnavailable

    with logged(maintenance_module) as logs:
        for is_on in (True, False):
            message: Any = BeginMaintenance() if is_on else EndMaintenance()
            await boats.system(message)
            assert await mode.is_on() is is_on
            with monkeypatch.context() as gone:
                gone.setattr(boats.database, "probing", away)
                for _ in range(3):
                    clock.now += 1
                    assert await mode.is_on() is is_on
            clock.now += 1
            assert await mode.is_on() is is_on
    unread = "whether maintenance is on cannot be read"
    said = [entry["event"] for entry in logs]
    assert said == ["maintenance is on", unread, "maintenance is off", unread]


async def test_what_changes_while_it_is_read_is_read_again(boats: Backstay) -> None:
    await boats.system(BeginMaintenance())
    assert await boats.maintenance.is_on()
    await execute(boats, delete(MaintenanceRow))
    boats.maintenance.outdate()
    asked = asyncio.create_task(boats.maintenance.is_on())
    await asyncio.sleep(0)  # now it waits for the read that has begun
    boats.maintenance.outdate()
    assert not await asked
