"""The payment provider's announcements, and what follows from them."""

import hmac
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from backstay import Settings
from backstay.testing import FrozenClock, Login, Person, Work

from shop.settings import ShopSettings

Place = Callable[..., Awaitable[dict[str, Any]]]


def signed(time: float, body: bytes, key: str) -> dict[str, str]:
    """The header of an announcement."""
    digest = hmac.digest(key.encode(), f"{time:.0f}.".encode() + body, "sha256").hex()
    return {"Signature": f"{time:.0f}.{digest}"}


async def test_only_fresh_signed_announcements_pay(
    client: httpx.AsyncClient,
    seller: Person,
    place: Place,
    clock: FrozenClock,
    settings: Settings,
) -> None:
    key = settings.of(ShopSettings).webhook_secret.get_secret_value()
    order = await place(seller)
    now, body = clock().timestamp(), f'{{"order_id": "{order["id"]}"}}'.encode()
    for wrong in (
        signed(now, body, "another key of sixteen"),
        signed(now, b"{}", key),
        signed(now - 301, body, key),
        {"Signature": "x"},
    ):
        answer = await client.post("/shop/payments", content=body, headers=wrong)
        assert answer.status_code == 401, answer.text
    assert (await client.post("/shop/payments", content=body)).status_code == 422
    paid = await client.post("/shop/payments", content=body, headers=signed(now, body, key))
    assert paid.status_code == 204, paid.text
    found = await seller.client.get(f"/api/v1/orders/{order['id']}")
    assert found.json()["status"] == "paid"


async def test_a_signed_announcement_that_names_no_order_is_refused(
    client: httpx.AsyncClient, clock: FrozenClock, settings: Settings
) -> None:
    key = settings.of(ShopSettings).webhook_secret.get_secret_value()
    for body in (b"", b"no JSON", b"[]", b'{"order_id": 1}'):
        headers = signed(clock().timestamp(), body, key)
        answer = await client.post("/shop/payments", content=body, headers=headers)
        assert answer.status_code == 422, answer.text


async def test_paid_orders_are_sales(
    seller: Person, login: Login, place: Place, work: Work, clock: FrozenClock
) -> None:
    manager, day = await login("manager"), clock().date().isoformat()
    query = {"since": day, "until": day}

    async def sales() -> dict[str, Any]:
        answer = await manager.client.get("/api/v1/sales", params=query)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    assert await sales() == {"days": [], "revenue": "0.00"}
    for price in ("0.10", "0.20"):
        order = await place(seller, price=price)
        await seller.client.post(f"/api/v1/orders/{order['id']}/pay")
    await work.run()
    assert await sales() == {
        "days": [{"day": day, "orders": 2, "revenue": "0.60"}],
        "revenue": "0.60",
    }
    assert (await seller.client.get("/api/v1/sales", params=query)).status_code == 403


async def test_today_knows_its_caller(
    client: httpx.AsyncClient, seller: Person, place: Place
) -> None:
    order = await place(seller)
    today = (await seller.client.get("/shop/today")).json()
    assert today["user_id"] == seller.id
    assert [each["id"] for each in today["unpaid"]] == [order["id"]]
    assert (await client.get("/shop/today")).status_code == 401
