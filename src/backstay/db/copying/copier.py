"""Copies every table of one database into another, and compares what both then hold."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

from backstay.db import migrate
from backstay.db.copying.codecs import AnyCodec, Codec, PlainCodec, Unfitting
from backstay.db.copying.digest import Digest, differences, digest_of
from backstay.db.copying.preparing import prepare
from backstay.db.copying.sides import Columns, CopyFailed, Counter, Side
from backstay.db.migrations.runner import Histories
from backstay.db.migrations.standing import State
from backstay.db.options import EngineOptions

AGAIN = "What is copied is kept: run this again, and it goes on."

Tell = Callable[[str, int, int], None]
"""Called with a table, how many rows of it were copied or compared since, and its rows."""


@dataclass(frozen=True, slots=True)
class Copied:
    """One table: its rows, their digest, how many of them were there before, and the seconds."""

    table: str
    rows: int
    digest: str
    kept: int
    seconds: float


@dataclass
class Report:
    """What was copied, and what was not, in sentences."""

    tables: list[Copied] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


class _Stale(Exception):
    """What an earlier copy left in a table is not what the source has now."""


async def copy(
    source: EngineOptions, target: EngineOptions, histories: Histories, tell: Tell
) -> Report:
    """Copy a database into one that is absent, empty, or the target of an unfinished copy.

    Nobody else may write to the source meanwhile. The target has no revisions until everything is
    copied and compared, so that no server starts on it before.

    Raises:
        CopyFailed: the databases are in use or unsuitable, rows do not fit, or they differ.
        MigrationError: the target cannot be migrated.
    """
    _require_two(source, target)
    await _require_source(source, histories)
    found = await migrate.standing(target, histories)
    if found.state not in {State.ABSENT, State.EMPTY, State.CURRENT, State.UNFINISHED}:
        raise CopyFailed(f"The target is no copy of this database. {found.sentence}")
    report = None
    try:
        async with AsyncExitStack() as stack:
            ours = await _opened(source, is_source=True)
            stack.push_async_callback(ours.close)
            theirs = await _opened(target, is_source=False)
            stack.push_async_callback(theirs.close)
            if found.state is not State.UNFINISHED:
                await prepare(target, found, histories)
            report = await _Copy(ours, theirs, tell).run()
    except asyncio.CancelledError:  # after the end nothing is left to be stopped
        if report is None:
            raise
    return report


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Wait for what Ctrl-C does not stop: whoever stops it could not know whether it was done."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task


def _require_two(source: EngineOptions, target: EngineOptions) -> None:
    same = source.url == target.url
    if source.file and target.file:
        same = source.file.resolve() == target.file.resolve()
    if same:
        raise CopyFailed("Source and target are the same database.")


async def _require_source(source: EngineOptions, histories: Histories) -> None:
    standing = await migrate.standing(source, histories)
    if standing.state is not State.CURRENT:
        raise CopyFailed(f"The source, `{source.shown_url}`: {standing.sentence}")


async def _opened(options: EngineOptions, *, is_source: bool) -> Side:
    """Connect; the driver of PostgreSQL is imported only where it is used."""
    if options.is_sqlite:
        from backstay.db.copying.sqlite_side import SqliteSide

        return await (SqliteSide.source if is_source else SqliteSide.target)(options)
    from backstay.db.copying.postgres_side import PostgresSide

    return await (PostgresSide.source if is_source else PostgresSide.target)(options)


class _Copy:
    """A copy between two open databases."""

    def __init__(self, source: Side, target: Side, tell: Tell) -> None:
        self._source = source
        self._target = target
        self._tell = tell
        self._report = Report()

    async def run(self) -> Report:
        """Copy and compare every table, then finish the target."""
        ours, theirs = await self._source.tables(), await self._target.tables()
        self._match(ours, theirs)
        codecs = {table: self._codec(table, ours, theirs) for table in theirs}
        try:
            for table, codec in codecs.items():
                self._report.tables.append(await self._table(table, codec))
            await _to_its_end(self._target.finish(await self._last(theirs)))
        except CopyFailed as error:
            raise CopyFailed(f"{error} {AGAIN}") from error
        return self._report

    def _match(self, ours: Columns, theirs: Columns) -> None:
        """Refuse a source without what the target has; tell what the target has no place for."""
        missing = [table for table in theirs if table not in ours]
        for table in theirs.keys() & ours.keys():
            there, here = ({c.name for c in side[table]} for side in (theirs, ours))
            missing += [f"{table}.{name}" for name in sorted(there - here)]
            self._remark(f"{table}.{name}" for name in sorted(here - there))
        self._remark(sorted(ours.keys() - theirs.keys()))
        if missing:
            raise CopyFailed(
                f"The source lacks {', '.join(sorted(missing))}, which its migrations make: see "
                "`backstay db check`."
            )

    def _remark(self, names: "Iterator[str] | list[str]") -> None:
        self._report.remarks += [f"Not copied: {name}, which no migration makes." for name in names]

    def _codec(self, table: str, ours: Columns, theirs: Columns) -> AnyCodec:
        """How rows of the table become bytes, in the order of the target's columns."""
        if self._source.is_sqlite and self._target.is_sqlite:
            return PlainCodec(theirs[table])
        is_mixed = self._source.is_sqlite is not self._target.is_sqlite
        typed = theirs if self._source.is_sqlite else ours
        by_name = {column.name: column for column in typed[table]}
        columns = tuple(by_name[column.name] for column in theirs[table])
        unknown = [column for column in columns if is_mixed and column.kind is None]
        if unknown:
            raise CopyFailed(
                f"{table}.{unknown[0].name} has the type {unknown[0].type}, for which SQLite has "
                "no form."
            )
        return Codec(columns, is_mixed)

    async def _table(self, table: str, codec: AnyCodec) -> Copied:
        begun = monotonic()
        kept = await self._target.count(table)
        try:
            digest = await self._carried(table, codec, kept)
        except _Stale:
            await self._target.clear(table)
            kept = 0
            digest = await self._carried(table, codec, kept)
        return Copied(table, digest.count, str(digest), kept, monotonic() - begun)

    async def _carried(self, table: str, codec: AnyCodec, kept: int) -> Digest:
        """Copy what the target lacks after its first ``kept`` rows, then compare all.

        Raises:
            _Stale: those are not the first rows of the source.
        """
        source, target, total = self._source, self._target, await self._source.count(table)
        there = await digest_of(codec, target.rows(table, codec)) if kept else Digest()
        digest = Digest()
        try:
            async for rows in source.rows(table, codec):
                known = min(len(rows), max(0, kept - digest.count))
                digest.add(codec.normal(rows[:known]))
                if digest.count == kept and kept and known and digest != there:
                    raise _Stale
                if rest := rows[known:]:
                    await target.write(table, codec, rest)
                    digest.add(codec.normal(rest))
                self._tell(table, len(rows), total)
        except Unfitting as error:
            raise CopyFailed(
                f"Rows of {table} do not fit into the target. {error}. Correct them in the source."
            ) from error
        if digest.count < kept:
            raise _Stale
        if digest.count > kept:
            there = await self._read_back(table, codec, total)
        if digest != there:
            await self._tell_difference(table, codec)
        return digest

    async def _read_back(self, table: str, codec: AnyCodec, total: int) -> Digest:
        found = Digest()
        async for rows in self._target.rows(table, codec):
            found.add(codec.normal(rows))
            self._tell(table, len(rows), total)
        return found

    async def _tell_difference(self, table: str, codec: AnyCodec) -> None:
        found = await differences(
            codec,
            lambda: self._source.rows(table, codec),
            lambda: self._target.rows(table, codec),
        )
        told = "; ".join(found)
        raise CopyFailed(
            f"The copy of {table} differs from the source: {told}. The target stays unfinished, "
            "and no server starts on it. Something else writes to it, or a trigger does."
        )

    async def _last(self, theirs: Columns) -> list[Counter]:
        """For each counter of the target, the last number that the source has given.

        It is what a counter of the source says, or the highest number in the column. A sequence
        of no column is of the one for which it is named, such as `jobs_position`.
        """
        ours, found = await self._source.counters(), []
        for counter in await self._target.counters():
            table, column = _counted(counter, theirs)
            told = [
                each.last
                for each in ours
                if each.last is not None
                and (
                    each.name == counter.name
                    or (column and _counted(each, theirs) == (table, column))
                )
            ]
            if column:
                highest = await self._source.highest(table, column)
                told += [] if highest is None else [highest]
            elif not told:
                self._report.remarks.append(f"The sequence {counter.name} begins anew.")
            if told:
                found.append(replace(counter, last=max(told)))
        return found


def _counted(counter: Counter, tables: Columns) -> tuple[str, str]:
    """The table and the column that a counter is for; empty texts if it is for none."""
    if counter.column:
        return counter.table, counter.column
    for table, columns in tables.items():
        for column in columns:
            if counter.name in {f"{table}_{column.name}", f"{table}_{column.name}_seq"}:
                return table, column.name
    return "", ""
