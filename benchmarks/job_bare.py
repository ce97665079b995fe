"""The rows of stored jobs and of jobs that were run, written by the bare driver.

``python -m benchmarks.job_bare ROLE URL COUNT`` is one process of that.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import asyncpg
from uuid_utils.compat import uuid7

from backstay.db.sqlite import in_use

AT_ONCE = 8
CHANNEL = "bench_jobs"
WARMING, PAUSE = 50, 0.03
"""Jobs before the first that counts, and the seconds between two."""
JOB = (
    "INSERT INTO jobs (id, position, name, payload, queue, state, attempts, max_attempts, spared,"
    " actor, request_id, address, traceparent, is_cancelled, created_at, due_at)"
    " VALUES (?1, POSITION, 'Rest', '{}', 'default', 'queued', 0, 30, 0, 'system', '', '', '',"
    " false, NOW, NOW)"
)
ACTIVITY = (
    "INSERT INTO activity (id, created_at, actor, address, request_id, message, targets, fields,"
    " outcome) VALUES (?1, NOW, 'system', '', '', 'Rest', '{}', '[]', 'ok')"
)
CLAIM = (
    "UPDATE jobs SET state = 'running', attempts = 1, started_at = NOW WHERE id IN (SELECT id FROM"
    " jobs WHERE state = 'queued' AND finished_at IS NULL ORDER BY due_at, position LIMIT 8 LOCKED)"
    " RETURNING id"
)
END = (
    "UPDATE jobs SET state = 'succeeded', finished_at = NOW"
    " WHERE id = ?1 AND attempts = 1 AND state = 'running'"
)


RAN = "SELECT min(started_at), max(finished_at), count(*) FROM jobs"
EMPTIED = ("DELETE FROM jobs", "DELETE FROM activity")


def for_postgres(sql: str) -> str:
    """A statement above, for PostgreSQL; a stored job notifies."""
    told = sql.replace("?1", "$1").replace("NOW", "statement_timestamp()")
    told = told.replace("LOCKED", "FOR UPDATE SKIP LOCKED")
    told = told.replace("POSITION", "nextval('jobs_position')")
    return told + " RETURNING pg_notify('backstay_jobs', queue)" if sql is JOB else told


def for_sqlite(sql: str) -> str:
    """A statement above, for SQLite."""
    told = sql.replace("NOW", "strftime('%Y-%m-%d %H:%M:%f000', 'now')").replace("LOCKED", "")
    return told.replace("POSITION", "(SELECT coalesce(max(position), 0) + 1 FROM jobs)")


async def store(url: str, count: int) -> None:
    """One transaction for each job stored, ``AT_ONCE`` connections."""

    async def task(connection: Any) -> int:
        for _ in range(count // AT_ONCE):
            async with connection.transaction():
                await connection.fetch(for_postgres(JOB), uuid7())
                await connection.fetch(for_postgres(ACTIVITY), uuid7())
        return count // AT_ONCE

    await _at_once(url, task)


async def work(url: str, _: int) -> None:
    """Claims of eight jobs, then one transaction for each job run, ``AT_ONCE`` connections."""

    async def task(connection: Any) -> int:
        done = 0
        while rows := await connection.fetch(for_postgres(CLAIM)):
            for row in rows:
                async with connection.transaction():
                    await connection.fetch(for_postgres(END), row[0])
                    await connection.fetch(for_postgres(ACTIVITY), uuid7())
            done += len(rows)
        return done

    await _at_once(url, task)


async def _at_once(url: str, task: Callable[[Any], Awaitable[int]]) -> None:
    connections = [await asyncpg.connect(_plain(url)) for _ in range(AT_ONCE)]
    begun, burnt = time.perf_counter(), time.process_time()
    done = sum(await asyncio.gather(*map(task, connections)))
    _tell(done, begun, burnt)
    for connection in connections:
        await connection.close()


def store_in_file(path: str, count: int) -> None:
    """One transaction for each job stored, on SQLite."""
    connection = _file(path)
    begun, burnt = time.perf_counter(), time.process_time()
    for _ in range(count):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(for_sqlite(JOB), (uuid7().hex,))
        connection.execute(for_sqlite(ACTIVITY), (uuid7().hex,))
        connection.execute("COMMIT")
    _tell(count, begun, burnt)


def work_in_file(path: str, _: int) -> None:
    """Claims of eight jobs, then one transaction for each job run, on SQLite."""
    connection, done = _file(path), 0
    begun, burnt = time.perf_counter(), time.process_time()
    while True:
        connection.execute("BEGIN IMMEDIATE")
        rows = connection.execute(for_sqlite(CLAIM)).fetchall()
        connection.execute("COMMIT")
        if not rows:
            break
        for row in rows:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(for_sqlite(END), row)
            connection.execute(for_sqlite(ACTIVITY), (uuid7().hex,))
            connection.execute("COMMIT")
        done += len(rows)
    _tell(done, begun, burnt)


async def ran(url: str, _: int) -> None:
    """Tell how many were run per second, from the first start to the last end; delete all."""
    connection = await asyncpg.connect(_plain(url))
    first, last, count = (await connection.fetch(RAN))[0]
    for statement in EMPTIED:
        await connection.execute(statement)
    await connection.close()
    print(json.dumps({"rate": count / (last - first).total_seconds()}))


def ran_in_file(path: str, _: int) -> None:
    """The same, on SQLite."""
    connection = _file(path)
    first, last, count = connection.execute(RAN).fetchone()
    for statement in EMPTIED:
        connection.execute(statement)
    seconds = (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()
    print(json.dumps({"rate": count / seconds}))


async def wait(url: str, _: int) -> None:
    """LISTEN, and claim one job at each notification, until killed; tell when that is done."""
    listener, connection = [await asyncpg.connect(_plain(url)) for _ in range(2)]
    notified: asyncio.Queue[str] = asyncio.Queue()
    await listener.add_listener(CHANNEL, lambda *given: notified.put_nowait(given[3]))
    print("ready", flush=True)
    while True:
        told = await notified.get()
        await connection.fetch(for_postgres(CLAIM))
        print(told, time.time(), flush=True)


async def notify(url: str, count: int) -> None:
    """Store jobs one at a time, notify of each with the commit, and tell when that is done."""
    connection = await asyncpg.connect(_plain(url))
    for number in range(WARMING + count):
        job_id = uuid7()
        async with connection.transaction():
            await connection.fetch(for_postgres(JOB), job_id)
            await connection.fetch(f"SELECT pg_notify('{CHANNEL}', $1)", str(job_id))
        if number >= WARMING:
            print(job_id, time.time(), flush=True)
        await asyncio.sleep(PAUSE)
    await connection.close()


def _file(path: str) -> Any:
    connection = in_use().module.connect(path, isolation_level=None, timeout=30)
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def _plain(url: str) -> str:
    return url.replace("+asyncpg", "")


def _tell(count: int, begun: float, burnt: float) -> None:
    took, cpu = time.perf_counter() - begun, time.process_time() - burnt
    print(json.dumps({"rate": count / took, "count": count, "cpu": cpu}))


def main(role: str, url: str, count: int) -> None:
    """Do what one role does, on the database of a URL."""
    if url.startswith("sqlite"):
        in_file = {"store": store_in_file, "work": work_in_file, "ran": ran_in_file}
        in_file[role](url.removeprefix("sqlite:///"), count)
    else:
        roles = {"store": store, "work": work, "ran": ran, "wait": wait, "notify": notify}
        asyncio.run(roles[role](url, count))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
