"""Jobs, events and mails of an application under test: nothing runs until a test says so."""

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol, TypeVar
from uuid import UUID

import pytest
from sqlalchemy import insert, select, update

from backstay.composition import Backstay
from backstay.core.events import Event
from backstay.core.jobs import JobState
from backstay.core.mail import KeptMail, Mail
from backstay.core.messages import Command
from backstay.db.base import Base, Entity
from backstay.jobs.scheduler import Scheduler
from backstay.jobs.statements import NOW
from backstay.jobs.tables import Job
from backstay.jobs.worker import Worker
from backstay.mailing.local import FileMailer
from backstay.testing.waiting import LIMIT

C = TypeVar("C", bound=Command[Any])
E = TypeVar("E", bound=Event)
B = TypeVar("B", bound=Base)


class Add(Protocol):
    """What the fixture ``add`` gives."""

    async def __call__(self, row: B, /) -> B:
        """Store a row directly, and return it with its defaults."""
        ...


_TOKEN = re.compile(r"\?token=([\w-]+)")


class Work:
    """The jobs and events of an application.

    Events are noted after the commit of the transaction that published them.
    """

    def __init__(self, backstay: Backstay) -> None:
        self._backstay = backstay
        self._published: list[Event] = []
        subscriptions = backstay.worker_context.outbox.subscriptions

        async def note(event: Event) -> None:
            self._published.append(event)

        vars(subscriptions)["committed"] = note

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

        A job that fails is left to its next attempt: see `errors` and `retry`.
        """
        return await settle(self._backstay)

    async def retry(self) -> int:
        """Run the jobs that failed and have attempts left, and what they enqueue; how many ran."""
        failed = Job.attempts > 0, Job.finished_at.is_(None)
        await self._backstay.database.write(update(Job).where(*failed).values(due_at=NOW))
        return await settle(self._backstay)

    async def errors(self, kind: type[Command[Any]]) -> list[str]:
        """The code of the latest error of each job of a class that has not succeeded."""
        failed = Job.name == kind.__name__, Job.error_code.is_not(None)
        is_open = Job.state != JobState.SUCCEEDED.value
        statement = select(Job.error_code).where(*failed, is_open).order_by(Job.position)
        return [row.error_code for row in await self._backstay.database.write(statement)]

    async def fire(self, name: str) -> bool:
        """Let the next slot of a schedule begin, so that `run` runs its command.

        It tells whether there is a new job: a slot is skipped while the job of the slot before is
        unfinished.
        """
        context = self._backstay.worker_context
        scheduled = {each.name: each for each in context.schedule}
        if name not in scheduled:
            known = ", ".join(sorted(scheduled))
            pytest.fail(f"There is no schedule {name!r}; there are: {known}.", pytrace=False)
        now, last = await context.outbox.store.slots()
        slot = max(now, last.get(name, now) + timedelta(seconds=1))
        return await Scheduler(context.schedule, context.outbox).fire(scheduled[name], slot)


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
