"""Finds the rows of a list by SQL built once per shape, which takes longer than running it."""

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from pydantic import TypeAdapter
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    FromClause,
    Integer,
    Row,
    Select,
    String,
    and_,
    bindparam,
    func,
    or_,
    select,
    tuple_,
)
from sqlalchemy.sql.visitors import iterate

from backstay.core.bounded_map import BoundedMap
from backstay.core.listing import CursorPage, ListQuery, Page
from backstay.core.messages import View
from backstay.core.permissions import Source
from backstay.db.base import Base, SoftDelete
from backstay.db.folding import contains
from backstay.db.owners import owned
from backstay.db.queries import Expressions, column_of, columns_of

V = TypeVar("V", bound=View)

_KEPT = 256  # statements per list; the oldest is dropped first

_OPERATORS: dict[str, Callable[[ColumnElement[Any], BindParameter[Any]], ColumnElement[bool]]] = {
    "eq": operator.eq,
    "gte": operator.ge,
    "lte": operator.le,
    "in_": lambda column, values: column.in_(values),
    "contains": contains,
    "is_null": lambda column, _: column.is_(None),
    "is_not_null": lambda column, _: column.is_not(None),
}


class Shape(NamedTuple):
    """Everything that decides the text of a statement; the values are bound when it runs.

    It reads a ``part``: a numbered page, the count, or a page by cursor. ``conditions`` are names
    with operators, bound as ``name__operator``; further parameters are ``_owner``, ``_q``,
    ``_limit``, ``_offset`` and, when ``positioned``, ``_key0``, ``_key1``…
    """

    own: bool
    searched: bool
    conditions: tuple[tuple[str, str], ...]
    part: Literal["page", "count", "forward", "backward"] = "page"
    sort: tuple[str, ...] = ()
    positioned: bool = False


class ListStatements(Generic[V]):
    """The statements of a list query, each built when it is first needed."""

    def __init__(
        self,
        query: type[ListQuery[V]],
        entity: type[Base],
        view: type[V],
        *,
        where: ColumnElement[bool] | None = None,
        from_: FromClause | None = None,
        columns: Expressions | None = None,
        own: ColumnElement[bool] | None = None,
    ) -> None:
        self.bound = _bound(query, where)
        columns = dict(columns or {})
        self._living: tuple[ColumnElement[bool], ...] = ()
        if issubclass(entity, SoftDelete):
            deleted_at = column_of(entity, "deleted_at")
            self._living = (deleted_at.is_(None),)
            columns = {"is_deleted": deleted_at.is_not(None), **columns}
        self._where = () if where is None else (where,)
        self._from = entity.__table__ if from_ is None else from_
        self._shown = columns_of(view, entity, columns)
        self._searched = [column_of(entity, n, columns) for n in query.searchable]
        self._sortable = {n: column_of(entity, n, columns) for n in (*query.sortable, "id")}
        self._statements = BoundedMap[Shape, Select[Any]](_KEPT)
        self.query, self.entity, self._own = query, entity, own
        self.path = [n for n, origin in query.sources().items() if origin is Source.PATH]
        self.filters = {n: column_of(entity, n, columns) for n in query.filters()}
        self.keys = {n: _adapter(n, column) for n, column in self._sortable.items()}
        self.fields = tuple(view.model_fields)
        self.page: type[Page[V]] = Page[view]  # type: ignore[valid-type]
        self.cursor_page: type[CursorPage[V]] = CursorPage[view]  # type: ignore[valid-type]

    def shown(self, rows: Sequence[Row[*tuple[Any, ...]]]) -> list[dict[str, Any]]:
        """The rows as dictionaries of the view's fields; further columns are left out."""
        return [dict(zip(self.fields, row, strict=False)) for row in rows]

    def statement(self, shape: Shape) -> Select[Any]:
        """The statement of a shape, built unless it is kept already."""
        found = self._statements.get(shape)
        if found is None:
            found = self._build(shape)
            self._statements.put(shape, found)
        return found

    def _build(self, shape: Shape) -> Select[Any]:
        predicates = list(self._predicates(shape))
        if shape.part == "count":
            return select(func.count()).select_from(self._from).where(*predicates)
        order = [
            (self._sortable[name], descending != (shape.part == "backward"))
            for name, descending in sort_keys(shape.sort)
        ]
        statement = (
            select(*self._shown)
            .select_from(self._from)
            .where(*predicates)
            .order_by(*(key.desc() if descending else key.asc() for key, descending in order))
            .limit(bindparam("_limit", type_=Integer))
        )
        if shape.part == "page":
            return statement.offset(bindparam("_offset", type_=Integer))
        if shape.positioned:
            statement = statement.where(_beyond(order))
        return statement.add_columns(*(key.label(f"_key{n}") for n, (key, _) in enumerate(order)))

    def _predicates(self, shape: Shape) -> Iterator[ColumnElement[bool]]:
        yield from self._where
        if shape.own:
            yield owned(self.entity, bindparam("_owner"), self._own)
        if all(name != "is_deleted" for name, _ in shape.conditions):
            yield from self._living
        for name, operation in shape.conditions:
            column = self.filters[name]
            value = bindparam(
                f"{name}__{operation}",
                type_=String() if operation == "contains" else column.type,
                expanding=operation == "in_",
            )
            yield _OPERATORS[operation](column, value)
        if shape.searched:
            needle = bindparam("_q", type_=String)
            yield or_(*(contains(column, needle) for column in self._searched))


def sort_keys(sort: tuple[str, ...]) -> list[tuple[str, bool]]:
    """Each sort key, and whether it is descending; ``id`` comes last, for rows that are equal.

    Without a sort key the newest row comes first.
    """
    keys = [(key.removeprefix("-"), key.startswith("-")) for key in sort]
    if all(name != "id" for name, _ in keys):
        keys.append(("id", keys[-1][1] if keys else True))
    return keys


def _beyond(order: list[tuple[ColumnElement[Any], bool]]) -> ColumnElement[bool]:
    values = [bindparam(f"_key{n}", type_=key.type) for n, (key, _) in enumerate(order)]
    directions = {descending for _, descending in order}
    if len(directions) == 1:
        compare = operator.lt if directions.pop() else operator.gt
        beyond: ColumnElement[bool] = compare(tuple_(*(key for key, _ in order)), tuple_(*values))
        return beyond
    equal: list[ColumnElement[bool]] = []
    alternatives: list[ColumnElement[bool]] = []
    for (key, descending), value in zip(order, values, strict=True):
        alternatives.append(and_(*equal, key < value if descending else key > value))
        equal.append(key == value)
    first, descending = order[0]
    within_reach = first <= values[0] if descending else first >= values[0]
    return and_(within_reach, or_(*alternatives))


def _bound(query: type[ListQuery[Any]], where: ColumnElement[bool] | None) -> set[str]:
    """The names that ``where`` leaves open; each path field of a query must restrict its rows.

    Raises:
        LookupError: ``where`` has no bind parameter with the name of a path field.
    """
    clauses = () if where is None else iterate(where)
    named = [clause for clause in clauses if isinstance(clause, BindParameter)]
    for name, source in query.sources().items():
        if source is Source.PATH and all(name != clause.key for clause in named):
            raise LookupError(f"{query.__name__}: `where` must use bindparam({name!r})")
    return {clause.key for clause in named if clause.required}


def _adapter(name: str, column: ColumnElement[Any]) -> TypeAdapter[Any]:
    python_type = column.type.python_type
    if getattr(column, "nullable", False) or python_type is object:
        raise TypeError(f"{name} cannot be sorted by: it may be null, or its type is unknown")
    return TypeAdapter(python_type)
