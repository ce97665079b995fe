"""List queries: paging, sorting, searching and declared filters, the same in every list."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, Generic, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from backstay.core.messages import Query, View, argument_of
from backstay.core.permissions import Source
from backstay.core.wiring import Code, Flaw

V = TypeVar("V", bound=View)
T = TypeVar("T")

MAX_ROWS = 1000


def _split(value: Any) -> Any:
    items = value if isinstance(value, (list, tuple)) else [value]
    return [
        part for item in items for part in (item.split(",") if isinstance(item, str) else [item])
    ]


Several = Annotated[tuple[T, ...], Field(max_length=100), BeforeValidator(_split)]


class Equals(BaseModel, Generic[T]):
    """Conditions on one field of a list, all of which must hold: ``=``, ``__in``, ``__isnull``.

    In a URL ``eq`` is ``field=``, every other operator ``field__operator=``. A condition with a
    ``date`` on a column with moments means the whole day in UTC.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    eq: T | None = None
    in_: Several[T] | None = Field(default=None, alias="in")
    isnull: bool | None = None

    @classmethod
    def operators(cls) -> dict[str, FieldInfo]:
        """The operators by their names in a URL."""
        return {field.alias or name: field for name, field in cls.model_fields.items()}


class Range(Equals[T]):
    """A field with an order: also ``__gte``, ``__lte``, ``__gt`` and ``__lt``."""

    gte: T | None = None
    lte: T | None = None
    gt: T | None = None
    lt: T | None = None


class Text(Equals[str]):
    """A text: also ``__contains``, case-insensitive."""

    contains: str | None = Field(default=None, max_length=200)


class Page(View, Generic[V]):
    """One page by number (offset paging); ``total`` and ``pages`` are null with ``total=false``."""

    items: tuple[V, ...]
    total: int | None
    page: int
    per_page: int
    pages: int | None
    has_more: bool


class CursorPage(View, Generic[V]):
    """One page by position (keyset paging): its cost does not depend on the depth."""

    items: tuple[V, ...]
    next_cursor: str | None
    prev_cursor: str | None


