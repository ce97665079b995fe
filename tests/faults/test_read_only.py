"""Shows that a read-only PostgreSQL is reported as such, and still read."""

from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest
from sqlalchemy import text

from backstay.core.errors import DatabaseFailed, DatabaseUnavailable
from backstay.testing import ADMIN_EMAIL
from tests.faults.conftest import Running
from tests.features.steps import API, execute, needs, sign_in
from tests.web.problems import problem

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("database_kind", ["postgresql"]),
    needs("items"),
    needs("system"),
]


def unavailable(answer: httpx.Response) -> None:
    body = problem(answer, 503, "db_unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    for internal in ("read-only", "INSERT", "standby", "not today", "127.0.0.1"):
        assert internal not in answer.text
    assert body["detail"]


async def refuses_to_write(client: httpx.AsyncClient) -> None:
    """Assert that writes are refused, reads work, and the probes report it."""
    for _ in range(3):
        unavailable(await client.post(f"{API}/items", json={"title": "Lost"}))
    unavailable(await sign_in(client, ADMIN_EMAIL))
    assert (await client.get(f"{API}/items")).status_code == 200
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()["reason"]) == (503, "The database is read-only.")
    health = (await client.get("/health")).json()
    assert health["checks"]["database"] == "error"
    assert health["reasons"]["database"] == "The database is read-only."


async def is_well(client: httpx.AsyncClient) -> bool:
    statuses = [(await client.get(path)).status_code for path in ("/readyz", "/health")]
    created = await client.post(f"{API}/items", json={"title": "Kept"})
    return [*statuses, created.status_code] == [200, 200, 201]


async def ask(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


OTHERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


async def test_writes_are_refused_until_the_database_is_writable(
    running: Running, seeded_url: str
) -> None:
    """A session keeps its initial setting, so read-only sessions must not stay in the pool."""
    client, name = running.client, urlsplit(seeded_url).path[1:]
    setting = "default_transaction_read_only"
    await ask(seeded_url, f"ALTER DATABASE {name} SET {setting} = on", OTHERS)
    await refuses_to_write(client)
    await ask(seeded_url, f"SET {setting} = off", f"ALTER DATABASE {name} RESET {setting}")
    assert await is_well(client)
    assert await running.titles() == ["Kept"]


async def test_the_readiness_probe_alone_detects_loss_and_return_of_writing(
    running: Running, seeded_url: str
) -> None:
    client, name = running.client, urlsplit(seeded_url).path[1:]
    setting = "default_transaction_read_only"
    await ask(seeded_url, f"ALTER DATABASE {name} SET {setting} = on", OTHERS)
    assert [(await client.get("/readyz")).status_code for _ in range(3)] == [503] * 3
    await ask(seeded_url, f"SET {setting} = off", f"ALTER DATABASE {name} RESET {setting}")
    assert (await client.get("/readyz")).status_code == 200


LASTING = ["53100", "58030"]
OF_ONE = ["08P01", "25P03", "40003", "40P01", "53000", "53200", "55P03", "57P02", "58P01", "XX001"]


async def test_a_read_only_server_is_not_an_internal_error(running: Running) -> None:
    for statement in (
        "CREATE TABLE refusals (code text)",
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE c text; BEGIN"
        " SELECT code INTO c FROM refusals; IF c IS NULL THEN RETURN NEW; END IF;"
        " RAISE EXCEPTION 'not today' USING ERRCODE = c; END $$",
        "CREATE TRIGGER refuse BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION refuse()",
        "INSERT INTO refusals VALUES (NULL)",
    ):
        await execute(running.backstay, text(statement))

    async def refuse_with(code: str | None) -> None:
        await execute(running.backstay, text("UPDATE refusals SET code = :code").params(code=code))

    for code in OF_ONE:
        await refuse_with(code)
        answer = await running.create()
        problem(answer, 503)
        assert int(answer.headers["retry-after"]) >= 1, code
        assert (await running.client.get("/readyz")).status_code == 200, code
    watch, now = running.backstay.database.watch, 0.0
    watch._monotonic = lambda: now
    for code in LASTING:
        await refuse_with(code)
        unavailable(await running.create())
        assert (await running.client.get("/readyz")).status_code == 503, code
        now += 60.0
        assert (await running.client.get("/readyz")).status_code == 200, code
    await refuse_with(None)
    assert await is_well(running.client)


async def test_a_query_that_writes_does_not_stop_other_requests(running: Running) -> None:
    database = running.backstay.database
    before = await execute(running.backstay, text("SELECT pg_backend_pid()"))
    for reads in (database._reads, database._long_reads):
        with pytest.raises(DatabaseFailed):
            await reads.rows(None, text("CREATE TABLE of_a_query ()"))
    after = await execute(running.backstay, text("SELECT pg_backend_pid()"))
    assert before.scalar() == after.scalar()
    assert await is_well(running.client)


async def test_a_query_without_disk_space_does_not_stop_other_requests(running: Running) -> None:
    """A query that sorts more than fits on the disk must not make the server unready."""
    function = (
        "CREATE FUNCTION sort() RETURNS int LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '53100'; END $$"
    )
    await execute(running.backstay, text(function))
    database = running.backstay.database
    for reads in (database._reads, database._long_reads):
        with pytest.raises(DatabaseUnavailable):
            await reads.rows(None, text("SELECT sort()"))
    assert await is_well(running.client)
