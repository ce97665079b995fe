"""Records one span per statement that SQLAlchemy executes within a recorded trace."""

import re
from functools import lru_cache
from typing import Any

from opentelemetry.trace import SpanKind, StatusCode, Tracer, get_current_span
from sqlalchemy import Connection, Engine, ExceptionContext, event

_TARGET = re.compile(r"\b(?:FROM|INTO|UPDATE|JOIN)\s+\"?([A-Za-z_]\w*)", re.IGNORECASE)
_TEXT = 4000
"""The most characters of a statement in a span."""
_SPAN = "_backstay_span"


def follow(engine: Engine, tracer: Tracer) -> None:
    """Record the statements of an engine: their text, which has no values, but no parameters.

    What a driver does by itself, such as BEGIN and COMMIT, is in the span around it.
    """
    system = "sqlite" if engine.dialect.name == "sqlite" else "postgresql"

    @event.listens_for(engine, "before_cursor_execute")
    def begin(
        connection: Connection,
        cursor: Any,
        statement: str,
        parameters: Any,
        context: Any,
        many: bool,
    ) -> None:
        if context is None or not get_current_span().is_recording():
            return
        name, operation = _named(statement)
        attributes = {
            "db.system.name": system,
            "db.operation.name": operation,
            "db.query.text": statement[:_TEXT],
        }
        setattr(context, _SPAN, tracer.start_span(name, None, SpanKind.CLIENT, attributes))

    @event.listens_for(engine, "after_cursor_execute")
    def end(
        connection: Connection,
        cursor: Any,
        statement: str,
        parameters: Any,
        context: Any,
        many: bool,
    ) -> None:
        span = getattr(context, _SPAN, None)
        if span is not None:
            span.end()

    @event.listens_for(engine, "handle_error")
    def fail(failed: ExceptionContext) -> None:
        span = getattr(failed.execution_context, _SPAN, None)
        if span is not None:
            span.set_attribute("error.type", type(failed.original_exception).__qualname__)
            span.set_status(StatusCode.ERROR)
            span.end()


@lru_cache(maxsize=2000)
def _named(statement: str) -> tuple[str, str]:
    """The name of a statement, such as ``SELECT items``, and its first word."""
    operation = statement.lstrip("( \n").split(None, 1)[0].upper() if statement.strip() else "?"
    found = _TARGET.search(statement)
    return f"{operation} {found[1]}" if found else operation, operation
