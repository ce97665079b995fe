"""Reads the page that a list query asks for, by number or by a signed cursor."""

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any, NamedTuple, TypeVar

from pydantic import ValidationError
from sqlalchemy import Row

from backstay.core.errors import FieldError, Forbidden, Invalid
from backstay.core.listing import CursorPage, ListQuery, Page
from backstay.core.messages import View
from backstay.core.permissions import Scope, Source
from backstay.core.principal import UNLIMITED, Grant, Principal
from backstay.core.representation import Representation
from backstay.db.filters import Condition
from backstay.db.folding import fold
from backstay.db.list_statements import ListStatements, Shape, sort_keys
from backstay.db.session import Reader

V = TypeVar("V", bound=View)

_Rows = Sequence[Row[*tuple[Any, ...]]]
_as_text = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_MAC_LENGTH = 24  # characters: 144 bits in base64url


class Cursors:
    """Signs positions in a list, so that clients can keep them but not forge them.

    With HMAC-SHA256 (RFC 2104), under a key derived from ``key``.
    """

    def __init__(self, key: bytes) -> None:
        derived = hmac.digest(key, b"backstay cursor", "sha256")
        self._keyed = hmac.new(derived, digestmod="sha256")

    def sign(self, payload: list[Any] | dict[str, Any]) -> str:
        """A cursor that contains a JSON value; it can be used in a URL as it is."""
        body = urlsafe_b64encode(_as_text(payload).encode()).rstrip(b"=")
        return (self._mac(body) + body).decode()

    def read(self, cursor: str) -> Any:
        """The value that was signed.

        Raises:
            Invalid: the cursor was not made by :meth:`sign` under this key.
        """
        raw = cursor.encode(errors="replace")
        mac, body = raw[:_MAC_LENGTH], raw[_MAC_LENGTH:]
        if not hmac.compare_digest(mac, self._mac(body)):
            raise _unusable("is not one that this server made")
        return json.loads(urlsafe_b64decode(body + b"=" * (-len(body) % 4)))

    def _mac(self, body: bytes) -> bytes:
        mac = self._keyed.copy()  # the key has been taken in, which takes longest
        mac.update(body)
        return urlsafe_b64encode(mac.digest())[:_MAC_LENGTH]


class _Place(NamedTuple):
    """Where a page by cursor begins; without ``values``, at the first row or at the last."""

    sort: tuple[str, ...]
    backward: bool = False
    values: tuple[Any, ...] = ()


