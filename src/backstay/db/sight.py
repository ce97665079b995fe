"""Changes a row that was read without a lock, if nobody else has changed it meanwhile.

Optimistic concurrency control (Kung and Robinson, 1981), in every way and by whomever a row was
written: PostgreSQL keeps with each row the transaction that wrote it last (``xmin``); on SQLite all
that is stored of the row is compared.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import cache, cached_property
from typing import Any, cast
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Executable,
    Select,
    String,
    Table,
    Update,
    bindparam,
    literal_column,
    select,
    update,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import (
    ColumnProperty,
    Mapper,
    make_transient_to_detached,
)
from sqlalchemy.orm.attributes import instance_state
from sqlalchemy.orm.identity import IdentityMap
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from backstay.core.context import Write
from backstay.db.base import Base, Entity
from backstay.db.plain import Parameters, Rows

Look = Callable[[Executable, Parameters], Awaitable[Rows | None]]
"""Reads rows without a lock; None if that is not possible now."""
_KEY, _SEEN = "_key", "_seen"


class Overtaken(Exception):
    """Somebody else has changed a row since it was read, or may have: take the lock."""


class _Mark(FunctionElement[str]):
    """A text that is another one as soon as a row has been changed."""

    inherit_cache = True
    type = String()


@compiles(_Mark)
def _by_transaction(element: _Mark, compiler: SQLCompiler, **options: Any) -> str:
    (table,) = {column.table.name for column in element.clauses}
    return f"{table}.xmin::text"


@compiles(_Mark, "sqlite")
def _by_content(element: _Mark, compiler: SQLCompiler, **options: Any) -> str:
    quoted = (f"quote({compiler.process(column, **options)})" for column in element.clauses)
    return "(" + " || ',' || ".join(quoted) + ")"


class Sight:
    """How rows of an entity are read without a lock, and changed."""

    def __init__(self, entity: type[Base]) -> None:
        self.entity = entity
        self.mapper: Mapper[Any] = entity.__mapper__
        self.table = cast(Table, entity.__table__)
        self.names = tuple(self.mapper.columns.keys())
        self._written_by = _Mark(*self.table.columns)
        self._changes: dict[frozenset[str], Update] = {}

    @property
    def select(self) -> Select[*tuple[Any, ...]]:
        """Every column of a row, and its mark."""
        columns = (column.label(name) for name, column in self.mapper.columns.items())
        return select(*columns, self._written_by.label(_SEEN))

    @cached_property
    def is_same(self) -> dict[str, Callable[[Any, Any], Any]]:
        """By changeable column: whether two values are the same, as SQLAlchemy compares them."""
        keys = {column.key for column in self.mapper.primary_key}
        attributes: Any = self.mapper.class_manager
        return {name: attributes[name].impl.is_equal for name in self.names if name not in keys}

    @cached_property
    def locking(self) -> Select[*tuple[Any, ...]]:
        """Locks a row that was seen; nothing is found once somebody else has changed it."""
        return select(self._written_by.label(_SEEN)).where(*self._unchanged).with_for_update()

    def change(self, names: frozenset[str]) -> Update:
        """Writes columns of a row that was seen, unless somebody else has changed it."""
        found = self._changes.get(names)
        if found is None:
            columns = self.mapper.columns
            values = {columns[n]: bindparam(f"_to_{n}", type_=columns[n].type) for n in names}
            found = update(self.table).where(*self._unchanged).values(values)
            found = self._changes[names] = found.returning(literal_column("1").label("one"))
        return found

    @property
    def _unchanged(self) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
        (key,) = self.mapper.primary_key
        is_it = key == bindparam(_KEY, type_=key.type)
        return is_it, self._written_by == bindparam(_SEEN, type_=String)


@cache
def sight_of(entity: type[Base]) -> Sight | None:
    """How rows of an entity are seen; None where only SQLAlchemy's own way will do.

    That is an entity with more than one table, with a key of several columns, with columns that the
    database or SQLAlchemy fills on a change, or with listeners that expect SQLAlchemy to write.
    """
    mapper: Mapper[Any] = entity.__mapper__
    events, loads = mapper.dispatch, mapper.class_manager.dispatch
    is_simple = len(mapper.tables) == 1 and mapper.polymorphic_on is None and not mapper.inherits
    is_heard = events.before_update or events.after_update or loads.load
    if not is_simple or is_heard or len(mapper.primary_key) != 1:
        return None
    columns = mapper.columns
    by_others = (c.onupdate or c.server_onupdate or c.computed for c in columns)
    eager = (
        r.lazy in ("joined", "selectin", "subquery", "immediate") for r in mapper.relationships
    )
    if any(by_others) or any(eager) or len(columns) != len(entity.__table__.columns):
        return None
    return None if any(map(_is_deferred, mapper.column_attrs)) else Sight(entity)


def _is_deferred(attribute: ColumnProperty[Any]) -> bool:
    return attribute.deferred or len(attribute.columns) != 1


class Seen:
    """A row that was read without a lock, and what is to be written of it."""

    __slots__ = ("_changes", "_sight", "_written_by", "row")

    def __init__(self, sight: Sight, values: Any) -> None:
        self._sight, self._written_by = sight, values[len(sight.names)]
        self._changes: dict[str, Any] = {}
        self.row: Any = sight.mapper.class_manager.new_instance()
        vars(self.row).update(zip(sight.names, values, strict=False))
        make_transient_to_detached(self.row)

    @property
    def key(self) -> Any:
        """The key of the row in the identity map of a session."""
        return instance_state(self.row).key

    @property
    def check(self) -> Write:
        """Writes the changes, or locks the row if there are none; without a row once it was changed
        by somebody else."""
        parameters = self._parameters
        if not self._changes:
            return self._sight.locking, parameters
        values = {f"_to_{name}": value for name, value in self._changes.items()}
        return self._sight.change(frozenset(self._changes)), parameters | values

    @property
    def lock(self) -> Write:
        """Locks the row; without a row once it was changed by somebody else."""
        return self._sight.locking, self._parameters

    @property
    def is_changed(self) -> bool:
        """Whether there is anything to write."""
        return bool(self._changes)

    @property
    def _parameters(self) -> dict[str, Any]:
        (key,) = instance_state(self.row).identity or (None,)
        return {_KEY: key, _SEEN: self._written_by}

    def take_changes(
        self, now: datetime, author: UUID | None, known: IdentityMap | None = None
    ) -> bool:
        """Note what has changed, and what SQLAlchemy would write besides; False if only it can.

        ``known`` has the rows of the session, if it is one of them.
        """
        state = instance_state(self.row)
        held, is_same = vars(self.row), self._sight.is_same
        if not state.committed_state.keys() <= is_same.keys():
            return False
        values = {
            name: held.get(name)
            for name, before in state.committed_state.items()
            if name not in held or is_same[name](held[name], before) is not True
        }
        if any(map(_is_sql, values.values())):
            return False
        if values:
            if isinstance(self.row, Entity):
                version = self.row.version + 1
                values |= {"updated_at": now, "updated_by": author, "version": version}
            vars(self.row).update(values)
            self._changes |= values
        state._commit_all(vars(self.row), known)  # as after a flush
        return True


def _is_sql(value: Any) -> bool:
    return hasattr(value, "__clause_element__") or isinstance(value, ColumnElement)
