"""Shows that a server warns when its processes may need more connections than there are."""

from pathlib import Path

import asyncpg
import pytest

from backstay.cli.readiness import warn_of_shortage
from backstay.db.checks import shortage, shortage_of
from backstay.db.options import EngineOptions
from backstay.testing import settings_with

OPEN = {"server": -1, "database": -1, "role": -1}


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ({"server": 97}, ""),
        ({"server": 52}, ""),
        (
            {"server": 51},
            "makes 52; the server (max_connections less those it reserves) lets in 51",
        ),
        ({"server": 51}, "Set DB_MAX_CONNECTIONS to 9 at most, raise that limit, run fewer"),
        ({"server": 97, "database": 20}, "the database (its CONNECTION LIMIT) lets in 20"),
        ({"server": 97, "role": 0}, "the role (its CONNECTION LIMIT) lets in 0. Raise that limit"),
    ],
)
def test_the_lowest_limit_is_reported(limits: dict[str, int], told: str) -> None:
    text = shortage_of(processes=4, workers=1, each=10, limits=OPEN | limits)
    assert told in (text or "")
    assert bool(text) == bool(told)


@pytest.mark.anyio
@pytest.mark.parametrize("database_kind", ["postgresql"])
async def test_limits_of_both_server_and_database_count(
    options: EngineOptions,
) -> None:
    assert await shortage(options, processes=1) is None
    assert "the server (" in (await shortage(options, processes=100) or "")
    owner = await asyncpg.connect(options.url.replace("+asyncpg", ""))
    name = await owner.fetchval("SELECT current_database()")
    await owner.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT 21')
    await owner.close()
    assert "which makes 22; the database (" in (await shortage(options, processes=1) or "")


@pytest.mark.anyio
async def test_a_database_that_cannot_be_queried_gives_no_warning(tmp_path: Path) -> None:
    nowhere = EngineOptions("postgresql+asyncpg://nobody@127.0.0.1:1/ship")
    assert await shortage(nowhere, processes=100) is None
    assert await shortage(EngineOptions(f"sqlite+aiosqlite:///{tmp_path}/a"), 100) is None


@pytest.mark.anyio
@pytest.mark.parametrize("database_kind", ["postgresql"])
async def test_the_server_warns_at_its_start(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = database_url.replace("+asyncpg", "")
    redis = {"REDIS_URL": "redis://localhost"}
    await warn_of_shortage(settings_with(url, tmp_path, SERVER_WORKERS="2", **redis))
    assert not capsys.readouterr().err
    await warn_of_shortage(settings_with(url, tmp_path, SERVER_WORKERS="99", **redis))
    assert capsys.readouterr().err.startswith("Warning: PostgreSQL may run out of connections: 99")
