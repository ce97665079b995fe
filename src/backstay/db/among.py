"""A comparison with a list whose SQL is the same for every length, so it is prepared once."""

from collections.abc import Sequence
from json import dumps
from typing import Any

from sqlalchemy import Boolean, Dialect, Text, bindparam
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine


class _ListOf(TypeDecorator[Sequence[Any]]):
    """A list of values of one type: an array on PostgreSQL, JSON on SQLite."""

    impl = Text
    cache_ok = True

    def __init__(self, item: TypeEngine[Any]) -> None:
        super().__init__()
        self.item = item

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(ARRAY(self.item))
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: Sequence[Any] | None, dialect: Dialect) -> Any:
        if value is None or dialect.name == "postgresql":
            return value
        process = self.item.dialect_impl(dialect).bind_processor(dialect)
        return dumps([process(each) for each in value] if process else list(value))


class Among(FunctionElement[bool]):
    """Whether a column is equal to one of the values in the list that a bind parameter holds."""

    inherit_cache = True
    type = Boolean()

    def __init__(self, column: InstrumentedAttribute[Any], name: str) -> None:
        super().__init__(column, bindparam(name, type_=_ListOf(column.type)))


@compiles(Among)
def _in_array(element: Among, compiler: SQLCompiler, **options: Any) -> str:
    column, values = element.clauses
    found = compiler.process(values, **options)
    return f"{compiler.process(column, **options)} = ANY ({found})"


@compiles(Among, "sqlite")
def _in_json(element: Among, compiler: SQLCompiler, **options: Any) -> str:
    column, values = element.clauses
    found = compiler.process(values, **options)
    return f"{compiler.process(column, **options)} IN (SELECT value FROM json_each({found}))"  # noqa: S608
