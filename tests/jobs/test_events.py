"""Shows that what has happened is told to everybody, in order, whatever becomes of others."""

import pytest
from sqlalchemy import select

from backstay.composition import Backstay
from backstay.core.events import Event
from backstay.core.messages import Message
from backstay.db.jobs import Job
from tests.features.steps import execute
from tests.jobs.fleet import Sighted, Watch
from tests.jobs.steps import Captain, drain, drain_again, jobs, words

pytestmark = pytest.mark.anyio


async def test_every_subscriber_gets_an_event(ships: Backstay, captain: Captain) -> None:
    await captain(Watch(ships=("sloop",)))
    assert await words(ships) == []
    await drain(ships)
    assert await words(ships) == ["alarm sloop0", "sloop0"]
    assert {row.actor for row in await jobs(ships)} == {"system"}


async def test_events_about_the_same_thing_keep_their_order(
    ships: Backstay, captain: Captain
) -> None:
    await captain(Watch(ships=("brig",) * 6))
    await drain(ships)
    order = select(Job.position).where(Job.name == "Log").order_by(Job.finished_at)
    positions = list((await execute(ships, order)).scalars())
    assert len(positions) == 6
    assert positions == sorted(positions)


async def test_what_fails_blocks_neither_others_nor_other_things(
    ships: Backstay, captain: Captain
) -> None:
    await captain(Watch(ships=("pirate", "sloop", "pirate")))
    await drain(ships)
    assert await words(ships) == ["alarm sloop1", "pirate0", "pirate2", "sloop1"]
    waiting = [row for row in await jobs(ships) if row.finished_at is None]
    assert [(row.attempts, row.state) for row in waiting] == [(1, "queued"), (0, "queued")]


async def test_what_is_given_up_lets_the_next_go(ships: Backstay, captain: Captain) -> None:
    await captain(Watch(ships=("pirate", "pirate")))
    for _ in range(10):
        await drain_again(ships)
    alarms = [row for row in await jobs(ships) if row.name == "Sail"]
    assert (alarms[0].state, alarms[0].attempts) == ("failed", 10)
    assert alarms[1].attempts >= 1


async def test_an_event_that_is_published_again_is_told_once(
    ships: Backstay, captain: Captain
) -> None:
    await captain(Watch(ships=("sloop",), times=3))
    await drain(ships)
    assert await words(ships) == ["alarm sloop0", "sloop0"]


def test_an_event_names_what_it_is_about() -> None:
    with pytest.raises(TypeError, match="`aggregate` must name one of its fields"):

        class Vague(Event):
            ship: str

    assert not issubclass(Sighted, Message)
