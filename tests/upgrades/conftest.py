"""Fixtures: the wheel of this version."""

from pathlib import Path

import pytest

from tests.architecture.tree import ROOT
from tests.upgrades.environments import build


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this version."""
    return build(ROOT, tmp_path_factory.mktemp("wheel"))
