"""Jobs, events and mails of an application under test: nothing runs until a test says so."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import insert, select, update

from backstay.composition import Backstay
from backstay.core.events import Event
from backstay.core.mail import KeptMail, Mail
from backstay.core.messages import Command
from backstay.db.base import Base, Entity
from backstay.jobs.store import NOW
from backstay.jobs.tables import Job
from backstay.jobs.worker import Worker
from backstay.mailing.local import FileMailer
from backstay.testing.waiting import LIMIT

C = TypeVar("C", bound=Command[Any])
E = TypeVar("E", bound=Event)
B = TypeVar("B", bound=Base)
_TOKEN = re.compile(r"\?token=([\w-]+)")


class Work:
    """The jobs and events of an application.

    Events are noted when they are published, also in a transaction that is rolled back later.
    """

    def __init__(self, backstay: Backstay) -> None:
        self._backstay = backstay
        self._published: list[Event] = []
        subscriptions = backstay.worker_context.outbox.subscriptions
        find = subscriptions.of

        def note(event: Event) -> Any:
            self._published.append(event)
            return find(event)

        vars(subscriptions)["of"] = note

    def published(self, kind: type[E]) -> list[E]:
        """The events of a class that were published since this was made, the first one first."""
        return [event for event in self._published if isinstance(event, kind)]

    async def waiting(self, kind: type[C]) -> list[C]:
        """The commands of a class that wait as jobs, the first one first."""
        name, outbox = kind.__name__, self._backstay.worker_context.outbox
        statement = select(Job.payload).where(Job.name == name, Job.finished_at.is_(None))
        rows = await self._backstay.database.write(statement.order_by(Job.position))
        command: Any = outbox.commands[name]
        return [command.model_validate_json(row.payload) for row in rows]

    async def run(self) -> int:
        """Run all new jobs, whatever their delay, and those that they enqueue; how many ran.

        A job that fails is left to its next attempt.
        """
        return await settle(self._backstay)


class Mails:
    """The mails of an application; nothing is sent until `deliver` is called."""

    def __init__(self, backstay: Backstay) -> None:
        self.backstay = backstay
        self._box = FileMailer(Path(backstay.settings.mail.dir), "", backstay.clock)
        self._seen: set[UUID] = set()

    async def deliver(self) -> list[Mail]:
        """Run the waiting jobs; the mails that are new since the last call, oldest first."""
        await settle(self.backstay)
        kept: list[KeptMail] = [m for m in await self._box.mails() if m.id not in self._seen]
        self._seen.update(each.id for each in kept)
        return [each.mail for each in sorted(kept, key=lambda each: each.id)]

    async def token(self, recipient: str) -> str:
        """The token in the link of the latest new mail to a recipient."""
        return token_in([m for m in await self.deliver() if m.recipient == recipient][-1])


async def settle(backstay: Backstay) -> int:
    """Run all new jobs, whatever their delay, and those that they enqueue; how many ran."""
    context = replace(backstay.worker_context, lease=10 * LIMIT, beat=0.1, poll=0.05, rest=0.1)
    new = update(Job).where(Job.attempts == 0, Job.finished_at.is_(None)).values(due_at=NOW)
    await backstay.database.write(new)
    count = 0
    while ran := await Worker(context).drain():
        count += ran
        await backstay.database.write(new)
    return count


def token_in(mail: Mail) -> str:
    """The token of the one link that is in both forms of a mail."""
    (token,) = set(_TOKEN.findall(mail.text)) | set(_TOKEN.findall(mail.html))
    return str(token)


async def store(backstay: Backstay, row: B) -> B:
    """Store a row directly, without the application's steps, and return it with its defaults."""
    if isinstance(row, Entity):
        row.stamp(backstay.clock(), None)
        row.version = row.version or 1
    columns = type(row).__table__.columns
    given = {name: value for name, value in vars(row).items() if name in columns}
    (stored,) = await backstay.database.write(insert(type(row)).values(given).returning(*columns))
    for name, value in stored._mapping.items():
        setattr(row, name, value)
    return row
