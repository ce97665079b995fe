"""Shows that a page is made of the result of a query, and only of that."""

import sys
from html import escape

import httpx
import pytest
from fastapi import FastAPI
from starlette.responses import HTMLResponse

from backstay.core.bus import handles
from backstay.core.caching import Cached
from backstay.core.feature import Feature
from backstay.core.messages import FromPath, Query, View
from backstay.core.permissions import SIGNED_IN
from backstay.core.principal import Principal
from backstay.testing import Login
from backstay.web.pages import page
from backstay.web.routes import Routes
from tests.features.steps import API
from tests.web.problems import problem

pytestmark = pytest.mark.anyio


class Invoice(View):
    number: int
    buyer: str


class GetInvoice(Query[Invoice]):
    """An invoice to print."""

    permission = SIGNED_IN
    cache = Cached(ttl=60)

    number: FromPath[int]


asked: list[int] = []


@handles(GetInvoice)
async def get_invoice(query: GetInvoice, principal: Principal) -> Invoice:
    asked.append(query.number)
    return Invoice(number=query.number, buyer=f"<{principal.id}>")


def show_invoice(invoice: Invoice) -> HTMLResponse:
    return page(f"Invoice {invoice.number}", f"<p>{escape(invoice.buyer)}</p>")


routes = Routes("/invoices", tag="invoices")
routes.page("/{number}/page", GetInvoice, show_invoice)


@pytest.fixture
def features(features: list[Feature]) -> list[Feature]:
    asked.clear()
    return [*features, Feature("invoices", modules=(sys.modules[__name__],), routes=(routes,))]


async def test_a_page_shows_the_result_of_its_query(login: Login) -> None:
    ada = await login()
    for _ in range(2):
        answer = await ada.client.get(f"{API}/invoices/7/page")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        assert "etag" not in answer.headers
        assert f"&lt;{ada.id}&gt;" in answer.text
    assert asked == [7]


async def test_nobody_and_junk_get_no_page(client: httpx.AsyncClient, login: Login) -> None:
    problem(await client.get(f"{API}/invoices/7/page"), 401)
    ada = await login()
    problem(await ada.client.get(f"{API}/invoices/x/page"), 422)
    problem(await ada.client.get(f"{API}/invoices/7/page?more=1"), 422)
    assert not asked


async def test_a_page_is_described(app: FastAPI) -> None:
    operation = app.openapi()["paths"][f"{API}/invoices/{{number}}/page"]["get"]
    assert operation["responses"]["200"]["content"] == {"text/html": {"schema": {"type": "string"}}}
    assert operation["summary"] == "An invoice to print"
    assert "304" not in operation["responses"]
    assert "/dev/mailbox" not in app.openapi()["paths"]
