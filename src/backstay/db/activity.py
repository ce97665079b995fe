"""The audit trail: one row for every command that was sent, in the transaction of the command."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, cast
from uuid import UUID

import structlog
from pydantic_core import to_json
from sqlalchemy import (
    JSON,
    Dialect,
    Index,
    SmallInteger,
    String,
    Table,
    TypeDecorator,
    insert,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from backstay.core.bus import Next
from backstay.core.clock import new_id
from backstay.core.context import Context
from backstay.core.errors import AppError, DatabaseUnavailable, Forbidden, Refusal
from backstay.core.maintenance import UnderMaintenance
from backstay.core.masking import tells_secret
from backstay.core.messages import Command, Message
from backstay.core.permissions import PUBLIC, PermissionSpec, Source
from backstay.core.ports import Clock
from backstay.db.base import Base
from backstay.db.database import Database
from backstay.db.group_commit import never_waits

log = structlog.get_logger("backstay.activity")

Row = dict[str, Any]


class _Told(TypeDecorator[Any]):
    """JSON that is written as views are."""

    impl = JSON
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Any:
        return lambda value: to_json(value).decode()


class _Target(FunctionElement[str]):
    """The id of the object that a row is about."""

    inherit_cache = True
    type = String()


@compiles(_Target)
def _by_operator(element: _Target, compiler: SQLCompiler, **options: Any) -> str:
    return f"({compiler.process(element.clauses, **options)} ->> 'id')"


@compiles(_Target, "sqlite")
def _by_function(element: _Target, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_extract({compiler.process(element.clauses, **options)}, '$.id')"


class Activity(Base):
    """A message that was sent and its outcome; of submitted values it holds only ids and flags.

    There is no foreign key, because rows outlive the users that they are about. ``actor`` says who
    sent the message, ``user_id`` whom it is about: an anonymous client that signs in names an
    account. ``operator`` is the person at a command line who sent it as that user or as the
    application. ``impersonator_id`` is the administrator who acted as that user.
    """

    __tablename__ = "activity"
    __owner__ = "user_id"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    created_at: Mapped[datetime]
    user_id: Mapped[UUID | None]
    actor: Mapped[str] = mapped_column(String(16))
    session_id: Mapped[UUID | None]
    address: Mapped[str] = mapped_column(String(64))
    request_id: Mapped[str] = mapped_column(String(128))
    message: Mapped[str] = mapped_column(String(200))
    permission: Mapped[str | None] = mapped_column(String(200))
    targets: Mapped[dict[str, str]] = mapped_column(_Told)
    fields: Mapped[list[str]] = mapped_column(_Told)
    outcome: Mapped[str] = mapped_column(String(16))
    code: Mapped[str | None] = mapped_column(String(100))
    status: Mapped[int | None] = mapped_column(SmallInteger)
    operator: Mapped[str | None] = mapped_column(String(200))
    impersonator_id: Mapped[UUID | None]


activity_user = Index("ix_activity_user_id_id", Activity.user_id, Activity.id)
activity_created_at = Index("ix_activity_created_at", Activity.created_at)
TARGET = _Target(Activity.targets)
activity_target = Index("ix_activity_target_id", TARGET, Activity.id)

_INSERT = never_waits(insert(cast(Table, Activity.__table__)).inline())


class AuditTrail:
    """The two pipeline steps that write the audit trail; ``written`` gets each committed row.

    ``ended`` gets the name, the outcome and the code of every command that was sent, and ``lost``
    is called for each row that could not be written.

    The refusal of a signed-in user is written after the rollback, in a transaction of its own. For
    an anonymous client it is written in the background, while the answer is sent: otherwise the
    response time would show whether the named account exists.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        written: Callable[[Mapping[str, Any]], None],
        ended: Callable[[str, str, str], None],
        lost: Callable[[], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._written = written
        self._ended = ended
        self._lost = lost
        self._under_way: set[asyncio.Task[None]] = set()

    def record(self, message: type[Message[Any]], call_next: Next) -> Next:
        """The step inside the transaction: it adds the row of a command that is committed.

        A command that returns ``Refusal`` is committed, too.
        """

        async def run(context: Context) -> Any:
            result = await call_next(context)
            if context.is_nested or context.note.skipped:
                return result
            refusal = result.error if isinstance(result, Refusal) else None
            context.activity = self._row(context, refusal, result)
            context.unit.writes.append((_INSERT, context.activity))
            return result

        return run

    def note_refusal(self, message: type[Message[Any]], call_next: Next) -> Next:
        """The outer step: it writes the row of a command that failed, or of a forbidden query.

        Of an operator it writes every query, before its result is returned.
        """
        is_command = issubclass(message, Command)
        recorded = _recorded(message)

        async def run(context: Context) -> Any:
            if context.is_nested:
                return await call_next(context)
            try:
                result = await call_next(context)
            except Exception as error:
                if is_command:
                    self._count(message, _public(error))
                if isinstance(error, recorded) or context.origin.operator:
                    await self._refused(context, error)
                raise
            if is_command:
                self._count(message, result.error if isinstance(result, Refusal) else None)
            elif context.origin.operator:
                await self._write(self._row(context, None, result))
            if context.activity is not None:
                self._written(context.activity)
            return result

        return run

    def _count(self, message: type[Message[Any]], error: AppError | None) -> None:
        self._ended(message.__name__, _outcome(error), error.code if error else "")

    async def settle(self) -> None:
        """Wait until the rows that are being written in the background are written."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def _refused(self, context: Context, error: Exception) -> None:
        row = self._row(context, error)
        if row["user_id"] is None and row["operator"] is None:
            return
        if isinstance(error, DatabaseUnavailable):
            if row["operator"] is None:  # an operator sees the error, and nothing was done
                self._lose(row, error)
        elif context.principal.kind != "anonymous":
            await self._write(row)
        else:
            task = asyncio.create_task(self._write(row))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _write(self, row: Row) -> None:
        try:
            await self._database.write(_INSERT, row)
        except Exception as error:
            self._lose(row, error)
        else:
            self._written(row)

    def _lose(self, row: Row, error: Exception) -> None:
        log.error("activity not written", fault=error, **_shown(row))
        self._lost()

    def _row(self, context: Context, error: Exception | None, result: Any = None) -> Row:
        message, principal, note = context.message, context.principal, context.note
        policy = message.permission
        public = None if error is None else _public(error)
        return {
            "id": new_id(),
            "created_at": self._clock(),
            "user_id": principal.user_id or note.user_id,
            "actor": principal.kind,
            "session_id": principal.session_id or note.session_id,
            "address": context.origin.address,
            "request_id": context.origin.request_id,
            "message": type(message).__name__,
            "permission": policy.key if isinstance(policy, PermissionSpec) else None,
            "targets": _targets(message, result),
            "fields": sorted({path for _, path in message.named_fields()}),
            "outcome": _outcome(public),
            "code": public and public.code,
            "status": public and public.status,
            "operator": context.origin.operator or None,
            "impersonator_id": principal.actor_id,
        }


def _recorded(message: type[Message[Any]]) -> tuple[type[Exception], ...]:
    """Which errors of a message are written to the trail."""
    if issubclass(message, Command):
        return (Exception,)
    return () if message.permission is PUBLIC else (Forbidden,)


def _public(error: Exception) -> AppError:
    return error if isinstance(error, AppError) else AppError()


def _outcome(error: AppError | None) -> str:
    """An error with a status of 500 or more is a failure of the server, except for maintenance."""
    if error is None:
        return "ok"
    is_refusal = error.status < AppError.status or isinstance(error, UnderMaintenance)
    return "refused" if is_refusal else "failed"


def _targets(message: Message[Any], result: Any) -> dict[str, str]:
    """The path fields of a message, its other UUIDs, its true query flags, its result's ``id``.

    ``id`` is the object that the row is about: what the message or its result calls so, else the
    first UUID that the message names.
    """
    targets: dict[str, str] = {}
    first: UUID | None = None
    for name, source in _named(type(message)):
        value = getattr(message, name)
        is_set = source is Source.QUERY and value is True
        if source is Source.PATH or is_set or isinstance(value, UUID):
            targets[name] = "true" if is_set else str(value)
        if first is None and isinstance(value, UUID):
            first = value
    found = getattr(result, "id", None)
    if found is not None:
        targets["id" if targets.get("id", str(found)) == str(found) else "result_id"] = str(found)
    elif first is not None:
        targets.setdefault("id", str(first))
    return targets


@cache
def _named(message: type[Message[Any]]) -> Sequence[tuple[str, Source]]:
    """The fields whose names do not tell of a secret, and where each comes from."""
    return [each for each in message.sources().items() if not tells_secret(each[0])]


def _shown(row: Row) -> dict[str, str | None]:
    return {name: row[name] and str(row[name]) for name in ("message", "outcome", "code")} | {
        "user_id": str(row["user_id"])
    }
