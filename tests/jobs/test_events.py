"""Shows that every subscriber gets every event, in order, whatever other subscribers do."""

import asyncio
from dataclasses import replace
from operator import attrgetter
from typing import ClassVar

import pytest
from sqlalchemy import select, text

from backstay.composition import Backstay
from backstay.core.events import Event
from backstay.core.jobs import MAX_ATTEMPTS
from backstay.core.messages import Message
from backstay.core.principal import SYSTEM
from backstay.jobs.tables import Job
from backstay.testing.waiting import eventually
from tests.features.steps import execute
from tests.jobs import sample_jobs
from tests.jobs.sample_jobs import Log, Mistake, Sighted, Watch
from tests.jobs.steps import UserSender, drain, drain_again, jobs, words

pytestmark = pytest.mark.anyio
position = attrgetter("position")


async def test_every_subscriber_gets_an_event(ships: Backstay, captain: UserSender) -> None:
    await captain(Watch(ships=("sloop",)))
    assert await words(ships) == []
    await drain(ships)
    assert await words(ships) == ["alarm sloop0", "sloop0"]
    assert {row.actor for row in await jobs(ships)} == {"system"}


async def test_events_about_the_same_thing_keep_their_order(
    ships: Backstay, captain: UserSender
) -> None:
    await captain(Watch(ships=("brig",) * 6))
    await drain(ships)
    order = select(Job.position).where(Job.name == "Log").order_by(Job.finished_at)
    positions = list((await execute(ships, order)).scalars())
    assert len(positions) == 6
    assert positions == sorted(positions)


async def test_a_failing_subscriber_blocks_no_other_subscriber_or_aggregate(
    ships: Backstay, captain: UserSender
) -> None:
    await captain(Watch(ships=("pirate", "sloop", "pirate")))
    await drain(ships)
    assert await words(ships) == ["alarm sloop1", "pirate0", "pirate2", "sloop1"]
    waiting = [row for row in await jobs(ships) if row.finished_at is None]
    assert [(row.attempts, row.state) for row in waiting] == [(1, "queued"), (0, "queued")]


async def test_a_given_up_event_lets_the_next_one_run(ships: Backstay, captain: UserSender) -> None:
    await captain(Watch(ships=("pirate", "pirate")))
    for _ in range(MAX_ATTEMPTS):
        await drain_again(ships)
    alarms = [row for row in await jobs(ships) if row.name == "Sail"]
    assert (alarms[0].state, alarms[0].attempts) == ("failed", MAX_ATTEMPTS)
    assert alarms[1].attempts >= 1


async def test_an_event_published_twice_is_delivered_once(
    ships: Backstay, captain: UserSender
) -> None:
    await captain(Watch(ships=("sloop",), times=3))
    await drain(ships)
    assert await words(ships) == ["alarm sloop0", "sloop0"]


async def test_a_failing_subscriber_is_retried(
    ships: Backstay, captain: UserSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    await captain(Watch(ships=("dutchman", "dutchman")))
    await drain(ships)
    assert await words(ships) == ["dutchman0", "dutchman1"]
    waiting = [row for row in await jobs(ships) if row.finished_at is None]
    assert [(row.name, row.attempts) for row in waiting] == [("AnswerEvent", 1), ("AnswerEvent", 0)]
    assert "KeyError" in waiting[0].error
    monkeypatch.setattr(sample_jobs, "GHOSTS", set())
    await drain_again(ships)
    assert await words(ships) == [f"{what}dutchman{n}" for what in ("alarm ", "") for n in (0, 1)]


@pytest.mark.parametrize("database_kind", ["postgresql"])
async def test_transactions_that_publish_crosswise_do_not_wait_for_one_another(
    ships: Backstay, captain: UserSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = asyncio.Barrier(2)
    monkeypatch.setattr(sample_jobs, "look_round", both.wait)
    there, back = Watch(ships=("sloop", "brig", "sloop")), Watch(ships=("brig", "sloop", "brig"))
    await asyncio.gather(captain(there), captain(back))
    monkeypatch.undo()
    await drain(ships)
    logs = [row for row in sorted(await jobs(ships), key=position) if row.name == "Log"]
    for ship in ("brig", "sloop"):  # each is in order; what is told of the other may overtake it
        told = [row for row in logs if f'"{ship}' in row.payload]
        assert sorted(row.finished_at for row in told) == [row.finished_at for row in told]
        assert "".join(row.payload[-3] for row in told) in {"021", "102"}


async def test_events_of_a_rolled_back_savepoint_are_not_delivered(
    ships: Backstay, captain: UserSender
) -> None:
    watches = Watch(ships=("sloop", "brig")), Watch(ships=("galley", "brig"))
    await captain(Mistake(seen=watches[0], imagined=watches[1]))
    await drain(ships)
    assert await words(ships) == ["alarm brig1", "alarm sloop0", "brig1", "sloop0"]


@pytest.mark.parametrize("database_kind", ["postgresql"])
async def test_events_are_delivered_in_the_order_of_publication(ships: Backstay) -> None:
    outbox = ships.worker_context.outbox
    first, second = (
        replace(outbox.new(Log(word=word), SYSTEM), sequence="brig") for word in ("1", "2")
    )
    async with ships.database.writer.connect() as one, ships.database.writer.connect() as two:

        async def publish() -> None:
            await outbox.store.insert(two, second)
            await outbox.store.line_up(two, [second.id])
            await two.commit()

        async def is_stored_or_waits() -> bool:
            waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
            return later.done() or bool((await execute(ships, text(waiting))).all())

        await outbox.store.insert(one, first)
        await outbox.store.line_up(one, [first.id])
        later = asyncio.create_task(publish())
        await eventually(is_stored_or_waits)
        assert await drain(ships) == 0
        await one.commit()
        await later
    assert await drain(ships) == 2
    order = select(Job.id).order_by(Job.finished_at)
    assert list((await execute(ships, order)).scalars()) == [first.id, second.id]


def test_an_event_holds_no_secret() -> None:
    with pytest.raises(TypeError, match="`api_token` is a secret, events may be stored"):

        class Leaked(Event):
            aggregate: ClassVar[str] = "api_token"

            api_token: str


def test_an_event_names_what_it_is_about() -> None:
    with pytest.raises(TypeError, match="`aggregate` must name one of its fields"):

        class Vague(Event):
            ship: str

    assert not issubclass(Sighted, Message)
