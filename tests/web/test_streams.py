"""Shows that streams are read in batches and written in the format of their route."""

import asyncio
import csv
import json
from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal
from io import StringIO
from typing import Annotated, Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import ConfigDict, PlainSerializer, computed_field
from sqlalchemy import event, select

from backstay.composition import Backstay
from backstay.core.errors import Unavailable
from backstay.core.feature import Feature
from backstay.core.messages import View
from backstay.db import streaming
from backstay.db.streaming import stream_rows
from backstay.features.items.model import Item
from backstay.testing import Login
from backstay.web.rows import Csv, JsonLines
from tests.features.conftest import trail  # noqa: F401
from tests.features.steps import API, Trail, needs
from tests.web.exports import (
    Exchange,
    Row,
    exports,
    fill,
    reads,
    source,
    take_grant,
)
from tests.web.problems import problem

pytestmark = [pytest.mark.anyio, needs("items")]


@pytest.fixture
def features(features: list[Feature]) -> list[Feature]:
    return [*features, exports()]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "ROWS_PER_BATCH", 10)


async def test_rows_are_written_in_the_format_of_the_route(
    login: Login, backstay: Backstay
) -> None:
    ada, bob = await login(), await login()
    titles = [f"Rope {number}" for number in range(25)]
    await fill(backstay, ada, titles)
    await fill(backstay, bob, ["Anchor", "=1+1", 'say "a, b"\nc'])
    answer = await ada.client.get(f"{API}/exports/items.csv")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="items.csv"'
    assert answer.headers["cache-control"] == "no-store"
    assert not {"etag", "content-length"} & answer.headers.keys()
    head, *rows = csv.reader(StringIO(answer.text, newline=""))
    assert head == ["id", "title"]
    assert [row[1] for row in rows] == titles
    theirs = await bob.client.get(f"{API}/exports/items.jsonl")
    assert theirs.headers["content-type"] == "application/jsonl"
    assert theirs.headers["content-disposition"] == 'attachment; filename="mine.jsonl"'
    told = [json.loads(line)["title"] for line in theirs.text.splitlines()]
    assert told == ["Anchor", "=1+1", 'say "a, b"\nc']
    safe = (await bob.client.get(f"{API}/exports/items.csv?prefix==")).text
    assert safe.splitlines()[1].endswith(",'=1+1")


async def test_an_empty_stream_has_its_head(login: Login) -> None:
    ada = await login()
    assert (await ada.client.get(f"{API}/exports/items.csv")).text == "id,title\r\n"
    assert (await ada.client.get(f"{API}/exports/items.jsonl")).text == ""
    head = await ada.client.head(f"{API}/exports/items.csv")
    assert (head.status_code, head.text) == (200, "")
    assert head.headers["content-type"] == "text/csv; charset=utf-8"


@pytest.mark.parametrize("number", [9, 10, 11, 20])
async def test_each_batch_is_one_statement(login: Login, backstay: Backstay, number: int) -> None:
    ada = await login()
    await fill(backstay, ada, [f"{n}" for n in range(number)])
    async with reads(backstay) as seen:
        answer = await ada.client.get(f"{API}/exports/items.jsonl")
    assert len(answer.text.splitlines()) == number
    assert len(seen) == number // 10 + 1


async def test_head_reads_one_batch_only(login: Login, backstay: Backstay) -> None:
    ada = await login()
    await fill(backstay, ada, [f"{n}" for n in range(30)])
    async with reads(backstay) as seen:
        await ada.client.head(f"{API}/exports/items.csv")
    assert len(seen) == 1


async def test_no_connection_is_held_while_the_client_waits(
    app: FastAPI, login: Login, backstay: Backstay
) -> None:
    ada = await login()
    await fill(backstay, ada, [f"{n}" for n in range(25)])
    exchange = Exchange(app, "/exports/items.csv", ada)
    out: list[int] = []

    async def taken() -> None:
        pools = (backstay.database.read_engine.pool, backstay.database.writer.pool)
        out.append(sum(pool.checkedout() for pool in pools))  # type: ignore[attr-defined]

    exchange.taken = taken  # type: ignore[method-assign]
    await exchange.run()
    assert exchange.is_complete
    assert len(out) >= 4
    assert set(out) == {0}


async def test_strangers_and_those_without_the_grant_get_no_byte(
    client: httpx.AsyncClient,
    login: Login,
    backstay: Backstay,
    trail: Trail,  # noqa: F811
) -> None:
    for token in ({}, {"Authorization": "Bearer junk"}):
        problem(await client.get(f"{API}/exports/items.csv", headers=token), 401)
    ada = await login()
    await take_grant(backstay)
    await trail()
    problem(await ada.client.get(f"{API}/exports/items.csv"), 403)
    (row,) = await trail()
    assert (row.message, row.outcome) == ("ExportItems", "refused")
    problem(await ada.client.get(f"{API}/exports/items.csv?nonsense=1"), 422)


