"""Shows when a command's audit row is written: with its changes or after its rollback, once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, insert, select

from backstay.application import create_app
from backstay.composition import Backstay, compose
from backstay.core.bus import Bus, handles
from backstay.core.clock import first_id_at, new_id, utc_now
from backstay.core.context import ActivityNote, PrincipalChanges, Sender
from backstay.core.errors import Conflict, Refusal
from backstay.core.feature import Feature
from backstay.core.messages import Command, FromPath
from backstay.core.permissions import PUBLIC, SIGNED_IN
from backstay.core.principal import STRANGER, Principal
from backstay.core.registry import Registry
from backstay.db.activity import Activity
from backstay.db.session import WRITING, Transaction
from backstay.db.transaction import Transactions
from backstay.features import STANDARD
from backstay.features.system.commands.purging import PurgeActivity
from backstay.jobs.purging import BATCH
from backstay.testing import settings_with
from backstay.testing.waiting import eventually
from tests.channels import SilentChannel
from tests.features.steps import execute
from tests.patient import PATIENT

pytestmark = pytest.mark.anyio

ANN = Principal(user_id=UUID(int=1), session_id=UUID(int=2))


class Sail(Command[Refusal | None]):
    permission = SIGNED_IN

    how: FromPath[str] = "well"
    reset_token: FromPath[str] = ""


@handles(Sail)
async def sail(command: Sail, session: Transaction, send: Sender) -> Refusal | None:
    await send(Reef())
    await send.as_system()(Reef())
    if command.how == "into the rocks":
        raise ZeroDivisionError
    if command.how == "out of turn":
        raise Conflict
    return Refusal(Conflict()) if command.how == "not at all" else None


class Reef(Command[None]):
    permission = PUBLIC


@handles(Reef)
async def reef(command: Reef, note: ActivityNote) -> None:
    note.skip()


class Drift(Command[None]):
    permission = SIGNED_IN


@handles(Drift)
async def drift(command: Drift, note: ActivityNote, send: Sender) -> None:
    note.skip()
    await send.as_system()(Sight())


class Sight(Command[None]):
    permission = PUBLIC


@handles(Sight)
async def sight(command: Sight) -> None:
    pass


class Board(Command[None]):
    permission = SIGNED_IN


@handles(Board)
async def board(command: Board, changes: PrincipalChanges) -> None:
    changes.touch(ANN.id)


class Hail(Command[None]):
    permission = PUBLIC

    known: FromPath[bool]


@handles(Hail)
async def hail(command: Hail, note: ActivityNote) -> None:
    if command.known:
        note.about(UUID(int=1))
    raise Conflict


@pytest.fixture
async def ship(seeded_url: str, tmp_path: Path) -> AsyncIterator[Backstay]:
    module = ModuleType(__name__)
    members = (Sail, sail, Reef, reef, Drift, drift, Sight, sight, Board, board, Hail, hail)
    vars(module).update({each.__name__: each for each in members})
    settings = settings_with(seeded_url, tmp_path, LOG_ACTIVITY_DAYS="30", **PATIENT)
    backstay = compose(settings, [*STANDARD, Feature("ships", modules=(module,))])
    await execute(backstay, Activity.__table__.delete())  # type: ignore[attr-defined]
    yield backstay
    await backstay.close()


async def rows(backstay: Backstay, *columns: Any) -> list[tuple[Any, ...]]:
    await backstay.trail.settle()
    found = await execute(backstay, select(*columns).order_by(Activity.id))
    return [tuple(row) for row in found]


@pytest.mark.parametrize(
    ("how", "error", "outcome", "code", "status"),
    [
        ("well", None, "ok", None, None),
        ("not at all", Conflict, "refused", "conflict", 409),
        ("out of turn", Conflict, "refused", "conflict", 409),
        ("into the rocks", ZeroDivisionError, "failed", "internal_error", 500),
    ],
)
async def test_every_command_has_one_row_whatever_its_outcome(
    ship: Backstay,
    how: str,
    error: type[Exception] | None,
    outcome: str,
    code: str | None,
    status: int | None,
) -> None:
    sending = Sender(ship.bus.send, ANN)(Sail(how=how, reset_token="hush"))
    if error is None:
        await sending
    else:
        with pytest.raises(error):
            await sending
    columns = (Activity.message, Activity.outcome, Activity.code, Activity.status, Activity.targets)
    assert await rows(ship, *columns) == [("Sail", outcome, code, status, {"how": how})]
    assert await rows(ship, Activity.user_id, Activity.session_id) == [
        (ANN.user_id, ANN.session_id)
    ]


async def test_a_row_costs_one_statement(ship: Backstay) -> None:
    ran: list[str] = []
    engine = ship.database.writer.sync_engine

    @event.listens_for(engine, "before_cursor_execute")
    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        ran.append(statement)

    await Sender(ship.bus.send, ANN)(Sail())
    assert len([each for each in ran if "activity" in each]) == 1
    assert not any("RETURNING" in each for each in ran)


@pytest.mark.parametrize("known", [True, False])
async def test_a_stranger_is_recorded_only_when_an_account_is_concerned(
    ship: Backstay, known: bool
) -> None:
    with pytest.raises(Conflict):
        await Sender(ship.bus.send, STRANGER)(Hail(known=known))
    found = await rows(ship, Activity.user_id, Activity.actor, Activity.outcome)
    assert found == ([(UUID(int=1), "anonymous", "refused")] if known else [])


async def test_a_command_that_reports_no_change_has_no_row(ship: Backstay) -> None:
    await Sender(ship.bus.send, ANN)(Reef())
    assert await rows(ship, Activity.id) == []


async def test_a_nested_command_causes_no_row_when_nothing_happened(
    ship: Backstay,
) -> None:
    await Sender(ship.bus.send, ANN)(Drift())
    assert await rows(ship, Activity.id) == []


class FailingChannel(SilentChannel):
    """A channel that fails to announce what was committed."""

    async def publish(self, changes: PrincipalChanges) -> None:
        raise ConnectionError


async def test_a_failed_announcement_still_records_one_successful_row(
    ship: Backstay,
) -> None:
    step = Transactions(ship.database, FailingChannel(), utc_now).transaction
    pipeline = (ship.trail.note_refusal, step, ship.trail.record)
    registry = Registry([board])
    bus = Bus(registry)
    bus.route(Command, pipeline, WRITING)
    assert registry.faults == []
    await Sender(bus.send, ANN)(Board())
    assert await rows(ship, Activity.message, Activity.outcome) == [("Board", "ok")]


async def fill(backstay: Backstay, count: int, days: int) -> None:
    moment = utc_now() - timedelta(days=days)
    start = first_id_at(moment).int
    values = {
        "created_at": moment,
        "actor": "system",
        "address": "",
        "request_id": "",
        "message": "Old",
        "targets": {},
        "fields": [],
        "outcome": "ok",
    }
    many = [{"id": UUID(int=start + number), **values} for number in range(count)]
    async with backstay.database.writer.begin() as connection:
        await connection.execute(insert(Activity.__table__), many)  # type: ignore[arg-type]


async def test_old_rows_are_removed_in_batches(ship: Backstay) -> None:
    await fill(ship, BATCH + 5, days=31)
    await fill(ship, 3, days=29)
    assert [await ship.system(PurgeActivity()) for _ in range(3)] == [True, False, False]
    left = [message for (message,) in await rows(ship, Activity.message)]
    assert left == ["Old"] * 3 + ["PurgeActivity"] * 2


async def test_two_servers_can_purge_at_the_same_time(ship: Backstay) -> None:
    await fill(ship, 2 * BATCH + 5, days=31)
    other = compose(ship.settings)

    async def purge(backstay: Backstay) -> None:
        while await backstay.system(PurgeActivity()):
            pass

    await asyncio.gather(purge(ship), purge(other))
    await other.close()
    assert {message for (message,) in await rows(ship, Activity.message)} == {"PurgeActivity"}
    assert {outcome for (outcome,) in await rows(ship, Activity.outcome)} == {"ok"}


async def test_a_server_removes_old_rows_when_it_starts(ship: Backstay) -> None:
    await fill(ship, BATCH + 5, days=31)
    app = create_app(ship.settings)
    async with app.router.lifespan_context(app):

        async def are_gone() -> bool:
            return len(await rows(ship, Activity.id)) == 2

        await eventually(are_gone)
    assert await rows(ship, Activity.message) == [("PurgeActivity",)] * 2


def test_the_first_id_of_a_moment_sorts_before_later_ids() -> None:
    before = first_id_at(utc_now())
    assert before <= new_id() < first_id_at(utc_now() + timedelta(seconds=1))
