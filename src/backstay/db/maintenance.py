"""Maintenance mode: a row that every process knows of, and the step that refuses commands by it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from math import ceil, inf

import structlog
from sqlalchemy import SmallInteger, String, case, delete, func, or_, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, mapped_column

from backstay.core.background import Flight, SingleFlight, in_background
from backstay.core.bus import Next
from backstay.core.caching import MAX_STALENESS
from backstay.core.context import Context
from backstay.core.maintenance import Maintenance, UnderMaintenance
from backstay.core.messages import Command, Message
from backstay.db.base import Base, SecondsFromNow
from backstay.db.database import Database
from backstay.db.listener import Listener
from backstay.db.session import Transaction

log = structlog.get_logger("backstay.maintenance")

CHANNEL = "backstay_maintenance"
RETRY_SECONDS = 30
"""The ``Retry-After`` of maintenance of which nobody said how long it takes."""
PATIENCE = 1.0
"""Seconds after which the last known state holds, because the database does not answer."""
ONLY = 1
"""The key of the row."""


class MaintenanceRow(Base):
    """The one row, there while maintenance is on; after ``ends_at`` it means nothing more.

    Both times come from the clock of the database, and are compared with it.
    """

    __tablename__ = "maintenance_mode"

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    reason: Mapped[str] = mapped_column(String(500))
    operator: Mapped[str] = mapped_column(String(200))
    began_at: Mapped[datetime]
    ends_at: Mapped[datetime | None]


NOW = SecondsFromNow()
IN_FORCE = or_(MaintenanceRow.ends_at.is_(None), MaintenanceRow.ends_at > NOW)
CURRENT = select(
    MaintenanceRow.reason,
    MaintenanceRow.operator,
    MaintenanceRow.began_at,
    MaintenanceRow.ends_at,
    NOW,
).where(IN_FORCE)
_NOTIFY = text("SELECT pg_notify(:channel, '')")


class MaintenanceMode:
    """What this process knows of the row: at most ``MAX_STALENESS`` old while the database answers.

    A notification makes it read the row again. While the listener proves that all notifications
    arrive, nothing else is read; otherwise, as behind PgBouncer, whoever asks reads the row again
    once it is too old. It is read on the connection of probes, so that it never waits for requests.
    When the database does not answer within ``PATIENCE``, the last known state holds.

    Where it ``refuses``, commands of requests are refused; commands of the command line are not.
    """

    def __init__(
        self,
        database: Database,
        listener: Listener,
        *,
        refuses: bool,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._listener = listener
        self._refuses = refuses
        self._monotonic = monotonic
        self._flights = SingleFlight[None, None, None]()
        self._refreshing: asyncio.Task[object] | None = None
        self._found: Maintenance | None = None
        self._ends = inf
        self._is_known = self._is_failing = self._is_logging = False
        self._read_at = self._complete_until = self._failed_at = -inf

    async def start(self) -> None:
        """Read the row, and listen to changes."""
        self._listener.subscribe(CHANNEL, self)
        await self.current()

    async def stop(self) -> None:
        """Wait for a read that is under way; the listener is shared, and its owner stops it."""
        if self._refreshing is not None:
            await asyncio.wait({self._refreshing}, timeout=PATIENCE)

    def start_logging(self) -> None:
        """Log what is on, and each change from now on, as processes do that live long."""
        self._is_logging = True
        if self._found is not None:
            self._log(self._found)

    async def current(self) -> Maintenance | None:
        """The maintenance that is on, or None."""
        if not self._is_fresh():
            await self._refresh()
        if self._found is not None and self._monotonic() >= self._ends:
            self._note(None)
        return self._found

    async def is_on(self) -> bool:
        """Whether maintenance is on."""
        return await self.current() is not None

    def retry_after(self) -> int:
        """Seconds until it ends by itself, at least 1; else ``RETRY_SECONDS``."""
        left = self._ends - self._monotonic()
        return RETRY_SECONDS if left == inf else max(1, ceil(left))

    def subscribed(self) -> None:
        """Read the row again, because a change may have been missed."""
        self.outdate()

    def notified(self, payload: str) -> None:
        """Read the row again, because another process has changed it, or may have."""
        self.outdate()

    def complete_until(self, moment: float) -> None:
        """What was read is still so, unless a notification said otherwise."""
        self._complete_until = max(self._complete_until, moment)

    def lost(self, error: Exception) -> None:
        """Nothing to do: what was read is soon too old."""

    def outdate(self) -> None:
        """Read the row again, and do not believe what was read before."""
        self._is_known, self._failed_at = False, -inf
        self._flights.outdate()
        self._refreshing = in_background(self.current())

    def _is_fresh(self) -> bool:
        known_at = max(self._read_at, self._complete_until)
        return self._is_known and self._monotonic() - known_at < MAX_STALENESS

    async def _refresh(self) -> None:
        now = self._monotonic()
        if now - self._failed_at < MAX_STALENESS:
            return
        began_after = now - MAX_STALENESS
        try:
            async with asyncio.timeout(PATIENCE):
                await self._flights.share(None, self._read, now=now, after=began_after)
                while not self._is_known:  # it was changed while it was read
                    await self._flights.share(None, self._read, now=self._monotonic())
        except Exception as error:
            self._failed_at = self._monotonic()
            if self._is_logging and not self._is_failing:
                log.warning("whether maintenance is on cannot be read", fault=error)
            self._is_failing = True
        else:
            self._is_failing = False

    async def _read(self, flight: Flight[None, None]) -> None:
        async with self._database.probing() as connection:
            row = (await connection.execute(CURRENT)).first()
        if not flight.holds or flight.since < self._read_at:
            return  # a later read has ended, or is under way
        self._is_known, self._read_at = True, flight.since
        if row is None:
            self._note(None)
            return
        reason, operator, began_at, ends_at, now = row
        left = inf if ends_at is None else (ends_at - now).total_seconds()
        found = Maintenance(reason, operator, began_at, ends_at)
        self._note(found, self._monotonic() + left)

    def _note(self, found: Maintenance | None, ends: float = inf) -> None:
        before, self._found, self._ends = self._found, found, ends
        if self._is_logging and found != before:
            self._log(found)

    def _log(self, found: Maintenance | None) -> None:
        if found is None:
            log.info("maintenance is off")
        else:
            ends_at = found.ends_at and found.ends_at.isoformat()
            why = {"reason": found.reason, "operator": found.operator, "ends_at": ends_at}
            log.warning("maintenance is on", **why)

    def refuse_writes(self, message: type[Message[object]], call_next: Next) -> Next:
        """The step that refuses commands of requests, unless they are ``allowed_in_maintenance``.

        It is called twice: early, to spare the work, and again in the transaction, because an
        upload or the wait for a connection may have taken long. The first time it lets a command
        with an ``Idempotency-Key`` pass: its answer may be stored.
        """
        if not (self._refuses and issubclass(message, Command)) or message.allowed_in_maintenance:
            return call_next
        takes_key = message.takes_key()

        async def ask(context: Context) -> object:
            origin = context.origin
            if not origin.is_request or _is_part_of_command(context):
                return await call_next(context)
            found = await self.current()
            may_replay = takes_key and origin.idempotency and context.unit_of_work is None
            if found is None or may_replay:
                return await call_next(context)
            headers = {"Retry-After": str(self.retry_after())}
            raise UnderMaintenance(found.reason, headers=headers)

        def run(context: Context) -> Awaitable[object]:
            is_off = self._found is None and self._is_fresh()
            return call_next(context) if is_off else ask(context)

        return run


class MaintenanceSwitch:
    """Switches maintenance on and off for all processes, in the transaction of a command."""

    __slots__ = ("_context", "_mode")

    def __init__(self, context: Context, mode: MaintenanceMode) -> None:
        self._context = context
        self._mode = mode

    async def on(self, reason: str = "", operator: str = "", seconds: float | None = None) -> None:
        """Switch it on, for so many seconds; if it is on already, only why and how long change."""
        transaction: Transaction = self._context.unit.transaction
        is_sqlite = transaction.get_bind().dialect.name == "sqlite"
        new = (sqlite.insert if is_sqlite else postgresql.insert)(MaintenanceRow).values(
            id=ONLY,
            reason=reason,
            operator=operator,
            began_at=NOW,
            ends_at=None if seconds is None else SecondsFromNow(float(seconds)),
        )
        began_at = case((IN_FORCE, MaintenanceRow.began_at), else_=NOW)
        changes = {name: new.excluded[name] for name in ("reason", "operator", "ends_at")}
        changed = new.on_conflict_do_update(
            index_elements=[MaintenanceRow.id], set_={**changes, "began_at": began_at}
        )
        await transaction.execute(changed)
        await self._tell(is_sqlite=is_sqlite)

    async def off(self) -> bool:
        """Switch it off; whether it was on."""
        transaction: Transaction = self._context.unit.transaction
        is_sqlite = transaction.get_bind().dialect.name == "sqlite"
        was_on = bool(await transaction.scalar(select(func.count()).where(IN_FORCE)))
        await transaction.execute(delete(MaintenanceRow))
        await self._tell(is_sqlite=is_sqlite)
        return was_on

    async def _tell(self, *, is_sqlite: bool) -> None:
        """Notify the other processes; SQLite's file shows them that something was written."""
        unit = self._context.unit
        if not is_sqlite:
            await unit.transaction.execute(_NOTIFY, {"channel": CHANNEL})

        async def outdate() -> None:
            self._mode.outdate()

        unit.after_commit.append(outdate)


def _is_part_of_command(context: Context) -> bool:
    """Whether the handler of a command has sent it; that command was let pass."""
    parent = context.sender.parent
    while parent is not None:
        if isinstance(parent.message, Command):
            return True
        parent = parent.sender.parent
    return False
