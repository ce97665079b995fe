"""The queries and changes that handlers need again and again, each as one function."""

from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar, cast

from sqlalchemy import (
    ColumnElement,
    CursorResult,
    Delete,
    Insert,
    Select,
    SQLColumnExpression,
    String,
    Table,
    Update,
    bindparam,
    delete,
    func,
    insert,
    literal,
    select,
    true,
    update,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import make_transient_to_detached

from backstay.core.errors import NotFound
from backstay.core.messages import View
from backstay.core.permissions import Scope
from backstay.core.principal import Grant, Principal
from backstay.db.base import Base, Entity, stamp_of
from backstay.db.folding import Contains, fold
from backstay.db.session import Reader

T = TypeVar("T")
E = TypeVar("E", bound=Entity)


def visible(
    owner: SQLColumnExpression[Any], principal: Principal, grant: Grant
) -> ColumnElement[bool]:
    """The predicate for the rows that a grant reaches: the principal's own, or all.

    Raises:
        LookupError: the grant is for own rows and the principal is not a user.
    """
    return true() if grant.scope is Scope.ANY else owner == principal.id


async def one_or_404(session: AsyncSession, statement: Select[T], *, lock: bool = False) -> T:
    """The one row of a statement; ``lock`` locks it until the transaction ends.

    Raises:
        NotFound: there is no such row.
    """
    if lock:
        statement = statement.with_for_update().execution_options(populate_existing=True)
    found = (await session.scalars(statement)).unique().one_or_none()
    if found is None:
        raise NotFound
    return found


async def exists(
    source: AsyncSession | Reader,
    entity: type[Base],
    predicate: ColumnElement[bool],
    /,
    *more: ColumnElement[bool],
) -> bool:
    """Whether any row of a table meets every predicate."""
    rows = select(literal(1)).select_from(entity).where(predicate, *more)
    return bool(await source.scalar(select(rows.exists())))


async def count(
    source: AsyncSession | Reader, entity: type[Base], /, *predicates: ColumnElement[bool]
) -> int:
    """The number of rows of a table that meet every predicate."""
    rows = select(func.count()).select_from(entity).where(*predicates)
    return cast(int, await source.scalar(rows))


async def insert_one(session: AsyncSession, row: E) -> E:
    """Insert a new row at once and return it with its id, version, times and author.

    That costs half as much as ``session.add`` and ``flush``, which sort rows by their dependencies.
    Afterwards the session holds the row as if it had been read.
    """
    row.stamp(*stamp_of(session))
    row.version = 1
    statement, defaults = _insert_of(type(row))
    given = row.__dict__
    for name, default in defaults:
        if name not in given:
            setattr(row, name, default(None) if callable(default) else default)
    values = {name: given[name] for name, _ in defaults}
    await session.run_sync(lambda sync: sync.connection().execute(statement, values))
    make_transient_to_detached(row)
    session.add(row)
    return row


@cache
def _insert_of(entity: type[Entity]) -> tuple[Insert, list[tuple[str, Any]]]:
    """The INSERT of an entity, and the default of each of its columns: a value or a function."""
    columns = entity.__mapper__.columns
    defaults = [(name, getattr(column.default, "arg", None)) for name, column in columns.items()]
    return insert(cast(Table, entity.__table__)).inline(), defaults


async def update_where(
    session: AsyncSession,
    entity: type[Base],
    predicate: ColumnElement[bool],
    /,
    *more: ColumnElement[bool],
    **values: Any,
) -> int:
    """Change every row that meets the predicates and return how many there were.

    The version, time and author of each row are updated, as when it is changed alone.
    """
    stamps: dict[str, Any] = {}
    if issubclass(entity, Entity):
        now, author = stamp_of(session)
        stamps = {"version": entity.version + 1, "updated_at": now, "updated_by": author}
    statement = update(entity).where(predicate, *more).values(stamps | values)
    return await _affected(session, statement)


async def delete_where(
    session: AsyncSession,
    entity: type[Base],
    predicate: ColumnElement[bool],
    /,
    *more: ColumnElement[bool],
) -> int:
    """Delete every row that meets the predicates and return how many there were."""
    return await _affected(session, delete(entity).where(predicate, *more))


async def _affected(session: AsyncSession, statement: Update | Delete) -> int:
    return cast(CursorResult[Any], await session.execute(statement)).rowcount


Expressions = Mapping[str, SQLColumnExpression[Any]]


def column_of(
    entity: type[Base], name: str, expressions: Expressions | None = None
) -> ColumnElement[Any]:
    """The expression with a name, else the column of the entity with that name.

    Raises:
        LookupError: there is neither.
    """
    found: Any = (expressions or {}).get(name)
    if found is None:
        found = entity.__mapper__.columns.get(name)
    if found is None:
        raise LookupError(f"{entity.__name__} has no column `{name}`, nor is there an expression")
    return cast(ColumnElement[Any], found)


def columns_of(
    view: type[View], entity: type[Base], expressions: Expressions | None = None
) -> list[ColumnElement[Any]]:
    """The columns to select for a view: its fields as labelled columns of the entity.

    ``expressions`` has the fields that come from elsewhere, such as a joined table.

    Raises:
        LookupError: a field is neither a column nor an expression.
    """
    return [column_of(entity, name, expressions).label(name) for name in view.model_fields]


def contains(column: SQLColumnExpression[Any], text: str) -> ColumnElement[bool]:
    """The predicate that a column contains a text, taken literally and ignoring case."""
    return Contains(column, bindparam(None, fold(text), String))
