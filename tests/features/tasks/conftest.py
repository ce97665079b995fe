"""An application whose only jobs are those that somebody starts."""

import pytest

from backstay.core.feature import Feature


@pytest.fixture
def features(features: list[Feature]) -> list[Feature]:
    return [feature for feature in features if feature.name != "mail"]
