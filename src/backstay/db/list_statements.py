"""Finds the rows of a list by SQL built once per shape, which takes longer than running it."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    FromClause,
    Integer,
    Row,
    Select,
    String,
    bindparam,
    func,
    null,
    or_,
    select,
)
from sqlalchemy.sql import coercions, roles
from sqlalchemy.sql.visitors import iterate

from backstay.core.bounded_map import BoundedMap
from backstay.core.listing import CursorPage, ListQuery, Page
from backstay.core.messages import View
from backstay.core.permissions import Source
from backstay.core.wiring import BootError, Flaw
from backstay.db.base import Base, SoftDelete
from backstay.db.filters import Condition, filter_of
from backstay.db.folding import contains
from backstay.db.keyset import Ordered, Region, SortKey, behind, may_be_null, regions, within
from backstay.db.list_flaws import (
    filter_flaws,
    is_searched,
    is_sortable,
    join_flaws,
    missing,
    pathless,
    search_flaws,
    unsortable,
)
from backstay.db.owners import owned
from backstay.db.plain_rows import renderer_of
from backstay.db.queries import Expressions, column_of

V = TypeVar("V", bound=View)

_KEPT = 256  # statements per list; the oldest is dropped first


class Shape(NamedTuple):
    """Everything that decides the text of a statement; the values are bound when it runs.

    It reads a ``part``: a numbered page (``counted``: each row also has the count), the count, or
    a page by cursor; of the latter only the
    ``region`` that :func:`regions` names. A page by cursor begins behind the values ``_key0``,
    ``_key1``…, unless ``nulls`` is empty; it tells which of them are null. Further parameters are
    those of the ``conditions``, ``_owner``, ``_q``, ``_limit`` and ``_offset``.
    """

    own: bool
    searched: bool
    conditions: tuple[Condition, ...]
    part: Literal["page", "count", "forward", "backward"] = "page"
    sort: tuple[str, ...] = ()
    nulls: tuple[bool, ...] = ()
    region: Region = "whole"
    counted: bool = False


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
        self.query, self.entity, self._own = query, entity, own
        columns = dict(columns or {})
        self._living: tuple[ColumnElement[bool], ...] = ()
        if issubclass(entity, SoftDelete):
            deleted_at = column_of(entity, "deleted_at")
            self._living = (deleted_at.is_(None),)
            columns = {"is_deleted": deleted_at.is_not(None), **columns}
        self._where = () if where is None else (where,)
        self._from: FromClause = entity.__table__ if from_ is None else from_
        self._columns = columns
        self._statements = BoundedMap[Shape, Select[Any]](_KEPT)
        self.faults: list[Flaw] = []
        self.bound = self._bound(where)
        self.path = [n for n, origin in query.sources().items() if origin is Source.PATH]
        shown = self._named("shows", view.model_fields)
        self._shown = [column.label(name) for name, column in shown.items()]
        searched = self._named("searches", _texts(query.searchable))
        self._searched = list(searched.values())
        filtered = self._named("filters by", query.filters())
        self.filters = {
            n: filter_of(n, kind, filtered.get(n, null())) for n, kind in query.filters().items()
        }
        sortable = self._named("sorts by", (*_texts(query.sortable), "id"))
        keys = {name: self._sort_key(name, column) for name, column in sortable.items()}
        self.keys = {name: key for name, key in keys.items() if key is not None}
        self._has_nulls = any(key.may_be_null for key in self.keys.values())
        self.fields = tuple(view.model_fields)
        self._to_json = renderer_of(view, shown, self._from)
        self.page: type[Page[V]] = Page[view]  # type: ignore[valid-type]
        self.cursor_page: type[CursorPage[V]] = CursorPage[view]  # type: ignore[valid-type]
        found_in = {n: c for n, c in filtered.items() if is_searched(query.filters()[n])}
        told = {**shown, **searched, **filtered, **sortable}
        if where is not None:
            told["where"] = where
        self.faults += [
            *filter_flaws(query, filtered),
            *search_flaws(query, {**searched, **found_in}),
            *join_flaws(query, entity.__table__, self._from, told),
        ]

    def _named(self, use: str, names: Iterable[str]) -> dict[str, ColumnElement[Any]]:
        """The columns that names stand for; one that stands for nothing is a fault."""
        found: dict[str, ColumnElement[Any]] = {}
        for name in names:
            try:
                column = column_of(self.entity, name, self._columns)
            except LookupError as error:
                self.faults.append(missing(self.query, f"{use} `{name}`", error))
            else:
                found[name] = coercions.expect(roles.ColumnArgumentRole, column)
        return found

    def _sort_key(self, name: str, column: ColumnElement[Any]) -> SortKey | None:
        try:
            if is_sortable(column):
                return SortKey(column, may_be_null=may_be_null(column, self._from))
        except TypeError:
            pass
        self.faults.append(unsortable(self.query, name))
        return None

    def _bound(self, where: ColumnElement[bool] | None) -> set[str]:
        """The names that ``where`` leaves open; each path field must restrict the rows."""
        clauses = () if where is None else iterate(where)
        named = [clause for clause in clauses if isinstance(clause, BindParameter)]
        for name, source in self.query.sources().items():
            if source is Source.PATH and all(name != clause.key for clause in named):
                self.faults.append(pathless(self.query, name))
        return {clause.key for clause in named if clause.required}

    def shown(self, rows: Sequence[Row[*tuple[Any, ...]]]) -> list[dict[str, Any]]:
        """The rows as dictionaries of the view's fields; further columns are left out."""
        return [dict(zip(self.fields, row, strict=False)) for row in rows]

    def rendered(self, rows: Sequence[Row[*tuple[Any, ...]]]) -> bytes | None:
        """The rows as JSON, the same as that of their views; None if it takes the views to tell."""
        return None if self._to_json is None else self._to_json(self.shown(rows))

    def statement(self, shape: Shape) -> Select[Any]:
        """The statement of a shape, built unless it is kept already.

        Raises:
            BootError: the listing has faults, and no boot has shown them.
        """
        found = self._statements.get(shape)
        if found is None:
            if self.faults:
                raise BootError(flaw.of(self) for flaw in self.faults)
            found = self._build(shape)
            self._statements.put(shape, found)
        return found

    def regions(self, shape: Shape) -> Sequence[Region]:
        """The parts of the list that a page by cursor reads, one statement each."""
        if not self._has_nulls:
            return ("whole",)
        first, _ = sort_keys(shape.sort)[0]
        return regions(self.keys[first], shape.nulls, backward=shape.part == "backward")

    def _build(self, shape: Shape) -> Select[Any]:
        predicates = list(self._predicates(shape))
        if shape.part == "count":
            return select(func.count()).select_from(self._from).where(*predicates)
        backward = shape.part == "backward"
        order: Sequence[Ordered] = [
            Ordered(number, self.keys[name], descending != backward, nulls_first=backward)
            for number, (name, descending) in enumerate(sort_keys(shape.sort))
        ]
        keys = [each.key.column.label(f"_key{each.number}") for each in order]
        order, region = within(order, shape.region)
        statement = (
            select(*self._shown)
            .select_from(self._from)
            .where(*predicates, *region)
            .order_by(*(each.clause() for each in order))
            .limit(bindparam("_limit", type_=Integer))
        )
        if shape.part == "page":
            if shape.counted:
                counting = select(func.count()).select_from(self._from).where(*predicates)
                statement = statement.add_columns(counting.correlate(None).scalar_subquery())
            return statement.offset(bindparam("_offset", type_=Integer))
        if shape.nulls:
            statement = statement.where(behind(order, shape.nulls))
        return statement.add_columns(*keys)

    def _predicates(self, shape: Shape) -> Iterator[ColumnElement[bool]]:
        yield from self._where
        if shape.own:
            yield owned(self.entity, bindparam("_owner"), self._own)
        if all(condition.name != "is_deleted" for condition in shape.conditions):
            yield from self._living
        for condition in shape.conditions:
            yield self.filters[condition.name].predicate(condition)
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


def _texts(names: tuple[str, ...] | str) -> tuple[str, ...]:
    """The names; none of a text, which is a fault of the query."""
    return () if isinstance(names, str) else names
