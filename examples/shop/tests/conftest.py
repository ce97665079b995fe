"""What the tests of the shop start from."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from backstay.testing import Login, Person


@pytest.fixture
def variables() -> dict[str, str]:
    """The settings that the shop requires."""
    return {"SHOP_WEBHOOK_SECRET": "a key of the payment provider"}


@pytest.fixture
async def seller(login: Login) -> Person:
    """Somebody who looks after customers."""
    return await login(name="seller")


Place = Callable[..., Awaitable[dict[str, Any]]]
"""What the fixture ``place`` gives."""


@pytest.fixture
def place() -> Place:
    """Places an order: ``await place(seller, price="2.50")``."""

    async def place_one(
        seller: Person, customer: str = "Ann Lee", price: str = "19.99", quantity: int = 2
    ) -> dict[str, Any]:
        body = {"name": customer, "email": "ann@example.org"}
        made = await seller.client.post("/api/v1/customers", json=body)
        assert made.status_code == 201, made.text
        line = {"article": "Rope", "quantity": quantity, "price": price}
        order = {"customer_id": made.json()["id"], "lines": [line]}
        placed = await seller.client.post("/api/v1/orders", json=order)
        assert placed.status_code == 201, placed.text
        return dict(placed.json())

    return place_one
