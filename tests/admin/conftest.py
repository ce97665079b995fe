"""Browsers of the console."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from fastapi import FastAPI

from backstay.testing import Login
from tests.admin.visiting import Visitor
from tests.features.conftest import statements  # noqa: F401
from tests.patient import settings, still_limits  # noqa: F401

Open = Callable[..., Awaitable[Visitor]]


@pytest.fixture
async def stranger(app: FastAPI) -> AsyncIterator[Visitor]:
    """A browser that nobody has signed in with."""
    visitor = Visitor(app)
    yield visitor
    await visitor.client.aclose()


@pytest.fixture
async def console(app: FastAPI, login: Login) -> AsyncIterator[Open]:
    """Opens a browser that is signed in: as the administrator, or a new user with a role."""
    visitors: list[Visitor] = []

    async def open_as(role: str = "admin") -> Visitor:
        person = await login(role)
        visitor = Visitor(app)
        visitors.append(visitor)
        answer = await visitor.sign_in(person.email)
        assert answer.status_code == 303, answer.text
        return visitor

    yield open_as
    for visitor in visitors:
        await visitor.client.aclose()
