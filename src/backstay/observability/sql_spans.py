"""Records one span per statement that SQLAlchemy executes within a recorded trace."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from opentelemetry.trace import get_current_span
from sqlalchemy import Engine, event

from backstay.core.tracing import SpanKind, Tracer

_TARGET = re.compile(r"\b(?:FROM|INTO|UPDATE|JOIN)\s+\"?([A-Za-z_]\w*)", re.IGNORECASE)
_TEXT = 4000
"""The most characters of a statement in a span."""


def follow(engine: Engine, tracer: Tracer) -> None:
    """Record the statements of an engine: their text, which has no values, but no parameters.

    What a driver does by itself, such as BEGIN and COMMIT, is in the span around it. The events are
    those of the dialect: with one on connections, SQLAlchemy would make each statement dearer, also
    in requests that are not traced.
    """
    system = "sqlite" if engine.dialect.name == "sqlite" else "postgresql"

    def traced(run: Callable[..., None]) -> Callable[..., bool]:
        def execute(cursor: Any, statement: str, *rest: Any) -> bool:
            if not get_current_span().is_recording():
                return False
            name, operation = _named(statement)
            about = {
                "db.system.name": system,
                "db.operation.name": operation,
                "db.query.text": statement[:_TEXT],
            }
            with tracer.span(name, SpanKind.CLIENT, about):
                run(cursor, statement, *rest)
            return True

        return execute

    dialect = engine.dialect
    for name in ("do_execute", "do_executemany", "do_execute_no_params"):
        event.listen(engine, name, traced(getattr(dialect, name)))


@lru_cache(maxsize=2000)
def _named(statement: str) -> tuple[str, str]:
    """The name of a statement, such as ``SELECT items``, and its first word."""
    operation = statement.lstrip("( \n").split(None, 1)[0].upper() if statement.strip() else "?"
    found = _TARGET.search(statement)
    return f"{operation} {found[1]}" if found else operation, operation
