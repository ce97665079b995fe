"""A project with a column of every kind, on a database of either kind, and copies of it."""

import shutil
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import create_async_engine

from backstay.db.base import NAMING, UtcDateTime
from backstay.db.copying.copier import Report, copy
from backstay.db.fixed_point import FixedPoint
from backstay.db.migrations.runner import PLATFORM, History
from backstay.db.options import EngineOptions
from backstay.jobs.tables import Job
from backstay.testing.postgres_server import PostgresServer
from tests.db.shop import Shop, async_url

REVISION = """
def upgrade():
    from tests.db.copies import CHANGES, declared_in
    declared_in(sa.MetaData(), op.get_bind())
    for statement in CHANGES[op.get_bind().dialect.name]:
        op.execute(statement)

def downgrade():
    pass
"""
CHANGES = {
    "postgresql": (
        "CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN NEW.name = upper(NEW.name); RETURN NEW; END $$",
        "CREATE TRIGGER shout BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION shout()",
        "CREATE UNIQUE INDEX uq_things_lower_name ON things (lower(name))",
        "INSERT INTO kinds (id, name) VALUES (7, 'made by a migration')",
    ),
    "sqlite": (
        "CREATE TRIGGER shout AFTER INSERT ON things BEGIN "
        "UPDATE things SET name = upper(name) WHERE id = NEW.id; END",
        "CREATE UNIQUE INDEX uq_things_lower_name ON things (lower(name))",
        "INSERT INTO kinds (id, name) VALUES (7, 'made by a migration')",
    ),
}
KEYS = [UUID(int=2**96 * (7 - number) + number) for number in range(5)]
MOMENT = datetime(2026, 2, 28, 23, 59, 59, 999_999, UTC)


def declared_in(metadata: sa.MetaData, bind: Any = None) -> tuple[sa.Table, sa.Table]:
    """The tables of the project, made on the connection if there is one."""
    metadata.naming_convention = NAMING
    kinds = sa.Table(
        "kinds",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(30), nullable=False),
        sqlite_autoincrement=True,
    )
    things = sa.Table(
        "things",
        metadata,
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("name", sa.String(20), nullable=False),
        sa.Column("parent_id", sa.Uuid, sa.ForeignKey("things.id")),
        sa.Column("kind_id", sa.Integer, sa.ForeignKey("kinds.id")),
        sa.Column("note", sa.Text),
        sa.Column("code", sa.CHAR(4)),
        sa.Column("is_open", sa.Boolean),
        sa.Column("small", sa.SmallInteger),
        sa.Column("big", sa.BigInteger),
        sa.Column("ratio", sa.Double),
        sa.Column("single", sa.REAL),
        sa.Column("price", sa.Numeric(10, 2)),
        sa.Column("exact", sa.Numeric),
        sa.Column("amount", FixedPoint(18, 2)),
        sa.Column("raw", sa.LargeBinary),
        sa.Column("detail", sa.JSON),
        sa.Column("found", sa.JSON().with_variant(JSONB(), "postgresql")),
        sa.Column("mood", sa.Enum("grim", "merry", name="mood")),
        sa.Column("moment", UtcDateTime),
        sa.Column("local", sa.DateTime),
        sa.Column("day", sa.Date),
        sa.Column("clock", sa.Time),
        sa.Column("span", sa.Interval),
        sa.Column("twice", sa.Integer, sa.Computed("small * 2", persisted=True)),
    )
    if bind is not None:
        metadata.create_all(bind)
    return kinds, things


KINDS, THINGS = declared_in(sa.MetaData())


