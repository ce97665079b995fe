"""How the rows of a list query are found, which is all that most lists need as a handler."""

from collections.abc import Iterator
from typing import TypeVar

from sqlalchemy import ColumnElement, FromClause

from backstay.core.listing import CursorPage, ListQuery, Page
from backstay.core.messages import View
from backstay.core.permissions import PermissionSpec, Scope
from backstay.core.registry import Function, HandlerSource
from backstay.core.representation import Representation
from backstay.core.wiring import Code, Flaw, Place
from backstay.db.base import Base
from backstay.db.list_statements import ListStatements
from backstay.db.owners import ownerless
from backstay.db.paging import Paginator
from backstay.db.queries import Expressions

V = TypeVar("V", bound=View)


class Listing(ListStatements[V], HandlerSource):
    """How the rows of a list query are found; declared once, right under the query.

    In a module of a feature it is the handler of the query, unless a function there handles it.

    A name in the query (filter, sort key, searched field) or in the view stands for the column of
    the entity with that name, or for the expression that ``columns`` gives for it. ``where``
    applies to every row and must use each path field of the query as a bind parameter. ``from_``
    replaces the entity's table in FROM, for example by a join with tables that have at most one row
    for each of it. Under scope ``OWN`` only the rows that the principal owns are found, by
    ``__owner__`` of the entity, and only if they meet ``own``. Soft-deleted rows of the entity are
    hidden unless the query has a filter ``is_deleted`` and the request uses it; those of joined
    tables are not. Rows whose sort key is null come last, ascending and descending.

    What cannot work, such as an unknown name, keeps the application from starting.
    """

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
        super().__init__(query, entity, view, where=where, from_=from_, columns=columns, own=own)
        self.place = Place.of_caller()
        self.handler = self._handler()

    def _handler(self) -> Function:
        async def handler(
            query: ListQuery[V], paginate: Paginator
        ) -> Page[V] | CursorPage[V] | Representation:
            return await paginate.rendered(self, query)

        handler.__annotations__ |= {"query": self.query, "return": self.query.result_type()}
        handler.__module__, handler.__qualname__ = self.place.module, f"the {self.query.__name__}"
        vars(handler).update(__handles__=self.query, place=self.place)
        return handler

    def own_flaws(self) -> Iterator[Flaw]:
        """What keeps its statements from working."""
        yield from self.faults

    def flaws(self) -> Iterator[Flaw]:
        """What keeps it from being the handler of its query."""
        name, policy = self.query.__name__, self.query.permission
        if not isinstance(policy, PermissionSpec):
            problem = f"{name} needs no permission, so nothing says whose rows it shows."
            hint = "Declare one, or write a handler that passes `scope=` to the Paginator."
            yield Flaw(Code.LIST_NO_PERMISSION, problem, hint)
        elif policy.default_scope is Scope.OWN and self.entity.__owner__ is None:
            yield ownerless(self.entity, f"the permission of {name}")
        for parameter in sorted(self.bound - set(self.path)):
            problem = f"`where` of the listing of {name} leaves `{parameter}` open."
            hint = "Name it as a path field, or write a handler that passes it to the Paginator."
            yield Flaw(Code.LIST_UNBOUND, problem, hint)
