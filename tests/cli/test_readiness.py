"""Shows which states of a database stop the start of the server, and how they are reported."""

import asyncio
from pathlib import Path

import pytest

from backstay.cli.readiness import opened, sound
from backstay.composition import seed
from backstay.db import migrate
from backstay.db.migrations.runner import FaultyHistory
from backstay.db.options import EngineOptions
from backstay.settings import ConfigurationError, SettingError, load_settings, read_settings
from tests.cli.process import KEYS
from tests.files import look_into

PRODUCTION = {"ENVIRONMENT": "production", "ADMIN_PASSWORD": "correct horse", **KEYS}


def faults(folder: Path, **variables: str) -> list[SettingError]:
    environ = {"DB_URL": f"sqlite:///{folder}/test.db", **variables}
    try:
        asyncio.run(sound(read_settings(environ, folder)))
    except ConfigurationError as error:
        return list(error.errors)
    return []


def upgrade(folder: Path, revision: str = "head", *, with_admin: bool = False) -> None:
    settings = load_settings({"DB_URL": f"sqlite:///{folder}/test.db"}, folder)

    async def work() -> None:
        await migrate.upgrade(EngineOptions.of(settings), revision)
        if with_admin:
            async with opened(settings) as backstay:
                await seed(backstay)

    asyncio.run(work())


def without(*names: str) -> dict[str, str]:
    return {name: value for name, value in PRODUCTION.items() if name not in names}


def test_an_absent_database_is_a_fault_and_has_no_admin(tmp_path: Path) -> None:
    (absent,) = faults(tmp_path, **PRODUCTION)
    assert (absent.variable, absent.wrong) == ("DB_URL", "names a database that does not exist yet")
    assert "backstay db upgrade" in absent.hint
    assert [f.variable for f in faults(tmp_path, **without("ADMIN_PASSWORD"))] == [
        "DB_URL",
        "ADMIN_PASSWORD",
    ]
    assert not (tmp_path / "test.db").exists()


def test_an_empty_database_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "test.db").touch()
    (empty,) = faults(tmp_path, **PRODUCTION)
    assert empty.wrong == "names a database that is empty"


def test_a_database_behind_or_ahead_is_a_fault(tmp_path: Path) -> None:
    upgrade(tmp_path, "platform_0001")
    (behind,) = faults(tmp_path, **PRODUCTION)
    assert "behind" in behind.wrong
    assert "backstay db upgrade" in behind.hint
    with look_into(tmp_path / "test.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'from_the_future'")
    (ahead,) = faults(tmp_path, **PRODUCTION)
    assert "newer version" in ahead.wrong


@pytest.mark.parametrize(
    ("revision", "wrong"),
    [
        ("shop_0001", "names a database with migrations that are not here, shop_0001"),
        ("platform_0999", "names a database that a newer version of Backstay has migrated"),
    ],
)
def test_a_database_of_others_is_a_fault(tmp_path: Path, revision: str, wrong: str) -> None:
    upgrade(tmp_path)
    with look_into(tmp_path / "test.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    (fault,) = faults(tmp_path, **PRODUCTION)
    assert fault.wrong == wrong


def test_a_faulty_history_is_no_fault_of_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def standing(*_: object) -> None:
        raise FaultyHistory("Two files have the same number.")

    monkeypatch.setattr(migrate, "standing", standing)
    with pytest.raises(FaultyHistory, match="the same number"):
        faults(tmp_path, **PRODUCTION)


def test_a_current_database_needs_an_administrator(tmp_path: Path) -> None:
    upgrade(tmp_path)
    assert faults(tmp_path, **PRODUCTION) == []
    (missing,) = faults(tmp_path, **without("ADMIN_PASSWORD"))
    assert missing.variable == "ADMIN_PASSWORD"
    upgrade(tmp_path, with_admin=True)
    assert faults(tmp_path, **without("ADMIN_PASSWORD")) == []


def test_the_database_is_checked_even_without_keys(tmp_path: Path) -> None:
    upgrade(tmp_path, with_admin=True)
    found = faults(tmp_path, **without(*KEYS, "ADMIN_PASSWORD"))
    assert {fault.variable for fault in found} == set(KEYS)


def test_an_unreachable_database_is_a_fault_without_its_password(tmp_path: Path) -> None:
    (away,) = faults(tmp_path, **PRODUCTION | {"DB_URL": "postgresql://u:s3cr3t@127.0.0.1:1/x"})
    assert "cannot be reached" in away.wrong
    assert "s3cr3t" not in str(away)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("DB_URL", "mysql://x"), ("ENVIRONMENT", "prod"), ("ADMIN_PASSWORD", "tiny")],
)
def test_a_faulty_variable_is_reported_once(tmp_path: Path, variable: str, value: str) -> None:
    upgrade(tmp_path)
    assert [f.variable for f in faults(tmp_path, **PRODUCTION | {variable: value})] == [variable]


def test_in_local_the_database_is_checked_only_without_auto_migration(tmp_path: Path) -> None:
    assert faults(tmp_path) == []
    (absent,) = faults(tmp_path, DB_AUTO_MIGRATE="false")
    assert absent.variable == "DB_URL"
