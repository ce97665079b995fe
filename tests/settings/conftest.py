"""Fixtures: each test reads settings from its own directory and environment."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from backstay.settings import Loaded, read_settings
from tests.settings.reading import Read
from tests.settings.shop import ShopSettings

STRONG = "k7Qw2ZrT9xLm4Vb8Np1Hs6Yd3Gf5Jc0AeUiOtRwE"
OTHER = "Zx3Cv5Bn7Ml9Kj1Hg2Fd4Sa6Qw8Er0TyUiOpAsDf"


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Read settings in `local`, in the test's directory, which is the working directory, too."""
    monkeypatch.chdir(tmp_path)

    def reader(environ: Mapping[str, str] = {}, **variables: str) -> Loaded:
        return read_settings({**environ, **variables}, tmp_path)

    return reader


@pytest.fixture
def production() -> dict[str, str]:
    """The smallest environment that starts outside `local`."""
    return {
        "ENVIRONMENT": "production",
        "SECURITY_SECRET_KEY": STRONG,
        "SECURITY_REFRESH_TOKEN_SECRET": OTHER,
    }


@pytest.fixture(autouse=True)
def the_process_is_not_consulted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Poison the process's environment: a test that reads it fails."""
    monkeypatch.setenv("SERVER_PORT", "not a port")


@pytest.fixture
def read_shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Read the settings with the group of a shop, whose one required setting is given."""
    monkeypatch.chdir(tmp_path)

    def reader(environ: Mapping[str, str] = {}, **variables: str) -> Loaded:
        given = {"SHOP_API_KEY": "s3cr3t", **environ, **variables}
        return read_settings(given, tmp_path, [ShopSettings])

    return reader
