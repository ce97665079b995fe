"""Answers the list messages: filters, search, sorting and both kinds of paging."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from math import ceil
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import ColumnElement, FromClause, Row, SQLColumnExpression
from sqlalchemy.types import TypeEngine

from backstay.core.errors import FieldFault, Forbidden, Invalid
from backstay.core.listing import CursorPage, ListQuery, Page
from backstay.core.messages import Scope, Source, View
from backstay.core.principal import Grant, Principal
from backstay.db.base import Base
from backstay.db.cursors import Cursors, unusable
from backstay.db.queries import Expressions, pattern_of
from backstay.db.session import Reader
from backstay.db.statements import Part, Shape, Statements, check_path, sort_keys
from backstay.db.types import fits

V = TypeVar("V", bound=View)


class _Place(NamedTuple):
    """Where a page by cursor begins; without values, at the first row or at the last."""

    sort: tuple[str, ...]
    backward: bool = False
    values: tuple[Any, ...] = ()


class Listing(Generic[V]):
    """How the rows of a list message are found; made once, right under the message.

    A name in the message (filter, sort key, searched field) or in the view means the entity's
    column, or the expression that ``columns`` gives for it. ``where`` holds for every row and
    must use each path field of the message as a bind parameter. ``source`` is what to select
    from when the entity's table is not enough: a join. Under scope ``OWN`` only rows whose
    ``owner`` is the principal are found; without ``owner`` nobody owns any. Soft-deleted rows
    are hidden, unless the message has a filter ``is_deleted`` and names it.

    Raises:
        LookupError: a name means nothing, or a path field is not bound.
        TypeError: a column may be null or has no known Python type, and cannot be sorted by.
    """

    def __init__(
        self,
        query: type[ListQuery[V]],
        entity: type[Base],
        view: type[V],
        *,
        owner: SQLColumnExpression[Any] | None = None,
        where: ColumnElement[bool] | None = None,
        source: FromClause | None = None,
        columns: Expressions | None = None,
    ) -> None:
        check_path(query, where)
        self._name = query.__name__
        self._path = [n for n, origin in query.sources().items() if origin is Source.PATH]
        self._statements = Statements(query, entity, view, owner, where, source, columns or {})
        self._values = {n: _values(n, column) for n, column in self._statements.keys.items()}
        self._sortable = query.sortable
        self._fields = tuple(view.model_fields)
        self._page: type[Page[V]] = Page[view]  # type: ignore[valid-type]
        self._cursor_page: type[CursorPage[V]] = CursorPage[view]  # type: ignore[valid-type]

    async def fetch(
        self,
        reader: Reader,
        query: ListQuery[V],
        principal: Principal,
        grant: Grant,
        cursors: Cursors,
        bound: Mapping[str, Any] | None = None,
    ) -> Page[V] | CursorPage[V]:
        """The page that a message asks for; ``bound`` holds further parameters of ``where``.

        Raises:
            Invalid: the cursor is not one of this list, or a value does not fit its column.
            Forbidden: the cursor sorts by a field that the grant refuses.
        """
        conditions = list(_conditions(query))
        parameters = dict(bound or {}) | {name: getattr(query, name) for name in self._path}
        for name, operation, value in conditions:
            field = name if operation == "eq" else f"{name}__{operation.strip('_')}"
            fitting = _fitting(field, value, self._statements.filters[name].type)
            parameters[f"{name}__{operation}"] = (
                pattern_of(fitting) if operation == "contains" else fitting
            )
        if query.q is not None:
            parameters["_q"] = pattern_of(query.q)
        own = grant.scope is Scope.OWN
        if own:
            parameters["_owner"] = principal.id
        shape = Shape(own, query.q is not None, tuple((n, o) for n, o, _ in conditions))
        if query.by_cursor:
            place = self._place(query, grant, cursors)
            return await self._by_cursor(reader, query, cursors, place, shape, parameters)
        return await self._by_number(reader, query, shape, parameters)

    async def _by_number(
        self, reader: Reader, query: ListQuery[V], shape: Shape, parameters: dict[str, Any]
    ) -> Page[V]:
        size, offset = query.per_page, (query.page - 1) * query.per_page
        statement = self._statements.get(shape._replace(sort=query.sort))
        rows = await reader.rows(statement, {**parameters, "_limit": size + 1, "_offset": offset})
        total = None
        if query.total:
            total = offset + len(rows)
            if len(rows) > size or (offset and not rows):
                counting = self._statements.get(shape._replace(part=Part.COUNT))
                total = await reader.scalar(counting, parameters)
        return self._page.model_validate(
            {
                "items": self._shown(rows[:size]),
                "total": total,
                "page": query.page,
                "per_page": size,
                "pages": None if total is None else ceil(total / size),
                "has_more": len(rows) > size,
            }
        )

    async def _by_cursor(
        self,
        reader: Reader,
        query: ListQuery[V],
        cursors: Cursors,
        place: _Place,
        shape: Shape,
        parameters: dict[str, Any],
    ) -> CursorPage[V]:
        size = query.limit or query.per_page
        shape = shape._replace(
            part=Part.BACKWARD if place.backward else Part.FORWARD,
            sort=place.sort,
            positioned=bool(place.values),
        )
        parameters |= {f"_key{n}": value for n, value in enumerate(place.values)}
        found = await reader.rows(self._statements.get(shape), parameters | {"_limit": size + 1})
        rows = found[:size][::-1] if place.backward else found[:size]
        more, came = len(found) > size, query.cursor is not None
        is_after, is_before = (came, more) if place.backward else (more, came)
        return self._cursor_page.model_validate(
            {
                "items": self._shown(rows),
                "next_cursor": self._cursor(cursors, place, rows[-1:], False) if is_after else None,
                "prev_cursor": self._cursor(cursors, place, rows[:1], True) if is_before else None,
            }
        )

    def _shown(self, rows: Sequence[Row[*tuple[Any, ...]]]) -> list[dict[str, Any]]:
        return [dict(zip(self._fields, row, strict=False)) for row in rows]

    def _cursor(
        self, cursors: Cursors, place: _Place, edge: Sequence[Row[*tuple[Any, ...]]], backward: bool
    ) -> str:
        names = [name for name, _ in sort_keys(place.sort)]
        values = [
            self._values[name].dump_python(value, mode="json")
            for row in edge
            for name, value in zip(names, row[len(self._fields) :], strict=True)
        ]
        return cursors.sign([self._name, place.sort, backward, values])

    def _place(self, query: ListQuery[V], grant: Grant, cursors: Cursors) -> _Place:
        if query.cursor is None:
            return _Place(query.sort)
        match cursors.read(query.cursor):
            case [self._name, [*made_for], bool(backward), [*values]]:
                sort = tuple(made_for)
            case _:
                raise unusable("belongs to another list")
        if query.sort and query.sort != sort:
            raise unusable("was made with another sort")
        keys = [key for key, _ in sort_keys(sort)]
        named = keys[: len(sort)]
        if not set(named) <= set(self._sortable) or (values and len(values) != len(keys)):
            raise unusable("is no longer valid")
        if any(grant.refuses(Source.QUERY, key) for key in named):
            raise Forbidden("Your role may not sort by a field of this cursor.")
        try:
            position = [
                self._values[key].validate_python(value)
                for key, value in zip(keys, values, strict=False)
            ]
        except ValidationError as error:
            raise unusable("is no longer valid") from error
        return _Place(sort, backward, tuple(position))


def _values(name: str, column: ColumnElement[Any]) -> TypeAdapter[Any]:
    python_type = column.type.python_type
    if getattr(column, "nullable", False) or python_type is object:
        raise TypeError(f"{name} cannot be sorted by: it may be null, or its type is unknown")
    return TypeAdapter(python_type)


def _conditions(query: ListQuery[Any]) -> Iterator[tuple[str, str, Any]]:
    for name, operation, value in query.conditions():
        if operation == "isnull":
            yield name, "is_null" if value else "is_not_null", value
        else:
            yield name, operation, value


def _fitting(field: str, value: Any, column_type: TypeEngine[Any]) -> Any:
    if not all(fits(v, column_type) for v in (value if isinstance(value, tuple) else (value,))):
        needs = "no value can be like this"
        if isinstance(value, datetime):
            needs = "a time needs its zone, such as 2020-01-01T00:00:00Z"
        raise Invalid(errors=(FieldFault(field, "out_of_range", needs),))
    return value
