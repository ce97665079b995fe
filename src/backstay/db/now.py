"""The database's own time, which is the same for every process however wrong their clocks are."""

from typing import Any

from sqlalchemy import Double, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from backstay.db.types import UtcDateTime


class SecondsFromNow(FunctionElement[Any]):
    """The moment so many seconds from now: a number, or the name of a parameter."""

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
