"""Shows that the console answers with pages while the database is away, and works after it."""

import pytest

from backstay.testing import ADMIN_EMAIL
from tests.admin.visiting import Visitor
from tests.clocks import StandingClock
from tests.faults.conftest import Running
from tests.faults.proxy import Wire
from tests.features.steps import needs

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.parametrize("database_kind", ["postgresql"]),
    needs("items"),
    needs("system"),
]


async def test_an_outage_is_told_on_a_page(wired: tuple[Wire, Running]) -> None:
    wire, running = wired
    running.backstay.principals._monotonic = StandingClock()
    visitor = Visitor(running.app)
    assert (await visitor.sign_in(ADMIN_EMAIL)).status_code == 303
    form = {"csrf": await visitor.token(), "title": "Lost"}
    await wire.cut()
    answers = [
        await visitor.get("/data/items"),
        await visitor.get("/export/list_items"),
        await visitor.client.post("/admin/form/create_item", data=form),
        await visitor.sign_in(ADMIN_EMAIL),
    ]
    running.backstay.principals.forget_all()
    answers.append(await visitor.get(""))
    for answer in answers:
        assert answer.status_code == 503
        assert answer.headers["content-type"].startswith("text/html")
        for internal in ("asyncpg", "postgres", "127.0.0.1", "Traceback"):
            assert internal not in answer.text
    await wire.hint()
    assert (await visitor.get("/data/items")).status_code == 200
    assert "Lost" not in (await visitor.get("/data/items")).text
    await visitor.client.aclose()


async def test_a_browser_that_signs_out_meanwhile_is_signed_out(
    wired: tuple[Wire, Running],
) -> None:
    wire, running = wired
    running.backstay.principals._monotonic = StandingClock()
    visitor = Visitor(running.app)
    assert (await visitor.sign_in(ADMIN_EMAIL)).status_code == 303
    form = {"csrf": await visitor.token()}
    await wire.cut()
    answer = await visitor.client.post("/admin/sign-out", data=form)
    assert answer.status_code == 503
    await wire.hint()
    assert (await visitor.get("")).status_code == 303
    await visitor.client.aclose()
