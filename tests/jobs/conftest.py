"""Fixtures: an application with the sample jobs, and a user who sends its commands."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from backstay.composition import Backstay, compose, seed
from backstay.features import STANDARD
from backstay.features.auth.queries.principals import GetPrincipalOfUser
from backstay.features.users.commands.accounts import RegisterUser
from backstay.testing import PASSWORD, settings_with
from tests.features.steps import execute
from tests.jobs.sample_jobs import VOYAGES, sample_feature
from tests.jobs.steps import UserSender
from tests.patient import PATIENT


@pytest.fixture
async def ships(seeded_url: str, tmp_path: Path) -> AsyncIterator[Backstay]:
    quiet = [feature for feature in STANDARD if feature.name != "mail"]  # it has jobs of its own
    backstay = compose(settings_with(seeded_url, tmp_path, **PATIENT), [*quiet, sample_feature()])
    await execute(backstay, text(VOYAGES))
    await seed(backstay)
    yield backstay
    await backstay.close()


@pytest.fixture
async def captain(ships: Backstay) -> UserSender:
    """Sends messages as a registered user."""
    user = await ships.system(RegisterUser(email="captain@example.org", password=PASSWORD))
    principal = await ships.system(GetPrincipalOfUser(user_id=user.id))
    assert principal is not None
    return UserSender(ships, principal)
