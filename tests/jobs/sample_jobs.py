"""Sample feature for tests of jobs: its commands succeed, fail, wait or never end, as told."""

import asyncio
import math
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import text

from backstay.core.bus import handles, prepares
from backstay.core.context import Sender
from backstay.core.errors import Conflict, Forbidden, NotFound
from backstay.core.events import Event, subscribes
from backstay.core.feature import Feature
from backstay.core.jobs import Progress
from backstay.core.messages import Command, FromPath
from backstay.core.permissions import SIGNED_IN, SYSTEM_ONLY, PermissionSpec, Scope
from backstay.core.principal import Principal
from backstay.db.session import Transaction
from backstay.jobs.outbox import Events, Jobs
from backstay.testing.waiting import eventually
from backstay.web.routes import Routes

VOYAGES = "CREATE TABLE voyages (word VARCHAR(100), sailor VARCHAR(40))"
SLOW = {
    "postgresql": "SELECT pg_sleep(1000)",
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100000000000) "
    "SELECT max(i) FROM n",
}
"""Statements that take many minutes, by dialect."""
_INSERT = text("INSERT INTO voyages VALUES (:word, :sailor)")


class Sail(Command[str]):
    """Inserts its word into the table `voyages`; ``how`` says how it ends."""

    permission = PermissionSpec("ships", "sail", default_scope=Scope.OWN)

    word: str
    how: str = "well"


@handles(Sail)
async def sail(
    command: Sail, session: Transaction, principal: Principal, progress: Progress
) -> Any:
    sailor = "system" if principal.is_system else str(principal.user_id)
    await session.execute(_INSERT, {"word": command.word, "sailor": sailor})
    match command.how:
        case "forbidden":
            raise Forbidden("The harbour is closed.")
        case "conflict":
            raise Conflict
        case "wrecked":
            raise ZeroDivisionError("a secret of the captain")
        case "sleeps":
            await asyncio.Event().wait()
        case "slow":
            await session.execute(text(SLOW[session.get_bind().dialect.name]))
        case "garbled":
            await progress(100 / 3, "sm\0oke \ud800" + "." * 300)
            return {"depths": [math.nan, math.inf, 1.5], "flag": "a\0b"}
        case "unspeakable":
            return "\ud800"
        case "cursed":
            raise Conflict("Down with \0 and \ud800")
    return command.word


class Scrub(Command[None]):
    """A command that only the system may send."""

    permission = SYSTEM_ONLY

    word: str


@handles(Scrub)
async def scrub(command: Scrub, send: Sender) -> None:
    await send(Sail(word=command.word))


class Drift(Command[int]):
    """Waits, before its transaction, until the file `until` exists; without a name for ever."""

    permission = SIGNED_IN

    until: str | None = None
    word: str = "drift"


class Drifted:
    pass


@prepares(Drift)
async def prepare_drift(command: Drift, progress: Progress) -> Drifted:
    await progress(40, "half seas over")
    if command.until is None:
        await asyncio.Event().wait()
    else:
        await eventually(Path(command.until).exists)
    return Drifted()


@handles(Drift)
async def drift(command: Drift, drifted: Drifted, session: Transaction) -> int:
    await session.execute(_INSERT, {"word": command.word, "sailor": "drifter"})
    return 7


class Order(Command[tuple[UUID, ...]]):
    """Enqueues one `Sail` (or `Scrub`) per word, and may fail afterwards."""

    permission = SIGNED_IN

    words: tuple[str, ...]
    how: str = "well"
    fails: bool = False
    as_system: bool = False
    scrubs: bool = False
    delay: float = 0.0
    unique: str | None = None
    queue: str = "default"
    attempts: int = 10


@handles(Order)
async def order(command: Order, jobs: Jobs) -> tuple[UUID, ...]:
    found = []
    for word in command.words:
        who = jobs.as_system() if command.as_system else jobs
        what: Command[Any] = (
            Scrub(word=word) if command.scrubs else Sail(word=word, how=command.how)
        )
        found.append(
            await who.enqueue(
                what,
                delay=command.delay,
                unique=command.unique,
                queue=command.queue,
                attempts=command.attempts,
            )
        )
    if command.fails:
        raise NotFound
    return tuple(found)


