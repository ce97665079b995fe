"""Shows that the guide to background work does what it says, example by example."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import update

from backstay.composition import Backstay, compose
from backstay.core.schedule import Scheduler
from backstay.db.job_store import NOW
from backstay.db.jobs import Job
from backstay.features import STANDARD
from tests.features.steps import execute
from tests.jobs.steps import Captain, drain, jobs

pytestmark = pytest.mark.anyio

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "background-work.md"
NAME = "guide_background_work"
PREAMBLE = """
import sys
from backstay.core.bus import prepares
from backstay.core.feature import Feature
from backstay.core.schedule import cron, every
"""


@pytest.fixture
def travel() -> Iterator[Any]:
    """The examples, as one module."""
    examples = re.findall(r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    module = sys.modules[NAME] = ModuleType(NAME)
    exec("\n".join([PREAMBLE, *examples]), vars(module))
    yield module
    del sys.modules[NAME]


async def test_the_examples_work(ships: Backstay, captain: Captain, travel: Any) -> None:
    backstay = compose(ships.settings, [*STANDARD, travel.feature])
    tourist = Captain(backstay, captain.principal)
    await tourist(travel.Arrive(where="Lisbon"))
    await Scheduler(backstay.schedule, backstay.workplace.outbox).tick()
    await execute(backstay, update(Job).values(due_at=NOW))
    await drain(backstay)
    results = {row.result for row in await jobs(backstay) if row.name == "SendPostcard"}
    assert results == {"to home", "to Lisbon", "to mother"}
    assert await tourist(travel.Postcards(count=3)) == 3
    await backstay.close()
