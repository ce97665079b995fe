"""Shows what lists and entities of a shop need: days, statuses, money, joins and children."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from sqlalchemy import event, select
from sqlalchemy.ext.asyncio import AsyncEngine

from backstay.composition import Backstay, sync_access
from backstay.core.clock import utc_now
from backstay.core.feature import Feature
from backstay.db.base import Base
from backstay.db.database import Database
from backstay.db.options import EngineOptions
from backstay.settings import Settings
from backstay.testing import Login, Person
from tests.db.sales import TABLES, TOTALS, Client, sales
from tests.features.steps import API

pytestmark = pytest.mark.anyio

SALES_PATH = f"{API}/sales"
LAST = "2026-01-02T23:59:59.999999Z"


@pytest.fixture
def features(features: list[Feature]) -> list[Feature]:
    return [*features, sales()]


@pytest.fixture
async def settings(settings: Settings) -> Settings:
    """The settings of a database that has the tables of the shop, too."""
    database = Database(EngineOptions.of(settings))
    async with database.writer.begin() as connection:
        await connection.run_sync(Base.metadata.create_all, tables=TABLES)
    await database.dispose()
    return settings


@pytest.fixture
async def ada(backstay: Backstay, login: Login, add: Any) -> Person:
    """A user with five sales to two clients, one of whom is deleted."""
    await sync_access(backstay)
    ada = await login()
    ann, ben = Client(name="Ann"), Client(name="Ben", deleted_at=utc_now())
    await add(ann)
    await add(ben)
    days = (
        "2026-01-01T23:59:59.999999Z",
        "2026-01-02T00:00:00Z",
        LAST,
        "2026-01-03T01:00:00+01:00",
        "2026-01-04T12:00:00Z",
    )
    for number, placed_at in enumerate(days):
        body: dict[str, Any] = {
            "number": number,
            "client_id": str((ann, ben)[number % 2].id),
            "placed_at": placed_at,
            "due_on": None if number % 2 else f"2026-02-0{number + 1}",
            "lines": [
                {"product": f"Rope {n}", "price": "0.10", "quantity": number} for n in range(number)
            ],
        }
        answer = await ada.client.post(SALES_PATH, json=body)
        assert answer.status_code == 200, answer.text
    return ada


async def numbers(person: Person, query: str) -> list[int]:
    answer = await person.client.get(f"{SALES_PATH}?{query}")
    assert answer.status_code == 200, answer.text
    return [row["number"] for row in answer.json()["items"]]


FOUND = {
    "placed_at=2026-01-02": [1, 2],
    "placed_at__gte=2026-01-02": [1, 2, 3, 4],
    "placed_at__gt=2026-01-02": [3, 4],
    "placed_at__lte=2026-01-02": [0, 1, 2],
    "placed_at__lt=2026-01-02": [0],
    "placed_at__gte=2026-01-02&placed_at__lte=2026-01-02": [1, 2],
    "placed_at__in=2026-01-01,2026-01-04,2026-01-04": [0, 4],
    "placed_at__in=2026-01-01,2026-01-02,2026-01-03&placed_at=2026-01-02": [1, 2],
    "placed_at__gte=0001-01-01&placed_at__lte=9999-12-31": [0, 1, 2, 3, 4],
    "placed_at__gt=9999-12-31": [],
    "placed_at__lt=0001-01-01": [],
    "paid_at=2026-01-02": [],
    "paid_at__isnull=true": [0, 1, 2, 3, 4],
    "due_on=2026-02-03": [2],
    "due_on__gt=2026-02-01": [2, 4],
    "due_on__in=2026-02-01,2026-02-05": [0, 4],
    "due_on__isnull=true": [1, 3],
    "number__gt=1&number__lt=4": [2, 3],
    "amount__gt=0.10": [2, 3, 4],
    "amount__gte=0.1&amount__lt=0.9": [1, 2],
    "amount=0.4": [2],
    "amount__in=0.10,0.90": [1, 3],
    "status=placed&amount__gt=0": [1, 2, 3, 4],
    "status__in=paid,sent back": [],
    "client_name=Ben": [1, 3],
    "client_name__contains=AN": [0, 2, 4],
    "q=ben": [1, 3],
}


async def test_each_filter_of_a_shop_finds_its_rows(ada: Person) -> None:
    for query, found in FOUND.items():
        assert await numbers(ada, f"sort=number&{query}") == found, query
        assert await numbers(ada, f"sort=number&limit=10&{query}") == found, query


async def test_the_sort_keys_of_a_shop_put_nulls_last(ada: Person) -> None:
    for query, found in {
        "due_on": [0, 2, 4, 1, 3],
        "-due_on": [4, 2, 0, 3, 1],
        "client_name,-amount": [4, 2, 0, 3, 1],
        "-client_name,amount": [1, 3, 0, 2, 4],
        "-amount": [4, 3, 2, 1, 0],
        "-paid_at,number": [0, 1, 2, 3, 4],
    }.items():
        assert await numbers(ada, f"sort={query}") == found, query
        assert await numbers(ada, f"sort={query}&limit=5") == found, query


REFUSED = {
    "status=lost": "status",
    "status__in=paid,lost": "status__in.1",
    "status=PAID": "status",
    "amount=NaN": "amount",
    "amount=Infinity": "amount",
    "amount=1e3": "amount",
    "amount=0.001": "amount",
    "amount=99999999999999999": "amount",
    "amount__in=1,x": "amount__in.1",
    "placed_at=2026-02-30": "placed_at",
    "placed_at__gte=2026-01-02T10:00:00Z": "placed_at__gte",
    "placed_at__gt=": "placed_at__gt",
    "status__gt=paid": "status__gt",
    "number__gt=2147483648": "number__gt",
}


async def test_unknown_values_are_refused(ada: Person) -> None:
    for query, field in REFUSED.items():
        answer = await ada.client.get(f"{SALES_PATH}?{query}")
        assert answer.status_code == 422, answer.text
        assert field in {error["field"] for error in answer.json()["errors"]}, answer.text


async def test_a_deleted_client_keeps_its_sales(ada: Person) -> None:
    page = (await ada.client.get(SALES_PATH, params={"per_page": 2, "sort": "number"})).json()
    assert (page["total"], page["pages"]) == (5, 3)
    assert [row["client_name"] for row in page["items"]] == ["Ann", "Ben"]


async def test_others_see_neither_sales_nor_lines(ada: Person, login: Login) -> None:
    eve = await login()
    sale = (await ada.client.get(f"{SALES_PATH}?number=3")).json()["items"][0]["id"]
    assert await numbers(eve, "client_name=Ben") == []
    assert (await eve.client.get(f"{SALES_PATH}/{sale}")).status_code == 404
    assert (await eve.client.get(f"{SALES_PATH}/lines")).json()["total"] == 0
    assert (await ada.client.get(f"{SALES_PATH}/lines")).json()["total"] == 10


async def test_amounts_are_exact_texts(ada: Person, backstay: Backstay) -> None:
    (sale,) = (await ada.client.get(f"{SALES_PATH}?number=3")).json()["items"]
    detail = (await ada.client.get(f"{SALES_PATH}/{sale['id']}")).json()
    assert (sale["total"], detail["total"]) == ("0.90", "0.90")
    assert [line["price"] for line in detail["lines"]] == ["0.10"] * 3
    ((status, total),) = await backstay.database.reader.rows(TOTALS)
    assert (status, str(total)) == ("placed", "3.00")


@contextmanager
def statements(engine: AsyncEngine, about: str) -> Iterator[list[str]]:
    """The statements about something that the engine executes meanwhile."""
    seen: list[str] = []

    def note(*arguments: Any) -> None:
        seen.extend({arguments[2]} if about in arguments[2] else ())

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine.sync_engine, "before_cursor_execute", note)


async def test_a_page_with_lines_takes_one_more_statement(ada: Person, backstay: Backstay) -> None:
    with statements(backstay.database.read_engine, "test_sale") as seen:
        answer = await ada.client.get(f"{SALES_PATH}/details")
    assert [len(row["lines"]) for row in answer.json()["items"]] == [4, 3, 2, 1, 0]
    assert len(seen) == 2


async def test_lines_are_written_by_one_statement(ada: Person, backstay: Backstay) -> None:
    client_id = await backstay.database.reader.scalar(select(Client.id).limit(1))
    line = {"product": "Rope", "price": "1", "quantity": 1}
    body = {"number": 9, "client_id": str(client_id), "placed_at": LAST, "lines": [line] * 5}
    with statements(backstay.database.writer, "INSERT INTO test_sale") as seen:
        answer = await ada.client.post(SALES_PATH, json=body)
    assert (answer.status_code, len(seen)) == (200, 2)
    again = await ada.client.post(SALES_PATH, json=body)
    assert again.status_code == 409
    made = (await ada.client.get(f"{SALES_PATH}/{answer.json()['id']}")).json()
    assert (len(made["lines"]), made["total"]) == (5, "5.00")


async def test_a_status_is_changed_and_found(ada: Person) -> None:
    (sale,) = (await ada.client.get(f"{SALES_PATH}?number=3")).json()["items"]
    path = f"{SALES_PATH}/{sale['id']}/status"
    assert (await ada.client.put(path, json={"status": "PAID"})).status_code == 422
    assert (await ada.client.put(path, json={"status": "paid"})).json()["status"] == "paid"
    assert await numbers(ada, "status=paid") == [3]


async def test_the_description_shows_members_and_amounts(client: httpx.AsyncClient) -> None:
    described = (await client.get("/openapi.json")).json()
    schemas = described["components"]["schemas"]
    assert schemas["Status"]["enum"] == ["placed", "paid", "sent back"]
    assert schemas["SaleSummary"]["properties"]["total"]["type"] == "string"
    named = {each.get("name"): each for each in described["paths"][SALES_PATH]["get"]["parameters"]}
    assert "Status" in str(named["status"]["schema"])
    assert "'format': 'date'" in str(named["placed_at__gt"]["schema"])