async def test_authorising_each_batch_asks_the_database_nothing(
    app: FastAPI, login: Login, backstay: Backstay
) -> None:
    ada = await login()
    await fill(backstay, ada, [f"{n}" for n in range(50)])
    await ada.client.get(f"{API}/exports/items.csv")
    asked: list[str] = []

    def note(*args: Any) -> None:
        asked.append(args[2])

    engines = {backstay.database.read_engine.sync_engine, backstay.database.writer.sync_engine}
    for each in engines:
        event.listen(each, "before_cursor_execute", note)
    await ada.client.get(f"{API}/exports/items.csv")
    assert [each for each in asked if "sessions" in each] == []
    for each in engines:
        event.remove(each, "before_cursor_execute", note)


async def test_an_error_before_the_first_byte_is_a_problem(client: httpx.AsyncClient) -> None:
    async def none() -> AsyncIterator[bytes]:
        for _ in range(1):
            raise Unavailable
        yield b""

    source[:] = [none]
    problem(await client.get(f"{API}/exports/chunks"), 503, "unavailable")


async def test_a_wrong_statement_names_its_mend(backstay: Backstay) -> None:
    reader = backstay.database.reader
    with pytest.raises(ValueError, match=r"remove its order_by\(\)"):
        stream_rows(reader, select(Item.id).order_by(Item.id), Row, key=Item.id)
    with pytest.raises(LookupError, match="finds no column for `title` of Row"):
        stream_rows(reader, select(Item.id), Row, key=Item.id)


async def test_fifty_streams_at_once_are_whole(login: Login, backstay: Backstay) -> None:
    ada = await login()
    await fill(backstay, ada, [f"{n}" for n in range(35)])
    answers = await asyncio.gather(
        *(ada.client.get(f"{API}/exports/items.jsonl") for _ in range(50))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert {len(answer.text.splitlines()) for answer in answers} == {35}


async def test_a_stream_is_described(app: FastAPI) -> None:
    operation = app.openapi()["paths"][f"{API}/exports/items.csv"]["get"]
    answer = operation["responses"]["200"]
    assert answer["content"] == {"text/csv": {"schema": {"type": "string"}}}
    assert "Content-Disposition" in answer["headers"]
    assert "ETag" not in answer["headers"]
    assert operation["security"] == [{"bearer": []}]
    assert {"401", "403", "422", "429"} <= operation["responses"].keys()
    assert "304" not in operation["responses"]


class Odd(View):
    text: str
    price: Decimal
    number: int | None
    many: tuple[int, ...]
    is_new: bool


class Told(View):
    model_config = ConfigDict(ser_json_bytes="base64")

    day: Annotated[date, PlainSerializer(lambda day: f"{day:%d.%m.%Y}", when_used="json")]
    price: Annotated[Decimal, PlainSerializer(lambda price: f"={price} EUR", when_used="json")]
    size: float
    content: bytes
    tags: list[str]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def weight(self) -> Decimal:
        return Decimal("-2.50")


async def test_both_formats_tell_the_same_values() -> None:
    row = Told(day=date(2026, 11, 30), price=Decimal(3), size=0.1, content=b"\xff", tags=["a;=b"])
    (cells,) = csv.reader(StringIO(Csv(Told).render([row]).decode(), newline=""))
    told = json.loads(JsonLines(Told).render([row]))
    assert told["weight"] == cells[-1] == "-2.50"
    assert cells[:1] + cells[2:4] == [told["day"], str(told["size"]), told["content"]]
    assert (cells[1], cells[4]) == (f"'{told['price']}", '["a;\'=b"]')


async def test_cells_are_no_formulas_and_numbers_stay() -> None:
    def cells(text: str) -> list[str]:
        row = Odd(text=text, price=Decimal("-1.50"), number=None, many=(1, 2), is_new=True)
        (found,) = csv.reader(StringIO(Csv(Odd).render([row]).decode(), newline=""))
        return found

    assert cells("plain") == ["plain", "-1.50", "", "[1, 2]", "true"]
    for first in "=+-@\t\r\n\uff1d":
        assert cells(f"{first}cmd")[0] == f"'{first}cmd"
    for text, safe in {
        "a;=1+1": "a;'=1+1",
        "a\n-1;b": "a\n'-1;b",
        "a\t@x": "a\t'@x",
        'a; "=1': "a;' \"=1",
        "\u200b=1": "'\u200b=1",
        "\ufeff+1": "'\ufeff+1",
        " =1": "' =1",
        "\r\n=1": "'\r'\n'=1",
        "a, -5 = b@c": "a, -5 = b@c",
        "2026-11-30": "2026-11-30",
    }.items():
        assert cells(text)[0] == safe
    assert Csv(Odd).head == b"text,price,number,many,is_new\r\n"
    row = Odd(text="a\nb", price=Decimal(1), number=1, many=(), is_new=False)
    assert JsonLines(Odd).render([row, row]).count(b"\n") == 2
