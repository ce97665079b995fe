"""Shows that a page of a list asks the database for no more than the API's list does."""

from time import monotonic
from uuid import UUID

import pytest

from backstay.composition import Backstay
from backstay.features.items.model import Item
from backstay.testing import Add, Login
from tests.admin.conftest import Open
from tests.admin.test_lists import link
from tests.features.steps import ME

pytestmark = pytest.mark.anyio


@pytest.fixture
def variables() -> dict[str, str]:
    return {"CACHE_TTL_SECONDS": "0"}


async def test_a_page_sends_the_statement_of_the_list_alone(
    console: Open,
    add: Add,
    login: Login,
    backstay: Backstay,
    statements: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moment = monotonic()
    monkeypatch.setattr(backstay.principals, "_monotonic", lambda: moment)
    visitor, admin = await console(), await login("admin")
    for number in range(26):
        await add(Item(title=f"item {number}", owner_id=UUID(admin.id)))
    await admin.client.get(ME)
    first = (await visitor.get("/data/items")).text
    for query in ("", link(first, "next") or "", "?sort=title", "?title__contains=item"):
        statements.clear()
        await admin.client.get(f"/api/v1/items?limit=25&{query[1:]}")
        (asked,) = statements
        statements.clear()
        assert (await visitor.get(f"/data/items{query}")).status_code == 200
        assert statements == [asked]
        assert "count(" not in asked.lower()
