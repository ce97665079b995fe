"""The queries that handlers need again and again, each as one function."""

from collections.abc import Mapping
from typing import Any, Literal, TypeVar, cast

from sqlalchemy import (
    ColumnElement,
    PrimaryKeyConstraint,
    Select,
    SQLColumnExpression,
    UniqueConstraint,
    func,
    literal,
    select,
    true,
)
from sqlalchemy.ext.asyncio import AsyncSession

from backstay.core.errors import NotFound
from backstay.core.messages import View
from backstay.core.permissions import Scope
from backstay.core.principal import Grant, Principal
from backstay.db.base import Base
from backstay.db.session import Reader

T = TypeVar("T")


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


def is_unique(entity: type[Base], name: str) -> Literal["all", "living"] | None:
    """Among which rows a column is unique by itself: all, those of a partial index, or none."""
    column: Any = entity.__mapper__.columns[name]
    table: Any = column.table
    alone = [c for c in (table.primary_key, *table.constraints) if list(c.columns) == [column]]
    if any(isinstance(each, PrimaryKeyConstraint | UniqueConstraint) for each in alone):
        return "all"
    indexes = [each for each in table.indexes if each.unique and list(each.columns) == [column]]
    partial = [each.dialect_options["postgresql"]["where"] is not None for each in indexes]
    return None if not indexes else "living" if all(partial) else "all"


def columns_of(
    view: type[View], entity: type[Base], expressions: Expressions | None = None
) -> list[ColumnElement[Any]]:
    """The columns to select for a view: its fields as labelled columns of the entity.

    ``expressions`` has the fields that come from elsewhere, such as a joined table.

    Raises:
        LookupError: a field is neither a column nor an expression.
    """
    return [column_of(entity, name, expressions).label(name) for name in view.model_fields]
