"""Whose a row is: what an entity declares once, as the predicate of every statement."""

from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter
from typing import Any

from sqlalchemy import BindParameter, Column, ColumnElement, and_, bindparam, false, select
from sqlalchemy.exc import InvalidRequestError

from backstay.core.context import Context
from backstay.core.errors import NotFound
from backstay.core.permissions import PermissionSpec, Scope
from backstay.core.targets import Sought
from backstay.core.wiring import Code, Flaw
from backstay.db.base import Base


def owned(
    entity: type[Base], owner: BindParameter[Any], more: ColumnElement[bool] | None = None
) -> ColumnElement[bool]:
    """The predicate for the rows of an entity that a user owns; without ``__owner__``, for none.

    The rows must also meet ``more``.

    ``__owner__ = "owner_id"`` names the column with the id of the owner, and
    ``__owner__ = "order_id.owner_id"`` that of the parent to which a foreign key points.

    Raises:
        LookupError: there is no such column, or one has no foreign key.
    """
    if entity.__owner__ is None:
        return false()
    mine = _belongs(entity.__mapper__.columns, entity, entity.__owner__.split("."), owner)
    return mine if more is None else and_(mine, more)


def ownerless(entity: type[Base], who: str, otherwise: str = "give no `default_scope`") -> Flaw:
    """The fault of a permission for own rows where no row has an owner."""
    name = entity.__name__
    problem = f"The scope OWN of {who} reaches nothing: {name} does not say whose a row is."
    hint = f'Set `__owner__ = "owner_id"` in its class body, or {otherwise}.'
    return Flaw(Code.RESOURCE_NO_OWNER, problem, hint)


def owner_faults(models: Iterable[type[Base]]) -> Iterator[Flaw]:
    """The entities whose ``__owner__`` does not lead to a column."""
    for model in models:
        try:
            owned(model, bindparam("owner"))
        except LookupError as error:
            problem = f"`__owner__` of {model.__name__} is `{model.__owner__}`, but {error}."
            hint = "Name a column, or a foreign key, a dot and a column of the row it points to."
            yield Flaw(Code.RESOURCE_OWNER, problem, hint).of(model)


def _belongs(
    columns: Any, of: Any, path: list[str], owner: BindParameter[Any]
) -> ColumnElement[bool]:
    name, *rest = path
    column: Column[Any] | None = columns.get(name)
    table = of.__name__ if isinstance(of, type) else of
    if column is None:
        raise LookupError(f"{table} has no column `{name}`")
    if not rest:
        return column == owner
    parent = _parent(table, column)
    return column.in_(
        select(parent).where(_belongs(parent.table.c, parent.table.name, rest, owner))
    )


def _parent(table: str, column: Column[Any]) -> Column[Any]:
    """The column to which a foreign key points."""
    if not column.foreign_keys:
        raise LookupError(f"the column `{column.key}` of {table} has no foreign key")
    try:
        return next(iter(column.foreign_keys)).column
    except InvalidRequestError as error:
        raise LookupError(f"the foreign key `{column.key}` of {table} leads nowhere") from error


def scope_of(sought: Sought, read: PermissionSpec) -> Callable[[Context], Scope]:
    """How far the sender of a message reaches for a row that is found by a resource.

    ``read`` is the permission to read that resource. Where the permission of the message is about
    another resource, its grant says nothing about these rows: the sender reaches what they may
    read. What no message reads, such as a child that is shown with its parent, is found by the
    grant of the message.
    """
    policy = sought.message.permission
    is_own = not isinstance(policy, PermissionSpec) or policy.resource == read.resource
    if is_own or read.key not in sought.permissions:
        return attrgetter("grant.scope")

    def scope(context: Context) -> Scope:
        grant = context.principal.grant(read.key)
        if grant is None:
            raise NotFound
        return grant.scope

    return scope
