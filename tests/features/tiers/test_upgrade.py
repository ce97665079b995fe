"""Shows that the migration to tiers keeps all users and puts them into the default tier."""

import pytest

from backstay.composition import compose, seed
from backstay.db import migrate
from backstay.db.migrations.runner import PLATFORM, scripts
from backstay.db.options import EngineOptions
from backstay.settings import Settings
from backstay.testing import FrozenClock
from tests.features.steps import ME, bearer, register, running, sign_in

pytestmark = pytest.mark.anyio


def before_tiers() -> str:
    """The revision before the one that adds tiers."""
    (tiers,) = (s for s in scripts((PLATFORM,)).walk_revisions() if s.doc.startswith("Tiers"))
    return str(tiers.down_revision)


async def test_an_upgrade_puts_everybody_into_the_default_tier(
    settings: Settings, clock: FrozenClock
) -> None:
    async with running(settings, clock) as client:
        ada = (await register(client, "ada@example.org", username="ada")).json()
        token = (await sign_in(client, "ada@example.org")).json()["access_token"]
    options = EngineOptions.of(settings)
    await migrate.downgrade(options, before_tiers(), force=True)
    await migrate.upgrade(options)
    backstay = compose(settings)
    await seed(backstay)
    await backstay.close()
    assert await migrate.check(options) == []
    async with running(settings, clock) as client:
        mine = (await client.get(ME, headers=bearer(token))).json()
        assert (mine["id"], mine["username"], mine["tier"]) == (ada["id"], "ada", "free")
        assert mine["version"] == ada["version"] + 1
        assert (await register(client, "ADA@example.org")).status_code == 409
