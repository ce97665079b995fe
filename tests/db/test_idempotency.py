"""Shows when the answer to a command with an Idempotency-Key is stored: with its changes only."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from backstay.composition import Backstay, compose
from backstay.core.bus import handles
from backstay.core.context import Origin, Sender
from backstay.core.errors import Conflict, Refusal
from backstay.core.feature import Feature
from backstay.core.idempotency import IdempotencyKey, Replayed
from backstay.core.messages import Command, FromPath, View
from backstay.core.permissions import SIGNED_IN
from backstay.core.principal import Principal
from backstay.db.activity import Activity
from backstay.db.idempotency import StoredAnswer
from backstay.db.session import Transaction
from backstay.features import STANDARD
from backstay.testing import settings_with
from backstay.testing.waiting import eventually
from tests.features.steps import execute
from tests.patient import PATIENT

pytestmark = pytest.mark.anyio

ANN = Principal(user_id=UUID(int=1), session_id=UUID(int=2))
KEY = IdempotencyKey("k", "POST /casts", b"\0" * 32)


class SlowCommand:
    """Events of the slow command: it has started, and it may continue."""

    entered: asyncio.Event
    leave: asyncio.Event


class Depth(View):
    fathoms: int


class Cast(Command[Depth]):
    """Cast the lead."""

    permission = SIGNED_IN

    how: FromPath[str] = "well"


@handles(Cast)
async def cast(command: Cast, session: Transaction, send: Sender) -> Depth | Refusal:
    await send(Log())
    if command.how == "slowly":
        SlowCommand.entered.set()
        await SlowCommand.leave.wait()
    if command.how == "in vain":
        raise Conflict
    return Refusal(Conflict()) if command.how == "too late" else Depth(fathoms=7)


class Log(Command[None]):
    permission = SIGNED_IN


@handles(Log)
async def log(command: Log, session: Transaction) -> None:
    pass


def ship_on(url: str, folder: Path) -> Backstay:
    module = ModuleType(__name__)
    vars(module).update({each.__name__: each for each in (Cast, cast, Log, log)})
    settings = settings_with(url, folder, **PATIENT)
    return compose(settings, [*STANDARD, Feature("ships", modules=(module,))])


@pytest.fixture
async def ship(seeded_url: str, tmp_path: Path) -> AsyncIterator[Backstay]:
    SlowCommand.entered, SlowCommand.leave = asyncio.Event(), asyncio.Event()
    backstay = ship_on(seeded_url, tmp_path)
    await execute(backstay, Activity.__table__.delete())  # type: ignore[attr-defined]
    yield backstay
    await backstay.close()


def send(ship: Backstay, message: Command[Any]) -> Any:
    return Sender(ship.bus.send, ANN, Origin(idempotency=KEY))(message)


async def stored(ship: Backstay) -> list[bytes | None]:
    return list((await execute(ship, select(StoredAnswer.body))).scalars())


async def told(ship: Backstay) -> list[tuple[str, str]]:
    rows = await execute(ship, select(Activity.message, Activity.outcome).order_by(Activity.id))
    return [(row.message, row.outcome) for row in rows]


async def test_a_nested_command_stores_no_answer_of_its_own(ship: Backstay) -> None:
    assert await send(ship, Cast()) == Depth(fathoms=7)
    assert await stored(ship) == [b'{"fathoms":7}']
    assert await send(ship, Cast()) == Replayed(b'{"fathoms":7}')
    assert await told(ship) == [("Cast", "ok")]


async def test_an_empty_answer_is_replayed(ship: Backstay) -> None:
    assert await send(ship, Log()) is None
    assert await send(ship, Log()) == Replayed(None)


@pytest.mark.parametrize("how", ["in vain", "too late"])
async def test_a_refusal_is_not_stored(ship: Backstay, how: str) -> None:
    for _ in range(2):
        with pytest.raises(Conflict):
            await send(ship, Cast(how=how))
    assert await stored(ship) == []
    assert await told(ship) == [("Cast", "refused")] * 2


async def test_a_duplicate_in_the_same_process_is_refused_at_once(ship: Backstay) -> None:
    first = asyncio.create_task(send(ship, Cast(how="slowly")))
    await SlowCommand.entered.wait()
    for _ in range(20):
        with pytest.raises(Conflict, match="not answered yet"):
            await send(ship, Cast(how="slowly"))
    SlowCommand.leave.set()
    assert await first == Depth(fathoms=7)
    assert await told(ship) == [("Cast", "ok")]


@pytest.mark.parametrize("database_kind", ["postgresql"])
async def test_a_duplicate_in_another_process_is_refused_at_once(
    ship: Backstay, seeded_url: str, tmp_path: Path
) -> None:
    other = ship_on(seeded_url, tmp_path)
    first = asyncio.create_task(send(ship, Cast(how="slowly")))
    await SlowCommand.entered.wait()
    with pytest.raises(Conflict, match="not answered yet"):
        await send(other, Cast())
    SlowCommand.leave.set()
    assert await first == Depth(fathoms=7)
    assert await send(other, Cast()) == Replayed(b'{"fathoms":7}')
    assert await told(ship) == [("Cast", "ok")]
    await other.close()


async def test_a_command_whose_client_left_is_executed_once(ship: Backstay) -> None:
    first = asyncio.create_task(send(ship, Cast(how="slowly")))
    await SlowCommand.entered.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    SlowCommand.leave.set()
    await eventually(lambda: stored(ship))
    again: Any = await send(ship, Cast(how="slowly"))
    assert isinstance(again, Replayed)
    assert Depth.model_validate_json(again.body or b"") == Depth(fathoms=7)