class Paginator:
    """What the handler of a list takes as a parameter, to read the page that a query asks for.

    The ``grant`` decides whether all rows are found or only own ones; it is None for a query
    without a permission.
    """

    __slots__ = ("_cursors", "_grant", "_principal", "_reader", "_renders")

    def __init__(
        self,
        reader: Reader,
        cursors: Cursors,
        principal: Principal,
        grant: Grant | None,
        *,
        renders: bool = False,
    ) -> None:
        self._reader = reader
        self._cursors = cursors
        self._principal = principal
        self._grant = grant
        self._renders = renders

    async def __call__(
        self,
        listing: ListStatements[V],
        query: ListQuery[V],
        bound: Mapping[str, Any] | None = None,
        *,
        scope: Scope | None = None,
    ) -> Page[V] | CursorPage[V]:
        """Read the page. ``bound`` has further parameters of the listing's ``where``.

        ``scope`` replaces the scope of the grant, for a handler that has checked by itself who may
        see the list; it is required where the query has no permission.

        Raises:
            Invalid: the cursor does not belong to this list, or a value does not fit its column.
            Forbidden: the cursor sorts by a field that the grant refuses.
            LookupError: there is neither a grant nor a ``scope``.
        """
        rows, told = await self._read(listing, query, bound, scope)
        return _page(listing, query, rows, told)

    async def rendered(
        self, listing: ListStatements[V], query: ListQuery[V]
    ) -> Page[V] | CursorPage[V] | Representation:
        """Read the page for a handler that only returns it.

        It comes as bytes if the sender wants nothing else, and the listing needs no views for them.
        """
        rows, told = await self._read(listing, query, None, None)
        body = listing.rendered(rows) if self._renders else None
        if body is None:
            return _page(listing, query, rows, told)
        return Representation.of_rows(body, told)

    async def _read(
        self,
        listing: ListStatements[V],
        query: ListQuery[V],
        bound: Mapping[str, Any] | None,
        scope: Scope | None,
    ) -> tuple[_Rows, dict[str, Any]]:
        """The rows of a page, and its other fields in their order."""
        parameters = dict(bound or {}) | {name: getattr(query, name) for name in listing.path}
        conditions: list[Condition] = []
        for name, operation, value in query.conditions():
            condition, values = listing.filters[name].asked(operation, value)
            conditions.append(condition)
            parameters |= values
        if query.q is not None:
            parameters["_q"] = fold(query.q)
        own = self._scope(query, scope) is Scope.OWN
        if own:
            parameters["_owner"] = self._principal.id
        shape = Shape(own, query.q is not None, tuple(conditions))
        if query.by_cursor:
            return await self._by_cursor(listing, query, shape, parameters)
        return await self._by_number(listing, query, shape, parameters)

    def _scope(self, query: ListQuery[V], given: Scope | None) -> Scope:
        if given is not None:
            return given
        if self._grant is None:
            raise LookupError(f"{type(query).__name__} needs no permission: name a scope")
        return self._grant.scope

    async def _by_number(
        self,
        listing: ListStatements[V],
        query: ListQuery[V],
        shape: Shape,
        parameters: dict[str, Any],
    ) -> tuple[_Rows, dict[str, Any]]:
        size, offset = query.per_page, (query.page - 1) * query.per_page
        # counts every time, so not where filters make counting expensive and pages short
        counted = query.total and not shape.conditions and not shape.searched
        statement = listing.statement(shape._replace(sort=query.sort, counted=counted))
        window = {"_limit": size + 1, "_offset": offset}
        rows = await self._reader.rows(statement, parameters | window)
        total = None
        if query.total:
            total = offset + len(rows)
            if counted and rows:
                total = rows[0][-1]
            elif len(rows) > size or (offset and not rows):
                counting = listing.statement(shape._replace(part="count"))
                total = await self._reader.scalar(counting, parameters)
        return rows[:size], {
            "total": total,
            "page": query.page,
            "per_page": size,
            "pages": None if total is None else ceil(total / size),
            "has_more": len(rows) > size,
        }

    async def _by_cursor(
        self,
        listing: ListStatements[V],
        query: ListQuery[V],
        shape: Shape,
        parameters: dict[str, Any],
    ) -> tuple[_Rows, dict[str, Any]]:
        place = self._place(listing, query)
        size = query.limit or query.per_page
        shape = shape._replace(
            part="backward" if place.backward else "forward",
            sort=place.sort,
            nulls=tuple(value is None for value in place.values),
        )
        parameters |= {f"_key{n}": v for n, v in enumerate(place.values) if v is not None}
        found: list[Row[*tuple[Any, ...]]] = []
        for region in listing.regions(shape):
            statement = listing.statement(shape._replace(region=region))
            limit = {"_limit": size + 1 - len(found)}
            found += await self._reader.rows(statement, parameters | limit)
            if len(found) > size:
                break
            shape = shape._replace(nulls=())
        rows = found[:size][::-1] if place.backward else found[:size]
        more, came = len(found) > size, query.cursor is not None
        is_after, is_before = (came, more) if place.backward else (more, came)
        following = self._cursor(listing, place, rows[-1:], backward=False) if is_after else None
        preceding = self._cursor(listing, place, rows[:1], backward=True) if is_before else None
        return rows, {"next_cursor": following, "prev_cursor": preceding}

    def _cursor(
        self,
        listing: ListStatements[V],
        place: _Place,
        edge: Sequence[Row[*tuple[Any, ...]]],
        *,
        backward: bool,
    ) -> str:
        names = [name for name, _ in sort_keys(place.sort)]
        values = [
            listing.keys[name].adapter.dump_python(value, mode="json")
            for row in edge
            for name, value in zip(names, row[len(listing.fields) :], strict=True)
        ]
        return self._cursors.sign([listing.query.__name__, place.sort, backward, values])

    def _place(self, listing: ListStatements[V], query: ListQuery[V]) -> _Place:
        if query.cursor is None:
            return _Place(query.sort)
        match self._cursors.read(query.cursor):
            case [listing.query.__name__, [*made_for], bool(backward), [*values]]:
                sort = tuple(made_for)
            case _:
                raise _unusable("belongs to another list")
        if query.sort and query.sort != sort:
            raise _unusable("was made with another sort")
        keys = [key for key, _ in sort_keys(sort)]
        named = keys[: len(sort)]
        if not set(named) <= set(query.sortable) or (values and len(values) != len(keys)):
            raise _unusable("is no longer valid")
        grant = self._grant or UNLIMITED
        if any(grant.refuses(Source.QUERY, key) for key in named):
            raise Forbidden("Your role may not sort by a field of this cursor.")
        try:
            position = [
                listing.keys[key].adapter.validate_python(value)
                for key, value in zip(keys, values, strict=False)
            ]
        except ValidationError as error:
            raise _unusable("is no longer valid") from error
        return _Place(sort, backward, tuple(position))


def _page(
    listing: ListStatements[V], query: ListQuery[V], rows: _Rows, told: dict[str, Any]
) -> Page[V] | CursorPage[V]:
    kind = listing.cursor_page if query.by_cursor else listing.page
    return kind.model_validate({"items": listing.shown(rows), **told})


def _unusable(reason: str) -> Invalid:
    """The error for a cursor that cannot be used."""
    return Invalid(errors=(FieldError("cursor", "cursor", f"the cursor {reason}"),))
