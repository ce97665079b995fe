"""What a feature declares once per entity: permissions, and how rows are found and shown."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, FromClause, Select, bindparam, select
from sqlalchemy.types import TypeEngine

from backstay.core.caching import tag_flaws
from backstay.core.context import Context
from backstay.core.errors import NotFound
from backstay.core.messages import Query, View
from backstay.core.permissions import PermissionSpec, Scope
from backstay.core.representation import NO_PRECONDITIONS
from backstay.core.targets import (
    Finder,
    Sought,
    candidates,
    deletion_flaws,
    field_flaws,
    policy_flaws,
)
from backstay.core.wiring import Code, Flaw, Place
from backstay.db.base import Base, SoftDelete, fits
from backstay.db.owners import owned, owner_faults, ownerless, scope_of
from backstay.db.queries import Expressions, columns_of, is_unique
from backstay.db.session import Reader, Transaction
from backstay.db.sight import sight_of

E = TypeVar("E", bound=Base)
V = TypeVar("V", bound=View)

_PRINCIPAL = "_principal"
Find = Callable[[Context], Awaitable[Any]]


class Resource(Finder, Generic[E, V]):
    """A noun of the API: its usual permissions, and how a handler's ``Target`` is found.

    ``create``, ``read``, ``list``, ``update`` and ``delete`` are its permissions, all with the
    ``default_scope``; ``descriptions`` has, by action, those that the usual sentence does not fit.

    ``Target[Item]`` is locked by a command, and ``Target[ItemDetail]`` only read; both are found by
    ``key``. ``columns`` and ``from_`` are for fields of the view that are no columns of the entity,
    as in a ``Listing``. ``If-Match`` is compared with the view, or with the answer to the query
    that ``shown_by`` makes of a row, where a row is not all that clients see. The view may then be
    that answer, which no ``Target`` can be. ``tags`` name what a
    changed row is shown by, with its columns in braces: ``items:of:{owner_id}``; commands that
    lock a row outdate them. ``own`` is what else a row must be to be found under the scope ``OWN``.
    """

    def __init__(
        self,
        name: str,
        entity: type[E],
        view: type[V],
        *,
        default_scope: Scope | None = None,
        descriptions: Mapping[str, str] | None = None,
        key: str = "id",
        tags: tuple[str, ...] = (),
        shown_by: Callable[[E], Query[Any]] | None = None,
        columns: Expressions | None = None,
        from_: FromClause | None = None,
        own: ColumnElement[bool] | None = None,
    ) -> None:
        self.name, self.entity, self.view = name, entity, view
        self.kinds = (entity, view)
        self.default_scope = default_scope
        self.place = Place.of_caller()
        self._key, self._tags, self._shown_by = key, tags, shown_by
        self._expressions, self._from, self._own = columns, from_, own
        told = descriptions or {}
        self._hides = _hides_deleted(entity)

        def usual(action: str, verb: str) -> PermissionSpec:
            description = told.get(action, f"{verb} {_spoken(name)}")
            return self.may(action, description=description, default_scope=default_scope)

        self.create = usual("create", "Create")
        self.read = usual("read", "Read")
        self.list = usual("list", "List")
        self.update = usual("update", "Change")
        self.delete = usual("delete", "Delete and restore" if self._hides else "Delete")

    def may(
        self,
        action: str,
        operation: str | None = None,
        *,
        description: str = "",
        default_scope: Scope | None = None,
    ) -> PermissionSpec:
        """A further permission of this resource; no role gets it without a ``default_scope``."""
        description = description or f"{_spoken(action).capitalize()} {_spoken(self.name)}"
        return PermissionSpec(self.name, action, operation, description, default_scope)

    def own_flaws(self) -> Iterator[Flaw]:
        """The wiring faults of the declaration, apart from those of single targets."""
        names, entity = self.entity.__mapper__.columns.keys(), self.entity.__name__
        if self._key not in names:
            problem = f"The resource {self.name} has the key `{self._key}`, no column of {entity}."
            yield Flaw(Code.RESOURCE_KEY, problem, "Name the column with the id of a row.")
        elif is_unique(self.entity, self._key) is None:
            problem = f"The key `{self._key}` of the resource {self.name} may name several rows."
            yield Flaw(Code.RESOURCE_KEY, problem, "Name a column that is unique by itself.")
        if self._shown_by is None:
            hint = "Give `columns=` for it, or `shown_by=` if a query makes the view."
            yield from self._view_flaws(f"the resource {self.name}", hint)
        says = f"`tags` of the resource {self.name} name"
        for flaw in tag_flaws(Code.RESOURCE_TAG, says, self._tags, names):
            yield flaw._replace(hint=f"Name columns of {entity}, in a tuple of texts.")
        yield from owner_faults([self.entity])
        if self.default_scope is Scope.OWN and self.entity.__owner__ is None:
            yield ownerless(self.entity, f"the resource {self.name}")

    def flaws(self, sought: Sought, providers: Mapping[Any, Any]) -> Iterator[Flaw]:
        """What keeps the row of a parameter from being found."""
        message, types = sought.message, self._types
        if self._key in types:
            yield from field_flaws(sought, self._key, types)
        yield from policy_flaws(sought)
        yield from deletion_flaws(sought, hides=self._hides)
        if sought.by.deleted and is_unique(self.entity, self._key) == "living":
            problem = f"Several deleted rows of {self.entity.__name__} may have one `{self._key}`."
            hint = "Take the row by its id, or make the column unique among deleted rows, too."
            yield Flaw(Code.TARGET_DELETED, problem, hint)
        if self.locks(sought.kind) and Transaction not in providers:
            problem = f"`{sought.name}` would be locked, but only handlers of commands lock rows."
            hint = f"Write `Target[{self.view.__name__}]`, which is only read."
            yield Flaw(Code.TARGET_NOT_LOCKED, problem, hint)
        if not self.locks(sought.kind):
            hint = "Read it with a Reader, or let the resource name a view of columns."
            yield from self._view_flaws(f"`{sought.name}`", hint)
        scope = getattr(message.permission, "default_scope", None)
        is_told = self.default_scope is Scope.OWN
        if scope is Scope.OWN and self.entity.__owner__ is None and not is_told:
            yield ownerless(self.entity, f"the permission of {message.__name__}")

    def _view_flaws(self, who: str, hint: str) -> Iterator[Flaw]:
        try:
            columns_of(self.view, self.entity, self._expressions)
        except LookupError as error:
            problem = f"The view {self.view.__name__} of {who} is not made of columns: {error}."
            yield Flaw(Code.RESOURCE_VIEW, problem, hint)

    @cached_property
    def _types(self) -> dict[str, type[Any]]:
        """The Python types of the columns."""
        columns = self.entity.__mapper__.columns
        return {name: _python_type(column.type) for name, column in columns.items()}

    def locks(self, kind: Any) -> bool:
        """Whether rows of this type are locked."""
        return kind is self.entity

    def key_field(self, sought: Sought) -> str:
        """The field of the message that holds the id of the row; empty if that is not clear."""
        known = sought.by.fields
        if not known and self._key in self._types:
            known = tuple(candidates(sought.message, self._types[self._key]))
        return known[0] if known else ""

    def provider(self, sought: Sought, providers: Mapping[Any, Any]) -> Find:
        """The async function that finds the row of each message.

        It raises ``NotFound`` where there is none, or where the grant does not reach it.
        """
        if self.locks(sought.kind):
            return self._locking(sought)
        choose, reader_of, view = self._chosen(sought, self._shown), providers[Reader], self.view

        async def view_of(context: Context) -> V:
            row = await reader_of(context).one_or_none(*choose(context))
            if row is None:
                raise NotFound
            return view.model_validate(row)

        return view_of

    @property
    def _shown(self) -> Select[Any]:
        columns = columns_of(self.view, self.entity, self._expressions)
        return select(*columns).select_from(self.entity if self._from is None else self._from)

    def _locking(self, sought: Sought) -> Find:
        start = select(self.entity).with_for_update(of=self.entity)
        choose = self._chosen(sought, start.execution_options(populate_existing=True))
        sight = sight_of(self.entity)
        look = None if sight is None else self._chosen(sought, sight.select)
        tags = self._tags
        compare = self._comparing() if sought.matches else None

        async def row_of(context: Context) -> E:
            unit = context.unit
            session: Transaction = unit.transaction
            found: Sequence[Any] | None = None
            if look is not None and sight is not None:
                found = await session.see(sight, *look(context))
            if found is None:
                found = (await session.scalars(*choose(context))).unique().all()
            if not found:
                raise NotFound
            row: E = found[0]
            if tags:
                before = {**row.__dict__, "principal": context.principal.user_id}
                unit.tags.touch(*(tag.format_map(before) for tag in tags))
                unit.tags.touch_later(
                    lambda: (tag.format_map({**before, **row.__dict__}) for tag in tags)
                )
            if compare is not None and not context.is_nested:
                await compare(context, row)
            return row

        return row_of

    def _chosen(
        self, sought: Sought, start: Select[Any]
    ) -> Callable[[Context], tuple[Select[Any], dict[str, Any]]]:
        """The function that chooses a statement, prepared per scope, and its parameters."""
        columns = self.entity.__mapper__.columns
        fields = (self.key_field(sought), *sought.by.fields[1:])
        named = [columns[self._key], *(columns[name] for name in fields[1:])]
        pairs = list(zip(named, fields, strict=True))
        every = start.where(*(column == bindparam(field) for column, field in pairs))
        living = every
        if self._hides:
            living = every.where(columns["deleted_at"].is_(None))
        mine = owned(self.entity, bindparam(_PRINCIPAL), self._own)
        statements = {
            (hidden_too, scope): query.where(mine) if scope is Scope.OWN else query
            for hidden_too, query in ((False, living), (True, every))
            for scope in Scope
        }
        limited = [
            (field, column.type) for column, field in pairs if _python_type(column.type) is int
        ]
        deleted, reach = sought.by.deleted, scope_of(sought, self.read)

        def choose(context: Context) -> tuple[Select[Any], dict[str, Any]]:
            given = context.message.__dict__
            for field, kind in limited:
                if not fits(given[field], kind):
                    raise NotFound
            parameters = {field: given[field] for field in fields}
            scope = reach(context)
            if scope is Scope.OWN:
                parameters[_PRINCIPAL] = context.principal.user_id
            hidden_too = given[deleted] if isinstance(deleted, str) else deleted
            return statements[hidden_too, scope], parameters

        return choose

    def _comparing(self) -> Callable[[Context, E], Awaitable[None]]:
        """The function that compares the preconditions of a request with what clients see."""
        view, shown_by = self.view, self._shown_by
        key = self.entity.__mapper__.columns[self._key]
        by_key = None
        if shown_by is None and (self._from is not None or self._expressions):
            by_key = self._shown.where(key == bindparam("_key"))

        async def shown(context: Context, row: E) -> View:
            if shown_by is not None:
                found: View = await context.sender.inside(context).as_system()(shown_by(row))
                return found
            if by_key is None:
                return view.model_validate(row)
            parameters = {"_key": getattr(row, self._key)}
            found = (await context.unit.transaction.execute(by_key, parameters)).one_or_none()
            if found is None:  # clients do not see it: its view is that of a join
                raise NotFound
            return view.model_validate(found)

        async def compare(context: Context, row: E) -> None:
            preconditions = context.origin.preconditions
            if preconditions != NO_PRECONDITIONS:
                preconditions.check(await shown(context, row))

        return compare


def _python_type(kind: TypeEngine[Any]) -> type[Any]:
    try:
        return kind.python_type
    except NotImplementedError:  # any value may fit
        return object


def _hides_deleted(entity: type[Base]) -> bool:
    return issubclass(entity, SoftDelete)


def _spoken(name: str) -> str:
    return name.replace("_", " ")
