"""Column types and the current time, made to behave the same on SQLite and PostgreSQL."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Double, SmallInteger, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine


class UtcDateTime(TypeDecorator[datetime]):
    """A moment, stored in UTC. SQLite drops the time zone, so it is added again on reading.

    Raises:
        ValueError: a value without a zone was to be stored.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    @property
    def python_type(self) -> type[datetime]:
        return datetime

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or value.tzinfo is UTC:
            return value
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def fits(value: Any, column_type: TypeEngine[Any]) -> bool:
    """Whether a value can be compared with a column on both databases.

    PostgreSQL refuses a NUL in a text and a number outside its type; SQLite accepts both.
    """
    if isinstance(value, str):
        return "\0" not in value
    if isinstance(value, int):
        return -(limit := _limit(column_type)) <= value < limit
    if isinstance(value, datetime):
        return value.tzinfo is not None and _is_utc_representable(value)
    return True


def _limit(column_type: TypeEngine[Any]) -> int:
    if isinstance(column_type, SmallInteger):
        return 2**15
    return 2**63 if isinstance(column_type, BigInteger) else 2**31


def _is_utc_representable(value: datetime) -> bool:
    try:
        value.astimezone(UTC)
    except OverflowError:
        return False
    return True


class SecondsFromNow(FunctionElement[Any]):
    """The database's present time plus ``seconds``: a number, or the name of a bind parameter."""

    inherit_cache = True
    type = UtcDateTime()

    def __init__(self, seconds: float | str = 0.0) -> None:
        if isinstance(seconds, str):
            super().__init__(bindparam(seconds, type_=Double))
        else:
            super().__init__(bindparam(None, seconds, Double))


@compiles(SecondsFromNow)
def _by_interval(element: SecondsFromNow, compiler: SQLCompiler, **options: Any) -> str:
    seconds = compiler.process(element.clauses, **options)
    return f"(statement_timestamp() + make_interval(secs => {seconds}))"


@compiles(SecondsFromNow, "sqlite")
def _by_strftime(element: SecondsFromNow, compiler: SQLCompiler, **options: Any) -> str:
    seconds = compiler.process(element.clauses, **options)
    moment = f"strftime('%Y-%m-%d %H:%M:%f', 'now', printf('%+.3f seconds', {seconds}))"
    return f"({moment} || '000')"
