"""Queries about one's own bulk actions."""

from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from sqlalchemy import BindParameter, Row, bindparam, exists, func, literal, select
from sqlalchemy.orm import aliased

from backstay.core.bus import handles
from backstay.core.errors import NotFound
from backstay.core.feature import Feature, Operation
from backstay.core.jobs import BULK, JobState
from backstay.core.messages import Command, FromPath, Query
from backstay.core.permissions import SIGNED_IN
from backstay.core.principal import Principal
from backstay.db.session import Reader
from backstay.features.system.schemas.bulk import (
    BulkDetail,
    BulkList,
    BulkRow,
    BulkStates,
    BulkSummary,
)
from backstay.jobs.rows import row_key
from backstay.jobs.tables import IS_ROW, Job, is_row

MOST_LISTED = 20
OF_BULK = (Job.user_id == bindparam("of_user"), Job.sequence == bindparam("bulk"), IS_ROW)


def parameters_of(bulk_id: UUID, principal: Principal) -> dict[str, Any]:
    """The parameters of ``OF_BULK``."""
    return {"of_user": principal.id, "bulk": f"{BULK}{bulk_id}"}


def operations_of(features: tuple[Feature, ...]) -> Iterator[Operation]:
    """Every operation that sends a command, in the order of the features."""
    for table in (table for feature in features for table in feature.routes):
        for operation in table.operations(""):
            if issubclass(operation.message, Command):
                yield operation


class GetBulk(Query[BulkDetail]):
    """One of your bulk actions: how far it is, and what has become of each row.

    With ``state``, ``results`` are only the rows that are in it.
    """

    permission = SIGNED_IN

    id: FromPath[UUID]
    state: JobState | None = None


_ROWS = (
    select(
        *(Job.name, Job.unique_key, Job.state, Job.error_code, Job.error),
        *(Job.created_at, Job.finished_at),
    )
    .where(*OF_BULK)
    .order_by(Job.position)
)


@handles(GetBulk)
async def get_bulk(
    query: GetBulk, reader: Reader, principal: Principal, features: tuple[Feature, ...]
) -> BulkDetail:
    rows = await reader.rows(_ROWS, parameters_of(query.id, principal))
    if not rows:
        raise NotFound
    states = Counter(row.state for row in rows)
    done = sum(row.finished_at is not None for row in rows)
    return BulkDetail(
        id=query.id,
        operation=_operation(rows[0].name, features),
        is_over=done == len(rows),
        created_at=rows[0].created_at,
        rows=len(rows),
        done=done,
        states=BulkStates(**states),
        results=tuple(
            _result(row, query.id) for row in rows if query.state in {None, JobState(row.state)}
        ),
    )


def _result(row: Row[Any], bulk_id: UUID) -> BulkRow:
    return BulkRow(
        id=row.unique_key.removeprefix(row_key(bulk_id, "")),
        state=row.state,
        error_code=row.error_code,
        error=row.error,
        finished_at=row.finished_at,
    )


def _operation(command: str, features: tuple[Feature, ...]) -> str | None:
    found = (o.name for o in operations_of(features) if o.message.__name__ == command)
    return next(found, None)


class ListBulk(Query[BulkList]):
    """The newest 20 of your bulk actions, newest first."""

    permission = SIGNED_IN


_user_id: BindParameter[UUID] = bindparam("user_id")
_newest = select(func.max(Job.sequence)).where(Job.user_id == _user_id, IS_ROW)
_start = select(_newest.scalar_subquery().label("sequence"), literal(1).label("number"))
_walk = _start.cte("walk", recursive=True)
_walk = _walk.union_all(
    select(_newest.where(Job.sequence < _walk.c.sequence).scalar_subquery(), _walk.c.number + 1)
    .where(_walk.c.sequence.is_not(None), _walk.c.number < MOST_LISTED)
)  # fmt: skip
_row = aliased(Job)
_of_walk = (_row.user_id == _user_id, _row.sequence == _walk.c.sequence, is_row(_row))
_first = select(_row.id).where(*_of_walk).order_by(_row.position).limit(1).scalar_subquery()
_left = aliased(Job)
_is_left = exists().where(_left.sequence == _walk.c.sequence, _left.finished_at.is_(None))
_LIST = (
    select(Job.sequence, Job.name, Job.created_at, _is_left.label("is_left"))
    .join_from(_walk, Job, Job.id == _first)
    .order_by(Job.sequence.desc())
)
"""One step for each bulk action, whatever the number of their rows: ids sort by time."""


@handles(ListBulk)
async def list_bulk(
    query: ListBulk, reader: Reader, principal: Principal, features: tuple[Feature, ...]
) -> BulkList:
    rows = await reader.rows(_LIST, {"user_id": principal.id})
    return BulkList(
        items=tuple(
            BulkSummary(
                id=UUID(row.sequence.removeprefix(BULK)),
                operation=_operation(row.name, features),
                is_over=not row.is_left,
                created_at=row.created_at,
            )
            for row in rows
        )
    )
