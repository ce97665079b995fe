"""What a copy asks of its source and of its target, whichever database each is."""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from backstay.db.copying.codecs import AnyCodec, Column
from backstay.db.migrations.runner import MigrationError
from backstay.db.migrations.standing import UNFINISHED_COPY

VERSIONS, NOTES = "alembic_version", "backstay_copy"
"""Tables that are not copied: the revisions, and what is to be done at the end of a copy."""
BATCH_BYTES = 4 * 2**20
BATCH_ROWS = 10_000
APPLICATION = "backstay copy"


class CopyFailed(MigrationError):
    """A copy cannot begin or go on; the text says why, in sentences."""


@dataclass(frozen=True, slots=True)
class Counter:
    """What gives a column its next number; ``last`` is the last one that was given, or None.

    ``column`` is empty for a sequence that belongs to no column.
    """

    name: str
    table: str
    column: str
    last: int | None


Columns = dict[str, tuple[Column, ...]]
"""By table, the columns whose values are stored: not those that the database computes."""


class Side(Protocol):
    """A database during a copy, on a connection of its own."""

    is_sqlite: bool

    async def tables(self) -> Columns:
        """The tables of the application, and those that others added."""

    async def count(self, table: str) -> int:
        """The number of rows."""

    def rows(self, table: str, codec: AnyCodec) -> AsyncIterator[list[bytes]]:
        """Every row, in an order that stays while nobody writes."""

    async def write(self, table: str, codec: AnyCodec, rows: list[bytes]) -> None:
        """Add rows, all or none."""

    async def clear(self, table: str) -> None:
        """Remove the rows of an unfinished copy."""

    async def counters(self) -> list[Counter]:
        """What gives columns their numbers."""

    async def highest(self, table: str, column: str) -> int | None:
        """The highest number in a column, or None."""

    async def finish(self, last: Iterable[Counter]) -> None:
        """Bring back what was taken away, and the revisions, in one transaction."""

    async def close(self) -> None:
        """Release locks and the connection."""


def marking(revisions: Sequence[str], undo: Sequence[str]) -> list[str]:
    """The statements that mark a database as the target of a copy that has not ended.

    ``undo`` is kept there until the end: what brings back the constraints and triggers.
    """
    last = [f"DELETE FROM {VERSIONS}"]  # noqa: S608 - names and revisions are our own
    last += [f"INSERT INTO {VERSIONS} VALUES ({literal(each)})" for each in revisions]  # noqa: S608
    kept = enumerate([*undo, *last, f"DROP TABLE {NOTES}"])
    return [
        f"CREATE TABLE {NOTES} (position INTEGER PRIMARY KEY, statement TEXT NOT NULL)",
        *(f"INSERT INTO {NOTES} VALUES ({n}, {literal(each)})" for n, each in kept),  # noqa: S608
        f"DELETE FROM {VERSIONS}",  # noqa: S608
        f"INSERT INTO {VERSIONS} VALUES ({literal(UNFINISHED_COPY)})",  # noqa: S608
    ]


def literal(text: str) -> str:
    """A text in SQL."""
    return "'" + text.replace("'", "''") + "'"


def quoted(*names: str) -> str:
    """Names in SQL, with commas."""
    return ", ".join('"' + name.replace('"', '""') + '"' for name in names)
