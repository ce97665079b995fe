"""Orders: numbers, money, lists, transitions, papers."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from backstay import Backstay, Settings
from backstay.testing import FrozenClock, Login, Mails, Person

from shop.features.orders.commands import CancelUnpaid
from shop.settings import ShopSettings

ORDERS = "/api/v1/orders"

Place = Callable[..., Awaitable[dict[str, Any]]]


async def test_orders_have_lines_and_exact_amounts(seller: Person, place: Place) -> None:
    order = await place(seller, price="0.10", quantity=3)
    assert (order["amount"], order["customer_name"]) == ("0.30", "Ann Lee")
    assert order["lines"] == [{"article": "Rope", "quantity": 3, "price": "0.10"}]
    assert (await seller.client.get(f"{ORDERS}/{order['id']}")).json() == order


@pytest.mark.parametrize("price", ["-1", "0.001", "NaN", "1e9", "Infinity", "x"])
async def test_prices_that_are_none_are_refused(seller: Person, price: str) -> None:
    line = {"article": "Rope", "quantity": 1, "price": price}
    body = {"customer_id": str(seller.id), "lines": [line]}
    assert (await seller.client.post(ORDERS, json=body)).status_code == 422


async def test_lines_have_no_unknown_fields(seller: Person) -> None:
    line = {"article": "Rope", "quantity": 1, "price": "1.00", "discount": "1.00"}
    body = {"customer_id": str(seller.id), "lines": [line]}
    answer = await seller.client.post(ORDERS, json=body)
    assert [each["field"] for each in answer.json()["errors"]][:1] == ["lines.0.discount"]


async def test_ten_orders_at_once_get_ten_numbers(seller: Person, place: Place) -> None:
    orders = await asyncio.gather(*(place(seller) for _ in range(10)))
    assert sorted(order["number"] for order in orders) == list(range(1, 11))


async def test_orders_of_others_are_not_found(seller: Person, login: Login, place: Place) -> None:
    order, other = await place(seller), await login()
    assert (await other.client.get(f"{ORDERS}/{order['id']}")).status_code == 404
    assert (await other.client.post(f"{ORDERS}/{order['id']}/pay")).status_code == 404
    assert (await other.client.get(ORDERS)).json()["items"] == []
    body = {"customer_id": order["customer_id"], "lines": order["lines"]}
    assert (await other.client.post(ORDERS, json=body)).status_code == 404


async def test_orders_are_listed_by_status_day_and_customer(
    seller: Person, login: Login, place: Place, clock: FrozenClock
) -> None:
    first = await place(seller, "Ann Lee", "5.00")
    await seller.client.post(f"{ORDERS}/{first['id']}/pay")
    day = clock().date().isoformat()
    clock.forward(days=1)
    await place(await login(), "Ben Ray", "7.00")
    manager = await login("manager")

    async def names(**query: str) -> list[str]:
        answer = await manager.client.get(ORDERS, params=query)
        assert answer.status_code == 200, answer.text
        return [each["customer_name"] for each in answer.json()["items"]]

    assert await names(status="paid") == ["Ann Lee"]
    assert await names(placed_at=day) == ["Ann Lee"]
    assert await names(placed_at__gt=day) == ["Ben Ray"]
    assert await names(customer_name__contains="ray") == ["Ben Ray"]
    assert await names(q="lee") == ["Ann Lee"]
    assert await names(amount__gt="10.00") == ["Ben Ray"]
    assert await names(sort="customer_name") == ["Ann Lee", "Ben Ray"]
    assert await names(sort="-paid_at", limit="1") == ["Ann Lee"]


async def test_a_paid_order_is_receipted_by_mail(
    seller: Person, place: Place, mails: Mails
) -> None:
    order = await place(seller, price="0.10", quantity=3)
    await mails.deliver()
    paid = await seller.client.post(f"{ORDERS}/{order['id']}/pay")
    assert paid.json()["status"] == "paid"
    (mail,) = await mails.deliver()
    assert mail.recipient == "ann@example.org"
    assert mail.subject == f"Receipt for order {order['number']}"
    assert "0.30" in mail.text
    again = await seller.client.post(f"{ORDERS}/{order['id']}/pay")
    assert (again.status_code, again.json()["code"]) == (409, "orders.wrong_status")


async def test_only_managers_cancel(seller: Person, login: Login, place: Place) -> None:
    order, manager = await place(seller), await login("manager")
    path = f"{ORDERS}/{order['id']}/cancel"
    assert (await seller.client.post(path)).status_code == 403
    tag = {"If-Match": '"another"'}
    assert (await manager.client.post(path, headers=tag)).status_code == 412
    tag = {"If-Match": (await manager.client.get(f"{ORDERS}/{order['id']}")).headers["ETag"]}
    assert (await manager.client.post(path, headers=tag)).json()["status"] == "cancelled"


async def test_unpaid_orders_are_cancelled_after_two_weeks(
    seller: Person, login: Login, place: Place, clock: FrozenClock, backstay: Backstay
) -> None:
    order = await place(seller)
    assert await backstay.system(CancelUnpaid()) == 0
    clock.forward(days=15)
    assert await backstay.system(CancelUnpaid()) == 1
    found = await (await login("manager")).client.get(f"{ORDERS}/{order['id']}")
    assert found.json()["status"] == "cancelled"


async def test_a_signed_note_ships_the_order(
    seller: Person, place: Place, settings: Settings
) -> None:
    order = await place(seller)
    path, pdf = f"{ORDERS}/{order['id']}/delivery-note", {"Content-Type": "application/pdf"}
    early = await seller.client.post(path, content=b"%PDF", headers=pdf)
    assert early.status_code == 409
    await seller.client.post(f"{ORDERS}/{order['id']}/pay")
    assert (await seller.client.post(path, content=b"x")).status_code == 415
    shipped = await seller.client.post(path, content=b"%PDF", headers=pdf)
    assert shipped.json()["status"] == "shipped"
    note = settings.of(ShopSettings).notes / f"{order['id']}.pdf"
    assert note.read_bytes() == b"%PDF"


async def test_orders_leave_as_a_file(seller: Person, login: Login, place: Place) -> None:
    order, other = await place(seller, "=Ann", "5.00"), await login()
    head, row = (await seller.client.get(f"{ORDERS}/export.csv")).text.split()
    assert head == "number,customer_name,status,amount,placed_at"
    assert row.startswith(f"{order['number']},'=Ann,placed,10.00,")
    assert (await other.client.get(f"{ORDERS}/export.csv")).text.split() == [head]