class Relay(Command[None]):
    """Enqueues itself until nothing is left."""

    permission = SIGNED_IN

    left: int


@handles(Relay)
async def relay(command: Relay, jobs: Jobs) -> None:
    if command.left:
        await jobs.enqueue(Relay(left=command.left - 1))


class Enlist(Command[UUID]):
    """Enqueues a `Drift`."""

    permission = SIGNED_IN

    until: str | None = None
    word: str = "drift"


@handles(Enlist)
async def enlist(command: Enlist, jobs: Jobs) -> UUID:
    return await jobs.enqueue(Drift(until=command.until, word=command.word))


class Hoist(Command[None]):
    """Inserts its word, makes a file `begun` and waits for another one before it ends."""

    permission = SIGNED_IN

    word: FromPath[str]
    until: str


@handles(Hoist)
async def hoist(command: Hoist, session: Transaction) -> None:
    await session.execute(_INSERT, {"word": command.word, "sailor": ""})
    Path(command.until).with_name("begun").touch()
    await eventually(Path(command.until).exists)


routes = Routes("/ships", tag="fleet")
routes.post("/{word}/hoist", Hoist)


class Sighted(Event):
    aggregate: ClassVar[str] = "ship"

    ship: str
    number: int


class Watch(Command[None]):
    """Publishes one `Sighted` per ship, in order."""

    permission = SIGNED_IN

    ships: tuple[str, ...]
    times: int = 1


async def look_round() -> None:
    """Called by `watch` after its first event; a test may replace it to wait for something."""


@handles(Watch)
async def watch(command: Watch, events: Events) -> None:
    for number, ship in enumerate(command.ships):
        event = Sighted(ship=ship, number=number)
        for _ in range(command.times):
            await events.publish(event)
        if number == 0:
            await look_round()


class Mistake(Command[None]):
    """Sends two `Watch`es; the second one in a savepoint that is rolled back."""

    permission = SIGNED_IN

    seen: Watch
    imagined: Watch


@handles(Mistake)
async def mistake(command: Mistake, send: Sender, session: Transaction) -> None:
    await send(command.seen)
    async with session.begin_nested() as savepoint:
        await send(command.imagined)
        await savepoint.rollback()


class Log(Command[None]):
    permission = SYSTEM_ONLY

    word: str


@handles(Log)
async def log(command: Log, session: Transaction) -> None:
    await session.execute(_INSERT, {"word": command.word, "sailor": "log"})


@subscribes(Sighted)
def enter_in_log(event: Sighted) -> Command[Any]:
    return Log(word=f"{event.ship}{event.number}")


GHOSTS = {"dutchman"}
"""Ships whose events make a subscriber fail."""


@subscribes(Sighted)
def sound_the_alarm(event: Sighted) -> Command[Any] | None:
    if event.ship in GHOSTS:
        raise KeyError(event.ship)
    how = "conflict" if event.ship == "pirate" else "well"
    return Sail(word=f"alarm {event.ship}{event.number}", how=how)


class Stow(Command[None]):
    permission = SYSTEM_ONLY

    api_token: str


@handles(Stow)
async def stow(command: Stow) -> None: ...


class Smuggle(Command[None]):
    """Tries to enqueue a command with a secret."""

    permission = SIGNED_IN


@handles(Smuggle)
async def smuggle(command: Smuggle, jobs: Jobs) -> None:
    await jobs.as_system().enqueue(Stow(api_token="hush"))


def sample_feature() -> Feature:
    """The feature with everything above."""
    module, own = ModuleType(__name__), globals().items()
    vars(module).update({k: v for k, v in own if getattr(v, "__module__", "") == __name__})
    return Feature("fleet", modules=(module,), routes=(routes,))
