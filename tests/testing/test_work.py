"""Tests the parts of the test kit that other tests of the package do not use."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from backstay.composition import Backstay
from backstay.features.items.model import Item
from backstay.features.mail.commands.sending import SendMail
from backstay.features.users.events import UserRegistered
from backstay.testing import Login, Mails, Work
from tests.features.steps import execute, needs, register

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"])
Add = Callable[[Any], Awaitable[Any]]


@needs("items")
async def test_an_added_row_has_its_defaults(login: Login, add: Add, backstay: Backstay) -> None:
    ann = await login()
    item = await add(Item(title="A rope", owner_id=UUID(ann.id)))
    (stored,) = await execute(backstay, select(*Item.__table__.columns))
    assert (stored.id, stored.version, stored.created_at) == (item.id, 1, backstay.clock())
    shown = await ann.client.get(f"/api/v1/items/{item.id}")
    assert shown.json()["title"] == "A rope"


@needs("mail")
async def test_jobs_and_events_wait_until_they_are_run(
    client: Any, work: Work, mails: Mails
) -> None:
    await register(client, "ann@example.org")
    assert len(work.published(UserRegistered)) == 1
    assert await work.waiting(SendMail) == []
    assert await work.run() > 0
    assert await work.run() == 0
    assert [mail.recipient for mail in await mails.deliver()] == ["ann@example.org"]
    assert await mails.deliver() == []
