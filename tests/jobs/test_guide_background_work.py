"""Shows that the guide to background work does what it says, example by example."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from backstay.application import Application
from backstay.composition import Backstay
from backstay.features.tasks.commands import StartTask
from backstay.jobs.scheduler import Scheduler
from backstay.jobs.statements import NOW
from backstay.jobs.tables import Job
from tests.features.steps import execute
from tests.guides import followed, message_of, page
from tests.jobs.steps import UserSender, drain, jobs

pytestmark = pytest.mark.anyio

PAGE = page("background-work")


@pytest.fixture
def travel(tmp_path: Path) -> Iterator[Application]:
    with followed(PAGE, tmp_path) as application:
        yield application


async def test_the_examples_work(ships: Backstay, captain: UserSender, travel: Application) -> None:
    backstay = travel.compose(ships.settings)
    tourist = UserSender(backstay, captain.principal)
    await tourist(message_of(travel, "Arrive")(where="Lisbon"))
    await Scheduler(backstay.worker_context.schedule, backstay.worker_context.outbox).tick()
    body = re.search(r"`POST /tasks (\{.*?\}\})`", PAGE, re.DOTALL)
    assert body is not None
    await tourist(StartTask(**json.loads(body[1])))
    await execute(backstay, update(Job).values(due_at=NOW))
    await drain(backstay)
    results: dict[str, set[Any]] = {}
    for row in await jobs(backstay):
        results.setdefault(row.name, set()).add(row.result)
    assert results["SendPostcard"] == {"to home", "to Lisbon", "to mother"}
    assert results["Postcards"] == {3}
    await backstay.close()