class ListQuery(Query[Page[V] | CursorPage[V]], Generic[V]):
    """The base of every list.

    A subclass names the columns that may be sorted by and searched, and declares each filter as
    a field of type :class:`Equals`, :class:`Range` or :class:`Text`, null by default. Parameters
    that are not declared are refused.
    """

    sortable: ClassVar[tuple[str, ...]] = ()
    searchable: ClassVar[tuple[str, ...]] = ()

    page: int = Field(
        default=1,
        ge=1,
        le=1_000_000,
        description="Number of the page, from 1 on; not together with `limit` or `cursor`.",
    )
    per_page: int = Field(
        default=20,
        ge=1,
        le=MAX_ROWS,
        description="Rows of a numbered page; not together with `limit` or `cursor`.",
    )
    total: bool = Field(
        default=True,
        description="Whether to count all rows; not together with `limit` or `cursor`.",
    )
    limit: int | None = Field(
        default=None,
        ge=1,
        le=MAX_ROWS,
        description="Asks for a page by position (keyset) of so many rows, at most.",
    )
    cursor: str | None = Field(
        default=None,
        max_length=2000,
        description="Asks for the page by position that an answer called `next_cursor` or "
        "`prev_cursor`.",
    )
    sort: tuple[str, ...] = Field(
        default=(),
        max_length=5,
        description="Comma-separated fields, `-` in front for descending: `-created_at,title`.",
    )
    q: str | None = Field(default=None, min_length=1, max_length=200, description="Search text.")

    @classmethod
    def result_type(cls) -> Any:
        """Either kind of page, with the view that the list is declared with."""
        view: Any = argument_of(cls, ListQuery)
        return Page[view] | CursorPage[view]

    @classmethod
    def flaws(cls) -> Iterator[Flaw]:
        """The wiring faults; sorted and searched columns must be filters, so that field rules can
        name them."""
        yield from super().flaws()
        for told in ("sortable", "searchable"):
            if isinstance(text := getattr(cls, told), str):
                problem = f"`{told}` of {cls.__name__} is the text {text!r}, no tuple of names."
                yield Flaw(Code.LIST_NAMES, problem, f"Write `{told} = ({text!r},)`.")
        for name in sorted(
            {*_names(cls.sortable), *_names(cls.searchable)} - cls.model_fields.keys()
        ):
            problem = f"{cls.__name__} sorts by or searches `{name}`, which is no filter of it."
            hint = f"Declare `{name}` as a filter, or leave it out of `sortable` and `searchable`."
            yield Flaw(Code.LIST_UNDECLARED, problem, hint)
        for name in PAGING:
            if cls.model_fields[name].annotation != ListQuery.model_fields[name].annotation:
                problem = f"{cls.__name__} has a filter `{name}`, which pages, sorts or searches."
                hint = "Give the filter another name; `columns` of the listing says what it means."
                yield Flaw(Code.LIST_PARAMETER_TAKEN, problem, hint)
        conditions = {
            f"{name}__{o}" for name, kind in cls.filters().items() for o in kind.operators()
        }
        for name in sorted(conditions & cls.model_fields.keys()):
            problem = f"The field `{name}` of {cls.__name__} is a condition of a filter, too."
            yield Flaw(Code.LIST_PARAMETER_TAKEN, problem, "Give the field another name.")

    @property
    def by_cursor(self) -> bool:
        """Whether keyset paging was asked for."""
        return self.limit is not None or self.cursor is not None

    @classmethod
    @cache
    def filters(cls) -> Mapping[str, type[Equals[Any]]]:
        """The fields that are filters: the class of each, by name."""
        return {
            name: kind
            for name, field in cls.model_fields.items()
            for kind in (field.annotation, *get_args(field.annotation))
            if isinstance(kind, type) and issubclass(kind, Equals)
        }

    def conditions(self) -> Iterator[tuple[str, str, Any]]:
        """Every requested condition, as field, operator and value."""
        for name in self.filters():
            value = getattr(self, name)
            if value is not None:
                for operator in type(value).model_fields:
                    operand = getattr(value, operator)
                    if operand is not None:
                        yield name, operator, operand

    def named_fields(self) -> set[tuple[Source, str]]:
        """Sorting by a field names it, and so does searching it; paging fields are not named."""
        named = {
            (source, path.partition(".")[0])
            for source, path in super().named_fields()
            if path not in PAGING
        }
        named |= {(Source.QUERY, key.removeprefix("-")) for key in self.sort}
        if self.q is not None:
            named |= {(Source.QUERY, name) for name in self.searchable}
        return named

    @field_validator("sort", mode="before")
    @classmethod
    def _split_sort(cls, value: Any) -> Any:
        return tuple(part.strip() for part in _split(value) if part)

    @model_validator(mode="after")
    def _consistent(self) -> "ListQuery[V]":
        if self.by_cursor and any(
            getattr(self, name) != type(self).model_fields[name].default
            for name in ("page", "per_page", "total")
        ):  # default values are accepted: some clients always send them
            raise PydanticCustomError(
                "mixed_paging", "page, per_page and total cannot be combined with limit or cursor"
            )
        names = [key.removeprefix("-") for key in self.sort]
        if any(name not in self.sortable for name in names):
            known = ", ".join(self.sortable) or "nothing"
            raise PydanticCustomError(
                "sort", "sort knows {known}", {"known": known, "field": "sort"}
            )
        if len(set(names)) != len(names):
            raise PydanticCustomError("sort", "sort names a field twice", {"field": "sort"})
        if self.q is not None and not self.searchable:
            raise PydanticCustomError("q", "this list cannot be searched", {"field": "q"})
        return self


def _names(told: tuple[str, ...] | str) -> tuple[str, ...]:
    """The names; none of a text, which is a fault of its own."""
    return () if isinstance(told, str) else told


PAGING = frozenset(ListQuery.model_fields)
"""The fields that every list has; field rules name the columns they refer to instead."""
