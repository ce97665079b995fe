"""Guards check the application, not the database: they run on one kind of database only."""

from pathlib import Path

import pytest

from backstay.composition import compose
from backstay.core.feature import Feature
from backstay.core.wiring import BootError, Flaw
from backstay.features import STANDARD
from backstay.testing import settings_with
from tests.architecture.booting import Faults


@pytest.fixture
def database_kind() -> str:
    return "sqlite"


@pytest.fixture
def faults(tmp_path: Path) -> Faults:
    """Returns the boot faults of the application with further features."""

    def boot(*features: Feature) -> list[Flaw]:
        settings = settings_with(f"sqlite:///{tmp_path}/unused.db", tmp_path)
        with pytest.raises(BootError) as caught:
            compose(settings, [*STANDARD, *features])
        return list(caught.value.faults)

    return boot
