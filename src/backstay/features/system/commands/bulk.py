"""Commands that send one command for each of many ids, and that stop it."""

from difflib import get_close_matches
from typing import Annotated, Any, cast
from uuid import UUID

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError, to_json
from sqlalchemy import case, true, update

from backstay.core.bus import handles
from backstay.core.clock import new_id
from backstay.core.context import Sender
from backstay.core.errors import Conflict, FieldError, Invalid, RateLimited
from backstay.core.feature import Feature, Operation
from backstay.core.jobs import JobState
from backstay.core.messages import Command, FromPath
from backstay.core.permissions import PUBLIC, SIGNED_IN, SYSTEM_ONLY, Source
from backstay.core.ports import Clock
from backstay.core.principal import Principal
from backstay.core.proof import check_proof
from backstay.core.validation import MOST_FAULTS, Fields, validated
from backstay.db.session import Transaction
from backstay.features.system.queries.bulk import OF_BULK, GetBulk, operations_of, parameters_of
from backstay.features.system.schemas.bulk import BulkDetail, BulkStarted
from backstay.jobs.outbox import Outbox
from backstay.jobs.rows import BulkRows
from backstay.jobs.statements import NOW
from backstay.jobs.tables import QUEUED, UNFINISHED, Job

MOST_IDS = 1000
MOST_ROWS = 2 * MOST_IDS
"""The most rows of one user that are not over."""
MOST_BYTES, MOST_BODY_BYTES = 65_536, 4096
"""The most bytes of the request, and of the body in it, which is stored with each row."""


class _TooManyRows(RateLimited):
    code, title = "system.too_many_rows", "Too many rows of your bulk actions are not over"


class StartBulk(Command[BulkStarted]):
    """Do the same to many: send what an operation would send, once for each id, as jobs.

    Each row is authorised when it runs, and succeeds or fails by itself. ``body`` has the fields of
    the operation's body and query, the same for each.
    """

    permission = SIGNED_IN
    body_values = 2 * MOST_IDS + 100

    operation: Annotated[str, Field(max_length=200)]
    ids: Annotated[
        tuple[Annotated[str, Field(max_length=200)], ...],
        Field(min_length=1, max_length=MOST_IDS),
    ]
    body: Fields = Field(default_factory=dict)

    @field_validator("body")
    @classmethod
    def _small(cls, body: Fields) -> Fields:
        if len(to_json(body)) > MOST_BODY_BYTES:
            raise PydanticCustomError("too_long", "It is stored for each id: 4096 bytes at most")
        return body


@handles(StartBulk)
async def start_bulk(
    command: StartBulk,
    send: Sender,
    outbox: Outbox,
    features: tuple[Feature, ...],
    clock: Clock,
) -> BulkStarted:
    rows = BulkRows(send, outbox)
    message = _command_of(command.operation, features, outbox)
    check_proof(message, send.principal, send.origin, clock())  # now: a job is not asked
    made = _made(message, command)
    await rows.check(list(made.values()))
    bulk_id = new_id()
    if not await rows.enqueue(bulk_id, made, MOST_ROWS):
        detail = f"At most {MOST_ROWS}: wait until some are over, or cancel a bulk action."
        raise _TooManyRows(detail, headers={"Retry-After": "10"})
    return BulkStarted(id=bulk_id, rows=len(made))


def _command_of(name: str, features: tuple[Feature, ...], outbox: Outbox) -> type[Command[Any]]:
    """The command that an operation sends.

    Raises:
        Invalid: there is no such operation, or it cannot be done in bulk.
    """
    known = {operation.name: operation for operation in operations_of(features)}
    operation = known.get(name)
    if operation is not None:
        if fault := _fault(operation, outbox):
            raise Invalid(errors=(FieldError("operation", "not_in_bulk", fault),))
        return cast("type[Command[Any]]", operation.message)
    able = [each.name for each in known.values() if _fault(each, outbox) is None]
    near = " or ".join(get_close_matches(name, able))
    message = f"There is no operation of this name, but {near}" if near else "There is none"
    raise Invalid(errors=(FieldError("operation", "unknown_operation", message),))


def _fault(operation: Operation, outbox: Outbox) -> str | None:
    """Why an operation cannot be done in bulk, or None."""
    message = cast("type[Command[Any]]", operation.message)
    if list(message.sources().values()).count(Source.PATH) != 1:
        return "Its path does not have one id"
    if message.permission in {PUBLIC, SYSTEM_ONLY}:
        return "It needs no permission of yours"
    if operation.has_endpoint or not operation.has_tier_limit:
        return "Its requests are handled in a way of their own"
    if not message.replayable:
        return "Its answer may not be stored"
    return outbox.fault(message)


def _made(message: type[Command[Any]], asked: StartBulk) -> dict[str, Command[Any]]:
    """The command for each id.

    Raises:
        Invalid: the body, or some of the ids, are not valid; or an id is there twice.
    """
    key = next(name for name, source in message.sources().items() if source is Source.PATH)
    if key in asked.body:
        raise Invalid(errors=(FieldError(f"body.{key}", "extra_forbidden", "`ids` has it"),))
    made: dict[str, Command[Any]] = {}
    seen: set[Any] = set()
    faults: list[FieldError] = []
    for number, each in enumerate(asked.ids):
        try:
            row = validated(message.model_validate, {**asked.body, key: each}, inside="body")
        except Invalid as error:
            own = [fault for fault in error.errors if fault.field == f"body.{key}"]
            if len(own) < len(error.errors) or not own:
                raise
            faults += [FieldError(f"ids.{number}", f.code, f.message) for f in own]
            continue
        if getattr(row, key) in seen:
            faults.append(FieldError(f"ids.{number}", "repeated", "It is there twice"))
        seen.add(getattr(row, key))
        made[each] = row
    if faults:
        many = "1 id is" if len(faults) == 1 else f"{len(faults)} ids are"
        raise Invalid(f"{many} not valid.", errors=tuple(faults[:MOST_FAULTS]))
    return made


class _BulkOver(Conflict):
    code, title = "system.bulk_over", "The bulk action is over"


class CancelBulk(Command[BulkDetail]):
    """Cancel a bulk action of yours: rows that wait are not done, one that runs is stopped."""

    permission = SIGNED_IN

    id: FromPath[UUID]


_CANCEL = (
    update(Job)
    .where(*OF_BULK, UNFINISHED)
    .values(
        is_cancelled=true(),
        state=case((QUEUED, JobState.CANCELLED.value), else_=Job.state),
        finished_at=case((QUEUED, NOW), else_=Job.finished_at),
    )
    .returning(Job.id)
    .execution_options(synchronize_session=False)
)


@handles(CancelBulk)
async def cancel_bulk(
    command: CancelBulk, session: Transaction, principal: Principal, send: Sender
) -> BulkDetail:
    cancelled = (await session.execute(_CANCEL, parameters_of(command.id, principal))).all()
    found = await send(GetBulk(id=command.id))
    if not cancelled:
        raise _BulkOver
    return found
