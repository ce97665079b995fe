"""Items that people keep."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from backstay.testing import Login, Person
from tests.features.steps import API

ITEMS = f"{API}/items"
Make = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
async def ada(login: Login) -> Person:
    """A user."""
    return await login()


@pytest.fixture
async def eve(login: Login) -> Person:
    """Another user."""
    return await login()


@pytest.fixture
def make() -> Make:
    """Creates an item for somebody and returns it, with its path and its entity tag."""

    async def create(person: Person, title: str = "Sextant", **fields: Any) -> dict[str, Any]:
        answer = await person.client.post(ITEMS, json={"title": title, **fields})
        assert answer.status_code == 201, answer.text
        path, tag = answer.headers["location"], answer.headers["etag"]
        return {**answer.json(), "path": path, "tag": tag}

    return create
