"""How a database reads the page of a list."""

from typing import Any

from sqlalchemy import event

from backstay.composition import Backstay
from backstay.core.messages import Query


async def plan_of(backstay: Backstay, query: Query[Any]) -> str:
    """The plan, in lower case, of the first statement of a query that the application sends."""
    asked: list[tuple[str, Any]] = []
    engine = backstay.database.read_engine

    def note(_: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        asked.append((statement, parameters))

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    await backstay.system(query)
    event.remove(engine.sync_engine, "before_cursor_execute", note)
    prefix = "EXPLAIN " if engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN "
    statement, parameters = asked[0]
    async with engine.connect() as connection:
        found = await connection.exec_driver_sql(prefix + statement, parameters)
        return str(found.all()).lower()
