"""Customers belong to whoever looks after them."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from backstay.testing import Login, Person, Work

Place = Callable[..., Awaitable[dict[str, Any]]]
ANN = {"name": "Ann Lee", "email": "ann@example.org"}


@pytest.fixture
async def ann(seller: Person) -> dict[str, Any]:
    """A customer of the seller."""
    made = await seller.client.post("/api/v1/customers", json=ANN)
    assert made.status_code == 201, made.text
    return dict(made.json())


async def test_customers_are_seen_by_their_seller_and_managers(
    seller: Person, login: Login, ann: dict[str, Any]
) -> None:
    other, manager = await login(), await login("manager")
    path = f"/api/v1/customers/{ann['id']}"
    assert (await seller.client.get(path)).json() == ann
    assert (await manager.client.get(path)).json() == ann
    assert (await other.client.get(path)).status_code == 404
    assert (await other.client.patch(path, json={"name": "Mine"})).status_code == 404
    assert (await other.client.delete(path)).status_code == 404
    assert (await other.client.get("/api/v1/customers")).json()["items"] == []


async def test_a_change_needs_the_latest_version(seller: Person, ann: dict[str, Any]) -> None:
    path = f"/api/v1/customers/{ann['id']}"
    tag = {"If-Match": (await seller.client.get(path)).headers["ETag"]}
    first = await seller.client.patch(path, json={"name": "Ann Ray"}, headers=tag)
    assert first.json()["name"] == "Ann Ray"
    second = await seller.client.patch(path, json={"name": "Ann May"}, headers=tag)
    assert second.status_code == 412


async def test_orders_of_a_customer_are_counted(seller: Person, place: Place, work: Work) -> None:
    order = await place(seller)
    await work.run()
    found = await seller.client.get(f"/api/v1/customers/{order['customer_id']}")
    assert found.json()["orders"] == 1


async def test_what_a_deleted_customer_ordered_stays(seller: Person, place: Place) -> None:
    order = await place(seller)
    path = f"/api/v1/customers/{order['customer_id']}"
    assert (await seller.client.delete(path)).status_code == 204
    assert (await seller.client.get(path)).status_code == 404
    assert (await seller.client.get(f"/api/v1/orders/{order['id']}")).json() == order