def thing(number: int, **values: Any) -> dict[str, Any]:
    """A row; the odd ones have nothing but what they need."""
    row: dict[str, Any] = {column.name: None for column in THINGS.c if column.name != "twice"}
    row |= {"id": KEYS[number], "name": f"Thing {number}", "parent_id": KEYS[number]}
    if number % 2:
        return row | values
    told: Any = [{"a": [1, 2.5, None, "ä\u2028"]}, 'say "so"', 1.5][number // 2]
    return row | {
        "parent_id": KEYS[number + 1] if number < 4 else None,
        "kind_id": 3,
        "note": "x" * 100 + "🙂\n\t",
        "code": "abcd",
        "is_open": number == 2,
        "small": -(2**15),
        "big": 2**63 - 1,
        "ratio": float("-inf") if number == 2 else 0.1 + 0.2,
        "single": 0.5,
        "price": Decimal("-1234.50"),
        "exact": Decimal("100.25") if number else Decimal(0),
        "amount": Decimal("19.90"),
        "raw": bytes(range(256)),
        "detail": told,
        "found": told,
        "mood": "merry",
        "moment": MOMENT - timedelta(days=number * 100_000),
        "local": MOMENT.replace(tzinfo=None),
        "day": date(1, 1, 1),
        "clock": time(23, 59, 59, 1),
        "span": timedelta(days=-3, hours=30, microseconds=1),
        **values,
    }


def job(position: int) -> dict[str, Any]:
    """A row of the platform's, whose position comes from a sequence of no column."""
    texts = dict.fromkeys(("name", "payload", "queue", "request_id", "address", "traceparent"), "")
    return texts | {
        "id": KEYS[0],
        "position": position,
        "state": "queued",
        "actor": "system",
        "max_attempts": 3,
        "attempts": 0,
        "is_cancelled": False,
        "result": {"a": "1"},
        "created_at": MOMENT,
        "due_at": MOMENT,
    }


class Copies:
    """Makes databases of the project and copies of them."""

    def __init__(self, folder: Path, postgres: Callable[[], PostgresServer]) -> None:
        self._folder = folder
        self._postgres = postgres
        self._templates: dict[str, Path] = {}
        self._made = 0
        self.history = History("shop", folder / "versions")
        self.histories = PLATFORM, self.history
        Shop(EngineOptions("sqlite://"), self.history).with_file("0001_things.py", REVISION, None)

    def new(self, kind: str) -> EngineOptions:
        """A database that does not exist, or is empty."""
        self._made += 1
        if kind == "sqlite":
            return EngineOptions(f"sqlite+aiosqlite:///{self._folder / f'{self._made}.db'}")
        return EngineOptions(async_url(self._postgres().create_database()))

    async def filled(self, kind: str) -> EngineOptions:
        """A database with some rows, among them one whose parent comes later."""
        return await self._copied("filled", kind, self._fill)

    async def migrated(self, kind: str) -> EngineOptions:
        """A database with the rows of the migrations alone."""
        return await self._copied("migrated", kind, self._migrate)

    async def copy(
        self,
        source: EngineOptions,
        target: EngineOptions,
        tell: Callable[..., None] = lambda *_: None,
    ) -> Report:
        return await copy(source, target, self.histories, tell)

    async def _copied(
        self, name: str, kind: str, make: Callable[[EngineOptions], Awaitable[None]]
    ) -> EngineOptions:
        """A new database; a file is made once and copied."""
        options = self.new(kind)
        if options.file is None:
            await make(options)
            return options
        if name not in self._templates:
            template = self.new(kind)
            await make(template)
            assert template.file is not None
            self._templates[name] = template.file
        shutil.copy(self._templates[name], options.file)
        return options

    async def _migrate(self, options: EngineOptions) -> None:
        await Shop(options, self.history).upgrade()

    async def _fill(self, options: EngineOptions) -> None:
        await self._migrate(options)
        before, after = _WITHOUT_TRIGGER["sqlite" if options.is_sqlite else "postgresql"]
        async with connected(options) as connection:
            await connection.exec_driver_sql(before)
            await connection.execute(KINDS.insert(), [{"id": 3, "name": "third"}])
            await connection.execute(KINDS.insert().values(id=40, name="gone"))
            await connection.execute(KINDS.delete().where(KINDS.c.id == 40))
            for number in (4, 3, 2, 1, 0):
                await connection.execute(THINGS.insert(), thing(number))
            await connection.execute(sa.insert(Job), job(41))
            if not options.is_sqlite:
                await connection.exec_driver_sql("SELECT setval('kinds_id_seq', 40)")
                await connection.exec_driver_sql("SELECT setval('jobs_position', 41)")
            await connection.exec_driver_sql(after)


_WITHOUT_TRIGGER = {
    "sqlite": ("DROP TRIGGER shout", CHANGES["sqlite"][0]),
    "postgresql": (
        "ALTER TABLE things DISABLE TRIGGER shout",
        "ALTER TABLE things ENABLE TRIGGER shout",
    ),
}


async def rows_of(options: EngineOptions, table: sa.Table = THINGS) -> list[Any]:
    """The rows of a table as the application sees them."""
    async with connected(options) as connection:
        return [
            tuple(row)
            for row in await connection.execute(table.select().order_by(*table.primary_key))
        ]


def connected(options: EngineOptions) -> Any:
    """A transaction in a database."""
    return create_async_engine(options.url, poolclass=sa.NullPool).begin()


def digests(report: Report) -> dict[str, tuple[int, str]]:
    """By table, what was compared."""
    return {each.table: (each.rows, each.digest) for each in report.tables}


async def asked(options: EngineOptions, *statements: str) -> list[Any]:
    """The first values that statements return, in one transaction."""
    async with connected(options) as connection:
        found = [await connection.execute(sa.text(each)) for each in statements]
        return [each.scalar() if each.returns_rows else None for each in found]
