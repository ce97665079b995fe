"""Faults of the database, its replica, the broker and the mail server, made for real."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from backstay.db.sqlite import in_use
from tests.monitoring.fault_steps import (
    again,
    create,
    going_on,
    locked,
    locked_at_times,
    many,
    one_more,
    start_task,
    stopped,
)
from tests.monitoring.stand import Stand
from tests.monitoring.stand_files import EXTRA, FOLDER, REPLICA
from tests.services.smtp import RecordingMailHandler

BOUNCES = "bounces@example.com"


@asynccontextmanager
async def other_writer(_: Stand, __: RecordingMailHandler) -> AsyncIterator[None]:
    """Another process writes to the file of SQLite for long."""

    async def write(client: httpx.AsyncClient) -> None:
        body = {"email": "admin@example.com", "password": "of the other server"}
        await client.post("/api/v1/auth/login", json=body)

    async def hold() -> None:
        file = FOLDER / "extra/state/backstay.db"
        with in_use().module.connect(file, isolation_level=None) as connection:
            while True:
                connection.execute("BEGIN IMMEDIATE")
                await asyncio.sleep(1.2)
                connection.execute("ROLLBACK")
                await asyncio.sleep(0.2)

    async with (
        one_more("0.1.0"),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{EXTRA}", timeout=30) as client,
        going_on(hold(), *many(2, lambda: write(client))),
    ):
        yield


@asynccontextmanager
async def no_connection(stand: Stand, _: RecordingMailHandler) -> AsyncIterator[None]:
    """Commands wait behind a locked table, and hold every connection."""
    async with locked(stand, "items"), going_on(*many(80, lambda: create(stand))):
        yield


@asynccontextmanager
async def few_connections(stand: Stand, _: RecordingMailHandler) -> AsyncIterator[None]:
    """Commands hold every connection for almost as long as others may wait, again and again."""
    async with going_on(
        locked_at_times(stand, "items", 1.7, 0.03), *many(80, lambda: create(stand))
    ):
        yield


@asynccontextmanager
async def no_replica(stand: Stand, _: RecordingMailHandler) -> AsyncIterator[None]:
    """The replica is stopped."""
    await asyncio.to_thread(stand.stop_replica)
    try:
        yield
    finally:
        stand.start_replica()


@asynccontextmanager
async def late_replica(stand: Stand, _: RecordingMailHandler) -> AsyncIterator[None]:
    """The replica receives and does not replay."""
    await stand.sql("SELECT pg_wal_replay_pause()", REPLICA)
    try:
        async with going_on(again(lambda: create(stand), 0.3)):
            yield
    finally:
        await stand.sql("SELECT pg_wal_replay_resume()", REPLICA)


_REFUSE = """
CREATE FUNCTION refuse_listener() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('application_name') = 'backstay listener' THEN
    RAISE EXCEPTION 'Nobody listens here.';
  END IF;
END $$;
CREATE EVENT TRIGGER refuse_listener ON login EXECUTE FUNCTION refuse_listener();
ALTER EVENT TRIGGER refuse_listener ENABLE ALWAYS;
"""


@asynccontextmanager
async def unheard(stand: Stand, _: RecordingMailHandler) -> AsyncIterator[None]:
    """Connections that listen are ended, and refused from then on."""
    connection = await stand.database()
    try:
        await connection.execute(_REFUSE)
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'backstay listener'"
        )
        yield
    finally:
        await connection.execute("DROP EVENT TRIGGER IF EXISTS refuse_listener")
        await connection.execute("DROP FUNCTION IF EXISTS refuse_listener")
        await connection.close()


@asynccontextmanager
async def no_worker(stand: Stand, box: RecordingMailHandler) -> AsyncIterator[None]:
    """No worker runs, and there are jobs."""
    async with stopped("worker:*")(stand, box):
        await start_task(stand)
        yield


@asynccontextmanager
async def failing_jobs(stand: Stand, box: RecordingMailHandler) -> AsyncIterator[None]:
    """The mail server refuses mails for good."""
    box.refused[BOUNCES] = "550 5.1.1 No such mailbox"
    body = {"email": BOUNCES, "password": "correct horse battery 9"}
    await stand.ask("POST", "/users", None, json=body)

    async def forget() -> None:
        await stand.ask("POST", "/auth/password/forgot", None, json={"email": BOUNCES})

    async with going_on(again(forget, 0.5)):
        yield
    box.refused.clear()


@asynccontextmanager
async def maintenance(stand: Stand, _: RecordingMailHandler) -> AsyncIterator[None]:
    """Somebody switches maintenance on, and forgets it."""
    await asyncio.to_thread(stand.script, "run", "maintenance", "on", "--reason", "We move.")
    try:
        yield
    finally:
        await asyncio.to_thread(stand.script, "run", "maintenance", "off")


@asynccontextmanager
async def no_backup(stand: Stand, _: RecordingMailHandler) -> AsyncIterator[None]:
    """The folder of the backups may not be written."""
    (stand.host / "backups").chmod(0o500)
    try:
        yield
    finally:
        (stand.host / "backups").chmod(0o700)


@asynccontextmanager
async def no_proof(stand: Stand, _: RecordingMailHandler) -> AsyncIterator[None]:
    """The user of the database may no longer create the one in which backups are proven."""
    await stand.sql("ALTER ROLE backstay NOCREATEDB")
    try:
        yield
    finally:
        await stand.sql("ALTER ROLE backstay CREATEDB")


@asynccontextmanager
async def no_broker(stand: Stand, _: RecordingMailHandler) -> AsyncIterator[None]:
    """The broker of jobs is killed."""
    assert stand.broker is not None
    stand.broker.kill()
    stand.broker.wait()
    try:
        yield
    finally:
        stand.start_broker()
