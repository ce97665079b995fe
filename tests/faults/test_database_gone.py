"""Shows that an outage of the database is reported, and that its return is enough to recover."""

import asyncio
import re
from collections import Counter
from time import monotonic

import httpx
import pytest
from sqlalchemy import text

from backstay.testing.waiting import eventually
from backstay.web import request_log
from tests.clocks import StandingClock
from tests.faults.conftest import Running
from tests.faults.proxy import Wire
from tests.features.steps import API, AUTH, ME, execute, needs, sign_in
from tests.logs import logged
from tests.web.problems import problem

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("database_kind", ["postgresql"]),
    needs("items"),
    needs("system"),
]


def admitted(answer: httpx.Response) -> None:
    """Assert that an answer is a problem that reports the failure and reveals no internals."""
    body = problem(answer, answer.status_code)
    assert body["code"] in {"db_unavailable", "db_error"}, body
    for internal in ("127.0.0.1", "postgres", "asyncpg", "Connection", "password"):
        assert internal not in answer.text
    if answer.status_code == 503:
        assert int(answer.headers["retry-after"]) >= 1


async def everything(running: Running) -> list[httpx.Response]:
    """A read, a write, a sign-in, and a request that needs the principal loaded."""
    client = running.client
    answers = [
        await client.get(f"{API}/items"),
        await running.create("Lost"),
        await sign_in(client, "admin@example.com"),
    ]
    running.backstay.principals.forget_all()
    answers.append(await client.get(ME))
    return answers


async def test_requests_are_503_during_an_outage_and_work_after_it(
    wired: tuple[Wire, Running],
) -> None:
    wire, running = wired
    running.backstay.principals._monotonic = StandingClock()
    assert (await running.create("Before")).status_code == 201
    await wire.cut()
    for answer in await everything(running):
        admitted(answer)
        assert answer.status_code == 503
    assert (await running.client.get("/livez")).status_code == 200
    await wire.hint()
    assert (await running.client.get(f"{API}/items")).status_code == 200
    assert (await running.create("After")).status_code == 201
    assert (await sign_in(running.client, "admin@example.com")).status_code == 200
    assert await running.titles() == ["Before", "After"]


async def test_each_failed_request_logs_its_reason(wired: tuple[Wire, Running]) -> None:
    wire, running = wired
    principals, signed_in_at = running.backstay.principals, monotonic()
    await eventually(lambda: principals._complete_until >= signed_in_at)  # of that it has heard
    principals._monotonic = StandingClock()
    user_id = (await running.client.get(ME)).json()["id"]
    await wire.cut()
    with logged(request_log) as logs:
        answers = await everything(running)
        answers.append(await running.client.get("/readyz"))
    assert [entry["event"] for entry in logs] == ["request"] * len(answers)
    for answer, line in zip(answers, logs, strict=True):
        assert line["request_id"] == answer.headers["x-request-id"]
        assert (line["status"], line["log_level"]) == (503, "error")
    for line in logs[:-1]:
        assert line["code"] == "db_unavailable"
        assert re.match(r"(Connection\w+|OSError|Interface\w+): \S", line["reason"])
    assert [line.get("user_id") for line in logs[:2]] == [user_id] * 2
    assert "database" in logs[-1]["reason"]


async def test_a_hanging_database_delays_only_requests_that_use_it(
    wired: tuple[Wire, Running],
) -> None:
    wire, running = wired
    wire.jam()
    alive = await asyncio.gather(*[running.client.get("/livez") for _ in range(20)])
    assert Counter(answer.status_code for answer in alive) == {200: 20}
    stuck = asyncio.ensure_future(running.client.get(f"{API}/items"))
    held = wire.held
    await eventually(lambda: wire.held > held)
    await wire.cut()
    admitted(await stuck)
    await wire.hint()
    assert (await running.client.get(f"{API}/items")).status_code == 200
    assert 201 in [(await running.create()).status_code for _ in range(2)]


async def test_a_restarted_database_costs_nobody_a_read(wired: tuple[Wire, Running]) -> None:
    wire, running = wired
    await asyncio.gather(*[running.client.get(f"{API}/items") for _ in range(8)])
    await wire.cut()
    await wire.hint()
    answers = await asyncio.gather(*[running.client.get(f"{API}/items") for _ in range(8)])
    assert Counter(answer.status_code for answer in answers) == {200: 8}


async def test_a_restarted_database_costs_nobody_a_write(wired: tuple[Wire, Running]) -> None:
    wire, running = wired
    await asyncio.gather(*[running.create("Before") for _ in range(8)])
    await wire.cut()
    await wire.hint()
    running.backstay.principals.forget_all()
    answers = await asyncio.gather(*[running.create("After") for _ in range(8)])
    assert Counter(answer.status_code for answer in answers) == {201: 8}
    assert (await running.titles()).count("After") == 8


async def test_connections_that_the_server_ended_are_replaced(running: Running) -> None:
    backstay = running.backstay
    assert (await running.create("Before")).status_code == 201
    ending = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    await execute(backstay, ending)
    statuses = [(await running.create("Between")).status_code for _ in range(4)]
    assert set(statuses) <= {201, 500, 503}
    assert statuses[-1] == 201
    kept = (await running.titles()).count("Between")
    assert kept == statuses.count(201)


async def test_a_connection_lost_at_commit_is_no_success(wired: tuple[Wire, Running]) -> None:
    wire, running = wired
    pieces, answer = 0, await cut_after(0, wire, running)
    while answer.status_code != 201:
        admitted(answer)
        pieces += 1
        answer = await cut_after(pieces, wire, running)
    assert f"{pieces}" in await running.titles()


async def cut_after(pieces: int, wire: Wire, running: Running) -> httpx.Response:
    """Create an item while the proxy forwards only this much data before it is cut."""
    held = wire.held
    wire.jam_after(pieces)
    creating = asyncio.ensure_future(running.create(f"{pieces}"))
    await eventually(lambda: wire.held > held or creating.done())
    await wire.cut()
    answer = await creating
    await wire.hint()
    return answer


async def test_signing_out_during_an_outage_does_not_claim_success(
    wired: tuple[Wire, Running],
) -> None:
    wire, running = wired
    await wire.cut()
    admitted(await running.client.post(f"{AUTH}/logout"))
    await wire.hint()
    assert (await running.client.get(ME)).status_code == 200
